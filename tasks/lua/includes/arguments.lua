-- Arguments that stand as a plain list behind the named ones.

-- The arguments from one position to another, or to the last, as a list. unpack() cannot return
-- thousands of values.
local function arguments(first, last)
    local list = {}
    for i = first, last or #ARGV do
        list[#list + 1] = ARGV[i]
    end
    return list
end
