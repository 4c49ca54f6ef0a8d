// What the parts of the formatter share: a place in the input, the output, and the first error.
#ifndef JSON_PARSER_H
#define JSON_PARSER_H

#include "../lib/buffer.h"

struct parser {
    const u8 *text;
    u32 len;
    u32 at;
    struct buffer *out;
    // The first error, NULL while there is none. Everything stops at it.
    const char *reason;
    u32 error_at;
};

// Any byte, or -1 at the end.
static inline i32 peek(const struct parser *parser) {
    return parser->at < parser->len ? parser->text[parser->at] : -1;
}

// Records the error. At the end of the input, whatever was expected, the end is the reason.
static inline void fail(struct parser *parser, u32 at, const char *reason) {
    if (parser->reason) return;
    parser->reason = at < parser->len ? reason : "unexpected end of input";
    parser->error_at = at;
}

static inline bool is_digit(i32 byte) {
    return '0' <= byte && byte <= '9';
}

// string.c: copies a string, at its opening quote, with its escapes made minimal.
void parse_string(struct parser *parser);

// number.c: copies a number as it is written.
void parse_number(struct parser *parser);

#endif
