-- Heartbeat: the worker is alive, and the leases it still holds start anew.
--
-- ARGV  1 lane/consumer  2 consumer  3 lease, ms   then per unit: stream, entry
-- Returns the entries whose lease was lost.

local consumer, lease = ARGV[2], tonumber(ARGV[3])
write_even_when_full()
redis.call('ZADD', 'ps:workers', NOW, ARGV[1])
local lost = {}
for i = 4, #ARGV, 2 do
    local stream, entry = ARGV[i], ARGV[i + 1]
    if holds(stream, entry, consumer, lease) then
        redis.call('XCLAIM', stream, GROUP, consumer, 0, entry, 'JUSTID')
    else
        lost[#lost + 1] = entry
    end
end
return lost
