// Pretty-prints one JSON text (RFC 8259): two spaces of indentation, keys in their order,
// duplicates included, numbers as they were written, strings with as few escapes as possible.
#ifndef JSON_FORMAT_H
#define JSON_FORMAT_H

#include "../lib/buffer.h"

// Arrays and objects inside one another; one more is an error.
enum { JSON_DEPTH_LIMIT = 512 };

// Appends the formatted text and a newline to `out`, or, for an invalid text, one line alone:
// `error at byte N: reason`, N counted from 0. False when memory ran out; `out` is then unusable.
bool json_format(const u8 *text, u32 len, struct buffer *out);

#endif
