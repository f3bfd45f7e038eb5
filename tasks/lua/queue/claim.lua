-- Lease units to a worker: first those whose lease ran out, then new ones by priority.
--
-- KEYS  none: streams follow from the lane, job records from the units
-- ARGV  1 lane  2 consumer  3 most items  4 lease, ms  5 most attempts  6 record TTL, ms
--       7 how long the worker stays awake, ms; 0 = it sleeps if this claim finds nothing
--       8 most dead letters kept  9 '1' if this claim may bring a suspect
-- Returns {units, waiting, breakers, more, ended}: per unit {stream, entry, job, unit, attempt, items, payload,
-- bytes of the payload, reason it was moved here or ''}; how many units were left for others; the
-- breakers that have something to tell, as {name, state, name, state, ...} (see tasks/queue/circuit_breakers.py);
-- 1 if it dropped as many as it may before it had enough, else 0; and the jobs that ended, see
-- tasks/jobs/finished.py.
--
-- Attempts are counted here, before anything runs, so that a unit that kills its worker is counted.
-- One that has used up its attempts fails as poison_input and is kept as a dead letter.
-- A suspect is a unit that was held when its worker fell silent. It is handed out alone: whatever
-- ends the next worker is then known, and does not cost its neighbours their attempts.
-- Units of jobs that have ended, or whose deadline has passed, are dropped and never computed. A lane
-- may be full of them after an outage, so one claim drops MOST_DROPS: Redis serves nobody meanwhile.

local lane, consumer, budget = ARGV[1], ARGV[2], tonumber(ARGV[3])
local lease, most_attempts, ttl = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local most_dead, suspects = ARGV[8], ARGV[9] == '1'
local claimed, dropped, MOST_DROPS = {}, 0, 1000
-- Deliveries of webhooks are units as well; each has a record of its own instead of a job's.
local deliveries = lane == 'webhooks'
local records = deliveries and 'ps:delivery:' or 'ps:job:'

write_even_when_full()

-- High, normal and low come first in 8, 4 and 1 of 13 claims: low waits, but never starves.
local FIRST = { 1, 1, 2, 1, 1, 2, 1, 3, 1, 2, 1, 1, 2 }
local turn = redis.call('INCR', 'ps:lane:' .. lane .. ':turn')
local order = { PRIORITIES[FIRST[turn % 13 + 1]] }
for _, priority in ipairs(PRIORITIES) do
    if priority ~= order[1] then
        order[#order + 1] = priority
    end
end

local function discard(stream, entry, unit)
    dropped = dropped + 1
    drop(stream, entry, unit.items, unit.bytes)
    if deliveries then
        depart(stream, unit.owner, unit.items)
    end
end

local function take(stream, entry, unit)
    local job, items = unit.job, unit.items
    local key = records .. job
    local record = redis.call('HMGET', key, 'status', 'deadline', 'attempts', 'started')
    local status = record[1]
    if not status or terminal(status) then
        return discard(stream, entry, unit)
    end
    if record[2] and tonumber(record[2]) <= NOW then
        finish(job, 'expired', ttl)
        return discard(stream, entry, unit)
    end
    local attempt = redis.call('HINCRBY', key, 'a:' .. unit.unit, 1)
    local payload = payload_of(unit)
    if attempt > most_attempts and deliveries then
        redis.call('HSET', key, 'status', 'failed', 'finished', STAMP)
        bury_delivery(job, most_dead, ttl)
        return discard(stream, entry, unit)
    elseif attempt > most_attempts then
        local outcome = '{"output":null,"error":{"code":"poison_input","message":"'
            .. most_attempts .. ' attempts ended with the worker"}}'
        local outcomes = '[' .. outcome .. string.rep(',' .. outcome, items - 1) .. ']'
        local pipeline = cjson.decode(payload)[1]
        count('units_quarantined|' .. pipeline, 1)
        count('predictions|' .. pipeline .. '|none|none|failed', items)
        redis.call('XADD', 'ps:dead', 'MAXLEN', '~', most_dead, '*', 'job', job, 'unit', unit.unit,
            'stream', stream, 'spec', redis.call('HGET', key, 'spec'), 'payload', payload)
        settle(stream, entry, job, unit.unit, items, unit.bytes, items, outcomes, ttl,
            pipeline .. '|none|none')
        return
    end
    redis.call('HSET', key, 'status', 'running', 'lane', lane,
        'started', record[4] or STAMP, 'attempts', math.max(attempt, tonumber(record[3] or 0)))
    claimed[#claimed + 1] =
        { stream, entry, job, unit.unit, attempt, items, payload, unit.bytes, unit.reason }
    budget = attempt > 1 and 0 or budget - (unit.left or items)
end

-- Whether this claim may take a unit that somebody may have held before: a suspect only if it is alone.
local function fits(unit)
    local attempts = redis.call('HGET', records .. unit.job, 'a:' .. unit.unit)
    return (attempts or '0') == '0' or (suspects and #claimed == 0)
end

local function reclaim(stream)
    local late = redis.call('XPENDING', stream, GROUP, 'IDLE', lease, '-', '+', 16)
    for _, held in ipairs(late) do
        if budget <= 0 then
            return
        end
        local entry = redis.call('XRANGE', stream, held[1], held[1])[1]
        if not entry then
            redis.call('XACK', stream, GROUP, held[1])
        elseif fits(unit_of(entry[2])) then
            redis.call('XCLAIM', stream, GROUP, consumer, lease, held[1], 'JUSTID')
            count('leases_reclaimed|' .. lane, 1)
            take(stream, entry[1], unit_of(entry[2]))
        end
    end
end

local function take_new(stream)
    while budget > 0 and dropped < MOST_DROPS do
        local read = redis.call('XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', 1,
            'STREAMS', stream, '>')
        if not read then
            return
        end
        local entry = read[1][2][1]
        local unit = unit_of(entry[2])
        if not deliveries then
            depart(stream, unit.owner, unit.items)
        end
        if (unit.left or unit.reason ~= '') and not fits(unit) then
            -- New here, and a suspect of another lane: left for the next claim, as if its lease ran out.
            redis.call('XCLAIM', stream, GROUP, consumer, 0, entry[1], 'IDLE', lease, 'JUSTID')
        else
            take(stream, entry[1], unit)
        end
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
announce()

local awake = 'ps:lane:' .. lane .. ':awake'
if ARGV[7] ~= '0' then
    redis.call('SET', awake, consumer, 'PX', ARGV[7])
elseif #claimed == 0 then
    redis.call('DEL', awake)
end
local breakers = deliveries and {} or redis.call('HGETALL', 'ps:breakers')
return { claimed, waiting_units(lane), breakers, dropped < MOST_DROPS and 0 or 1, facts }
