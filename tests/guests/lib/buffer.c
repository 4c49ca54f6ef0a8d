// The growing byte string; see buffer.h.
#include "buffer.h"

#include "bytes.h"
#include "heap.h"

enum { FIRST_CAPACITY = 256 };

// Offsets into a buffer are i32 in places, and a guest has 4 GiB in all.
static const u64 LARGEST = INT32_MAX;

bool buffer_reserve(struct buffer *buffer, u32 count) {
    u64 needed = (u64)buffer->len + count;
    if (buffer->failed || needed > LARGEST) {
        buffer->failed = true;
        return false;
    }
    if (needed <= buffer->capacity) return true;
    u64 capacity = buffer->capacity ? (u64)buffer->capacity * 2 : FIRST_CAPACITY;
    if (capacity < needed) capacity = needed;
    if (capacity > LARGEST) capacity = LARGEST;
    u8 *data = heap_resize(buffer->data, buffer->capacity, (size_t)capacity);
    if (!data) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = (u32)capacity;
    return true;
}

void buffer_byte(struct buffer *buffer, u8 byte) {
    if (buffer->len == buffer->capacity && !buffer_reserve(buffer, 1)) return;
    buffer->data[buffer->len++] = byte;
}

void buffer_bytes(struct buffer *buffer, const u8 *at, u32 count) {
    if (count == 0 || !buffer_reserve(buffer, count)) return;
    memcpy(buffer->data + buffer->len, at, count);
    buffer->len += count;
}

void buffer_text(struct buffer *buffer, const char *text) {
    buffer_bytes(buffer, (const u8 *)text, (u32)strlen(text));
}

void buffer_fill(struct buffer *buffer, u8 byte, u32 count) {
    if (count == 0 || !buffer_reserve(buffer, count)) return;
    memset(buffer->data + buffer->len, byte, count);
    buffer->len += count;
}

void buffer_decimal(struct buffer *buffer, u32 number) {
    u8 digits[10];
    u32 first = sizeof digits;
    do {
        digits[--first] = (u8)('0' + number % 10);
        number /= 10;
    } while (number);
    buffer_bytes(buffer, digits + first, (u32)sizeof digits - first);
}
