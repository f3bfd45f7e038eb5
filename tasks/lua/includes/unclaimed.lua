-- The units of a stream that no worker has claimed. Key: ps:lane:{lane}:{priority}.

-- The id of the last entry of a stream that a worker has claimed.
local function last_claimed_id(stream)
    local groups = redis.pcall('XINFO', 'GROUPS', stream)
    return groups[1] and groups[1][8] or '0-0'
end

-- The oldest entry of a stream that no worker has claimed, or nil.
local function first_unclaimed(stream)
    return redis.call('XRANGE', stream, '(' .. last_claimed_id(stream), '+', 'COUNT', 1)[1]
end

-- When an entry was added, in ms: the first half of its id. Returns text.
local function added_ms(entry_id)
    return entry_id:match('^%d+')
end
