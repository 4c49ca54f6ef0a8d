/* What Go calls: the functions of instar_ffi.h without their out pointers and status.
 *
 * Values go in and come out by value. So nothing of Go's memory is shared with C, nothing escapes to the heap, and the slots of a
 * call are on C's stack, which does not move when a host function makes the goroutine's stack grow. Only what has no bound (slices, texts)
 * goes by pointer, which cgo pins for the call. */
#ifndef INSTAR_GO_NATIVE_H
#define INSTAR_GO_NATIVE_H

#include "instar_ffi.h"

#define INSTAR(name) uniffi_instar_ffi_fn_func_##name
#define STATUS RustCallStatus status = {0}
#define ADDRESS(pointer) ((uint64_t)(uintptr_t)(pointer))

/* An error, or one or two values. */
typedef struct { uint64_t err, value; } instar_one;
typedef struct { uint64_t err, first, second; } instar_two;
typedef struct { uint64_t err, len, first, second; } instar_text;

/* Must never happen: Instar reports its panics as errors. */
#define INSTAR_UNREPORTED UINT64_MAX

static inline uint64_t instar_settle(uint64_t err, RustCallStatus *status) {
    if (__builtin_expect(status->code == 0, 1)) return err;
    RustCallStatus ignored = {0};
    ffi_instar_ffi_rustbuffer_free(status->error_buf, &ignored);
    return INSTAR_UNREPORTED;
}

#define SETTLE(call) instar_settle(call, &status)

/* -- library and engine -- */

static inline uint32_t instar_abi_version(void) {
    STATUS;
    return INSTAR(abi_version)(&status);
}

static inline uint64_t instar_library_version(uint8_t *buf, uint64_t cap) {
    STATUS;
    return INSTAR(library_version)(ADDRESS(buf), cap, &status);
}

static inline instar_one instar_engine_new(uint64_t instances, uint64_t pages, uint64_t elements, uint64_t stack, uint64_t flags) {
    STATUS;
    instar_one r = {0, 0};
    r.err = SETTLE(INSTAR(engine_new)(instances, pages, elements, stack, flags, ADDRESS(&r.value), &status));
    return r;
}

static inline instar_one instar_engine_live_instances(uint64_t engine) {
    STATUS;
    instar_one r = {0, 0};
    r.err = SETTLE(INSTAR(engine_live_instances)(engine, ADDRESS(&r.value), &status));
    return r;
}

/* -- freeing, by kind -- */

enum { INSTAR_ENGINE, INSTAR_MODULE, INSTAR_LINKER, INSTAR_PRE, INSTAR_FUNC, INSTAR_BYTES_FUNC, INSTAR_MEMORY };

static inline void instar_free(uint32_t kind, uint64_t handle) {
    STATUS;
    switch (kind) {
    case INSTAR_ENGINE: INSTAR(engine_free)(handle, &status); break;
    case INSTAR_MODULE: INSTAR(module_free)(handle, &status); break;
    case INSTAR_LINKER: INSTAR(linker_free)(handle, &status); break;
    case INSTAR_PRE: INSTAR(pre_free)(handle, &status); break;
    case INSTAR_FUNC: INSTAR(func_free)(handle, &status); break;
    case INSTAR_BYTES_FUNC: INSTAR(bytes_func_free)(handle, &status); break;
    case INSTAR_MEMORY: INSTAR(memory_free)(handle, &status); break;
    }
}

/* -- module -- */

static inline instar_one instar_module_new(uint64_t engine, const uint8_t *bytes, uint64_t len) {
    STATUS;
    instar_one r = {0, 0};
    r.err = SETTLE(INSTAR(module_new)(engine, ADDRESS(bytes), len, ADDRESS(&r.value), &status));
    return r;
}

