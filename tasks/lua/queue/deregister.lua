-- A worker that stops in good order takes itself off the lists.
--
-- ARGV  1 lane  2 consumer

redis.call('ZREM', 'ps:workers', ARGV[1] .. '/' .. ARGV[2])
for _, priority in ipairs(PRIORITIES) do
    forget(stream_of(ARGV[1], priority), ARGV[2])
end
