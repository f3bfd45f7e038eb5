-- Add rows to the sample of what is answered now: of each window the rows with the lowest draws stay.
--
-- ARGV  1 pipeline  2 model version  3 length of a window, ms  4 rows kept of a window
--       then for each row: its draw, 0..1, and its JSON
-- Returns {draw below which a row would stay now, ms left of the window}.

local interval, most = tonumber(ARGV[3]), tonumber(ARGV[4])
local window = math.floor(NOW / interval)
local key = string.format('ps:drift:%s:%s:%.0f', ARGV[1], ARGV[2], window)

for i = 5, #ARGV, 2 do
    redis.call('ZADD', key, ARGV[i], ARGV[i + 1])
end
redis.call('ZREMRANGEBYRANK', key, most, -1)
redis.call('PEXPIRE', key, 3 * interval)
local last = redis.call('ZRANGE', key, most - 1, most - 1, 'WITHSCORES')
return { last[2] or '1', (window + 1) * interval - NOW }
