-- Strings: patterns, formats, packing, UTF-8, building.
local text = "The quick brown fox jumps over the lazy dog; 42 times, or 3.5e2 or 0x1F."
for word in text:gmatch("%a+") do io.write(#word, word:sub(1, 1):upper(), " ") end
print()
print(text:gsub("(%w+) (%w+)", "%2 %1"))
print(text:find("(%d+) (%a+)"), text:match("0x(%x+)"), ("x"):rep(5, "-"), ("abc"):reverse():byte(1, -1))
print(("%5d|%-5d|%05d|%x|%o|%e|%g|%.3f|%q|%s|%10.4s|%c"):format(42, 42, 42, 255, 8, 12345.678, 1e20, 2 / 3, "a\n\"b\"\0", true, "truncated", 65))
print(("%a"):format(0.5) ~= nil, ("%i"):format(3.0), tostring(1e15), tostring(2 ^ 53), 10 // 3, -7 // 2, -7 % 3, 7.5 // 2, 1e308 * 10, -(0 / 0) ~= 0 / 0)
local packed = string.pack("<i4>I2zs1d", -2, 513, "zero", "counted", 1.5)
print(#packed, packed:byte(1, 6), string.unpack("<i4>I2zs1d", packed))
for position, code in utf8.codes("häß€😀") do io.write(position, ":", code, " ") end
print(utf8.char(72, 228, 8364, 128512), utf8.len("häß€😀"), #"häß€😀")
local parts = {}
for i = 1, 2000 do parts[#parts + 1] = i % 15 == 0 and "FizzBuzz" or i % 5 == 0 and "Buzz" or i % 3 == 0 and "Fizz" or tostring(i) end
local all = table.concat(parts, " ")
local sum = 0
for i = 1, #all do sum = (sum * 31 + all:byte(i)) % 1000000007 end
print(#all, sum)
print(("x = %d, y = %d"):rep(3, "; "):format(1, 2, 3, 4, 5, 6):gsub("%d", { ["1"] = "one", ["6"] = "six" }))
print(("a,b,,c"):gsub(",", function() return nil end), ("hello world"):gsub("o", "0", 1), ("  trim  "):match("^%s*(.-)%s*$") .. "|")
print(math.maxinteger, math.mininteger, math.maxinteger + 1 == math.mininteger, 0x7fffffffffffffff, 1 << 62, ~0, 5 & 3, 5 | 3, 5 ~ 3, "10" + 5, 3 | 0)
print(tonumber("0x1p4"), tonumber("  12  "), tonumber("z", 36), tonumber("1e"), tonumber("077", 8), math.type(1), math.type(1.0), math.tointeger(3.0))
