// Tables (GFM): rows of cells between pipes. A pipe behind a backslash is part of its cell.
#ifndef MARKDOWN_TABLE_H
#define MARKDOWN_TABLE_H

#include "document.h"

// Whether `header`, the last line of a paragraph, and `delimiters`, the line under it, start a table.
bool table_starts(struct slice header, struct slice delimiters);

// `text` has the header, the delimiters and the rows, a line each.
void render_table(struct document *document, struct slice text, struct buffer *out);

#endif
