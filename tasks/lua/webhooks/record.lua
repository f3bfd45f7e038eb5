-- Note what became of attempts to deliver webhooks, each only if lease and claim are still ours.
--
-- ARGV  1 lane  2 consumer  3 lease, ms  4 how long an ended delivery is kept, ms  5 most dead ones kept
--       6 failures in a row that open a breaker  7 how long it then lets nobody through, ms
--       then per delivery: stream, entry, id, unit, claim, bytes, result, wait before the next attempt,
--       ms, log entry (JSON), body, URL and origin ('' once they are kept), '1' if the endpoint was asked
-- A result: succeeded | failed (given up) | retry | postponed (not tried: does not count).
-- Returns {stale, then per endpoint that failed since ...: endpoint, owner, ms}.

local consumer, lease, ttl, most_dead = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local threshold, cool_down = tonumber(ARGV[6]), tonumber(ARGV[7])
local FORGET_BREAKER, MOST_COOL_DOWN = 3600000, 300000
local LONG_SILENCE = 2 * 86400000 -- longer than any wait between two attempts
write_even_when_full()
local answer = { 0 }
local stepped_up = false

local function keep(key, name, value)
    if value ~= '' then
        redis.call('HSET', key, name, value)
    end
end

local function note(id, event, result, wait, entry)
    local key = 'ps:delivery:' .. id
    redis.call('HSET', key, 'a:0', 0)
    if result ~= 'postponed' then
        local tries = redis.call('HINCRBY', key, 'tries', 1)
        redis.call('HSET', key, 'l:' .. tries, entry)
        redis.call('HDEL', key, 'trigger')
    end
    if result == 'retry' or result == 'postponed' then
        redis.call('HSET', key, 'status', 'queued', 'next', NOW + wait)
        redis.call('ZADD', 'ps:webhooks:due', NOW + wait, id)
        redis.call('HINCRBY', 'ps:webhooks:counts', result, 1)
        return
    end
    redis.call('HSET', key, 'status', result, 'finished', STAMP)
    redis.call('HDEL', key, 'next')
    if result == 'failed' and event ~= 'ping' then
        bury_delivery(id, most_dead, ttl)
    else
        redis.call('PEXPIRE', key, ttl)
        redis.call('HINCRBY', 'ps:webhooks:counts', result, 1)
    end
end

-- The list of a job's deliveries is kept for as long as those that are in it.
local function keep_listed(job, wait)
    local list = 'ps:deliveries:' .. job
    if redis.call('PTTL', list) < wait + ttl then
        redis.call('PEXPIRE', list, wait + ttl)
    end
end

-- Count a failed attempt against the breaker of its line, or close it. The longer a line has failed,
-- the more rarely it is probed.
local function judge(line, succeeded)
    local key = 'ps:webhooks:breaker:' .. line
    if succeeded then
        redis.call('DEL', key)
        return
    end
    local known = redis.call('GET', key) or '0 0 ' .. NOW
    local failures, open_until, since = known:match('^(%d+) (%d+) (%d+)$')
    if failures + 1 >= threshold then
        open_until = NOW + math.max(cool_down, math.min(MOST_COOL_DOWN, (NOW - since) / 2))
    end
    local state = string.format('%.0f %.0f %.0f', failures + 1, open_until, since)
    redis.call('SET', key, state, 'PX', FORGET_BREAKER)
end

-- Since when every attempt at an endpoint has failed.
local function learn(endpoint, owner, succeeded)
    if succeeded then
        redis.call('HDEL', 'ps:webhooks:failing', endpoint)
        return
    elseif redis.call('HEXISTS', 'ps:hooks:' .. owner, endpoint) == 0 then
        return -- disabled or deleted meanwhile
    end
    local known = redis.call('HGET', 'ps:webhooks:failing', endpoint) or ''
    local since, last = known:match('^(%d+) (%d+)$')
    if not since or NOW - last > LONG_SILENCE then
        since = NOW
    end
    redis.call('HSET', 'ps:webhooks:failing', endpoint, string.format('%.0f %.0f', since, NOW))
    answer[#answer + 1] = endpoint
    answer[#answer + 1] = owner
    answer[#answer + 1] = NOW - since
end

for i = 8, #ARGV, 13 do
    local stream, entry, id, unit, claim, bytes = unpack(ARGV, i, i + 5)
    local result, wait, log, body, url, origin, asked = unpack(ARGV, i + 6, i + 12)
    local key = 'ps:delivery:' .. id
    local current, line, endpoint, owner, event, job =
        unpack(redis.call('HMGET', key, 'a:' .. unit, 'line', 'endpoint', 'owner', 'event', 'job'))
    if holds(stream, entry, consumer, lease) and current == claim then
        drop(stream, entry, 1, bytes)
        stepped_up = depart(stream, line, 1) > 0 or stepped_up
        keep(key, 'body', body)
        keep(key, 'url', url)
        keep(key, 'origin', origin)
        note(id, event, result, wait, log)
        keep_listed(job or '', wait)
        if asked == '1' and result ~= 'postponed' then
            judge(line, result == 'succeeded')
            if endpoint ~= 'job' then
                learn(endpoint, owner, result == 'succeeded')
            end
        end
        redis.call('INCR', 'ps:lane:webhooks:settled')
    else
        answer[1] = answer[1] + 1
    end
end
if stepped_up then
    ring(ARGV[1])
end
return answer
