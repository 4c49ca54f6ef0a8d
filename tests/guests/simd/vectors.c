// Programs that are written with vectors because they are faster so.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wasm_simd128.h>

#include "simd.h"

// Four points of the Mandelbrot set at a time; the number of steps in all.
static uint64_t mandelbrot(int size, int limit) {
    uint64_t steps = 0;
    v128_t four = wasm_f32x4_splat(4), one = wasm_i32x4_splat(1);
    for (int y = 0; y < size; y++) {
        v128_t ci = wasm_f32x4_splat(2.0f * (float)y / (float)size - 1.0f);
        for (int x = 0; x < size; x += 4) {
            v128_t at = wasm_f32x4_convert_i32x4(wasm_i32x4_make(x, x + 1, x + 2, x + 3));
            v128_t cr = wasm_f32x4_sub(wasm_f32x4_mul(at, wasm_f32x4_splat(3.0f / (float)size)), wasm_f32x4_splat(2));
            v128_t zr = wasm_f32x4_splat(0), zi = zr, count = wasm_i32x4_splat(0);
            for (int step = 0; step < limit; step++) {
                v128_t rr = wasm_f32x4_mul(zr, zr), ii = wasm_f32x4_mul(zi, zi);
                v128_t inside = wasm_f32x4_lt(wasm_f32x4_add(rr, ii), four);
                if (!wasm_v128_any_true(inside)) break;
                count = wasm_i32x4_add(count, wasm_v128_and(inside, one));
                v128_t ri = wasm_f32x4_mul(zr, zi);
                zi = wasm_f32x4_add(wasm_f32x4_add(ri, ri), ci);
                zr = wasm_f32x4_add(wasm_f32x4_sub(rr, ii), cr);
            }
            uint32_t counts[4];
            wasm_v128_store(counts, count);
            steps += (uint64_t)counts[0] + counts[1] + counts[2] + counts[3];
        }
    }
    return steps;
}

// A grey picture blurred in rows, brightened with saturation, and its histogram of differences.
static uint64_t picture(int width, int height, int rounds) {
    size_t count = (size_t)width * height;
    uint8_t *pixels = malloc(count + 32), *out = malloc(count + 32);
    uint64_t state = 7, sum = CHECKSUM_START;
    if (!pixels || !out) exit(1);
    for (size_t i = 0; i < count + 32; i++) pixels[i] = (uint8_t)(next_random(&state) >> 56);
    v128_t brighter = wasm_u8x16_splat(3), floor = wasm_u8x16_splat(16);
    for (int round = 0; round < rounds; round++) {
        v128_t total = wasm_i64x2_splat(0);
        for (size_t i = 0; i + 16 <= count; i += 16) {
            v128_t here = wasm_v128_load(pixels + i), next = wasm_v128_load(pixels + i + 1);
            v128_t blurred = wasm_u8x16_avgr(here, next);
            blurred = wasm_u8x16_sub_sat(wasm_u8x16_add_sat(blurred, brighter), floor);
            v128_t difference = wasm_v128_or(wasm_u8x16_sub_sat(here, blurred), wasm_u8x16_sub_sat(blurred, here));
            v128_t words = wasm_u32x4_extadd_pairwise_u16x8(wasm_u16x8_extadd_pairwise_u8x16(difference));
            total = wasm_i64x2_add(total, wasm_u64x2_extend_low_u32x4(words));
            total = wasm_i64x2_add(total, wasm_u64x2_extend_high_u32x4(words));
            wasm_v128_store(out + i, wasm_u8x16_max(blurred, wasm_i8x16_shuffle(blurred, next, 1, 2, 3, 4, 5, 6, 7, 8, 9,
                                                                             10, 11, 12, 13, 14, 15, 31)));
        }
        sum = sum * 31 + (uint64_t)wasm_i64x2_extract_lane(total, 0) + (uint64_t)wasm_i64x2_extract_lane(total, 1);
        uint8_t *swapped = pixels;
        pixels = out;
        out = swapped;
    }
    sum = checksum(sum, pixels, count);
    free(pixels);
    free(out);
    return sum;
}

