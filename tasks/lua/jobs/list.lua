-- Read a page of an owner's jobs, newest first: merge the ids in its indexes and read their records.
-- Writes nothing.
--
-- KEYS  the indexes, each a set of ids in one state; a job is in one of them
-- Reads ps:job:{id} too.
-- Returns {position, {id, values}, ...}. position: the id behind which the next page begins, or ''
-- if there is none.
--
-- A record that has expired or has another status is skipped but counts as examined, so a page may be
-- short, even empty, and yet not the last.
-- include: arguments

local newest = ARGV[1] -- bounds of the ids, as ZRANGE BYLEX has them
local oldest = ARGV[2]
local most_jobs = tonumber(ARGV[3])
local most_examined = tonumber(ARGV[4]) -- ids
local status = ARGV[5] -- '' for any
local fields = arguments(6) -- of a record

local at_once = most_jobs + 1 -- one more tells whether there is a next page

-- The next ids, newest first; fewer than `at_once` if there are no more.
local function next_ids(from)
    local ids = {}
    for _, index in ipairs(KEYS) do
        local some = redis.call('ZRANGE', index, from, oldest, 'BYLEX', 'REV', 'LIMIT', 0, at_once)
        for _, id in ipairs(some) do
            ids[#ids + 1] = id
        end
    end
    if #KEYS > 1 then
        table.sort(ids, function(a, b) return a > b end)
    end
    return { unpack(ids, 1, math.min(#ids, at_once)) }
end

local function is_wanted(record)
    local found = redis.call('HGET', record, 'status')
    return found and (status == '' or found == status)
end

local page, last, examined = {}, '', 0
local from = newest
while true do
    local ids = next_ids(from)
    for _, id in ipairs(ids) do
        if examined == most_examined then
            return { last, unpack(page) }
        end
        local record = 'ps:job:' .. id
        if is_wanted(record) then
            if #page == most_jobs then
                return { last, unpack(page) }
            end
            page[#page + 1] = { id, redis.call('HMGET', record, unpack(fields)) }
        end
        last, examined = id, examined + 1
    end
    if #ids < at_once then
        return { '', unpack(page) }
    end
    from = '(' .. last
end
