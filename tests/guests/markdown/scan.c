// The small grammars; see scan.h.
#include "scan.h"

#include "chars.h"

enum { PARENTHESES_LIMIT = 32, SCHEME_LIMIT = 32, DOMAIN_LABEL_LIMIT = 63, ENTITY_NAME_LIMIT = 32 };

static struct slice between(struct slice text, u32 start, u32 end) {
    return (struct slice){text.at + start, end - start};
}

// Whether a backslash at `at` escapes the byte behind it.
static bool is_escape(struct slice text, u32 at) {
    return text.at[at] == '\\' && at + 1 < text.len && is_ascii_punctuation(text.at[at + 1]);
}

void skip_blanks(struct slice text, u32 *at) {
    while (*at < text.len && is_blank(text.at[*at])) ++*at;
}

void skip_space(struct slice text, u32 *at) {
    while (*at < text.len && is_blank_or_newline(text.at[*at])) ++*at;
}

bool label_is_blank(struct slice label) {
    u32 at = 0;
    skip_space(label, &at);
    return at == label.len;
}

bool scan_label(struct slice text, u32 *at, struct slice *label) {
    u32 i = *at;
    if (i >= text.len || text.at[i] != '[') return false;
    u32 start = ++i;
    for (; i < text.len && text.at[i] != ']'; i++) {
        if (text.at[i] == '[') return false;
        if (is_escape(text, i)) i++;
        if (i - start >= LABEL_LIMIT) return false;
    }
    if (i >= text.len) return false;
    *label = between(text, start, i);
    *at = i + 1;
    return true;
}

// Behind the `<`.
static bool scan_bracketed_destination(struct slice text, u32 *at, struct slice *destination) {
    u32 i = *at;
    for (; i < text.len && text.at[i] != '>'; i++) {
        if (text.at[i] == '<' || text.at[i] == '\n') return false;
        if (is_escape(text, i)) i++;
    }
    if (i >= text.len) return false;
    *destination = between(text, *at, i);
    *at = i + 1;
    return true;
}

bool scan_destination(struct slice text, u32 *at, struct slice *destination) {
    u32 i = *at;
    if (i < text.len && text.at[i] == '<') {
        i++;
        if (!scan_bracketed_destination(text, &i, destination)) return false;
        *at = i;
        return true;
    }
    u32 open = 0;
    for (; i < text.len; i++) {
        u8 byte = text.at[i];
        if (byte == ' ' || is_control(byte)) break;
        if (is_escape(text, i)) {
            i++;
        } else if (byte == '(') {
            // Also what keeps a long row of `[a](` from being scanned to its end at each of them.
            if (++open > PARENTHESES_LIMIT) return false;
        } else if (byte == ')') {
            if (open == 0) break;
            open--;
        }
    }
    if (open) return false;
    *destination = between(text, *at, i);
    *at = i;
    return true;
}

bool scan_title(struct slice text, u32 *at, struct slice *title) {
    u32 i = *at;
    if (i >= text.len) return false;
    u8 open = text.at[i++];
    if (open != '"' && open != '\'' && open != '(') return false;
    u8 close = open == '(' ? ')' : open;
    u32 start = i;
    for (; i < text.len && text.at[i] != close; i++) {
        if (open == '(' && text.at[i] == '(') return false;
        if (is_escape(text, i)) i++;
    }
    if (i >= text.len) return false;
    *title = between(text, start, i);
    *at = i + 1;
    return true;
}

bool scan_uri_autolink(struct slice text, u32 *at, struct slice *uri) {
    u32 i = *at;
    if (i >= text.len || text.at[i] != '<') return false;
    u32 start = ++i;
    if (i >= text.len || !is_letter(text.at[i])) return false;
    while (i < text.len && (is_letter(text.at[i]) || is_digit(text.at[i]) || text.at[i] == '+' || text.at[i] == '.' ||
                            text.at[i] == '-')) {
        i++;
    }
    if (i - start < 2 || i - start > SCHEME_LIMIT || i >= text.len || text.at[i] != ':') return false;
    while (i < text.len && text.at[i] != '>') {
        if (text.at[i] == ' ' || text.at[i] == '<' || is_control(text.at[i])) return false;
        i++;
    }
    if (i >= text.len) return false;
    *uri = between(text, start, i);
    *at = i + 1;
    return true;
}

static bool is_mailbox_byte(u8 byte) {
    if (is_letter(byte) || is_digit(byte)) return true;
    for (const char *other = ".!#$%&'*+/=?^_`{|}~-"; *other; other++) {
        if (byte == (u8)*other) return true;
    }
    return false;
}

// One part of a domain name: letters, digits, and hyphens except at its ends.
static bool scan_domain_label(struct slice text, u32 *at) {
    u32 start = *at;
    u32 i = start;
    while (i < text.len && (is_letter(text.at[i]) || is_digit(text.at[i]) || text.at[i] == '-')) i++;
    if (i == start || i - start > DOMAIN_LABEL_LIMIT || text.at[start] == '-' || text.at[i - 1] == '-') return false;
    *at = i;
    return true;
}

bool scan_email_autolink(struct slice text, u32 *at, struct slice *address) {
    u32 i = *at;
    if (i >= text.len || text.at[i] != '<') return false;
    u32 start = ++i;
    while (i < text.len && is_mailbox_byte(text.at[i])) i++;
    if (i == start || i >= text.len || text.at[i] != '@') return false;
    do {
        i++;
        if (!scan_domain_label(text, &i)) return false;
    } while (i < text.len && text.at[i] == '.');
    if (i >= text.len || text.at[i] != '>') return false;
    *address = between(text, start, i);
    *at = i + 1;
    return true;
}

static u32 numeric_entity_len(const u8 *at, u32 left) {
    bool hex = left > 2 && (at[2] | 0x20) == 'x';
    u32 start = hex ? 3 : 2;
    u32 limit = hex ? 6 : 7;
    u32 i = start;
    while (i < left && i - start < limit && (hex ? is_hex_digit(at[i]) : is_digit(at[i]))) i++;
    return i > start && i < left && at[i] == ';' ? i + 1 : 0;
}

u32 entity_len(const u8 *at, u32 left) {
    if (left < 3 || at[0] != '&') return 0;
    if (at[1] == '#') return numeric_entity_len(at, left);
    if (!is_letter(at[1]) || !(is_letter(at[2]) || is_digit(at[2]))) return 0;
    u32 i = 3;
    while (i < left && i <= ENTITY_NAME_LIMIT && (is_letter(at[i]) || is_digit(at[i]))) i++;
    return i < left && at[i] == ';' ? i + 1 : 0;
}
