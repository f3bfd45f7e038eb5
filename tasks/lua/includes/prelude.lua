-- What every script needs: the moment, and names. It comes before all that a script includes, which
-- tasks/store/scripts/script.py resolves. Keys and fields are explained in tasks/store/keys.py.

redis.replicate_commands() -- Redis 6 refuses writes after TIME without it; Redis 7 ignores it

local GROUP = 'workers'
local PRIORITIES = { 'high', 'normal', 'low' }

-- A script runs at one moment: NOW in milliseconds for arithmetic, STAMP in microseconds for records.
local TIME = redis.call('TIME')
local NOW = TIME[1] * 1000 + math.floor(TIME[2] / 1000)
local STAMP = TIME[1] .. string.format('%06d', TIME[2])

local function stream_of(lane, priority)
    return 'ps:lane:' .. lane .. ':' .. priority
end

local function load_key(lane)
    return 'ps:lane:' .. lane .. ':load'
end

-- Redis refuses a script's writes when its memory is full, unless the script has written before.
-- Submit must be refused; what ends accepted jobs must not, or nothing would ever be freed.
local function write_even_when_full()
    redis.call('DEL', 'ps:none')
end
