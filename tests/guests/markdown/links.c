// Links and images: section 6.3 and 6.4, and the appendix of the CommonMark spec.
#include "chars.h"
#include "pieces.h"
#include "scan.h"
#include "url.h"

struct target {
    struct slice destination, title;
    bool has_title;
};

void open_bracket(struct inlines *inlines, bool image) {
    u32 len = image ? 2 : 1;
    struct slice mark = {inlines->text.at + inlines->at, len};
    inlines->at += len;
    struct array *brackets = &inlines->brackets;
    if (brackets->len) ((struct bracket *)brackets->items)[brackets->len - 1].holds_bracket = true;
    u32 piece = piece_insert(inlines, 0, TEXT, mark);
    struct bracket *bracket = array_push(brackets);
    if (!bracket) return;
    *bracket = (struct bracket){
        .piece = piece,
        .text_start = inlines->at,
        .last_delimiter = inlines->last_delimiter,
        .image = image,
    };
}

// `(destination "title")`
static bool scan_inline_target(struct inlines *inlines, struct target *target) {
    struct slice text = inlines->text;
    u32 at = inlines->at;
    if (at >= text.len || text.at[at] != '(') return false;
    at++;
    skip_space(text, &at);
    if (!scan_destination(text, &at, &target->destination)) return false;
    u32 destination_end = at;
    skip_space(text, &at);
    target->has_title = at > destination_end && scan_title(text, &at, &target->title);
    skip_space(text, &at);
    if (at >= text.len || text.at[at] != ')' || !url_is_safe(target->destination)) return false;
    inlines->at = at + 1;
    return true;
}

// `[label]`, `[]`, or nothing, with the text of the link as label.
static bool scan_reference_target(struct inlines *inlines, const struct bracket *bracket, u32 text_end, struct target *target) {
    struct document *document = inlines->document;
    struct slice label;
    u32 at = inlines->at;
    bool has_label = scan_label(inlines->text, &at, &label);
    if (!has_label || label.len == 0) {
        if (bracket->holds_bracket) return false;
        label = (struct slice){inlines->text.at + bracket->text_start, text_end - bracket->text_start};
    }
    if (label_is_blank(label)) return false;
    const struct reference *reference = reference_find(document, label);
    if (!reference) return false;
    u32 expansion = reference->destination_len + reference->title_len;
    if (expansion > document->expansion_left) return false;
    document->expansion_left -= expansion;

    const u8 *data = document->text.data;
    *target = (struct target){
        .destination = {data + reference->destination_start, reference->destination_len},
        .title = {data + reference->title_start, reference->title_len},
        .has_title = reference->has_title,
    };
    inlines->at = at;
    return true;
}

static void set_target(struct piece *piece, enum piece_kind kind, const struct target *target) {
    piece->kind = kind;
    piece->text = target->destination;
    piece->title = target->title;
    piece->has_title = target->has_title;
}

static void make_link(struct inlines *inlines, const struct bracket *bracket, const struct target *target) {
    u32 close = piece_insert(inlines, 0, LINK_CLOSE, target->destination);
    set_target(piece_at(inlines, bracket->piece), bracket->image ? IMAGE_OPEN : LINK_OPEN, target);
    set_target(piece_at(inlines, close), bracket->image ? IMAGE_CLOSE : LINK_CLOSE, target);
    match_delimiters(inlines, bracket->last_delimiter);
    // Links do not contain links: what is open around this one can only be an image.
    if (!bracket->image) inlines->spent_brackets = inlines->brackets.len;
}

void close_bracket(struct inlines *inlines) {
    u32 text_end = inlines->at++;
    struct array *brackets = &inlines->brackets;
    if (brackets->len) {
        struct bracket bracket = ((struct bracket *)brackets->items)[--brackets->len];
        bool spent = !bracket.image && brackets->len < inlines->spent_brackets;
        if (inlines->spent_brackets > brackets->len) inlines->spent_brackets = brackets->len;
        struct target target = {.has_title = false};
        if (!spent && (scan_inline_target(inlines, &target) || scan_reference_target(inlines, &bracket, text_end, &target))) {
            make_link(inlines, &bracket, &target);
            return;
        }
    }
    piece_insert(inlines, 0, TEXT, (struct slice){inlines->text.at + text_end, 1});
}
