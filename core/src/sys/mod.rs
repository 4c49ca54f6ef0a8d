//! The only place that talks to the operating system.

pub mod bytes;
pub mod cpu;
pub mod fork;
pub mod limits;
pub mod mapped;
pub mod mmap;
pub mod pagemap;
pub mod pages;
pub mod profile;
pub mod racy;
pub mod restore;
pub mod signals;
pub mod stack;

/// Size of a host page in bytes.
pub fn page_size() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static SIZE: AtomicUsize = AtomicUsize::new(0);
    match SIZE.load(Ordering::Relaxed) {
        0 => {
            // SAFETY: sysconf has no preconditions.
            let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
            SIZE.store(size, Ordering::Relaxed);
            size
        }
        size => size,
    }
}
