-- What every script needs: the moment, key names, the state of lanes and breakers. The includes come
-- before each script in the order prelude, series, units, webhooks, finish (tasks/store/scripts).
-- Keys and fields are explained in tasks/store/keys.py.

redis.replicate_commands() -- Redis 6 refuses writes after TIME without it; Redis 7 ignores it

local GROUP = 'workers'
local PRIORITIES = { 'high', 'normal', 'low' }

-- A script runs at one moment: NOW in milliseconds for arithmetic, STAMP in microseconds for records.
local TIME = redis.call('TIME')
local NOW = TIME[1] * 1000 + math.floor(TIME[2] / 1000)
local STAMP = TIME[1] .. string.format('%06d', TIME[2])

local finished_ids = {} -- ids of the jobs that this run finished
local finished_jobs = {} -- and what is reported of each, see tasks/jobs/finished.py
local webhooks_queued = false -- whether this run put anything into the lane of webhooks

-- The arguments from one position to another, or to the last, as a list. unpack() cannot return
-- thousands of values.
local function arguments(first, last)
    local list = {}
    for i = first, last or #ARGV do
        list[#list + 1] = ARGV[i]
    end
    return list
end

-- Some fields of a hash, by name; false for a field that is not there.
local function read_fields(key, names)
    local values = redis.call('HMGET', key, unpack(names))
    local fields = {}
    for i = 1, #names do
        fields[names[i]] = values[i]
    end
    return fields
end

local function job_key(job)
    return 'ps:job:' .. job
end

local function delivery_key(delivery)
    return 'ps:delivery:' .. delivery
end

local function stream_of(lane, priority)
    return 'ps:lane:' .. lane .. ':' .. priority
end

local function load_key(lane)
    return 'ps:lane:' .. lane .. ':load'
end

-- Create the consumer group of a stream, if it is missing: the stream is new, or Redis was flushed.
local function ensure_group(stream)
    redis.pcall('XGROUP', 'CREATE', stream, GROUP, '0')
end

-- Units that wait in the queues of single owners, behind a lane's streams.
local function parked_units(lane)
    local high, normal, low =
        unpack(redis.call('HMGET', load_key(lane), 'parked:high', 'parked:normal', 'parked:low'))
    return (high or 0) + (normal or 0) + (low or 0)
end

-- Units of a lane that no worker has claimed, over all priorities.
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

-- The id of the last entry of a stream that a worker has claimed.
local function last_claimed_id(stream)
    local groups = redis.pcall('XINFO', 'GROUPS', stream)
    return groups[1] and groups[1][8] or '0-0'
end

-- The oldest entry of a stream that no worker has claimed, or nil.
local function first_unclaimed(stream)
    return redis.call('XRANGE', stream, '(' .. last_claimed_id(stream), '+', 'COUNT', 1)[1]
end

-- When an entry was added, in ms: the first half of its id. Returns text.
local function added_ms(entry_id)
    return entry_id:match('^%d+')
end

-- Units per second that a lane drains when it is busy; nil until the sweep has seen it busy.
local function drain_rate(lane)
    local rate = redis.call('HGET', 'ps:lane:' .. lane .. ':rate', 'per_s')
    return rate and tonumber(rate) > 0 and tonumber(rate)
end

-- Lanes with a worker that sent a heartbeat within a lease.
local function live_lanes(lease_ms)
    local live = {}
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', 'ps:workers', NOW - lease_ms, '+inf')) do
        live[member:match('^[^/]+')] = true
    end
    return live
end

-- The state of a circuit breaker: failed calls in a row, and until when (ms) it is open; 0, 0 if it
-- has no record.
local function breaker_state(name)
    local known = redis.call('HGET', 'ps:breakers', name)
    if not known then
        return 0, 0
    end
    local failures, open_until = known:match('^(%d+) (%d+)$')
    return tonumber(failures), tonumber(open_until)
end

local function save_breaker(name, failures, open_until)
    redis.call('HSET', 'ps:breakers', name, failures .. ' ' .. string.format('%.0f', open_until))
end

-- Redis refuses a script's writes when its memory is full, unless the script has written before.
-- Submit must be refused; what ends accepted jobs must not, or nothing would ever be freed.
local function write_even_when_full()
    redis.call('DEL', 'ps:none')
end

-- End the blocking pop of a worker that waits for new units of the lane.
local function wake_listener(lane)
    local key = 'ps:lane:' .. lane .. ':bell'
    if redis.call('EXISTS', key) == 0 then
        redis.call('RPUSH', key, '1')
        redis.call('PEXPIRE', key, 1000)
    end
end

-- Whether a worker of the lane claims again soon, so that it needs no wake-up message.
local function is_awake(lane)
    return redis.call('EXISTS', 'ps:lane:' .. lane .. ':awake') == 1
end
