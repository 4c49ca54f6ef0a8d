-- Programs that compute: queens, permutations, a matrix, a random walk, life.
local function queens(n)
  local count, columns, up, down = 0, {}, {}, {}
  local function place(row)
    if row > n then count = count + 1 return end
    for c = 1, n do
      if not (columns[c] or up[row + c] or down[row - c]) then
        columns[c], up[row + c], down[row - c] = true, true, true
        place(row + 1)
        columns[c], up[row + c], down[row - c] = nil, nil, nil
      end
    end
  end
  place(1)
  return count
end
print("queens", queens(7))

local function fannkuch(n)
  local p, q, s, sign, most, sum = {}, {}, {}, 1, 0, 0
  for i = 1, n do p[i], q[i], s[i] = i, i, i end
  repeat
    local first = p[1]
    if first ~= 1 then
      for i = 2, n do q[i] = p[i] end
      local flips = 1
      while true do
        local next_first = q[first]
        if next_first == 1 then
          sum = sum + sign * flips
          if flips > most then most = flips end
          break
        end
        q[first] = first
        if first >= 4 then
          local i, j = 2, first - 1
          repeat q[i], q[j] = q[j], q[i] i = i + 1 j = j - 1 until i >= j
        end
        first = next_first
        flips = flips + 1
      end
    end
    if sign == 1 then
      p[2], p[1] = p[1], p[2]
      sign = -1
    else
      p[2], p[3] = p[3], p[2]
      sign = 1
      for i = 3, n do
        local si = s[i]
        if si ~= 1 then s[i] = si - 1 break end
        if i == n then return sum, most end
        s[i] = i
        local t = p[1]
        for j = 1, i do p[j] = p[j + 1] end
        p[i + 1] = t
      end
    end
  until false
end
print("fannkuch", fannkuch(7))

local function matrix(n)
  local a, b = {}, {}
  for i = 1, n do
    a[i], b[i] = {}, {}
    for j = 1, n do a[i][j], b[i][j] = (i * j) % 7 + 0.5, (i + j) % 5 - 0.25 end
  end
  local trace = 0
  for i = 1, n do
    for j = 1, n do
      local sum = 0
      for k = 1, n do sum = sum + a[i][k] * b[k][j] end
      if i == j then trace = trace + sum end
    end
  end
  return trace
end
print("matrix", matrix(40))

math.randomseed(7)
local x, y = 0, 0
for i = 1, 10000 do
  local direction = math.random(4)
  if direction == 1 then x = x + 1 elseif direction == 2 then x = x - 1 elseif direction == 3 then y = y + 1 else y = y - 1 end
end
print("walk", x, y, string.format("%.10f", math.random()))

local function life(size, steps)
  local grid = {}
  for i = 0, size * size - 1 do grid[i] = (i * i + 3 * i) % 7 < 3 and 1 or 0 end
  for _ = 1, steps do
    local next_grid = {}
    for r = 0, size - 1 do
      for c = 0, size - 1 do
        local n = 0
        for dr = -1, 1 do
          for dc = -1, 1 do
            if dr ~= 0 or dc ~= 0 then n = n + grid[(r + dr) % size * size + (c + dc) % size] end
          end
        end
        local here = grid[r * size + c]
        next_grid[r * size + c] = (n == 3 or here == 1 and n == 2) and 1 or 0
      end
    end
    grid = next_grid
  end
  local alive = 0
  for i = 0, size * size - 1 do alive = alive + grid[i] end
  return alive
end
print("life", life(24, 30))
local words = {}
for w in (("the cat and the dog and the bird "):rep(300)):gmatch("%a+") do words[w] = (words[w] or 0) + 1 end
local names = {}
for w in pairs(words) do names[#names + 1] = w end
table.sort(names)
for _, w in ipairs(names) do io.write(w, "=", words[w], " ") end
print()
