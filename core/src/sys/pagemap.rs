//! Which pages of private mappings have been written: the ioctl `PAGEMAP_SCAN` of Linux 6.7
//! (Documentation/admin-guide/mm/pagemap.rst).
//!
//! A private page that was written is the process's own: it is present or swapped out, and neither a page of the mapped file
//! nor the kernel's page of zeroes, which reads bring in. It stays so after its contents were put back. (Write protection by
//! `userfaultfd` would tell writes since then, at a fault of 600 to 1 000 ns for each page: three to ten times the price of
//! copying a page that was not written.)
//!
//! Scanning needs a descriptor of `/proc/self/pagemap`, of which a process has one. It shows the memory of the process that
//! opened it, so a forked child opens its own.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::os::unix::fs::MetadataExt;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::fork;
use super::mmap::Reservation;
use crate::error::{Result, bail, error};

/// Regions that one call can tell of.
const REGIONS: usize = 64;

/// `struct page_region`: bytes from `start` to `end`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// `struct pm_scan_arg`.
#[repr(C)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    regions: u64,
    regions_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `_IOWR('f', 16, struct pm_scan_arg)`.
const PAGEMAP_SCAN: u64 = 3 << 30 | (size_of::<Scan>() as u64) << 16 | (b'f' as u64) << 8 | 16;
const _: () = assert!(PAGEMAP_SCAN == 0xc060_6610);

const IS_FILE: u64 = 1 << 2;
const IS_PRESENT: u64 = 1 << 3;
const IS_SWAPPED: u64 = 1 << 4;
const IS_ZERO_PAGE: u64 = 1 << 5;

/// The descriptor in the low half, and the [process](fork::process) that it is good for in the high half, or 0.
static DESCRIPTOR: AtomicU64 = AtomicU64::new(0);
/// Which file it is, to be recognised by children.
static INODE: AtomicU64 = AtomicU64::new(0);

/// The process's descriptor.
#[inline]
fn descriptor() -> io::Result<i32> {
    let known = DESCRIPTOR.load(Ordering::Acquire);
    if known >> 32 == u64::from(fork::process()) { Ok(known as u32 as i32) } else { open(known) }
}

/// Opens it; `known` is the parent's, or that of nobody.
#[cold]
fn open(known: u64) -> io::Result<i32> {
    let file = File::open("/proc/self/pagemap")?;
    let inode = file.metadata()?.ino();
    let own = u64::from(fork::process()) << 32 | file.as_raw_fd() as u64;
    let parents = INODE.load(Ordering::Relaxed);
    match DESCRIPTOR.compare_exchange(known, own, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            INODE.store(inode, Ordering::Relaxed);
            if known != 0 {
                close_parents(known as u32 as i32, parents);
            }
            Ok(file.into_raw_fd())
        }
        // Another thread was faster.
        Err(other) => Ok(other as u32 as i32),
    }
}

/// Closes the descriptor that came from the parent, unless that number means another file by now.
fn close_parents(descriptor: i32, inode: u64) {
    // SAFETY: only asked for its inode, and closed if that is the parent's pagemap, which nobody else has.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(descriptor) });
    if file.metadata().is_ok_and(|data| data.ino() == inode) {
        drop(ManuallyDrop::into_inner(file));
    }
}

/// Calls `found` with runs of pages in `range` (addresses, whole pages) that were written since they were mapped or last
/// discarded, ascending; it may write to them or discard them. Ends when it has found `max_pages`, at least 1. Returns the
/// address up to which it has looked.
///
/// # Errors
///
/// The system's, or that of `found`.
pub fn written(
    range: Range<usize>,
    max_pages: usize,
    mut found: impl FnMut(Range<usize>) -> Result<()>,
) -> Result<usize> {
    let descriptor = descriptor().map_err(|e| error!(Os, "opening /proc/self/pagemap failed: {e}"))?;
    let mut regions = [Region { start: 0, end: 0, categories: 0 }; REGIONS];
    let (mut at, mut left) = (range.start, max_pages);
    while at < range.end && left > 0 {
        let mut scan = Scan {
            size: size_of::<Scan>() as u64,
            flags: 0,
            start: at as u64,
            end: range.end as u64,
            walk_end: 0,
            regions: ptr::from_mut(&mut regions).addr() as u64,
            regions_len: REGIONS as u64,
            max_pages: left as u64,
            category_inverted: IS_FILE | IS_ZERO_PAGE,
            category_mask: IS_FILE | IS_ZERO_PAGE,
            category_anyof_mask: IS_PRESENT | IS_SWAPPED,
            return_mask: IS_PRESENT,
        };
        // SAFETY: the kernel writes to `scan` and to as many regions as there are.
        let count = unsafe { libc::ioctl(descriptor, PAGEMAP_SCAN as _, &raw mut scan) };
        if count < 0 {
            bail!(Os, "PAGEMAP_SCAN of {} bytes failed: {}", range.end - at, io::Error::last_os_error());
        }
        let walked = scan.walk_end as usize;
        if walked <= at || walked > range.end || count as usize > REGIONS {
            bail!(Os, "PAGEMAP_SCAN of {at:#x}..{:#x} ended at {walked:#x}", range.end);
        }
        for region in &regions[..count as usize] {
            let run = region.start as usize..region.end as usize;
            left = left.saturating_sub(run.len() / super::page_size());
            found(run)?;
        }
        at = walked;
    }
    Ok(at)
}

