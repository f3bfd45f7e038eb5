-- Record a heartbeat of a worker, and renew the leases that it still holds.
-- Touches ps:workers and the lane's streams.
--
-- Returns the entries whose lease was lost.
-- include: leases

local lane = ARGV[1]
local consumer = ARGV[2]
local lease_ms = tonumber(ARGV[3])
local FIRST_UNIT, UNIT_FIELDS = 4, 2

write_even_when_full()
redis.call('ZADD', 'ps:workers', NOW, lane .. '/' .. consumer)
local lost = {}
for i = FIRST_UNIT, #ARGV, UNIT_FIELDS do
    local stream, entry = unpack(ARGV, i, i + 1)
    if holds_lease(stream, entry, consumer, lease_ms) then
        redis.call('XCLAIM', stream, GROUP, consumer, 0, entry, 'JUSTID')
    else
        lost[#lost + 1] = entry
    end
end
return lost
