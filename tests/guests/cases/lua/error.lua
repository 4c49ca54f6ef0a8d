-- An error ends the program: this much is printed, and the exit code is 1.
print("before")
local function fails(t) return t.missing.field end
fails({})
print("never reached")
