// The text of a leaf block into pieces, left to right, and out; see inline.h and pieces.h.
#include "inline.h"

#include "../lib/bytes.h"
#include "chars.h"
#include "pieces.h"
#include "scan.h"
#include "url.h"

u32 piece_insert(struct inlines *inlines, u32 next, enum piece_kind kind, struct slice text) {
    u32 index = inlines->pieces.len;
    struct piece *piece = array_push(&inlines->pieces);
    if (!piece) return 0;
    u32 previous = piece_at(inlines, next)->previous;
    *piece = (struct piece){.next = next, .previous = previous, .kind = kind, .text = text};
    piece_at(inlines, previous)->next = index;
    piece_at(inlines, next)->previous = index;
    return index;
}

static struct slice part(const struct inlines *inlines, u32 start, u32 end) {
    return (struct slice){inlines->text.at + start, end - start};
}

static void put_text(struct inlines *inlines, u32 start, u32 end) {
    piece_insert(inlines, 0, TEXT, part(inlines, start, end));
}

static u8 byte_at(const struct inlines *inlines, u32 at) {
    return at < inlines->text.len ? inlines->text.at[at] : 0;
}

// ---- code spans

static u32 backticks_at(const struct inlines *inlines, u32 at) {
    u32 len = 0;
    while (byte_at(inlines, at + len) == '`') len++;
    return len;
}

static void note_backticks(struct inlines *inlines, u32 last[BACKTICKS_LIMIT + 1]) {
    memset(last, 0, (BACKTICKS_LIMIT + 1) * sizeof last[0]);
    for (u32 at = inlines->at; at < inlines->text.len;) {
        u32 len = backticks_at(inlines, at);
        if (len && len <= BACKTICKS_LIMIT) last[len] = at + 1;
        at += len ? len : 1;
    }
    inlines->last_backticks = last;
}

// The end of the code that was opened by `len` backticks; there is one, see last_backticks.
static u32 find_code_end(const struct inlines *inlines, u32 at, u32 len) {
    for (;;) {
        u32 here = backticks_at(inlines, at);
        if (here == len) return at;
        at += here ? here : 1;
    }
}

static void scan_code_span(struct inlines *inlines, u32 last[BACKTICKS_LIMIT + 1]) {
    if (!inlines->last_backticks) note_backticks(inlines, last);
    u32 len = backticks_at(inlines, inlines->at);
    u32 start = inlines->at + len;
    if (len > BACKTICKS_LIMIT || last[len] <= start) {
        put_text(inlines, inlines->at, start);
        inlines->at = start;
        return;
    }
    u32 end = find_code_end(inlines, start, len);
    piece_insert(inlines, 0, CODE_SPAN, part(inlines, start, end));
    inlines->at = end + len;
}

// ---- breaks, escapes, autolinks

static void scan_line_end(struct inlines *inlines) {
    u32 at = inlines->at++;
    bool hard = at >= 2 && inlines->text.at[at - 1] == ' ' && inlines->text.at[at - 2] == ' ';
    // Spaces are never more than the end of the last run of text.
    struct piece *last = piece_at(inlines, piece_at(inlines, 0)->previous);
    while (last->kind == TEXT && last->text.len && last->text.at[last->text.len - 1] == ' ') last->text.len--;
    piece_insert(inlines, 0, hard ? HARD_BREAK : SOFT_BREAK, (struct slice){NULL, 0});
}

static void scan_backslash(struct inlines *inlines) {
    u32 at = inlines->at;
    u8 next = byte_at(inlines, at + 1);
    if (next == '\n') {
        piece_insert(inlines, 0, HARD_BREAK, (struct slice){NULL, 0});
        inlines->at += 2;
    } else if (is_ascii_punctuation(next)) {
        put_text(inlines, at + 1, at + 2);
        inlines->at += 2;
    } else {
        put_text(inlines, at, at + 1);
        inlines->at++;
    }
}

static void scan_less_than(struct inlines *inlines) {
    u32 at = inlines->at;
    struct slice inside;
    if (scan_uri_autolink(inlines->text, &at, &inside) && url_is_safe(inside)) {
        piece_insert(inlines, 0, URI_AUTOLINK, inside);
        inlines->at = at;
        return;
    }
    at = inlines->at;
    if (scan_email_autolink(inlines->text, &at, &inside)) {
        piece_insert(inlines, 0, EMAIL_AUTOLINK, inside);
        inlines->at = at;
        return;
    }
    put_text(inlines, at, at + 1);
    inlines->at++;
}

// ---- the scan

static bool is_special(u8 byte) {
    switch (byte) {
    case '\n':
    case '\\':
    case '`':
    case '*':
    case '_':
    case '[':
    case ']':
    case '!':
    case '<': return true;
    default: return false;
    }
}

// Text up to the next special byte, including one that stands at `at` and means nothing.
static void scan_run(struct inlines *inlines) {
    u32 start = inlines->at++;
    while (inlines->at < inlines->text.len && !is_special(inlines->text.at[inlines->at])) inlines->at++;
    put_text(inlines, start, inlines->at);
}

static void scan(struct inlines *inlines) {
    u32 last_backticks[BACKTICKS_LIMIT + 1];
    while (inlines->at < inlines->text.len && !inlines_failed(inlines)) {
        switch (inlines->text.at[inlines->at]) {
        case '\n': scan_line_end(inlines); break;
        case '\\': scan_backslash(inlines); break;
        case '`': scan_code_span(inlines, last_backticks); break;
        case '*':
        case '_': scan_delimiter_run(inlines); break;
        case '[': open_bracket(inlines, false); break;
        case ']': close_bracket(inlines); break;
        case '<': scan_less_than(inlines); break;
        case '!':
            if (byte_at(inlines, inlines->at + 1) == '[') {
                open_bracket(inlines, true);
                break;
            }
            scan_run(inlines);
            break;
        default: scan_run(inlines); break;
        }
    }
    inlines->last_backticks = NULL;
}

static void clear(struct array *array, u32 item_bytes) {
    array->item_bytes = item_bytes;
    array->len = 0;
}

void render_inlines(struct document *document, struct slice text, struct buffer *out) {
    struct inlines *inlines = document->inlines;
    inlines->document = document;
    inlines->text = text;
    inlines->at = 0;
    inlines->last_delimiter = 0;
    inlines->spent_brackets = 0;
    clear(&inlines->pieces, sizeof(struct piece));
    clear(&inlines->delimiters, sizeof(struct delimiter));
    clear(&inlines->brackets, sizeof(struct bracket));
    array_push(&inlines->pieces);
    array_push(&inlines->delimiters);
    if (!inlines_failed(inlines)) scan(inlines);
    if (!inlines_failed(inlines)) match_delimiters(inlines, 0);
    if (inlines_failed(inlines)) {
        out->failed = true;
        return;
    }
    put_pieces(inlines, out);
}
