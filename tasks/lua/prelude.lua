-- Shared by every script; prepended by tasks.store. Keys and fields are explained in tasks/keys.py.

redis.replicate_commands() -- Redis 6 refuses writes after TIME without it; Redis 7 ignores it

local GROUP = 'workers'
local PRIORITIES = { 'high', 'normal', 'low' }

-- A script sees one moment: NOW in milliseconds for reckoning, STAMP in microseconds for records.
local TIME = redis.call('TIME')
local NOW = TIME[1] * 1000 + math.floor(TIME[2] / 1000)
local STAMP = TIME[1] .. string.format('%06d', TIME[2])

local ended = {} -- ids of the jobs that this run ended

local function stream_of(lane, priority)
    return 'ps:lane:' .. lane .. ':' .. priority
end

-- Units that nobody holds, over all priorities of a lane.
local function waiting_units(lane)
    local waiting = 0
    for _, priority in ipairs(PRIORITIES) do
        local stream = stream_of(lane, priority)
        local length = redis.call('XLEN', stream)
        if length > 0 then
            local held = redis.pcall('XPENDING', stream, GROUP)
            waiting = waiting + length - (held[1] or 0)
        end
    end
    return waiting
end

-- Units per second that a lane drains when it is busy; nil until the sweep has seen it busy.
local function drain_rate(lane)
    local rate = redis.call('HGET', 'ps:lane:' .. lane .. ':rate', 'per_s')
    return rate and tonumber(rate) > 0 and tonumber(rate)
end

-- Lanes with a worker that gave a sign of life within a lease.
local function lanes_alive(lease_ms)
    local alive = {}
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', 'ps:workers', NOW - lease_ms, '+inf')) do
        alive[member:match('^[^/]+')] = true
    end
    return alive
end

-- What a breaker has come to: failed calls in a row, and until when (ms) it lets nobody through;
-- 0, 0 if it has nothing to tell.
local function breaker(name)
    local known = redis.call('HGET', 'ps:breakers', name)
    if not known then
        return 0, 0
    end
    local failures, open_until = known:match('^(%d+) (%d+)$')
    return tonumber(failures), tonumber(open_until)
end

-- Redis refuses a script's writes when its memory is full, unless the script has written before.
-- Submit must be refused; what ends accepted jobs must not, or nothing would ever be freed.
local function write_even_when_full()
    redis.call('DEL', 'ps:none')
end

local function ring(lane)
    local bell = 'ps:lane:' .. lane .. ':bell'
    if redis.call('EXISTS', bell) == 0 then
        redis.call('RPUSH', bell, '1')
        redis.call('PEXPIRE', bell, 1000)
    end
end

local function terminal(status)
    return status ~= 'queued' and status ~= 'running'
end

-- Everything that is true of every end of a job.
local function finish(job, status, ttl_ms)
    local key = 'ps:job:' .. job
    redis.call('HSET', key, 'status', status, 'finished', STAMP)
    redis.call('PEXPIRE', key, ttl_ms)
    redis.call('HINCRBY', 'ps:counts', status, 1)
    if redis.call('HEXISTS', key, 'deadline') == 1 then
        redis.call('ZREM', 'ps:deadlines', job)
    end
    ended[#ended + 1] = job
end

-- Count what enters (1) or leaves (-1) a stream into the load of its lane.
local function weigh(stream, sign, items, bytes)
    local key = 'ps:lane:' .. stream:match('^ps:lane:(%a+):') .. ':load'
    redis.call('HINCRBY', key, 'items', sign * items)
    redis.call('HINCRBY', key, 'bytes', sign * bytes)
end

local function drop(stream, entry, items, bytes)
    redis.call('XACK', stream, GROUP, entry)
    if redis.call('XDEL', stream, entry) == 1 then
        weigh(stream, -1, items, bytes)
    end
end

-- Put a unit at the end of a stream. reason: why it does not stand in the lane that was asked for.
local function append(stream, job, unit, items, payload, cpu, reason)
    if reason == '' then
        redis.call('XADD', stream, '*', 'job', job, 'unit', unit, 'items', items,
            'payload', payload, 'cpu', cpu)
    else
        redis.call('XADD', stream, '*', 'job', job, 'unit', unit, 'items', items,
            'payload', payload, 'cpu', cpu, 'reason', reason)
    end
    weigh(stream, 1, items, #payload)
end

-- Store a unit's outcomes and take it off its lane; ends the job with its last unit.
local function settle(stream, entry, job, unit, items, bytes, failed, outcomes, ttl_ms)
    local key = 'ps:job:' .. job
    drop(stream, entry, items, bytes)
    redis.call('HSET', key, 'r:' .. unit, outcomes)
    local done = redis.call('HINCRBY', key, 'done', items)
    local all_failed = failed
    if tonumber(failed) > 0 then
        all_failed = redis.call('HINCRBY', key, 'failed', failed)
    end
    local total = tonumber(redis.call('HGET', key, 'total'))
    if done >= total then
        finish(job, tonumber(all_failed) >= total and 'failed' or 'succeeded', ttl_ms)
    end
end

local function announce()
    if #ended > 0 then
        redis.call('PUBLISH', 'ps:done', table.concat(ended, ' '))
    end
end

-- Whether `consumer` holds the unit and its lease has not run out.
local function holds(stream, entry, consumer, lease_ms)
    local held = redis.pcall('XPENDING', stream, GROUP, entry, entry, 1)[1]
    return type(held) == 'table' and held[2] == consumer and held[3] < lease_ms
end

-- Delete a consumer that holds nothing; one that does must stay, or its leases would vanish.
local function forget(stream, consumer)
    local held = redis.pcall('XPENDING', stream, GROUP, '-', '+', 1, consumer)
    if not held.err and #held == 0 then
        redis.pcall('XGROUP', 'DELCONSUMER', stream, GROUP, consumer)
    end
end
