-- Which workers are alive. Key: ps:workers.

-- Lanes with a worker that sent a heartbeat within a lease.
local function live_lanes(lease_ms)
    local live = {}
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', 'ps:workers', NOW - lease_ms, '+inf')) do
        live[member:match('^[^/]+')] = true
    end
    return live
end
