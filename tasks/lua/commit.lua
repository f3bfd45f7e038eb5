-- Store the outcomes of a batch, for each unit only if its lease and attempt are still ours.
--
-- ARGV  1 lane  2 consumer  3 lease, ms  4 record TTL, ms  5 cache TTL, ms  6 number of units
--       then per unit: stream, entry, job, unit, attempt, items, bytes of its payload, failed items,
--       outcomes, cached 0/1
--       then per cacheable answer: cache key, outcomes
-- Returns {stale, wake}: units that another worker holds or has answered, and 1 if the lane of webhooks
-- must be woken.

local lane, consumer, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local ttl, cache_ttl, units = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local stale = 0

write_even_when_full()
local first_answer = 7 + units * 10
for i = 7, first_answer - 1, 10 do
    local stream, entry, job, unit, attempt = unpack(ARGV, i, i + 4)
    local items, bytes, failed, outcomes, cached = unpack(ARGV, i + 5, i + 9)
    local key = 'ps:job:' .. job
    if not holds(stream, entry, consumer, lease) then
        stale = stale + 1
    else
        local record = redis.call('HMGET', key, 'status', 'a:' .. unit)
        if record[2] ~= attempt then
            stale = stale + 1
        elseif record[1] ~= 'running' then
            drop(stream, entry, items, bytes) -- cancelled or expired meanwhile
        else
            if cached == '1' then
                redis.call('HSET', key, 'cached', 1)
            end
            settle(stream, entry, job, unit, items, bytes, failed, outcomes, ttl)
        end
    end
end
if cache_ttl > 0 then
    for i = first_answer, #ARGV, 2 do
        redis.call('SET', ARGV[i], ARGV[i + 1], 'PX', cache_ttl)
    end
end
redis.call('INCRBY', 'ps:lane:' .. lane .. ':settled', units - stale)
return { stale, announce() }
