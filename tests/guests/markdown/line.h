// One line, taken apart from the left: containers take their prefixes, the leaf takes the rest.
//
//   >  - text            column counts as if tabs were spaces up to the next multiple of 4;
//   ^offset ^text_at     pending holds columns of a tab that was taken in part
//
// Invariant: between offset and text_at there is only space; text_at == len on a blank line.
#ifndef MARKDOWN_LINE_H
#define MARKDOWN_LINE_H

#include "../lib/buffer.h"

struct line {
    const u8 *bytes;
    u32 len; // without the line ending
    u32 offset;
    u32 column;
    u32 pending;
    u32 text_at;
    u32 text_column;
};

// The line of `text` at `*at`, which is moved behind its ending: \n, \r or \r\n.
struct line line_next(struct slice text, u32 *at);

// Columns of space before the text.
static inline u32 line_indent(const struct line *line) {
    return line->text_column - line->column;
}

static inline bool line_is_blank(const struct line *line) {
    return line->text_at == line->len;
}

// The first byte of the text; 0 on a blank line.
static inline u8 line_first(const struct line *line) {
    return line_is_blank(line) ? 0 : line->bytes[line->text_at];
}

static inline struct slice line_text(const struct line *line) {
    return (struct slice){line->bytes + line->text_at, line->len - line->text_at};
}

// Takes up to `columns` columns of space.
void line_take_columns(struct line *line, u32 columns);

// Takes the space before the text and `count` bytes of it.
void line_take_text(struct line *line, u32 count);

// Appends part of a line; NUL comes out as U+FFFD.
void line_put(struct buffer *out, struct slice part);

// Appends what was not taken: all of it, or from the text on.
void line_put_rest(const struct line *line, struct buffer *out);
void line_put_text(const struct line *line, struct buffer *out);

#endif
