// The Markdown renderer under check: its output is always a well-formed tree of the few tags and
// attributes it knows, so nothing of the input has slipped through as markup.
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../markdown/markdown.h"
#include "subject.h"

bool subject_run(const u8 *input, u32 len, struct buffer *out) {
    return markdown_render(input, len, out);
}

static const char *const tags[] = {
    "p",  "h1", "h2",    "h3",    "h4",    "h5", "h6", "blockquote", "ul", "ol",   "li",  "pre",
    "hr", "br", "table", "thead", "tbody", "tr", "th", "td",         "em", "strong", "a", "code", "img",
};
static const char *const attributes[] = {"href", "src", "alt", "title", "class", "start", "style"};

// href and src, the first of them, hold URLs.
enum { URL_ATTRIBUTE_COUNT = 2 };

enum { TAG_COUNT = sizeof tags / sizeof tags[0], ATTRIBUTE_COUNT = sizeof attributes / sizeof attributes[0] };

static int find(const char *const *words, int count, const char *at, size_t len) {
    for (int i = 0; i < count; i++) {
        if (strlen(words[i]) == len && memcmp(words[i], at, len) == 0) return i;
    }
    return -1;
}

static size_t name_len(const char *at) {
    return strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789");
}

// The attribute as a browser reads it, as far as a scheme goes: entities resolved, controls dropped.
static void decode(const char *value, char *to, size_t capacity) {
    size_t len = 0;
    while (*value && *value != '"' && len + 1 < capacity) {
        char *end = NULL;
        long number = -1;
        if (strncmp(value, "&#", 2) == 0) {
            bool hex = value[2] == 'x' || value[2] == 'X';
            number = strtol(value + (hex ? 3 : 2), &end, hex ? 16 : 10);
        }
        if (strncmp(value, "&colon;", 7) == 0) {
            to[len++] = ':';
            value += 7;
        } else if (strncmp(value, "&Tab;", 5) == 0 || strncmp(value, "&NewLine;", 9) == 0) {
            value = strchr(value, ';') + 1;
        } else if (number >= 0 && *end == ';') {
            if (number > ' ') to[len++] = number < 0x80 ? (char)number : '?';
            value = end + 1;
        } else {
            if ((u8)*value > ' ') to[len++] = *value;
            value++;
        }
    }
    to[len] = 0;
}

static bool has_evil_scheme(const char *value) {
    static const char *const schemes[] = {"javascript:", "vbscript:", "file:"};
    char decoded[32];
    decode(value, decoded, sizeof decoded);
    for (int i = 0; i < 3; i++) {
        if (strncasecmp(decoded, schemes[i], strlen(schemes[i])) == 0) return true;
    }
    return strncasecmp(decoded, "data:", 5) == 0 && strncasecmp(decoded, "data:image/", 11) != 0;
}

// Behind the name of an open tag. Where the tag ends, or NULL.
static const char *skip_attributes(const char *at, bool *closed) {
    while (*at == ' ') {
        at++;
        if (*at == '/') {
            *closed = true;
            at++;
            break;
        }
        size_t len = name_len(at);
        int attribute = find(attributes, ATTRIBUTE_COUNT, at, len);
        if (attribute < 0 || strncmp(at + len, "=\"", 2) != 0) return NULL;
        at += len + 2;
        if (attribute < URL_ATTRIBUTE_COUNT && has_evil_scheme(at)) return NULL;
        at += strcspn(at, "\"<>");
        if (*at++ != '"') return NULL;
    }
    return *at == '>' ? at + 1 : NULL;
}

static const char *verify_text(const char *html, u8 *open, size_t depth) {
    size_t start = depth;
    while (*html) {
        if (*html == '>' || *html == '"') return "an unescaped > or \" in the text";
        if (*html++ != '<') continue;
        bool close = *html == '/';
        html += close;
        size_t len = name_len(html);
        int tag = find(tags, TAG_COUNT, html, len);
        if (tag < 0) return "an unknown tag";
        html += len;
        if (close) {
            if (*html++ != '>') return "an end tag with something in it";
            if (depth == start || open[--depth] != tag) return "tags that are not nested";
            continue;
        }
        bool closed = false;
        html = skip_attributes(html, &closed);
        if (!html) return "a tag with wrong attributes";
        if (!closed) open[depth++] = (u8)tag;
    }
    return depth == start ? NULL : "a tag that is not closed";
}

const char *subject_verify(const struct buffer *out) {
    if (memchr(out->data, 0, out->len)) return "a NUL in the output";
    char *html = malloc(out->len + 1);
    u8 *open = malloc(out->len + 1);
    if (!html || !open) abort();
    if (out->len) memcpy(html, out->data, out->len);
    html[out->len] = 0;
    const char *broken = verify_text(html, open, 0);
    free(open);
    free(html);
    return broken;
}

