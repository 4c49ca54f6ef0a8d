// UTF-8 sequences; see utf8.h.
#include "utf8.h"

static bool within(u8 byte, u8 low, u8 high) {
    return low <= byte && byte <= high;
}

u32 utf8_len(const u8 *at, u32 left) {
    u8 first = at[0];
    if (first < 0x80) return 1;
    u32 len = within(first, 0xc2, 0xdf) ? 2 : within(first, 0xe0, 0xef) ? 3 : within(first, 0xf0, 0xf4) ? 4 : 0;
    if (len == 0 || len > left) return 0;
    // The second byte carries the limits that the first one leaves open.
    u8 low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    u8 high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (!within(at[1], low, high)) return 0;
    for (u32 i = 2; i < len; i++) {
        if (!within(at[i], 0x80, 0xbf)) return 0;
    }
    return len;
}

u32 utf8_value(const u8 *at, u32 len) {
    switch (len) {
    case 1: return at[0];
    case 2: return (u32)(at[0] & 0x1f) << 6 | (at[1] & 0x3f);
    case 3: return (u32)(at[0] & 0x0f) << 12 | (u32)(at[1] & 0x3f) << 6 | (at[2] & 0x3f);
    default:
        return (u32)(at[0] & 0x07) << 18 | (u32)(at[1] & 0x3f) << 12 | (u32)(at[2] & 0x3f) << 6 | (at[3] & 0x3f);
    }
}

u32 utf8_write(u8 to[4], u32 value) {
    if (value < 0x80) {
        to[0] = (u8)value;
        return 1;
    }
    u32 len = value < 0x800 ? 2 : value < 0x10000 ? 3 : 4;
    for (u32 i = len - 1; i > 0; i--) {
        to[i] = (u8)(0x80 | (value & 0x3f));
        value >>= 6;
    }
    static const u8 lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    to[0] = (u8)(lead[len] | value);
    return len;
}
