// The vector operations of WebAssembly in plain C, lane by lane, under the names that clang gives them: simd/ is compiled with
// this header natively and with clang's for wasm, and the outputs have to be equal.
//
// Written from the specification's definitions, for little-endian machines; only what simd/ uses is here.
#ifndef NATIVE_WASM_SIMD128_H
#define NATIVE_WASM_SIMD128_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef union {
    int8_t i8x16[16];
    uint8_t u8x16[16];
    int16_t i16x8[8];
    uint16_t u16x8[8];
    int32_t i32x4[4];
    uint32_t u32x4[4];
    int64_t i64x2[2];
    uint64_t u64x2[2];
    float f32x4[4];
    double f64x2[2];
} v128_t;

#define EACH(lanes) for (int i = 0; i < (lanes); i++)
// name(a), name(a, b): lane i of `shape` is `value`.
#define UNARY(name, shape, lanes, value)                                                                               \
    static inline v128_t wasm_##name(v128_t a) {                                                                       \
        v128_t r;                                                                                                      \
        EACH(lanes) r.shape[i] = (value);                                                                              \
        return r;                                                                                                      \
    }
#define BINARY(name, shape, lanes, value)                                                                              \
    static inline v128_t wasm_##name(v128_t a, v128_t b) {                                                             \
        v128_t r;                                                                                                      \
        EACH(lanes) r.shape[i] = (value);                                                                              \
        return r;                                                                                                      \
    }
#define SHIFT(name, shape, lanes, bits, value)                                                                         \
    static inline v128_t wasm_##name(v128_t a, uint32_t count) {                                                       \
        v128_t r;                                                                                                      \
        count &= (bits) - 1;                                                                                           \
        EACH(lanes) r.shape[i] = (value);                                                                              \
        return r;                                                                                                      \
    }
#define SPLAT(shape, type, lanes)                                                                                      \
    static inline v128_t wasm_##shape##_splat(type x) {                                                                \
        v128_t r;                                                                                                      \
        EACH(lanes) r.shape[i] = x;                                                                                    \
        return r;                                                                                                      \
    }

static inline int64_t native_clamp(int64_t x, int64_t low, int64_t high) {
    return x < low ? low : x > high ? high : x;
}

static inline v128_t wasm_v128_load(const void *at) {
    v128_t r;
    memcpy(&r, at, 16);
    return r;
}
static inline void wasm_v128_store(void *at, v128_t a) {
    memcpy(at, &a, 16);
}

#define LOAD_SPLAT(name, shape, type, lanes)                                                                           \
    static inline v128_t wasm_##name(const void *at) {                                                                 \
        type x;                                                                                                        \
        memcpy(&x, at, sizeof x);                                                                                      \
        v128_t r;                                                                                                      \
        EACH(lanes) r.shape[i] = x;                                                                                    \
        return r;                                                                                                      \
    }
LOAD_SPLAT(v128_load8_splat, u8x16, uint8_t, 16)
LOAD_SPLAT(v128_load16_splat, u16x8, uint16_t, 8)
LOAD_SPLAT(v128_load32_splat, u32x4, uint32_t, 4)
LOAD_SPLAT(v128_load64_splat, u64x2, uint64_t, 2)

#define LOAD_ZERO(name, bytes)                                                                                         \
    static inline v128_t wasm_##name(const void *at) {                                                                 \
        v128_t r = {{0}};                                                                                              \
        memcpy(&r, at, bytes);                                                                                         \
        return r;                                                                                                      \
    }
LOAD_ZERO(v128_load32_zero, 4)
LOAD_ZERO(v128_load64_zero, 8)

#define LOAD_EXTEND(name, shape, type, lanes)                                                                          \
    static inline v128_t wasm_##name(const void *at) {                                                                 \
        type x[lanes];                                                                                                 \
        memcpy(x, at, 8);                                                                                              \
        v128_t r;                                                                                                      \
        EACH(lanes) r.shape[i] = x[i];                                                                                 \
        return r;                                                                                                      \
    }
LOAD_EXTEND(i16x8_load8x8, i16x8, int8_t, 8)
LOAD_EXTEND(u16x8_load8x8, u16x8, uint8_t, 8)
LOAD_EXTEND(i32x4_load16x4, i32x4, int16_t, 4)
LOAD_EXTEND(u32x4_load16x4, u32x4, uint16_t, 4)
LOAD_EXTEND(i64x2_load32x2, i64x2, int32_t, 2)
LOAD_EXTEND(u64x2_load32x2, u64x2, uint32_t, 2)

