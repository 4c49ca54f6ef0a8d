// The growing row of items; see array.h.
#include "array.h"

#include "bytes.h"
#include "heap.h"

enum { FIRST_CAPACITY = 16 };

static bool grow(struct array *array) {
    u64 capacity = array->capacity ? (u64)array->capacity * 2 : FIRST_CAPACITY;
    u64 count = capacity * array->item_bytes;
    if (count > INT32_MAX) return false;
    void *items = heap_resize(array->items, (size_t)array->len * array->item_bytes, (size_t)count);
    if (!items) return false;
    array->items = items;
    array->capacity = (u32)capacity;
    return true;
}

void *array_push(struct array *array) {
    if (array->len == array->capacity && !grow(array)) {
        array->failed = true;
        return NULL;
    }
    u8 *item = (u8 *)array->items + (size_t)array->len++ * array->item_bytes;
    return memset(item, 0, array->item_bytes);
}
