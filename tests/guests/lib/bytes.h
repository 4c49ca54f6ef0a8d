// The five byte operations of C that the guests use. In a guest they come from bytes.c, natively
// from the C library, where the sanitizers watch them.
#ifndef GUEST_BYTES_H
#define GUEST_BYTES_H

#include "types.h"

#ifdef __wasm__
void *memcpy(void *restrict to, const void *restrict from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int byte, size_t count);
int memcmp(const void *left, const void *right, size_t count);
size_t strlen(const char *text);
#else
#include <string.h>
#endif

#endif
