// The guest's face: format(ptr, len) -> ptr << 32 | len.
#include "../lib/guest.h"
#include "format.h"

GUEST_EXPORT("format") u64 guest_format(const u8 *text, u32 len) {
    struct buffer out = {0};
    if (!json_format(text, len, &out)) return 0;
    return guest_answer(guest_address(out.data), out.len);
}
