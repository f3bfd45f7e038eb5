-- Store the outcomes of a batch, for each unit only if its lease and attempt are still ours.
--
-- ARGV  1 lane  2 consumer  3 lease, ms  4 record TTL, ms  5 cache TTL, ms  6 number of units
--       7 what the device did, counts a line each; it counts whatever becomes of the units
--       then per unit: stream, entry, job, unit, attempt, items, bytes of its payload, failed items,
--       outcomes, cached 0/1, items answered from the cache, device time, us,
--       pipeline|tier|model version, counts a line each
--       then per cacheable answer: cache key, outcomes
-- Returns {stale, wake, ended}: units that another worker holds or has answered; 1 if the lane of webhooks
-- must be woken; the jobs that ended, see tasks/ended.py.

local lane, consumer, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local ttl, cache_ttl, units = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local stale = 0
local FIRST_UNIT, FIELDS = 8, 14

write_even_when_full()

-- What an owner has had of a lane, by pipeline.
local function charge(owner, pipeline, items, from_cache, device_us)
    local field = lane .. '|' .. pipeline .. '|'
    use(owner, field .. 'items', items)
    if from_cache ~= '0' then
        use(owner, field .. 'cached', from_cache)
    end
    if device_us ~= '0' then
        use(owner, field .. 'device_us', device_us)
    end
end

count_lines(ARGV[7])
local first_answer = FIRST_UNIT + units * FIELDS
for i = FIRST_UNIT, first_answer - 1, FIELDS do
    local stream, entry, job, unit, attempt = unpack(ARGV, i, i + 4)
    local items, bytes, failed, outcomes, cached = unpack(ARGV, i + 5, i + 9)
    local from_cache, device_us, answered, counts = unpack(ARGV, i + 10, i + 13)
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
            count_lines(counts)
            local owner = settle(stream, entry, job, unit, items, bytes, failed, outcomes, ttl, answered)
            charge(owner, answered:match('^[^|]*'), items, from_cache, device_us)
        end
    end
end
if cache_ttl > 0 then
    for i = first_answer, #ARGV, 2 do
        redis.call('SET', ARGV[i], ARGV[i + 1], 'PX', cache_ttl)
    end
end
redis.call('INCRBY', 'ps:lane:' .. lane .. ':settled', units - stale)
if stale > 0 then
    count('stale_units|' .. lane, stale)
end
return { stale, announce(), facts }
