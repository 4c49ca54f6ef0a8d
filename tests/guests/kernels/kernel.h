// A kernel: one hot loop, no imports, no C library. `run` answers the same for the same n however often it is called.
#ifndef KERNELS_KERNEL_H
#define KERNELS_KERNEL_H

#include "../lib/types.h"

#ifdef __wasm__
#define KERNEL_EXPORT __attribute__((export_name("run"), visibility("default")))
#else
#define KERNEL_EXPORT
#endif

// Does work that grows with n, and answers with a checksum of it.
KERNEL_EXPORT i64 run(u32 n);

#endif
