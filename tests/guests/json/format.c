// The structure of a JSON text, without recursion: one bit a level says array or object.
#include "format.h"

#include "../lib/bytes.h"
#include "parser.h"

enum expectation { A_VALUE, A_KEY, WHAT_FOLLOWS_A_VALUE, THE_END };

struct levels {
    // Bit `depth - 1` is set when the innermost open value is an object.
    u32 objects[JSON_DEPTH_LIMIT / 32];
    u32 depth;
};

static bool in_object(const struct levels *levels) {
    u32 level = levels->depth - 1;
    return levels->objects[level / 32] >> level % 32 & 1;
}

static void push(struct levels *levels, bool object) {
    u32 level = levels->depth++;
    u32 bit = (u32)1 << level % 32;
    if (object) {
        levels->objects[level / 32] |= bit;
    } else {
        levels->objects[level / 32] &= ~bit;
    }
}

static void skip_space(struct parser *parser) {
    for (;;) {
        i32 byte = peek(parser);
        if (byte != ' ' && byte != '\t' && byte != '\n' && byte != '\r') return;
        parser->at++;
    }
}

static void new_line(struct parser *parser, const struct levels *levels) {
    buffer_byte(parser->out, '\n');
    buffer_fill(parser->out, ' ', levels->depth * 2);
}

static void literal(struct parser *parser, const char *word) {
    u32 len = (u32)strlen(word);
    if (parser->len - parser->at < len || memcmp(parser->text + parser->at, word, len) != 0) {
        fail(parser, parser->at, "expected a value");
        return;
    }
    buffer_bytes(parser->out, parser->text + parser->at, len);
    parser->at += len;
}

static enum expectation open_level(struct parser *parser, struct levels *levels, bool object) {
    if (levels->depth == JSON_DEPTH_LIMIT) {
        fail(parser, parser->at, "nested deeper than 512 levels");
        return THE_END;
    }
    buffer_byte(parser->out, object ? '{' : '[');
    parser->at++;
    skip_space(parser);
    u8 close = object ? '}' : ']';
    if (peek(parser) == close) {
        parser->at++;
        buffer_byte(parser->out, close);
        return WHAT_FOLLOWS_A_VALUE;
    }
    push(levels, object);
    new_line(parser, levels);
    return object ? A_KEY : A_VALUE;
}

static enum expectation value(struct parser *parser, struct levels *levels) {
    switch (peek(parser)) {
    case '{': return open_level(parser, levels, true);
    case '[': return open_level(parser, levels, false);
    case '"': parse_string(parser); break;
    case 't': literal(parser, "true"); break;
    case 'f': literal(parser, "false"); break;
    case 'n': literal(parser, "null"); break;
    default:
        if (peek(parser) == '-' || is_digit(peek(parser))) {
            parse_number(parser);
        } else {
            fail(parser, parser->at, "expected a value");
        }
    }
    return WHAT_FOLLOWS_A_VALUE;
}

static enum expectation key(struct parser *parser) {
    if (peek(parser) != '"') {
        fail(parser, parser->at, "expected a string as key");
        return THE_END;
    }
    parse_string(parser);
    if (parser->reason) return THE_END;
    skip_space(parser);
    if (peek(parser) != ':') {
        fail(parser, parser->at, "expected ':'");
        return THE_END;
    }
    parser->at++;
    buffer_text(parser->out, ": ");
    return A_VALUE;
}

static enum expectation after_value(struct parser *parser, struct levels *levels) {
    if (levels->depth == 0) return THE_END;
    bool object = in_object(levels);
    i32 byte = peek(parser);
    if (byte == ',') {
        parser->at++;
        buffer_byte(parser->out, ',');
        new_line(parser, levels);
        return object ? A_KEY : A_VALUE;
    }
    if (byte == (object ? '}' : ']')) {
        parser->at++;
        levels->depth--;
        new_line(parser, levels);
        buffer_byte(parser->out, (u8)byte);
        return WHAT_FOLLOWS_A_VALUE;
    }
    fail(parser, parser->at, object ? "expected ',' or '}'" : "expected ',' or ']'");
    return THE_END;
}

static void document(struct parser *parser) {
    struct levels levels = {.depth = 0};
    enum expectation expected = A_VALUE;
    while (expected != THE_END && !parser->reason && !parser->out->failed) {
        skip_space(parser);
        switch (expected) {
        case A_VALUE: expected = value(parser, &levels); break;
        case A_KEY: expected = key(parser); break;
        default: expected = after_value(parser, &levels); break;
        }
    }
    if (!parser->out->failed && parser->at < parser->len) fail(parser, parser->at, "expected the end after the value");
}

bool json_format(const u8 *text, u32 len, struct buffer *out) {
    u32 start = out->len;
    struct parser parser = {.text = text, .len = len, .out = out};
    document(&parser);
    if (parser.reason) {
        out->len = start;
        buffer_text(out, "error at byte ");
        buffer_decimal(out, parser.error_at);
        buffer_text(out, ": ");
        buffer_text(out, parser.reason);
    }
    buffer_byte(out, '\n');
    return !out->failed;
}