static inline instar_text instar_module_export(uint64_t module, uint64_t index, uint8_t *buf, uint64_t cap) {
    STATUS;
    instar_text r = {0, 0, 0, 0};
    r.err = SETTLE(INSTAR(module_export)(module, index, ADDRESS(buf), cap, ADDRESS(&r.len), ADDRESS(&r.first), &status));
    return r;
}

static inline instar_text instar_module_import(uint64_t module, uint64_t index, uint8_t *buf, uint64_t cap) {
    STATUS;
    instar_text r = {0, 0, 0, 0};
    r.err = SETTLE(INSTAR(module_import)(module, index, ADDRESS(buf), cap, ADDRESS(&r.len), ADDRESS(&r.second), ADDRESS(&r.first), &status));
    return r;
}

/* -- linker -- */

static inline instar_one instar_linker_new(uint64_t engine) {
    STATUS;
    instar_one r = {0, 0};
    r.err = SETTLE(INSTAR(linker_new)(engine, ADDRESS(&r.value), &status));
    return r;
}

static inline uint64_t instar_linker_allow_shadowing(uint64_t linker, uint64_t on) {
    STATUS;
    return SETTLE(INSTAR(linker_allow_shadowing)(linker, on, &status));
}

/* In callback.go. */
extern uint64_t instarGoCall(uint64_t context, uint64_t caller, uint64_t *slots, uint32_t n);
extern void instarGoRelease(uint64_t context);

static inline uint64_t instar_linker_func(uint64_t linker, const uint8_t *module, uint64_t module_len, const uint8_t *name, uint64_t name_len,
                                          const uint8_t *sig, uint64_t sig_len, uint64_t context) {
    STATUS;
    return SETTLE(INSTAR(linker_func)(linker, ADDRESS(module), module_len, ADDRESS(name), name_len, ADDRESS(sig), sig_len,
                                      ADDRESS(instarGoCall), context, ADDRESS(instarGoRelease), &status));
}

static inline instar_one instar_linker_instantiate_pre(uint64_t linker, uint64_t module) {
    STATUS;
    instar_one r = {0, 0};
    r.err = SETTLE(INSTAR(linker_instantiate_pre)(linker, module, ADDRESS(&r.value), &status));
    return r;
}

/* -- tokens, by kind -- */

static inline instar_one instar_token(uint32_t kind, uint64_t pre, const uint8_t *name, uint64_t len) {
    STATUS;
    instar_one r = {0, 0};
    switch (kind) {
    case INSTAR_FUNC: r.err = SETTLE(INSTAR(pre_func)(pre, ADDRESS(name), len, ADDRESS(&r.value), &status)); break;
    case INSTAR_BYTES_FUNC: r.err = SETTLE(INSTAR(pre_bytes_func)(pre, ADDRESS(name), len, ADDRESS(&r.value), &status)); break;
    case INSTAR_MEMORY: r.err = SETTLE(INSTAR(pre_memory)(pre, ADDRESS(name), len, ADDRESS(&r.value), &status)); break;
    default: r.err = INSTAR_UNREPORTED;
    }
    return r;
}

static inline instar_text instar_func_signature(uint64_t func, uint8_t *buf, uint64_t cap) {
    STATUS;
    instar_text r = {0, 0, 0, 0};
    r.err = SETTLE(INSTAR(func_signature)(func, ADDRESS(buf), cap, ADDRESS(&r.len), &status));
    return r;
}

/* -- calls -- */

/* Up to two parameters and one result. */
static inline instar_one instar_call2(uint64_t func, uint64_t cell, uint64_t id, uint64_t a, uint64_t b) {
    STATUS;
    uint64_t slots[2] = {a, b};
    instar_one r;
    r.err = SETTLE(INSTAR(instance_call)(func, cell, id, ADDRESS(slots), 2, &status));
    r.value = slots[0];
    return r;
}

static inline instar_one instar_fresh2(uint64_t func, uint64_t data, uint64_t a, uint64_t b) {
    STATUS;
    uint64_t slots[2] = {a, b};
    instar_one r;
    r.err = SETTLE(INSTAR(pre_call)(func, data, ADDRESS(slots), 2, &status));
    r.value = slots[0];
    return r;
}

