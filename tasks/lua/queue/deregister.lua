-- Remove a worker that stops in good order from ps:workers and from the consumer groups of its lane.
-- Returns nothing.
-- include: leases

local lane = ARGV[1]
local consumer = ARGV[2]

redis.call('ZREM', 'ps:workers', lane .. '/' .. consumer)
for _, priority in ipairs(PRIORITIES) do
    delete_idle_consumer(stream_of(lane, priority), consumer)
end
