-- Read all that attempts at claimed deliveries need, and ask the breakers of their lines.
--
-- ARGV  1 cool-down of a breaker, ms  2 number of a job's fields  then those fields, then delivery ids
-- Returns {now, ms, then per delivery {its fields, JSON of its endpoint or '', values of its job,
-- secrets of its owner's jobs or '', ms until its line may be tried}}.

local cool_down, count = tonumber(ARGV[1]), tonumber(ARGV[2])
local fields = { unpack(ARGV, 3, 2 + count) }
write_even_when_full()

-- 0 if the line may be tried: its breaker is closed, or lets this one through to probe it.
local function wait_of(line, trigger)
    local key = 'ps:webhooks:breaker:' .. line
    local known = not trigger and redis.call('GET', key)
    if not known then
        return 0
    end
    local failures, open_until, since = known:match('^(%d+) (%d+) (%d+)$')
    if NOW < tonumber(open_until) then
        return open_until - NOW
    end
    if open_until ~= '0' then
        local probed = string.format('%d %.0f %s', failures, NOW + cool_down, since)
        redis.call('SET', key, probed, 'KEEPTTL')
    end
    return 0
end

local function read(id)
    local key = 'ps:delivery:' .. id
    local job, owner, endpoint, line, trigger =
        unpack(redis.call('HMGET', key, 'job', 'owner', 'endpoint', 'line', 'trigger'))
    if not job then
        return { {}, '', {}, '', 0 }
    end
    local of_job = endpoint == 'job'
    return {
        redis.call('HGETALL', key),
        not of_job and redis.call('HGET', 'ps:endpoints:' .. owner, endpoint) or '',
        redis.call('HMGET', 'ps:job:' .. job, unpack(fields)),
        of_job and redis.call('HGET', 'ps:webhooks:secrets', owner) or '',
        wait_of(line, trigger),
    }
end

local answer = { NOW }
for i = 3 + count, #ARGV do
    answer[#answer + 1] = read(ARGV[i])
end
return answer
