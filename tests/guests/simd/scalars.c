// Programs on plain floats: long chains of operations, in which one wrong bit shows at the end.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "simd.h"

// A linear system by elimination with pivots; the largest rest that its solution leaves.
static void elimination(int size) {
    double *a = malloc(sizeof(double) * size * size), *keep = malloc(sizeof(double) * size * size);
    double *b = malloc(sizeof(double) * size), *x = malloc(sizeof(double) * size), *right = malloc(sizeof(double) * size);
    uint64_t state = 21;
    if (!a || !keep || !b || !x || !right) exit(1);
    for (int i = 0; i < size * size; i++) keep[i] = a[i] = random_unit(&state) * 2 - 1;
    for (int i = 0; i < size; i++) right[i] = b[i] = random_unit(&state);
    for (int column = 0; column < size; column++) {
        int pivot = column;
        for (int i = column + 1; i < size; i++) {
            if (fabs(a[i * size + column]) > fabs(a[pivot * size + column])) pivot = i;
        }
        for (int j = 0; j < size && pivot != column; j++) {
            double swapped = a[column * size + j];
            a[column * size + j] = a[pivot * size + j];
            a[pivot * size + j] = swapped;
        }
        double swapped = b[column];
        b[column] = b[pivot];
        b[pivot] = swapped;
        for (int i = column + 1; i < size; i++) {
            double factor = a[i * size + column] / a[column * size + column];
            for (int j = column; j < size; j++) a[i * size + j] -= factor * a[column * size + j];
            b[i] -= factor * b[column];
        }
    }
    for (int i = size - 1; i >= 0; i--) {
        x[i] = b[i];
        for (int j = i + 1; j < size; j++) x[i] -= a[i * size + j] * x[j];
        x[i] /= a[i * size + i];
    }
    double rest = 0;
    for (int i = 0; i < size; i++) {
        double sum = -right[i];
        for (int j = 0; j < size; j++) sum += keep[i * size + j] * x[j];
        rest = fmax(rest, fabs(sum));
    }
    printf("elimination %.17g %.17g %.17g rest %g\n", x[0], x[size / 2], x[size - 1], rest);
    free(a), free(keep), free(b), free(x), free(right);
}

// Three coupled equations of Lorenz by the method of Runge and Kutta: chaos makes any difference large.
static void chaos(int steps) {
    double p[3] = {1, 1, 1}, h = 0.005;
    for (int step = 0; step < steps; step++) {
        double k[4][3], q[3] = {p[0], p[1], p[2]};
        for (int stage = 0; stage < 4; stage++) {
            k[stage][0] = 10 * (q[1] - q[0]);
            k[stage][1] = q[0] * (28 - q[2]) - q[1];
            k[stage][2] = q[0] * q[1] - 8.0 / 3.0 * q[2];
            double ahead = stage == 2 ? h : h / 2;
            for (int i = 0; i < 3; i++) q[i] = p[i] + ahead * k[stage][i];
        }
        for (int i = 0; i < 3; i++) p[i] += h / 6 * (k[0][i] + 2 * k[1][i] + 2 * k[2][i] + k[3][i]);
        if ((step + 1) % (steps / 4) == 0) printf("chaos %d: %.17g %.17g %.17g\n", step + 1, p[0], p[1], p[2]);
    }
}

// A sine as good as a few terms make it, by halving the angle.
static double sine(double x) {
    double y = x / 81, s = y * y;
    double sum = y * (1 - s / 6 * (1 - s / 20 * (1 - s / 42 * (1 - s / 72))));
    for (int i = 0; i < 4; i++) sum = sum * (3 - 4 * sum * sum);
    return sum;
}

// A Fourier transform forth and back; the largest difference, and a value in between.
static void transform(int log) {
    int n = 1 << log;
    double *re = malloc(sizeof(double) * n), *im = malloc(sizeof(double) * n), *before = malloc(sizeof(double) * n);
    const double pi = 3.141592653589793;
    uint64_t state = 31;
    if (!re || !im || !before) exit(1);
    for (int i = 0; i < n; i++) before[i] = re[i] = random_unit(&state) - 0.5, im[i] = 0;
    for (int direction = 1; direction >= -1; direction -= 2) {
        for (int i = 1, j = 0; i < n; i++) {
            int bit = n >> 1;
            for (; j & bit; bit >>= 1) j ^= bit;
            j ^= bit;
            if (i < j) {
                double r = re[i], m = im[i];
                re[i] = re[j], im[i] = im[j], re[j] = r, im[j] = m;
            }
        }
        for (int len = 2; len <= n; len *= 2) {
            double angle = direction * 2 * pi / len, half = sine(angle / 2);
            double wr = 1 - 2 * half * half, wi = sine(angle);
            for (int start = 0; start < n; start += len) {
                double r = 1, m = 0;
                for (int k = 0; k < len / 2; k++) {
                    int a = start + k, b = a + len / 2;
                    double br = re[b] * r - im[b] * m, bi = re[b] * m + im[b] * r;
                    re[b] = re[a] - br, im[b] = im[a] - bi;
                    re[a] += br, im[a] += bi;
                    double next = r * wr - m * wi;
                    m = r * wi + m * wr;
                    r = next;
                }
            }
        }
        if (direction == 1) printf("transform %.17g %.17g", re[n / 3], im[n / 3]);
    }
    double off = 0;
    for (int i = 0; i < n; i++) off = fmax(off, fabs(re[i] / n - before[i]));
    printf(" off %.3g\n", off);
    free(re), free(im), free(before);
}

// Single precision, rounding, conversions, and what a C library does with floats: printing and reading.
static void numbers(int count) {
    uint64_t state = 41, sum = CHECKSUM_START;
    float product = 1;
    int32_t whole = 0;
    for (int i = 0; i < count; i++) {
        double x = (random_unit(&state) - 0.5) * ldexp(1, (int)(next_random(&state) % 120) - 60);
        char text[64];
        int len = snprintf(text, sizeof text, "%.17g %.9g %e", x, (float)x, x);
        sum = checksum(sum, text, len);
        if (strtod(text, NULL) != x) {
            printf("numbers: %s is read as another\n", text);
            exit(1);
        }
        product = product * (1 + (float)random_unit(&state)) / 1.5f;
        double limited = fmin(fmax(x, -2e9), 2e9);
        whole ^= (int32_t)floor(limited) + (int32_t)ceil(limited) * 3 + (int32_t)trunc(limited) * 5 + (int32_t)rint(limited) * 7;
        whole += (int32_t)(copysign(sqrt(fabs(limited)), -x) * 16);
    }
    printf("numbers %016llx %.9g %d\n", (unsigned long long)sum, product, whole);
}

void scalar_programs(int scale) {
    elimination(80 * scale);
    chaos(4000 * scale);
    transform(12);
    numbers(2000 * scale);
}
