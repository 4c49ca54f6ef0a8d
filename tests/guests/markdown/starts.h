// What the first characters of a line can begin. Each looks at the line and changes nothing; the
// caller has seen to it that the line is indented less than four columns.
#ifndef MARKDOWN_STARTS_H
#define MARKDOWN_STARTS_H

#include "document.h"
#include "line.h"

// `## heading ##`: the level, and the heading without its marks. 0 when it is none.
u32 starts_atx_heading(const struct line *line, struct slice *heading);

// `===` or `---`: the level of the paragraph above; 0 when it is none.
u32 starts_setext_underline(const struct line *line);

bool starts_rule(const struct line *line);

// ``` or ~~~, with the info string behind it. The length of the fence; 0 when it is none.
u32 starts_fence(const struct line *line, struct slice *info);

// Whether the line ends the code block with that fence.
bool starts_closing_fence(const struct line *line, u8 fence, u32 fence_len);

// `-`, `+`, `*`, `1.` or `1)`: its length in bytes; 0 when it is none, or may not interrupt the
// paragraph above.
u32 starts_item(const struct line *line, bool interrupts_paragraph, struct list_marker *marker);

#endif
