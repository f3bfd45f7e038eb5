-- Read all that the attempts at claimed deliveries need, and ask the circuit breakers for permission.
--
-- Reads ps:delivery:{id}, ps:endpoints:{owner}, ps:job:{id} and ps:webhooks:secrets. Writes
-- ps:webhooks:breaker:{target} when it permits a probe.
-- Returns {now, ms, then per delivery {its fields, JSON of its endpoint or '', values of its job,
-- secrets of its owner's jobs or '', ms until it may be tried}}.
-- include: arguments

local cool_down_ms = tonumber(ARGV[1]) -- how long a breaker stays open after a probe
local field_count = tonumber(ARGV[2])
local job_fields = arguments(3, 2 + field_count)
local deliveries = arguments(3 + field_count)

-- How long to wait until the breaker permits an attempt, in ms. 0: it is closed, or permits this one as
-- a probe, or the attempt was asked for by hand.
local function breaker_wait_ms(target, trigger)
    local key = 'ps:webhooks:breaker:' .. target
    local known = not trigger and redis.call('GET', key)
    if not known then
        return 0
    end
    local failures, open_until, since = known:match('^(%d+) (%d+) (%d+)$')
    if NOW < tonumber(open_until) then
        return open_until - NOW
    end
    if open_until ~= '0' then
        local probed = string.format('%d %.0f %s', failures, NOW + cool_down_ms, since)
        redis.call('SET', key, probed, 'KEEPTTL')
    end
    return 0
end

local function load_delivery(delivery)
    local key = 'ps:delivery:' .. delivery
    local job, owner, endpoint, target, trigger =
        unpack(redis.call('HMGET', key, 'job', 'owner', 'endpoint', 'line', 'trigger'))
    if not job then
        return { {}, '', {}, '', 0 }
    end
    local of_job = endpoint == 'job'
    return {
        redis.call('HGETALL', key),
        not of_job and redis.call('HGET', 'ps:endpoints:' .. owner, endpoint) or '',
        redis.call('HMGET', 'ps:job:' .. job, unpack(job_fields)),
        of_job and redis.call('HGET', 'ps:webhooks:secrets', owner) or '',
        breaker_wait_ms(target, trigger),
    }
end

write_even_when_full()
local answer = { NOW }
for _, delivery in ipairs(deliveries) do
    answer[#answer + 1] = load_delivery(delivery)
end
return answer
