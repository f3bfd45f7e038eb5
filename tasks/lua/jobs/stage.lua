-- Keep a part of an upload whose job is not submitted yet. It goes by itself if no more of it comes.
--
-- KEYS  1 idempotency record or ''
-- ARGV  1 job id  2 how long to wait for more, ms  3 share of Redis's memory kept free, percent
--       4 most staged bytes of this job  then per unit: number, payload
-- Returns {'staged'} | {'seen', job id}: the key belongs to an earlier request, nothing is kept
--       | {'in_flight', job id}: to one that has not come to its end
--       | {'memory'} | {'full'}: no room, what was staged so far is gone

-- What is staged counts against no quota yet. Of the memory that submits may fill it takes no more than
-- this share, so that uploads that never end keep nobody from submitting.
local SHARE = 0.8
local job, patience = ARGV[1], ARGV[2]
local inputs = 'ps:inputs:' .. job

if KEYS[1] ~= '' then
    local seen = redis.call('GET', KEYS[1])
    local digest, first = (seen or ''):match('^(%S+) (%S+)$')
    if first and first ~= job then
        return { digest == 'pending' and 'in_flight' or 'seen', first }
    end
end

local function refuse(why)
    redis.call('DEL', inputs)
    if KEYS[1] ~= '' then
        redis.call('DEL', KEYS[1])
    end
    return { why }
end

local bytes = 0
for i = 6, #ARGV, 2 do
    bytes = bytes + #ARGV[i]
end
local info = redis.call('INFO', 'memory')
local most = tonumber(info:match('maxmemory:(%d+)'))
if most > 0 and info:match('used_memory:(%d+)') + 2 * bytes > most * (100 - ARGV[3]) / 100 * SHARE then
    return refuse('memory')
end
if redis.call('HINCRBY', inputs, 'bytes', bytes) > tonumber(ARGV[4]) then
    return refuse('full')
end
for i = 5, #ARGV, 2 do
    redis.call('HSET', inputs, ARGV[i], ARGV[i + 1])
end
redis.call('PEXPIRE', inputs, patience)
if KEYS[1] ~= '' then
    redis.call('SET', KEYS[1], 'pending ' .. job, 'PX', patience)
end
return { 'staged' }
