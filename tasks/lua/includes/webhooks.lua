-- Deliveries of webhooks, created by the script that makes the event true, so no crash loses one.
-- include: units
-- Keys: ps:delivery:{id}, ps:deliveries:{job}, ps:hooks:{owner}, ps:dead:webhooks, ps:webhooks:counts,
-- and those of the lane of webhooks.

local webhooks_queued = false -- whether this run put anything into the lane of webhooks

-- Put a delivery into the lane, as a unit of one item; all else about it is in its record.
-- target: endpoint, or host of an owner's jobs; deliveries to the same one may delay each other. It
-- is the owner of the unit.
-- priority: `low` for those that failed before, so that they do not hold up the others.
local function queue_delivery(delivery, target, priority)
    local payload = '["webhooks",{},[]]'
    enqueue(stream_of('webhooks', priority), { job = delivery, unit = '0', items = 1,
        owner = target, cpu = '0', bytes = #payload, payload = payload, reason = '' })
    webhooks_queued = true
end

-- Create and queue a delivery of a job's end. The id is the same if it is ever created again.
local function create_delivery(job, owner, event, endpoint, target, ttl_ms)
    local delivery = 'msg_' .. job:gsub('^job_', '') .. '_' .. endpoint
    redis.call('HSET', 'ps:delivery:' .. delivery, 'job', job, 'owner', owner, 'event', event,
        'endpoint', endpoint, 'line', target, 'status', 'queued', 'created', STAMP)
    redis.call('RPUSH', 'ps:deliveries:' .. job, delivery)
    redis.call('PEXPIRE', 'ps:deliveries:' .. job, ttl_ms)
    queue_delivery(delivery, target, 'normal')
end

-- Create the deliveries of a job's end: to the owner's endpoints that subscribe to the event, and to
-- the job's own webhook. hook: the target of that webhook and its events, or nothing.
local function create_job_deliveries(job, owner, event, hook, ttl_ms)
    local endpoints = redis.call('HGETALL', 'ps:hooks:' .. owner)
    for i = 1, #endpoints, 2 do
        local endpoint, events = endpoints[i], endpoints[i + 1]
        if events:find(event, 1, true) then
            create_delivery(job, owner, event, endpoint, endpoint, ttl_ms)
        end
    end
    if hook and hook:find(event, 1, true) then
        create_delivery(job, owner, event, 'job', hook:match('^%S+'), ttl_ms)
    end
end

-- Keep a delivery that will not be retried for a while, and list it among the dead letters.
local function give_up_delivery(delivery, most_dead, ttl_ms)
    redis.call('XADD', 'ps:dead:webhooks', 'MAXLEN', '~', most_dead, '*', 'delivery', delivery)
    redis.call('PEXPIRE', 'ps:delivery:' .. delivery, ttl_ms)
    redis.call('HINCRBY', 'ps:webhooks:counts', 'failed', 1)
end
