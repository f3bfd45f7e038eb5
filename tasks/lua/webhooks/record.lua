-- Record the results of attempts to deliver webhooks, each only if the worker still holds its lease and
-- claim.
--
-- Touches ps:delivery:{id}, ps:deliveries:{job}, ps:webhooks:due, :counts, :failing, :breaker:{target},
-- ps:dead:webhooks and the lane of webhooks.
-- Returns {stale, then per endpoint all of whose attempts have failed: endpoint, owner, ms since the
-- first failure}.
-- include: leases, wakeups, webhooks

local lane = ARGV[1]
local consumer = ARGV[2]
local lease_ms = tonumber(ARGV[3])
local log_ttl_ms = tonumber(ARGV[4]) -- of a delivery's record, from its end
local most_dead = ARGV[5] -- dead letters kept
local threshold = tonumber(ARGV[6]) -- failures in a row that open a breaker
local cool_down_ms = tonumber(ARGV[7]) -- how long it is then open, at least
local FIRST_ATTEMPT, ATTEMPT_FIELDS = 8, 13

local FORGET_BREAKER_MS = 3600000
local MOST_COOL_DOWN_MS = 300000
local LONG_SILENCE_MS = 2 * 86400000 -- longer than any wait between two attempts

local stale = 0
local failing = {} -- endpoint, owner, ms, endpoint, ...
local moved_to_stream = false

local function save_unless_empty(key, field, value)
    if value ~= '' then
        redis.call('HSET', key, field, value)
    end
end

local function log_attempt(key, log_entry)
    local tries = redis.call('HINCRBY', key, 'tries', 1)
    redis.call('HSET', key, 'l:' .. tries, log_entry)
    redis.call('HDEL', key, 'trigger')
end

local function schedule_retry(delivery, result, wait_ms)
    redis.call('HSET', 'ps:delivery:' .. delivery, 'status', 'queued', 'next', NOW + wait_ms)
    redis.call('ZADD', 'ps:webhooks:due', NOW + wait_ms, delivery)
    redis.call('HINCRBY', 'ps:webhooks:counts', result, 1)
end

local function end_delivery(delivery, event, result)
    local key = 'ps:delivery:' .. delivery
    redis.call('HSET', key, 'status', result, 'finished', STAMP)
    redis.call('HDEL', key, 'next')
    if result == 'failed' and event ~= 'ping' then
        give_up_delivery(delivery, most_dead, log_ttl_ms)
    else
        redis.call('PEXPIRE', key, log_ttl_ms)
        redis.call('HINCRBY', 'ps:webhooks:counts', result, 1)
    end
end

-- result: succeeded | failed (given up) | retry | postponed (not tried: does not count).
local function record_result(delivery, event, result, wait_ms, log_entry)
    local key = 'ps:delivery:' .. delivery
    redis.call('HSET', key, 'a:0', 0)
    if result ~= 'postponed' then
        log_attempt(key, log_entry)
    end
    if result == 'retry' or result == 'postponed' then
        schedule_retry(delivery, result, wait_ms)
    else
        end_delivery(delivery, event, result)
    end
end

-- Keep the list of a job's deliveries for as long as those that are in it.
local function extend_list(job, wait_ms)
    local list = 'ps:deliveries:' .. job
    if redis.call('PTTL', list) < wait_ms + log_ttl_ms then
        redis.call('PEXPIRE', list, wait_ms + log_ttl_ms)
    end
end

-- Count a failed attempt against its breaker, or close the breaker. It stays open for half as long as
-- attempts have failed, within limits, so that what has failed for long is probed rarely.
local function update_breaker(target, succeeded)
    local key = 'ps:webhooks:breaker:' .. target
    if succeeded then
        redis.call('DEL', key)
        return
    end
    local known = redis.call('GET', key) or '0 0 ' .. NOW
    local failures, open_until, since = known:match('^(%d+) (%d+) (%d+)$')
    if failures + 1 >= threshold then
        local open_ms = math.min(MOST_COOL_DOWN_MS, (NOW - since) / 2)
        open_until = NOW + math.max(cool_down_ms, open_ms)
    end
    local state = string.format('%.0f %.0f %.0f', failures + 1, open_until, since)
    redis.call('SET', key, state, 'PX', FORGET_BREAKER_MS)
end

-- Keep since when every attempt at an endpoint has failed.
local function update_failing(endpoint, owner, succeeded)
    if succeeded then
        redis.call('HDEL', 'ps:webhooks:failing', endpoint)
        return
    elseif redis.call('HEXISTS', 'ps:hooks:' .. owner, endpoint) == 0 then
        return -- disabled or deleted meanwhile
    end
    local known = redis.call('HGET', 'ps:webhooks:failing', endpoint) or ''
    local since, last = known:match('^(%d+) (%d+)$')
    if not since or NOW - last > LONG_SILENCE_MS then
        since = NOW
    end
    redis.call('HSET', 'ps:webhooks:failing', endpoint, string.format('%.0f %.0f', since, NOW))
    failing[#failing + 1] = endpoint
    failing[#failing + 1] = owner
    failing[#failing + 1] = NOW - since
end

-- Record the attempt whose fields begin at position i.
local function record_attempt(i)
    local stream, entry, delivery, unit, claim, payload_bytes,
        result, wait_ms, -- before the next attempt
        log_entry, -- JSON
        body, url, origin, -- '' once they are saved
        asked -- '1' if the endpoint was sent a request
        = unpack(ARGV, i, i + 12)
    local key = 'ps:delivery:' .. delivery
    local current_claim, target, endpoint, owner, event, job =
        unpack(redis.call('HMGET', key, 'a:' .. unit, 'line', 'endpoint', 'owner', 'event', 'job'))
    if not holds_lease(stream, entry, consumer, lease_ms) or current_claim ~= claim then
        stale = stale + 1
        return
    end
    delete_unit(stream, entry, 1, payload_bytes)
    moved_to_stream = refill_stream(stream, target, 1) > 0 or moved_to_stream
    save_unless_empty(key, 'body', body)
    save_unless_empty(key, 'url', url)
    save_unless_empty(key, 'origin', origin)
    record_result(delivery, event, result, wait_ms, log_entry)
    extend_list(job or '', wait_ms)
    if asked == '1' and result ~= 'postponed' then
        local succeeded = result == 'succeeded'
        update_breaker(target, succeeded)
        if endpoint ~= 'job' then
            update_failing(endpoint, owner, succeeded)
        end
    end
    redis.call('INCR', 'ps:lane:webhooks:settled')
end

write_even_when_full()
for i = FIRST_ATTEMPT, #ARGV, ATTEMPT_FIELDS do
    record_attempt(i)
end
if moved_to_stream then
    wake_listener(lane)
end
return { stale, unpack(failing) }
