// Emphasis: sections 6.2 and the appendix of the CommonMark spec.
#include "chars.h"
#include "pieces.h"

void scan_delimiter_run(struct inlines *inlines) {
    struct slice text = inlines->text;
    u32 start = inlines->at;
    u32 end = start;
    u8 mark = text.at[start];
    while (end < text.len && text.at[end] == mark) end++;
    inlines->at = end;

    enum character_class before = class_before(text, start);
    enum character_class after = class_after(text, end);
    bool left_flanking = after != SPACE_CHARACTER && (after != PUNCTUATION_CHARACTER || before != WORD_CHARACTER);
    bool right_flanking = before != SPACE_CHARACTER && (before != PUNCTUATION_CHARACTER || after != WORD_CHARACTER);
    // snake_case_words have no emphasis in them.
    bool inside_word = mark == '_' && left_flanking && right_flanking;
    bool can_open = left_flanking && (!inside_word || before == PUNCTUATION_CHARACTER);
    bool can_close = right_flanking && (!inside_word || after == PUNCTUATION_CHARACTER);

    u32 piece = piece_insert(inlines, 0, TEXT, (struct slice){text.at + start, end - start});
    if (!can_open && !can_close) return;
    u32 index = inlines->delimiters.len;
    struct delimiter *delimiter = array_push(&inlines->delimiters);
    if (!delimiter) return;
    *delimiter = (struct delimiter){
        .previous = inlines->last_delimiter,
        .piece = piece,
        .run_len = end - start,
        .mark = mark,
        .can_open = can_open,
        .can_close = can_close,
    };
    delimiter_at(inlines, inlines->last_delimiter)->next = index;
    inlines->last_delimiter = index;
}

static void drop_delimiter(struct inlines *inlines, u32 index) {
    const struct delimiter *delimiter = delimiter_at(inlines, index);
    delimiter_at(inlines, delimiter->previous)->next = delimiter->next;
    if (delimiter->next) {
        delimiter_at(inlines, delimiter->next)->previous = delimiter->previous;
    } else {
        inlines->last_delimiter = delimiter->previous;
    }
}

// The "multiple of 3" rule: *foo**bar*baz* must not split the run in the middle.
static bool can_match(const struct delimiter *opener, const struct delimiter *closer) {
    if (opener->mark != closer->mark || !opener->can_open) return false;
    bool ambiguous = opener->can_close || closer->can_open;
    return !ambiguous || closer->run_len % 3 == 0 || (opener->run_len + closer->run_len) % 3 != 0;
}

// The nearest opener for `closer` behind `floor`, or 0.
static u32 find_opener(const struct inlines *inlines, u32 closer, u32 floor) {
    u32 index = delimiter_at(inlines, closer)->previous;
    while (index > floor && !can_match(delimiter_at(inlines, index), delimiter_at(inlines, closer))) {
        index = delimiter_at(inlines, index)->previous;
    }
    return index > floor ? index : 0;
}

// Takes one or two marks off both, and puts the tags where they were. The delimiter that follows
// `closer` in the search: itself while it has marks left.
static u32 match_pair(struct inlines *inlines, u32 opener, u32 closer) {
    u32 open_piece = delimiter_at(inlines, opener)->piece;
    u32 close_piece = delimiter_at(inlines, closer)->piece;
    bool strong = piece_at(inlines, open_piece)->text.len >= 2 && piece_at(inlines, close_piece)->text.len >= 2;
    u32 marks = strong ? 2 : 1;
    struct slice nothing = {NULL, 0};
    piece_insert(inlines, piece_at(inlines, open_piece)->next, strong ? STRONG_OPEN : EMPHASIS_OPEN, nothing);
    piece_insert(inlines, close_piece, strong ? STRONG_CLOSE : EMPHASIS_CLOSE, nothing);
    piece_at(inlines, open_piece)->text.len -= marks;
    piece_at(inlines, close_piece)->text.len -= marks;

    // What stood between cannot match anything across the new tags.
    delimiter_at(inlines, opener)->next = closer;
    delimiter_at(inlines, closer)->previous = opener;
    if (piece_at(inlines, open_piece)->text.len == 0) drop_delimiter(inlines, opener);
    if (piece_at(inlines, close_piece)->text.len > 0) return closer;
    u32 next = delimiter_at(inlines, closer)->next;
    drop_delimiter(inlines, closer);
    return next;
}

// Closers that fail alike share a floor, so that no opener is looked at twice in vain. They fail
// alike when mark, can_open and the length modulo 3 are the same.
static u32 kind_of(const struct delimiter *closer) {
    return (closer->mark == '*') * 6 + closer->can_open * 3 + closer->run_len % 3;
}

void match_delimiters(struct inlines *inlines, u32 bottom) {
    u32 floors[12];
    for (u32 i = 0; i < 12; i++) floors[i] = bottom;
    u32 closer = delimiter_at(inlines, bottom)->next;
    while (closer && !inlines_failed(inlines)) {
        const struct delimiter *delimiter = delimiter_at(inlines, closer);
        if (!delimiter->can_close) {
            closer = delimiter->next;
            continue;
        }
        u32 *floor = &floors[kind_of(delimiter)];
        u32 opener = find_opener(inlines, closer, *floor);
        if (opener) {
            closer = match_pair(inlines, opener, closer);
            continue;
        }
        *floor = delimiter->previous;
        u32 next = delimiter->next;
        if (!delimiter->can_open) drop_delimiter(inlines, closer);
        closer = next;
    }
    // All behind the bottom are used up: later ones must not reach them.
    delimiter_at(inlines, bottom)->next = 0;
    inlines->last_delimiter = bottom;
}
