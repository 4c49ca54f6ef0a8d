//! InstancePres and the tokens made from them.
//!
//! A pre's entry stays after `pre_free` until its last instance is closed, because closing needs it; new work is refused at once.

use crate::errors::{ignore, report};
use crate::raw::{self, Out};
use crate::signature;
use crate::table::{Kind, Table};
use instar::{BytesFunc, Error, ErrorKind, ExportFunc, ExportMemory, InstancePre, Result};
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) static PRES: Table<Pre> = Table::new(Kind::Pre);
pub(crate) static FUNCS: Table<Token<ExportFunc>> = Table::new(Kind::Func);
pub(crate) static BYTES_FUNCS: Table<Token<BytesFunc>> = Table::new(Kind::BytesFunc);
pub(crate) static MEMORIES: Table<Token<ExportMemory>> = Table::new(Kind::Memory);

/// Something looked up in a pre, with the pre that it belongs to: one handle per call is enough.
pub(crate) struct Token<X> {
    pub pre: InstancePre<u64>,
    pub export: X,
}

pub(crate) struct Pre {
    pre: InstancePre<u64>,
    /// Live instances, and `CLOSED` once the pre is freed. At `CLOSED` exactly the entry goes.
    instances: AtomicU64,
}

const CLOSED: u64 = 1 << 63;

impl Pre {
    /// The pre, for new work.
    pub(crate) fn open(&self) -> Result<&InstancePre<u64>> {
        if self.instances.load(Ordering::Acquire) & CLOSED != 0 {
            return Err(Error::new(ErrorKind::StaleHandle, "the pre has been closed"));
        }
        Ok(&self.pre)
    }

    /// The pre, for what instances that are alive still need.
    pub(crate) fn even_closed(&self) -> &InstancePre<u64> {
        &self.pre
    }

    /// Makes an instance and counts it.
    pub(crate) fn count_in<R>(&self, handle: u64, make: impl FnOnce(&InstancePre<u64>) -> Result<R>) -> Result<R> {
        /// Counts out again, unless forgotten.
        struct CountOut<'a>(&'a Pre, u64);
        impl Drop for CountOut<'_> {
            fn drop(&mut self) {
                self.0.count_out(self.1);
            }
        }
        self.instances.fetch_add(1, Ordering::AcqRel);
        let roll_back = CountOut(self, handle);
        let made = make(self.open()?)?;
        std::mem::forget(roll_back);
        Ok(made)
    }

    /// An instance is gone.
    pub(crate) fn count_out(&self, handle: u64) {
        let before = self.instances.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
            // More were closed than made only if the other side closes the same one twice: nothing to count then.
            (count & !CLOSED != 0).then(|| count - 1)
        });
        if before == Ok(CLOSED | 1) {
            PRES.free(handle);
        }
    }
}

pub(crate) fn register(pre: InstancePre<u64>) -> Result<u64> {
    PRES.insert(Pre { pre, instances: AtomicU64::new(0) })
}

#[uniffi::export]
pub fn pre_free(pre: u64) {
    ignore(|| {
        let _ = PRES.with(pre, |entry| {
            if entry.instances.fetch_or(CLOSED, Ordering::AcqRel) == 0 {
                PRES.free(pre);
            }
            Ok(())
        });
    });
}

fn token<X: Send + Sync + 'static>(
    table: &'static Table<Token<X>>,
    (pre, name_ptr, name_len): (u64, u64, u64),
    (out_name, out): (&str, u64),
    find: impl FnOnce(&InstancePre<u64>, &str) -> Result<X>,
) -> u64 {
    report(|| {
        let out = Out::new(out_name, out)?;
        let name = raw::text("name", name_ptr, name_len)?;
        let token = PRES.with(pre, |entry| {
            let pre = entry.open()?;
            Ok(Token { export: find(pre, name)?, pre: pre.clone() })
        })?;
        out.write(table.insert(token)?);
        Ok(())
    })
}

/// The token of an exported function.
#[uniffi::export]
pub fn pre_func(pre: u64, name_ptr: u64, name_len: u64, out_func: u64) -> u64 {
    token(&FUNCS, (pre, name_ptr, name_len), ("out_func", out_func), |pre, name| pre.func(name))
}

#[uniffi::export]
pub fn func_free(func: u64) {
    ignore(|| {
        FUNCS.free(func);
    });
}

/// Writes the signature of a function.
#[uniffi::export]
pub fn func_signature(func: u64, buf: u64, cap: u64, out_len: u64) -> u64 {
    report(|| {
        let out = Out::new("out_len", out_len)?;
        FUNCS.with(func, |func| {
            out.write(raw::copy_text(&signature::format(func.export.ty()), buf, cap));
            Ok(())
        })
    })
}

/// The token of a function from bytes to bytes.
#[uniffi::export]
pub fn pre_bytes_func(pre: u64, name_ptr: u64, name_len: u64, out_bytes_func: u64) -> u64 {
    token(&BYTES_FUNCS, (pre, name_ptr, name_len), ("out_bytes_func", out_bytes_func), |pre, name| pre.bytes_func(name))
}

#[uniffi::export]
pub fn bytes_func_free(bytes_func: u64) {
    ignore(|| {
        BYTES_FUNCS.free(bytes_func);
    });
}

/// The token of an exported memory.
#[uniffi::export]
pub fn pre_memory(pre: u64, name_ptr: u64, name_len: u64, out_memory: u64) -> u64 {
    token(&MEMORIES, (pre, name_ptr, name_len), ("out_memory", out_memory), |pre, name| pre.memory(name))
}

#[uniffi::export]
pub fn memory_free(memory: u64) {
    ignore(|| {
        MEMORIES.free(memory);
    });
}
