-- Store the outcomes of a batch, for each unit only if its lease and attempt are still ours.
--
-- ARGV  1 lane  2 consumer  3 lease, ms  4 record TTL, ms  5 cache TTL, ms  6 number of units
--       7 what the device did, counts a line each; it counts whatever becomes of the units
--       then per unit: stream, entry, job, unit, attempt, items, bytes of its payload, failed items,
--       outcomes, cached 0/1, items answered from the cache, device time, us,
--       pipeline|tier|model version, counts a line each, payload for the gpu lane or '', items
--       that are asked there, breaker of the tier that answers there
--       then per cacheable answer: cache key, outcomes
-- Returns {stale, wake, ended}: units that another worker holds or has answered; the lanes that must be
-- woken; the jobs that ended, see tasks/jobs/finished.py.
--
-- A unit with a payload for the gpu lane goes on to that lane, if it has a worker and the breaker is
-- not open: the cpu lane was not sure of its answer. Half-open will do, as only that worker can probe.
-- It is the same unit of the same job. The attempt that ended well does not count as one, so the next
-- worker does not take it for a suspect; its deadline is the record's.

local lane, consumer, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local ttl, cache_ttl, units = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local stale = 0
local FIRST_UNIT, FIELDS = 8, 17
local wake_gpu = false

write_even_when_full()

-- What an owner has had of a lane, by pipeline.
local function charge(owner, pipeline, items, from_cache, device_us)
    local field = lane .. '|' .. pipeline .. '|'
    if items ~= 0 then
        use(owner, field .. 'items', items)
    end
    if from_cache ~= '0' then
        use(owner, field .. 'cached', from_cache)
    end
    if device_us ~= '0' then
        use(owner, field .. 'device_us', device_us)
    end
end

local gpu_alive
local function may_go_on(name)
    if gpu_alive == nil then
        gpu_alive = lanes_alive(lease)['gpu'] or false
    end
    local _, open_until = breaker(name)
    return gpu_alive and NOW >= open_until
end

local function go_on(source, entry, job, unit, items, bytes, payload, left)
    local key = 'ps:job:' .. job
    local stream = stream_of('gpu', source:match('[^:]+$'))
    local owner = redis.call('HGET', key, 'owner')
    drop(source, entry, items, bytes)
    redis.call('HINCRBY', key, 'a:' .. unit, -1)
    redis.call('HSET', key, 'lane', 'gpu')
    append(stream, { job = job, unit = unit, items = items, owner = owner, cpu = '1',
        bytes = #payload, payload = payload, reason = '', left = left })
    redis.pcall('XGROUP', 'CREATE', stream, GROUP, '0')
    wake_gpu = true
    return owner
end

count_lines(ARGV[7])
local first_answer = FIRST_UNIT + units * FIELDS
for i = FIRST_UNIT, first_answer - 1, FIELDS do
    local stream, entry, job, unit, attempt = unpack(ARGV, i, i + 4)
    local items, bytes, failed, outcomes, cached = unpack(ARGV, i + 5, i + 9)
    local from_cache, device_us, answered, counts = unpack(ARGV, i + 10, i + 13)
    local onward, left, best = unpack(ARGV, i + 14, i + 16)
    local key = 'ps:job:' .. job
    if not holds(stream, entry, consumer, lease) then
        stale = stale + 1
    else
        local record = redis.call('HMGET', key, 'status', 'a:' .. unit)
        if record[2] ~= attempt then
            stale = stale + 1
        elseif record[1] ~= 'running' then
            drop(stream, entry, items, bytes) -- cancelled or expired meanwhile
        elseif onward ~= '' and may_go_on(best) then
            local pipeline = answered:match('^[^|]*')
            local owner = go_on(stream, entry, job, unit, items, bytes, onward, left)
            count('escalations|' .. pipeline, 1)
            charge(owner, pipeline, 0, '0', device_us)
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
local lanes = {}
if announce() == 1 then
    lanes[1] = 'webhooks'
end
if wake_gpu then
    ring('gpu')
    if redis.call('EXISTS', 'ps:lane:gpu:awake') == 0 then
        lanes[#lanes + 1] = 'gpu'
    end
end
return { stale, lanes, facts }
