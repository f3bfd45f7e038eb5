-- Queue a delivery that is of no job.
--
-- ARGV  1 delivery id  2 owner  3 endpoint  4 body  5 event
-- Returns 1 if the lane of webhooks must be woken.

local id, owner, endpoint, event = ARGV[1], ARGV[2], ARGV[3], ARGV[5]
local key = 'ps:delivery:' .. id
redis.call('HSET', key, 'job', '', 'owner', owner, 'event', event, 'endpoint', endpoint,
    'line', endpoint, 'status', 'queued', 'created', STAMP, 'body', ARGV[4])
if event == 'ping' then
    redis.call('HSET', key, 'trigger', 'test')
end
queue_delivery(id, endpoint, 'normal')
return announce()
