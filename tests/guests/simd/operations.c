// Every vector operation on many inputs, edge values among them: one line each, its name and a checksum of its results.
#include <stdio.h>
#include <string.h>
#include <wasm_simd128.h>

#include "simd.h"

enum { ROUNDS = 400 };

// Which bits of a result are compared: NaNs have a payload and a sign that nothing promises.
enum lanes { BITS, F32, F64 };

static const uint32_t EDGES[] = {
    0,          0x80000000, 0x7fffffff, 0xffffffff, 1,          0x80,       0x7f7f7f7f, 0x80808080, 0x8000,     0x7fff8000,
    0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x00800000, 0x4f000000, 0xcf000000, 0x4f800000, 0x00000001,
    0x3f000000, 0xbf000000, 0x4b000001, 0x3ff00000, 0xbff00000, 0x7ff00000, 0xfff00000, 0x7ff80000, 0x41dfffff, 0xc1e00000,
};

static v128_t input(uint64_t *state) {
    uint32_t words[4];
    for (int i = 0; i < 4; i++) {
        uint32_t chance = (uint32_t)(next_random(state) >> 32);
        switch (chance & 3) {
        case 0: words[i] = EDGES[(chance >> 2) % (sizeof EDGES / sizeof *EDGES)]; break;
        // Floats of a moderate size, of both widths.
        case 1: words[i] = (chance & 0x807fffff) | (0x3c0 + ((chance >> 8) & 0x7f)) << 20; break;
        default: words[i] = (uint32_t)(next_random(state) >> 32);
        }
    }
    return wasm_v128_load(words);
}

static void add_result(uint64_t *sum, v128_t result, enum lanes lanes) {
    uint8_t bytes[16];
    wasm_v128_store(bytes, result);
    for (int i = 0; i < 4 && lanes == F32; i++) {
        float x;
        memcpy(&x, bytes + 4 * i, 4);
        if (x != x) memset(bytes + 4 * i, 0xff, 4);
    }
    for (int i = 0; i < 2 && lanes == F64; i++) {
        double x;
        memcpy(&x, bytes + 8 * i, 8);
        if (x != x) memset(bytes + 8 * i, 0xff, 8);
    }
    *sum = checksum(*sum, bytes, 16);
}

#define RUN(name, lanes, expression)                                                                                   \
    do {                                                                                                               \
        uint64_t state = 12345, sum = CHECKSUM_START;                                                                  \
        for (int round = 0; round < ROUNDS; round++) {                                                                 \
            v128_t a = input(&state), b = input(&state), c = input(&state);                                            \
            (void)a, (void)b, (void)c;                                                                                 \
            add_result(&sum, expression, lanes);                                                                       \
        }                                                                                                              \
        printf("%-34s %016llx\n", name, (unsigned long long)sum);                                                      \
    } while (0)
#define ONE(op, lanes) RUN(#op, lanes, wasm_##op(a))
#define TWO(op, lanes) RUN(#op, lanes, wasm_##op(a, b))
#define SHIFTED(op) RUN(#op, BITS, wasm_##op(a, wasm_i32x4_extract_lane(b, 0) & 127))
#define FLAGS(op) RUN(#op, BITS, wasm_i32x4_splat((int32_t)wasm_##op(wasm_v128_and(a, b))))

