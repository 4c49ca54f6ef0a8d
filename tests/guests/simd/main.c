// Floating point and vectors. Standard input: a number that scales the work, 1 if there is none.
#include <stdio.h>

#include "../lib/command.h"
#include "simd.h"

int command_main(void) {
    int scale = 1;
    if (scanf("%d", &scale) == 1 && (scale < 1 || scale > 16)) {
        fputs("simd: the scale must be 1 to 16\n", stderr);
        return 2;
    }
    every_operation();
    vector_programs(scale);
    scalar_programs(scale);
    return 0;
}
