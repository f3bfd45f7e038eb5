-- Store some units of an upload whose job is not submitted yet, and reserve its idempotency key. Both
-- expire by themselves if no more of the upload comes.
--
-- KEYS  1 idempotency record or ''
-- Touches ps:inputs:{id} too.
-- Returns {'staged'}
--       | {'seen', job id}: the key belongs to an earlier request, nothing is stored
--       | {'in_flight', job id}: the key belongs to an upload that has not ended
--       | {'memory'} | {'full'}: no room, what was staged so far is deleted

local idempotency_record = KEYS[1]
local job = ARGV[1]
local patience_ms = ARGV[2] -- how long to wait for more
local headroom_percent = ARGV[3] -- share of Redis's memory that is kept free
local most_bytes = tonumber(ARGV[4]) -- staged for this job
local FIRST_UNIT, UNIT_FIELDS = 5, 2

-- What is staged counts against no quota yet. It takes at most this share of the memory that submits
-- may fill, so that uploads that never end do not keep others from submitting.
local STAGED_SHARE = 0.8
local inputs = 'ps:inputs:' .. job

local function refuse(why)
    redis.call('DEL', inputs)
    if idempotency_record ~= '' then
        redis.call('DEL', idempotency_record)
    end
    return { why }
end

if idempotency_record ~= '' then
    local seen = redis.call('GET', idempotency_record) or ''
    local digest, first_job = seen:match('^(%S+) (%S+)$')
    if first_job and first_job ~= job then
        return { digest == 'pending' and 'in_flight' or 'seen', first_job }
    end
end

local units, bytes = {}, 0 -- units: number, payload, number, payload, ...
for i = FIRST_UNIT, #ARGV, UNIT_FIELDS do
    local number, payload = unpack(ARGV, i, i + 1)
    units[#units + 1] = number
    units[#units + 1] = payload
    bytes = bytes + #payload
end

local memory = redis.call('INFO', 'memory')
local used_memory = memory:match('used_memory:(%d+)')
local max_memory = tonumber(memory:match('maxmemory:(%d+)')) -- 0: no limit
local most_memory = max_memory * (100 - headroom_percent) / 100 * STAGED_SHARE
if max_memory > 0 and used_memory + 2 * bytes > most_memory then
    return refuse('memory')
end
if redis.call('HINCRBY', inputs, 'bytes', bytes) > most_bytes then
    return refuse('full')
end
for i = 1, #units, 2 do
    redis.call('HSET', inputs, units[i], units[i + 1])
end
redis.call('PEXPIRE', inputs, patience_ms)
if idempotency_record ~= '' then
    redis.call('SET', idempotency_record, 'pending ' .. job, 'PX', patience_ms)
end
return { 'staged' }
