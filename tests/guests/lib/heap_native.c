// The face of heap.h over malloc: one block each, so that the address sanitizer sees every
// overrun, with a limit that stands for a memory that cannot grow.
#include <stdlib.h>
#include <string.h>

#include "heap_native.h"

struct block {
    struct block *next;
    struct block *previous;
};

static struct block blocks = {&blocks, &blocks};
static size_t used;

size_t heap_native_limit = SIZE_MAX;

static void *take(size_t count) {
    struct block *block = malloc(sizeof *block + count);
    if (!block) abort();
    *block = (struct block){blocks.next, &blocks};
    blocks.next->previous = block;
    blocks.next = block;
    return block + 1;
}

static void drop(void *bytes) {
    struct block *block = (struct block *)bytes - 1;
    block->next->previous = block->previous;
    block->previous->next = block->next;
    free(block);
}

void *heap_alloc(size_t count) {
    return heap_resize(NULL, 0, count);
}

void *heap_resize(void *block, size_t old_count, size_t new_count) {
    if (new_count > heap_native_limit - used) return NULL;
    used += new_count;
    void *moved = take(new_count);
    if (block) {
        memcpy(moved, block, old_count < new_count ? old_count : new_count);
        drop(block);
    }
    return moved;
}

void heap_native_release_all(void) {
    while (blocks.next != &blocks) drop(blocks.next + 1);
    used = 0;
}
