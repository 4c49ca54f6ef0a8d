//! Arguments, variables, clocks, random bytes.

use crate::wasi::context::{Strings, WasiCtx};
use crate::wasi::guest::Guest;
use crate::wasi::types::Errno;

type Result = std::result::Result<(), Errno>;

/// Writes strings one after the other, and the address of each to a list.
fn strings_get(guest: &mut dyn Guest, of: fn(&WasiCtx) -> &Strings, list: u32, buffer: u32) -> Result {
    let strings = of(guest.context());
    let (count, len) = (strings.starts.len(), strings.bytes.len());
    let list_bytes = u32::try_from(count * 4).map_err(|_| Errno::Overflow)?;
    guest.check(list, list_bytes)?;

    let (bytes, context) = guest.bytes_mut(buffer, u32::try_from(len).map_err(|_| Errno::Overflow)?)?;
    bytes.copy_from_slice(&of(context).bytes);
    let (entries, context) = guest.bytes_mut(list, list_bytes)?;
    for (entry, &start) in entries.chunks_exact_mut(4).zip(&of(context).starts) {
        // The buffer lies in a 32-bit memory, so no address in it overflows.
        entry.copy_from_slice(&(buffer + start as u32).to_le_bytes());
    }
    Ok(())
}

fn strings_sizes_get(guest: &mut dyn Guest, of: fn(&WasiCtx) -> &Strings, count: u32, len: u32) -> Result {
    let strings = of(guest.context());
    let sizes = (u32::try_from(strings.starts.len()), u32::try_from(strings.bytes.len()));
    let (Ok(strings), Ok(bytes)) = sizes else { return Err(Errno::Overflow) };
    guest.check(len, 4)?;
    guest.write_u32(count, strings)?;
    guest.write_u32(len, bytes)
}

pub(super) fn args_get(guest: &mut dyn Guest, argv: u32, argv_buf: u32) -> Result {
    strings_get(guest, WasiCtx::args, argv, argv_buf)
}

pub(super) fn args_sizes_get(guest: &mut dyn Guest, argc: u32, argv_buf_size: u32) -> Result {
    strings_sizes_get(guest, WasiCtx::args, argc, argv_buf_size)
}

pub(super) fn environ_get(guest: &mut dyn Guest, environ: u32, environ_buf: u32) -> Result {
    strings_get(guest, WasiCtx::env, environ, environ_buf)
}

pub(super) fn environ_sizes_get(guest: &mut dyn Guest, environc: u32, environ_buf_size: u32) -> Result {
    strings_sizes_get(guest, WasiCtx::env, environc, environ_buf_size)
}

pub(super) fn clock_res_get(guest: &mut dyn Guest, id: u32, resolution: u32) -> Result {
    let ns = guest.context().clocks().resolution(id)?;
    guest.write_u64(resolution, ns)
}

/// The precision is how late the answer may be; it is never late.
pub(super) fn clock_time_get(guest: &mut dyn Guest, id: u32, _precision: u64, time: u32) -> Result {
    let ns = guest.context().clocks().now(id)?;
    guest.write_u64(time, ns)
}

pub(super) fn random_get(guest: &mut dyn Guest, buf: u32, buf_len: u32) -> Result {
    let (bytes, context) = guest.bytes_mut(buf, buf_len)?;
    context.random.fill(bytes)
}

pub(super) fn sched_yield(_: &mut dyn Guest) -> Result {
    std::thread::yield_now();
    Ok(())
}

pub(super) fn proc_raise(_: &mut dyn Guest, _signal: u32) -> Result {
    Err(Errno::Notsup)
}
