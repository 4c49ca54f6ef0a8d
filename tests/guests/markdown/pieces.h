// The inlines of one leaf block, while they are being found: pieces in a ring, in document order.
//
//   a *b [c](d)* e    ->   "a "  <em>  "b "  <a>  "c"  </a>  </em>  " e"
//
// Openings and closings are pieces like text, so nesting is only an order: nothing recurses, and
// emphasis a million deep costs a million pieces and no stack.
//
//   pieces       ring by next and previous; pieces[0] is its start and holds nothing
//   delimiters   runs of * and _ that may still become emphasis, a list by next and previous in
//                order of index; delimiters[0] is its start
//   brackets     [ and ![ that may still become a link, innermost last
#ifndef MARKDOWN_PIECES_H
#define MARKDOWN_PIECES_H

#include "document.h"

// Code spans open with at most so many backticks; more are text.
enum { BACKTICKS_LIMIT = 200 };

enum piece_kind {
    TEXT,
    CODE_SPAN,
    URI_AUTOLINK,
    EMAIL_AUTOLINK,
    SOFT_BREAK,
    HARD_BREAK,
    EMPHASIS_OPEN,
    EMPHASIS_CLOSE,
    STRONG_OPEN,
    STRONG_CLOSE,
    LINK_OPEN,
    LINK_CLOSE,
    IMAGE_OPEN,
    IMAGE_CLOSE,
};

struct piece {
    u32 next, previous;
    u8 kind;
    bool has_title;      // LINK_*, IMAGE_*
    struct slice text;   // of TEXT, CODE_SPAN, *_AUTOLINK; the destination of LINK_*, IMAGE_*
    struct slice title;  // LINK_*, IMAGE_*
};

struct delimiter {
    u32 next, previous;
    u32 piece;   // its text holds the marks that are left
    u32 run_len; // marks there were
    u8 mark;
    bool can_open, can_close;
};

struct bracket {
    u32 piece;
    u32 text_start;     // behind the [
    u32 last_delimiter; // the last one before the bracket
    bool image;
    bool holds_bracket; // another bracket followed
};

struct inlines {
    struct document *document;
    struct slice text;
    u32 at;
    struct array pieces;
    struct array delimiters;
    struct array brackets;
    u32 last_delimiter;
    // Brackets below this height hold a link and cannot become one.
    u32 spent_brackets;
    // Where the last run of n backticks starts, plus 1: no need to look for one behind it.
    u32 *last_backticks;
};

static inline struct piece *piece_at(const struct inlines *inlines, u32 index) {
    return (struct piece *)inlines->pieces.items + index;
}

static inline struct delimiter *delimiter_at(const struct inlines *inlines, u32 index) {
    return (struct delimiter *)inlines->delimiters.items + index;
}

static inline bool inlines_failed(const struct inlines *inlines) {
    return inlines->pieces.failed || inlines->delimiters.failed || inlines->brackets.failed ||
           document_failed(inlines->document);
}

// A new piece before `next`; before 0 is at the end. Out of memory it is pieces[0], which the
// caller may write to as nobody will read it.
u32 piece_insert(struct inlines *inlines, u32 next, enum piece_kind kind, struct slice text);

// emphasis.c: a run of * or _ at `at`, and turning the runs behind delimiter `bottom` into emphasis.
void scan_delimiter_run(struct inlines *inlines);
void match_delimiters(struct inlines *inlines, u32 bottom);

// links.c: `[`, `![` and `]` at `at`.
void open_bracket(struct inlines *inlines, bool image);
void close_bracket(struct inlines *inlines);

// spans.c
void put_pieces(const struct inlines *inlines, struct buffer *out);

#endif