static inline v128_t native_load_lane(const void *at, v128_t a, int lane, size_t bytes) {
    memcpy((char *)&a + lane * bytes, at, bytes);
    return a;
}
#define wasm_v128_load8_lane(at, a, lane) native_load_lane(at, a, lane, 1)
#define wasm_v128_load16_lane(at, a, lane) native_load_lane(at, a, lane, 2)
#define wasm_v128_load32_lane(at, a, lane) native_load_lane(at, a, lane, 4)
#define wasm_v128_load64_lane(at, a, lane) native_load_lane(at, a, lane, 8)
static inline void native_store_lane(void *at, v128_t a, int lane, size_t bytes) {
    memcpy(at, (char *)&a + lane * bytes, bytes);
}
#define wasm_v128_store8_lane(at, a, lane) native_store_lane(at, a, lane, 1)
#define wasm_v128_store16_lane(at, a, lane) native_store_lane(at, a, lane, 2)
#define wasm_v128_store32_lane(at, a, lane) native_store_lane(at, a, lane, 4)
#define wasm_v128_store64_lane(at, a, lane) native_store_lane(at, a, lane, 8)

SPLAT(i8x16, int8_t, 16)
SPLAT(u8x16, uint8_t, 16)
SPLAT(i16x8, int16_t, 8)
SPLAT(i32x4, int32_t, 4)
SPLAT(i64x2, int64_t, 2)
SPLAT(f32x4, float, 4)
SPLAT(f64x2, double, 2)
static inline v128_t wasm_f32x4_make(float a, float b, float c, float d) {
    return (v128_t){.f32x4 = {a, b, c, d}};
}
static inline v128_t wasm_i32x4_make(int32_t a, int32_t b, int32_t c, int32_t d) {
    return (v128_t){.i32x4 = {a, b, c, d}};
}
static inline v128_t wasm_f64x2_make(double a, double b) {
    return (v128_t){.f64x2 = {a, b}};
}
#define wasm_i8x16_extract_lane(a, lane) ((a).i8x16[lane])
#define wasm_u8x16_extract_lane(a, lane) ((a).u8x16[lane])
#define wasm_i16x8_extract_lane(a, lane) ((a).i16x8[lane])
#define wasm_u16x8_extract_lane(a, lane) ((a).u16x8[lane])
#define wasm_i32x4_extract_lane(a, lane) ((a).i32x4[lane])
#define wasm_i64x2_extract_lane(a, lane) ((a).i64x2[lane])
#define wasm_f32x4_extract_lane(a, lane) ((a).f32x4[lane])
#define wasm_f64x2_extract_lane(a, lane) ((a).f64x2[lane])
#define REPLACE(shape, type)                                                                                           \
    static inline v128_t wasm_##shape##_replace_lane(v128_t a, int lane, type x) {                                     \
        a.shape[lane] = x;                                                                                             \
        return a;                                                                                                      \
    }
REPLACE(i8x16, int8_t)
REPLACE(i16x8, int16_t)
REPLACE(i32x4, int32_t)
REPLACE(i64x2, int64_t)
REPLACE(f32x4, float)
REPLACE(f64x2, double)

static inline v128_t native_shuffle(v128_t a, v128_t b, const uint8_t *lanes) {
    v128_t r;
    EACH(16) r.u8x16[i] = lanes[i] < 16 ? a.u8x16[lanes[i]] : b.u8x16[lanes[i] - 16];
    return r;
}
#define wasm_i8x16_shuffle(a, b, ...) native_shuffle(a, b, (const uint8_t[16]){__VA_ARGS__})
static inline v128_t wasm_i32x4_shuffle(v128_t a, v128_t b, int w, int x, int y, int z) {
    const int lanes[4] = {w, x, y, z};
    v128_t r;
    EACH(4) r.u32x4[i] = lanes[i] < 4 ? a.u32x4[lanes[i]] : b.u32x4[lanes[i] - 4];
    return r;
}
BINARY(i8x16_swizzle, u8x16, 16, b.u8x16[i] < 16 ? a.u8x16[b.u8x16[i]] : 0)

