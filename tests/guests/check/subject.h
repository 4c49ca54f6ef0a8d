// What native.c has to know of a guest: one file subject_<guest>.c each.
#ifndef CHECK_SUBJECT_H
#define CHECK_SUBJECT_H

#include "../lib/buffer.h"

// The guest's function on bytes; false when memory ran out.
bool subject_run(const u8 *input, u32 len, struct buffer *out);

// What is wrong with an output, whatever the input was; NULL when nothing is.
const char *subject_verify(const struct buffer *out);

// Pieces of the language that mutations put in.
extern const char *const subject_words[];
extern const u32 subject_word_count;

// Input number `index`, about `len` bytes long, that is hard on parsers.
void subject_pattern(u32 index, u32 len, struct buffer *input);
extern const u32 subject_pattern_count;

// `head`, then `body` until there are `len` bytes, then `tail`.
static inline void put_repeated(struct buffer *input, u32 len, const char *head, const char *body, const char *tail) {
    buffer_text(input, head);
    while (input->len < len) buffer_text(input, body);
    buffer_text(input, tail);
}

#endif
