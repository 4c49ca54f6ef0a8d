//! What profilers ask of a process: files in known places, the clock that they use.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::mmap::os_error;
use crate::error::{Result, error};

/// Opens or makes a file that only this user may write. A symbolic link in its place is refused: others may write to the
/// folder. `append`: keep what is in it.
///
/// # Errors
///
/// `Os`, naming the file.
pub fn open(path: &Path, append: bool) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .append(append)
        .truncate(!append)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path)
        .map_err(|e| error!(Os, "cannot write {}, which the profiler wants: {e}", path.display()))
}

/// Maps the first page of a file executable, for as long as the process lives: so `perf record` learns where it is.
///
/// # Errors
///
/// `Os` when the system refuses, as for a file on a `noexec` file system.
pub fn show(file: &File) -> Result<()> {
    let len = super::page_size();
    let protection = libc::PROT_READ | libc::PROT_EXEC;
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists, and nobody goes there.
    let map = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_PRIVATE, file.as_raw_fd(), 0) };
    if map == libc::MAP_FAILED { Err(os_error("mapping a file for the profiler", len)) } else { Ok(()) }
}

/// Nanoseconds of the monotonic clock.
pub fn monotonic_ns() -> u64 {
    // SAFETY: a timespec of zeroes is valid.
    let mut now = unsafe { std::mem::zeroed::<libc::timespec>() };
    // SAFETY: writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The kernel's number of this thread.
pub fn thread_id() -> u32 {
    // SAFETY: has no preconditions.
    unsafe { libc::gettid() as u32 }
}
