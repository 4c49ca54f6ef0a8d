//! Address space: reservations of it, and pages in them.
//!
//! Reservations as large as those of ordinary memories are kept for reuse when they are dropped, a few in a process:
//! whoever loads a module for one call, or makes instances on demand, needs one of the same size all the time.
//!
//! Invariant: a reservation that is kept is as if it had been made just now, inaccessible and without contents.

use std::io;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::error::{Result, error};

pub(super) fn os_error(what: &str, len: usize) -> crate::Error {
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOMEM) => super::limits::exhaustion(error!(
            Os,
            "{what} of {len} bytes failed: {error} (out of memory, address space or mappings: see ulimit -v and vm.max_map_count)"
        )),
        _ => error!(Os, "{what} of {len} bytes failed: {error}"),
    }
}

/// A range of address space, inaccessible until a part of it is committed or mapped. Dropping it throws its contents away.
///
/// Offsets and lengths are in bytes and must be multiples of the page size.
#[derive(Debug)]
pub struct Reservation {
    base: NonNull<u8>,
    len: usize,
    /// Where the part ends that anything was done to.
    used: AtomicUsize,
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
        if let Some(kept) = Reservation::take_kept(len) {
            return Ok(kept);
        }
        Reservation::map(len).or_else(|error| {
            // What is kept for reuse may be what is missing.
            let kept = std::mem::take(&mut *lock_kept());
            if kept.is_empty() {
                return Err(error);
            }
            kept.into_iter().for_each(Reservation::unmap);
            Reservation::map(len)
        })
    }

    fn map(len: usize) -> Result<Self> {
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
        let base = NonNull::new(base.cast()).expect("mmap never returns null without MAP_FIXED");
        Ok(Reservation { base, len, used: AtomicUsize::new(0) })
    }

    fn take_kept(len: usize) -> Option<Self> {
        if len < KEPT_MIN_BYTES {
            return None;
        }
        let mut kept = lock_kept();
        let place = kept.iter().rposition(|reservation| reservation.len == len)?;
        Some(kept.remove(place))
    }

    /// Makes the reservation as if it had just been made. Says whether the system has done so.
    fn clean(&mut self) -> bool {
        let used = std::mem::replace(self.used.get_mut(), 0);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        // SAFETY: MAP_FIXED replaces only pages of this reservation, which nobody uses any more.
        used == 0
            || unsafe { libc::mmap(self.base.as_ptr().cast(), used, libc::PROT_NONE, flags, -1, 0) } != libc::MAP_FAILED
    }

    fn unmap(self) {
        // The value ends here, and must not keep its place.
        let this = ManuallyDrop::new(self);
        // SAFETY: the whole range belongs to this value and nobody uses it any more.
        let result = unsafe { libc::munmap(this.base.as_ptr().cast(), this.len) };
        debug_assert_eq!(result, 0, "munmap: {}", io::Error::last_os_error());
    }

    pub fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// The start of a range that something is about to be done to.
    fn check(&self, range: &Range<usize>) -> *mut libc::c_void {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {}", self.len);
        self.used.fetch_max(range.end, Ordering::Relaxed);
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
        let mut this = Reservation { base: self.base, len: self.len, used: AtomicUsize::new(*self.used.get_mut()) };
        if this.len < KEPT_MIN_BYTES || address_space_is_limited() || !this.clean() {
            return this.unmap();
        }
        let mut kept = lock_kept();
        let oldest = (kept.len() >= KEPT).then(|| kept.remove(0));
        kept.push(this);
        drop(kept);
        if let Some(oldest) = oldest {
            oldest.unmap();
        }
    }
}

/// Most reservations that are kept for reuse, and the length from which on they are.
const KEPT: usize = 16;
const KEPT_MIN_BYTES: usize = 4 << 30;

/// In the order in which they were dropped.
static KEPT_RESERVATIONS: Mutex<Vec<Reservation>> = Mutex::new(Vec::new());

fn lock_kept() -> MutexGuard<'static, Vec<Reservation>> {
    KEPT_RESERVATIONS.lock().unwrap_or_else(|e| e.into_inner())
}

/// Whether the process may have only so much address space: then others may miss what is kept for reuse.
fn address_space_is_limited() -> bool {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes a limit to a place for one.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) };
    result != 0 || limit.rlim_cur != libc::RLIM_INFINITY
}

