-- Counters, raised by the script that changes the state they count, so each change counts exactly
-- once. A series is a name and its labels, joined by '|'; tasks/store/series.py
-- reads them for Prometheus. Keys: ps:series, ps:usage:{owner}:{day}.

local MOST_SERIES = 20000 -- once there are so many, a new one is counted under the name `dropped`
local DAY_MS, KEEP_USAGE_MS = 86400000, 93 * 86400000

local counted = {} -- series -> amount
local used = {} -- owner -> {field -> amount}, see ps:usage in tasks/store/keys.py

local function count(series, amount)
    counted[series] = (counted[series] or 0) + amount
end

local function add_usage(owner, field, amount)
    local fields = used[owner] or {}
    used[owner] = fields
    fields[field] = (fields[field] or 0) + amount
end

-- Upper bounds of the buckets of durations, in microseconds; as in tasks/store/series.py.
local BOUNDS = { 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000,
    10000000, 30000000, 60000000 }

-- Add a duration in microseconds to a histogram.
local function observe_duration(name, labels, us)
    us = math.max(0, us)
    local bucket = 1
    while BOUNDS[bucket] and us > BOUNDS[bucket] do
        bucket = bucket + 1
    end
    count(name .. '|' .. labels .. '|' .. bucket, 1)
    count(name .. '|' .. labels .. '|sum', us)
end

-- Add counts from a text with one of them a line: a series, a blank, an amount.
local function count_lines(text)
    for series, amount in text:gmatch('([^\n]+) (%d+)') do
        count(series, tonumber(amount))
    end
end

-- Write what this run has counted.
local function write_counts()
    local room = next(counted) and MOST_SERIES - redis.call('HLEN', 'ps:series') or 0
    for series, amount in pairs(counted) do
        if room < 200 and redis.call('HEXISTS', 'ps:series', series) == 0 then
            if room <= 0 then
                series = 'dropped'
            end
            room = room - 1
        end
        redis.call('HINCRBY', 'ps:series', series, string.format('%.0f', amount))
    end
    local day = math.floor(NOW / DAY_MS)
    for owner, fields in pairs(used) do
        local key = 'ps:usage:' .. owner .. ':' .. day
        for field, amount in pairs(fields) do
            redis.call('HINCRBY', key, field, string.format('%.0f', amount))
        end
        redis.call('PEXPIRE', key, KEEP_USAGE_MS)
    end
    counted, used = {}, {}
end
