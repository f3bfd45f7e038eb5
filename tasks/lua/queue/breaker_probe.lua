-- Ask whether a tier whose breaker has opened may be called. One caller per cool-down may, as a probe.
-- Touches ps:breakers.
--
-- Returns 1 if the caller may, else 0.
-- include: breakers

local name = ARGV[1]
local cool_down_ms = ARGV[2]

write_even_when_full()
local failures, open_until = breaker_state(name)
if NOW < open_until then
    return 0
end
if open_until > 0 then
    local next_probe = string.format('%.0f', NOW + cool_down_ms)
    redis.call('HSET', 'ps:breakers', name, failures .. ' ' .. next_probe)
end
return 1
