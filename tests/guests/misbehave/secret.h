// The secret "TOP-SECRET:<n>" that leave_secret leaves and find_secret looks for.
#ifndef MISBEHAVE_SECRET_H
#define MISBEHAVE_SECRET_H

#include "../lib/types.h"

enum { SECRET_WORD_LEN = 11, SECRET_CAPACITY = 32 };

// Character `index` of "TOP-SECRET:". It is worked out one at a time and never stored in a row:
// a search that put its needle into memory would always find that.
u8 secret_char(u32 index);

// The globals, from globals.s.
i64 secret_global_word(void);
i32 secret_global_number(void);
void secret_global_set(i64 word, i32 number);

#endif
