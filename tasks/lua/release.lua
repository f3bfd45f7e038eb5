-- Hand units back unrun: claimable at once, and the claim is not counted as an attempt.
--
-- ARGV  1 lane  2 consumer  3 lease, ms   then per unit: stream, entry, job, unit
-- Returns the number of units released.

local lane, consumer, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local released = 0
for i = 4, #ARGV, 4 do
    local stream, entry = ARGV[i], ARGV[i + 1]
    if holds(stream, entry, consumer, lease) then
        redis.call('XCLAIM', stream, GROUP, consumer, 0, entry, 'IDLE', lease, 'JUSTID')
        redis.call('HINCRBY', 'ps:job:' .. ARGV[i + 2], 'a:' .. ARGV[i + 3], -1)
        released = released + 1
    end
end
ring(lane)
return released
