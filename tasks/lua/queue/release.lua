-- Hand units back unrun: claimable at once, and the claim is not counted as an attempt.
--
-- ARGV  1 lane  2 consumer  3 lease, ms   then per unit: stream, entry, job, unit, attempt
-- Returns the number of units released.

local lane, consumer, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
write_even_when_full()
local records = lane == 'webhooks' and 'ps:delivery:' or 'ps:job:'
local released = 0
for i = 4, #ARGV, 5 do
    local stream, entry, job, unit, attempt = unpack(ARGV, i, i + 4)
    local key, claims = records .. job, 'a:' .. unit
    if holds(stream, entry, consumer, lease) and redis.call('HGET', key, claims) == attempt then
        redis.call('XCLAIM', stream, GROUP, consumer, 0, entry, 'IDLE', lease, 'JUSTID')
        redis.call('HINCRBY', key, claims, -1)
        released = released + 1
    end
end
ring(lane)
return released
