/* instar_ffi.h: the C ABI that .NET and Go share.
 *
 * Every function is a uniffi free function over primitives: symbol `uniffi_instar_ffi_fn_func_<name>`, last argument a
 * RustCallStatus. bindings/uniffi/tests/header.rs fails when this file and the exported functions disagree.
 *
 * Handles   u64, 0 = none. They carry a type, an index and a generation: a wrong, freed or twice freed handle is a
 *           StaleHandle error (a no-op for *_free), never undefined behaviour. Freeing while another thread is inside a
 *           call with the handle is fine: the object goes when that call returns.
 * Pointers  u64 addresses, named *_ptr, out_*, dst, src, buf, slots. They must be valid for the call, and are not kept. Pointers
 *           with length 0 may be 0. out_* are uint64_t* unless said otherwise and are written only on success.
 * Text      UTF-8, pointer + length in bytes, no terminator. Functions with (buf, cap) copy at most cap bytes and
 *           report the full length, so (0, 0) asks for the length.
 * Errors    functions that return `err` give 0 for success or an error handle: read it with error_*, then error_free.
 *           Panics inside Instar come back as an error of kind Bug (17). status->code != 0 is a backstop that should never
 *           be seen: treat it as kind Bug with the message in status->error_buf, and free that buffer.
 * Slots     arguments and results of guest functions: an array of 8-byte slots, parameters in, results out from slot 0; i32
 *           and f32 bits in the low half; the upper half is ignored on the way into a guest and 0 on the way out.
 *           A v128 takes two slots, its low half first. n_slots >= max(slots of the parameters, slots of the results).
 * Signature text: parameters ':' results, one letter each: i = i32, I = i64, f = f32, F = f64, v = v128,
 *           r = funcref, e = externref. "ii:i" is (i32, i32) -> i32, ":" takes and gives nothing.
 *           r and e stand for typed references too. A function with a reference in its type cannot be called (Type).
 * Instance  the pair (cell, id). id is never reused; a closed instance is a StaleHandle error. `cell` must come from
 *           pre_instantiate of the same pre as the token or pre that it is used with: the one thing here that the facade must
 *           guarantee (keep the pre beside the pair and compare). An instance of another pre of the same engine is StaleHandle.
 * Threads   everything may be called from any thread. One instance runs one call at a time: Busy otherwise.
 * data      an opaque u64 of the foreign language per instance; Rust never looks at it nor releases it.
 */
#ifndef INSTAR_FFI_H
#define INSTAR_FFI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Must equal abi_version(): raised whenever a function below changes. */
#define INSTAR_FFI_ABI_VERSION 1
/* Must equal ffi_instar_ffi_uniffi_contract_version(). */
#define INSTAR_FFI_UNIFFI_CONTRACT_VERSION 30

/* Owned by Rust; free with ffi_instar_ffi_rustbuffer_free. */
typedef struct RustBuffer {
    uint64_t capacity;
    uint64_t len;
    uint8_t *data;
} RustBuffer;

/* Zeroed by the caller. code: 0 ok, 2 panic or internal error (error_buf holds a UTF-8 message). */
typedef struct RustCallStatus {
    int8_t code;
    RustBuffer error_buf;
} RustCallStatus;

/* A host function.
 *   context  as given to linker_func
 *   caller   valid until the callback returns, on the same thread only; afterwards StaleHandle
 *   slots    parameters in, results out; n = max(params, results)
 * Returns 0 = ok; 1..=0xffff = trap with that code (TrapCode of core/src/error.rs); from 0x10000 on a host error token, which
 * comes back through error_host_token of the outermost call's error (kind Host). Must not unwind. */
typedef uint64_t (*InstarHostFunction)(uint64_t context, uint64_t caller, uint64_t *slots, uint32_t n);

/* Called once when nothing can call the host function any more (its linker and all pres made from it are gone), from whatever thread
 * that happens on. Must not call back into Instar. */
typedef void (*InstarRelease)(uint64_t context);

/* uniffi's own. */
uint32_t ffi_instar_ffi_uniffi_contract_version(void);
void ffi_instar_ffi_rustbuffer_free(RustBuffer buffer, RustCallStatus *status);

/* -- library ------------------------------------------------------------------------------------------------------ */

