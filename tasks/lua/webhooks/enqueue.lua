-- Create and queue a delivery that belongs to no job. Touches ps:delivery:{id} and the lane of webhooks.
--
-- Returns 1 if the lane of webhooks needs a wake-up message, else 0.

local delivery = ARGV[1]
local owner = ARGV[2]
local endpoint = ARGV[3]
local body = ARGV[4]
local event = ARGV[5]

create_event_delivery(delivery, owner, event, endpoint, body)
if event == 'ping' then
    redis.call('HSET', delivery_key(delivery), 'trigger', 'test')
end
return publish_changes()
