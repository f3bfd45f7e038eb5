-- End a job that has not ended. Its units stay in their lane and are dropped when claimed;
-- the result of a running unit is dropped by commit.
--
-- KEYS  1 job
-- ARGV  1 job id  2 record TTL, ms
-- Returns the status before the call, or nil if there is no such job.

write_even_when_full()
local status = redis.call('HGET', KEYS[1], 'status')
if status and not terminal(status) then
    finish(ARGV[1], 'cancelled', ARGV[2])
    announce()
end
return status
