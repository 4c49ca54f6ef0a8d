// Tables; see table.h.
#include "table.h"

#include "chars.h"
#include "inline.h"

// Cells that short rows are filled up with. Without a limit, a wide header over many one-cell rows
// would make the output quadratic.
enum { FILLED_CELLS_LIMIT = 65536 };

enum alignment { NOT_ALIGNED, LEFT, CENTER, RIGHT };

static struct slice trimmed(struct slice text) {
    while (text.len && is_blank(text.at[0])) text.at++, text.len--;
    while (text.len && is_blank(text.at[text.len - 1])) text.len--;
    return text;
}

static bool is_escaped(struct slice text, u32 at) {
    return at > 0 && text.at[at - 1] == '\\';
}

// Takes off the pipes around a row, so that only those between cells are left.
static struct slice row_of(struct slice line) {
    line = trimmed(line);
    if (line.len && line.at[0] == '|') line.at++, line.len--;
    if (line.len && line.at[line.len - 1] == '|' && !is_escaped(line, line.len - 1)) line.len--;
    return line;
}

// The cell of a row at `*at`, which is moved behind the pipe that ends it: len + 1 behind the last.
static struct slice next_cell(struct slice row, u32 *at) {
    u32 start = *at;
    u32 end = start;
    while (end < row.len && (row.at[end] != '|' || is_escaped(row, end))) end++;
    *at = end + 1;
    return trimmed((struct slice){row.at + start, end - start});
}

static bool has_cell(struct slice row, u32 at) {
    return at <= row.len;
}

// `:---:` and the like.
static bool scan_alignment(struct slice cell, enum alignment *alignment) {
    bool left = cell.len && cell.at[0] == ':';
    bool right = cell.len > 1 && cell.at[cell.len - 1] == ':';
    u32 dashes = cell.len - left - right;
    if (dashes == 0) return false;
    for (u32 i = 0; i < dashes; i++) {
        if (cell.at[left + i] != '-') return false;
    }
    *alignment = left && right ? CENTER : left ? LEFT : right ? RIGHT : NOT_ALIGNED;
    return true;
}

static u32 count_cells(struct slice row) {
    u32 count = 0;
    for (u32 at = 0; has_cell(row, at); count++) next_cell(row, &at);
    return count;
}

// The number of columns that a line of delimiters makes; 0 when it is no such line.
static u32 count_delimiters(struct slice line) {
    // `- |` is an item of a list.
    if (line.len > 1 && line.at[0] == '-' && is_blank(line.at[1])) return 0;
    // Most lines are told apart here, before anything is counted.
    for (u32 i = 0; i < line.len; i++) {
        u8 byte = line.at[i];
        if (byte != '|' && byte != '-' && byte != ':' && !is_blank(byte)) return 0;
    }
    struct slice row = row_of(line);
    u32 count = 0;
    enum alignment alignment;
    for (u32 at = 0; has_cell(row, at); count++) {
        if (!scan_alignment(next_cell(row, &at), &alignment)) return 0;
    }
    return count;
}

static bool has_pipe(struct slice line) {
    for (u32 i = 0; i < line.len; i++) {
        if (line.at[i] == '|') return true;
    }
    return false;
}

bool table_starts(struct slice header, struct slice delimiters) {
    u32 columns = count_delimiters(delimiters);
    return columns > 0 && has_pipe(header) && count_cells(row_of(header)) == columns;
}

// ---- rendering

struct table {
    struct document *document;
    struct buffer *out;
    struct buffer cell;
    struct slice delimiters;
    u32 filled;
};

static void put_cell(struct table *table, struct slice cell) {
    table->cell.len = 0;
    for (u32 i = 0; i < cell.len; i++) {
        bool escape = cell.at[i] == '\\' && i + 1 < cell.len && cell.at[i + 1] == '|';
        if (!escape) buffer_byte(&table->cell, cell.at[i]);
    }
    if (table->cell.failed) table->out->failed = true;
    render_inlines(table->document, (struct slice){table->cell.data, table->cell.len}, table->out);
}

static void put_open_tag(struct buffer *out, const char *tag, enum alignment alignment) {
    static const char *const styles[] = {
        ">",
        " style=\"text-align:left\">",
        " style=\"text-align:center\">",
        " style=\"text-align:right\">",
    };
    buffer_byte(out, '<');
    buffer_text(out, tag);
    buffer_text(out, styles[alignment]);
}

static void put_close_tag(struct buffer *out, const char *tag) {
    buffer_text(out, "</");
    buffer_text(out, tag);
    buffer_text(out, ">\n");
}

// As many cells as there are delimiters: what is missing is empty, what is too much is left out.
static void put_row(struct table *table, struct slice line, const char *tag) {
    struct slice row = row_of(line);
    u32 at = 0;
    buffer_text(table->out, "<tr>\n");
    for (u32 column = 0; has_cell(table->delimiters, column);) {
        enum alignment alignment = NOT_ALIGNED;
        scan_alignment(next_cell(table->delimiters, &column), &alignment);
        bool filled = !has_cell(row, at);
        if (filled && ++table->filled > FILLED_CELLS_LIMIT) break;
        put_open_tag(table->out, tag, alignment);
        if (!filled) put_cell(table, next_cell(row, &at));
        put_close_tag(table->out, tag);
    }
    buffer_text(table->out, "</tr>\n");
}

static struct slice next_line(struct slice text, u32 *at) {
    u32 start = *at;
    u32 end = start;
    while (end < text.len && text.at[end] != '\n') end++;
    *at = end + 1;
    return (struct slice){text.at + start, end - start};
}

void render_table(struct document *document, struct slice text, struct buffer *out) {
    struct table table = {.document = document, .out = out};
    u32 at = 0;
    struct slice header = next_line(text, &at);
    table.delimiters = row_of(next_line(text, &at));
    buffer_text(out, "<table>\n<thead>\n");
    put_row(&table, header, "th");
    buffer_text(out, "</thead>\n");
    if (at <= text.len) {
        buffer_text(out, "<tbody>\n");
        while (at <= text.len && !out->failed && !document_failed(document)) put_row(&table, next_line(text, &at), "td");
        buffer_text(out, "</tbody>\n");
    }
    buffer_text(out, "</table>\n");
}
