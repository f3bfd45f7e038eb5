-- Tell how long the oldest waiting unit of each lane has waited. Writes nothing. Reads the lanes'
-- streams and queues and ps:job:{id}.
--
-- Returns a number of ms per lane; 0 if none waits.
--
-- A unit that waits in its owner's queue gets a new id when it moves to the stream, so its age is that
-- of its job. For webhooks, whose next attempt may be due long after the first, it is that of the unit.
-- include: arguments, unclaimed, units

local lanes = arguments(1)

local MOST_QUEUES = 64 -- of owners, that are looked at

local function age_ms(lane, entry)
    if not entry then
        return 0
    end
    local created_us = lane ~= 'webhooks'
        and redis.call('HGET', 'ps:job:' .. parse_unit(entry[2]).job, 'created')
    return NOW - (created_us and created_us / 1000 or added_ms(entry[1]))
end

local function oldest_of_stream(lane, stream)
    local oldest = 0
    if redis.call('EXISTS', stream) == 1 then
        oldest = math.max(oldest, age_ms(lane, first_unclaimed(stream)))
    end
    for _, owner in ipairs(redis.call('SRANDMEMBER', stream .. ':lines', MOST_QUEUES)) do
        local first = redis.call('XRANGE', owner_queue(stream, owner), '-', '+', 'COUNT', 1)[1]
        oldest = math.max(oldest, age_ms(lane, first))
    end
    return oldest
end

local answer = {}
for i, lane in ipairs(lanes) do
    local oldest = 0
    for _, priority in ipairs(PRIORITIES) do
        oldest = math.max(oldest, oldest_of_stream(lane, stream_of(lane, priority)))
    end
    answer[i] = math.floor(oldest)
end
return answer
