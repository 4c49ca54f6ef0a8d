//! Address space: reservations of it, and pages in them.

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};

use crate::error::{Result, error};

pub(super) fn os_error(what: &str, len: usize) -> crate::Error {
    let error = io::Error::last_os_error();
    let hint = match error.raw_os_error() {
        Some(libc::ENOMEM) => " (out of memory, address space or mappings: see ulimit -v and vm.max_map_count)",
        _ => "",
    };
    error!(Os, "{what} of {len} bytes failed: {error}{hint}")
}

/// A range of address space, inaccessible until a part of it is committed or mapped. Unmapped when dropped.
///
/// Offsets and lengths are in bytes and must be multiples of the page size.
#[derive(Debug)]
pub struct Reservation {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a reservation is a range of addresses that belongs to this value alone; no thread has a special claim on it.
unsafe impl Send for Reservation {}
// SAFETY: `&Reservation` gives out addresses only; whoever writes through them answers for the synchronisation.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Reserves `len` bytes of address space.
    ///
    /// # Errors
    ///
    /// `Os` when the address space or the number of mappings is exhausted.
    pub fn new(len: usize) -> Result<Self> {
        let len = len.max(1).next_multiple_of(super::page_size());
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing that exists.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(os_error("reserving address space", len));
        }
        Ok(Reservation { base: NonNull::new(base.cast()).expect("mmap never returns null without MAP_FIXED"), len })
    }

    pub fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    fn check(&self, range: &Range<usize>) -> *mut libc::c_void {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {}", self.len);
        // SAFETY: `range.start` is within the reservation.
        unsafe { self.base.as_ptr().add(range.start).cast() }
    }

    fn protect(&self, range: Range<usize>, protection: i32, what: &str) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let start = self.check(&range);
        // SAFETY: the range lies in this reservation, which nobody else manages.
        match unsafe { libc::mprotect(start, range.len(), protection) } {
            0 => Ok(()),
            _ => Err(os_error(what, range.len())),
        }
    }

    /// Makes a range readable and writable.
    pub fn commit(&self, range: Range<usize>) -> Result<()> {
        self.protect(range, libc::PROT_READ | libc::PROT_WRITE, "committing")
    }

    /// Makes a range inaccessible; its contents stay.
    pub fn protect_none(&self, range: Range<usize>) -> Result<()> {
        self.protect(range, libc::PROT_NONE, "protecting")
    }

    /// Throws away what was written to a range: its pages are zeroes again, or those of the image that is mapped there.
    pub fn discard(&self, range: Range<usize>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let start = self.check(&range);
        // SAFETY: the range lies in this reservation, all of whose mappings are private.
        match unsafe { libc::madvise(start, range.len(), libc::MADV_DONTNEED) } {
            0 => Ok(()),
            _ => Err(os_error("discarding", range.len())),
        }
    }

    /// Maps `file` from `offset` on at `range`, readable and writable, copy-on-write.
    pub fn map_copy_on_write(&self, range: Range<usize>, file: BorrowedFd<'_>, offset: u64) -> Result<()> {
        let start = self.check(&range);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_NORESERVE;
        // SAFETY: MAP_FIXED replaces only pages of this reservation.
        let at = unsafe { libc::mmap(start, range.len(), protection, flags, file.as_raw_fd(), offset as libc::off_t) };
        if at == libc::MAP_FAILED {
            return Err(os_error("mapping an image", range.len()));
        }
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: the whole range belongs to this value and nobody uses it any more.
        let result = unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
        debug_assert_eq!(result, 0, "munmap: {}", io::Error::last_os_error());
    }
}

/// Makes all pages of a fresh allocation resident with one system call, where faults one by one would cost more.
/// Without effect where the system cannot do it.
pub fn populate(start: *mut u8, len: usize) {
    const WORTHWHILE: usize = 64 << 10;
    let page = super::page_size();
    let from = (start as usize).next_multiple_of(page);
    let to = (start as usize + len) / page * page;
    if to.saturating_sub(from) >= WORTHWHILE {
        // SAFETY: populating changes no contents; a range that is not writable gives an error, which is of no interest.
        unsafe { libc::madvise(from as *mut libc::c_void, to - from, libc::MADV_POPULATE_WRITE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::mapped::Mapped;

    #[test]
    fn a_copy_on_write_mapping_starts_with_the_bytes_and_keeps_its_changes_to_itself() {
        let page = super::super::page_size();
        let bytes = Mapped::sealed(page * 2, [(page, &b"hello"[..])].into_iter()).unwrap();
        let reservation = Reservation::new(page * 4).unwrap();
        bytes.with_file(|file| reservation.map_copy_on_write(page..page * 3, file, 0)).unwrap().unwrap();
        // SAFETY: two pages were mapped readable and writable there.
        let seen = unsafe { std::slice::from_raw_parts_mut(reservation.base().add(page), page * 2) };
        assert_eq!(&seen[page..page + 5], b"hello");
        seen[page] = b'j';
        assert_eq!(&bytes.as_slice()[page..page + 5], b"hello");
    }

    #[test]
    fn discarding_brings_back_zeroes_and_images() {
        let page = super::super::page_size();
        let bytes = Mapped::sealed(page, [(0, &b"hello"[..])].into_iter()).unwrap();
        let reservation = Reservation::new(page * 3).unwrap();
        reservation.commit(0..page * 3).unwrap();
        bytes.with_file(|file| reservation.map_copy_on_write(page..page * 2, file, 0)).unwrap().unwrap();
        // SAFETY: three pages are readable and writable there.
        let seen = unsafe { std::slice::from_raw_parts_mut(reservation.base(), page * 3) };
        seen.fill(0xff);
        reservation.discard(0..0).unwrap();
        reservation.discard(0..page * 3).unwrap();
        assert_eq!(&seen[page..page + 5], b"hello");
        assert!(seen.iter().enumerate().all(|(i, &b)| b == 0 || (page..page + 5).contains(&i)));
    }
}
