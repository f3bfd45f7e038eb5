-- Keep a report on drift and, if its alarm has changed, tell the endpoints that asked for it.
--
-- ARGV  1 pipeline  2 model version  3 report, JSON  4 '1' alarm, '0' none, '' not known: as before
--       5 body of the event  6 id of the event  7 TTL, ms  8 number of the window compared last, or ''
-- Returns {1 if the alarm has changed, 1 if the lane of webhooks must be woken}.

local EVENT = 'pipeline.drift'
local key = 'ps:drift:' .. ARGV[1] .. ':' .. ARGV[2]
local alarm = ARGV[4]

redis.call('HSET', key, 'report', ARGV[3])
if ARGV[8] ~= '' then
    redis.call('HSET', key, 'window', ARGV[8])
end
redis.call('PEXPIRE', key, ARGV[7])
if alarm == '' or (redis.call('HGET', key, 'alarm') or '0') == alarm then
    return { 0, 0 }
end
redis.call('HSET', key, 'alarm', alarm, 'since', STAMP)
local endpoints = redis.call('HGETALL', 'ps:drift:hooks')
for i = 1, #endpoints, 2 do
    local endpoint, id = endpoints[i], ARGV[6] .. '_' .. endpoints[i]
    redis.call('HSET', 'ps:delivery:' .. id, 'job', '', 'owner', endpoints[i + 1], 'event', EVENT,
        'endpoint', endpoint, 'line', endpoint, 'status', 'queued', 'created', STAMP, 'body', ARGV[5])
    queue_delivery(id, endpoint, 'normal')
end
return { 1, announce() }
