-- Queue an ended delivery again now, or one that waits for its next attempt.
-- Touches ps:delivery:{id}, ps:webhooks:due and the lane of webhooks.
--
-- Returns its status before, or nil if the owner has no such delivery.
-- include: finish

local delivery = ARGV[1]
local owner = ARGV[2]

write_even_when_full()
local key = 'ps:delivery:' .. delivery
local status, owner_of = unpack(redis.call('HMGET', key, 'status', 'owner'))
if not status or owner_of ~= owner then
    return nil
end
local was_waiting = redis.call('ZREM', 'ps:webhooks:due', delivery) == 1
if is_terminal(status) or was_waiting then
    redis.call('HSET', key, 'status', 'queued', 'trigger', 'manual')
    redis.call('HDEL', key, 'finished', 'next')
    redis.call('PERSIST', key)
    queue_delivery(delivery, redis.call('HGET', key, 'line'), 'normal')
    publish_changes()
end
return status
