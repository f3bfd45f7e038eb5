-- Read the API keys, unless the caller has read this version of them already. Writes nothing.
--
-- KEYS  1 keys  2 their version
-- Returns {Redis's time (us), the version, and, if it is another one, id and record of every key}.

local records, version_record = KEYS[1], KEYS[2]
local known_version = ARGV[1]

local version = redis.call('GET', version_record) or ''
if version == known_version then
    return { STAMP, version }
end
return { STAMP, version, redis.call('HGETALL', records) }
