-- Read many jobs in one call, because a client library spends more time on each command than Redis.
-- Writes nothing. Reads ps:job:{id}.
--
-- Returns a list of values per job, in the order asked.
-- include: arguments

local field_count = ARGV[1]
local fields = arguments(2, 1 + field_count)
local jobs = arguments(2 + field_count)

local records = {}
for i, job in ipairs(jobs) do
    records[i] = redis.call('HMGET', 'ps:job:' .. job, unpack(fields))
end
return records
