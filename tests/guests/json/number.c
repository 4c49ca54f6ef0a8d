// Numbers: checked against the grammar of RFC 8259 section 6, then copied as they are, so that no
// digit is lost on the way through a binary format.
#include "parser.h"

static void digits(struct parser *parser) {
    if (!is_digit(peek(parser))) {
        fail(parser, parser->at, "expected a digit");
        return;
    }
    while (is_digit(peek(parser))) parser->at++;
}

void parse_number(struct parser *parser) {
    u32 start = parser->at;
    if (peek(parser) == '-') parser->at++;
    if (peek(parser) == '0') {
        parser->at++;
        if (is_digit(peek(parser))) fail(parser, parser->at, "a number must not start with 0");
    } else {
        digits(parser);
    }
    if (peek(parser) == '.') {
        parser->at++;
        digits(parser);
    }
    if (peek(parser) == 'e' || peek(parser) == 'E') {
        parser->at++;
        if (peek(parser) == '+' || peek(parser) == '-') parser->at++;
        digits(parser);
    }
    buffer_bytes(parser->out, parser->text + start, parser->at - start);
}
