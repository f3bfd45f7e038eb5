-- A page of an owner's jobs, newest first: ids from its indexes, merged, with their records.
--
-- KEYS  the indexes, each a set of ids in one state; a job is in one of them
-- ARGV  1 newest bound and 2 oldest bound, as ZRANGE BYLEX has them  3 most jobs
--       4 most ids looked at  5 status, or '' for any   then the fields of a record
-- Returns {position, {id, values}, ...}. position: the id behind which the next page begins, or ''
-- if there is none.
--
-- What is skipped, a record that has expired or has another status, counts as looked at, so that a
-- page may be short, even empty, and yet not the last.

local from, oldest, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local most_looked_at, status = tonumber(ARGV[4]), ARGV[5]
local fields = { unpack(ARGV, 6) }
local at_once = limit + 1 -- one more tells whether there is a next page

-- The next ids, newest first; fewer than `at_once` if there are no more.
local function next_ids()
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

local function wanted(key)
    local found = redis.call('HGET', key, 'status')
    return found and (status == '' or found == status)
end

local page, last, looked_at = {}, '', 0
while true do
    local ids = next_ids()
    for _, id in ipairs(ids) do
        if looked_at == most_looked_at then
            return { last, unpack(page) }
        end
        local key = 'ps:job:' .. id
        if wanted(key) then
            if #page == limit then
                return { last, unpack(page) }
            end
            page[#page + 1] = { id, redis.call('HMGET', key, unpack(fields)) }
        end
        last, looked_at = id, looked_at + 1
    end
    if #ids < at_once then
        return { '', unpack(page) }
    end
    from = '(' .. last
end
