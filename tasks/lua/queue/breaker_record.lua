-- What became of one call of a tier: a success closes its breaker, a failure counts against it.
--
-- ARGV  1 breaker  2 '1' if the call answered anything  3 failures in a row that open it
--       4 how long it then lets nobody through, ms
-- Returns 1 if this call opened the breaker or closed it again, else 0.

write_even_when_full()
local name, threshold = ARGV[1], tonumber(ARGV[3])
local failures = breaker(name)
if ARGV[2] == '1' then
    redis.call('HDEL', 'ps:breakers', name)
    return failures >= threshold and 1 or 0
end
failures = failures + 1
local open_until = failures >= threshold and NOW + ARGV[4] or 0
redis.call('HSET', 'ps:breakers', name, failures .. ' ' .. string.format('%.0f', open_until))
return failures == threshold and 1 or 0
