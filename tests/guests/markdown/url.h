// Which link destinations are let through.
#ifndef MARKDOWN_URL_H
#define MARKDOWN_URL_H

#include "../lib/types.h"

// False for schemes that run code or read files, however they are spelled: in capitals, with
// backslash escapes, with entities, or with the tabs and newlines that browsers drop.
bool url_is_safe(struct slice destination);

#endif
