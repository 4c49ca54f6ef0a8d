// Traps and runaways that have nothing to do with memory, and a counter that gives reuse away.
#include "../lib/guest.h"

GUEST_EXPORT("trap_unreachable") void trap_unreachable(void) {
    __builtin_trap();
}

// 1000 / divisor. Both operands volatile, so that the division itself is there to trap.
GUEST_EXPORT("trap_div") i32 trap_div(i32 divisor) {
    volatile i32 dividend = 1000;
    volatile i32 by = divisor;
    return dividend / by;
}

// A checksum over so many rounds: work that the compiler cannot take a short cut through.
GUEST_EXPORT("spin") u64 spin(i64 iterations) {
    u64 sum = 0x9e3779b97f4a7c15;
    for (i64 i = 0; i < iterations; i++) {
        sum ^= sum << 13;
        sum ^= sum >> 7;
        sum ^= sum << 17;
        sum += (u64)i;
    }
    return sum;
}

// 1 in every fresh instance.
GUEST_EXPORT("count") i32 count(void) {
    static volatile i32 calls;
    calls = calls + 1;
    return calls;
}

// ---- recursion

static volatile i32 recursion_depth;

// Calls itself `depth` times, without end for -1, and returns the depth it reached. Its frame is
// the runtime's alone: nothing of it lies in linear memory, so it is the call stack that runs out.
// The volatile stores after the call keep the compiler from turning it into a loop.
GUEST_EXPORT("recurse") __attribute__((noinline)) i32 recurse(i32 depth) {
    if (depth == 0) return 0;
    recursion_depth = recursion_depth + 1;
    i32 below = recurse(depth - 1);
    recursion_depth = recursion_depth - 1;
    return below + 1;
}

// The same with 64 bytes of each frame in linear memory: the guest's own stack runs out, and
// below address 0 is out of bounds.
GUEST_EXPORT("recurse_in_memory") __attribute__((noinline)) i32 recurse_in_memory(i32 depth) {
    volatile i32 frame[16];
    frame[0] = depth;
    if (depth == 0) return 0;
    i32 below = recurse_in_memory(depth - 1);
    return below + (frame[0] == depth);
}

// ---- indirect calls

typedef i32 (*unary)(i32);
typedef i64 (*wide)(i64, i64);

static i32 increment(i32 number) {
    return number + 1;
}

static volatile unary callee = increment;

// The table has this function in it, and calling it by pointer works.
GUEST_EXPORT("call_good") i32 call_good(i32 number) {
    return callee(number);
}

// Entry 0 of the table is never filled: "uninitialized element".
GUEST_EXPORT("call_null") i32 call_null(void) {
    volatile unary none = NULL;
    return none(1);
}

// A function of another type: "indirect call type mismatch".
GUEST_EXPORT("call_bad_type") i64 call_bad_type(void) {
    volatile wide wrong = (wide)(void *)(uintptr_t)callee;
    return wrong(1, 2);
}

// An index behind the end of the table: "undefined element".
GUEST_EXPORT("call_outside") i32 call_outside(void) {
    volatile unary far = (unary)(uintptr_t)0x7fffffff;
    return far(1);
}
