// Text into HTML. Everything that comes from the input passes through one of these.
#ifndef MARKDOWN_HTML_H
#define MARKDOWN_HTML_H

#include "../lib/buffer.h"

// < > " and & escaped, entities left alone.
void html_text(struct buffer *out, struct slice text);

// The same, with backslash escapes resolved: for titles and info strings.
void html_unescaped_text(struct buffer *out, struct slice text);

// < > " and every & escaped: in code, an entity is only its letters.
void html_code(struct buffer *out, struct slice code);

// For href and src: as html_unescaped_text, and what a URL cannot hold is percent-encoded.
void html_url(struct buffer *out, struct slice url);

// For the inside of an autolink, where a backslash is a backslash.
void html_autolink_url(struct buffer *out, struct slice url);

#endif
