// Which link destinations are let through; see url.h.
//
// The destination is read as a browser would: escapes resolved, spaces and controls dropped, up to
// the colon that ends a scheme. A `/`, `?` or `#` before that means a relative URL, without scheme.
#include "url.h"

#include "../lib/bytes.h"
#include "chars.h"
#include "scan.h"

enum { SCHEME_CAPACITY = 16, NO_SCHEME_BYTE = '/' };

static bool is_word(struct slice name, const char *word) {
    return name.len == strlen(word) && memcmp(name.at, word, name.len) == 0;
}

static bool starts_with(struct slice text, const char *word) {
    return text.len >= strlen(word) && memcmp(text.at, word, strlen(word)) == 0;
}

static u8 numeric_entity_value(struct slice entity) {
    bool hex = (entity.at[2] | 0x20) == 'x';
    u32 value = 0;
    for (u32 i = hex ? 3 : 2; i + 1 < entity.len; i++) {
        u8 byte = entity.at[i];
        u32 digit = is_digit(byte) ? (u32)(byte - '0') : (u32)((byte | 0x20) - 'a' + 10);
        value = value * (hex ? 16 : 10) + digit;
    }
    return value < 0x80 ? (u8)value : NO_SCHEME_BYTE;
}

// The ASCII character an entity stands for, as far as it can be part of a scheme or be dropped.
static u8 entity_value(struct slice entity) {
    if (entity.at[1] == '#') return numeric_entity_value(entity);
    if (is_word(entity, "&colon;")) return ':';
    if (is_word(entity, "&Tab;") || is_word(entity, "&NewLine;")) return '\n';
    return NO_SCHEME_BYTE;
}

static u8 next_byte(struct slice text, u32 *at) {
    u8 byte = text.at[*at];
    u32 entity = entity_len(text.at + *at, text.len - *at);
    if (entity) {
        byte = entity_value((struct slice){text.at + *at, entity});
        *at += entity;
        return byte;
    }
    bool escape = byte == '\\' && *at + 1 < text.len && is_ascii_punctuation(text.at[*at + 1]);
    if (escape) byte = text.at[*at + 1];
    *at += escape ? 2 : 1;
    return byte;
}

static bool is_safe_image(struct slice data) {
    return starts_with(data, "image/png;") || starts_with(data, "image/jpeg;") || starts_with(data, "image/gif;") ||
           starts_with(data, "image/webp;");
}

bool url_is_safe(struct slice destination) {
    u8 scheme[SCHEME_CAPACITY];
    u32 len = 0;
    for (u32 at = 0; at < destination.len;) {
        u8 byte = next_byte(destination, &at);
        if (byte == ' ' || is_control(byte)) continue;
        if (byte == ':') {
            struct slice name = {scheme, len};
            if (is_word(name, "data")) return is_safe_image((struct slice){destination.at + at, destination.len - at});
            return !is_word(name, "javascript") && !is_word(name, "vbscript") && !is_word(name, "file");
        }
        if (byte == '/' || byte == '?' || byte == '#' || len == SCHEME_CAPACITY) return true;
        scheme[len++] = is_letter(byte) ? byte | 0x20 : byte;
    }
    return true;
}