/// Checks, once, that this system can tell which pages were written.
///
/// # Errors
///
/// `Config`, with what is missing.
pub fn check() -> Result<()> {
    static GOOD: AtomicBool = AtomicBool::new(false);
    if GOOD.load(Ordering::Relaxed) {
        return Ok(());
    }
    match finds_what_was_written() {
        Ok(true) => {
            GOOD.store(true, Ordering::Relaxed);
            Ok(())
        }
        Ok(false) => bail!(
            Config,
            "dirty_tracking is Pages, but this system's PAGEMAP_SCAN does not tell pages that were written from others: choose Lines, Touched or Off"
        ),
        Err(error) => bail!(
            Config,
            "dirty_tracking is Pages, which needs Linux 6.7 and /proc: {}; choose Lines, Touched or Off",
            error.message()
        ),
    }
}

/// Writes to one page of three, reads another, and looks whether it finds the one.
fn finds_what_was_written() -> Result<bool> {
    let page = super::page_size();
    let memory = Reservation::new(3 * page)?;
    memory.commit(0..3 * page)?;
    let base = memory.base();
    // SAFETY: three pages were committed there, which nobody else has.
    unsafe {
        base.read_volatile();
        base.add(2 * page).write_volatile(1);
    }
    let (start, mut seen) = (base.addr(), Vec::new());
    let end = written(start..start + 3 * page, 3, |run| {
        seen.push(run.start - start..run.end - start);
        Ok(())
    })?;
    Ok(end == start + 3 * page && seen == [2 * page..3 * page])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::mapped::Mapped;
    use crate::sys::page_size;

    fn pages(memory: &Reservation, range: Range<usize>, max: usize) -> (Vec<usize>, usize) {
        let (page, start) = (page_size(), memory.base().addr());
        let mut list = Vec::new();
        let end = written(start + range.start * page..start + range.end * page, max, |run| {
            list.extend((run.start - start) / page..(run.end - start) / page);
            Ok(())
        });
        (list, (end.unwrap() - start) / page)
    }

    fn touch(memory: &Reservation, page: usize) {
        // SAFETY: the tests touch what they have committed.
        unsafe { memory.base().add(page * page_size()).write_volatile(1) };
    }

    fn look(memory: &Reservation, page: usize) {
        // SAFETY: as above.
        unsafe { memory.base().add(page * page_size()).read_volatile() };
    }

    #[test]
    fn written_pages_are_found_and_others_are_not() {
        check().unwrap();
        let page = page_size();
        let image = Mapped::sealed(page * 8, [(0, &b"hello"[..])].into_iter()).unwrap();
        let memory = Reservation::new(page * 32).unwrap();
        image.with_file(|file| memory.map_copy_on_write(0..page * 8, file, 0)).unwrap().unwrap();
        memory.commit(page * 8..page * 16).unwrap();
        for i in [0, 1, 8, 9] {
            look(&memory, i);
        }
        assert_eq!(pages(&memory, 0..32, 32), (vec![], 32), "pages that were only read");
        for i in [1, 2, 7, 8, 15] {
            touch(&memory, i);
        }
        assert_eq!(pages(&memory, 0..32, 32), (vec![1, 2, 7, 8, 15], 32));
        assert_eq!(pages(&memory, 2..8, 32), (vec![2, 7], 8));
        assert_eq!(pages(&memory, 0..32, 3), (vec![1, 2, 7], 8), "looking ends with the third");
        memory.discard(0..page * 8).unwrap();
        assert_eq!(pages(&memory, 0..32, 32), (vec![8, 15], 32));
        memory.protect_none(page * 8..page * 9).unwrap();
        assert_eq!(pages(&memory, 0..32, 32), (vec![8, 15], 32), "also where they are out of reach");
    }

    #[test]
    fn more_runs_than_one_call_tells_of_are_all_found() {
        let page = page_size();
        let count = REGIONS * 2 + 5;
        let memory = Reservation::new(page * count * 2).unwrap();
        memory.commit(0..page * count * 2).unwrap();
        let odd: Vec<usize> = (0..count).map(|i| 2 * i + 1).collect();
        odd.iter().for_each(|&i| touch(&memory, i));
        assert_eq!(pages(&memory, 0..count * 2, usize::MAX), (odd.clone(), count * 2));
        let (found, end) = pages(&memory, 0..count * 2, REGIONS + 1);
        assert_eq!(found, odd[..REGIONS + 1]);
        assert_eq!(end, odd[REGIONS + 1], "what was looked at without finding anything need not be looked at again");
    }

    #[test]
    fn what_is_done_with_a_page_does_not_disturb_the_search() {
        let page = page_size();
        let memory = Reservation::new(page * 300).unwrap();
        memory.commit(0..page * 300).unwrap();
        (0..150).for_each(|i| touch(&memory, 2 * i));
        let start = memory.base().addr();
        let mut runs = 0;
        written(start..start + page * 300, usize::MAX, |run| {
            runs += 1;
            memory.discard(run.start - start..run.end - start)
        })
        .unwrap();
        assert_eq!(runs, 150);
        assert_eq!(pages(&memory, 0..300, usize::MAX).0, []);
    }
}
