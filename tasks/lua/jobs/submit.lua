-- Accept a job: its record, its idempotency record and its units, all or nothing.
--
-- KEYS  1 job  2 idempotency record or ''  3 cached answer or ''
-- ARGV  1 job id  2 lane  3 spec  4 total items  5 deadline, ms from now, or 0  6 units per batch
--       7 body digest  8 idempotency TTL, ms  9 record TTL, ms  10 first unit number
--       11 most units waiting in a lane  12 '1' if the cpu lane may serve it when the gpu lane cannot
--       13 priority  14 lease, ms  15 breaker of its best tier  16 most bytes in a lane
--       17 share of Redis's memory kept free, percent  18 bytes to set aside for an item's answer
--       19 owner  20 most unfinished items of the owner  21 its webhook, see `notify`, or ''
--       then per unit: items, bytes, payload ('' if it was staged, see stage.lua)
-- Returns {'accepted', created, wake-ups to publish, lane} | {'hit', created, outcomes}
--       | {'replay' | 'mismatch' | 'in_flight', job id}
--       | {'full' | 'late' | 'memory', units waiting, units drained per 1,000 s}: refused, nothing
--         is written
--       | {'quota', unfinished items, units drained per 1,000 s} | {'unstaged'}: likewise
--
-- A repeated call for the same job id (a retry after a lost reply) changes nothing.

local FIRST_UNIT = 22
local job, asked, total, deadline = ARGV[1], ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])
local batch, answer_bytes = tonumber(ARGV[6]), tonumber(ARGV[18])
local owner, added = ARGV[19], (#ARGV - FIRST_UNIT + 1) / 3
local staged = added > 0 and ARGV[FIRST_UNIT + 2] == ''

-- What was staged for a job that is not accepted is of no use to anybody.
local function refuse(...)
    if staged then
        redis.call('DEL', 'ps:inputs:' .. job)
        if KEYS[2] ~= '' and redis.call('GET', KEYS[2]) == 'pending ' .. job then
            redis.call('DEL', KEYS[2])
        end
    end
    return { ... }
end

if KEYS[2] ~= '' then
    local seen = redis.call('GET', KEYS[2])
    if seen then
        local digest, first = seen:match('^(%S+) (%S+)$')
        if digest == 'pending' and first ~= job then
            return refuse('in_flight', first)
        elseif first ~= job then
            return refuse(digest == ARGV[7] and 'replay' or 'mismatch', first)
        end
    end
end
local known = redis.call('HMGET', KEYS[1], 'created', 'lane')
if known[1] then
    return { 'accepted', known[1], 1, known[2] }
end
if staged and redis.call('HLEN', 'ps:inputs:' .. job) ~= added + 1 then -- they have a count beside them
    return refuse('unstaged')
end
local answer = KEYS[3] ~= '' and redis.call('GET', KEYS[3])

local unfinished = tonumber(redis.call('HGET', 'ps:unfinished', owner) or 0)
if not answer and unfinished + total > tonumber(ARGV[20]) then
    return refuse('quota', unfinished, math.floor((drain_rate(asked) or 0) * 1000))
end

local bytes = 0
for i = FIRST_UNIT + 1, #ARGV, 3 do
    bytes = bytes + ARGV[i]
end

-- Units that will have had their turn before this job's: owners take turns, so at most as many of each
-- other owner as this one has itself, and what stands in the lane's streams already.
local function before(lane, waiting)
    local most = 0
    for _, priority in ipairs(PRIORITIES) do
        local stream = stream_of(lane, priority)
        local lines = redis.call('SCARD', stream .. ':lines')
        if lines > 0 then
            most = most + lines * redis.call('XLEN', line_of(stream, owner))
        end
    end
    return math.min(waiting, most + waiting - parked_units(lane))
end

-- Why a lane cannot take the job, or nil; and how many units wait there.
local function refusal(lane)
    local ahead = waiting_units(lane)
    local rate = deadline > 0 and drain_rate(lane)
    if rate and before(lane, ahead) / rate * 1000 > deadline then
        return 'late', ahead
    end
    local held = tonumber(redis.call('HGET', load_of(lane), 'bytes') or 0)
    if ahead + added > tonumber(ARGV[11]) or held + bytes > tonumber(ARGV[16]) then
        return 'full', ahead
    end
    return nil, ahead
end

-- Lanes that may take the job, best first, and why an answer from there would be a lesser one.
local function candidates()
    local first = { asked, '' }
    if asked == 'gpu' and ARGV[12] ~= '1' then
        return { first }
    end
    local alive = lanes_alive(tonumber(ARGV[14]))
    if asked == 'cpu' and alive['gpu'] and not alive['cpu'] then
        return { { 'gpu', '' }, first }
    end
    if asked == 'cpu' or not alive['cpu'] then
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
    local items = total
    for _, lane in ipairs({ 'gpu', 'cpu' }) do
        items = items + (redis.call('HGET', load_of(lane), 'items') or 0)
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
        return refuse(why, waiting, math.floor((drain_rate(asked) or 0) * 1000))
    end
    lane, reason, ahead = unpack(chosen)
end

if KEYS[2] ~= '' then
    redis.call('SET', KEYS[2], ARGV[7] .. ' ' .. job, 'PX', ARGV[8])
end
local function keep_hook()
    if ARGV[21] ~= '' then
        redis.call('HSET', KEYS[1], 'hook', ARGV[21])
    end
end

if answer then
    redis.call('HINCRBY', 'ps:unfinished', owner, 0) -- the sweep finds owners there
    redis.call('HSET', KEYS[1], 'spec', ARGV[3], 'owner', owner, 'lane', lane, 'created', STAMP,
        'started', STAMP, 'total', total, 'done', total, 'cached', 1, 'attempts', 0, 'r:0', answer)
    keep_hook()
    local spec, output = cjson.decode(ARGV[3]), cjson.decode(answer)[1].output
    output = type(output) == 'table' and output or {}
    local answered =
        table.concat({ spec.pipeline, output.tier or 'none', output.model_version or 'none' }, '|')
    count('predictions|' .. answered .. '|cached', 1)
    count('cache_hits|' .. spec.pipeline, 1)
    use(owner, lane .. '|' .. spec.pipeline .. '|items', 1)
    use(owner, lane .. '|' .. spec.pipeline .. '|cached', 1)
    finish(job, 'succeeded', ARGV[9], answered)
    announce()
    return { 'hit', STAMP, answer }
end

redis.call('HSET', KEYS[1], 'spec', ARGV[3], 'owner', owner, 'status', 'queued', 'lane', lane,
    'created', STAMP, 'total', total)
keep_hook()
redis.call('ZADD', jobs_of(owner, 'open'), 0, job)
redis.call('HINCRBY', 'ps:unfinished', owner, total)
if deadline > 0 then
    redis.call('HSET', KEYS[1], 'deadline', NOW + deadline)
    redis.call('ZADD', 'ps:deadlines', NOW + deadline, job)
end
local stream, number = stream_of(lane, ARGV[13]), tonumber(ARGV[10])
for i = FIRST_UNIT, #ARGV, 3 do
    append(stream, { job = job, unit = number, items = ARGV[i], owner = owner, cpu = ARGV[12],
        bytes = ARGV[i + 1], payload = ARGV[i + 2], reason = reason })
    number = number + 1
end
if staged then
    redis.call('HSET', KEYS[1], 'staged', 1)
    redis.call('PERSIST', 'ps:inputs:' .. job)
end
if redis.call('XLEN', stream) <= added then
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
