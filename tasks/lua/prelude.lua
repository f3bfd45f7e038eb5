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

local function load_of(lane)
    return 'ps:lane:' .. lane .. ':load'
end

-- Units that stand in their owners' lines behind a lane's streams.
local function parked_units(lane)
    local high, normal, low =
        unpack(redis.call('HMGET', load_of(lane), 'parked:high', 'parked:normal', 'parked:low'))
    return (high or 0) + (normal or 0) + (low or 0)
end

-- Units that nobody holds, over all priorities of a lane.
local function waiting_units(lane)
    local waiting = parked_units(lane)
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

local function jobs_of(owner, state)
    return 'ps:jobs:' .. owner .. ':' .. state
end

-- Everything that is true of every end of a job.
local function finish(job, status, ttl_ms)
    local key = 'ps:job:' .. job
    local owner, total, done, deadline, staged =
        unpack(redis.call('HMGET', key, 'owner', 'total', 'done', 'deadline', 'staged'))
    redis.call('HSET', key, 'status', status, 'finished', STAMP)
    redis.call('PEXPIRE', key, ttl_ms)
    redis.call('HINCRBY', 'ps:counts', status, 1)
    redis.call('ZREM', jobs_of(owner, 'open'), job)
    redis.call('ZADD', jobs_of(owner, status), 0, job)
    local left = total - (done or 0)
    if left > 0 then
        redis.call('HINCRBY', 'ps:unfinished', owner, -left)
    end
    if deadline then
        redis.call('ZREM', 'ps:deadlines', job)
    end
    if staged then
        redis.call('DEL', 'ps:inputs:' .. job)
    end
    ended[#ended + 1] = job
end

-- Count what enters (1) or leaves (-1) a lane into its load. stream: any of the lane's.
local function weigh(stream, sign, items, bytes)
    local load = load_of(stream:match('^ps:lane:(%a+):'))
    redis.call('HINCRBY', load, 'items', sign * items)
    redis.call('HINCRBY', load, 'bytes', sign * bytes)
end

local function drop(stream, entry, items, bytes)
    redis.call('XACK', stream, GROUP, entry)
    if redis.call('XDEL', stream, entry) == 1 then
        weigh(stream, -1, items, bytes)
    end
end

-- The fields of a unit, in the order in which a stream entry has them: a name before each value.
local function unit_of(fields)
    return {
        job = fields[2], unit = fields[4], items = fields[6], owner = fields[8], cpu = fields[10],
        bytes = fields[12], payload = fields[14], reason = fields[16] or '',
    }
end

-- What a unit asks; that of a streamed upload lies beside its job.
local function payload_of(unit)
    if unit.payload == '' then
        return redis.call('HGET', 'ps:inputs:' .. unit.job, unit.unit)
    end
    return unit.payload
end

-- Fairness between owners. Workers claim from a lane's stream in order, so it is kept short: an owner
-- has at most MOST_AHEAD items or one unit there that nobody holds, and the rest in a line of its own
-- behind it. When half of them are left, the next of that line step up to the end. So owners take
-- turns, and whoever comes waits for a few items of each other owner, however much these have sent.
-- Whoever floods yields: an owner with a long line has fewer items ahead, hence shorter turns.
local MOST_AHEAD, LONG_LINE, MOST_AHEAD_OF_LONG = 16, 256, 4

local function line_of(stream, owner)
    return stream .. ':line:' .. owner
end

local function count_parked(stream, units)
    local lane, priority = stream:match('^ps:lane:(%a+):(%a+)$')
    redis.call('HINCRBY', load_of(lane), 'parked:' .. priority, units)
end

-- Units of a line of `length` for which there is room go to the stream. Returns their items.
local function step_up(stream, owner, length, room)
    local line = line_of(stream, owner)
    local moved, items = {}, 0
    for _, entry in ipairs(redis.call('XRANGE', line, '-', '+', 'COUNT', room)) do
        if items >= room then
            break
        end
        redis.call('XADD', stream, '*', unpack(entry[2]))
        moved[#moved + 1] = entry[1]
        items = items + unit_of(entry[2]).items
    end
    count_parked(stream, -#moved)
    if #moved == length then
        redis.call('DEL', line)
        redis.call('SREM', stream .. ':lines', owner)
    else
        redis.call('XDEL', line, unpack(moved))
    end
    return items
end

-- An owner's unit is no longer among those of the stream that nobody holds.
local function depart(stream, owner, items)
    local places = stream .. ':ahead'
    local ahead = redis.call('HINCRBY', places, owner, -items)
    local length = redis.call('XLEN', line_of(stream, owner))
    local most = length > LONG_LINE and MOST_AHEAD_OF_LONG or MOST_AHEAD
    if length > 0 and ahead <= most / 2 then
        local more = step_up(stream, owner, length, most - ahead)
        ahead = redis.call('HINCRBY', places, owner, more)
    end
    if ahead <= 0 then
        redis.call('HDEL', places, owner)
    end
end

-- Put a unit at the end of its stream, or of its owner's line behind it.
local function append(stream, unit)
    local fields = { 'job', unit.job, 'unit', unit.unit, 'items', unit.items, 'owner', unit.owner,
        'cpu', unit.cpu, 'bytes', unit.bytes, 'payload', unit.payload }
    if unit.reason ~= '' then -- why it does not stand in the lane that was asked for
        fields[15], fields[16] = 'reason', unit.reason
    end
    weigh(stream, 1, unit.items, unit.bytes)
    local places, lines = stream .. ':ahead', stream .. ':lines'
    local ahead = tonumber(redis.call('HGET', places, unit.owner) or 0)
    if ahead < MOST_AHEAD and (ahead == 0 or redis.call('SISMEMBER', lines, unit.owner) == 0) then
        redis.call('XADD', stream, '*', unpack(fields))
        redis.call('HINCRBY', places, unit.owner, unit.items)
    else
        redis.call('XADD', line_of(stream, unit.owner), '*', unpack(fields))
        redis.call('SADD', lines, unit.owner)
        count_parked(stream, 1)
    end
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
    local total, owner = unpack(redis.call('HMGET', key, 'total', 'owner'))
    redis.call('HINCRBY', 'ps:unfinished', owner, -items)
    total = tonumber(total)
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
