-- Store the outcomes of a batch, for each unit only if its lease and attempt are still ours.
--
-- ARGV  1 lane  2 consumer  3 lease, ms  4 record TTL, ms  5 cache TTL, ms  6 number of units
--       then per unit: stream, entry, job, unit, attempt, items, failed items, outcomes, cached 0/1
--       then per cacheable answer: cache key, outcomes
-- Returns the number of units that were stale: another worker holds or has answered them.

local lane, consumer, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local ttl, cache_ttl, units = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local stale = 0

local first_answer = 7 + units * 9
for i = 7, first_answer - 1, 9 do
    local stream, entry, job, unit, attempt = unpack(ARGV, i, i + 4)
    local items, failed, outcomes, cached = unpack(ARGV, i + 5, i + 8)
    local key = 'ps:job:' .. job
    if not holds(stream, entry, consumer, lease) then
        stale = stale + 1
    else
        local record = redis.call('HMGET', key, 'status', 'a:' .. unit)
        if record[2] ~= attempt then
            stale = stale + 1
        elseif record[1] ~= 'running' then
            drop(stream, entry) -- cancelled or expired meanwhile
        else
            if cached == '1' then
                redis.call('HSET', key, 'cached', 1)
            end
            settle(stream, entry, job, unit, items, failed, outcomes, ttl)
        end
    end
end
if cache_ttl > 0 then
    for i = first_answer, #ARGV, 2 do
        redis.call('SET', ARGV[i], ARGV[i + 1], 'PX', cache_ttl)
    end
end
redis.call('INCRBY', 'ps:lane:' .. lane .. ':settled', units - stale)
announce()
return stale
