-- Lease units to a worker: first those whose lease has run out, then new ones by priority.
--
-- KEYS  none: streams follow from the lane, job records from the units
-- Touches the lane's streams, queues, load, turn and awake keys, ps:job:{id} or ps:delivery:{id}, and,
-- if it ends a job, what finish.lua touches; ps:dead. Reads ps:breakers.
-- Returns {units, waiting, breakers, more, finished}. units: {stream, entry, job, unit, attempt, items,
-- payload, bytes of the payload, reason it was moved here or ''} each. waiting: units left for other
-- claims. breakers: those with a record, {name, state, name, state, ...}, see
-- tasks/queue/circuit_breakers.py. more: 1 if it stopped because it had dropped MOST_DROPS units, else
-- 0. finished: the jobs that it ended, see tasks/jobs/finished.py.
--
-- Attempts are counted here, before anything runs, so that a unit that kills its worker is counted.
-- One that has used up its attempts fails as poison_input and is kept as a dead letter.
-- A suspect is a unit that was held when its worker stopped responding. It is claimed alone, so that if
-- the next worker dies as well, its cause is known, and no other unit loses an attempt.
-- Units of jobs that have ended, or whose deadline has passed, are dropped and never computed. A lane
-- may be full of them after an outage; one claim drops MOST_DROPS, as Redis serves nobody meanwhile.
-- include: lanes, finish

local lane = ARGV[1]
local consumer = ARGV[2]
local most_items = tonumber(ARGV[3])
local lease_ms = tonumber(ARGV[4])
local most_attempts = tonumber(ARGV[5])
local result_ttl_ms = ARGV[6] -- of a job's record, from its end
local awake_ms = ARGV[7] -- the worker claims again within; 0: it sleeps if this claim finds nothing
local most_dead = ARGV[8] -- dead letters kept
local suspects = ARGV[9] == '1' -- whether this claim may return a suspect

local MOST_DROPS = 1000
local MOST_RECLAIMS = 16
-- High, normal and low come first in 8, 4 and 1 of 13 claims: low waits, but never starves.
local FIRST = { 1, 1, 2, 1, 1, 2, 1, 3, 1, 2, 1, 1, 2 }

-- Deliveries of webhooks are units as well; each has a record of its own instead of a job's.
local is_webhooks = lane == 'webhooks'
local records = is_webhooks and 'ps:delivery:' or 'ps:job:'
local claimed, dropped = {}, 0
local budget = most_items -- items that may still be claimed

-- Delete a unit that needs no run.
local function drop_unit(stream, entry_id, unit)
    dropped = dropped + 1
    delete_unit(stream, entry_id, unit.items, unit.bytes)
    if is_webhooks then
        refill_stream(stream, unit.owner, unit.items)
    end
end

-- Give up a delivery that has used up its attempts.
local function fail_delivery(stream, entry_id, unit)
    redis.call('HSET', 'ps:delivery:' .. unit.job, 'status', 'failed', 'finished', STAMP)
    give_up_delivery(unit.job, most_dead, result_ttl_ms)
    drop_unit(stream, entry_id, unit)
end

-- Fail a unit that has used up its attempts, and keep it as a dead letter.
local function quarantine(stream, entry_id, unit, payload)
    local job, items, pipeline = unit.job, unit.items, cjson.decode(payload)[1]
    local outcome = '{"output":null,"error":{"code":"poison_input","message":"'
        .. most_attempts .. ' attempts ended with the worker"}}'
    local outcomes = '[' .. outcome .. string.rep(',' .. outcome, items - 1) .. ']'
    count('units_quarantined|' .. pipeline, 1)
    count('predictions|' .. pipeline .. '|none|none|failed', items)
    redis.call('XADD', 'ps:dead', 'MAXLEN', '~', most_dead, '*', 'job', job, 'unit', unit.unit,
        'stream', stream, 'spec', redis.call('HGET', 'ps:job:' .. job, 'spec'), 'payload', payload)
    settle_unit(stream, entry_id, job, unit.unit, items, unit.bytes, items, outcomes,
        result_ttl_ms, pipeline .. '|none|none')
end

-- Return the unit to the worker. started, attempts: of its record until now.
local function lease_unit(stream, entry_id, unit, payload, attempt, started, attempts)
    redis.call('HSET', records .. unit.job, 'status', 'running', 'lane', lane,
        'started', started or STAMP, 'attempts', math.max(attempt, tonumber(attempts or 0)))
    claimed[#claimed + 1] = { stream, entry_id, unit.job, unit.unit, attempt, unit.items, payload,
        unit.bytes, unit.reason }
    local is_suspect = attempt > 1
    budget = is_suspect and 0 or budget - (unit.left or unit.items)
