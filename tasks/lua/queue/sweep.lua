-- Repair, once per interval whoever calls: expire deadlines, forget dead workers, learn how fast lanes
-- drain, and name those that wait for a wake-up which was lost or never sent.
--
-- ARGV  1 caller  2 interval, ms  3 lease, ms  4 record TTL, ms  5 patience of the gpu lane, ms
--       then the lanes
-- Returns nil if another worker swept within the interval, else {lanes to wake, jobs that ended}, the
-- latter as tasks/jobs/finished.py reads them.

local interval, lease, ttl = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local patience = tonumber(ARGV[5])
write_even_when_full()
if not redis.call('SET', 'ps:sweep', ARGV[1], 'NX', 'PX', interval) then
    return nil
end

local due = redis.call('ZRANGEBYSCORE', 'ps:deadlines', '-inf', NOW, 'LIMIT', 0, 1000)
for _, job in ipairs(due) do
    local status = redis.call('HGET', 'ps:job:' .. job, 'status')
    if status and not terminal(status) then
        finish(job, 'expired', ttl)
    end
    redis.call('ZREM', 'ps:deadlines', job)
end

-- Webhooks whose next attempt has come.
local again = redis.call('ZRANGEBYSCORE', 'ps:webhooks:due', '-inf', NOW, 'LIMIT', 0, 1000)
for _, id in ipairs(again) do
    redis.call('ZREM', 'ps:webhooks:due', id)
    local line = redis.call('HGET', 'ps:delivery:' .. id, 'line')
    if line then
        queue_delivery(id, line, 'low')
    end
end
local wake_webhooks = announce() == 1

-- A worker silent for two leases holds nothing that others may not take; its group entries go.
local dead = redis.call('ZRANGEBYSCORE', 'ps:workers', '-inf', NOW - 2 * lease)
for _, member in ipairs(dead) do
    redis.call('ZREM', 'ps:workers', member)
    local lane, consumer = member:match('^([^/]+)/(.+)$')
    for _, priority in ipairs(PRIORITIES) do
        forget(stream_of(lane, priority), consumer)
    end
end

local alive = lanes_alive(lease)

-- Units of the gpu lane that nobody will take in time go to the cpu lane, where the cascade answers
-- from a lower tier and says why. Attempts stay with the job's record.
local MOST_MOVES, MOST_MOVES_OF_ONE = 512, 128
local moved = 0

-- Whether the entry was moved. where: its stream, or the line of its owner behind it.
local function move(priority, where, entry, reason)
    local unit = unit_of(entry[2])
    if unit.cpu ~= '1' then
        return false
    end
    local stream = stream_of('cpu', priority)
    drop(where, entry[1], unit.items, unit.bytes)
    unit.reason = reason
    append(stream, unit)
    redis.pcall('XGROUP', 'CREATE', stream, GROUP, '0')
    redis.call('HSET', 'ps:job:' .. unit.job, 'lane', 'cpu')
    moved = moved + 1
    return true
end

local function waited_since(entry, oldest)
    return tonumber(entry[1]:match('^%d+')) <= oldest
end

-- Those that stand in line first: they have waited longest, and would only take the places of others.
local function relieve_lines(priority, oldest, reason)
    local stream = stream_of('gpu', priority)
    for _, owner in ipairs(redis.call('SMEMBERS', stream .. ':lines')) do
        local line, gone = line_of(stream, owner), 0
        local most = math.min(MOST_MOVES_OF_ONE, MOST_MOVES - moved)
        for _, entry in ipairs(redis.call('XRANGE', line, '-', '+', 'COUNT', math.max(0, most))) do
            if waited_since(entry, oldest) and move(priority, line, entry, reason) then
                gone = gone + 1
            end
        end
        if gone > 0 then -- Lua writes -0 as '-0', which is no number to Redis
            count_parked(stream, -gone)
        end
        if gone > 0 and redis.call('XLEN', line) == 0 then
            redis.call('DEL', line)
            redis.call('SREM', stream .. ':lines', owner)
        end
    end
end

