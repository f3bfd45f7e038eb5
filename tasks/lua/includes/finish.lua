-- The end of units and jobs.
-- include: series, units, webhooks, wakeups
-- Keys: ps:job:{id}, ps:jobs:{owner}:{state}, ps:counts, ps:unfinished, ps:deadlines, ps:inputs:{id},
-- ps:done, and those of series.lua, units.lua and webhooks.lua.

local function is_terminal(status)
    return status ~= 'queued' and status ~= 'running'
end

-- The index of an owner's jobs in one state: open, or a terminal status.
local function job_index(owner, state)
    return 'ps:jobs:' .. owner .. ':' .. state
end

local finished_ids = {} -- ids of the jobs that this run finished
local finished_jobs = {} -- and what is reported of each, see tasks/jobs/finished.py

-- Give back what an unfinished job occupies: quota, deadline, staged inputs.
local function free_resources(job, record)
    local unfinished = record.total - (record.done or 0)
    if unfinished > 0 then
        redis.call('HINCRBY', 'ps:unfinished', record.owner, -unfinished)
    end
    if record.deadline then
        redis.call('ZREM', 'ps:deadlines', job)
    end
    if record.staged then
        redis.call('DEL', 'ps:inputs:' .. job)
    end
end

-- Count the end of a job, and how long the job took if the caller knows what answered it.
local function count_end(record, status, answered)
    local pipeline = answered and answered:match('^[^|]*') or cjson.decode(record.spec).pipeline
    count('jobs|' .. pipeline .. '|' .. status, 1)
    add_usage(record.owner, record.lane .. '|' .. pipeline .. '|jobs', 1)
    if answered then
        local labels = pipeline .. '|' .. record.lane .. answered:match('|.*$')
        local started = record.started or STAMP
        observe_duration('job', labels, STAMP - record.created)
        observe_duration('queue', labels, started - record.created)
        observe_duration('inference', labels, STAMP - started)
    end
end

-- End a job with a terminal status. answered: pipeline|tier|model version of its answer, if the caller
-- knows it.
local function finish_job(job, status, ttl_ms, answered)
    local key = 'ps:job:' .. job
    local values = redis.call('HMGET', key, 'owner', 'total', 'done', 'deadline',
        'staged', 'hook', 'lane', 'created', 'started', 'failed', 'attempts', 'cached', 'spec')
    local record = {
        owner = values[1], total = values[2], done = values[3], deadline = values[4],
        staged = values[5], hook = values[6], lane = values[7], created = values[8],
        started = values[9], failed = values[10], attempts = values[11], cached = values[12],
        spec = values[13],
    }
    redis.call('HSET', key, 'status', status, 'finished', STAMP)
    redis.call('PEXPIRE', key, ttl_ms)
    redis.call('HINCRBY', 'ps:counts', status, 1)
    redis.call('ZREM', job_index(record.owner, 'open'), job)
    redis.call('ZADD', job_index(record.owner, status), 0, job)
    free_resources(job, record)
    count_end(record, status, answered)
    finished_ids[#finished_ids + 1] = job
    finished_jobs[#finished_jobs + 1] = { -- in the order that tasks/jobs/finished.py reads
        job, status, record.lane, record.created, record.started, STAMP, record.total,
        record.failed, record.attempts, record.cached, record.spec, answered or '',
    }
    create_job_deliveries(job, record.owner, 'job.' .. status, record.hook, ttl_ms)
end

-- Store a unit's outcomes and delete it from its lane; the last unit ends the job. answered: see
-- `finish_job`. Returns the job's owner.
local function settle_unit(stream, entry_id, job, unit, items, bytes, failed, outcomes, ttl_ms, answered)
    local key = 'ps:job:' .. job
    delete_unit(stream, entry_id, items, bytes)
    redis.call('HSET', key, 'r:' .. unit, outcomes)
    local done = redis.call('HINCRBY', key, 'done', items)
    local all_failed = failed
    if tonumber(failed) > 0 then
        all_failed = redis.call('HINCRBY', key, 'failed', failed)
    end
    local total, owner = unpack(redis.call('HMGET', key, 'total', 'owner'))
    redis.call('HINCRBY', 'ps:unfinished', owner, -items)
    total = tonumber(total)
    if done >= total then
        finish_job(job, tonumber(all_failed) >= total and 'failed' or 'succeeded', ttl_ms, answered)
    end
    return owner
end

-- The last step of a script that may have ended jobs: write what was counted, publish the ids of the
-- finished jobs, and wake the worker of webhooks if it listens. Returns 1 if that worker sleeps and
-- must be sent a wake-up message.
local function publish_changes()
    write_counts()
    if #finished_ids > 0 then
        redis.call('PUBLISH', 'ps:done', table.concat(finished_ids, ' '))
    end
    if webhooks_queued then
        wake_listener('webhooks')
        return is_awake('webhooks') and 0 or 1
    end
    return 0
end
