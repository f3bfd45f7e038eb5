-- Create, change or delete an endpoint, unless it has changed since the caller read it.
-- Touches ps:endpoints:{owner}, ps:hooks:{owner}, ps:drift:hooks, ps:webhooks:failing and
-- ps:webhooks:breaker:{endpoint}.
--
-- Returns done | changed (by somebody else) | full (the owner has as many as it may).

local owner = ARGV[1]
local endpoint = ARGV[2]
local known = ARGV[3] -- its JSON as read; '' if there was none
local wanted = ARGV[4] -- its JSON from now on; '' deletes it
local events = ARGV[5] -- separated by blanks, if it is enabled, else ''
local most_endpoints = tonumber(ARGV[6]) -- of an owner
local forget_failures = ARGV[7] == '1'

-- Set a field, or delete it if there is no value.
local function put(key, field, value)
    if value == '' then
        redis.call('HDEL', key, field)
    else
        redis.call('HSET', key, field, value)
    end
end

local endpoints = 'ps:endpoints:' .. owner
if (redis.call('HGET', endpoints, endpoint) or '') ~= known then
    return 'changed'
end
if known == '' and redis.call('HLEN', endpoints) >= most_endpoints then
    return 'full'
end
if known ~= '' then
    write_even_when_full()
end
put(endpoints, endpoint, wanted)
put('ps:hooks:' .. owner, endpoint, events)
put('ps:drift:hooks', endpoint, events:find('pipeline.drift', 1, true) and owner or '')
if forget_failures then
    redis.call('HDEL', 'ps:webhooks:failing', endpoint)
    redis.call('DEL', 'ps:webhooks:breaker:' .. endpoint)
end
return 'done'
