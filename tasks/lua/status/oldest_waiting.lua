-- How long the oldest waiting unit of each lane has waited, in ms; 0 if none waits. Writes nothing.
--
-- ARGV  the lanes
-- What waits in an owner's line enters the stream anew, so a unit's age is that of its job. Of webhooks,
-- whose next attempt may be due long after the first, it is that of the unit.

local MOST_LINES = 64

local function age(lane, entry)
    if not entry then
        return 0
    end
    local created = lane ~= 'webhooks' and redis.call('HGET', 'ps:job:' .. unit_of(entry[2]).job, 'created')
    return NOW - (created and created / 1000 or entry[1]:match('^%d+'))
end

local answer = {}
for i, lane in ipairs(ARGV) do
    local oldest = 0
    for _, priority in ipairs(PRIORITIES) do
        local stream = stream_of(lane, priority)
        if redis.call('EXISTS', stream) == 1 then
            local first = redis.call('XRANGE', stream, '(' .. delivered(stream), '+', 'COUNT', 1)[1]
            oldest = math.max(oldest, age(lane, first))
        end
        for _, owner in ipairs(redis.call('SRANDMEMBER', stream .. ':lines', MOST_LINES)) do
            local first = redis.call('XRANGE', line_of(stream, owner), '-', '+', 'COUNT', 1)[1]
            oldest = math.max(oldest, age(lane, first))
        end
    end
    answer[i] = math.floor(oldest)
end
return answer
