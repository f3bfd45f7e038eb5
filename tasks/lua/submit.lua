-- Accept a job: its record, its idempotency record and its units, all or nothing.
--
-- KEYS  1 job  2 stream  3 idempotency record or ''  4 cached answer or ''
-- ARGV  1 job id  2 lane  3 spec  4 total items  5 deadline, ms from now, or 0  6 units per batch
--       7 body digest  8 idempotency TTL, ms  9 record TTL, ms  10 first unit number
--       11 most units waiting in the lane  12 '1' if the cpu lane may serve it when the gpu lane cannot
--       then per unit: items, payload
-- Returns {'accepted', created, wake-ups to publish} | {'hit', created, outcomes}
--       | {'replay', job id} | {'mismatch', job id}
--       | {'full' | 'late', units waiting, units drained per 1,000 s}: refused, nothing is written
--
-- A repeated call for the same job id (a retry after a lost reply) changes nothing.

local job, lane, total = ARGV[1], ARGV[2], ARGV[4]
local batch = tonumber(ARGV[6])

if KEYS[3] ~= '' then
    local seen = redis.call('GET', KEYS[3])
    if seen then
        local digest, first = seen:match('^(%S+) (%S+)$')
        if first ~= job then
            return { digest == ARGV[7] and 'replay' or 'mismatch', first }
        end
    end
end
local known = redis.call('HGET', KEYS[1], 'created')
if known then
    return { 'accepted', known, 1 }
end
local answer = KEYS[4] ~= '' and redis.call('GET', KEYS[4])
local added = (#ARGV - 12) / 2
local ahead = answer and 0 or waiting_units(lane)
if not answer then
    local rate = ARGV[5] ~= '0' and drain_rate(lane)
    local late = rate and ahead / rate * 1000 > tonumber(ARGV[5])
    if late or ahead + added > tonumber(ARGV[11]) then
        local per_1000_s = math.floor((drain_rate(lane) or 0) * 1000)
        return { late and 'late' or 'full', ahead, per_1000_s }
    end
end
if KEYS[3] ~= '' then
    redis.call('SET', KEYS[3], ARGV[7] .. ' ' .. job, 'PX', ARGV[8])
end

if answer then
    redis.call('HSET', KEYS[1], 'spec', ARGV[3], 'lane', lane, 'created', STAMP, 'started', STAMP,
        'total', total, 'done', total, 'cached', 1, 'attempts', 0, 'r:0', answer)
    finish(job, 'succeeded', ARGV[9])
    return { 'hit', STAMP, answer }
end

redis.call('HSET', KEYS[1], 'spec', ARGV[3], 'status', 'queued', 'lane', lane, 'created', STAMP,
    'total', total)
if ARGV[5] ~= '0' then
    redis.call('HSET', KEYS[1], 'deadline', NOW + ARGV[5])
    redis.call('ZADD', 'ps:deadlines', NOW + ARGV[5], job)
end
local unit = tonumber(ARGV[10])
for i = 13, #ARGV, 2 do
    redis.call('XADD', KEYS[2], '*', 'job', job, 'unit', unit, 'items', ARGV[i],
        'payload', ARGV[i + 1], 'cpu', ARGV[12])
    unit = unit + 1
end
if redis.call('XLEN', KEYS[2]) == added then
    redis.pcall('XGROUP', 'CREATE', KEYS[2], GROUP, '0') -- the stream may be new
end

-- One wake-up per batch boundary that the waiting units cross. The first batch needs none while a
-- worker is awake: it claims again before it sleeps, and the bell cuts its pause short.
local wake = math.ceil((ahead + added) / batch) - math.ceil(ahead / batch)
if ahead == 0 and redis.call('EXISTS', 'ps:lane:' .. lane .. ':awake') == 1 then
    ring(lane)
    wake = wake - 1
end
return { 'accepted', STAMP, wake }
