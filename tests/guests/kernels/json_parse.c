// Branches on bytes: writes a JSON text of n records, parses it to a tree, and answers with a checksum of a walk through it.
#include "kernel.h"

enum { TEXT_MOST = 1 << 20, NODES_MOST = 1 << 17, RECORDS_MOST = 6000 };

enum kind { NIL, BOOLEAN, NUMBER, STRING, ARRAY, OBJECT };

struct node {
    enum kind kind;
    // Index of the next node in the same array or object; 0 ends a list.
    u32 next;
    // Where the key is, for a member of an object.
    u32 key, key_len;
    union {
        double number;
        struct {
            u32 at, len;
        } text;
        u32 first;
    } value;
};

static u8 text[TEXT_MOST];
static u32 text_len, at;
static struct node nodes[NODES_MOST];
static u32 node_count;

static void put(const char *piece) {
    while (*piece) text[text_len++] = (u8)*piece++;
}

static void put_number(u32 number) {
    char digits[11];
    u32 i = 10;
    digits[10] = 0;
    do digits[--i] = (char)('0' + number % 10);
    while (number /= 10);
    put(digits + i);
}

static void write_text(u32 records) {
    text_len = 0;
    put("[");
    for (u32 i = 0; i < records; i++) {
        if (i) put(",\n ");
        put("{\"id\": ");
        put_number(i * 7919 % 100003);
        put(", \"name\": \"record \\\"");
        put_number(i);
        put("\\\" \\u00e9\", \"active\": ");
        put(i % 3 ? "true" : "false");
        put(", \"parent\": null, \"scores\": [");
        for (u32 j = 0; j < i % 5; j++) {
            if (j) put(", ");
            put_number(i * j % 101);
            put(".");
            put_number((i + j) % 1000);
            put(j % 2 ? "e-2" : "");
        }
        put("], \"place\": {\"x\": -");
        put_number(i);
        put(", \"y\": ");
        put_number(i * i % 977);
        put("}}");
    }
    put("]");
    text[text_len] = 0;
}

static void skip_space(void) {
    while (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r') at++;
}

// Leaves escapes as they are: the tree points into the text.
static bool parse_string(u32 *start, u32 *len) {
    if (text[at] != '"') return false;
    *start = ++at;
    while (text[at] != '"') {
        if (text[at] < ' ') return false;
        at += text[at] == '\\' ? 2 : 1;
    }
    *len = at++ - *start;
    return true;
}

static bool parse_number(double *number) {
    bool negative = text[at] == '-';
    double value = 0;
    at += negative;
    if (text[at] < '0' || text[at] > '9') return false;
    while (text[at] >= '0' && text[at] <= '9') value = value * 10 + (text[at++] - '0');
    if (text[at] == '.') {
        double scale = 1;
        at++;
        while (text[at] >= '0' && text[at] <= '9') value = value * 10 + (text[at++] - '0'), scale *= 10;
        value /= scale;
    }
    if (text[at] == 'e') {
        bool down = text[++at] == '-';
        u32 exponent = 0;
        at += down || text[at] == '+';
        while (text[at] >= '0' && text[at] <= '9') exponent = exponent * 10 + (text[at++] - '0');
        while (exponent--) value = down ? value / 10 : value * 10;
    }
    *number = negative ? -value : value;
    return true;
}

static bool parse_word(const char *word) {
    while (*word) {
        if (text[at++] != (u8)*word++) return false;
    }
    return true;
}

// The index of a new node; 0 is not a node.
static u32 parse_value(void);

static u32 parse_list(enum kind kind, u8 close) {
    u32 index = ++node_count, last = 0;
    nodes[index] = (struct node){.kind = kind};
    at++;
    skip_space();
    while (text[at] != close) {
        u32 key = 0, key_len = 0;
        if (kind == OBJECT) {
            if (!parse_string(&key, &key_len)) return 0;
            skip_space();
            if (text[at++] != ':') return 0;
        }
        u32 item = parse_value();
        if (!item) return 0;
        nodes[item].key = key;
        nodes[item].key_len = key_len;
        if (last) nodes[last].next = item;
        else nodes[index].value.first = item;
        last = item;
        skip_space();
        if (text[at] == ',') at++;
        else if (text[at] != close) return 0;
        skip_space();
    }
    at++;
    return index;
}

static u32 parse_value(void) {
    skip_space();
    if (node_count + 1 >= NODES_MOST) return 0;
    if (text[at] == '[') return parse_list(ARRAY, ']');
    if (text[at] == '{') return parse_list(OBJECT, '}');
    u32 index = ++node_count;
    struct node *node = &nodes[index];
    *node = (struct node){.kind = NIL};
    switch (text[at]) {
    case 'n': return parse_word("null") ? index : 0;
    case 't': node->kind = BOOLEAN, node->value.number = 1; return parse_word("true") ? index : 0;
    case 'f': node->kind = BOOLEAN, node->value.number = 0; return parse_word("false") ? index : 0;
    case '"': node->kind = STRING; return parse_string(&node->value.text.at, &node->value.text.len) ? index : 0;
    default: node->kind = NUMBER; return parse_number(&node->value.number) ? index : 0;
    }
}

static u64 walk(u32 index, u64 sum) {
    const struct node *node = &nodes[index];
    sum = sum * 31 + node->kind;
    for (u32 i = 0; i < node->key_len; i++) sum = sum * 31 + text[node->key + i];
    switch (node->kind) {
    case NIL: break;
    case BOOLEAN:
    case NUMBER: sum = sum * 31 + (u64)(i64)(node->value.number * 1000); break;
    case STRING:
        for (u32 i = 0; i < node->value.text.len; i++) sum = sum * 31 + text[node->value.text.at + i];
        break;
    case ARRAY:
    case OBJECT:
        for (u32 item = node->value.first; item; item = nodes[item].next) sum = walk(item, sum);
    }
    return sum;
}

i64 run(u32 n) {
    write_text(n < RECORDS_MOST ? n : RECORDS_MOST);
    at = node_count = 0;
    u32 root = parse_value();
    return root ? (i64)(walk(root, 1) + node_count) : -1;
}
