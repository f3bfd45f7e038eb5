-- Queue a delivery that is of no job, to try an endpoint.
--
-- ARGV  1 delivery id  2 owner  3 endpoint  4 body
-- Returns 1 if the lane of webhooks must be woken.

local id, owner, endpoint = ARGV[1], ARGV[2], ARGV[3]
redis.call('HSET', 'ps:delivery:' .. id, 'job', '', 'owner', owner, 'event', 'ping',
    'endpoint', endpoint, 'line', endpoint, 'status', 'queued', 'created', STAMP,
    'body', ARGV[4], 'trigger', 'test')
queue_delivery(id, endpoint, 'normal')
return announce()
