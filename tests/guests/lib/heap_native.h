// What check/native.c may do with the native heap besides heap.h.
#ifndef GUEST_HEAP_NATIVE_H
#define GUEST_HEAP_NATIVE_H

#include "heap.h"

// Bytes that may be handed out until the next release; must not be lowered in between.
extern size_t heap_native_limit;

void heap_native_release_all(void);

#endif
