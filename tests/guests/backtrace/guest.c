/* Built with its DWARF: traps in a function, in one that was inlined, and in the host. The lines count: tests name them. */

__attribute__((import_module("host"), import_name("fail"))) void fail(void);

volatile int zero;
volatile int sink;

static inline __attribute__((always_inline)) int divide(int dividend) {
    return dividend / zero; /* line 9 */
}

__attribute__((noinline)) static int middle(int n) {
    sink = n;
    int quotient = divide(n + 1); /* line 14 */
    sink = quotient;
    return quotient;
}

__attribute__((export_name("trap_inlined"))) int trap_inlined(int n) {
    return middle(n) + 1; /* line 20 */
}

__attribute__((export_name("call_host"))) int call_host(void) {
    fail(); /* line 24 */
    return sink;
}
