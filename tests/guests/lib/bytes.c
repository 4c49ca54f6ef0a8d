// memcpy and its family for a guest without a C library.
//
// With bulk memory the builtins below become one instruction each (memory.copy, memory.fill).
// Without it they would become calls of the very functions they stand in.
#include "bytes.h"

#ifndef __wasm_bulk_memory__
#error "build the guests with -mbulk-memory"
#endif

void *memcpy(void *restrict to, const void *restrict from, size_t count) {
    return __builtin_memcpy(to, from, count);
}

void *memmove(void *to, const void *from, size_t count) {
    return __builtin_memmove(to, from, count);
}

void *memset(void *to, int byte, size_t count) {
    return __builtin_memset(to, byte, count);
}

int memcmp(const void *left, const void *right, size_t count) {
    const u8 *a = left;
    const u8 *b = right;
    for (size_t i = 0; i < count; i++) {
        if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
    }
    return 0;
}

size_t strlen(const char *text) {
    size_t count = 0;
    while (text[count]) count++;
    return count;
}
