-- Tables, closures, metatables, integer and float keys, sorting, garbage.
local function class(base)
  local c = {}
  c.__index = c
  return setmetatable(c, { __index = base, __call = function(self, ...)
    local o = setmetatable({}, self)
    o:init(...)
    return o
  end })
end
local Animal = class()
function Animal:init(name) self.name = name end
function Animal:speak() return self.name .. " says " .. self:sound() end
local Dog = class(Animal)
function Dog:sound() return "woof" end
local Cat = class(Animal)
function Cat:sound() return "meow" end
Cat.__lt = function(a, b) return a.name < b.name end
Cat.__eq = function(a, b) return a.name == b.name end
Cat.__tostring = function(c) return "cat " .. c.name end
Cat.__len = function(c) return #c.name end
Cat.__concat = function(a, b) return tostring(a) .. "+" .. tostring(b) end
local a, b = Cat("Tom"), Cat("Felix")
print(Dog("Rex"):speak(), a:speak(), b < a, a == Cat("Tom"), tostring(a), #b, a .. b)

local vector = setmetatable({}, { __index = function(t, k) return k * k end, __newindex = function(t, k, v) rawset(t, k, v * 2) end })
vector[3] = 10
print(vector[3], vector[7], rawget(vector, 7))

local list, seed = {}, 12345
for i = 1, 5000 do
  seed = (seed * 1103515245 + 12345) % 2147483648
  list[i] = seed
end
table.sort(list)
local ok = true
for i = 2, #list do ok = ok and list[i - 1] <= list[i] end
print(ok, list[1], list[2500], list[5000])
table.sort(list, function(x, y) return x % 1000 > y % 1000 or x % 1000 == y % 1000 and x < y end)
print(list[1], list[5000], select("#", table.unpack(list, 1, 100)))

local counters = {}
for i = 1, 3 do
  local n = 0
  counters[i] = function() n = n + i return n end
end
for _ = 1, 4 do for i = 1, 3 do io.write(counters[i](), " ") end end
print()
local t = { 1, 2, 3, nil, 5, x = 1, [2.0] = "two", [1.5] = "float" }
print(t[2], t[1.5], t.x, #"12345", next({}), table.concat({ 1, 2, 3 }, ", "), table.remove(t, 1), t[1])
table.insert(t, 1, "first")
table.move(t, 1, 3, 5)
print(t[1], t[5], t[6], t[7])

local weak = setmetatable({}, { __mode = "v" })
local closed = {}
do
  local guard <close> = setmetatable({}, { __close = function() closed[#closed + 1] = "closed" end })
  weak[1] = {}
end
collectgarbage()
print(#closed, weak[1])
for i = 1, 200000 do local garbage = { i, tostring(i) } end
collectgarbage("generational")
for i = 1, 200000 do local garbage = { i } end
print(collectgarbage("count") < 20000, goto_works)
for i = 1, 3 do
  for j = 1, 3 do
    if j == 2 then goto continue end
    io.write(i, j, " ")
    ::continue::
  end
end
print()
print(pcall(function(...) return select("#", ...) end, 1, 2, 3), pcall(string.rep, "a", 3))
print(load("local a, b = ... return a * b, _VERSION")(6, 7))
