-- Store the outcomes of a batch, for each unit only if the worker still holds its lease and attempt.
--
-- Touches ps:job:{id}, ps:cache:{digest}, the streams and queues of the lane and of the gpu lane, and
-- what finish.lua touches.
-- Returns {stale, wake, finished}: how many units another worker holds or has answered; the lanes that
-- need a wake-up message; the jobs that ended, see tasks/jobs/finished.py.
--
-- If the cpu lane is not sure of a unit's answer, it gives a payload for the gpu lane. The unit then
-- moves there, if that lane has a live worker and the breaker is not open (half-open will do, as only
-- that worker can probe). It stays the same unit of the same job, with the job's deadline. The attempt
-- that ended well is uncounted, so that the next worker does not take the unit for a suspect.
-- include: workers, breakers, leases, finish

local lane = ARGV[1]
local consumer = ARGV[2]
local lease_ms = tonumber(ARGV[3])
local result_ttl_ms = ARGV[4] -- of a job's record, from its end
local cache_ttl_ms = tonumber(ARGV[5]) -- 0: nothing is cached
local unit_count = tonumber(ARGV[6])
local device_counts = ARGV[7] -- device time, counts a line each; counted for stale units as well
local FIRST_UNIT, UNIT_FIELDS = 8, 17
local FIRST_ANSWER, ANSWER_FIELDS = FIRST_UNIT + unit_count * UNIT_FIELDS, 2

local stale = 0
local gpu_needs_wake = false

-- Add to what an owner has used of the lane.
local function charge(owner, pipeline, items, from_cache, device_us)
    local field = lane .. '|' .. pipeline .. '|'
    if items ~= 0 then
        add_usage(owner, field .. 'items', items)
    end
    if from_cache ~= '0' then
        add_usage(owner, field .. 'cached', from_cache)
    end
    if device_us ~= '0' then
        add_usage(owner, field .. 'device_us', device_us)
    end
end

local gpu_is_live
local function may_escalate(breaker_name)
    if gpu_is_live == nil then
        gpu_is_live = live_lanes(lease_ms)['gpu'] or false
    end
    local _, open_until = breaker_state(breaker_name)
    return gpu_is_live and NOW >= open_until
end

-- Move a unit to the gpu lane. Returns the job's owner.
local function escalate(source, entry, job, unit, items, bytes, payload, left)
    local record = 'ps:job:' .. job
    local priority = source:match('[^:]+$')
    local target = stream_of('gpu', priority)
    local owner = redis.call('HGET', record, 'owner')
    delete_unit(source, entry, items, bytes)
    redis.call('HINCRBY', record, 'a:' .. unit, -1)
    redis.call('HSET', record, 'lane', 'gpu')
    enqueue(target, { job = job, unit = unit, items = items, owner = owner, cpu = '1',
        bytes = #payload, payload = payload, reason = '', left = left })
    redis.pcall('XGROUP', 'CREATE', target, GROUP, '0')
    gpu_needs_wake = true
    return owner
end

write_even_when_full()
count_lines(device_counts)
for i = FIRST_UNIT, FIRST_ANSWER - 1, UNIT_FIELDS do
    local stream, entry, job, unit, attempt, items, payload_bytes,
        failed, -- items
        outcomes, -- JSON
        cached, -- '1' if an answer came from the cache
        from_cache, -- items answered from the cache
        device_us, -- its share of the device time
        answered, -- pipeline|tier|model version
        counts, -- a line each
        gpu_payload, -- for the gpu lane, or ''
        gpu_items, -- items without an answer
        gpu_breaker -- of the tier that answers there
        = unpack(ARGV, i, i + 16)
    local record, pipeline = 'ps:job:' .. job, answered:match('^[^|]*')
    local status, current_attempt
    if holds_lease(stream, entry, consumer, lease_ms) then
        status, current_attempt = unpack(redis.call('HMGET', record, 'status', 'a:' .. unit))
    end
    if current_attempt ~= attempt then
        stale = stale + 1
    elseif status ~= 'running' then
        delete_unit(stream, entry, items, payload_bytes) -- cancelled or expired meanwhile
    elseif gpu_payload ~= '' and may_escalate(gpu_breaker) then
        local owner = escalate(stream, entry, job, unit, items, payload_bytes, gpu_payload, gpu_items)
        count('escalations|' .. pipeline, 1)
        charge(owner, pipeline, 0, '0', device_us)
    else
        if cached == '1' then
            redis.call('HSET', record, 'cached', 1)
        end
        count_lines(counts)
        local owner = settle_unit(stream, entry, job, unit, items, payload_bytes, failed, outcomes,
            result_ttl_ms, answered)
        charge(owner, pipeline, items, from_cache, device_us)
    end
end
if cache_ttl_ms > 0 then
    for i = FIRST_ANSWER, #ARGV, ANSWER_FIELDS do
        local cache_key, outcomes = unpack(ARGV, i, i + 1)
        redis.call('SET', cache_key, outcomes, 'PX', cache_ttl_ms)
    end
end
redis.call('INCRBY', 'ps:lane:' .. lane .. ':settled', unit_count - stale)
if stale > 0 then
    count('stale_units|' .. lane, stale)
end

local lanes_to_wake = {}
if publish_changes() == 1 then
    lanes_to_wake[1] = 'webhooks'
end
if gpu_needs_wake then
    wake_listener('gpu')
    if not is_awake('gpu') then
        lanes_to_wake[#lanes_to_wake + 1] = 'gpu'
    end
end
return { stale, lanes_to_wake, finished_jobs }
