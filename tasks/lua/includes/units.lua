-- Units in their lanes: how they are written and read, and how owners take turns.
-- Keys: ps:lane:{lane}:{priority}, its :line:{owner}, :lines and :ahead, ps:lane:{lane}:load.

-- Add a unit to the load of its lane (sign 1), or subtract it (sign -1). stream: any of the lane's.
local function change_load(stream, sign, items, bytes)
    local load = load_key(stream:match('^ps:lane:(%a+):'))
    redis.call('HINCRBY', load, 'items', sign * items)
    redis.call('HINCRBY', load, 'bytes', sign * bytes)
end

-- Acknowledge and delete a unit. stream: where it stands, also an owner's queue.
local function delete_unit(stream, entry_id, items, bytes)
    redis.call('XACK', stream, GROUP, entry_id)
    if redis.call('XDEL', stream, entry_id) == 1 then
        change_load(stream, -1, items, bytes)
    end
end

-- A unit from the fields of its stream entry, which stand in this order, a name before each value.
local function parse_unit(fields)
    return {
        job = fields[2], unit = fields[4], items = fields[6], owner = fields[8], cpu = fields[10],
        bytes = fields[12], payload = fields[14], reason = fields[16] or '',
        left = fields[18],
    }
end

-- Fair queueing between owners. Workers claim from a lane's stream in order, so the stream is kept
-- short: an owner has at most MOST_AHEAD unclaimed items there, or one unit, and the rest in a queue of
-- its own behind the stream. When half of them are claimed, the next units of that queue move to the
-- end of the stream. So owners take turns: a new job waits for a few items of each other owner, however
-- many these have sent. An owner with a long queue has fewer items ahead, hence shorter turns.
local MOST_AHEAD = 16 -- items
local LONG_QUEUE = 256 -- units
local MOST_AHEAD_OF_LONG = 4 -- items of an owner whose queue is longer than that

local function owner_queue(stream, owner)
    return stream .. ':line:' .. owner
end

local function change_parked(stream, units)
    local lane, priority = stream:match('^ps:lane:(%a+):(%a+)$')
    redis.call('HINCRBY', load_key(lane), 'parked:' .. priority, units)
end

-- Delete an owner's queue that has become empty.
local function delete_queue(stream, owner)
    redis.call('DEL', owner_queue(stream, owner))
    redis.call('SREM', stream .. ':lines', owner)
end

-- Move units from an owner's queue to the stream until `room` items have moved. length: units in the
-- queue. Returns the items that have moved.
local function move_to_stream(stream, owner, length, room)
    local queue = owner_queue(stream, owner)
    local moved, items = {}, 0
    for _, entry in ipairs(redis.call('XRANGE', queue, '-', '+', 'COUNT', room)) do
        if items >= room then
            break
        end
        redis.call('XADD', stream, '*', unpack(entry[2]))
        moved[#moved + 1] = entry[1]
        items = items + parse_unit(entry[2]).items
    end
    change_parked(stream, -#moved)
    if #moved == length then
        delete_queue(stream, owner)
    else
        redis.call('XDEL', queue, unpack(moved))
    end
    return items
end

-- Note that an owner's unit no longer counts as ahead in the stream, and refill the stream from the
-- owner's queue. A unit counts until it is claimed; a webhook counts until it has left the stream, so
-- that a slow endpoint delays its own deliveries and does not fill the worker. Returns the items that
-- have moved to the stream.
local function refill_stream(stream, owner, items)
    local ahead_key = stream .. ':ahead'
    local ahead = redis.call('HINCRBY', ahead_key, owner, -items)
    local length = redis.call('XLEN', owner_queue(stream, owner))
    local is_long = length > LONG_QUEUE and not stream:find('ps:lane:webhooks:', 1, true)
    local most = is_long and MOST_AHEAD_OF_LONG or MOST_AHEAD
    local moved_items = 0
    if length > 0 and ahead <= most / 2 then
        moved_items = move_to_stream(stream, owner, length, most - ahead)
        ahead = redis.call('HINCRBY', ahead_key, owner, moved_items)
    end
    if ahead <= 0 then
        redis.call('HDEL', ahead_key, owner)
    end
    return moved_items
end

-- Put a unit at the end of its stream, or of its owner's queue if the owner has enough ahead.
local function enqueue(stream, unit)
    local fields = { 'job', unit.job, 'unit', unit.unit, 'items', unit.items, 'owner', unit.owner,
        'cpu', unit.cpu, 'bytes', unit.bytes, 'payload', unit.payload }
    if unit.reason ~= '' or unit.left then -- why it is not in the lane that was asked for
        fields[15], fields[16] = 'reason', unit.reason
    end
    if unit.left then -- its items without an answer, if they are not all
        fields[17], fields[18] = 'left', unit.left
    end
    change_load(stream, 1, unit.items, unit.bytes)
    local ahead_key, queues = stream .. ':ahead', stream .. ':lines'
    local ahead = tonumber(redis.call('HGET', ahead_key, unit.owner) or 0)
    if ahead < MOST_AHEAD and (ahead == 0 or redis.call('SISMEMBER', queues, unit.owner) == 0) then
        redis.call('XADD', stream, '*', unpack(fields))
        redis.call('HINCRBY', ahead_key, unit.owner, unit.items)
    else
        redis.call('XADD', owner_queue(stream, unit.owner), '*', unpack(fields))
        redis.call('SADD', queues, unit.owner)
        change_parked(stream, 1)
    end
end
