// The three passes: lines to blocks, definitions to a sorted index, blocks to HTML.
#include "markdown.h"

#include "document.h"
#include "pieces.h"

// More would overflow 32-bit offsets in the worst case (a NUL becomes three bytes).
static const u32 LARGEST_INPUT = 512u << 20;

bool markdown_render(const u8 *text, u32 len, struct buffer *out) {
    if (len > LARGEST_INPUT) return false;
    struct document document;
    struct inlines inlines = {0};
    document_start(&document, len);
    document.inlines = &inlines;
    // At least a byte: the answer to an empty document is empty, but it has an address.
    buffer_reserve(out, len + len / 4 + 1);
    parse_blocks(&document, text, len);
    if (document_failed(&document)) return false;
    references_sort(&document);
    render_blocks(&document, out);
    return !document_failed(&document) && !out->failed;
}
