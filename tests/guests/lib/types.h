// Short names for the fixed-width types: the guests run where a pointer has 32 bits (wasm32) and,
// under check.sh, where it has 64, so nothing here may depend on the width of `long` or a pointer.
#ifndef GUEST_TYPES_H
#define GUEST_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t i32;
typedef int64_t i64;

// Bytes that belong to somebody else.
struct slice {
    const u8 *at;
    u32 len;
};

#endif
