-- Repair what no other script does, once per interval whoever calls: expire jobs, queue due retries of
-- webhooks, remove dead workers, move units from an overloaded gpu lane, drop ids of expired records,
-- measure drain rates, and find the lanes whose wake-up was lost or never sent.
--
-- Touches ps:sweep, ps:deadlines, ps:webhooks:due, ps:workers, ps:jobs:{owner}:{state}, ps:unfinished,
-- the lanes' streams, queues, load and rate, and what finish.lua touches.
-- Returns nil if another worker swept within the interval, else {lanes to wake, finished jobs}, the
-- latter as tasks/jobs/finished.py reads them.
-- include: arguments, lanes, unclaimed, workers, leases, finish

local caller = ARGV[1]
local interval_ms = tonumber(ARGV[2])
local lease_ms = tonumber(ARGV[3])
local result_ttl_ms = ARGV[4] -- of a job's record, from its end
local gpu_patience_ms = tonumber(ARGV[5]) -- after so long in the gpu lane a unit goes to the cpu lane
local lanes = arguments(6)

local MOST_AT_ONCE = 1000 -- jobs that expire, or webhooks that are due
local MOST_MOVES, MOST_MOVES_OF_ONE = 512, 128 -- units that change lane, and those of one owner
local MOST_LATE = 64 -- units of a dead worker that change lane
local MOST_OWNERS = 16 -- whose indexes are trimmed
local MOST_LOOKS_AT_ONCE = 500 -- ids of an index
local looks_left = 5000

local function expire_jobs()
    local due = redis.call('ZRANGEBYSCORE', 'ps:deadlines', '-inf', NOW, 'LIMIT', 0, MOST_AT_ONCE)
    for _, job in ipairs(due) do
        local status = redis.call('HGET', 'ps:job:' .. job, 'status')
        if status and not is_terminal(status) then
            finish_job(job, 'expired', result_ttl_ms)
        end
        redis.call('ZREM', 'ps:deadlines', job)
    end
end

-- Queue the deliveries whose next attempt is due.
local function queue_due_deliveries()
    local due = redis.call('ZRANGEBYSCORE', 'ps:webhooks:due', '-inf', NOW, 'LIMIT', 0, MOST_AT_ONCE)
    for _, delivery in ipairs(due) do
        redis.call('ZREM', 'ps:webhooks:due', delivery)
        local target = redis.call('HGET', 'ps:delivery:' .. delivery, 'line')
        if target then
            queue_delivery(delivery, target, 'low')
        end
    end
end

-- Forget workers that were silent for two leases; others may take all that they held.
local function remove_dead_workers()
    local dead = redis.call('ZRANGEBYSCORE', 'ps:workers', '-inf', NOW - 2 * lease_ms)
    for _, member in ipairs(dead) do
        redis.call('ZREM', 'ps:workers', member)
        local lane, consumer = member:match('^([^/]+)/(.+)$')
        for _, priority in ipairs(PRIORITIES) do
            delete_idle_consumer(stream_of(lane, priority), consumer)
        end
    end
end

-- Moving units of the gpu lane that will not be claimed in time to the cpu lane, where a lower tier
-- answers and says why. Attempts stay with the job's record.
local moved = 0

local function waited_since(entry, oldest_ms)
    return tonumber(added_ms(entry[1])) <= oldest_ms
end

-- Move a unit to the cpu lane, if it may be served there. source: its stream, or its owner's queue.
-- Returns whether it was moved.
local function move_to_cpu(priority, source, entry, reason)
    local unit = parse_unit(entry[2])
    if unit.cpu ~= '1' then
        return false
    end
    local target = stream_of('cpu', priority)
    delete_unit(source, entry[1], unit.items, unit.bytes)
    unit.reason = reason
    enqueue(target, unit)
    redis.pcall('XGROUP', 'CREATE', target, GROUP, '0')
    redis.call('HSET', 'ps:job:' .. unit.job, 'lane', 'cpu')
    moved = moved + 1
    return true
end

local function relieve_queue(priority, stream, owner, oldest_ms, reason)
    local most = math.min(MOST_MOVES_OF_ONE, MOST_MOVES - moved)
    if most <= 0 then -- XRANGE with COUNT 0 is answered with nil, not with an empty list
        return
    end
    local queue, gone = owner_queue(stream, owner), 0
    for _, entry in ipairs(redis.call('XRANGE', queue, '-', '+', 'COUNT', most)) do
        if waited_since(entry, oldest_ms) and move_to_cpu(priority, queue, entry, reason) then
            gone = gone + 1
        end
    end
    if gone > 0 then -- Lua writes -0 as '-0', which is no number to Redis
        change_parked(stream, -gone)
        if redis.call('XLEN', queue) == 0 then
            delete_queue(stream, owner)
        end
    end
end

local function relieve_stream(priority, stream, oldest_ms, reason)
    local from = '(' .. last_claimed_id(stream)
    for _, entry in ipairs(redis.call('XRANGE', stream, from, '+', 'COUNT', MOST_MOVES)) do
        if waited_since(entry, oldest_ms) and move_to_cpu(priority, stream, entry, reason) then
            local unit = parse_unit(entry[2])
            refill_stream(stream, unit.owner, unit.items)
        end
    end
end

