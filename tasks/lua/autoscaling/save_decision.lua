-- Keep the decision of how many workers a lane should have, unless another was kept since the one that
-- it follows. Changes are counted.
--
-- ARGV  1 lane  2 when the decision before it was made (us); 0: there was none  3 memory (JSON)
--       4 desired workers  5 units settled so far  6 units per second of late
-- Returns 1 if it was kept, else 0.

write_even_when_full() -- workers are what empties it
local key = 'ps:scale:' .. ARGV[1]
local last = redis.call('HMGET', key, 'decided', 'desired')
if (last[1] or '0') ~= ARGV[2] then
    return 0
end
local change = tonumber(ARGV[4]) - tonumber(last[2] or ARGV[4])
if change ~= 0 then
    count('scaling|' .. ARGV[1] .. '|' .. (change > 0 and 'up' or 'down'), 1)
end
redis.call('HSET', key, 'memory', ARGV[3], 'desired', ARGV[4], 'decided', STAMP, 'settled', ARGV[5],
    'drain', ARGV[6])
write_counts()
return 1
