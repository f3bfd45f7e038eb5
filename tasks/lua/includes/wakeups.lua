-- Waking workers. Keys: ps:lane:{lane}:bell and ps:lane:{lane}:awake.

-- End the blocking pop of a worker that waits for new units of the lane.
local function wake_listener(lane)
    local key = 'ps:lane:' .. lane .. ':bell'
    if redis.call('EXISTS', key) == 0 then
        redis.call('RPUSH', key, '1')
        redis.call('PEXPIRE', key, 1000)
    end
end

-- Whether a worker of the lane claims again soon, so that it needs no wake-up message.
local function is_awake(lane)
    return redis.call('EXISTS', 'ps:lane:' .. lane .. ':awake') == 1
end