/// Makes all pages of a fresh allocation resident with one system call, where faults one by one would cost more.
/// Without effect where the system cannot do it, and where the last page is resident: then the allocator has used the
/// place before, and looking at each page would be for nothing.
pub fn populate(start: *mut u8, len: usize) {
    const WORTHWHILE: usize = 64 << 10;
    let page = super::page_size();
    let from = (start as usize).next_multiple_of(page);
    let to = (start as usize + len) / page * page;
    if to.saturating_sub(from) >= WORTHWHILE && !is_resident(to - page, page) {
        // SAFETY: populating changes no contents; a range that is not writable gives an error, which is of no interest.
        unsafe { libc::madvise(from as *mut libc::c_void, to - from, libc::MADV_POPULATE_WRITE) };
    }
}

/// Whether a page at an address is resident. No when the system cannot tell.
fn is_resident(at: usize, page: usize) -> bool {
    let mut answer = 0u8;
    // SAFETY: one byte is written for one page; nothing is read or written there.
    let result = unsafe { libc::mincore(at as *mut libc::c_void, page, &raw mut answer) };
    result == 0 && answer & 1 != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::mapped::Mapped;

    #[test]
    fn populating_makes_fresh_pages_resident() {
        let page = super::super::page_size();
        let reservation = Reservation::new(page * 64).unwrap();
        reservation.commit(0..page * 64).unwrap();
        let first = reservation.base() as usize;
        assert!(!is_resident(first, page) && !is_resident(first + page * 63, page));
        populate(reservation.base(), page * 64);
        assert!((0..64).all(|i| is_resident(first + page * i, page)));
    }

    /// Whether a byte can be read, asked of the kernel.
    fn is_readable(address: *const u8) -> bool {
        let mut ends = [0; 2];
        // SAFETY: two file descriptors are written to a place for them.
        assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
        // SAFETY: the kernel answers EFAULT for an address that cannot be read.
        let written = unsafe { libc::write(ends[1], address.cast(), 1) };
        // SAFETY: made above.
        ends.iter().for_each(|&end| assert_eq!(unsafe { libc::close(end) }, 0));
        written == 1
    }

    #[test]
    fn a_reservation_that_is_used_again_is_like_a_new_one() {
        let page = super::super::page_size();
        let image = Mapped::sealed(page, [(0, &b"hello"[..])].into_iter()).unwrap();
        // A length that no memory has, so that other tests do not take it away.
        let len = KEPT_MIN_BYTES + 77 * page;
        let middle = KEPT_MIN_BYTES / 2;
        let mut bases = std::collections::HashSet::new();
        let mut reused = 0;
        for round in 0..8 {
            let reservation = Reservation::new(len).unwrap();
            reused += usize::from(!bases.insert(reservation.base()));
            let at = |offset: usize| reservation.base().wrapping_add(offset);
            let ends = [0, page, page * 2, middle, middle + page * 9, len - page];
            assert!(ends.iter().all(|&offset| !is_readable(at(offset))), "round {round}");
            reservation.commit(0..page * 4).unwrap();
            reservation.commit(middle..middle + page * 10).unwrap();
            for start in [0, middle] {
                // SAFETY: so much was committed at both places, and is ours alone.
                let bytes = unsafe { std::slice::from_raw_parts_mut(at(start), page * 4) };
                assert!(bytes.iter().all(|&byte| byte == 0), "round {round}");
                bytes.fill(round + 1);
            }
            image.with_file(|file| reservation.map_copy_on_write(page..page * 2, file, 0)).unwrap().unwrap();
            // SAFETY: mapped just now, readable and writable.
            unsafe { at(page).write(round) };
            match round {
                // The last thing done to a part is not always to make it accessible.
                0..4 => reservation.protect_none(middle..middle + page).unwrap(),
                _ => reservation.discard(0..page).unwrap(),
            }
        }
        // Unless the address space is limited, when none is kept.
        assert!(reused > 0 || address_space_is_limited());
    }

    #[test]
    fn no_more_reservations_are_kept_than_a_few() {
        let many: Vec<_> = (0..KEPT * 2).map(|_| Reservation::new(KEPT_MIN_BYTES).unwrap()).collect();
        drop(many);
        assert!(lock_kept().len() <= KEPT);
    }

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