/* INSTAR_FFI_ABI_VERSION of the library. */
uint32_t uniffi_instar_ffi_fn_func_abi_version(RustCallStatus *status);
/* Writes the product version, such as "0.1.0"; gives the full length. */
uint64_t uniffi_instar_ffi_fn_func_library_version(uint64_t buf, uint64_t cap, RustCallStatus *status);

/* -- engine ------------------------------------------------------------------------------------------------------- */

/* Each limit: 0 = the default. flags: bit 0 = paranoid (compare every slot with its image after each reset; tests),
 * bit 1 = Cranelift's verifier; other bits must be 0. err: Config. */
uint64_t uniffi_instar_ffi_fn_func_engine_new(uint64_t max_instances, uint64_t max_memory_pages, uint64_t max_table_elements, uint64_t max_wasm_stack, uint64_t flags, uint64_t out_engine, RustCallStatus *status);
/* Modules, linkers, pres and instances keep what they need of it alive. */
void uniffi_instar_ffi_fn_func_engine_free(uint64_t engine, RustCallStatus *status);
/* Instances alive now (abandoned ones count until they are collected). err: StaleHandle. */
uint64_t uniffi_instar_ffi_fn_func_engine_live_instances(uint64_t engine, uint64_t out_count, RustCallStatus *status);

/* -- module ------------------------------------------------------------------------------------------------------- */

/* Compiles the binary or the text format. err: InvalidModule, Unsupported, Limit. */
uint64_t uniffi_instar_ffi_fn_func_module_new(uint64_t engine, uint64_t ptr, uint64_t len, uint64_t out_module, RustCallStatus *status);
void uniffi_instar_ffi_fn_func_module_free(uint64_t module, RustCallStatus *status);
/* Kind of the export of that name: 0 none, 1 func, 2 memory, 3 table, 4 global, 5 other. err: StaleHandle. */
uint64_t uniffi_instar_ffi_fn_func_module_export_kind(uint64_t module, uint64_t name_ptr, uint64_t name_len, uint64_t out_kind, RustCallStatus *status);
/* The export number `index`: name to buf, its full length and its kind to the out pointers; kind 0 = past the last one. */
uint64_t uniffi_instar_ffi_fn_func_module_export(uint64_t module, uint64_t index, uint64_t buf, uint64_t cap, uint64_t out_len, uint64_t out_kind, RustCallStatus *status);
/* The import number `index`: module name directly followed by the name to buf; full length of both, length of the module name,
 * kind; kind 0 = past the last one. */
uint64_t uniffi_instar_ffi_fn_func_module_import(uint64_t module, uint64_t index, uint64_t buf, uint64_t cap, uint64_t out_len, uint64_t out_module_len, uint64_t out_kind, RustCallStatus *status);
/* Signature text of the exported function of that name to buf. err: MissingExport. */
uint64_t uniffi_instar_ffi_fn_func_module_func_signature(uint64_t module, uint64_t name_ptr, uint64_t name_len, uint64_t buf, uint64_t cap, uint64_t out_len, RustCallStatus *status);

/* -- linker ------------------------------------------------------------------------------------------------------- */

uint64_t uniffi_instar_ffi_fn_func_linker_new(uint64_t engine, uint64_t out_linker, RustCallStatus *status);
/* Host functions stay until the pres made from the linker are gone too. */
void uniffi_instar_ffi_fn_func_linker_free(uint64_t linker, RustCallStatus *status);
/* on != 0: a later definition of the same name replaces the earlier one instead of being a Link error. */
uint64_t uniffi_instar_ffi_fn_func_linker_allow_shadowing(uint64_t linker, uint64_t on, RustCallStatus *status);
/* Defines a host function. sig: signature text. callback: InstarHostFunction. context: given to each call. release:
 * InstarRelease or 0; it is called exactly once, also when linker_func itself fails. err: Type (bad signature text),
 * Link (name taken). */
uint64_t uniffi_instar_ffi_fn_func_linker_func(uint64_t linker, uint64_t module_ptr, uint64_t module_len, uint64_t name_ptr, uint64_t name_len, uint64_t sig_ptr, uint64_t sig_len, uint64_t callback, uint64_t context, uint64_t release, RustCallStatus *status);
/* Resolves and checks all imports. err: Link. */
uint64_t uniffi_instar_ffi_fn_func_linker_instantiate_pre(uint64_t linker, uint64_t module, uint64_t out_pre, RustCallStatus *status);

