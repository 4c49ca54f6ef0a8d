// The one export that all guests share; see guest.h.
#include "guest.h"

#include "heap.h"

GUEST_EXPORT("alloc") u32 guest_alloc(u32 count) {
    return guest_address(heap_alloc(count));
}
