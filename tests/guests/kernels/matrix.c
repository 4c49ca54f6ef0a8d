// Floats and nested loops: products of n × n matrices of doubles, n at most 256; the bits of a sum of the product.
#include "kernel.h"

enum { MOST = 256 };
static double a[MOST][MOST], b[MOST][MOST], c[MOST][MOST];

i64 run(u32 n) {
    if (n > MOST) n = MOST;
    for (u32 i = 0; i < n; i++) {
        for (u32 j = 0; j < n; j++) {
            a[i][j] = (double)((i * 7 + j * 3) % 17) / 17;
            b[i][j] = (double)((i * 5 + j * 11) % 23) - 11;
        }
    }
    double trace = 0;
    for (u32 i = 0; i < n; i++) {
        for (u32 j = 0; j < n; j++) {
            double sum = 0;
            for (u32 k = 0; k < n; k++) sum += a[i][k] * b[k][j];
            c[i][j] = sum;
        }
        trace += c[i][i] * (i + 1);
    }
    union {
        double number;
        i64 bits;
    } result = {trace};
    return result.bits;
}
