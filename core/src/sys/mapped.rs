//! Immutable bytes with pages of their own: read in place, executed in place, and mapped copy-on-write elsewhere.
//!
//! | made by | pages | file to map from elsewhere |
//! |---|---|---|
//! | [`Mapped::copy_of`], [`Mapped::composed`] | anonymous | none |
//! | [`Mapped::open`] | private mapping of a file | that file, until [`Mapped::close_file`] |
//! | [`Mapped::sealed`], [`Mapped::sealed_copy`] | shared mapping of a sealed anonymous file | that file |
//!
//! Invariant: no page is writable once a value is made, so none is ever writable and executable at once.

use std::fs::File;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::mmap::os_error;
use crate::error::{Result, bail, error};

const _: () = assert!(cfg!(target_endian = "little"), "words of artifacts are read in place");

/// Mapped bytes. Unmapped when dropped, and the file is closed then at the latest.
#[derive(Debug)]
pub struct Mapped {
    map: NonNull<u8>,
    len: usize,
    file: Mutex<Option<OwnedFd>>,
    from_file: bool,
}

// SAFETY: the pages are not writable through this value, and it owns them.
unsafe impl Send for Mapped {}
// SAFETY: as for Send.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// A copy of `bytes`, which are not empty.
    ///
    /// # Errors
    ///
    /// `Os` when there is no memory for it.
    pub fn copy_of(bytes: &[u8]) -> Result<Self> {
        Mapped::composed(bytes.len(), [(0, bytes)].into_iter())
    }

    /// `len` bytes, not 0, that are in no file: `parts` at their offsets and zeroes elsewhere.
    ///
    /// # Errors
    ///
    /// `Os` when there is no memory for it.
    ///
    /// # Panics
    ///
    /// If a part does not fit.
    pub fn composed<'a>(len: usize, parts: impl Iterator<Item = (usize, &'a [u8])>) -> Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let mapped = Mapped::map(len, libc::PROT_READ | libc::PROT_WRITE, flags, None)?;
        for (offset, bytes) in parts {
            assert!(offset <= len && bytes.len() <= len - offset, "{} bytes at {offset} of {len}", bytes.len());
            // SAFETY: as many writable bytes were mapped just now.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), mapped.map.as_ptr().add(offset), bytes.len()) };
        }
        mapped.protect(0..len, libc::PROT_READ)?;
        Ok(mapped)
    }

    /// Maps a whole file. The bytes change when the file does: whoever opens it answers for that.
    ///
    /// # Errors
    ///
    /// `Os` when it cannot be mapped; `Artifact` when it is empty.
    pub fn open(file: File) -> Result<Self> {
        let len = Mapped::file_len(&file)?;
        Mapped::map(len, libc::PROT_READ, libc::MAP_PRIVATE, Some(file.into()))
    }

    /// Copies a whole file into a sealed anonymous one.
    ///
    /// # Errors
    ///
    /// `Os` when it cannot be read or there is no memory for it; `Artifact` when it is empty.
    pub fn sealed_copy(file: &mut File) -> Result<Self> {
        let len = Mapped::file_len(file)?;
        let mut copy = anonymous_file(len)?;
        let copied = std::io::copy(file, &mut copy)?;
        if copied != len as u64 {
            bail!(Os, "the file had {len} bytes and then {copied}: it changed while it was read");
        }
        Mapped::seal(copy, len)
    }

    /// `len` bytes, not 0: `parts` at their offsets and zeroes elsewhere.
    ///
    /// # Errors
    ///
    /// `Os` when there is no memory or no file descriptor left.
    pub fn sealed<'a>(len: usize, parts: impl Iterator<Item = (usize, &'a [u8])>) -> Result<Self> {
        let file = anonymous_file(len)?;
        file.set_len(len as u64)?;
        for (offset, bytes) in parts {
            file.write_all_at(bytes, offset as u64)?;
        }
        Mapped::seal(file, len)
    }

    fn file_len(file: &File) -> Result<usize> {
        let metadata = file.metadata()?;
        match usize::try_from(metadata.len()) {
            Ok(len) if len > 0 && metadata.is_file() => Ok(len),
            Ok(0) if metadata.is_file() => bail!(Artifact, "the file is empty"),
            _ => bail!(Os, "not an ordinary file"),
        }
    }

    fn seal(file: File, len: usize) -> Result<Self> {
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
        // SAFETY: adds seals to our own file.
        if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
            return Err(os_error("sealing", len));
        }
        Mapped::map(len, libc::PROT_READ, libc::MAP_SHARED, Some(file.into()))
    }

    fn map(len: usize, protection: i32, flags: i32, file: Option<OwnedFd>) -> Result<Self> {
        let fd = file.as_ref().map_or(-1, |f| f.as_raw_fd());
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let map = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, fd, 0) };
        if map == libc::MAP_FAILED {
            return Err(os_error("mapping", len));
        }
        let map = NonNull::new(map.cast()).expect("mmap never returns null without MAP_FIXED");
        Ok(Mapped { map, len, from_file: file.is_some(), file: Mutex::new(file) })
    }

    /// Protects the pages of a range.
    fn protect(&self, range: Range<usize>, protection: i32) -> Result<()> {
        assert!(range.end <= self.len && range.start.is_multiple_of(super::page_size()), "{range:?} of {}", self.len);
        // SAFETY: the range lies in this mapping, and the protections asked for never take reading away.
        match unsafe { libc::mprotect(self.map.as_ptr().add(range.start).cast(), range.len(), protection) } {
            0 => Ok(()),
            _ => Err(os_error("changing the protection", range.len())),
        }
    }

    /// Makes the pages of a range, which starts at a page, executable.
    ///
    /// # Errors
    ///
    /// `Os` when the system refuses.
    pub fn make_executable(&self, range: Range<usize>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        self.protect(range, libc::PROT_READ | libc::PROT_EXEC).map_err(|e| match self.from_file {
            true => e.context("a file cannot be executed in place (is its file system mounted noexec?)"),
            false => e,
        })
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `len` readable bytes are mapped there for as long as `self` lives; nothing here writes them, and who opened
        // a file vouched for it.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr(), self.len) }
    }

    fn open_file(&self) -> MutexGuard<'_, Option<OwnedFd>> {
        self.file.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Whether there is a file to map from elsewhere.
    pub fn has_file(&self) -> bool {
        self.open_file().is_some()
    }

    /// Calls `map` with the file that the bytes are mapped from; `None` when they are in none, or it was closed.
    pub fn with_file<T>(&self, map: impl FnOnce(BorrowedFd<'_>) -> T) -> Option<T> {
        self.open_file().as_ref().map(|file| map(file.as_fd()))
    }

    /// Closes the file: the bytes stay mapped, but cannot be mapped elsewhere any more.
    pub fn close_file(&self) {
        *self.open_file() = None;
    }

    /// Closes the file if few descriptors are left for others: most of those that the process may have are in use. Says so in
    /// the log, once. A system gives out the lowest number that is free.
    pub fn close_file_if_scarce(&self) {
        static SAID: AtomicBool = AtomicBool::new(false);
        let limit = descriptor_limit();
        let mut file = self.open_file();
        if file.as_ref().is_some_and(|file| file.as_raw_fd() as u64 >= limit / 4 * 3) {
            *file = None;
            if !SAID.swap(true, Ordering::Relaxed) {
                log::warn!(
                    "most of {limit} file descriptors are in use: images of more memories are copied instead of mapped \
                     (raise ulimit -n)"
                );
            }
        }
    }
}

