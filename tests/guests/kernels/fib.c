// Calls: the Fibonacci number n by the definition.
#include "kernel.h"

static __attribute__((noinline)) u64 fib(u32 n) {
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

i64 run(u32 n) {
    return (i64)fib(n);
}
