// Lines to blocks, by the method in the appendix of the CommonMark spec. For each line:
//
//   1. match     from the document inwards, each open block says whether the line continues it
//   2. open      what is left of the line may start new blocks, inside the innermost match
//   3. add       the rest is text of a leaf: of the matched one, of a new paragraph, or, as a lazy
//                continuation, of the paragraph that is still open although its container did not match
//
// Invariant: open[0..open_count] is the path from the document to the innermost open block; every
// block not on it is closed, and has its last_line, its text range and, for lists, `loose` settled.
#include "../lib/bytes.h"
#include "chars.h"
#include "document.h"
#include "starts.h"
#include "table.h"

enum { CODE_INDENT = 4 };

struct builder {
    struct document *document;
    u32 open[NESTING_LIMIT + 1];
    u32 open_count;
    u32 line_number;
};

static struct block *open_at(struct builder *builder, u32 level) {
    return block_at(builder->document, builder->open[level]);
}

static struct block *innermost(struct builder *builder) {
    return open_at(builder, builder->open_count - 1);
}

static bool can_contain(const struct block *block, enum block_kind kind) {
    if (block->kind == LIST) return kind == ITEM;
    return (block->kind == DOCUMENT || block->kind == QUOTE || block->kind == ITEM) && kind != ITEM;
}

// ---- closing

static u8 text_byte(const struct builder *builder, u32 at) {
    return builder->document->text.data[at];
}

static void trim_end(struct builder *builder, struct block *block) {
    while (block->text_end > block->text_start && is_blank(text_byte(builder, block->text_end - 1))) block->text_end--;
}

// Blank lines at the end of indented code belong to nobody.
static void trim_blank_lines(struct builder *builder, struct block *code) {
    u32 end = code->text_end;
    for (u32 at = end; at > code->text_start && is_blank_or_newline(text_byte(builder, at - 1)); at--) {
        if (text_byte(builder, at - 1) == '\n') end = at;
    }
    // `end` is now behind the newline of the last line with text, or that of a blank first line.
    code->text_end = end;
}

static bool blank_line_between(const struct block *before, const struct block *after) {
    return after->first_line > before->last_line + 1;
}

static bool has_gap(const struct document *document, const struct block *parent) {
    u32 index = parent->first_child;
    while (index) {
        const struct block *child = block_at(document, index);
        if (child->next && blank_line_between(child, block_at(document, child->next))) return true;
        index = child->next;
    }
    return false;
}

// A list is loose when a blank line separates two of its items, or two blocks of one item.
static bool is_loose(const struct document *document, const struct block *list) {
    if (has_gap(document, list)) return true;
    for (u32 index = list->first_child; index; index = block_at(document, index)->next) {
        if (has_gap(document, block_at(document, index))) return true;
    }
    return false;
}

static void close_innermost(struct builder *builder) {
    struct block *block = innermost(builder);
    struct block *parent = block_at(builder->document, block->parent);
    switch (block->kind) {
    case PARAGRAPH:
        trim_end(builder, block);
        take_definitions(builder->document, block);
        if (block->text_start == block->text_end) block->kind = NOTHING;
        break;
    case CODE:
        if (!block->fence) trim_blank_lines(builder, block);
        break;
    case LIST: block->loose = is_loose(builder->document, block); break;
    default: break;
    }
    if (parent->last_line < block->last_line) parent->last_line = block->last_line;
    builder->open_count--;
}

static void close_down_to(struct builder *builder, u32 count) {
    while (builder->open_count > count) close_innermost(builder);
}

// ---- opening

static bool has_room(const struct builder *builder, u32 containers) {
    // One place is kept for a leaf.
    return builder->open_count + containers + 1 <= NESTING_LIMIT + 1;
}

// Opens a block inside the innermost one that can contain it. Out of memory, it is the document
// itself that comes back; the caller may write to it, as nobody will read it.
static struct block *open_block(struct builder *builder, enum block_kind kind) {
    struct document *document = builder->document;
    // An item whose list could not be made would find no place at all.
    if (document_failed(document)) return block_at(document, 0);
    while (!can_contain(innermost(builder), kind)) close_innermost(builder);
    u32 parent = builder->open[builder->open_count - 1];
    u32 index = document->blocks.len;
    struct block *block = array_push(&document->blocks);
    if (!block) return block_at(document, 0);
    *block = (struct block){
        .kind = kind,
        .parent = parent,
        .text_start = document->text.len,
        .text_end = document->text.len,
        .first_line = builder->line_number,
        .last_line = builder->line_number,
    };
    struct block *container = block_at(document, parent);
    if (container->last_child) {
        block_at(document, container->last_child)->next = index;
    } else {
        container->first_child = index;
    }
    container->last_child = index;
    builder->open[builder->open_count++] = index;
    return block;
}

// ---- adding text

static void add_text(struct builder *builder, struct block *block, struct slice text) {
    line_put(&builder->document->text, text);
    block->text_end = builder->document->text.len;
    block->last_line = builder->line_number;
}

