// What the first characters of a line can begin; see starts.h.
#include "starts.h"

#include "chars.h"

enum { ITEM_DIGITS_LIMIT = 9 };

static u32 run_len(struct slice text, u8 byte) {
    u32 len = 0;
    while (len < text.len && text.at[len] == byte) len++;
    return len;
}

static bool only_blanks_from(struct slice text, u32 at) {
    while (at < text.len && is_blank(text.at[at])) at++;
    return at == text.len;
}

static struct slice trimmed(struct slice text) {
    while (text.len && is_blank(text.at[0])) text.at++, text.len--;
    while (text.len && is_blank(text.at[text.len - 1])) text.len--;
    return text;
}

u32 starts_atx_heading(const struct line *line, struct slice *heading) {
    struct slice text = line_text(line);
    u32 level = run_len(text, '#');
    if (level < 1 || level > 6 || (level < text.len && !is_blank(text.at[level]))) return 0;
    text = trimmed((struct slice){text.at + level, text.len - level});
    // The closing marks count only behind a space.
    u32 end = text.len;
    while (end && text.at[end - 1] == '#') end--;
    if (end == 0 || is_blank(text.at[end - 1])) text.len = end;
    *heading = trimmed(text);
    return level;
}

u32 starts_setext_underline(const struct line *line) {
    u8 byte = line_first(line);
    if (byte != '=' && byte != '-') return 0;
    struct slice text = line_text(line);
    if (!only_blanks_from(text, run_len(text, byte))) return 0;
    return byte == '=' ? 1 : 2;
}

bool starts_rule(const struct line *line) {
    u8 byte = line_first(line);
    if (byte != '*' && byte != '-' && byte != '_') return false;
    struct slice text = line_text(line);
    u32 marks = 0;
    for (u32 i = 0; i < text.len; i++) {
        if (text.at[i] == byte) {
            marks++;
        } else if (!is_blank(text.at[i])) {
            return false;
        }
    }
    return marks >= 3;
}

u32 starts_fence(const struct line *line, struct slice *info) {
    u8 byte = line_first(line);
    if (byte != '`' && byte != '~') return 0;
    struct slice text = line_text(line);
    u32 len = run_len(text, byte);
    if (len < 3) return 0;
    *info = trimmed((struct slice){text.at + len, text.len - len});
    for (u32 i = 0; byte == '`' && i < info->len; i++) {
        if (info->at[i] == '`') return 0;
    }
    return len;
}

bool starts_closing_fence(const struct line *line, u8 fence, u32 fence_len) {
    struct slice text = line_text(line);
    u32 len = run_len(text, fence);
    return len >= fence_len && only_blanks_from(text, len);
}

// The length of `-` or `12.`, whatever follows.
static u32 scan_marker(struct slice text, struct list_marker *marker) {
    if (text.len == 0) return 0;
    u8 byte = text.at[0];
    if (byte == '-' || byte == '+' || byte == '*') {
        *marker = (struct list_marker){.mark = byte};
        return 1;
    }
    u32 digits = 0;
    u32 number = 0;
    while (digits < text.len && digits < ITEM_DIGITS_LIMIT && is_digit(text.at[digits])) {
        number = number * 10 + (text.at[digits++] - '0');
    }
    if (digits == 0 || digits == text.len) return 0;
    u8 mark = text.at[digits];
    if (mark != '.' && mark != ')') return 0;
    *marker = (struct list_marker){.ordered = true, .mark = mark, .number = number};
    return digits + 1;
}

u32 starts_item(const struct line *line, bool interrupts_paragraph, struct list_marker *marker) {
    struct slice text = line_text(line);
    u32 len = scan_marker(text, marker);
    if (len == 0 || (len < text.len && !is_blank(text.at[len]))) return 0;
    // Hard-wrapped prose may have a number or a dash at the start of a line.
    if (interrupts_paragraph && (only_blanks_from(text, len) || (marker->ordered && marker->number != 1))) return 0;
    return len;
}
