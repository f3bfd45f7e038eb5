-- Forget an upload that comes to nothing. One whose job was accepted after all stays: the submit's
-- answer may have been lost.
--
-- KEYS  1 idempotency record or ''
-- ARGV  1 job id

write_even_when_full()
local job = ARGV[1]
if redis.call('EXISTS', 'ps:job:' .. job) == 1 then
    return
end
redis.call('DEL', 'ps:inputs:' .. job)
if KEYS[1] ~= '' and redis.call('GET', KEYS[1]) == 'pending ' .. job then
    redis.call('DEL', KEYS[1])
end
