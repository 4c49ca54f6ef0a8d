// Lua includes it, but with config.h needs nothing of it; the C library of WASI has none.
