-- Save a report on drift and, if its alarm has changed, queue deliveries to the endpoints that subscribe
-- to it. Touches ps:drift:{pipeline}:{version}, and if so ps:delivery:{id} and the lane of webhooks.
-- Reads ps:drift:hooks.
--
-- Returns {1 if the alarm has changed, 1 if the lane of webhooks needs a wake-up message}.
-- include: finish

local pipeline = ARGV[1]
local model_version = ARGV[2]
local report = ARGV[3] -- JSON
local alarm = ARGV[4] -- '1' alarm, '0' none, '' not known: as before
local event_body = ARGV[5]
local event_id = ARGV[6]
local report_ttl_ms = ARGV[7]
local window = ARGV[8] -- number of the window compared last, or ''

local EVENT = 'pipeline.drift'
local key = 'ps:drift:' .. pipeline .. ':' .. model_version

redis.call('HSET', key, 'report', report)
if window ~= '' then
    redis.call('HSET', key, 'window', window)
end
redis.call('PEXPIRE', key, report_ttl_ms)
if alarm == '' or (redis.call('HGET', key, 'alarm') or '0') == alarm then
    return { 0, 0 }
end
redis.call('HSET', key, 'alarm', alarm, 'since', STAMP)
local endpoints = redis.call('HGETALL', 'ps:drift:hooks')
for i = 1, #endpoints, 2 do
    local endpoint, owner = endpoints[i], endpoints[i + 1]
    local delivery = event_id .. '_' .. endpoint
    redis.call('HSET', 'ps:delivery:' .. delivery, 'job', '', 'owner', owner, 'event', EVENT,
        'endpoint', endpoint, 'line', endpoint, 'status', 'queued', 'created', STAMP,
        'body', event_body)
    queue_delivery(delivery, endpoint, 'normal')
end
return { 1, publish_changes() }
