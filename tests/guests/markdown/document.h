// The document between the passes: a tree of blocks whose text lies in one buffer, in order.
//
//   text:    | paragraph | heading | info string, code | paragraph | table rows |
//               ^ text_start .. text_end of its block
//
// Only one leaf takes lines at a time, so its text is always the tail of the buffer.
// Invariant: blocks[0] is the document itself; 0 as first_child, last_child or next means none.
#ifndef MARKDOWN_DOCUMENT_H
#define MARKDOWN_DOCUMENT_H

#include "../lib/array.h"
#include "../lib/buffer.h"

// Open blocks inside one another, counting a list and its item as two. Each line is held against
// each open container, so this bounds the work for a line.
enum { NESTING_LIMIT = 96 };

enum block_kind {
    DOCUMENT,
    QUOTE,
    LIST,
    ITEM,
    PARAGRAPH,
    HEADING,
    RULE,
    CODE,
    TABLE,
    NOTHING, // a paragraph that held definitions alone
};

// What makes items members of one list: `mark` is the bullet, or the delimiter behind the number.
struct list_marker {
    u32 number;
    u8 mark;
    bool ordered;
};

struct block {
    u8 kind;
    u32 parent, first_child, last_child, next;
    u32 text_start, text_end;
    // Line numbers, the last one including the lines of children. They tell where blank lines are.
    u32 first_line, last_line;

    struct list_marker marker; // LIST, ITEM
    u32 content_indent;        // ITEM: columns a line must be indented to belong to it
    bool loose;                // LIST: paragraphs of items get <p>

    u8 heading_level;         // HEADING, 1 to 6
    u8 fence;                 // CODE: ` or ~; 0 = indented
    u32 fence_len;            // CODE
    u32 fence_indent;         // CODE: columns to take off each line
    u32 info_start, info_end; // CODE

    u32 last_line_start; // PARAGRAPH: where its last line begins in the text
};

// `[label]: destination "title"`. The label is stored as label_fold leaves it.
struct reference {
    u32 label_start, label_len;
    u32 destination_start, destination_len;
    u32 title_start, title_len;
    bool has_title;
};

struct inlines;

struct document {
    struct buffer text;
    struct buffer labels;
    struct array blocks;
    struct array references;
    // Bytes of destinations and titles that references may still put into the output: without a
    // limit, one long definition and many short uses of it would make the output quadratic.
    u32 expansion_left;
    // The workspace of render_inlines, kept from one leaf to the next.
    struct inlines *inlines;
};

static inline struct block *block_at(const struct document *document, u32 index) {
    return (struct block *)document->blocks.items + index;
}

static inline struct reference *reference_at(const struct document *document, u32 index) {
    return (struct reference *)document->references.items + index;
}

static inline bool document_failed(const struct document *document) {
    return document->text.failed || document->labels.failed || document->blocks.failed || document->references.failed;
}

void document_start(struct document *document, u32 input_len);

// blocks.c
void parse_blocks(struct document *document, const u8 *text, u32 len);

// references.c: takes the definitions off the front of a paragraph, by moving its text_start.
void take_definitions(struct document *document, struct block *paragraph);
void references_sort(struct document *document);
// The first definition of a label, NULL when there is none. After references_sort.
const struct reference *reference_find(struct document *document, struct slice label);

// render.c
void render_blocks(struct document *document, struct buffer *out);

#endif
