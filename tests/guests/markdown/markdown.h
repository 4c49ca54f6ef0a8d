// Renders Markdown as HTML: CommonMark 0.31 with the tables of GFM, made for text from strangers.
//
// What differs from CommonMark, on purpose:
//   - raw HTML is text like any other: it comes out escaped;
//   - entities (&copy; &#169;) are left to the browser and not turned into characters;
//   - links to javascript:, vbscript:, file: and data: (but for common images) stay text;
//   - containers deeper than NESTING_LIMIT are text of the innermost one.
//
// Time and memory grow with the input, not with its square: see the notes at each limit.
#ifndef MARKDOWN_MARKDOWN_H
#define MARKDOWN_MARKDOWN_H

#include "../lib/buffer.h"

// Appends the HTML of `text` to `out`. Bytes that are not UTF-8 pass through.
// False when memory ran out; `out` is then unusable.
bool markdown_render(const u8 *text, u32 len, struct buffer *out);

#endif
