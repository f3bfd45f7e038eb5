-- Add rows to the sample of current answers; of each window the rows with the lowest draws stay.
-- Touches ps:drift:{pipeline}:{version}:{window}.
--
-- Returns {draw below which a row would stay now, ms left of the window}.

local pipeline = ARGV[1]
local model_version = ARGV[2]
local interval_ms = tonumber(ARGV[3]) -- length of a window
local most_rows = tonumber(ARGV[4]) -- kept of a window
local FIRST_ROW, ROW_FIELDS = 5, 2

local window = math.floor(NOW / interval_ms)
local key = string.format('ps:drift:%s:%s:%.0f', pipeline, model_version, window)

for i = FIRST_ROW, #ARGV, ROW_FIELDS do
    local draw, row = unpack(ARGV, i, i + 1) -- 0..1; JSON
    redis.call('ZADD', key, draw, row)
end
redis.call('ZREMRANGEBYRANK', key, most_rows, -1)
redis.call('PEXPIRE', key, 3 * interval_ms)
local last = redis.call('ZRANGE', key, most_rows - 1, most_rows - 1, 'WITHSCORES')
return { last[2] or '1', (window + 1) * interval_ms - NOW }
