//! Instances: pairs of a cell, which lives as long as its engine, and an id that is never used again. The core checks both.

use crate::call::Answer;
use crate::errors::{ignore, report};
use crate::pre::{BYTES_FUNCS, FUNCS, MEMORIES, PRES, Token};
use crate::raw::{self, Out};
use instar::{Claim, ExportMemory, InstancePre, Result, SharedInstance};

/// Takes the instance of a pair for this thread.
#[inline]
fn enter(pre: &InstancePre<u64>, cell: u64, id: u64) -> Result<Claim<'_, u64>> {
    // SAFETY: the header asks for a cell that came from `pre_instantiate` of the same engine; `pre` keeps that alive. The core checks the id, and
    // that the instance is one of `pre`.
    unsafe { SharedInstance::enter_raw(pre, cell, id) }
}

/// Makes a fresh instance.
#[uniffi::export]
pub fn pre_instantiate(pre: u64, data: u64, out_cell: u64, out_id: u64) -> u64 {
    report(|| {
        let (out_cell, out_id) = (Out::new("out_cell", out_cell)?, Out::new("out_id", out_id)?);
        let (cell, id) = PRES.with(pre, |entry| entry.count_in(pre, |pre| pre.shared_raw(data)))?;
        out_cell.write(cell);
        out_id.write(id);
        Ok(())
    })
}

/// Calls a function.
#[uniffi::export]
pub fn instance_call(func: u64, cell: u64, id: u64, slots: u64, n_slots: u64) -> u64 {
    report(|| {
        let slots = raw::slots(slots, n_slots)?;
        FUNCS.with(func, |func| enter(&func.pre, cell, id)?.call_raw(&func.export, slots))
    })
}

/// Bytes in, bytes out.
#[uniffi::export]
#[allow(clippy::too_many_arguments, reason = "a C ABI without structs")]
pub fn instance_call_bytes(
    bytes_func: u64,
    cell: u64,
    id: u64,
    in_ptr: u64,
    in_len: u64,
    dst: u64,
    cap: u64,
    out_ptr: u64,
    out_len: u64,
) -> u64 {
    report(|| {
        let input = raw::bytes("the input", in_ptr, in_len)?;
        let answer = Answer::new(dst, cap, out_ptr, out_len)?;
        BYTES_FUNCS.with(bytes_func, |func| {
            answer.give(enter(&func.pre, cell, id)?.call_bytes(&func.export, input)?);
            Ok(())
        })
    })
}

/// Resets the slot and gives it back.
#[uniffi::export]
pub fn instance_close(pre: u64, cell: u64, id: u64) -> u64 {
    report(|| {
        PRES.with(pre, |entry| {
            // SAFETY: as in `enter`; the pre keeps the engine alive.
            unsafe { SharedInstance::<u64>::close_raw(cell, id) }?;
            entry.count_out(pre);
            Ok(())
        })
    })
}

/// Leaves the closing to the next instantiation.
#[uniffi::export]
pub fn instance_abandon(pre: u64, cell: u64, id: u64) {
    ignore(|| {
        let _ = PRES.with(pre, |entry| {
            // SAFETY: as in `enter`; the pre keeps the engine alive.
            unsafe { SharedInstance::<u64>::abandon_raw(entry.even_closed().engine(), cell, id) };
            entry.count_out(pre);
            Ok(())
        });
    });
}

/// The data that the instance was made with.
#[uniffi::export]
pub fn instance_data(pre: u64, cell: u64, id: u64, out_data: u64) -> u64 {
    report(|| {
        let out = Out::new("out_data", out_data)?;
        PRES.with(pre, |entry| {
            out.write(*enter(entry.even_closed(), cell, id)?.data());
            Ok(())
        })
    })
}

fn with_memory(
    memory: u64,
    cell: u64,
    id: u64,
    use_it: impl FnOnce(&mut Claim<'_, u64>, &ExportMemory) -> Result<()>,
) -> u64 {
    report(|| MEMORIES.with(memory, |Token { pre, export }| use_it(&mut enter(pre, cell, id)?, export)))
}

/// The size of a memory in bytes.
#[uniffi::export]
pub fn instance_memory_size(memory: u64, cell: u64, id: u64, out_bytes: u64) -> u64 {
    with_memory(memory, cell, id, |instance, memory| {
        let out = Out::new("out_bytes", out_bytes)?;
        out.write(instance.memory_size(memory)?);
        Ok(())
    })
}

/// Copies out of a memory.
#[uniffi::export]
pub fn instance_memory_read(memory: u64, cell: u64, id: u64, addr: u64, dst: u64, len: u64) -> u64 {
    with_memory(memory, cell, id, |instance, memory| {
        instance.memory_read(memory, addr, raw::bytes_mut("dst", dst, len)?)
    })
}

/// Copies into a memory.
#[uniffi::export]
pub fn instance_memory_write(memory: u64, cell: u64, id: u64, addr: u64, src: u64, len: u64) -> u64 {
    with_memory(memory, cell, id, |instance, memory| instance.memory_write(memory, addr, raw::bytes("src", src, len)?))
}

/// Grows a memory.
#[uniffi::export]
pub fn instance_memory_grow(memory: u64, cell: u64, id: u64, pages: u64, out_old_pages: u64) -> u64 {
    with_memory(memory, cell, id, |instance, memory| {
        let out = Out::new("out_old_pages", out_old_pages)?;
        out.write(instance.memory_grow(memory, pages)?);
        Ok(())
    })
}
