// Runs the code of one guest natively, under the sanitizers, without any runtime:
//
//   native run FILE             the output for one input, on stdout
//   native fuzz SECONDS SEED FILE...
//                               mutated inputs: no crash, no overrun, and what always holds, holds
//   native slow KIBIBYTES       inputs that cost quadratic time in careless parsers
//
// A guest takes part through the shim of its ABI in subject.h: pointers have 32 bits there.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/heap_native.h"
#include "subject.h"

enum { LARGEST_MUTANT = 16384 };

static _Noreturn void die(const char *what, const char *which) {
    fprintf(stderr, "native: %s: %s\n", what, which);
    exit(2);
}

static struct buffer read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) die("cannot open", path);
    struct buffer bytes = {0};
    u32 count;
    do {
        bytes.data = realloc(bytes.data, bytes.len + 65536);
        if (!bytes.data) die("out of memory", path);
        count = (u32)fread(bytes.data + bytes.len, 1, 65536, file);
        bytes.len += count;
    } while (count > 0);
    fclose(file);
    return bytes;
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

// The input in a block of its own size, so that the sanitizer sees a read behind its end.
static bool run_subject(const u8 *input, u32 len, struct buffer *out) {
    u8 *exact = malloc(len ? len : 1);
    if (!exact) die("out of memory", "input");
    if (len) memcpy(exact, input, len);
    bool done = subject_run(exact, len, out);
    free(exact);
    return done;
}

static int run(const char *path) {
    struct buffer input = read_file(path);
    struct buffer out = {0};
    if (!run_subject(input.data, input.len, &out)) die("out of memory", path);
    if (!out.data) die("an answer without address", path);
    fwrite(out.data, 1, out.len, stdout);
    heap_native_release_all();
    free(input.data);
    return 0;
}

// ---- fuzzing

static u64 random_state;

static u32 random_below(u32 limit) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (u32)((random_state >> 16) % limit);
}

struct mutant {
    u8 bytes[LARGEST_MUTANT];
    u32 len;
};

static void insert(struct mutant *mutant, u32 at, const u8 *bytes, u32 len) {
    if (len > LARGEST_MUTANT - mutant->len) len = LARGEST_MUTANT - mutant->len;
    if (len == 0) return;
    memmove(mutant->bytes + at + len, mutant->bytes + at, mutant->len - at);
    memcpy(mutant->bytes + at, bytes, len);
    mutant->len += len;
}

static void mutate(struct mutant *mutant, const struct buffer *other) {
    u32 at = random_below(mutant->len + 1);
    u32 left = mutant->len - at;
    switch (random_below(6)) {
    case 0: // a byte of any value
        if (left) mutant->bytes[at] = (u8)random_below(256);
        break;
    case 1: // a word of the language
    case 2: {
        const char *word = subject_words[random_below(subject_word_count)];
        u32 times = random_below(4) ? 1 : 1 + random_below(40);
        while (times--) insert(mutant, at, (const u8 *)word, (u32)strlen(word));
        break;
    }
    case 3: { // something missing
        u32 gone = random_below(left + 1);
        if (random_below(2) && gone > 8) gone = 8;
        memmove(mutant->bytes + at, mutant->bytes + at + gone, left - gone);
        mutant->len -= gone;
        break;
    }
    case 4: { // something of another case
        if (!other->len) break;
        u32 from = random_below(other->len);
        u32 len = random_below(other->len - from) % 400;
        insert(mutant, at, other->data + from, len);
        break;
    }
    default: // the end missing
        if (random_below(4) == 0) mutant->len = at;
        break;
    }
}

static _Noreturn void report(const struct mutant *mutant, const char *what) {
    FILE *file = fopen("fuzz-failure.bin", "wb");
    if (file) {
        fwrite(mutant->bytes, 1, mutant->len, file);
        fclose(file);
    }
    die(what, "input kept in fuzz-failure.bin");
}

static int fuzz(double seconds, u64 seed, char **paths, int path_count) {
    struct buffer *cases = calloc((size_t)path_count, sizeof *cases);
    static struct mutant mutant;
    if (!cases || path_count == 0) die("nothing to fuzz with", "no case files");
    for (int i = 0; i < path_count; i++) cases[i] = read_file(paths[i]);
    random_state = seed * 2654435761u + 88172645463325252u;
    double end = seconds_now() + seconds;
    u64 runs = 0;
    u64 starved = 0;
    while (seconds_now() < end) {
        const struct buffer *base = &cases[random_below((u32)path_count)];
        mutant.len = base->len < LARGEST_MUTANT ? base->len : LARGEST_MUTANT;
        memcpy(mutant.bytes, base->data, mutant.len);
        for (u32 i = 1 + random_below(12); i > 0; i--) mutate(&mutant, &cases[random_below((u32)path_count)]);

        // Every now and then the memory cannot grow; that must end in a refusal and nothing else.
        heap_native_limit = random_below(8) ? SIZE_MAX : random_below(200000);
        struct buffer out = {0};
        bool done = run_subject(mutant.bytes, mutant.len, &out);
        if (!done && heap_native_limit == SIZE_MAX) report(&mutant, "out of memory without a limit");
        heap_native_limit = SIZE_MAX;
        const char *broken = !done ? NULL : out.data ? subject_verify(&out) : "an answer without address";
        if (broken) report(&mutant, broken);
        starved += !done;
        heap_native_release_all();
        runs++;
    }
    printf("%llu mutated inputs, %llu of them out of memory\n", (unsigned long long)runs, (unsigned long long)starved);
    for (int i = 0; i < path_count; i++) free(cases[i].data);
    free(cases);
    return 0;
}

// ---- slow inputs

// Time on the processor: other work on the machine is not the parser's fault.
static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double seconds_for(u32 pattern, u32 len) {
    struct buffer input = {0};
    subject_pattern(pattern, len, &input);
    double start = cpu_seconds();
    struct buffer out = {0};
    if (!run_subject(input.data, input.len, &out)) die("out of memory", "slow");
    double taken = cpu_seconds() - start;
    heap_native_release_all();
    return taken;
}

// Time for an input made of repetitions may grow with its length. With eight times the length, a
// quadratic parser takes 64 times as long; 24 leaves room for caches. One good measurement out of
// a few is enough: noise makes a parser slower, never faster.
static bool is_linear(u32 pattern, u32 kibibytes) {
    for (u32 attempt = 0; attempt < 5; attempt++) {
        double small = seconds_for(pattern, kibibytes * 1024 / 8);
        double large = seconds_for(pattern, kibibytes * 1024);
        if (large < 0.1 || large < 24 * small) return true;
        fprintf(stderr, "native: pattern %u: %.3f s, and %.3f s for eight times the length\n", pattern, small, large);
    }
    return false;
}

static int slow(u32 kibibytes) {
    u32 failures = 0;
    for (u32 i = 0; i < subject_pattern_count; i++) failures += !is_linear(i, kibibytes);
    printf("%u patterns, %u too slow\n", subject_pattern_count, failures);
    return failures ? 1 : 0;
}

int main(int count, char **words) {
    if (count == 3 && strcmp(words[1], "run") == 0) return run(words[2]);
    if (count >= 4 && strcmp(words[1], "fuzz") == 0) {
        return fuzz(atof(words[2]), strtoull(words[3], NULL, 10), words + 4, count - 4);
    }
    if (count == 3 && strcmp(words[1], "slow") == 0) return slow((u32)atoi(words[2]));
    die("usage", "native run FILE | fuzz SECONDS SEED FILE... | slow KIBIBYTES");
}
