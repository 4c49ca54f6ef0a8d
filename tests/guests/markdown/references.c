// Link reference definitions: taken off the front of paragraphs, then sorted, then looked up.
//
// Sorted rather than hashed: no choice of labels makes a lookup slow.
#include "../lib/bytes.h"
#include "chars.h"
#include "document.h"
#include "scan.h"
#include "url.h"

void document_start(struct document *document, u32 input_len) {
    *document = (struct document){
        .blocks = {.item_bytes = sizeof(struct block)},
        .references = {.item_bytes = sizeof(struct reference)},
        .expansion_left = input_len > 100000 ? input_len : 100000,
    };
    buffer_reserve(&document->text, input_len + 1);
    array_push(&document->blocks);
}

static bool at_line_end(struct slice text, u32 *at) {
    skip_blanks(text, at);
    if (*at < text.len && text.at[*at] != '\n') return false;
    if (*at < text.len) ++*at;
    return true;
}

struct definition {
    struct slice label, destination, title;
    bool has_title;
};

// A title that is not alone on its line is none, and may be the start of the paragraph instead.
static bool scan_definition_title(struct slice text, u32 *at, struct slice *title) {
    u32 i = *at;
    skip_space(text, &i);
    if (i == *at || !scan_title(text, &i, title) || !at_line_end(text, &i)) return false;
    *at = i;
    return true;
}

static bool scan_definition(struct slice text, u32 *at, struct definition *definition) {
    u32 i = *at;
    if (!scan_label(text, &i, &definition->label) || label_is_blank(definition->label)) return false;
    if (i == text.len || text.at[i] != ':') return false;
    i++;
    skip_space(text, &i);
    u32 destination_start = i;
    if (!scan_destination(text, &i, &definition->destination) || i == destination_start) return false;
    if (!url_is_safe(definition->destination)) return false;
    definition->has_title = scan_definition_title(text, &i, &definition->title);
    if (!definition->has_title && !at_line_end(text, &i)) return false;
    *at = i;
    return true;
}

static void add_reference(struct document *document, const struct definition *definition) {
    struct reference *reference = array_push(&document->references);
    if (!reference) return;
    reference->label_start = document->labels.len;
    label_fold(&document->labels, definition->label);
    reference->label_len = document->labels.len - reference->label_start;
    reference->destination_start = (u32)(definition->destination.at - document->text.data);
    reference->destination_len = definition->destination.len;
    reference->has_title = definition->has_title;
    if (definition->has_title) {
        reference->title_start = (u32)(definition->title.at - document->text.data);
        reference->title_len = definition->title.len;
    }
}

void take_definitions(struct document *document, struct block *paragraph) {
    struct slice text = {document->text.data + paragraph->text_start, paragraph->text_end - paragraph->text_start};
    u32 at = 0;
    struct definition definition;
    while (scan_definition(text, &at, &definition)) add_reference(document, &definition);
    paragraph->text_start += at;
}

// ---- the index

static i32 compare_labels(struct slice left, struct slice right) {
    u32 shorter = left.len < right.len ? left.len : right.len;
    i32 order = shorter ? memcmp(left.at, right.at, shorter) : 0;
    if (order) return order;
    return left.len == right.len ? 0 : left.len < right.len ? -1 : 1;
}

static struct slice label_of(const struct document *document, const struct reference *reference) {
    return (struct slice){document->labels.data + reference->label_start, reference->label_len};
}

// By label, then by place in the text.
static bool is_before(const struct document *document, const struct reference *left, const struct reference *right) {
    i32 order = compare_labels(label_of(document, left), label_of(document, right));
    return order < 0 || (order == 0 && left->destination_start < right->destination_start);
}

static void swap(struct reference *left, struct reference *right) {
    struct reference kept = *left;
    *left = *right;
    *right = kept;
}

static void sift_down(struct document *document, u32 parent, u32 count) {
    for (;;) {
        u32 child = parent * 2 + 1;
        if (child >= count) return;
        if (child + 1 < count && is_before(document, reference_at(document, child), reference_at(document, child + 1))) child++;
        if (!is_before(document, reference_at(document, parent), reference_at(document, child))) return;
        swap(reference_at(document, parent), reference_at(document, child));
        parent = child;
    }
}

// Heapsort: n log n for every input, and nothing to allocate.
void references_sort(struct document *document) {
    u32 count = document->references.len;
    for (u32 parent = count / 2; parent-- > 0;) sift_down(document, parent, count);
    for (u32 end = count; end-- > 1;) {
        swap(reference_at(document, 0), reference_at(document, end));
        sift_down(document, 0, end);
    }
}

const struct reference *reference_find(struct document *document, struct slice label) {
    if (label.len > LABEL_LIMIT || document->references.len == 0) return NULL;
    // The folded label is put behind the others for the time of the search.
    u32 start = document->labels.len;
    label_fold(&document->labels, label);
    if (document->labels.failed) return NULL;
    struct slice wanted = {document->labels.data + start, document->labels.len - start};
    document->labels.len = start;

    u32 low = 0;
    u32 high = document->references.len;
    while (low < high) {
        u32 middle = low + (high - low) / 2;
        if (compare_labels(label_of(document, reference_at(document, middle)), wanted) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == document->references.len) return NULL;
    const struct reference *reference = reference_at(document, low);
    return compare_labels(label_of(document, reference), wanted) == 0 ? reference : NULL;
}
