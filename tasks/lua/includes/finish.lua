-- How jobs and deliveries end, and who is told. Behind prelude.lua and units.lua.

-- A delivery waits as a unit of one item. All there is to know of it is in its record. Those that
-- failed before have priority `low`, so that they do not hold up the others.
local function queue_delivery(id, line, priority)
    local payload = '["webhooks",{},[]]'
    append(stream_of('webhooks', priority), { job = id, unit = '0', items = 1, owner = line,
        cpu = '0', bytes = #payload, payload = payload, reason = '' })
    told_webhooks = true
end

-- Queue a delivery of the end of a job. line: deliveries that may hold each other up; see `append`.
local function deliver(job, owner, event, endpoint, line, ttl_ms)
    local id = 'msg_' .. job:gsub('^job_', '') .. '_' .. endpoint
    redis.call('HSET', 'ps:delivery:' .. id, 'job', job, 'owner', owner, 'event', event,
        'endpoint', endpoint, 'line', line, 'status', 'queued', 'created', STAMP)
    redis.call('RPUSH', 'ps:deliveries:' .. job, id)
    redis.call('PEXPIRE', 'ps:deliveries:' .. job, ttl_ms)
    queue_delivery(id, line, 'normal')
end

-- Tell everybody who wants to know of the end of a job, in the script that ends it: the owner's
-- endpoints, and the job's own webhook. hook: where its deliveries stand in line, and its events.
local function notify(job, owner, event, hook, ttl_ms)
    local endpoints = redis.call('HGETALL', 'ps:hooks:' .. owner)
    for i = 1, #endpoints, 2 do
        if endpoints[i + 1]:find(event, 1, true) then
            deliver(job, owner, event, endpoints[i], endpoints[i], ttl_ms)
        end
    end
    if hook and hook:find(event, 1, true) then
        deliver(job, owner, event, 'job', hook:match('^%S+'), ttl_ms)
    end
end

-- A delivery that nobody will try again by itself: it is kept for a while, and listed.
local function bury_delivery(id, most, ttl_ms)
    redis.call('XADD', 'ps:dead:webhooks', 'MAXLEN', '~', most, '*', 'delivery', id)
    redis.call('PEXPIRE', 'ps:delivery:' .. id, ttl_ms)
    redis.call('HINCRBY', 'ps:webhooks:counts', 'failed', 1)
end

local function terminal(status)
    return status ~= 'queued' and status ~= 'running'
end

local function jobs_of(owner, state)
    return 'ps:jobs:' .. owner .. ':' .. state
end

-- Everything that is true of every end of a job. answered: pipeline|tier|model version of its answer,
-- where the script was told them.
local function finish(job, status, ttl_ms, answered)
    local key = 'ps:job:' .. job
    local owner, total, done, deadline, staged, hook, lane, created, started, failed, attempts, cached, spec =
        unpack(redis.call('HMGET', key, 'owner', 'total', 'done', 'deadline', 'staged', 'hook',
            'lane', 'created', 'started', 'failed', 'attempts', 'cached', 'spec'))
    redis.call('HSET', key, 'status', status, 'finished', STAMP)
    redis.call('PEXPIRE', key, ttl_ms)
    redis.call('HINCRBY', 'ps:counts', status, 1)
    redis.call('ZREM', jobs_of(owner, 'open'), job)
    redis.call('ZADD', jobs_of(owner, status), 0, job)
    local left = total - (done or 0)
    if left > 0 then
        redis.call('HINCRBY', 'ps:unfinished', owner, -left)
    end
    if deadline then
        redis.call('ZREM', 'ps:deadlines', job)
    end
    if staged then
        redis.call('DEL', 'ps:inputs:' .. job)
    end
    local pipeline = answered and answered:match('^[^|]*') or cjson.decode(spec).pipeline
    count('jobs|' .. pipeline .. '|' .. status, 1)
    use(owner, lane .. '|' .. pipeline .. '|jobs', 1)
    if answered then
        local labels = pipeline .. '|' .. lane .. answered:match('|.*$')
        observe('job', labels, STAMP - created)
        observe('queue', labels, (started or STAMP) - created)
        observe('inference', labels, STAMP - (started or STAMP))
    end
    ended[#ended + 1] = job
    facts[#facts + 1] =
        { job, status, lane, created, started, STAMP, total, failed, attempts, cached, spec, answered or '' }
    notify(job, owner, 'job.' .. status, hook, ttl_ms)
end

-- Store a unit's outcomes and take it off its lane; ends the job with its last unit. answered: see
-- `finish`. Returns the job's owner.
local function settle(stream, entry, job, unit, items, bytes, failed, outcomes, ttl_ms, answered)
    local key = 'ps:job:' .. job
    drop(stream, entry, items, bytes)
    redis.call('HSET', key, 'r:' .. unit, outcomes)
    local done = redis.call('HINCRBY', key, 'done', items)
    local all_failed = failed
    if tonumber(failed) > 0 then
        all_failed = redis.call('HINCRBY', key, 'failed', failed)
    end
    local total, owner = unpack(redis.call('HMGET', key, 'total', 'owner'))
    redis.call('HINCRBY', 'ps:unfinished', owner, -items)
    total = tonumber(total)
    if done >= total then
        finish(job, tonumber(all_failed) >= total and 'failed' or 'succeeded', ttl_ms, answered)
    end
    return owner
end

-- Tell waiting clients, and the worker of webhooks if it listens, and write what was counted. Returns
-- 1 if that worker must be woken.
local function announce()
    write_counts()
    if #ended > 0 then
        redis.call('PUBLISH', 'ps:done', table.concat(ended, ' '))
    end
    if told_webhooks then
        ring('webhooks')
        return 1 - redis.call('EXISTS', 'ps:lane:webhooks:awake')
    end
    return 0
end

-- Whether `consumer` holds the unit and its lease has not run out.
local function holds(stream, entry, consumer, lease_ms)
    local held = redis.pcall('XPENDING', stream, GROUP, entry, entry, 1)[1]
    return type(held) == 'table' and held[2] == consumer and held[3] < lease_ms
end

-- Delete a consumer that holds nothing; one that does must stay, or its leases would vanish.
local function forget(stream, consumer)
    local held = redis.pcall('XPENDING', stream, GROUP, '-', '+', 1, consumer)
    if not held.err and #held == 0 then
        redis.pcall('XGROUP', 'DELCONSUMER', stream, GROUP, consumer)
    end
end