/* Up to six parameters and one result. */
static inline instar_one instar_call6(uint64_t func, uint64_t cell, uint64_t id, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f) {
    STATUS;
    uint64_t slots[6] = {a, b, c, d, e, f};
    instar_one r;
    r.err = SETTLE(INSTAR(instance_call)(func, cell, id, ADDRESS(slots), 6, &status));
    r.value = slots[0];
    return r;
}

static inline instar_one instar_fresh6(uint64_t func, uint64_t data, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f) {
    STATUS;
    uint64_t slots[6] = {a, b, c, d, e, f};
    instar_one r;
    r.err = SETTLE(INSTAR(pre_call)(func, data, ADDRESS(slots), 6, &status));
    r.value = slots[0];
    return r;
}

/* Any number. */
static inline uint64_t instar_call_slots(uint64_t func, uint64_t cell, uint64_t id, uint64_t *slots, uint64_t n) {
    STATUS;
    return SETTLE(INSTAR(instance_call)(func, cell, id, ADDRESS(slots), n, &status));
}

static inline uint64_t instar_fresh_slots(uint64_t func, uint64_t data, uint64_t *slots, uint64_t n) {
    STATUS;
    return SETTLE(INSTAR(pre_call)(func, data, ADDRESS(slots), n, &status));
}

/* Bytes: first = Rust's buffer or 0, second = its length. */
static inline instar_two instar_call_bytes(uint64_t func, uint64_t cell, uint64_t id, const uint8_t *in, uint64_t in_len, uint8_t *dst, uint64_t cap) {
    STATUS;
    instar_two r = {0, 0, 0};
    r.err = SETTLE(INSTAR(instance_call_bytes)(func, cell, id, ADDRESS(in), in_len, ADDRESS(dst), cap, ADDRESS(&r.first), ADDRESS(&r.second), &status));
    return r;
}

static inline instar_two instar_fresh_bytes(uint64_t func, uint64_t data, const uint8_t *in, uint64_t in_len, uint8_t *dst, uint64_t cap) {
    STATUS;
    instar_two r = {0, 0, 0};
    r.err = SETTLE(INSTAR(pre_call_bytes)(func, data, ADDRESS(in), in_len, ADDRESS(dst), cap, ADDRESS(&r.first), ADDRESS(&r.second), &status));
    return r;
}

/* Copies Rust's buffer to dst and frees it. */
static inline void instar_take_buffer(uint64_t buffer, uint64_t len, uint8_t *dst) {
    STATUS;
    __builtin_memcpy(dst, (const void *)(uintptr_t)buffer, len);
    INSTAR(buffer_free)(buffer, len, &status);
}

/* -- instances -- */

/* first = cell, second = id */
static inline instar_two instar_instantiate(uint64_t pre, uint64_t data) {
    STATUS;
    instar_two r = {0, 0, 0};
    r.err = SETTLE(INSTAR(pre_instantiate)(pre, data, ADDRESS(&r.first), ADDRESS(&r.second), &status));
    return r;
}

static inline uint64_t instar_instance_close(uint64_t pre, uint64_t cell, uint64_t id) {
    STATUS;
    return SETTLE(INSTAR(instance_close)(pre, cell, id, &status));
}

static inline void instar_instance_abandon(uint64_t pre, uint64_t cell, uint64_t id) {
    STATUS;
    INSTAR(instance_abandon)(pre, cell, id, &status);
}

static inline instar_one instar_memory_size(uint64_t memory, uint64_t cell, uint64_t id) {
    STATUS;
    instar_one r = {0, 0};
    r.err = SETTLE(INSTAR(instance_memory_size)(memory, cell, id, ADDRESS(&r.value), &status));
    return r;
}

