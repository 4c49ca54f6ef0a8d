// Memory for a guest that serves one request: handed out upwards, never given back. The runtime
// takes all of it back at once when it resets the instance.
//
//   0        __stack_pointer    data          __heap_base           top          memory end
//   |  stack, grows down  |  static data  |  blocks, 8-aligned  ...  |  free  ...  |
//
// heap_wasm.c is that allocator; heap_native.c has the same face over malloc for check.sh.
#ifndef GUEST_HEAP_H
#define GUEST_HEAP_H

#include "types.h"

// `count` fresh bytes, 8-aligned; NULL when the memory cannot grow that far.
void *heap_alloc(size_t count);

// The block of `old_count` bytes with room for `new_count`, moved if need be; NULL, and the old
// block still good, when there is no room. The newest block grows where it is.
void *heap_resize(void *block, size_t old_count, size_t new_count);

#endif
