-- Repair, once per interval whoever calls: expire deadlines, forget dead workers, learn how fast lanes
-- drain, and name those that wait for a wake-up which was lost or never sent.
--
-- ARGV  1 caller  2 interval, ms  3 lease, ms  4 record TTL, ms  5 patience of the gpu lane, ms
--       then the lanes
-- Returns nil if another worker swept within the interval, else the lanes to wake.

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
announce()

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

local function delivered(stream)
    local groups = redis.pcall('XINFO', 'GROUPS', stream)
    return groups[1] and groups[1][8] or '0-0'
end

-- Units of the gpu lane that nobody will take in time go to the cpu lane, where the cascade answers
-- from a lower tier and says why. Attempts stay with the job's record.
local MOST_MOVES = 512
local moved = 0

local function move(stream, priority, entry, reason)
    local fields = entry[2]
    local job, unit, items, payload, cpu = fields[2], fields[4], fields[6], fields[8], fields[10]
    if cpu == '1' then
        append(stream_of('cpu', priority), job, unit, items, payload, cpu, reason)
        redis.pcall('XGROUP', 'CREATE', stream_of('cpu', priority), GROUP, '0')
        redis.call('HSET', 'ps:job:' .. job, 'lane', 'cpu')
        drop(stream, entry[1], items, #payload)
        moved = moved + 1
    end
end

local function relieve(priority)
    local stream = stream_of('gpu', priority)
    if redis.call('XLEN', stream) == 0 then
        return
    end
    local reason = alive['gpu'] and 'gpu_backlog' or 'no_gpu_worker'
    local oldest = NOW - (alive['gpu'] and patience or 0)
    local from = '(' .. delivered(stream)
    local entries = redis.call('XRANGE', stream, from, '+', 'COUNT', MOST_MOVES - moved)
    for _, entry in ipairs(entries) do
        if tonumber(entry[1]:match('^%d+')) > oldest then
            break
        end
        move(stream, priority, entry, reason)
    end
    if not alive['gpu'] then -- what its last worker held when it died
        local late = redis.pcall('XPENDING', stream, GROUP, 'IDLE', lease, '-', '+', 64)
        for _, held in ipairs(late) do
            local entry = redis.call('XRANGE', stream, held[1], held[1])[1]
            if entry then
                move(stream, priority, entry, reason)
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

local lanes = moved > 0 and { 'cpu' } or {}
for i = 6, #ARGV do
    learn_rate(ARGV[i])
    for _, priority in ipairs(PRIORITIES) do
        if needs_wake(stream_of(ARGV[i], priority)) then
            lanes[#lanes + 1] = ARGV[i]
            break
        end
    end
end
return lanes
