//! Address space: reservations, and immutable bytes shared by many mappings.

use std::ffi::CStr;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};

use crate::error::{Result, error};

fn os_error(what: &str, len: usize) -> crate::Error {
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

    pub fn len(&self) -> usize {
        self.len
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

    /// Makes a range readable and executable, and no longer writable.
    pub fn protect_exec(&self, range: Range<usize>) -> Result<()> {
        self.protect(range, libc::PROT_READ | libc::PROT_EXEC, "making code executable")
    }

    /// Maps `bytes` from `offset` on at `range`, readable and writable, copy-on-write.
    pub fn map_copy_on_write(&self, range: Range<usize>, bytes: &SealedBytes, offset: usize) -> Result<()> {
        assert!(offset + range.len() <= bytes.len);
        let start = self.check(&range);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_NORESERVE;
        // SAFETY: MAP_FIXED replaces only pages of this reservation.
        let at =
            unsafe { libc::mmap(start, range.len(), protection, flags, bytes.fd.as_raw_fd(), offset as libc::off_t) };
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

/// Immutable bytes in an anonymous file: mapped once to be read here, and copy-on-write wherever an image is needed.
#[derive(Debug)]
pub struct SealedBytes {
    fd: OwnedFd,
    map: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is read-only and the file is sealed, so the bytes never change.
unsafe impl Send for SealedBytes {}
// SAFETY: as for Send.
unsafe impl Sync for SealedBytes {}

impl SealedBytes {
    /// Makes a file of `len` bytes, a multiple of the page size and not 0, with `parts` written at their offsets and
    /// zeroes elsewhere.
    ///
    /// # Errors
    ///
    /// `Os` when there is no memory or no file descriptor left.
    pub fn new<'a>(len: usize, parts: impl Iterator<Item = (usize, &'a [u8])>) -> Result<Self> {
        assert!(len > 0 && len.is_multiple_of(super::page_size()));
        let name: &CStr = c"instar-image";
        // SAFETY: `name` is a C string; the flags are valid.
        let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
        if fd < 0 {
            return Err(os_error("memfd_create for an image", len));
        }
        // SAFETY: `fd` was just made and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let file = std::fs::File::from(fd);
        file.set_len(len as u64)?;
        for (offset, bytes) in parts {
            std::os::unix::fs::FileExt::write_all_at(&file, bytes, offset as u64)?;
        }
        let fd = OwnedFd::from(file);
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
        // SAFETY: adds seals to our own file.
        if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
            return Err(os_error("sealing an image", len));
        }
        // SAFETY: a read-only mapping at an address of the kernel's choice.
        let map = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_READ, libc::MAP_SHARED, fd.as_raw_fd(), 0) };
        if map == libc::MAP_FAILED {
            return Err(os_error("mapping an image", len));
        }
        Ok(SealedBytes { fd, map: NonNull::new(map.cast()).expect("mmap never returns null"), len })
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `len` readable bytes are mapped there for as long as `self` lives, and never change.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr(), self.len) }
    }
}

impl Drop for SealedBytes {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `new` and nobody can hold a reference into it any more.
        unsafe { libc::munmap(self.map.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_on_write_mapping_starts_with_the_bytes_and_keeps_its_changes_to_itself() {
        let page = super::super::page_size();
        let bytes = SealedBytes::new(page * 2, [(page, &b"hello"[..])].into_iter()).unwrap();
        let reservation = Reservation::new(page * 4).unwrap();
        reservation.map_copy_on_write(page..page * 3, &bytes, 0).unwrap();
        // SAFETY: two pages were mapped readable and writable there.
        let seen = unsafe { std::slice::from_raw_parts_mut(reservation.base().add(page), page * 2) };
        assert_eq!(&seen[page..page + 5], b"hello");
        seen[page] = b'j';
        assert_eq!(&bytes.as_slice()[page..page + 5], b"hello");
    }

    #[test]
    fn discarding_brings_back_zeroes_and_images() {
        let page = super::super::page_size();
        let bytes = SealedBytes::new(page, [(0, &b"hello"[..])].into_iter()).unwrap();
        let reservation = Reservation::new(page * 3).unwrap();
        reservation.commit(0..page * 3).unwrap();
        reservation.map_copy_on_write(page..page * 2, &bytes, 0).unwrap();
        // SAFETY: three pages are readable and writable there.
        let seen = unsafe { std::slice::from_raw_parts_mut(reservation.base(), page * 3) };
        seen.fill(0xff);
        reservation.discard(0..0).unwrap();
        reservation.discard(0..page * 3).unwrap();
        assert_eq!(&seen[page..page + 5], b"hello");
        assert!(seen.iter().enumerate().all(|(i, &b)| b == 0 || (page..page + 5).contains(&i)));
    }
}
