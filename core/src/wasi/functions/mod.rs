//! The functions of `wasi_snapshot_preview1`: one table, and their bodies by subject.
//!
//! Bodies are compiled once, for any embedder: they see a [`Guest`](super::guest::Guest). Each checks where its results go
//! before it does anything.

mod fd;
mod path;
mod poll;
mod process;

use super::I32Exit;
use super::context::WasiCtx;
use super::guest::{Call, Guest};
use super::types::Errno;
use crate::{Caller, Error, Linker, Result};

const MODULE: &str = "wasi_snapshot_preview1";

/// Defines the functions of module `wasi_snapshot_preview1` in a linker. `context` finds the context in the host data.
///
/// Guests without an exported memory called `memory` can be linked; whatever needs it is `EFAULT` for them.
///
/// # Errors
///
/// `Link` when a name is taken.
pub fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    context: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> Result<()> {
    macro_rules! functions {
        ($($name:ident($($param:ident: $ty:ty),*) = $body:path;)*) => {$(
            linker.func_wrap(MODULE, stringify!($name), move |caller: Caller<'_, T>, $($param: $ty),*| -> u32 {
                let guest: &mut dyn Guest = &mut Call::new(caller, &context);
                $body(guest, $($param),*).map_or_else(|errno: Errno| errno as u32, |()| 0)
            })?;
        )*};
    }

    functions! {
        args_get(argv: u32, argv_buf: u32) = process::args_get;
        args_sizes_get(argc: u32, argv_buf_size: u32) = process::args_sizes_get;
        environ_get(environ: u32, environ_buf: u32) = process::environ_get;
        environ_sizes_get(environc: u32, environ_buf_size: u32) = process::environ_sizes_get;
        clock_res_get(id: u32, resolution: u32) = process::clock_res_get;
        clock_time_get(id: u32, precision: u64, time: u32) = process::clock_time_get;
        random_get(buf: u32, buf_len: u32) = process::random_get;
        sched_yield() = process::sched_yield;
        proc_raise(signal: u32) = process::proc_raise;
        poll_oneoff(subscriptions: u32, events: u32, nsubscriptions: u32, nevents: u32) = poll::poll_oneoff;

        fd_advise(fd: u32, offset: u64, len: u64, advice: u32) = fd::advise;
        fd_allocate(fd: u32, offset: u64, len: u64) = fd::allocate;
        fd_close(fd: u32) = fd::close;
        fd_datasync(fd: u32) = fd::datasync;
        fd_fdstat_get(fd: u32, stat: u32) = fd::fdstat_get;
        fd_fdstat_set_flags(fd: u32, flags: u32) = fd::fdstat_set_flags;
        fd_fdstat_set_rights(fd: u32, base: u64, inheriting: u64) = fd::fdstat_set_rights;
        fd_filestat_get(fd: u32, stat: u32) = fd::filestat_get;
        fd_filestat_set_size(fd: u32, size: u64) = fd::filestat_set_size;
        fd_filestat_set_times(fd: u32, atim: u64, mtim: u64, fst_flags: u32) = fd::filestat_set_times;
        fd_pread(fd: u32, iovs: u32, iovs_len: u32, offset: u64, nread: u32) = fd::pread;
        fd_prestat_get(fd: u32, prestat: u32) = fd::prestat_get;
        fd_prestat_dir_name(fd: u32, path: u32, path_len: u32) = fd::prestat_dir_name;
        fd_pwrite(fd: u32, iovs: u32, iovs_len: u32, offset: u64, nwritten: u32) = fd::pwrite;
        fd_read(fd: u32, iovs: u32, iovs_len: u32, nread: u32) = fd::read;
        fd_readdir(fd: u32, buf: u32, buf_len: u32, cookie: u64, bufused: u32) = fd::readdir;
        fd_renumber(from: u32, to: u32) = fd::renumber;
        fd_seek(fd: u32, offset: i64, whence: u32, newoffset: u32) = fd::seek;
        fd_sync(fd: u32) = fd::sync;
        fd_tell(fd: u32, offset: u32) = fd::tell;
        fd_write(fd: u32, iovs: u32, iovs_len: u32, nwritten: u32) = fd::write;

        path_create_directory(fd: u32, path: u32, path_len: u32) = path::create_directory;
        path_filestat_get(fd: u32, flags: u32, path: u32, path_len: u32, stat: u32) = path::filestat_get;
        path_filestat_set_times(fd: u32, flags: u32, path: u32, path_len: u32, atim: u64, mtim: u64, fst_flags: u32) =
            path::filestat_set_times;
        path_link(old_fd: u32, old_flags: u32, old: u32, old_len: u32, new_fd: u32, new: u32, new_len: u32) = path::link;
        path_open(
            fd: u32, dirflags: u32, path: u32, path_len: u32, oflags: u32,
            base: u64, inheriting: u64, fdflags: u32, opened_fd: u32
        ) = path::open;
        path_readlink(fd: u32, path: u32, path_len: u32, buf: u32, buf_len: u32, bufused: u32) = path::readlink;
        path_remove_directory(fd: u32, path: u32, path_len: u32) = path::remove_directory;
        path_rename(fd: u32, old: u32, old_len: u32, new_fd: u32, new: u32, new_len: u32) = path::rename;
        path_symlink(old: u32, old_len: u32, fd: u32, new: u32, new_len: u32) = path::symlink;
        path_unlink_file(fd: u32, path: u32, path_len: u32) = path::unlink_file;

        sock_accept(fd: u32, flags: u32, accepted_fd: u32) = fd::sock_accept;
        sock_recv(fd: u32, iovs: u32, iovs_len: u32, flags: u32, nread: u32, out_flags: u32) = fd::sock_recv;
        sock_send(fd: u32, iovs: u32, iovs_len: u32, flags: u32, nwritten: u32) = fd::sock_send;
        sock_shutdown(fd: u32, how: u32) = fd::sock_shutdown;
    }

    linker.func_wrap(MODULE, "proc_exit", |code: i32| -> Result<()> { Err(Error::host(I32Exit(code))) })?;
    Ok(())
}