end

-- Decide about a unit that this consumer now holds: drop it, end its job, fail it or lease it.
local function take(stream, entry_id, unit)
    local record = records .. unit.job
    local status, deadline, attempts, started =
        unpack(redis.call('HMGET', record, 'status', 'deadline', 'attempts', 'started'))
    if not status or is_terminal(status) then
        return drop_unit(stream, entry_id, unit)
    end
    if deadline and tonumber(deadline) <= NOW then
        finish_job(unit.job, 'expired', result_ttl_ms)
        return drop_unit(stream, entry_id, unit)
    end
    local attempt = redis.call('HINCRBY', record, 'a:' .. unit.unit, 1)
    local payload = unit.payload
    if payload == '' then -- that of a streamed upload lies beside its job
        payload = redis.call('HGET', 'ps:inputs:' .. unit.job, unit.unit)
    end
    if attempt <= most_attempts then
        lease_unit(stream, entry_id, unit, payload, attempt, started, attempts)
    elseif is_webhooks then
        fail_delivery(stream, entry_id, unit)
    else
        quarantine(stream, entry_id, unit, payload)
    end
end

-- Whether this claim may take a unit that may have been held before: a suspect only if it is alone.
local function may_take(unit)
    local attempts = redis.call('HGET', records .. unit.job, 'a:' .. unit.unit)
    return (attempts or '0') == '0' or (suspects and #claimed == 0)
end

-- Take over units whose lease has run out.
local function reclaim(stream)
    local late = redis.call('XPENDING', stream, GROUP, 'IDLE', lease_ms, '-', '+', MOST_RECLAIMS)
    for _, held in ipairs(late) do
        if budget <= 0 then
            return
        end
        local entry_id = held[1]
        local entry = redis.call('XRANGE', stream, entry_id, entry_id)[1]
        local unit = entry and parse_unit(entry[2])
        if not entry then
            redis.call('XACK', stream, GROUP, entry_id)
        elseif may_take(unit) then
            redis.call('XCLAIM', stream, GROUP, consumer, lease_ms, entry_id, 'JUSTID')
            count('leases_reclaimed|' .. lane, 1)
            take(stream, entry_id, unit)
        end
    end
end

-- Take units that nobody has held in this lane, one after another.
local function take_new(stream)
    while budget > 0 and dropped < MOST_DROPS do
        local read = redis.call('XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', 1,
            'STREAMS', stream, '>')
        if not read then
            return
        end
        local entry = read[1][2][1]
        local entry_id, unit = entry[1], parse_unit(entry[2])
        if not is_webhooks then
            refill_stream(stream, unit.owner, unit.items)
        end
        local was_moved = unit.left or unit.reason ~= ''
        if was_moved and not may_take(unit) then
            -- A suspect of another lane. It is left for the next claim, as if its lease had run out.
            redis.call('XCLAIM', stream, GROUP, consumer, 0, entry_id, 'IDLE', lease_ms, 'JUSTID')
        else
            take(stream, entry_id, unit)
        end
    end
end

write_even_when_full()

-- The priorities in the order in which this claim looks at them.
local turn = redis.call('INCR', 'ps:lane:' .. lane .. ':turn')
local order = { PRIORITIES[FIRST[turn % #FIRST + 1]] }
for _, priority in ipairs(PRIORITIES) do
    if priority ~= order[1] then
        order[#order + 1] = priority
    end
end

for _, priority in ipairs(order) do
    local stream = stream_of(lane, priority)
    if redis.call('EXISTS', stream) == 1 then
        redis.pcall('XGROUP', 'CREATE', stream, GROUP, '0') -- lost with a flushed Redis
        reclaim(stream)
        take_new(stream)
    end
end
publish_changes()

-- Note for submits whether a worker claims again soon.
local awake_key = 'ps:lane:' .. lane .. ':awake'
if awake_ms ~= '0' then
    redis.call('SET', awake_key, consumer, 'PX', awake_ms)
elseif #claimed == 0 then
    redis.call('DEL', awake_key)
end

local breakers = is_webhooks and {} or redis.call('HGETALL', 'ps:breakers')
local more = dropped < MOST_DROPS and 0 or 1
return { claimed, waiting_units(lane), breakers, more, finished_jobs }
