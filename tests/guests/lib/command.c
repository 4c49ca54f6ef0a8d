// Where a command starts: in a guest at WASI's `_start`, natively at `main`.
//
// The C library's own `_start` is not used: linked with it, a guest would run constructors before and destructors after
// each call of its other exports, and they are meant to be called again and again.
#include <stdlib.h>

#include "command.h"

#ifdef __wasm__
#include "guest.h"

extern void __wasm_call_ctors(void);

GUEST_EXPORT("_start") void _start(void) {
    __wasm_call_ctors();
    exit(command_main());
}
#else
int main(void) {
    return command_main();
}
#endif
