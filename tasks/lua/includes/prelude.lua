-- Shared by every script; tasks.store.scripts puts this, units.lua and finish.lua before each. Keys and fields are explained in tasks/store/keys.py.

redis.replicate_commands() -- Redis 6 refuses writes after TIME without it; Redis 7 ignores it

local GROUP = 'workers'
local PRIORITIES = { 'high', 'normal', 'low' }

-- A script sees one moment: NOW in milliseconds for reckoning, STAMP in microseconds for records.
local TIME = redis.call('TIME')
local NOW = TIME[1] * 1000 + math.floor(TIME[2] / 1000)
local STAMP = TIME[1] .. string.format('%06d', TIME[2])

local ended = {} -- ids of the jobs that this run ended
local facts = {} -- and what is told of each, see tasks/jobs/finished.py
local told_webhooks = false -- whether this run put anything into the lane of webhooks

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

-- The last entry of a stream that a worker has claimed.
local function delivered(stream)
    local groups = redis.pcall('XINFO', 'GROUPS', stream)
    return groups[1] and groups[1][8] or '0-0'
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
