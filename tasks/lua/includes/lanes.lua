-- How many units wait in a lane. Keys: ps:lane:{lane}:{priority} and ps:lane:{lane}:load.

-- Units that wait in the queues of single owners, behind a lane's streams.
local function parked_units(lane)
    local high, normal, low =
        unpack(redis.call('HMGET', load_key(lane), 'parked:high', 'parked:normal', 'parked:low'))
    return (high or 0) + (normal or 0) + (low or 0)
end

-- Units of a lane that no worker has claimed, over all priorities.
local function waiting_units(lane)
    local waiting = parked_units(lane)
    for _, priority in ipairs(PRIORITIES) do
        local stream = stream_of(lane, priority)
        local length = redis.call('XLEN', stream)
        if length > 0 then
            local held = redis.pcall('XPENDING', stream, GROUP)
            waiting = waiting + length - (held[1] or 0)
        end
    end
    return waiting
end
