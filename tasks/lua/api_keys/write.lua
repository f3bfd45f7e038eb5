-- Write records of API keys, unless any key was changed since the caller read them. A full memory
-- is no reason to let a revoked key live.
--
-- KEYS  1 keys  2 their version
-- ARGV  1 version that the caller has read, then id and record of each key that changes
-- Returns 1, or 0 if nothing was written.

write_even_when_full()
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] then
    return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('SET', KEYS[2], STAMP)
return 1