-- Move what the last worker of the gpu lane held when it died.
local function relieve_dead_worker(priority, stream, reason)
    local late = redis.pcall('XPENDING', stream, GROUP, 'IDLE', lease_ms, '-', '+', MOST_LATE)
    for _, held in ipairs(late) do
        local entry = redis.call('XRANGE', stream, held[1], held[1])[1]
        if entry then
            move_to_cpu(priority, stream, entry, reason)
        end
    end
end

-- Owners' queues come first: their units have waited longest, and if they moved later they would fill
-- the stream that is being relieved.
local function relieve(priority, gpu_is_live)
    local stream = stream_of('gpu', priority)
    if redis.call('XLEN', stream) == 0 then
        return
    end
    local reason = gpu_is_live and 'gpu_backlog' or 'no_gpu_worker'
    local oldest_ms = NOW - (gpu_is_live and gpu_patience_ms or 0)
    for _, owner in ipairs(redis.call('SMEMBERS', stream .. ':lines')) do
        relieve_queue(priority, stream, owner, oldest_ms, reason)
    end
    relieve_stream(priority, stream, oldest_ms, reason)
    if not gpu_is_live then
        relieve_dead_worker(priority, stream, reason)
    end
end

local function relieve_gpu_lane()
    local live = live_lanes(lease_ms)
    for _, priority in ipairs(PRIORITIES) do
        if live['cpu'] and moved < MOST_MOVES then
            relieve(priority, live['gpu'])
        end
    end
end

-- Trimming owners' indexes of jobs whose records have expired. Ids are ULIDs and sort by time, so the
-- ones that may have expired come first.
local CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

local function first_id_at(ms)
    local text = ''
    for _ = 1, 10 do
        local digit = ms % 32
        text = CROCKFORD:sub(digit + 1, digit + 1) .. text
        ms = (ms - digit) / 32
    end
    return 'job_' .. text
end

local OLD_ENOUGH = '(' .. first_id_at(NOW - result_ttl_ms)

-- Remove some expired ids. Returns whether there may be more: all that were looked at had expired.
local function trim_some(index)
    local jobs = redis.call('ZRANGEBYLEX', index, '-', OLD_ENOUGH, 'LIMIT', 0, MOST_LOOKS_AT_ONCE)
    local expired = {}
    for _, job in ipairs(jobs) do
        if redis.call('EXISTS', 'ps:job:' .. job) == 0 then
            expired[#expired + 1] = job
        end
    end
    looks_left = looks_left - #jobs
    if #expired > 0 then
        redis.call('ZREM', index, unpack(expired))
    end
    return #expired == MOST_LOOKS_AT_ONCE
end

-- Trim an owner's indexes; an owner without jobs leaves ps:unfinished.
local function trim(owner)
    local left = redis.call('ZCARD', job_index(owner, 'open'))
    for _, status in ipairs({ 'succeeded', 'failed', 'cancelled', 'expired' }) do
        local index = job_index(owner, status)
        while looks_left > 0 and trim_some(index) do
        end
        left = left + redis.call('ZCARD', index)
    end
    if left == 0 then
        redis.call('HDEL', 'ps:unfinished', owner)
    end
end

local function trim_some_owners()
    for _, owner in ipairs(redis.call('HRANDFIELD', 'ps:unfinished', MOST_OWNERS)) do
        trim(owner)
    end
end

-- Measure how fast a lane drains, smoothed over some seconds and only while units wait: an idle lane
-- does not show what it could do.
local function measure_drain_rate(lane)
    local key = 'ps:lane:' .. lane .. ':rate'
    local settled = tonumber(redis.call('GET', 'ps:lane:' .. lane .. ':settled') or 0)
    local last_at, last_settled, was_busy, last_rate =
        unpack(redis.call('HMGET', key, 'at', 'settled', 'busy', 'per_s'))
    local busy = waiting_units(lane) > 0
    if last_at and was_busy == '1' and busy then
        local measured = (settled - last_settled) / math.max(1, NOW - last_at) * 1000
        local rate = last_rate and 0.7 * last_rate + 0.3 * measured or measured
        redis.call('HSET', key, 'per_s', string.format('%.3f', rate))
    end
    redis.call('HSET', key, 'at', NOW, 'settled', settled, 'busy', busy and 1 or 0)
end

-- Whether a stream has an unclaimed unit that has waited for an interval, or one whose lease ran out.
local function has_stuck_units(stream)
    if redis.call('XLEN', stream) == 0 then
        return false
    end
    local first = first_unclaimed(stream)
    if first and NOW - tonumber(added_ms(first[1])) >= interval_ms then
        return true
    end
    local late = redis.pcall('XPENDING', stream, GROUP, 'IDLE', lease_ms, '-', '+', 1)
    return #late > 0
end

local function needs_wake(lane)
    for _, priority in ipairs(PRIORITIES) do
        if has_stuck_units(stream_of(lane, priority)) then
            return true
        end
    end
    return false
end

write_even_when_full()
if not redis.call('SET', 'ps:sweep', caller, 'NX', 'PX', interval_ms) then
    return nil
end
expire_jobs()
queue_due_deliveries()
local wake_webhooks = publish_changes() == 1
remove_dead_workers()
relieve_gpu_lane()
trim_some_owners()

local lanes_to_wake = moved > 0 and { 'cpu' } or {}
if wake_webhooks then
    lanes_to_wake[#lanes_to_wake + 1] = 'webhooks'
end
for _, lane in ipairs(lanes) do
    measure_drain_rate(lane)
    if needs_wake(lane) then
        lanes_to_wake[#lanes_to_wake + 1] = lane
    end
end
return { lanes_to_wake, finished_jobs }