UNARY(v128_not, u64x2, 2, ~a.u64x2[i])
BINARY(v128_and, u64x2, 2, a.u64x2[i] & b.u64x2[i])
BINARY(v128_or, u64x2, 2, a.u64x2[i] | b.u64x2[i])
BINARY(v128_xor, u64x2, 2, a.u64x2[i] ^ b.u64x2[i])
BINARY(v128_andnot, u64x2, 2, a.u64x2[i] & ~b.u64x2[i])
static inline v128_t wasm_v128_bitselect(v128_t a, v128_t b, v128_t mask) {
    v128_t r;
    EACH(2) r.u64x2[i] = (a.u64x2[i] & mask.u64x2[i]) | (b.u64x2[i] & ~mask.u64x2[i]);
    return r;
}
static inline bool wasm_v128_any_true(v128_t a) {
    return (a.u64x2[0] | a.u64x2[1]) != 0;
}

// Everything that exists for each of the integer shapes.
#define INTEGER(bits, lanes)                                                                                           \
    UNARY(i##bits##x##lanes##_abs, u##bits##x##lanes, lanes,                                                           \
          a.i##bits##x##lanes[i] < 0 ? 0 - a.u##bits##x##lanes[i] : a.u##bits##x##lanes[i])                            \
    UNARY(i##bits##x##lanes##_neg, u##bits##x##lanes, lanes, 0 - a.u##bits##x##lanes[i])                               \
    BINARY(i##bits##x##lanes##_add, u##bits##x##lanes, lanes, a.u##bits##x##lanes[i] + b.u##bits##x##lanes[i])         \
    BINARY(i##bits##x##lanes##_sub, u##bits##x##lanes, lanes, a.u##bits##x##lanes[i] - b.u##bits##x##lanes[i])         \
    BINARY(i##bits##x##lanes##_eq, i##bits##x##lanes, lanes, -(a.i##bits##x##lanes[i] == b.i##bits##x##lanes[i]))      \
    BINARY(i##bits##x##lanes##_ne, i##bits##x##lanes, lanes, -(a.i##bits##x##lanes[i] != b.i##bits##x##lanes[i]))      \
    BINARY(i##bits##x##lanes##_lt, i##bits##x##lanes, lanes, -(a.i##bits##x##lanes[i] < b.i##bits##x##lanes[i]))       \
    BINARY(i##bits##x##lanes##_gt, i##bits##x##lanes, lanes, -(a.i##bits##x##lanes[i] > b.i##bits##x##lanes[i]))       \
    BINARY(i##bits##x##lanes##_le, i##bits##x##lanes, lanes, -(a.i##bits##x##lanes[i] <= b.i##bits##x##lanes[i]))      \
    BINARY(i##bits##x##lanes##_ge, i##bits##x##lanes, lanes, -(a.i##bits##x##lanes[i] >= b.i##bits##x##lanes[i]))      \
    SHIFT(i##bits##x##lanes##_shl, u##bits##x##lanes, lanes, bits,                                                     \
          (uint##bits##_t)((uint64_t)a.u##bits##x##lanes[i] << count))                                                 \
    SHIFT(i##bits##x##lanes##_shr, i##bits##x##lanes, lanes, bits, a.i##bits##x##lanes[i] >> count)                    \
    SHIFT(u##bits##x##lanes##_shr, u##bits##x##lanes, lanes, bits, a.u##bits##x##lanes[i] >> count)                    \
    static inline bool wasm_i##bits##x##lanes##_all_true(v128_t a) {                                                   \
        bool all = true;                                                                                               \
        EACH(lanes) all &= a.i##bits##x##lanes[i] != 0;                                                                \
        return all;                                                                                                    \
    }                                                                                                                  \
    static inline uint32_t wasm_i##bits##x##lanes##_bitmask(v128_t a) {                                                \
        uint32_t mask = 0;                                                                                             \
        EACH(lanes) mask |= (uint32_t)(a.i##bits##x##lanes[i] < 0) << i;                                               \
        return mask;                                                                                                   \
    }
INTEGER(8, 16)
INTEGER(16, 8)
INTEGER(32, 4)
INTEGER(64, 2)

// What the three narrow shapes have besides.
#define NARROW(bits, lanes)                                                                                            \
    BINARY(u##bits##x##lanes##_lt, i##bits##x##lanes, lanes, -(a.u##bits##x##lanes[i] < b.u##bits##x##lanes[i]))       \
    BINARY(u##bits##x##lanes##_ge, i##bits##x##lanes, lanes, -(a.u##bits##x##lanes[i] >= b.u##bits##x##lanes[i]))      \
    BINARY(i##bits##x##lanes##_min, i##bits##x##lanes, lanes,                                                          \
           a.i##bits##x##lanes[i] < b.i##bits##x##lanes[i] ? a.i##bits##x##lanes[i] : b.i##bits##x##lanes[i])          \
    BINARY(i##bits##x##lanes##_max, i##bits##x##lanes, lanes,                                                          \
           a.i##bits##x##lanes[i] > b.i##bits##x##lanes[i] ? a.i##bits##x##lanes[i] : b.i##bits##x##lanes[i])          \
    BINARY(u##bits##x##lanes##_min, u##bits##x##lanes, lanes,                                                          \
           a.u##bits##x##lanes[i] < b.u##bits##x##lanes[i] ? a.u##bits##x##lanes[i] : b.u##bits##x##lanes[i])          \
    BINARY(u##bits##x##lanes##_max, u##bits##x##lanes, lanes,                                                          \
           a.u##bits##x##lanes[i] > b.u##bits##x##lanes[i] ? a.u##bits##x##lanes[i] : b.u##bits##x##lanes[i])
NARROW(8, 16)
NARROW(16, 8)
NARROW(32, 4)

#define SATURATING(bits, lanes, low, high, unsigned_high)                                                              \
    BINARY(i##bits##x##lanes##_add_sat, i##bits##x##lanes, lanes,                                                      \
           native_clamp((int64_t)a.i##bits##x##lanes[i] + b.i##bits##x##lanes[i], low, high))                          \
    BINARY(i##bits##x##lanes##_sub_sat, i##bits##x##lanes, lanes,                                                      \
           native_clamp((int64_t)a.i##bits##x##lanes[i] - b.i##bits##x##lanes[i], low, high))                          \
    BINARY(u##bits##x##lanes##_add_sat, u##bits##x##lanes, lanes,                                                      \
           native_clamp((int64_t)a.u##bits##x##lanes[i] + b.u##bits##x##lanes[i], 0, unsigned_high))                   \
    BINARY(u##bits##x##lanes##_sub_sat, u##bits##x##lanes, lanes,                                                      \
           native_clamp((int64_t)a.u##bits##x##lanes[i] - b.u##bits##x##lanes[i], 0, unsigned_high))                   \
    BINARY(u##bits##x##lanes##_avgr, u##bits##x##lanes, lanes,                                                         \
           ((uint32_t)a.u##bits##x##lanes[i] + b.u##bits##x##lanes[i] + 1) / 2)
SATURATING(8, 16, -128, 127, 255)
SATURATING(16, 8, -32768, 32767, 65535)

static inline uint8_t native_ones(uint8_t x) {
    uint8_t ones = 0;
    for (; x; x &= x - 1) ones++;
    return ones;
}
UNARY(i8x16_popcnt, u8x16, 16, native_ones(a.u8x16[i]))
BINARY(i16x8_mul, u16x8, 8, (uint32_t)a.u16x8[i] * b.u16x8[i])
BINARY(i32x4_mul, u32x4, 4, a.u32x4[i] * b.u32x4[i])
BINARY(i64x2_mul, u64x2, 2, a.u64x2[i] * b.u64x2[i])
BINARY(i16x8_q15mulr_sat, i16x8, 8,
       native_clamp(((int64_t)a.i16x8[i] * b.i16x8[i] + 0x4000) >> 15, -32768, 32767))
BINARY(i32x4_dot_i16x8, u32x4, 4,
       (uint32_t)(a.i16x8[2 * i] * b.i16x8[2 * i]) + (uint32_t)(a.i16x8[2 * i + 1] * b.i16x8[2 * i + 1]))

// From 2n lanes to n of twice the width.
#define WIDENING(bits, lanes, half, twice)                                                                             \
    UNARY(i##twice##x##half##_extend_low_i##bits##x##lanes, i##twice##x##half, half, a.i##bits##x##lanes[i])           \
    UNARY(i##twice##x##half##_extend_high_i##bits##x##lanes, i##twice##x##half, half, a.i##bits##x##lanes[half + i])   \
    UNARY(u##twice##x##half##_extend_low_u##bits##x##lanes, u##twice##x##half, half, a.u##bits##x##lanes[i])           \
    UNARY(u##twice##x##half##_extend_high_u##bits##x##lanes, u##twice##x##half, half, a.u##bits##x##lanes[half + i])   \
    BINARY(i##twice##x##half##_extmul_low_i##bits##x##lanes, i##twice##x##half, half,                                  \
           (int64_t)a.i##bits##x##lanes[i] * b.i##bits##x##lanes[i])                                                   \
    BINARY(i##twice##x##half##_extmul_high_i##bits##x##lanes, i##twice##x##half, half,                                 \
           (int64_t)a.i##bits##x##lanes[half + i] * b.i##bits##x##lanes[half + i])                                     \
    BINARY(u##twice##x##half##_extmul_low_u##bits##x##lanes, u##twice##x##half, half,                                  \
           (uint64_t)a.u##bits##x##lanes[i] * b.u##bits##x##lanes[i])                                                  \
    BINARY(u##twice##x##half##_extmul_high_u##bits##x##lanes, u##twice##x##half, half,                                 \
           (uint64_t)a.u##bits##x##lanes[half + i] * b.u##bits##x##lanes[half + i])
WIDENING(8, 16, 8, 16)
WIDENING(16, 8, 4, 32)
WIDENING(32, 4, 2, 64)
UNARY(i16x8_extadd_pairwise_i8x16, i16x8, 8, a.i8x16[2 * i] + a.i8x16[2 * i + 1])
UNARY(u16x8_extadd_pairwise_u8x16, u16x8, 8, a.u8x16[2 * i] + a.u8x16[2 * i + 1])
UNARY(i32x4_extadd_pairwise_i16x8, i32x4, 4, a.i16x8[2 * i] + a.i16x8[2 * i + 1])
UNARY(u32x4_extadd_pairwise_u16x8, u32x4, 4, a.u16x8[2 * i] + a.u16x8[2 * i + 1])

BINARY(i8x16_narrow_i16x8, i8x16, 16, native_clamp(i < 8 ? a.i16x8[i] : b.i16x8[i - 8], -128, 127))
BINARY(u8x16_narrow_i16x8, u8x16, 16, native_clamp(i < 8 ? a.i16x8[i] : b.i16x8[i - 8], 0, 255))
BINARY(i16x8_narrow_i32x4, i16x8, 8, native_clamp(i < 4 ? a.i32x4[i] : b.i32x4[i - 4], -32768, 32767))
BINARY(u16x8_narrow_i32x4, u16x8, 8, native_clamp(i < 4 ? a.i32x4[i] : b.i32x4[i - 4], 0, 65535))

// min and max: NaN if there is one, and -0 below 0.
#define FLOAT(bits, lanes, type, suffix)                                                                               \
    static inline type native_min##bits(type x, type y) {                                                              \
        return x != x || y != y ? x + y : x < y ? x : y < x ? y : signbit(x) ? x : y;                                  \
    }                                                                                                                  \
    static inline type native_max##bits(type x, type y) {                                                              \
        return x != x || y != y ? x + y : x > y ? x : y > x ? y : signbit(x) ? y : x;                                  \
    }                                                                                                                  \
    UNARY(f##bits##x##lanes##_abs, f##bits##x##lanes, lanes, fabs##suffix(a.f##bits##x##lanes[i]))                     \
    UNARY(f##bits##x##lanes##_neg, f##bits##x##lanes, lanes, -a.f##bits##x##lanes[i])                                  \
    UNARY(f##bits##x##lanes##_sqrt, f##bits##x##lanes, lanes, sqrt##suffix(a.f##bits##x##lanes[i]))                    \
    UNARY(f##bits##x##lanes##_ceil, f##bits##x##lanes, lanes, ceil##suffix(a.f##bits##x##lanes[i]))                    \
    UNARY(f##bits##x##lanes##_floor, f##bits##x##lanes, lanes, floor##suffix(a.f##bits##x##lanes[i]))                  \
    UNARY(f##bits##x##lanes##_trunc, f##bits##x##lanes, lanes, trunc##suffix(a.f##bits##x##lanes[i]))                  \
    UNARY(f##bits##x##lanes##_nearest, f##bits##x##lanes, lanes, rint##suffix(a.f##bits##x##lanes[i]))                 \
    BINARY(f##bits##x##lanes##_add, f##bits##x##lanes, lanes, a.f##bits##x##lanes[i] + b.f##bits##x##lanes[i])         \
    BINARY(f##bits##x##lanes##_sub, f##bits##x##lanes, lanes, a.f##bits##x##lanes[i] - b.f##bits##x##lanes[i])         \
    BINARY(f##bits##x##lanes##_mul, f##bits##x##lanes, lanes, a.f##bits##x##lanes[i] * b.f##bits##x##lanes[i])         \
    BINARY(f##bits##x##lanes##_div, f##bits##x##lanes, lanes, a.f##bits##x##lanes[i] / b.f##bits##x##lanes[i])         \
    BINARY(f##bits##x##lanes##_min, f##bits##x##lanes, lanes,                                                          \
           native_min##bits(a.f##bits##x##lanes[i], b.f##bits##x##lanes[i]))                                           \
    BINARY(f##bits##x##lanes##_max, f##bits##x##lanes, lanes,                                                          \
           native_max##bits(a.f##bits##x##lanes[i], b.f##bits##x##lanes[i]))                                           \
    BINARY(f##bits##x##lanes##_pmin, f##bits##x##lanes, lanes,                                                         \
           b.f##bits##x##lanes[i] < a.f##bits##x##lanes[i] ? b.f##bits##x##lanes[i] : a.f##bits##x##lanes[i])          \
    BINARY(f##bits##x##lanes##_pmax, f##bits##x##lanes, lanes,                                                         \
           a.f##bits##x##lanes[i] < b.f##bits##x##lanes[i] ? b.f##bits##x##lanes[i] : a.f##bits##x##lanes[i])          \
    BINARY(f##bits##x##lanes##_eq, i##bits##x##lanes, lanes, -(a.f##bits##x##lanes[i] == b.f##bits##x##lanes[i]))      \
    BINARY(f##bits##x##lanes##_ne, i##bits##x##lanes, lanes, -(a.f##bits##x##lanes[i] != b.f##bits##x##lanes[i]))      \
    BINARY(f##bits##x##lanes##_lt, i##bits##x##lanes, lanes, -(a.f##bits##x##lanes[i] < b.f##bits##x##lanes[i]))       \
    BINARY(f##bits##x##lanes##_le, i##bits##x##lanes, lanes, -(a.f##bits##x##lanes[i] <= b.f##bits##x##lanes[i]))      \
    BINARY(f##bits##x##lanes##_gt, i##bits##x##lanes, lanes, -(a.f##bits##x##lanes[i] > b.f##bits##x##lanes[i]))       \
    BINARY(f##bits##x##lanes##_ge, i##bits##x##lanes, lanes, -(a.f##bits##x##lanes[i] >= b.f##bits##x##lanes[i]))
FLOAT(32, 4, float, f)
FLOAT(64, 2, double, )

// Conversions of floats saturate, and NaN is 0.
static inline int32_t native_to_i32(double x) {
    return x != x ? 0 : x <= -2147483648.0 ? INT32_MIN : x >= 2147483647.0 ? INT32_MAX : (int32_t)x;
}
static inline uint32_t native_to_u32(double x) {
    return !(x > 0) ? 0 : x >= 4294967295.0 ? UINT32_MAX : (uint32_t)x;
}
UNARY(i32x4_trunc_sat_f32x4, i32x4, 4, native_to_i32(a.f32x4[i]))
UNARY(u32x4_trunc_sat_f32x4, u32x4, 4, native_to_u32(a.f32x4[i]))
UNARY(i32x4_trunc_sat_f64x2_zero, i32x4, 4, i < 2 ? native_to_i32(a.f64x2[i]) : 0)
UNARY(u32x4_trunc_sat_f64x2_zero, u32x4, 4, i < 2 ? native_to_u32(a.f64x2[i]) : 0)
UNARY(f32x4_convert_i32x4, f32x4, 4, (float)a.i32x4[i])
UNARY(f32x4_convert_u32x4, f32x4, 4, (float)a.u32x4[i])
UNARY(f64x2_convert_low_i32x4, f64x2, 2, a.i32x4[i])
UNARY(f64x2_convert_low_u32x4, f64x2, 2, a.u32x4[i])
UNARY(f32x4_demote_f64x2_zero, f32x4, 4, i < 2 ? (float)a.f64x2[i] : 0)
UNARY(f64x2_promote_low_f32x4, f64x2, 2, a.f32x4[i])

#endif
