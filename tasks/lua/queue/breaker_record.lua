-- Record the result of one call of a tier: a success closes its breaker, a failure counts against it.
-- Touches ps:breakers.
--
-- Returns 1 if this call opened the breaker or closed it again, else 0.
-- include: breakers

local name = ARGV[1]
local answered = ARGV[2] == '1' -- whether the call answered any of its items
local threshold = tonumber(ARGV[3]) -- failures in a row that open the breaker
local cool_down_ms = ARGV[4] -- how long it is then open

write_even_when_full()
local failures = breaker_state(name)
if answered then
    redis.call('HDEL', 'ps:breakers', name)
    return failures >= threshold and 1 or 0
end
failures = failures + 1
local open_until = failures >= threshold and NOW + cool_down_ms or 0
redis.call('HSET', 'ps:breakers', name, failures .. ' ' .. string.format('%.0f', open_until))
return failures == threshold and 1 or 0
