// The JSON formatter under check: what it accepts, it must give back unchanged when asked again.
#include <string.h>

#include "../json/format.h"
#include "subject.h"

bool subject_run(const u8 *input, u32 len, struct buffer *out) {
    return json_format(input, len, out);
}

static bool is_error(const struct buffer *out) {
    return out->len > 14 && memcmp(out->data, "error at byte ", 14) == 0;
}

const char *subject_verify(const struct buffer *out) {
    if (out->len == 0 || out->data[out->len - 1] != '\n') return "the output does not end with a newline";
    if (is_error(out)) return NULL;
    struct buffer again = {0};
    if (!json_format(out->data, out->len, &again)) return "out of memory at the second time";
    if (again.len != out->len || memcmp(again.data, out->data, out->len) != 0) return "formatting twice changes the text";
    return NULL;
}

const char *const subject_words[] = {
    "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "\\ud83d", "\\ude00", "\\u0000", "0", "-", "1e", "e+", ".5", "true",
    "false", "null", " ", "\n", "\t", "\"k\":", "[[[[", "{\"a\":", "\xff", "\xed\xa0\x80", "\xc3\xa4", "\xf0\x9f\x98\x80", "\x7f", "\x01",
};
const u32 subject_word_count = sizeof subject_words / sizeof subject_words[0];

static const char *const patterns[][3] = {
    {"", "[", ""},        {"[", "1,", "1]"},    {"\"", "\\u00e4", "\""}, {"[", "{\"a\":[]},", "{}]"},
    {"\"", "x", "\""},    {"", " ", "1"},       {"-", "9", ""},          {"\"", "\\ud800", "\""},
    {"{", "\"k\":0,", "\"k\":0}"},
};
const u32 subject_pattern_count = sizeof patterns / sizeof patterns[0];

void subject_pattern(u32 index, u32 len, struct buffer *input) {
    put_repeated(input, len, patterns[index][0], patterns[index][1], patterns[index][2]);
}
