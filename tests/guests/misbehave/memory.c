// Reads, writes and growth, in bounds or not, and answers that point out of memory.
#include "../lib/bytes.h"
#include "../lib/guest.h"
#include "../lib/heap.h"

enum { PAGE_BYTES = 65536 };

extern u8 __heap_base;

static u64 memory_bytes(void) {
    return (u64)__builtin_wasm_memory_size(0) * PAGE_BYTES;
}

GUEST_EXPORT("load_at") i32 load_at(u32 address) {
    return *(const volatile i32 *)address;
}

GUEST_EXPORT("store_at") void store_at(u32 address, i32 value) {
    *(volatile i32 *)address = value;
}

// As load_at; by this name where out of bounds is what is asked for.
GUEST_EXPORT("trap_oob") i32 trap_oob(u32 address) {
    return *(const volatile i32 *)address;
}

// The size before in pages, or -1.
GUEST_EXPORT("grow") i32 grow(i32 pages) {
    return (i32)__builtin_wasm_memory_grow(0, (u32)pages);
}

// Writes every stride-th byte above the data to the end of the memory, and says how many.
GUEST_EXPORT("scribble") i32 scribble(i32 stride) {
    u32 step = stride > 0 ? (u32)stride : 1;
    u32 count = 0;
    for (u64 address = (u32)&__heap_base; address < memory_bytes(); address += step) {
        *(volatile u8 *)(u32)address = (u8)(0xa5 ^ count++);
    }
    return (i32)count;
}

// The answer is the input in fresh memory.
GUEST_EXPORT("echo") u64 echo(const u8 *at, u32 len) {
    u8 *copy = heap_alloc(len);
    if (!copy) return 0;
    memcpy(copy, at, len);
    return guest_answer(guest_address(copy), len);
}

// An answer that is not in memory; the first byte of the input chooses how.
GUEST_EXPORT("bad_answer") u64 bad_answer(const u8 *at, u32 len) {
    u32 end = (u32)memory_bytes();
    switch (len ? at[0] : '0') {
    case '1': return guest_answer(16, 0xffffffff);        // begins in memory, too long
    case '2': return guest_answer(0xfffffff0, 0x20);      // the end wraps around to 16
    case '3': return guest_answer(end, 1);                // the first byte behind the memory
    case '4': return guest_answer(end - 8, 9);            // one byte too long
    default: return guest_answer(0xfffffff0, 16);         // nowhere near
    }
}
