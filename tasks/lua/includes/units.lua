-- Units in their lanes: how they are written and read, and how owners take turns. Behind prelude.lua.

-- Count what enters (1) or leaves (-1) a lane into its load. stream: any of the lane's.
local function weigh(stream, sign, items, bytes)
    local load = load_of(stream:match('^ps:lane:(%a+):'))
    redis.call('HINCRBY', load, 'items', sign * items)
    redis.call('HINCRBY', load, 'bytes', sign * bytes)
end

local function drop(stream, entry, items, bytes)
    redis.call('XACK', stream, GROUP, entry)
    if redis.call('XDEL', stream, entry) == 1 then
        weigh(stream, -1, items, bytes)
    end
end

-- The fields of a unit, in the order in which a stream entry has them: a name before each value.
local function unit_of(fields)
    return {
        job = fields[2], unit = fields[4], items = fields[6], owner = fields[8], cpu = fields[10],
        bytes = fields[12], payload = fields[14], reason = fields[16] or '',
        left = fields[18],
    }
end

-- What a unit asks; that of a streamed upload lies beside its job.
local function payload_of(unit)
    if unit.payload == '' then
        return redis.call('HGET', 'ps:inputs:' .. unit.job, unit.unit)
    end
    return unit.payload
end

-- Fairness between owners. Workers claim from a lane's stream in order, so it is kept short: an owner
-- has at most MOST_AHEAD items or one unit there that nobody holds, and the rest in a line of its own
-- behind it. When half of them are left, the next of that line step up to the end. So owners take
-- turns, and whoever comes waits for a few items of each other owner, however much these have sent.
-- Whoever floods yields: an owner with a long line has fewer items ahead, hence shorter turns.
local MOST_AHEAD, LONG_LINE, MOST_AHEAD_OF_LONG = 16, 256, 4

local function line_of(stream, owner)
    return stream .. ':line:' .. owner
end

local function count_parked(stream, units)
    local lane, priority = stream:match('^ps:lane:(%a+):(%a+)$')
    redis.call('HINCRBY', load_of(lane), 'parked:' .. priority, units)
end

-- Units of a line of `length` for which there is room go to the stream. Returns their items.
local function step_up(stream, owner, length, room)
    local line = line_of(stream, owner)
    local moved, items = {}, 0
    for _, entry in ipairs(redis.call('XRANGE', line, '-', '+', 'COUNT', room)) do
        if items >= room then
            break
        end
        redis.call('XADD', stream, '*', unpack(entry[2]))
        moved[#moved + 1] = entry[1]
        items = items + unit_of(entry[2]).items
    end
    count_parked(stream, -#moved)
    if #moved == length then
        redis.call('DEL', line)
        redis.call('SREM', stream .. ':lines', owner)
    else
        redis.call('XDEL', line, unpack(moved))
    end
    return items
end

-- An owner's unit is no longer among those of the stream that nobody holds. Of webhooks, it has left
-- the stream: held ones count, so that a slow endpoint delays its own deliveries and fills no worker.
-- Returns the items that have stepped up in its place.
local function depart(stream, owner, items)
    local places = stream .. ':ahead'
    local ahead = redis.call('HINCRBY', places, owner, -items)
    local length = redis.call('XLEN', line_of(stream, owner))
    local long = length > LONG_LINE and not stream:find('ps:lane:webhooks:', 1, true)
    local most = long and MOST_AHEAD_OF_LONG or MOST_AHEAD
    local more = 0
    if length > 0 and ahead <= most / 2 then
        more = step_up(stream, owner, length, most - ahead)
        ahead = redis.call('HINCRBY', places, owner, more)
    end
    if ahead <= 0 then
        redis.call('HDEL', places, owner)
    end
    return more
end

-- Put a unit at the end of its stream, or of its owner's line behind it.
local function append(stream, unit)
    local fields = { 'job', unit.job, 'unit', unit.unit, 'items', unit.items, 'owner', unit.owner,
        'cpu', unit.cpu, 'bytes', unit.bytes, 'payload', unit.payload }
    if unit.reason ~= '' or unit.left then -- why it does not stand in the lane that was asked for
        fields[15], fields[16] = 'reason', unit.reason
    end
    if unit.left then -- its items that have no answer yet, if they are not all
        fields[17], fields[18] = 'left', unit.left
    end
    weigh(stream, 1, unit.items, unit.bytes)
    local places, lines = stream .. ':ahead', stream .. ':lines'
    local ahead = tonumber(redis.call('HGET', places, unit.owner) or 0)
    if ahead < MOST_AHEAD and (ahead == 0 or redis.call('SISMEMBER', lines, unit.owner) == 0) then
        redis.call('XADD', stream, '*', unpack(fields))
        redis.call('HINCRBY', places, unit.owner, unit.items)
    else
        redis.call('XADD', line_of(stream, unit.owner), '*', unpack(fields))
        redis.call('SADD', lines, unit.owner)
        count_parked(stream, 1)
    end
end
