-- The API keys, if they are not those that the caller has read already.
--
-- KEYS  1 keys  2 their version
-- ARGV  1 version that the caller has
-- Returns Redis's time (us), the version, and, if it is another one, id and record of every key.

local version = redis.call('GET', KEYS[2]) or ''
if version == ARGV[1] then
    return { STAMP, version }
end
return { STAMP, version, redis.call('HGETALL', KEYS[1]) }
