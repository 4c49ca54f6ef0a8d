// Strings: every escape is resolved, and only what must be escaped is escaped again: the quote,
// the backslash, U+0000 to U+001F, and a surrogate without its other half, which UTF-8 cannot hold.
#include "../lib/utf8.h"
#include "parser.h"

static const char hex[] = "0123456789abcdef";

static i32 hex_value(i32 byte) {
    if (is_digit(byte)) return byte - '0';
    if ('a' <= byte && byte <= 'f') return byte - 'a' + 10;
    if ('A' <= byte && byte <= 'F') return byte - 'A' + 10;
    return -1;
}

static bool is_high_surrogate(i32 unit) {
    return 0xd800 <= unit && unit <= 0xdbff;
}

static bool is_low_surrogate(i32 unit) {
    return 0xdc00 <= unit && unit <= 0xdfff;
}

// The four digits at `at` as a number, or -1.
static i32 code_unit(const struct parser *parser, u32 at) {
    if (parser->len - at < 4) return -1;
    i32 unit = 0;
    for (u32 i = 0; i < 4; i++) {
        i32 digit = hex_value(parser->text[at + i]);
        if (digit < 0) return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

static void put_unicode_escape(struct buffer *out, u32 unit) {
    buffer_text(out, "\\u");
    for (i32 shift = 12; shift >= 0; shift -= 4) buffer_byte(out, (u8)hex[unit >> shift & 15]);
}

static void put_value(struct buffer *out, u32 value) {
    switch (value) {
    case '"': buffer_text(out, "\\\""); return;
    case '\\': buffer_text(out, "\\\\"); return;
    case '\b': buffer_text(out, "\\b"); return;
    case '\f': buffer_text(out, "\\f"); return;
    case '\n': buffer_text(out, "\\n"); return;
    case '\r': buffer_text(out, "\\r"); return;
    case '\t': buffer_text(out, "\\t"); return;
    default: break;
    }
    if (value < 0x20 || (0xd800 <= value && value <= 0xdfff)) {
        put_unicode_escape(out, value);
        return;
    }
    u8 sequence[4];
    buffer_bytes(out, sequence, utf8_write(sequence, value));
}

// Behind `\u`. A high surrogate takes the low one after it along.
static void unicode_escape(struct parser *parser, u32 escape_at) {
    i32 unit = code_unit(parser, parser->at);
    if (unit < 0) {
        fail(parser, escape_at, "\\u needs four hexadecimal digits");
        return;
    }
    parser->at += 4;
    u32 value = (u32)unit;
    bool more = parser->len - parser->at >= 6 && parser->text[parser->at] == '\\' && parser->text[parser->at + 1] == 'u';
    if (is_high_surrogate(unit) && more) {
        i32 low = code_unit(parser, parser->at + 2);
        if (is_low_surrogate(low)) {
            parser->at += 6;
            value = 0x10000 + ((value - 0xd800) << 10) + ((u32)low - 0xdc00);
        }
    }
    put_value(parser->out, value);
}

// At the backslash.
static void escape(struct parser *parser) {
    u32 escape_at = parser->at++;
    i32 byte = peek(parser);
    if (byte < 0) {
        fail(parser, parser->at, "");
        return;
    }
    parser->at++;
    switch (byte) {
    case '"':
    case '\\':
    case '/': put_value(parser->out, (u32)byte); return;
    case 'b': put_value(parser->out, '\b'); return;
    case 'f': put_value(parser->out, '\f'); return;
    case 'n': put_value(parser->out, '\n'); return;
    case 'r': put_value(parser->out, '\r'); return;
    case 't': put_value(parser->out, '\t'); return;
    case 'u': unicode_escape(parser, escape_at); return;
    default: fail(parser, escape_at, "unknown escape in a string"); return;
    }
}

// Copies what needs no attention in one piece.
static void plain_run(struct parser *parser) {
    u32 start = parser->at;
    while (parser->at < parser->len) {
        u8 byte = parser->text[parser->at];
        if (byte == '"' || byte == '\\' || byte < 0x20) break;
        u32 len = utf8_len(parser->text + parser->at, parser->len - parser->at);
        if (len == 0) {
            fail(parser, parser->at, "not UTF-8");
            return;
        }
        parser->at += len;
    }
    buffer_bytes(parser->out, parser->text + start, parser->at - start);
}

void parse_string(struct parser *parser) {
    buffer_byte(parser->out, '"');
    parser->at++;
    while (!parser->reason) {
        plain_run(parser);
        if (parser->reason) return;
        i32 byte = peek(parser);
        if (byte == '"') break;
        if (byte == '\\') {
            escape(parser);
        } else {
            fail(parser, parser->at, "control character in a string");
        }
    }
    buffer_byte(parser->out, '"');
    parser->at++;
}
