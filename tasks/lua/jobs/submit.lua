-- Accept a job: choose its lane and write its record, its idempotency record and its units, all or
-- nothing. A cached answer ends the job at once.
--
-- KEYS  1 job  2 idempotency record or ''  3 cached answer or ''
-- Touches ps:unfinished, ps:jobs:{owner}:{state}, ps:deadlines, ps:inputs:{id} and the lane's keys too.
-- Returns {'accepted', created, wake-up messages to send, lane}
--       | {'hit', created, outcomes}: answered from the cache
--       | {'replay' | 'mismatch' | 'in_flight', job id}: the idempotency key is taken
--       | {'full' | 'late' | 'memory', units waiting, units drained per 1,000 s}: no lane can take it
--       | {'quota', unfinished items, units drained per 1,000 s}
--       | {'unstaged'}: what was staged has expired
-- After any of the last four groups nothing is written.
--
-- A repeated call for the same job id (a retry after a lost reply) changes nothing.
-- include: lanes, workers, breakers, finish

local job_record, idempotency_record, cache_record = KEYS[1], KEYS[2], KEYS[3]
local job = ARGV[1]
local asked_lane = ARGV[2]
local spec = ARGV[3] -- JSON
local total = tonumber(ARGV[4]) -- items
local deadline_ms = tonumber(ARGV[5]) -- from now; 0: none
local batch_items = tonumber(ARGV[6]) -- units that a worker claims at once
local body_digest = ARGV[7]
local idempotency_ttl_ms = ARGV[8]
local result_ttl_ms = ARGV[9] -- of the job's record, from its end
local first_unit = tonumber(ARGV[10]) -- number of the first unit
local most_lane_units = tonumber(ARGV[11]) -- units waiting in a lane
local cpu_may_serve = ARGV[12] -- '1' if the cpu lane may serve it when the gpu lane cannot
local priority = ARGV[13]
local lease_ms = tonumber(ARGV[14])
local breaker_name = ARGV[15] -- of the best tier
local most_lane_bytes = tonumber(ARGV[16]) -- payloads in a lane
local headroom_percent = ARGV[17] -- share of Redis's memory that is kept free
local answer_bytes = tonumber(ARGV[18]) -- set aside for the answer of an item
local owner = ARGV[19]
local most_unfinished = tonumber(ARGV[20]) -- items of the owner
local hook = ARGV[21] -- its webhook, see `create_job_deliveries`, or ''
local staged = ARGV[22] == '1' -- whether the payloads are in ps:inputs:{id}, see stage.lua
local FIRST_UNIT, UNIT_FIELDS = 23, 3

