// The text of one leaf block into HTML: emphasis, links, code, breaks.
#ifndef MARKDOWN_INLINE_H
#define MARKDOWN_INLINE_H

#include "document.h"

void render_inlines(struct document *document, struct slice text, struct buffer *out);

#endif
