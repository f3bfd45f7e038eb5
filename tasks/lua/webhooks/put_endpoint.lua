-- Make an endpoint, change it or take it away, unless it has changed since the caller read it.
--
-- ARGV  1 owner  2 endpoint  3 its JSON as read, '' if there was none  4 its JSON from now on, '' to
--       take it away  5 its events if it is enabled, else ''  6 most endpoints of an owner
--       7 '1' to forget that it failed
-- Returns done | changed | full.

local owner, id, known, wanted = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local endpoints, hooks = 'ps:endpoints:' .. owner, 'ps:hooks:' .. owner

if (redis.call('HGET', endpoints, id) or '') ~= known then
    return 'changed'
end
if known == '' and redis.call('HLEN', endpoints) >= tonumber(ARGV[6]) then
    return 'full'
end
if known ~= '' then
    write_even_when_full()
end
if wanted == '' then
    redis.call('HDEL', endpoints, id)
else
    redis.call('HSET', endpoints, id, wanted)
end
if ARGV[5] == '' then
    redis.call('HDEL', hooks, id)
else
    redis.call('HSET', hooks, id, ARGV[5])
end
if ARGV[5]:find('pipeline.drift', 1, true) then
    redis.call('HSET', 'ps:drift:hooks', id, owner)
else
    redis.call('HDEL', 'ps:drift:hooks', id)
end
if ARGV[7] == '1' then
    redis.call('HDEL', 'ps:webhooks:failing', id)
    redis.call('DEL', 'ps:webhooks:breaker:' .. id)
end
return 'done'