local unit_count = (#ARGV - FIRST_UNIT + 1) / UNIT_FIELDS

-- Refuse the job; what was staged for it is deleted.
local function refuse(...)
    if staged then
        redis.call('DEL', 'ps:inputs:' .. job)
        if idempotency_record ~= '' and redis.call('GET', idempotency_record) == 'pending ' .. job then
            redis.call('DEL', idempotency_record)
        end
    end
    return { ... }
end

-- Units per second that a lane drains when it is busy; nil until the sweep has seen it busy.
local function drain_rate(lane)
    local rate = redis.call('HGET', 'ps:lane:' .. lane .. ':rate', 'per_s')
    return rate and tonumber(rate) > 0 and tonumber(rate)
end

if idempotency_record ~= '' then
    local seen = redis.call('GET', idempotency_record)
    if seen then
        local digest, first_job = seen:match('^(%S+) (%S+)$')
        if digest == 'pending' and first_job ~= job then
            return refuse('in_flight', first_job)
        elseif first_job ~= job then
            return refuse(digest == body_digest and 'replay' or 'mismatch', first_job)
        end
    end
end
local known_created, known_lane = unpack(redis.call('HMGET', job_record, 'created', 'lane'))
if known_created then
    return { 'accepted', known_created, 1, known_lane }
end
if staged and redis.call('HLEN', 'ps:inputs:' .. job) ~= unit_count + 1 then -- one field is their size
    return refuse('unstaged')
end
local answer = cache_record ~= '' and redis.call('GET', cache_record)

local unfinished = tonumber(redis.call('HGET', 'ps:unfinished', owner) or 0)
if not answer and unfinished + total > most_unfinished then
    return refuse('quota', unfinished, math.floor((drain_rate(asked_lane) or 0) * 1000))
end

local units, bytes = {}, 0
for i = FIRST_UNIT, #ARGV, UNIT_FIELDS do
    local items, payload_bytes, payload = unpack(ARGV, i, i + 2)
    units[#units + 1] = { job = job, unit = first_unit + #units, items = items, owner = owner,
        cpu = cpu_may_serve, bytes = payload_bytes, payload = payload, reason = '' }
    bytes = bytes + payload_bytes
end

-- How many of a lane's waiting units will be claimed before this job's. Owners take turns, so these are
-- what stands in the lane's streams already, and of each other owner's queue at most as many units as
-- this owner has in its own.
local function units_before(lane, waiting)
    local from_queues = 0
    for _, priority in ipairs(PRIORITIES) do
        local stream = stream_of(lane, priority)
        local queues = redis.call('SCARD', stream .. ':lines')
        if queues > 0 then
            from_queues = from_queues + queues * redis.call('XLEN', owner_queue(stream, owner))
        end
    end
    return math.min(waiting, from_queues + waiting - parked_units(lane))
end

-- Why a lane cannot take the job, or nil; and how many units wait there.
local function lane_refusal(lane)
    local waiting = waiting_units(lane)
    local rate = deadline_ms > 0 and drain_rate(lane)
    if rate and units_before(lane, waiting) / rate * 1000 > deadline_ms then
        return 'late', waiting
    end
    local lane_bytes = tonumber(redis.call('HGET', load_key(lane), 'bytes') or 0)
    if waiting + unit_count > most_lane_units or lane_bytes + bytes > most_lane_bytes then
        return 'full', waiting
    end
    return nil, waiting
end

-- Lanes that may take the job, best first, and why an answer from there would be a degraded one.
local function candidate_lanes()
    local first = { asked_lane, '' }
    if asked_lane == 'gpu' and cpu_may_serve ~= '1' then
        return { first }
    end
    local live = live_lanes(lease_ms)
    if asked_lane == 'cpu' and live['gpu'] and not live['cpu'] then
        return { { 'gpu', '' }, first }
    end
    if asked_lane == 'cpu' or not live['cpu'] then
        return { first }
    end
    local _, open_until = breaker_state(breaker_name)
    if NOW < open_until then
        return { { 'cpu', 'breaker_open' }, first }
    end
    return { first, { 'cpu', 'gpu_backlog' } }
end

-- Whether Redis has memory for the job, beside the head-room and the answers of all that waits. It
-- needs twice its bytes, because it is stored in parts.
local function fits_in_memory()
    local info = redis.call('INFO', 'memory')
    local max_memory = tonumber(info:match('maxmemory:(%d+)'))
    if max_memory == 0 then
        return true
    end
    local items = total
    for _, lane in ipairs({ 'gpu', 'cpu' }) do
        items = items + (redis.call('HGET', load_key(lane), 'items') or 0)
    end
    local need = 2 * (bytes + #spec) + items * answer_bytes
    return info:match('used_memory:(%d+)') + need <= max_memory * (100 - headroom_percent) / 100
end

-- Returns lane, units waiting there, degraded reason: of the first lane that can take the job; the reason
-- says why it is not the lane asked for, or is ''. If there is none: nil, units waiting in the best lane,
-- '', and why that lane refuses.
local function choose_lane()
    local first_refusal, first_waiting
    for _, candidate in ipairs(candidate_lanes()) do
        local lane, degraded_reason = candidate[1], candidate[2]
        local refusal, waiting = lane_refusal(lane)
        if not refusal and fits_in_memory() then
            return lane, waiting, degraded_reason
        end
        first_refusal = first_refusal or refusal or 'memory'
        first_waiting = first_waiting or waiting
    end
    return nil, first_waiting, '', first_refusal
end

local lane, waiting, degraded_reason = asked_lane, 0, ''
if not answer then
    local refusal
    lane, waiting, degraded_reason, refusal = choose_lane()
    if not lane then
        return refuse(refusal, waiting, math.floor((drain_rate(asked_lane) or 0) * 1000))
    end
end

-- The job is accepted from here on.
if idempotency_record ~= '' then
    redis.call('SET', idempotency_record, body_digest .. ' ' .. job, 'PX', idempotency_ttl_ms)
end
if hook ~= '' then
    redis.call('HSET', job_record, 'hook', hook)
end

-- A cached answer ends it at once.
if answer then
    redis.call('HINCRBY', 'ps:unfinished', owner, 0) -- the sweep finds owners there
    redis.call('HSET', job_record, 'spec', spec, 'owner', owner, 'lane', asked_lane, 'created', STAMP,
        'started', STAMP, 'total', total, 'done', total, 'cached', 1, 'attempts', 0, 'r:0', answer)
    local pipeline, output = cjson.decode(spec).pipeline, cjson.decode(answer)[1].output
    output = type(output) == 'table' and output or {}
    local answered =
        table.concat({ pipeline, output.tier or 'none', output.model_version or 'none' }, '|')
    count('predictions|' .. answered .. '|cached', 1)
    count('cache_hits|' .. pipeline, 1)
    add_usage(owner, asked_lane .. '|' .. pipeline .. '|items', 1)
    add_usage(owner, asked_lane .. '|' .. pipeline .. '|cached', 1)
    finish_job(job, 'succeeded', result_ttl_ms, answered)
    publish_changes()
    return { 'hit', STAMP, answer }
end

-- Otherwise it must be run: write its record, then its units.
redis.call('HSET', job_record, 'spec', spec, 'owner', owner, 'status', 'queued', 'lane', lane,
    'created', STAMP, 'total', total)
redis.call('ZADD', job_index(owner, 'open'), 0, job)
redis.call('HINCRBY', 'ps:unfinished', owner, total)
if deadline_ms > 0 then
    redis.call('HSET', job_record, 'deadline', NOW + deadline_ms)
    redis.call('ZADD', 'ps:deadlines', NOW + deadline_ms, job)
end
local stream = stream_of(lane, priority)
for _, unit in ipairs(units) do
    unit.reason = degraded_reason
    enqueue(stream, unit)
end
if staged then
    redis.call('HSET', job_record, 'staged', 1)
    redis.call('PERSIST', 'ps:inputs:' .. job)
end
if redis.call('XLEN', stream) <= unit_count then
    redis.pcall('XGROUP', 'CREATE', stream, GROUP, '0') -- the stream may be new
end

-- One wake-up message for each batch that the new units begin. The first batch needs none while a worker
-- is awake: it claims again before it sleeps, and is woken from its wait for new units.
local messages = math.ceil((waiting + unit_count) / batch_items) - math.ceil(waiting / batch_items)
if waiting == 0 and is_awake(lane) then
    wake_listener(lane)
    messages = messages - 1
end
return { 'accepted', STAMP, messages, lane }