/* -- pre ---------------------------------------------------------------------------------------------------------- */

/* Refuses new work on the pre. Its live instances can still be used with tokens that were made before, and can be closed. */
void uniffi_instar_ffi_fn_func_pre_free(uint64_t pre, RustCallStatus *status);
/* Token of an exported function: no name look-up later, usable from all threads, with instances of this pre only. err:
 * MissingExport (also for an export of another kind). */
uint64_t uniffi_instar_ffi_fn_func_pre_func(uint64_t pre, uint64_t name_ptr, uint64_t name_len, uint64_t out_func, RustCallStatus *status);
void uniffi_instar_ffi_fn_func_func_free(uint64_t func, RustCallStatus *status);
/* Signature text to buf. */
uint64_t uniffi_instar_ffi_fn_func_func_signature(uint64_t func, uint64_t buf, uint64_t cap, uint64_t out_len, RustCallStatus *status);
/* Token of a bytes function: the guest exports memory, alloc(i32)->i32 and name(i32,i32)->i64 = ptr<<32|len. err:
 * MissingExport, Type. */
uint64_t uniffi_instar_ffi_fn_func_pre_bytes_func(uint64_t pre, uint64_t name_ptr, uint64_t name_len, uint64_t out_bytes_func, RustCallStatus *status);
void uniffi_instar_ffi_fn_func_bytes_func_free(uint64_t bytes_func, RustCallStatus *status);
/* Token of an exported memory. err: MissingExport. */
uint64_t uniffi_instar_ffi_fn_func_pre_memory(uint64_t pre, uint64_t name_ptr, uint64_t name_len, uint64_t out_memory, RustCallStatus *status);
void uniffi_instar_ffi_fn_func_memory_free(uint64_t memory, RustCallStatus *status);

/* -- a fresh instance per call: create, call, reset in one crossing -------------------------------------------------- */

/* The token knows its pre. err: Trap, Host, PoolExhausted, Type (n_slots too small), StaleHandle ... */
uint64_t uniffi_instar_ffi_fn_func_pre_call(uint64_t func, uint64_t data, uint64_t slots, uint64_t n_slots, RustCallStatus *status);
/* Bytes in, bytes out. The answer's length goes to out_len. If it is <= cap the answer is in dst and *out_ptr is 0, else
 * *out_ptr is a Rust buffer to be freed with buffer_free(*out_ptr, *out_len). err: as pre_call, GuestProtocol. */
uint64_t uniffi_instar_ffi_fn_func_pre_call_bytes(uint64_t bytes_func, uint64_t data, uint64_t in_ptr, uint64_t in_len, uint64_t dst, uint64_t cap, uint64_t out_ptr, uint64_t out_len, RustCallStatus *status);
void uniffi_instar_ffi_fn_func_buffer_free(uint64_t ptr, uint64_t len, RustCallStatus *status);

/* -- instances ---------------------------------------------------------------------------------------------------- */

/* err: PoolExhausted, Trap or Host (start function), Limit. */
uint64_t uniffi_instar_ffi_fn_func_pre_instantiate(uint64_t pre, uint64_t data, uint64_t out_cell, uint64_t out_id, RustCallStatus *status);
/* func must be a token of the instance's pre: StaleHandle otherwise. err: as pre_call, Busy, StaleHandle. */
uint64_t uniffi_instar_ffi_fn_func_instance_call(uint64_t func, uint64_t cell, uint64_t id, uint64_t slots, uint64_t n_slots, RustCallStatus *status);
/* As pre_call_bytes on a live instance. */
uint64_t uniffi_instar_ffi_fn_func_instance_call_bytes(uint64_t bytes_func, uint64_t cell, uint64_t id, uint64_t in_ptr, uint64_t in_len, uint64_t dst, uint64_t cap, uint64_t out_ptr, uint64_t out_len, RustCallStatus *status);
/* Resets the slot and gives it back. 0 when closed already. err: Busy during a call. pre may have been freed. */
uint64_t uniffi_instar_ffi_fn_func_instance_close(uint64_t pre, uint64_t cell, uint64_t id, RustCallStatus *status);
/* For finalizers: never blocks, runs no guest code; the next pre_instantiate in the engine closes the instance. pre may have been
 * freed. Call it at most once for an instance, and not after instance_close succeeded. */
