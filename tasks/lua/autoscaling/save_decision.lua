-- Save the decision of how many workers a lane should have, unless another was saved since the one that
-- it follows; count the changes. Touches ps:scale:{lane} and ps:series.
--
-- Returns 1 if it was saved, else 0.
-- include: series

local lane = ARGV[1]
local previous_us = ARGV[2] -- when the decision before it was made; 0: there was none
local memory = ARGV[3] -- JSON
local desired = ARGV[4] -- workers
local settled = ARGV[5] -- units so far
local drain_per_s = ARGV[6] -- units, recently

write_even_when_full() -- workers are what empties the memory
local key = 'ps:scale:' .. lane
local last_decided, last_desired = unpack(redis.call('HMGET', key, 'decided', 'desired'))
if (last_decided or '0') ~= previous_us then
    return 0
end
local change = tonumber(desired) - tonumber(last_desired or desired)
if change ~= 0 then
    count('scaling|' .. lane .. '|' .. (change > 0 and 'up' or 'down'), 1)
end
redis.call('HSET', key, 'memory', memory, 'desired', desired, 'decided', STAMP, 'settled', settled,
    'drain', drain_per_s)
write_counts()
return 1
