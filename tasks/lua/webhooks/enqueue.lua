-- Create and queue a delivery that belongs to no job. Touches ps:delivery:{id} and the lane of webhooks.
--
-- Returns 1 if the lane of webhooks needs a wake-up message, else 0.
-- include: finish

local delivery = ARGV[1]
local owner = ARGV[2]
local endpoint = ARGV[3]
local body = ARGV[4]
local event = ARGV[5]

local key = 'ps:delivery:' .. delivery
redis.call('HSET', key, 'job', '', 'owner', owner, 'event', event, 'endpoint', endpoint,
    'line', endpoint, 'status', 'queued', 'created', STAMP, 'body', body)
if event == 'ping' then
    redis.call('HSET', key, 'trigger', 'test')
end
queue_delivery(delivery, endpoint, 'normal')
return publish_changes()
