// The guest's face: render(ptr, len) -> ptr << 32 | len.
#include "../lib/guest.h"
#include "markdown.h"

GUEST_EXPORT("render") u64 guest_render(const u8 *text, u32 len) {
    struct buffer out = {0};
    if (!markdown_render(text, len, &out)) return 0;
    return guest_answer(guest_address(out.data), out.len);
}
