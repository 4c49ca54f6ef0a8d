// The bytes convention between host and guest, the same for every guest that takes bytes:
//
//   memory                          exported
//   alloc(count: i32) -> i32        address of `count` free bytes, 8-aligned; 0 = out of memory
//   f(ptr: i32, len: i32) -> i64    ptr << 32 | len of the answer; 0 = out of memory
//
// The host calls alloc, writes the input there, calls f, and reads the answer out of memory.
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

#include "types.h"

#define GUEST_EXPORT(name) __attribute__((export_name(name), visibility("default")))

// An address in the ABI. Only meaningful in a guest, where a pointer has 32 bits.
static inline u32 guest_address(const void *at) {
    return (u32)(uintptr_t)at;
}

static inline u64 guest_answer(u32 address, u32 len) {
    return (u64)address << 32 | len;
}

#endif
