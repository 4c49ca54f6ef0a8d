// One UTF-8 sequence at a time, by the table of RFC 3629 section 4: no overlong forms, no
// surrogates, nothing above U+10FFFF.
#ifndef GUEST_UTF8_H
#define GUEST_UTF8_H

#include "types.h"

// The length of the well-formed sequence at `at` (1 to 4), or 0; `left` bytes are there, at least 1.
u32 utf8_len(const u8 *at, u32 left);

// The scalar value of a well-formed sequence of `len` bytes.
u32 utf8_value(const u8 *at, u32 len);

// Writes the sequence of `value` to `to` and returns its length.
u32 utf8_write(u8 to[4], u32 value);

#endif