static inline uint64_t instar_memory_read(uint64_t memory, uint64_t cell, uint64_t id, uint64_t addr, uint8_t *dst, uint64_t len) {
    STATUS;
    return SETTLE(INSTAR(instance_memory_read)(memory, cell, id, addr, ADDRESS(dst), len, &status));
}

static inline uint64_t instar_memory_write(uint64_t memory, uint64_t cell, uint64_t id, uint64_t addr, const uint8_t *src, uint64_t len) {
    STATUS;
    return SETTLE(INSTAR(instance_memory_write)(memory, cell, id, addr, ADDRESS(src), len, &status));
}

static inline instar_one instar_memory_grow(uint64_t memory, uint64_t cell, uint64_t id, uint64_t pages) {
    STATUS;
    instar_one r = {0, 0};
    r.err = SETTLE(INSTAR(instance_memory_grow)(memory, cell, id, pages, ADDRESS(&r.value), &status));
    return r;
}

/* -- callers -- */

static inline instar_one instar_caller_data(uint64_t caller) {
    STATUS;
    instar_one r = {0, 0};
    r.err = SETTLE(INSTAR(caller_data)(caller, ADDRESS(&r.value), &status));
    return r;
}

static inline instar_one instar_caller_memory_size(uint64_t caller, const uint8_t *name, uint64_t name_len) {
    STATUS;
    instar_one r = {0, 0};
    r.err = SETTLE(INSTAR(caller_memory_size)(caller, ADDRESS(name), name_len, ADDRESS(&r.value), &status));
    return r;
}

static inline uint64_t instar_caller_memory_read(uint64_t caller, const uint8_t *name, uint64_t name_len, uint64_t addr, uint8_t *dst, uint64_t len) {
    STATUS;
    return SETTLE(INSTAR(caller_memory_read)(caller, ADDRESS(name), name_len, addr, ADDRESS(dst), len, &status));
}

static inline uint64_t instar_caller_memory_write(uint64_t caller, const uint8_t *name, uint64_t name_len, uint64_t addr, const uint8_t *src, uint64_t len) {
    STATUS;
    return SETTLE(INSTAR(caller_memory_write)(caller, ADDRESS(name), name_len, addr, ADDRESS(src), len, &status));
}

static inline instar_one instar_caller_memory_grow(uint64_t caller, const uint8_t *name, uint64_t name_len, uint64_t pages) {
    STATUS;
    instar_one r = {0, 0};
    r.err = SETTLE(INSTAR(caller_memory_grow)(caller, ADDRESS(name), name_len, pages, ADDRESS(&r.value), &status));
    return r;
}

static inline uint64_t instar_caller_call(uint64_t caller, const uint8_t *name, uint64_t name_len, uint64_t *slots, uint64_t n) {
    STATUS;
    return SETTLE(INSTAR(caller_call)(caller, ADDRESS(name), name_len, ADDRESS(slots), n, &status));
}

static inline instar_text instar_caller_func_signature(uint64_t caller, const uint8_t *name, uint64_t name_len, uint8_t *buf, uint64_t cap) {
    STATUS;
    instar_text r = {0, 0, 0, 0};
    r.err = SETTLE(INSTAR(caller_func_signature)(caller, ADDRESS(name), name_len, ADDRESS(buf), cap, ADDRESS(&r.len), &status));
    return r;
}

/* -- errors -- */

typedef struct { uint32_t kind, trap; uint64_t token, len; } instar_error;

/* Reads an error; frees it if the whole message fitted. */
static inline instar_error instar_take_error(uint64_t err, uint8_t *buf, uint64_t cap) {
    STATUS;
    instar_error e;
    e.kind = INSTAR(error_kind)(err, &status);
    e.trap = INSTAR(error_trap)(err, &status);
    e.token = INSTAR(error_host_token)(err, &status);
    e.len = INSTAR(error_message)(err, ADDRESS(buf), cap, &status);
    if (e.len <= cap) INSTAR(error_free)(err, &status);
    return e;
}

#endif