// Bodies that attract each other, four at a time in arrays of coordinates.
static double bodies(int count, int steps) {
    enum { MOST = 256 };
    static float x[MOST], y[MOST], z[MOST], vx[MOST], vy[MOST], vz[MOST];
    uint64_t state = 3;
    for (int i = 0; i < count; i++) {
        x[i] = (float)random_unit(&state), y[i] = (float)random_unit(&state), z[i] = (float)random_unit(&state);
        vx[i] = vy[i] = vz[i] = 0;
    }
    v128_t soft = wasm_f32x4_splat(0.01f), step = wasm_f32x4_splat(0.0001f);
    for (int s = 0; s < steps; s++) {
        for (int i = 0; i < count; i += 4) {
            v128_t xi = wasm_v128_load(x + i), yi = wasm_v128_load(y + i), zi = wasm_v128_load(z + i);
            v128_t ax = wasm_f32x4_splat(0), ay = ax, az = ax;
            for (int j = 0; j < count; j++) {
                v128_t dx = wasm_f32x4_sub(wasm_v128_load32_splat(x + j), xi);
                v128_t dy = wasm_f32x4_sub(wasm_v128_load32_splat(y + j), yi);
                v128_t dz = wasm_f32x4_sub(wasm_v128_load32_splat(z + j), zi);
                v128_t square = wasm_f32x4_add(wasm_f32x4_mul(dx, dx), wasm_f32x4_mul(dy, dy));
                square = wasm_f32x4_add(wasm_f32x4_add(square, wasm_f32x4_mul(dz, dz)), soft);
                v128_t pull = wasm_f32x4_div(wasm_f32x4_splat(1), wasm_f32x4_mul(square, wasm_f32x4_sqrt(square)));
                ax = wasm_f32x4_add(ax, wasm_f32x4_mul(dx, pull));
                ay = wasm_f32x4_add(ay, wasm_f32x4_mul(dy, pull));
                az = wasm_f32x4_add(az, wasm_f32x4_mul(dz, pull));
            }
            wasm_v128_store(vx + i, wasm_f32x4_add(wasm_v128_load(vx + i), wasm_f32x4_mul(ax, step)));
            wasm_v128_store(vy + i, wasm_f32x4_add(wasm_v128_load(vy + i), wasm_f32x4_mul(ay, step)));
            wasm_v128_store(vz + i, wasm_f32x4_add(wasm_v128_load(vz + i), wasm_f32x4_mul(az, step)));
        }
        for (int i = 0; i < count; i += 4) {
            wasm_v128_store(x + i, wasm_f32x4_add(wasm_v128_load(x + i), wasm_v128_load(vx + i)));
            wasm_v128_store(y + i, wasm_f32x4_add(wasm_v128_load(y + i), wasm_v128_load(vy + i)));
            wasm_v128_store(z + i, wasm_f32x4_add(wasm_v128_load(z + i), wasm_v128_load(vz + i)));
        }
    }
    double energy = 0;
    for (int i = 0; i < count; i++) energy += (double)vx[i] * vx[i] + (double)vy[i] * vy[i] + (double)vz[i] * vz[i];
    return energy;
}

// Products of matrices of doubles, two columns at a time.
static double matrices(int size) {
    double *a = malloc(sizeof(double) * size * size), *b = malloc(sizeof(double) * size * size);
    double *c = calloc((size_t)size * size, sizeof(double));
    uint64_t state = 5;
    if (!a || !b || !c) exit(1);
    for (int i = 0; i < size * size; i++) a[i] = random_unit(&state) - 0.5, b[i] = random_unit(&state) - 0.5;
    for (int i = 0; i < size; i++) {
        for (int k = 0; k < size; k++) {
            v128_t factor = wasm_f64x2_splat(a[i * size + k]);
            for (int j = 0; j < size; j += 2) {
                v128_t sum = wasm_v128_load(c + i * size + j);
                v128_t product = wasm_f64x2_mul(factor, wasm_v128_load(b + k * size + j));
                wasm_v128_store(c + i * size + j, wasm_f64x2_add(sum, product));
            }
        }
    }
    double trace = 0;
    for (int i = 0; i < size; i++) trace += c[i * size + i];
    free(a), free(b), free(c);
    return trace;
}

// Hexadecimal digits by table look-up, and back by comparisons; fails if that is not what it was.
static uint64_t hexadecimal(int rounds) {
    static const uint8_t DIGITS[16] = {'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
    v128_t digits = wasm_v128_load(DIGITS), low = wasm_i8x16_splat(15);
    uint64_t state = 11, sum = CHECKSUM_START;
    for (int round = 0; round < rounds; round++) {
        uint64_t words[2] = {next_random(&state), next_random(&state)};
        v128_t bytes = wasm_v128_load(words);
        v128_t upper = wasm_i8x16_swizzle(digits, wasm_u8x16_shr(bytes, 4));
        v128_t lower = wasm_i8x16_swizzle(digits, wasm_v128_and(bytes, low));
        v128_t first = wasm_i8x16_shuffle(upper, lower, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        uint8_t text[16];
        wasm_v128_store(text, first);
        sum = checksum(sum, text, 16);

        v128_t letters = wasm_i8x16_gt(first, wasm_i8x16_splat('9'));
        v128_t values = wasm_i8x16_sub(first, wasm_v128_bitselect(wasm_i8x16_splat('a' - 10), wasm_i8x16_splat('0'), letters));
        v128_t pairs = wasm_v128_or(wasm_i16x8_shl(values, 4), wasm_u16x8_shr(values, 8));
        v128_t joined = wasm_v128_and(pairs, wasm_i16x8_splat(0xff));
        v128_t packed = wasm_u8x16_narrow_i16x8(joined, joined);
        if (wasm_i64x2_extract_lane(packed, 0) != (int64_t)words[0]) {
            printf("hexadecimal: round %d is wrong\n", round);
            exit(1);
        }
    }
    return sum;
}

void vector_programs(int scale) {
    printf("mandelbrot %llu\n", (unsigned long long)mandelbrot(96 * scale, 200));
    printf("picture %016llx\n", (unsigned long long)picture(320, 200, 20 * scale));
    printf("bodies %.17g\n", bodies(64, 20 * scale));
    printf("matrices %.17g\n", matrices(64 * scale));
    printf("hexadecimal %016llx\n", (unsigned long long)hexadecimal(5000 * scale));
}
