// Leaves a secret in the four places where an instance keeps state, and looks for it everywhere:
// after a reset, or in another instance, there must be none.
#include "secret.h"

#include "../lib/guest.h"
#include "../lib/heap.h"

enum { PAGE_BYTES = 65536, DEEP_FRAME_BYTES = 8192 };

// Volatile: the compiler must neither drop stores that nobody reads nor work the word out itself.
static volatile u8 key = 0x2a;

static volatile u8 static_copy[SECRET_CAPACITY];

u8 secret_char(u32 index) {
    // "TOP-SECRET:" with every byte exclusive-or'ed with the key.
    static const u8 masked[SECRET_WORD_LEN] = {0x7e, 0x65, 0x7a, 0x07, 0x79, 0x6f, 0x69, 0x78, 0x6f, 0x7e, 0x10};
    return masked[index] ^ key;
}

static void write_secret(volatile u8 *to, u32 number) {
    u8 digits[10];
    u32 count = 0;
    for (u32 i = 0; i < SECRET_WORD_LEN; i++) *to++ = secret_char(i);
    do {
        digits[count++] = (u8)('0' + number % 10);
        number /= 10;
    } while (number);
    while (count) *to++ = digits[--count];
    *to = 0;
}

// Far down in the stack, where later calls do not write over it.
__attribute__((noinline)) static u8 leave_on_stack(u32 number) {
    volatile u8 frame[DEEP_FRAME_BYTES];
    write_secret(frame, number);
    return frame[0];
}

// "TOP-SECR" as an i64.
static i64 global_word(void) {
    u64 word = 0;
    for (u32 i = 0; i < 8; i++) word |= (u64)secret_char(i) << i * 8;
    return (i64)word;
}

GUEST_EXPORT("leave_secret") void leave_secret(i32 number) {
    secret_global_set(global_word(), number);
    write_secret(static_copy, (u32)number);
    leave_on_stack((u32)number);
    u8 *heap_copy = heap_alloc(SECRET_CAPACITY);
    if (heap_copy) write_secret(heap_copy, (u32)number);
}

static bool is_secret_at(const u8 *at) {
    for (u32 i = 0; i < SECRET_WORD_LEN; i++) {
        if (((const volatile u8 *)at)[i] != secret_char(i)) return false;
    }
    return true;
}

// The number of places that hold the secret: in the whole linear memory, and one for the globals.
GUEST_EXPORT("find_secret") i32 find_secret(void) {
    u64 size = (u64)__builtin_wasm_memory_size(0) * PAGE_BYTES;
    u8 first = secret_char(0);
    i32 found = 0;
    for (u64 address = 0; address + SECRET_WORD_LEN <= size; address++) {
        const u8 *at = (const u8 *)(u32)address;
        if (*(const volatile u8 *)at == first && is_secret_at(at)) found++;
    }
    if (secret_global_word() == global_word()) found++;
    return found;
}
