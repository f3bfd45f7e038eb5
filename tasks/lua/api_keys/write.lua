-- Write records of API keys, unless any key was changed since the caller read them. It writes when the
-- memory is full as well, because a revoked key must not stay valid.
--
-- KEYS  1 keys  2 their version
-- Returns 1, or 0 if nothing was written.

local records, version_record = KEYS[1], KEYS[2]
local known_version = ARGV[1]
local FIRST_KEY, KEY_FIELDS = 2, 2

write_even_when_full()
if (redis.call('GET', version_record) or '') ~= known_version then
    return 0
end
for i = FIRST_KEY, #ARGV, KEY_FIELDS do
    local id, record = unpack(ARGV, i, i + 1)
    redis.call('HSET', records, id, record)
end
redis.call('SET', version_record, STAMP)
return 1
