// One line, taken apart from the left; see line.h.
#include "line.h"

#include "chars.h"

enum { TAB_COLUMNS = 4 };

static u32 columns_to_tab_stop(u32 column) {
    return TAB_COLUMNS - column % TAB_COLUMNS;
}

static void find_text(struct line *line) {
    u32 at = line->offset;
    u32 column = line->column + line->pending;
    for (; at < line->len && is_blank(line->bytes[at]); at++) {
        column += line->bytes[at] == '\t' ? columns_to_tab_stop(column) : 1;
    }
    line->text_at = at;
    line->text_column = column;
}

struct line line_next(struct slice text, u32 *at) {
    u32 start = *at;
    u32 end = start;
    while (end < text.len && text.at[end] != '\n' && text.at[end] != '\r') end++;
    struct line line = {.bytes = text.at + start, .len = end - start};
    find_text(&line);
    if (end < text.len) {
        bool pair = text.at[end] == '\r' && end + 1 < text.len && text.at[end + 1] == '\n';
        end += pair ? 2 : 1;
    }
    *at = end;
    return line;
}

void line_take_columns(struct line *line, u32 columns) {
    while (columns > 0) {
        if (line->pending == 0) {
            if (line->offset == line->text_at) return;
            bool tab = line->bytes[line->offset++] == '\t';
            line->pending = tab ? columns_to_tab_stop(line->column) : 1;
        }
        u32 taken = columns < line->pending ? columns : line->pending;
        line->pending -= taken;
        line->column += taken;
        columns -= taken;
    }
}

void line_take_text(struct line *line, u32 count) {
    line->offset = line->text_at + count;
    line->column = line->text_column + count;
    line->pending = 0;
    find_text(line);
}

void line_put(struct buffer *out, struct slice part) {
    u32 copied = 0;
    for (u32 i = 0; i < part.len; i++) {
        if (part.at[i] != 0) continue;
        buffer_bytes(out, part.at + copied, i - copied);
        buffer_text(out, "\xef\xbf\xbd");
        copied = i + 1;
    }
    buffer_bytes(out, part.at + copied, part.len - copied);
}

void line_put_rest(const struct line *line, struct buffer *out) {
    buffer_fill(out, ' ', line->pending);
    line_put(out, (struct slice){line->bytes + line->offset, line->len - line->offset});
}

void line_put_text(const struct line *line, struct buffer *out) {
    line_put(out, line_text(line));
}
