//! Callers: what a host function may do with the instance that called it.
//!
//! Each thread keeps a stack of the callers that are lent out on it, outermost first. A handle is a number that is never used
//! again, so one that is kept after its callback, or carried to another thread, is not found: `StaleHandle`. Only the innermost
//! caller can be used; the others are borrowed by the calls above them.

use crate::errors::report;
use crate::raw::{self, Out};
use crate::signature;
use instar::{Caller, Error, ErrorKind, Func, Memory, Result};
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};

struct Lent {
    handle: u64,
    /// A `Caller<'_, u64>`, which outlives this entry.
    caller: *mut (),
    in_use: bool,
}

thread_local! {
    static LENT: RefCell<Vec<Lent>> = const { RefCell::new(Vec::new()) };
    /// The next handle of this thread; 0 = none drawn yet.
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// Each thread draws so many handles at a time.
const BLOCK: u64 = 1 << 16;

fn new_handle() -> u64 {
    static NEXT_BLOCK: AtomicU64 = AtomicU64::new(1);
    let mut handle = NEXT.get();
    if handle.is_multiple_of(BLOCK) {
        handle = NEXT_BLOCK.fetch_add(1, Ordering::Relaxed) * BLOCK;
    }
    NEXT.set(handle + 1);
    handle
}

/// Lends a caller to the closure under a handle.
pub(crate) fn lend<R>(mut caller: Caller<'_, u64>, callback: impl FnOnce(u64) -> R) -> R {
    /// Takes the entry off again, also when the callback unwinds.
    struct TakeBack;
    impl Drop for TakeBack {
        fn drop(&mut self) {
            LENT.with_borrow_mut(|lent| lent.pop());
        }
    }
    let handle = new_handle();
    LENT.with_borrow_mut(|lent| lent.push(Lent { handle, caller: (&raw mut caller).cast(), in_use: false }));
    let _take_back = TakeBack;
    callback(handle)
}

/// Uses the caller of a handle.
fn with<R>(handle: u64, use_it: impl FnOnce(&mut Caller<'_, u64>) -> Result<R>) -> Result<R> {
    /// Ends the use, also when it unwinds. Whatever was lent on top in between has been taken back.
    struct Done;
    impl Drop for Done {
        fn drop(&mut self) {
            LENT.with_borrow_mut(|lent| {
                if let Some(top) = lent.last_mut() {
                    top.in_use = false;
                }
            });
        }
    }
    let caller = LENT.with_borrow_mut(|lent| {
        let stale = || {
            Error::new(ErrorKind::StaleHandle, "the caller was used outside its host function, or on another thread")
        };
        let index = lent.iter().rposition(|lent| lent.handle == handle).ok_or_else(stale)?;
        if index + 1 != lent.len() || lent[index].in_use {
            return Err(Error::new(ErrorKind::Busy, "the caller is in a call of its own guest"));
        }
        lent[index].in_use = true;
        Ok(lent[index].caller)
    })?;
    let _done = Done;
    // SAFETY: the entry exists, so `lend` on this thread still holds the caller; `in_use` and "innermost only" make this the only reference. The
    // lifetime is ours to choose, as `use_it` works for any.
    use_it(unsafe { &mut *caller.cast::<Caller<'_, u64>>() })
}

fn memory(caller: &mut Caller<'_, u64>, name: &str) -> Result<Memory> {
    caller
        .memory(name)
        .ok_or_else(|| Error::new(ErrorKind::MissingExport, format!("the caller exports no memory `{name}`")))
}

fn func(caller: &mut Caller<'_, u64>, name: &str) -> Result<Func> {
    caller
        .func(name)
        .ok_or_else(|| Error::new(ErrorKind::MissingExport, format!("the caller exports no function `{name}`")))
}

/// The data of the calling instance.
#[uniffi::export]
pub fn caller_data(caller: u64, out_data: u64) -> u64 {
    report(|| {
        let out = Out::new("out_data", out_data)?;
        with(caller, |caller| {
            out.write(*caller.data());
            Ok(())
        })
    })
}

/// The size of a memory in bytes.
#[uniffi::export]
pub fn caller_memory_size(caller: u64, name_ptr: u64, name_len: u64, out_bytes: u64) -> u64 {
    report(|| {
        let out = Out::new("out_bytes", out_bytes)?;
        let name = raw::text("name", name_ptr, name_len)?;
        with(caller, |caller| {
            let memory = memory(caller, name)?;
            out.write(memory.data_size(&*caller)? as u64);
            Ok(())
        })
    })
}

/// Copies out of a memory.
#[uniffi::export]
pub fn caller_memory_read(caller: u64, name_ptr: u64, name_len: u64, addr: u64, dst: u64, len: u64) -> u64 {
    report(|| {
        let name = raw::text("name", name_ptr, name_len)?;
        let dst = raw::bytes_mut("dst", dst, len)?;
        with(caller, |caller| memory(caller, name)?.read(&*caller, addr, dst))
    })
}

/// Copies into a memory.
#[uniffi::export]
pub fn caller_memory_write(caller: u64, name_ptr: u64, name_len: u64, addr: u64, src: u64, len: u64) -> u64 {
    report(|| {
        let name = raw::text("name", name_ptr, name_len)?;
        let src = raw::bytes("src", src, len)?;
        with(caller, |caller| memory(caller, name)?.write(caller, addr, src))
    })
}

/// Grows a memory.
#[uniffi::export]
pub fn caller_memory_grow(caller: u64, name_ptr: u64, name_len: u64, pages: u64, out_old_pages: u64) -> u64 {
    report(|| {
        let out = Out::new("out_old_pages", out_old_pages)?;
        let name = raw::text("name", name_ptr, name_len)?;
        with(caller, |caller| {
            out.write(memory(caller, name)?.grow(caller, pages)?);
            Ok(())
        })
    })
}

/// Calls an export of the calling instance.
#[uniffi::export]
pub fn caller_call(caller: u64, name_ptr: u64, name_len: u64, slots: u64, n_slots: u64) -> u64 {
    report(|| {
        let name = raw::text("name", name_ptr, name_len)?;
        let slots = raw::slots(slots, n_slots)?;
        with(caller, |caller| func(caller, name)?.call_raw(caller, slots))
    })
}

/// The signature of an export of the calling instance.
#[uniffi::export]
pub fn caller_func_signature(caller: u64, name_ptr: u64, name_len: u64, buf: u64, cap: u64, out_len: u64) -> u64 {
    report(|| {
        let out = Out::new("out_len", out_len)?;
        let name = raw::text("name", name_ptr, name_len)?;
        with(caller, |caller| {
            let ty = func(caller, name)?.ty(&*caller)?;
            out.write(raw::copy_text(&signature::format(&ty), buf, cap));
            Ok(())
        })
    })
}
