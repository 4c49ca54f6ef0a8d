// Pieces to HTML. Inside an image everything becomes its alternative text, without tags.
#include "chars.h"
#include "html.h"
#include "pieces.h"

// One space goes from each end if both are there, so that code can begin with a backtick.
static void put_code_span(struct buffer *out, struct slice code) {
    bool blank = true;
    for (u32 i = 0; i < code.len && blank; i++) blank = code.at[i] == ' ' || code.at[i] == '\n';
    bool padded = !blank && (code.at[0] == ' ' || code.at[0] == '\n') &&
                  (code.at[code.len - 1] == ' ' || code.at[code.len - 1] == '\n');
    if (padded) code = (struct slice){code.at + 1, code.len - 2};
    u32 start = out->len;
    html_code(out, code);
    for (u32 i = start; i < out->len; i++) {
        if (out->data[i] == '\n') out->data[i] = ' ';
    }
}

static void put_title(struct buffer *out, const struct piece *piece) {
    if (!piece->has_title) return;
    buffer_text(out, " title=\"");
    html_unescaped_text(out, piece->title);
    buffer_byte(out, '"');
}

static void put_autolink(struct buffer *out, const struct piece *piece) {
    buffer_text(out, piece->kind == EMAIL_AUTOLINK ? "<a href=\"mailto:" : "<a href=\"");
    html_autolink_url(out, piece->text);
    buffer_text(out, "\">");
    html_text(out, piece->text);
    buffer_text(out, "</a>");
}

static void put_link(struct buffer *out, const struct piece *piece) {
    buffer_text(out, "<a href=\"");
    html_url(out, piece->text);
    buffer_byte(out, '"');
    put_title(out, piece);
    buffer_byte(out, '>');
}

static void put_piece(struct buffer *out, const struct piece *piece) {
    switch (piece->kind) {
    case TEXT: html_text(out, piece->text); break;
    case CODE_SPAN:
        buffer_text(out, "<code>");
        put_code_span(out, piece->text);
        buffer_text(out, "</code>");
        break;
    case URI_AUTOLINK:
    case EMAIL_AUTOLINK: put_autolink(out, piece); break;
    case SOFT_BREAK: buffer_byte(out, '\n'); break;
    case HARD_BREAK: buffer_text(out, "<br />\n"); break;
    case EMPHASIS_OPEN: buffer_text(out, "<em>"); break;
    case EMPHASIS_CLOSE: buffer_text(out, "</em>"); break;
    case STRONG_OPEN: buffer_text(out, "<strong>"); break;
    case STRONG_CLOSE: buffer_text(out, "</strong>"); break;
    case LINK_OPEN: put_link(out, piece); break;
    case LINK_CLOSE: buffer_text(out, "</a>"); break;
    default: break;
    }
}

static void put_alternative(struct buffer *out, const struct piece *piece) {
    switch (piece->kind) {
    case TEXT:
    case URI_AUTOLINK:
    case EMAIL_AUTOLINK: html_text(out, piece->text); break;
    case CODE_SPAN: put_code_span(out, piece->text); break;
    case SOFT_BREAK:
    case HARD_BREAK: buffer_byte(out, '\n'); break;
    default: break;
    }
}

void put_pieces(const struct inlines *inlines, struct buffer *out) {
    u32 images = 0;
    for (u32 index = piece_at(inlines, 0)->next; index; index = piece_at(inlines, index)->next) {
        const struct piece *piece = piece_at(inlines, index);
        if (piece->kind == IMAGE_OPEN && images++ == 0) {
            buffer_text(out, "<img src=\"");
            html_url(out, piece->text);
            buffer_text(out, "\" alt=\"");
        } else if (piece->kind == IMAGE_CLOSE && --images == 0) {
            buffer_byte(out, '"');
            put_title(out, piece);
            buffer_text(out, " />");
        } else if (images) {
            put_alternative(out, piece);
        } else {
            put_piece(out, piece);
        }
    }
}
