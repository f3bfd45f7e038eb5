-- Whether a tier whose breaker has opened may be called: by one caller per cool-down, to probe it.
--
-- ARGV  1 breaker  2 cool-down, ms
-- Returns 1 if the caller may.

write_even_when_full()
local name = ARGV[1]
local failures, open_until = breaker(name)
if NOW < open_until then
    return 0
end
if open_until > 0 then
    local next_probe = string.format('%.0f', NOW + ARGV[2])
    redis.call('HSET', 'ps:breakers', name, failures .. ' ' .. next_probe)
end
return 1
