// Floats and unpredictable loops: steps of the Mandelbrot set on n × n points, at most 500 a point.
#include "kernel.h"

i64 run(u32 n) {
    i64 steps = 0;
    for (u32 y = 0; y < n; y++) {
        double ci = 2.0 * y / n - 1.0;
        for (u32 x = 0; x < n; x++) {
            double cr = 3.0 * x / n - 2.0, zr = 0, zi = 0;
            for (u32 step = 0; step < 500 && zr * zr + zi * zi < 4; step++) {
                double r = zr * zr - zi * zi + cr;
                zi = 2 * zr * zi + ci;
                zr = r;
                steps++;
            }
        }
    }
    return steps;
}
