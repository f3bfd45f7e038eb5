-- Try an ended delivery again now, or one that waits for its next attempt.
--
-- ARGV  1 delivery id  2 owner
-- Returns its status before, or nil if the owner has no such delivery.

write_even_when_full()
local id = ARGV[1]
local key = 'ps:delivery:' .. id
local status, owner = unpack(redis.call('HMGET', key, 'status', 'owner'))
if not status or owner ~= ARGV[2] then
    return nil
end
local waits = redis.call('ZREM', 'ps:webhooks:due', id) == 1
if terminal(status) or waits then
    redis.call('HSET', key, 'status', 'queued', 'trigger', 'manual')
    redis.call('HDEL', key, 'finished', 'next')
    redis.call('PERSIST', key)
    queue_delivery(id, redis.call('HGET', key, 'line'), 'normal')
    announce()
end
return status
