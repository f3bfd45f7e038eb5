-- Read many jobs in one call: a client library spends more on each command than Redis does.
--
-- ARGV  1 number of fields  then the fields, then job ids
-- Returns a list of values per job, in the order asked.

local fields = {}
for i = 2, 1 + ARGV[1] do
    fields[#fields + 1] = ARGV[i]
end
local found = {}
for i = 2 + ARGV[1], #ARGV do
    found[#found + 1] = redis.call('HMGET', 'ps:job:' .. ARGV[i], unpack(fields))
end
return found