const char *const subject_words[] = {
    "*", "**", "***", "_", "__", "`", "``", "```\n", "~~~\n", "[", "]", "](", ")", "![", "<", ">", "\n", "\n\n", "\n> ", "> ",
    "\n- ", "- ", "\n1. ", "1) ", "\n    ", "\t", "  \n", "\\\n", "\\", "|", "\n|-|-|\n", "|:-:|\n", "\n---\n", "\n===\n",
    "# ", "\n###### ", "[a]: /u\n", "\n[a]: <b> 'c'\n", "[a]", "[a][]", "&amp;", "&#106;", "&", "\"", "'", "<http://a>", "<a@b.c>",
    "javascript:", "](javascript&colon;x)", "](java&Tab;script:", "](&#106;avascript:", "](JavaScript\\:", "](data:text/html,x)", "](<", "\r", "\r\n", "\xff", "\xe2\x80", "\xc2\xa0",
    "\xe2\x80\x9c", "\xef\xbb\xbf", "<script>", "* * *", "+ ", "\n-\n", "      ",
};
const u32 subject_word_count = sizeof subject_words / sizeof subject_words[0];

static const char *const patterns[][3] = {
    {"", "*a ", ""},          {"", "a* ", ""},         {"", "*a_ ", ""},        {"", "*a **a ", ""},      {"", "**a *b* ", ""},
    {"", "a***b_", ""},       {"", "[", ""},           {"", "]", ""},           {"", "[a](", ""},         {"", "[a](b", ""},
    {"", "[a](<b", ""},       {"", "[a](b \"", ""},    {"", "![", ""},          {"", "![[]()", ""},       {"", "[![", "]()"},
    {"", "[[a]", ""},         {"", "[a](b)", ""},      {"", "`a``b```c", ""},   {"", "<a:", ""},          {"", "<a@b.", ""},
    {"", "<", ""},            {"", "&", ""},           {"", "> ", "a"},         {"", "> \n", ""},         {"", "- ", "a"},
    {"", "- a\n", ""},        {"", "* a\n\n", ""},     {"", "1. a\n  > b\n", ""}, {"", "    a\n\n", ""},   {"", "\\", ""},
    {"[a]: /u\n\n", "[a]", ""}, {"", "[a]: /u\n", ""}, {"", "[a\n", ""},        {"", "[", "]: /u"},       {"|a|\n|-|\n", "|b|c\n", ""},
    {"", "|a", ""},           {"", "a|\n-|\n", ""},    {"", "a\n-|\n", ""},     {"", "```\n", ""},        {"", "~~~~ a\n", ""},
    {"", "# a #", ""},        {"", " ", "a"},          {"", "\t", "a"},         {"", "a  \n", ""},        {"", "a\\\n", ""},
    {"", "- - - ", "a"},      {"", "_ _ _ ", "a"},     {"", "\n", ""},          {"", "[a][b", "]"},       {"", "a<b>`*_[]()!\n", ""},
    {"", "<!--", ""},         {"", "(((((", ""},       {"[a](", "(", ")"},      {"", "*[a", ""},          {"", "*a](", ""},
};
enum { SIMPLE_PATTERNS = sizeof patterns / sizeof patterns[0], MADE_PATTERNS = 5 };
const u32 subject_pattern_count = SIMPLE_PATTERNS + MADE_PATTERNS;

static void put_repeat(struct buffer *input, const char *text, u32 times) {
    while (times--) buffer_text(input, text);
}

// What depends on the length: half of one thing and half of another, or ever longer runs.
static void made_pattern(u32 index, u32 len, struct buffer *input) {
    switch (index) {
    case 0: // open brackets that hold no link yet, then links
        put_repeat(input, "[", len / 2);
        put_repeat(input, "[a](b)", len / 12);
        break;
    case 1: // runs of backticks of every length
        for (u32 run = 1; input->len < len; run++) {
            put_repeat(input, "`", run);
            buffer_text(input, "a");
        }
        break;
    case 2: // a wide table with short rows
        put_repeat(input, "|a", len / 4);
        buffer_text(input, "|\n");
        put_repeat(input, "|-", len / 4);
        buffer_text(input, "|\n");
        put_repeat(input, "x\n", len / 4);
        break;
    case 3: // one long definition, used often
        buffer_text(input, "[a]: /");
        put_repeat(input, "u", len / 2);
        buffer_text(input, "\n\n");
        put_repeat(input, "[a] ", len / 8);
        break;
    default: // definitions of different labels, and a use of each
        for (u32 number = 0; input->len < len / 2; number++) {
            buffer_text(input, "[x");
            buffer_decimal(input, number);
            buffer_text(input, "]: /u\n");
        }
        buffer_text(input, "\n");
        for (u32 number = 0; input->len < len; number++) {
            buffer_text(input, "[x");
            buffer_decimal(input, number);
            buffer_text(input, "] ");
        }
    }
}

void subject_pattern(u32 index, u32 len, struct buffer *input) {
    if (index < SIMPLE_PATTERNS) {
        put_repeated(input, len, patterns[index][0], patterns[index][1], patterns[index][2]);
    } else {
        made_pattern(index - SIMPLE_PATTERNS, len, input);
    }
}
