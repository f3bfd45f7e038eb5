-- Delete what was staged for an upload that failed, and release its idempotency key. If the job was
-- accepted after all (the reply to its submit may have been lost), nothing is deleted.
--
-- KEYS  1 idempotency record or ''
-- Touches ps:job:{id} and ps:inputs:{id} too. Returns nothing.

local idempotency_record = KEYS[1]
local job = ARGV[1]

write_even_when_full()
if redis.call('EXISTS', 'ps:job:' .. job) == 1 then
    return
end
redis.call('DEL', 'ps:inputs:' .. job)
if idempotency_record ~= '' and redis.call('GET', idempotency_record) == 'pending ' .. job then
    redis.call('DEL', idempotency_record)
end
