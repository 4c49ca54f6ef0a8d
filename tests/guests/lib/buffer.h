// A byte string that grows. When memory runs out it stops growing and says so in `failed`, which
// the owner looks at once, at the end: no caller has to handle a failed append.
//
// Invariant: len <= capacity, and data[0..len] holds what was appended before the failure.
#ifndef GUEST_BUFFER_H
#define GUEST_BUFFER_H

#include "types.h"

struct buffer {
    u8 *data;
    u32 len;
    u32 capacity;
    bool failed;
};

// Makes room for `count` more bytes; false, and `failed` set, when there is none.
bool buffer_reserve(struct buffer *buffer, u32 count);
void buffer_byte(struct buffer *buffer, u8 byte);
void buffer_bytes(struct buffer *buffer, const u8 *at, u32 count);
void buffer_text(struct buffer *buffer, const char *text);
void buffer_fill(struct buffer *buffer, u8 byte, u32 count);
void buffer_decimal(struct buffer *buffer, u32 number);

#endif
