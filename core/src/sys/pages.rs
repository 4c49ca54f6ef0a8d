//! Protections of pages, by address. Signal handlers change them too: so nothing here locks or allocates, and `errno` stays as it
//! is, but where it says so.

use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::AsRawFd;

/// What may be done with pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    None,
    Read,
    ReadWrite,
}

/// The calling thread's `errno`, to be put back.
struct Errno(i32);

impl Errno {
    fn keep() -> Self {
        // SAFETY: the place is the thread's own.
        Errno(unsafe { *libc::__errno_location() })
    }
}

impl Drop for Errno {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { *libc::__errno_location() = self.0 };
    }
}

/// Changes the protection of pages. Says whether the system did.
///
/// # Safety
///
/// The range is whole pages of a mapping that the caller manages, and nobody relies on the protection they have.
pub unsafe fn protect(range: Range<usize>, protection: Protection) -> bool {
    if range.is_empty() {
        return true;
    }
    let flags = match protection {
        Protection::None => libc::PROT_NONE,
        Protection::Read => libc::PROT_READ,
        Protection::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
    };
    let _errno = Errno::keep();
    // SAFETY: passed on.
    unsafe { libc::mprotect(range.start as *mut libc::c_void, range.len(), flags) == 0 }
}

/// Makes writable pages resident, so that writes to them do not fault. Without effect where the system cannot.
///
/// # Safety
///
/// The range is whole pages of a mapping that the caller manages.
pub unsafe fn populate(range: Range<usize>) {
    if !range.is_empty() {
        let _errno = Errno::keep();
        // SAFETY: passed on; contents stay.
        unsafe { libc::madvise(range.start as *mut libc::c_void, range.len(), libc::MADV_POPULATE_WRITE) };
    }
}

/// Gives back what private pages were written with. Without effect where the system refuses.
///
/// # Safety
///
/// The range is whole pages of a private mapping that the caller manages; they may become what is mapped there.
pub unsafe fn discard(range: Range<usize>) {
    if !range.is_empty() {
        let _errno = Errno::keep();
        // SAFETY: passed on.
        unsafe { libc::madvise(range.start as *mut libc::c_void, range.len(), libc::MADV_DONTNEED) };
    }
}

/// How many mappings the system lets a process have. Reads a file.
pub fn max_mappings() -> usize {
    const USUAL: usize = 65_530;
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count");
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(USUAL)
}

/// Protections in a range of addresses, ascending; of what is not mapped there is nothing. For checks: opens a file, and where
/// the system cannot be asked for single mappings (Linux before 6.11), reads it.
///
/// # Errors
///
/// When the system does not tell.
pub fn protections(range: &Range<usize>) -> io::Result<Vec<(Range<usize>, Protection)>> {
    let maps = std::fs::File::open("/proc/self/maps")?;
    let mut found = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let mut query = Query {
            size: size_of::<Query>() as u64,
            flags: Query::COVERING_OR_NEXT,
            address: at as u64,
            ..Query::default()
        };
        // SAFETY: the file is that of mappings, and the query, whose size it says, asks for no name.
        if unsafe { libc::ioctl(maps.as_raw_fd(), Query::REQUEST, &raw mut query) } != 0 {
            match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::ENOENT) => break,
                error if error.raw_os_error() == Some(libc::ENOTTY) => return read_protections(range, maps),
                error => return Err(error),
            }
        }
        let mapping = (query.start as usize).max(range.start)..(query.end as usize).min(range.end);
        if mapping.is_empty() {
            break;
        }
        at = mapping.end;
        found.push((mapping, protection(query.found & 1 != 0, query.found & 2 != 0)));
    }
    Ok(found)
}

fn protection(readable: bool, writable: bool) -> Protection {
    match (readable, writable) {
        (_, true) => Protection::ReadWrite,
        (true, false) => Protection::Read,
        (false, false) => Protection::None,
    }
}

/// `struct procmap_query` of Linux.
#[repr(C)]
#[derive(Default)]
struct Query {
    size: u64,
    flags: u64,
    address: u64,
    start: u64,
    end: u64,
    /// 1: readable, 2: writable.
    found: u64,
    rest: [u64; 7],
}

impl Query {
    /// `PROCMAP_QUERY`: number 17 of kind `f`, reads and writes the structure.
    const REQUEST: libc::c_ulong =
        3 << 30 | (size_of::<Query>() as libc::c_ulong) << 16 | (b'f' as libc::c_ulong) << 8 | 17;
    const COVERING_OR_NEXT: u64 = 0x10;
}

fn read_protections(range: &Range<usize>, mut maps: std::fs::File) -> io::Result<Vec<(Range<usize>, Protection)>> {
    let mut text = String::new();
    maps.read_to_string(&mut text)?;
    let mapping = |line: &str| {
        let (addresses, rest) = line.split_once(' ')?;
        let (start, end) = addresses.split_once('-')?;
        let start = usize::from_str_radix(start, 16).ok()?.max(range.start);
        let end = usize::from_str_radix(end, 16).ok()?.min(range.end);
        let letters = rest.as_bytes();
        (start < end).then(|| (start..end, protection(letters[0] == b'r', letters[1] == b'w')))
    };
    Ok(text.lines().filter_map(mapping).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::mmap::Reservation;
    use crate::sys::page_size;

    #[test]
    fn protections_are_those_that_were_set() {
        let page = page_size();
        let reservation = Reservation::new(page * 5).unwrap();
        let base = reservation.base() as usize;
        let at = |from: usize, to: usize| base + from * page..base + to * page;
        // SAFETY: pages of the reservation.
        unsafe {
            assert!(protect(at(1, 4), Protection::Read));
            assert!(protect(at(2, 3), Protection::ReadWrite));
            populate(at(2, 3));
            assert!(!protect(base + 1..base + page, Protection::Read), "not a page");
        }
        let seen = protections(&at(1, 4)).unwrap();
        let expected = [(at(1, 2), Protection::Read), (at(2, 3), Protection::ReadWrite), (at(3, 4), Protection::Read)];
        assert_eq!(seen, expected);
        assert_eq!(read_protections(&at(1, 4), std::fs::File::open("/proc/self/maps").unwrap()).unwrap(), expected);
        assert!(protections(&at(0, 5)).unwrap().iter().any(|(range, p)| (range, *p) == (&at(4, 5), Protection::None)));
    }

    #[test]
    fn errno_stays() {
        // SAFETY: the place is the thread's own; the address is no page, so that the call fails.
        unsafe {
            *libc::__errno_location() = 77;
            assert!(!protect(1..2, Protection::Read));
            assert_eq!(*libc::__errno_location(), 77);
        }
    }

    #[test]
    fn the_system_allows_some_mappings() {
        assert!(max_mappings() > 1000);
    }
}
