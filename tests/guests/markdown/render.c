// Blocks to HTML: a walk over the tree along its links, so that depth costs no stack.
#include "chars.h"
#include "document.h"
#include "html.h"
#include "inline.h"
#include "table.h"

static struct slice text_of(const struct document *document, u32 start, u32 end) {
    return (struct slice){document->text.data + start, end - start};
}

static void put_new_line(struct buffer *out, u32 start) {
    if (out->len > start && out->data[out->len - 1] != '\n') buffer_byte(out, '\n');
}

static void put_heading_tag(struct buffer *out, const char *open, u32 level) {
    buffer_text(out, open);
    buffer_decimal(out, level);
    buffer_byte(out, '>');
}

static struct slice first_word(struct slice text) {
    u32 len = 0;
    while (len < text.len && !is_blank(text.at[len])) len++;
    return (struct slice){text.at, len};
}

static void put_code(const struct document *document, const struct block *code, struct buffer *out) {
    struct slice language = first_word(text_of(document, code->info_start, code->info_end));
    buffer_text(out, "<pre><code");
    if (language.len) {
        buffer_text(out, " class=\"language-");
        html_unescaped_text(out, language);
        buffer_byte(out, '"');
    }
    buffer_byte(out, '>');
    html_code(out, text_of(document, code->text_start, code->text_end));
    buffer_text(out, "</code></pre>\n");
}

static void put_list_tag(const struct block *list, struct buffer *out) {
    if (!list->marker.ordered) {
        buffer_text(out, "<ul>\n");
    } else if (list->marker.number == 1) {
        buffer_text(out, "<ol>\n");
    } else {
        buffer_text(out, "<ol start=\"");
        buffer_decimal(out, list->marker.number);
        buffer_text(out, "\">\n");
    }
}

// In a tight list, the paragraphs of the items are bare text.
static bool is_bare(const struct document *document, const struct block *paragraph) {
    const struct block *item = block_at(document, paragraph->parent);
    return item->kind == ITEM && !block_at(document, item->parent)->loose;
}

static void put_leaf(struct document *document, const struct block *leaf, struct buffer *out) {
    struct slice text = text_of(document, leaf->text_start, leaf->text_end);
    switch (leaf->kind) {
    case PARAGRAPH:
        if (is_bare(document, leaf)) {
            render_inlines(document, text, out);
            break;
        }
        buffer_text(out, "<p>");
        render_inlines(document, text, out);
        buffer_text(out, "</p>\n");
        break;
    case HEADING:
        put_heading_tag(out, "<h", leaf->heading_level);
        render_inlines(document, text, out);
        put_heading_tag(out, "</h", leaf->heading_level);
        buffer_byte(out, '\n');
        break;
    case RULE: buffer_text(out, "<hr />\n"); break;
    case CODE: put_code(document, leaf, out); break;
    case TABLE: render_table(document, text, out); break;
    default: break;
    }
}

// Bare text that begins an item stands right behind its <li>.
static bool begins_line(const struct document *document, const struct block *block) {
    if (block->kind == NOTHING) return false;
    bool bare = block->kind == PARAGRAPH && is_bare(document, block);
    return !bare || block_at(document, block_at(document, block->parent)->first_child) != block;
}

static void enter(struct document *document, const struct block *block, struct buffer *out, u32 start) {
    if (begins_line(document, block)) put_new_line(out, start);
    switch (block->kind) {
    case QUOTE: buffer_text(out, "<blockquote>\n"); break;
    case LIST: put_list_tag(block, out); break;
    case ITEM: buffer_text(out, "<li>"); break;
    default: put_leaf(document, block, out); break;
    }
}

static void leave(const struct block *block, struct buffer *out, u32 start) {
    switch (block->kind) {
    case QUOTE:
        put_new_line(out, start);
        buffer_text(out, "</blockquote>\n");
        break;
    case LIST: buffer_text(out, block->marker.ordered ? "</ol>\n" : "</ul>\n"); break;
    case ITEM: buffer_text(out, "</li>\n"); break;
    default: break;
    }
}

void render_blocks(struct document *document, struct buffer *out) {
    u32 start = out->len;
    u32 index = block_at(document, 0)->first_child;
    while (index && !document_failed(document) && !out->failed) {
        const struct block *block = block_at(document, index);
        enter(document, block, out, start);
        if (block->first_child) {
            index = block->first_child;
            continue;
        }
        leave(block, out, start);
        // Up, as long as there is nothing beside.
        while (index && !block->next) {
            index = block->parent;
            block = block_at(document, index);
            if (index) leave(block, out, start);
        }
        if (index) index = block->next;
    }
}
