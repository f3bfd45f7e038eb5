-- Hand claimed units back unrun: each can be claimed at once, and its claim does not count as an
-- attempt. A unit whose lease was lost is left alone.
-- Touches the lane's streams and the records of the units.
--
-- Returns the number of units released.
-- include: leases, wakeups

local lane = ARGV[1]
local consumer = ARGV[2]
local lease_ms = tonumber(ARGV[3])
local FIRST_UNIT, UNIT_FIELDS = 4, 5

write_even_when_full()
local records = lane == 'webhooks' and 'ps:delivery:' or 'ps:job:'
local released = 0
for i = FIRST_UNIT, #ARGV, UNIT_FIELDS do
    local stream, entry, job, unit, attempt = unpack(ARGV, i, i + 4)
    local record, claims = records .. job, 'a:' .. unit
    if holds_lease(stream, entry, consumer, lease_ms)
        and redis.call('HGET', record, claims) == attempt then
        -- Idle for a whole lease: the next claim takes it as one whose lease has run out.
        redis.call('XCLAIM', stream, GROUP, consumer, 0, entry, 'IDLE', lease_ms, 'JUSTID')
        redis.call('HINCRBY', record, claims, -1)
        released = released + 1
    end
end
wake_listener(lane)
return released
