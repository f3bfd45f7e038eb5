-- Leases: the pending entries of a stream's consumer group. Key: ps:lane:{lane}:{priority}.

-- Whether `consumer` holds the unit and its lease has not run out.
local function holds_lease(stream, entry_id, consumer, lease_ms)
    local held = redis.pcall('XPENDING', stream, GROUP, entry_id, entry_id, 1)[1]
    return type(held) == 'table' and held[2] == consumer and held[3] < lease_ms
end

-- Delete a consumer that holds no unit; one that does must stay, or its leases would be lost.
local function delete_idle_consumer(stream, consumer)
    local held = redis.pcall('XPENDING', stream, GROUP, '-', '+', 1, consumer)
    if not held.err and #held == 0 then
        redis.pcall('XGROUP', 'DELCONSUMER', stream, GROUP, consumer)
    end
end
