-- Accept a job: its record, its idempotency record and its units, all or nothing.
--
-- KEYS  1 job  2 idempotency record or ''  3 cached answer or ''
-- ARGV  1 job id  2 lane  3 spec  4 total items  5 deadline, ms from now, or 0  6 units per batch
--       7 body digest  8 idempotency TTL, ms  9 record TTL, ms  10 first unit number
--       11 most units waiting in a lane  12 '1' if the cpu lane may serve it when the gpu lane cannot
--       13 priority  14 lease, ms  15 breaker of its best tier  16 most bytes in a lane
--       17 share of Redis's memory kept free, percent  18 bytes to set aside for an item's answer
--       then per unit: items, payload
-- Returns {'accepted', created, wake-ups to publish, lane} | {'hit', created, outcomes}
--       | {'replay', job id} | {'mismatch', job id}
--       | {'full' | 'late' | 'memory', units waiting, units drained per 1,000 s}: refused, nothing
--         is written
--
-- A repeated call for the same job id (a retry after a lost reply) changes nothing.

local FIRST_UNIT = 19
local job, asked, total, deadline = ARGV[1], ARGV[2], ARGV[4], tonumber(ARGV[5])
local batch, answer_bytes = tonumber(ARGV[6]), tonumber(ARGV[18])
local added = (#ARGV - FIRST_UNIT + 1) / 2

if KEYS[2] ~= '' then
    local seen = redis.call('GET', KEYS[2])
    if seen then
        local digest, first = seen:match('^(%S+) (%S+)$')
        if first ~= job then
            return { digest == ARGV[7] and 'replay' or 'mismatch', first }
        end
    end
end
local known = redis.call('HMGET', KEYS[1], 'created', 'lane')
if known[1] then
    return { 'accepted', known[1], 1, known[2] }
end
local answer = KEYS[3] ~= '' and redis.call('GET', KEYS[3])

local bytes = 0
for i = FIRST_UNIT + 1, #ARGV, 2 do
    bytes = bytes + #ARGV[i]
end

-- Why a lane cannot take the job, or nil; and how many units wait there.
local function refusal(lane)
    local ahead = waiting_units(lane)
    local rate = deadline > 0 and drain_rate(lane)
    if rate and ahead / rate * 1000 > deadline then
        return 'late', ahead
    end
    local held = tonumber(redis.call('HGET', 'ps:lane:' .. lane .. ':load', 'bytes') or 0)
    if ahead + added > tonumber(ARGV[11]) or held + bytes > tonumber(ARGV[16]) then
        return 'full', ahead
    end
    return nil, ahead
end

-- Lanes that may take the job, best first, and why an answer from there would be a lesser one.
local function candidates()
    local first = { asked, '' }
    local other = asked == 'gpu' and ARGV[12] == '1' and lanes_alive(tonumber(ARGV[14]))['cpu']
    if not other then
        return { first }
    end
    local _, open_until = breaker(ARGV[15])
    if NOW < open_until then
        return { { 'cpu', 'breaker_open' }, first }
    end
    return { first, { 'cpu', 'gpu_backlog' } }
end

-- Whether Redis has memory for the job, beside the head-room and the answers of all that waits. It
-- needs twice its bytes, stored in parts as it is.
local function fits_in_memory()
    local info = redis.call('INFO', 'memory')
    local most = tonumber(info:match('maxmemory:(%d+)'))
    if most == 0 then
        return true
    end
    local items = tonumber(total)
    for _, lane in ipairs({ 'gpu', 'cpu' }) do
        items = items + (redis.call('HGET', 'ps:lane:' .. lane .. ':load', 'items') or 0)
    end
    local need = 2 * (bytes + #ARGV[3]) + items * answer_bytes
    return info:match('used_memory:(%d+)') + need <= most * (100 - ARGV[17]) / 100
end

-- The first lane that can take the job: {lane, reason, units waiting}; or why none can.
local function choose()
    local first_why, first_ahead
    for _, candidate in ipairs(candidates()) do
        local why, ahead = refusal(candidate[1])
        if not why and fits_in_memory() then
            return { candidate[1], candidate[2], ahead }
        end
        first_why, first_ahead = first_why or why or 'memory', first_ahead or ahead
    end
    return nil, first_why, first_ahead
end

local lane, reason, ahead = asked, '', 0
if not answer then
    local chosen, why, waiting = choose()
    if not chosen then
        return { why, waiting, math.floor((drain_rate(asked) or 0) * 1000) }
    end
    lane, reason, ahead = unpack(chosen)
end

if KEYS[2] ~= '' then
    redis.call('SET', KEYS[2], ARGV[7] .. ' ' .. job, 'PX', ARGV[8])
end
if answer then
    redis.call('HSET', KEYS[1], 'spec', ARGV[3], 'lane', lane, 'created', STAMP, 'started', STAMP,
        'total', total, 'done', total, 'cached', 1, 'attempts', 0, 'r:0', answer)
    finish(job, 'succeeded', ARGV[9])
    return { 'hit', STAMP, answer }
end

redis.call('HSET', KEYS[1], 'spec', ARGV[3], 'status', 'queued', 'lane', lane, 'created', STAMP,
    'total', total)
if deadline > 0 then
    redis.call('HSET', KEYS[1], 'deadline', NOW + deadline)
    redis.call('ZADD', 'ps:deadlines', NOW + deadline, job)
end
local stream, unit = stream_of(lane, ARGV[13]), tonumber(ARGV[10])
for i = FIRST_UNIT, #ARGV, 2 do
    append(stream, job, unit, ARGV[i], ARGV[i + 1], ARGV[12], reason)
    unit = unit + 1
end
if redis.call('XLEN', stream) == added then
    redis.pcall('XGROUP', 'CREATE', stream, GROUP, '0') -- the stream may be new
end

-- One wake-up per batch boundary that the waiting units cross. The first batch needs none while a
-- worker is awake: it claims again before it sleeps, and the bell cuts its pause short.
local wake = math.ceil((ahead + added) / batch) - math.ceil(ahead / batch)
if ahead == 0 and redis.call('EXISTS', 'ps:lane:' .. lane .. ':awake') == 1 then
    ring(lane)
    wake = wake - 1
end
return { 'accepted', STAMP, wake, lane }
