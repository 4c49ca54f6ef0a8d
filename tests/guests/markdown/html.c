// Text into HTML; see html.h.
#include "html.h"

#include "chars.h"
#include "scan.h"

static const char upper_hex[] = "0123456789ABCDEF";

// What one byte must become, NULL when it may stand as it is.
static const char *escape_of(u8 byte) {
    switch (byte) {
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '&': return "&amp;";
    default: return NULL;
    }
}

static void put_escaped(struct buffer *out, u8 byte) {
    const char *escape = escape_of(byte);
    if (escape) {
        buffer_text(out, escape);
    } else {
        buffer_byte(out, byte);
    }
}

// Copies runs in one piece and escapes between them.
static void put_text(struct buffer *out, struct slice text, bool entities) {
    u32 copied = 0;
    for (u32 i = 0; i < text.len;) {
        const char *escape = escape_of(text.at[i]);
        u32 entity = entities && text.at[i] == '&' ? entity_len(text.at + i, text.len - i) : 0;
        if (!escape || entity) {
            i += entity ? entity : 1;
            continue;
        }
        buffer_bytes(out, text.at + copied, i - copied);
        buffer_text(out, escape);
        copied = ++i;
    }
    buffer_bytes(out, text.at + copied, text.len - copied);
}

void html_text(struct buffer *out, struct slice text) {
    put_text(out, text, true);
}

void html_code(struct buffer *out, struct slice code) {
    put_text(out, code, false);
}

static bool is_escape(struct slice text, u32 at) {
    return text.at[at] == '\\' && at + 1 < text.len && is_ascii_punctuation(text.at[at + 1]);
}

void html_unescaped_text(struct buffer *out, struct slice text) {
    for (u32 i = 0; i < text.len;) {
        if (is_escape(text, i)) {
            put_escaped(out, text.at[i + 1]);
            i += 2;
            continue;
        }
        u32 entity = entity_len(text.at + i, text.len - i);
        if (entity) {
            buffer_bytes(out, text.at + i, entity);
            i += entity;
            continue;
        }
        put_escaped(out, text.at[i++]);
    }
}

static bool may_stand_in_url(u8 byte) {
    if (is_letter(byte) || is_digit(byte)) return true;
    for (const char *other = "-_.!~*'();/?:@&=+$,#"; *other; other++) {
        if (byte == (u8)*other) return true;
    }
    return false;
}

static void put_url_byte(struct buffer *out, u8 byte) {
    if (may_stand_in_url(byte)) {
        put_escaped(out, byte);
        return;
    }
    buffer_byte(out, '%');
    buffer_byte(out, (u8)upper_hex[byte >> 4]);
    buffer_byte(out, (u8)upper_hex[byte & 15]);
}

static void put_url(struct buffer *out, struct slice url, bool backslash_escapes) {
    for (u32 i = 0; i < url.len;) {
        if (backslash_escapes && is_escape(url, i)) {
            put_url_byte(out, url.at[i + 1]);
            i += 2;
            continue;
        }
        u32 entity = entity_len(url.at + i, url.len - i);
        // A percent sign that already encodes something stays.
        bool encoded = url.at[i] == '%' && url.len - i > 2 && is_hex_digit(url.at[i + 1]) && is_hex_digit(url.at[i + 2]);
        if (entity || encoded) {
            u32 len = entity ? entity : 3;
            buffer_bytes(out, url.at + i, len);
            i += len;
            continue;
        }
        put_url_byte(out, url.at[i++]);
    }
}

void html_url(struct buffer *out, struct slice url) {
    put_url(out, url, true);
}

void html_autolink_url(struct buffer *out, struct slice url) {
    put_url(out, url, false);
}