// Lines of paragraphs and tables have newlines between them, lines of code have them behind.
static void add_prose_line(struct builder *builder, struct block *block, const struct line *line) {
    struct buffer *text = &builder->document->text;
    if (block->text_end > block->text_start) buffer_byte(text, '\n');
    block->last_line_start = text->len;
    line_put_text(line, text);
    block->text_end = text->len;
    block->last_line = builder->line_number;
}

static void add_code_line(struct builder *builder, struct block *code, const struct line *line) {
    struct buffer *text = &builder->document->text;
    line_put_rest(line, text);
    buffer_byte(text, '\n');
    code->text_end = text->len;
    if (code->fence || !line_is_blank(line)) code->last_line = builder->line_number;
}

// ---- 1. match

enum match { CONTINUES, ENDS, ENDS_WITH_THIS_LINE };

static enum match match_quote(struct builder *builder, struct block *quote, struct line *line) {
    if (line_indent(line) >= CODE_INDENT || line_first(line) != '>') return ENDS;
    line_take_text(line, 1);
    line_take_columns(line, 1);
    quote->last_line = builder->line_number;
    return CONTINUES;
}

static enum match match_item(const struct block *item, struct line *line) {
    if (line_is_blank(line)) {
        // An item may begin with one blank line, its own, but not with a second.
        if (!item->first_child) return ENDS;
        line_take_columns(line, line_indent(line));
        return CONTINUES;
    }
    if (line_indent(line) < item->content_indent) return ENDS;
    line_take_columns(line, item->content_indent);
    return CONTINUES;
}

static enum match match_code(struct builder *builder, struct block *code, struct line *line) {
    if (code->fence) {
        if (line_indent(line) < CODE_INDENT && starts_closing_fence(line, code->fence, code->fence_len)) {
            code->last_line = builder->line_number;
            return ENDS_WITH_THIS_LINE;
        }
        line_take_columns(line, code->fence_indent);
        return CONTINUES;
    }
    if (line_indent(line) < CODE_INDENT && !line_is_blank(line)) return ENDS;
    line_take_columns(line, CODE_INDENT);
    return CONTINUES;
}

static enum match match_block(struct builder *builder, struct block *block, struct line *line) {
    switch (block->kind) {
    case QUOTE: return match_quote(builder, block, line);
    case LIST: return CONTINUES;
    case ITEM: return match_item(block, line);
    case CODE: return match_code(builder, block, line);
    case PARAGRAPH:
    case TABLE: return line_is_blank(line) ? ENDS : CONTINUES;
    default: return ENDS;
    }
}

// ---- 2. open

static void open_quote(struct builder *builder, struct line *line) {
    open_block(builder, QUOTE);
    line_take_text(line, 1);
    line_take_columns(line, 1);
}

static void open_heading(struct builder *builder, u32 level, struct slice text) {
    struct block *heading = open_block(builder, HEADING);
    heading->heading_level = (u8)level;
    add_text(builder, heading, text);
}

static void open_fenced_code(struct builder *builder, struct line *line, u32 fence_len, struct slice info) {
    struct block *code = open_block(builder, CODE);
    code->fence = line_first(line);
    code->fence_len = fence_len;
    code->fence_indent = line_indent(line);
    code->info_start = builder->document->text.len;
    add_text(builder, code, info);
    code->info_end = code->text_end;
    code->text_start = code->text_end;
}

static bool is_same_list(struct list_marker left, struct list_marker right) {
    return left.ordered == right.ordered && left.mark == right.mark;
}

static void open_item(struct builder *builder, struct line *line, u32 marker_len, struct list_marker marker) {
    struct block *list = innermost(builder);
    if (list->kind != LIST || !is_same_list(list->marker, marker)) open_block(builder, LIST)->marker = marker;

    u32 width = line_indent(line) + marker_len;
    line_take_text(line, marker_len);
    // Text five columns off, or on the next line, starts one column behind the marker.
    u32 space = line_indent(line);
    if (line_is_blank(line) || space > CODE_INDENT) space = 1;
    line_take_columns(line, space);

    struct block *item = open_block(builder, ITEM);
    item->marker = marker;
    item->content_indent = width + space;
}

static struct slice last_line_of(struct builder *builder, const struct block *paragraph) {
    return (struct slice){builder->document->text.data + paragraph->last_line_start,
                          paragraph->text_end - paragraph->last_line_start};
}

// The last line of the paragraph becomes the header of a table, and what is before it stays.
static void open_table(struct builder *builder, const struct line *line) {
    struct block *block = innermost(builder);
    if (block->last_line_start > block->text_start) {
        u32 header_start = block->last_line_start;
        u32 header_end = block->text_end;
        block->text_end = header_start - 1;
        block->last_line = builder->line_number - 2;
        close_innermost(builder);
        block = open_block(builder, TABLE);
        block->text_start = header_start;
        block->text_end = header_end;
        block->first_line = builder->line_number - 1;
    }
    block->kind = TABLE;
    add_prose_line(builder, block, line);
}

