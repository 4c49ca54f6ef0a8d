// Byte stores with strides: the sum of the primes below n, at most 4 million.
#include "kernel.h"

enum { MOST = 4000000 };
static u8 composite[MOST];

i64 run(u32 n) {
    u64 sum = 0;
    if (n > MOST) n = MOST;
    for (u32 i = 0; i < n; i++) composite[i] = 0;
    for (u32 i = 2; i < n; i++) {
        if (composite[i]) continue;
        sum += i;
        for (u64 j = (u64)i * i; j < n; j += i) composite[j] = 1;
    }
    return (i64)sum;
}
