// What the parts of the program share. Only operations whose results IEEE 754 or the standard of C fixes are used: the
// functions of the C library (sin, exp, …) differ in the last bit from one library to the next.
#ifndef SIMD_SIMD_H
#define SIMD_SIMD_H

#include <stddef.h>
#include <stdint.h>

#define CHECKSUM_START 0xcbf29ce484222325u

// FNV-1a.
static inline uint64_t checksum(uint64_t sum, const void *bytes, size_t count) {
    const uint8_t *at = bytes;
    for (size_t i = 0; i < count; i++) sum = (sum ^ at[i]) * 0x100000001b3u;
    return sum;
}

static inline uint64_t next_random(uint64_t *state) {
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = *state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

// A number in [0, 1).
static inline double random_unit(uint64_t *state) {
    return (double)(next_random(state) >> 11) * 0x1p-53;
}

void every_operation(void);
void vector_programs(int scale);
void scalar_programs(int scale);

#endif
