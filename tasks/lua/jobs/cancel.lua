-- Cancel a job that has not ended, atomically with all that its end entails (finish.lua).
--
-- Its units stay in their lane and are dropped when claimed; commit drops the result of a running one.
-- KEYS  1 job
-- Returns the status before the call, or nil if there is no such job.
-- include: finish

local job_record = KEYS[1]
local job = ARGV[1]
local result_ttl_ms = ARGV[2]

write_even_when_full()
local status = redis.call('HGET', job_record, 'status')
if status and not is_terminal(status) then
    finish_job(job, 'cancelled', result_ttl_ms)
    publish_changes()
end
return status
