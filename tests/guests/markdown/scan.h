// The small grammars that blocks and inlines share. Each scan starts at `*at`, and on success
// leaves it behind what it took; on failure `*at` is as it was.
#ifndef MARKDOWN_SCAN_H
#define MARKDOWN_SCAN_H

#include "../lib/types.h"

// Characters between the brackets of a label, by section 4.7 of the spec.
enum { LABEL_LIMIT = 999 };

// `[label]`: without unescaped brackets in it. `label` is what is between, maybe blank.
bool scan_label(struct slice text, u32 *at, struct slice *label);
bool label_is_blank(struct slice label);

// `<destination>` or bare; maybe empty.
bool scan_destination(struct slice text, u32 *at, struct slice *destination);

// `"title"`, `'title'` or `(title)`.
bool scan_title(struct slice text, u32 *at, struct slice *title);

void skip_blanks(struct slice text, u32 *at);
// Spaces, tabs and line endings: a paragraph has no blank line, so at most one line ending.
void skip_space(struct slice text, u32 *at);

// The inside of `<https://...>` and `<name@host>`, with the brackets taken.
bool scan_uri_autolink(struct slice text, u32 *at, struct slice *uri);
bool scan_email_autolink(struct slice text, u32 *at, struct slice *address);

// The length of the entity that starts at `at` (`&name;`, `&#1;`, `&#x1;`), or 0. Any name of
// two characters and more will do: the browser shows a name it does not know as it stands.
u32 entity_len(const u8 *at, u32 left);

#endif