local function relieve(priority)
    local stream = stream_of('gpu', priority)
    if redis.call('XLEN', stream) == 0 then
        return
    end
    local reason = alive['gpu'] and 'gpu_backlog' or 'no_gpu_worker'
    local oldest = NOW - (alive['gpu'] and patience or 0)
    relieve_lines(priority, oldest, reason)
    local from = '(' .. delivered(stream)
    local entries = redis.call('XRANGE', stream, from, '+', 'COUNT', MOST_MOVES)
    for _, entry in ipairs(entries) do
        local unit = unit_of(entry[2])
        if waited_since(entry, oldest) and move(priority, stream, entry, reason) then
            depart(stream, unit.owner, unit.items)
        end
    end
    if not alive['gpu'] then -- what its last worker held when it died
        local late = redis.pcall('XPENDING', stream, GROUP, 'IDLE', lease, '-', '+', 64)
        for _, held in ipairs(late) do
            local entry = redis.call('XRANGE', stream, held[1], held[1])[1]
            if entry then
                move(priority, stream, entry, reason)
            end
        end
    end
end

if alive['cpu'] then
    for _, priority in ipairs(PRIORITIES) do
        if moved < MOST_MOVES then
            relieve(priority)
        end
    end
end

-- Milliseconds that the oldest unclaimed unit of a stream has waited; nil if there is none.
local function oldest_wait(stream)
    local entry = redis.call('XRANGE', stream, '(' .. delivered(stream), '+', 'COUNT', 1)[1]
    return entry and NOW - tonumber(entry[1]:match('^%d+'))
end

local function needs_wake(stream)
    if redis.call('XLEN', stream) == 0 then
        return false
    end
    local wait = oldest_wait(stream)
    if wait and wait >= interval then
        return true
    end
    local late = redis.pcall('XPENDING', stream, GROUP, 'IDLE', lease, '-', '+', 1)
    return #late > 0
end

-- How fast a lane drains, smoothed over some seconds and learnt only while units wait: an idle lane
-- says nothing of what it could do.
local function learn_rate(lane)
    local key = 'ps:lane:' .. lane .. ':rate'
    local settled = tonumber(redis.call('GET', 'ps:lane:' .. lane .. ':settled') or 0)
    local last = redis.call('HMGET', key, 'at', 'settled', 'busy', 'per_s')
    local busy = waiting_units(lane) > 0
    if last[1] and last[3] == '1' and busy then
        local seen = (settled - last[2]) / math.max(1, NOW - last[1]) * 1000
        local rate = last[4] and 0.7 * last[4] + 0.3 * seen or seen
        redis.call('HSET', key, 'per_s', string.format('%.3f', rate))
    end
    redis.call('HSET', key, 'at', NOW, 'settled', settled, 'busy', busy and 1 or 0)
end

-- Jobs whose records have gone leave the lists of their owners. Ids are ULIDs and sort by their time,
-- so those to look at come first.
local CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
local MOST_OWNERS, LOOKS_AT_ONCE, looks_left = 16, 500, 5000

local function first_id_at(ms)
    local text = ''
    for _ = 1, 10 do
        local digit = ms % 32
        text = CROCKFORD:sub(digit + 1, digit + 1) .. text
        ms = (ms - digit) / 32
    end
    return 'job_' .. text
end

local UPTO = '(' .. first_id_at(NOW - ttl)

-- Returns whether more of the list may have gone: all that were looked at had.
local function trim_some(list)
    local jobs = redis.call('ZRANGEBYLEX', list, '-', UPTO, 'LIMIT', 0, LOOKS_AT_ONCE)
    local gone = {}
    for _, job in ipairs(jobs) do
        if redis.call('EXISTS', 'ps:job:' .. job) == 0 then
            gone[#gone + 1] = job
        end
    end
    looks_left = looks_left - #jobs
    if #gone > 0 then
        redis.call('ZREM', list, unpack(gone))
    end
    return #gone == LOOKS_AT_ONCE
end

local function trim(owner)
    local left = redis.call('ZCARD', jobs_of(owner, 'open'))
    for _, status in ipairs({ 'succeeded', 'failed', 'cancelled', 'expired' }) do
        local list = jobs_of(owner, status)
        while looks_left > 0 and trim_some(list) do
        end
        left = left + redis.call('ZCARD', list)
    end
    if left == 0 then
        redis.call('HDEL', 'ps:unfinished', owner)
    end
end

for _, owner in ipairs(redis.call('HRANDFIELD', 'ps:unfinished', MOST_OWNERS)) do
    trim(owner)
end

local lanes = moved > 0 and { 'cpu' } or {}
if wake_webhooks then
    lanes[#lanes + 1] = 'webhooks'
end
for i = 6, #ARGV do
    learn_rate(ARGV[i])
    for _, priority in ipairs(PRIORITIES) do
        if needs_wake(stream_of(ARGV[i], priority)) then
            lanes[#lanes + 1] = ARGV[i]
            break
        end
    end
end
return { lanes, facts }
