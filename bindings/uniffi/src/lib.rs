//! Instar's C ABI: free functions over primitives, declared by uniffi, for the .NET and Go bindings.
//!
//! `include/instar_ffi.h` describes what each function does; it and this crate are held together by `tests/header.rs`.
//! The functions here are thin: they check handles and pointers, call the core, and turn errors and panics into error handles.
//!
//! | module | what is in it |
//! |---|---|
//! | [`engine`], [`module`], [`linker`], [`pre`], [`call`], [`instance`], [`caller`], [`errors`] | the exported functions, by noun |
//! | `table` | handles: type, index and generation in a `u64`; a wrong one is an error, never undefined behaviour |
//! | `readers` | which thread is using which handle just now, so that freeing one is safe at any time |
//! | `raw` | the only place that turns addresses from outside into slices |
//! | `signature` | `"ii:i"` |
//!
//! This is not a Rust API: the functions take addresses as integers and trust them as C does. Rust programs use the crate
//! `instar`.

pub mod call;
pub mod caller;
pub mod engine;
pub mod errors;
pub mod instance;
pub mod linker;
pub mod module;
pub mod pre;

mod raw;
mod readers;
mod signature;
mod table;

uniffi::setup_scaffolding!();

/// Raised whenever an exported function changes. Must equal `INSTAR_FFI_ABI_VERSION` in the header.
pub const ABI_VERSION: u32 = 1;

/// [`ABI_VERSION`] of the library that is loaded.
#[uniffi::export]
pub fn abi_version() -> u32 {
    ABI_VERSION
}

/// Writes the product version to `buf`; gives its full length.
#[uniffi::export]
pub fn library_version(buf: u64, cap: u64) -> u64 {
    raw::copy_text(env!("CARGO_PKG_VERSION"), buf, cap)
}
