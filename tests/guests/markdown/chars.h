// Classes of characters, by the definitions in section 2.1 of the CommonMark spec.
#ifndef MARKDOWN_CHARS_H
#define MARKDOWN_CHARS_H

#include "../lib/buffer.h"

static inline bool is_digit(u8 byte) {
    return '0' <= byte && byte <= '9';
}

static inline bool is_letter(u8 byte) {
    return (u8)((byte | 0x20) - 'a') < 26;
}

static inline bool is_hex_digit(u8 byte) {
    return is_digit(byte) || (u8)((byte | 0x20) - 'a') < 6;
}

static inline bool is_control(u8 byte) {
    return byte < 0x20 || byte == 0x7f;
}

static inline bool is_blank(u8 byte) {
    return byte == ' ' || byte == '\t';
}

static inline bool is_blank_or_newline(u8 byte) {
    return is_blank(byte) || byte == '\n';
}

bool is_ascii_punctuation(u8 byte);

// A character beside a run of * or _ is one of these.
enum character_class { WORD_CHARACTER, SPACE_CHARACTER, PUNCTUATION_CHARACTER };

// The class of the character that starts at `at`, or ends before it. The ends of the text are space.
enum character_class class_after(struct slice text, u32 at);
enum character_class class_before(struct slice text, u32 at);

// Appends `label` in the form in which labels are compared: outer space gone, inner space one
// space, case folded for Latin, Greek, Cyrillic and Armenian.
void label_fold(struct buffer *out, struct slice label);

#endif