void uniffi_instar_ffi_fn_func_instance_abandon(uint64_t pre, uint64_t cell, uint64_t id, RustCallStatus *status);
uint64_t uniffi_instar_ffi_fn_func_instance_data(uint64_t pre, uint64_t cell, uint64_t id, uint64_t out_data, RustCallStatus *status);
/* Size in bytes. */
uint64_t uniffi_instar_ffi_fn_func_instance_memory_size(uint64_t memory, uint64_t cell, uint64_t id, uint64_t out_bytes, RustCallStatus *status);
/* err: OutOfBounds (nothing is copied), Busy, StaleHandle. */
uint64_t uniffi_instar_ffi_fn_func_instance_memory_read(uint64_t memory, uint64_t cell, uint64_t id, uint64_t addr, uint64_t dst, uint64_t len, RustCallStatus *status);
uint64_t uniffi_instar_ffi_fn_func_instance_memory_write(uint64_t memory, uint64_t cell, uint64_t id, uint64_t addr, uint64_t src, uint64_t len, RustCallStatus *status);
/* By `pages` of its own size (64 KiB unless its type says otherwise); the old size in pages goes to out_old_pages. err: Limit. */
uint64_t uniffi_instar_ffi_fn_func_instance_memory_grow(uint64_t memory, uint64_t cell, uint64_t id, uint64_t pages, uint64_t out_old_pages, RustCallStatus *status);

/* -- caller: what a host function may do with the instance that called it ------------------------------------------------ */
/* A caller that lies below a nested call (caller_call) is Busy until that returns; after its callback it is StaleHandle. */

uint64_t uniffi_instar_ffi_fn_func_caller_data(uint64_t caller, uint64_t out_data, RustCallStatus *status);
/* err: MissingExport. */
uint64_t uniffi_instar_ffi_fn_func_caller_memory_size(uint64_t caller, uint64_t name_ptr, uint64_t name_len, uint64_t out_bytes, RustCallStatus *status);
/* err: MissingExport, OutOfBounds. */
uint64_t uniffi_instar_ffi_fn_func_caller_memory_read(uint64_t caller, uint64_t name_ptr, uint64_t name_len, uint64_t addr, uint64_t dst, uint64_t len, RustCallStatus *status);
uint64_t uniffi_instar_ffi_fn_func_caller_memory_write(uint64_t caller, uint64_t name_ptr, uint64_t name_len, uint64_t addr, uint64_t src, uint64_t len, RustCallStatus *status);
uint64_t uniffi_instar_ffi_fn_func_caller_memory_grow(uint64_t caller, uint64_t name_ptr, uint64_t name_len, uint64_t pages, uint64_t out_old_pages, RustCallStatus *status);
/* Calls an export of the calling instance. err: MissingExport, Trap, Host ... */
uint64_t uniffi_instar_ffi_fn_func_caller_call(uint64_t caller, uint64_t name_ptr, uint64_t name_len, uint64_t slots, uint64_t n_slots, RustCallStatus *status);
/* Signature text of an export of the calling instance. err: MissingExport. */
uint64_t uniffi_instar_ffi_fn_func_caller_func_signature(uint64_t caller, uint64_t name_ptr, uint64_t name_len, uint64_t buf, uint64_t cap, uint64_t out_len, RustCallStatus *status);

/* -- errors ------------------------------------------------------------------------------------------------------- */

/* ErrorKind's number; 0 for a handle that is not an error. */
uint32_t uniffi_instar_ffi_fn_func_error_kind(uint64_t err, RustCallStatus *status);
/* TrapCode's number; 0 = not a trap. */
uint32_t uniffi_instar_ffi_fn_func_error_trap(uint64_t err, RustCallStatus *status);
/* What the host function returned (>= 0x10000); 0 = none. */
uint64_t uniffi_instar_ffi_fn_func_error_host_token(uint64_t err, RustCallStatus *status);
/* Message without the kind to buf; gives the full length. */
uint64_t uniffi_instar_ffi_fn_func_error_message(uint64_t err, uint64_t buf, uint64_t cap, RustCallStatus *status);
void uniffi_instar_ffi_fn_func_error_free(uint64_t err, RustCallStatus *status);

#ifdef __cplusplus
}
#endif

#endif
