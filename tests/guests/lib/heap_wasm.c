// The allocator of a guest: a pointer that moves up, and memory.grow when it meets the end.
#include "bytes.h"
#include "heap.h"

enum { PAGE_BYTES = 65536, ALIGNMENT = 8 };

// Placed by wasm-ld behind the stack and the static data; only its address means something.
extern u8 __heap_base;

// The first free byte; 0 until the first call. 64 bits, so that sums near 4 GiB do not wrap.
static u64 top;

static u64 aligned(u64 address) {
    return (address + ALIGNMENT - 1) & ~(u64)(ALIGNMENT - 1);
}

// Moves the top to `end`, growing the memory as needed.
static bool advance_to(u64 end) {
    u64 size = (u64)__builtin_wasm_memory_size(0) * PAGE_BYTES;
    if (end > UINT32_MAX) return false;
    if (end > size) {
        u32 pages = (u32)((end - size + PAGE_BYTES - 1) / PAGE_BYTES);
        if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) return false;
    }
    top = end;
    return true;
}

void *heap_alloc(size_t count) {
    u64 start = aligned(top ? top : (u32)&__heap_base);
    return advance_to(start + count) ? (void *)(u32)start : NULL;
}

void *heap_resize(void *block, size_t old_count, size_t new_count) {
    u64 start = (u32)block;
    if (block && start + old_count == top) {
        return advance_to(start + new_count) ? block : NULL;
    }
    void *moved = heap_alloc(new_count);
    if (moved && block) memcpy(moved, block, old_count);
    return moved;
}