#define EACH_INTEGER(shape)                                                                                            \
    ONE(i##shape##_abs, BITS);                                                                                         \
    ONE(i##shape##_neg, BITS);                                                                                         \
    TWO(i##shape##_add, BITS);                                                                                         \
    TWO(i##shape##_sub, BITS);                                                                                         \
    TWO(i##shape##_eq, BITS);                                                                                          \
    TWO(i##shape##_ne, BITS);                                                                                          \
    TWO(i##shape##_lt, BITS);                                                                                          \
    TWO(i##shape##_gt, BITS);                                                                                          \
    TWO(i##shape##_le, BITS);                                                                                          \
    TWO(i##shape##_ge, BITS);                                                                                          \
    SHIFTED(i##shape##_shl);                                                                                           \
    SHIFTED(i##shape##_shr);                                                                                           \
    SHIFTED(u##shape##_shr);                                                                                           \
    FLAGS(i##shape##_all_true);                                                                                        \
    FLAGS(i##shape##_bitmask)

#define EACH_NARROW(shape)                                                                                             \
    TWO(u##shape##_lt, BITS);                                                                                          \
    TWO(u##shape##_ge, BITS);                                                                                          \
    TWO(i##shape##_min, BITS);                                                                                         \
    TWO(i##shape##_max, BITS);                                                                                         \
    TWO(u##shape##_min, BITS);                                                                                         \
    TWO(u##shape##_max, BITS)

#define EACH_SATURATING(shape)                                                                                         \
    TWO(i##shape##_add_sat, BITS);                                                                                     \
    TWO(i##shape##_sub_sat, BITS);                                                                                     \
    TWO(u##shape##_add_sat, BITS);                                                                                     \
    TWO(u##shape##_sub_sat, BITS);                                                                                     \
    TWO(u##shape##_avgr, BITS)

#define EACH_WIDENING(wide, narrow)                                                                                    \
    ONE(i##wide##_extend_low_i##narrow, BITS);                                                                         \
    ONE(i##wide##_extend_high_i##narrow, BITS);                                                                        \
    ONE(u##wide##_extend_low_u##narrow, BITS);                                                                         \
    ONE(u##wide##_extend_high_u##narrow, BITS);                                                                        \
    TWO(i##wide##_extmul_low_i##narrow, BITS);                                                                         \
    TWO(i##wide##_extmul_high_i##narrow, BITS);                                                                        \
    TWO(u##wide##_extmul_low_u##narrow, BITS);                                                                         \
    TWO(u##wide##_extmul_high_u##narrow, BITS)

#define EACH_FLOAT(shape, lanes)                                                                                       \
    ONE(shape##_abs, lanes);                                                                                           \
    ONE(shape##_neg, lanes);                                                                                           \
    ONE(shape##_sqrt, lanes);                                                                                          \
    ONE(shape##_ceil, lanes);                                                                                          \
    ONE(shape##_floor, lanes);                                                                                         \
    ONE(shape##_trunc, lanes);                                                                                         \
    ONE(shape##_nearest, lanes);                                                                                       \
    TWO(shape##_add, lanes);                                                                                           \
    TWO(shape##_sub, lanes);                                                                                           \
    TWO(shape##_mul, lanes);                                                                                           \
    TWO(shape##_div, lanes);                                                                                           \
    TWO(shape##_min, lanes);                                                                                           \
    TWO(shape##_max, lanes);                                                                                           \
    TWO(shape##_pmin, lanes);                                                                                          \
    TWO(shape##_pmax, lanes);                                                                                          \
    TWO(shape##_eq, BITS);                                                                                             \
    TWO(shape##_ne, BITS);                                                                                             \
    TWO(shape##_lt, BITS);                                                                                             \
    TWO(shape##_le, BITS);                                                                                             \
    TWO(shape##_gt, BITS);                                                                                             \
    TWO(shape##_ge, BITS)

static void integers(void) {
    EACH_INTEGER(8x16);
    EACH_INTEGER(16x8);
    EACH_INTEGER(32x4);
    EACH_INTEGER(64x2);
    EACH_NARROW(8x16);
    EACH_NARROW(16x8);
    EACH_NARROW(32x4);
    EACH_SATURATING(8x16);
    EACH_SATURATING(16x8);
    ONE(i8x16_popcnt, BITS);
    TWO(i16x8_mul, BITS);
    TWO(i32x4_mul, BITS);
    TWO(i64x2_mul, BITS);
    TWO(i16x8_q15mulr_sat, BITS);
    TWO(i32x4_dot_i16x8, BITS);
}

static void widths(void) {
    EACH_WIDENING(16x8, 8x16);
    EACH_WIDENING(32x4, 16x8);
    EACH_WIDENING(64x2, 32x4);
    ONE(i16x8_extadd_pairwise_i8x16, BITS);
    ONE(u16x8_extadd_pairwise_u8x16, BITS);
    ONE(i32x4_extadd_pairwise_i16x8, BITS);
    ONE(u32x4_extadd_pairwise_u16x8, BITS);
    TWO(i8x16_narrow_i16x8, BITS);
    TWO(u8x16_narrow_i16x8, BITS);
    TWO(i16x8_narrow_i32x4, BITS);
    TWO(u16x8_narrow_i32x4, BITS);
}

static void floats(void) {
    EACH_FLOAT(f32x4, F32);
    EACH_FLOAT(f64x2, F64);
    ONE(i32x4_trunc_sat_f32x4, BITS);
    ONE(u32x4_trunc_sat_f32x4, BITS);
    ONE(i32x4_trunc_sat_f64x2_zero, BITS);
    ONE(u32x4_trunc_sat_f64x2_zero, BITS);
    ONE(f32x4_convert_i32x4, F32);
    ONE(f32x4_convert_u32x4, F32);
    ONE(f64x2_convert_low_i32x4, F64);
    ONE(f64x2_convert_low_u32x4, F64);
    ONE(f32x4_demote_f64x2_zero, F32);
    ONE(f64x2_promote_low_f32x4, F64);
}

static void bits_and_lanes(void) {
    ONE(v128_not, BITS);
    TWO(v128_and, BITS);
    TWO(v128_or, BITS);
    TWO(v128_xor, BITS);
    TWO(v128_andnot, BITS);
    RUN("v128_bitselect", BITS, wasm_v128_bitselect(a, b, c));
    FLAGS(v128_any_true);
    TWO(i8x16_swizzle, BITS);
    RUN("i8x16_swizzle in range", BITS, wasm_i8x16_swizzle(a, wasm_v128_and(b, wasm_i8x16_splat(15))));
    RUN("shuffle: reverse", BITS, wasm_i8x16_shuffle(a, b, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
    RUN("shuffle: interleave", BITS, wasm_i8x16_shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
    RUN("shuffle: shift", BITS, wasm_i8x16_shuffle(a, b, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20));
    RUN("shuffle: at will", BITS, wasm_i8x16_shuffle(a, b, 31, 0, 3, 3, 17, 9, 28, 1, 30, 16, 15, 2, 22, 22, 8, 11));
    RUN("shuffle: words", BITS, wasm_i32x4_shuffle(a, b, 2, 7, 0, 5));
    RUN("i8x16 lanes", BITS, wasm_i8x16_replace_lane(a, 13, wasm_i8x16_extract_lane(b, 3)));
    RUN("u8x16 lane", BITS, wasm_i32x4_splat(wasm_u8x16_extract_lane(a, 7) - wasm_i8x16_extract_lane(a, 7)));
    RUN("i16x8 lanes", BITS, wasm_i16x8_replace_lane(a, 6, wasm_i16x8_extract_lane(b, 1)));
    RUN("u16x8 lane", BITS, wasm_i32x4_splat(wasm_u16x8_extract_lane(a, 5) - wasm_i16x8_extract_lane(a, 5)));
    RUN("i32x4 lanes", BITS, wasm_i32x4_replace_lane(a, 2, wasm_i32x4_extract_lane(b, 1)));
    RUN("i64x2 lanes", BITS, wasm_i64x2_replace_lane(a, 1, wasm_i64x2_extract_lane(b, 0)));
    RUN("f32x4 lanes", F32, wasm_f32x4_replace_lane(a, 3, wasm_f32x4_extract_lane(b, 1)));
    RUN("f64x2 lanes", F64, wasm_f64x2_replace_lane(a, 0, wasm_f64x2_extract_lane(b, 1)));
    RUN("f32x4_splat", F32, wasm_f32x4_splat(wasm_f32x4_extract_lane(a, 0)));
    RUN("f64x2_splat", F64, wasm_f64x2_splat(wasm_f64x2_extract_lane(a, 1)));
    RUN("i16x8_splat", BITS, wasm_i16x8_splat((int16_t)wasm_i32x4_extract_lane(a, 0)));
    RUN("i64x2_splat", BITS, wasm_i64x2_splat(wasm_i64x2_extract_lane(a, 0)));
}

static v128_t stored_lanes(v128_t a, v128_t b) {
    uint8_t bytes[16];
    wasm_v128_store(bytes, b);
    wasm_v128_store8_lane(bytes + 1, a, 3);
    wasm_v128_store16_lane(bytes + 3, a, 4);
    wasm_v128_store32_lane(bytes + 5, a, 2);
    wasm_v128_store64_lane(bytes + 8, a, 1);
    return wasm_v128_load(bytes);
}

static v128_t loaded(const uint8_t *at, v128_t a, int which) {
    switch (which) {
    case 0: return wasm_v128_load8_splat(at);
    case 1: return wasm_v128_load16_splat(at);
    case 2: return wasm_v128_load32_splat(at);
    case 3: return wasm_v128_load64_splat(at);
    case 4: return wasm_v128_load32_zero(at);
    case 5: return wasm_v128_load64_zero(at);
    case 6: return wasm_i16x8_load8x8(at);
    case 7: return wasm_u16x8_load8x8(at);
    case 8: return wasm_i32x4_load16x4(at);
    case 9: return wasm_u32x4_load16x4(at);
    case 10: return wasm_i64x2_load32x2(at);
    case 11: return wasm_u64x2_load32x2(at);
    case 12: return wasm_v128_load8_lane(at, a, 5);
    case 13: return wasm_v128_load16_lane(at, a, 6);
    case 14: return wasm_v128_load32_lane(at, a, 1);
    case 15: return wasm_v128_load64_lane(at, a, 0);
    default: return wasm_v128_load(at);
    }
}

static void loads_and_stores(void) {
    uint8_t bytes[64];
    uint64_t state = 99;
    for (int i = 0; i < 64; i++) bytes[i] = (uint8_t)(next_random(&state) >> 56);
    for (int which = 0; which <= 16; which++) {
        char name[32];
        snprintf(name, sizeof name, "load %d", which);
        RUN(name, BITS, loaded(bytes + round % 48, a, which));
    }
    RUN("store lanes", BITS, stored_lanes(a, b));
}

void every_operation(void) {
    integers();
    widths();
    floats();
    bits_and_lanes();
    loads_and_stores();
}