/// How many descriptors the process may have.
fn descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is one to be written.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } {
        0 => limit.rlim_cur,
        _ => u64::MAX,
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` and nobody can hold a reference into it any more.
        unsafe { libc::munmap(self.map.as_ptr().cast(), self.len) };
    }
}

fn anonymous_file(len: usize) -> Result<File> {
    // SAFETY: the name is a C string; the flags are valid.
    let fd = unsafe { libc::memfd_create(c"instar".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if fd < 0 {
        return Err(os_error("memfd_create", len));
    }
    // SAFETY: `fd` was just made and belongs to nobody else.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// A part of mapped bytes, which it keeps mapped. Cheap to clone.
#[derive(Clone)]
pub struct Bytes {
    owner: Arc<Mapped>,
    range: Range<usize>,
}

impl Bytes {
    /// All bytes.
    pub fn new(owner: Arc<Mapped>) -> Self {
        let range = 0..owner.len;
        Bytes { owner, range }
    }

    /// A part of these bytes.
    ///
    /// # Errors
    ///
    /// `Artifact` when they end before it does.
    pub fn part(&self, range: Range<usize>) -> Result<Self> {
        if range.start > range.end || range.end > self.range.len() {
            return Err(error!(Artifact, "bytes {range:?} of {}", self.range.len()));
        }
        let start = self.range.start;
        Ok(Bytes { owner: self.owner.clone(), range: start + range.start..start + range.end })
    }

    /// Where the bytes lie in [`Bytes::owner`].
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// What they are a part of.
    pub fn owner(&self) -> &Arc<Mapped> {
        &self.owner
    }

    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        &self.owner.as_slice()[self.range.clone()]
    }

    /// The bytes as numbers of 32 bits; none when the bytes are not aligned as such.
    #[inline]
    pub fn as_words(&self) -> &[u32] {
        // SAFETY: any four bytes are a number.
        match unsafe { self.as_slice().align_to() } {
            ([], words, []) => words,
            _ => &[],
        }
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes at {:#x}", self.range.len(), self.range.start)
    }
}