// A paragraph that holds more than definitions turns into a heading.
static bool turn_into_heading(struct builder *builder, struct block *paragraph, u32 level) {
    take_definitions(builder->document, paragraph);
    if (paragraph->text_start == paragraph->text_end) return false;
    trim_end(builder, paragraph);
    paragraph->kind = HEADING;
    paragraph->heading_level = (u8)level;
    paragraph->last_line = builder->line_number;
    return true;
}

// Whether the innermost open block, a paragraph that the line continues, turns into something else.
// As on GitHub, a line of dashes alone makes a heading, even below a line with pipes.
static bool turn_paragraph(struct builder *builder, const struct line *line) {
    struct block *paragraph = innermost(builder);
    u32 level = starts_setext_underline(line);
    if (level) return turn_into_heading(builder, paragraph, level);
    if (!table_starts(last_line_of(builder, paragraph), line_text(line))) return false;
    open_table(builder, line);
    return true;
}

enum start { STARTS_NOTHING, STARTS_CONTAINER, STARTS_CODE_TEXT, STARTS_WHOLE_LEAF };

// Starts what the rest of the line starts, inside `open[matched - 1]`.
static enum start start_block(struct builder *builder, struct line *line, u32 matched, bool may_be_lazy) {
    if (line_is_blank(line)) return STARTS_NOTHING;
    if (line_indent(line) >= CODE_INDENT) {
        if (may_be_lazy) return STARTS_NOTHING;
        close_down_to(builder, matched);
        open_block(builder, CODE);
        line_take_columns(line, CODE_INDENT);
        return STARTS_CODE_TEXT;
    }
    bool in_paragraph = open_at(builder, matched - 1)->kind == PARAGRAPH;
    struct slice rest;
    struct list_marker marker;
    u32 size;
    if (line_first(line) == '>' && has_room(builder, 1)) {
        close_down_to(builder, matched);
        open_quote(builder, line);
        return STARTS_CONTAINER;
    }
    if ((size = starts_atx_heading(line, &rest))) {
        close_down_to(builder, matched);
        open_heading(builder, size, rest);
        return STARTS_WHOLE_LEAF;
    }
    if ((size = starts_fence(line, &rest))) {
        close_down_to(builder, matched);
        open_fenced_code(builder, line, size, rest);
        return STARTS_WHOLE_LEAF;
    }
    if (in_paragraph && turn_paragraph(builder, line)) return STARTS_WHOLE_LEAF;
    if (starts_rule(line)) {
        close_down_to(builder, matched);
        open_block(builder, RULE);
        return STARTS_WHOLE_LEAF;
    }
    if ((size = starts_item(line, in_paragraph, &marker)) && has_room(builder, 2)) {
        close_down_to(builder, matched);
        open_item(builder, line, size, marker);
        return STARTS_CONTAINER;
    }
    return STARTS_NOTHING;
}

// ---- 3. add

static void add_rest(struct builder *builder, struct line *line, u32 matched) {
    bool lazy = matched < builder->open_count && innermost(builder)->kind == PARAGRAPH && !line_is_blank(line);
    if (!lazy) close_down_to(builder, matched);
    struct block *leaf = innermost(builder);
    if (leaf->kind == CODE) {
        add_code_line(builder, leaf, line);
    } else if (leaf->kind == PARAGRAPH || leaf->kind == TABLE) {
        add_prose_line(builder, leaf, line);
    } else if (!line_is_blank(line)) {
        add_prose_line(builder, open_block(builder, PARAGRAPH), line);
    }
}

static void add_line(struct builder *builder, struct line *line) {
    u32 matched = 1;
    for (; matched < builder->open_count; matched++) {
        enum match match = match_block(builder, open_at(builder, matched), line);
        if (match == ENDS_WITH_THIS_LINE) {
            close_down_to(builder, matched);
            return;
        }
        if (match == ENDS) break;
    }

    bool may_be_lazy = innermost(builder)->kind == PARAGRAPH;
    while (open_at(builder, matched - 1)->kind != CODE && !document_failed(builder->document)) {
        enum start start = start_block(builder, line, matched, may_be_lazy);
        if (start == STARTS_WHOLE_LEAF) return;
        if (start == STARTS_NOTHING) break;
        matched = builder->open_count;
        may_be_lazy = false;
    }
    add_rest(builder, line, matched);
}

static bool has_byte_order_mark(struct slice text) {
    return text.len >= 3 && memcmp(text.at, "\xef\xbb\xbf", 3) == 0;
}

void parse_blocks(struct document *document, const u8 *text, u32 len) {
    struct builder builder = {.document = document, .open = {0}, .open_count = 1};
    struct slice input = {text, len};
    u32 at = has_byte_order_mark(input) ? 3 : 0;
    while (at < len && !document_failed(document)) {
        struct line line = line_next(input, &at);
        builder.line_number++;
        add_line(&builder, &line);
    }
    if (!document_failed(document)) close_down_to(&builder, 1);
}
