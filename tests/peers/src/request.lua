-- A plugin that prices an order: fields and rows come as text, an invoice goes out.
-- Twenty lines, as people write them.
local order = "3 apples at 0.40, 12 eggs at 0.25, 1 bread at 2.80, 2 butter at 1.95, 6 water at 0.55"
local lines, total = {}, 0
for count, name, price in order:gmatch("(%d+) (%a+) at ([%d.]+)") do
  local sum = tonumber(count) * tonumber(price)
  if tonumber(count) >= 6 then
    sum = sum * 0.9
  end
  total = total + sum
  lines[#lines + 1] = { name = name, sum = sum }
end
table.sort(lines, function(a, b)
  return a.sum > b.sum
end)
for place, line in ipairs(lines) do
  lines[place] = string.format("%d. %-8s %6.2f", place, line.name, line.sum)
end
lines[#lines + 1] = string.format("   %-8s %6.2f", "total", total)
print(table.concat(lines, "\n"))
