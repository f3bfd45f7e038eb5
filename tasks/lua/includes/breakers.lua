-- Circuit breakers of tiers. Key: ps:breakers.

-- The state of a circuit breaker: failed calls in a row, and until when (ms) it is open; 0, 0 if it
-- has no record.
local function breaker_state(name)
    local known = redis.call('HGET', 'ps:breakers', name)
    if not known then
        return 0, 0
    end
    local failures, open_until = known:match('^(%d+) (%d+)$')
    return tonumber(failures), tonumber(open_until)
end
