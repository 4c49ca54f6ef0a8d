// Items of one size in a row that grows, named by index: an index stays good when the row moves.
//
// Invariant: len <= capacity; a failed push leaves the array as it was and sets `failed`.
#ifndef GUEST_ARRAY_H
#define GUEST_ARRAY_H

#include "types.h"

struct array {
    void *items;
    u32 len;
    u32 capacity;
    u32 item_bytes;
    bool failed;
};

// A zeroed item at the end; NULL when memory ran out.
void *array_push(struct array *array);

#endif
