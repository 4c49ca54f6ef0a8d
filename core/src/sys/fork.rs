//! Which process this is, asked without a system call: a forked child finds another number than its parent.
//!
//! The number lies in a page that the kernel empties in children (`MADV_WIPEONFORK`). Who finds nothing there draws a number.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// The page. Made when it is first needed, and never unmapped.
static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

/// The last number that was drawn. Children go on from their parent's, so that none has one of its ancestors.
static DRAWN: AtomicU32 = AtomicU32::new(0);

/// A number that is the same as long as this process lives, and not that of any process it was forked from. Takes no lock.
/// Never 0.
#[inline]
pub fn process() -> u32 {
    let page = PAGE.load(Ordering::Acquire);
    if !page.is_null() {
        // SAFETY: pages are never unmapped.
        let number = unsafe { &*page }.load(Ordering::Relaxed);
        if number != 0 {
            return number;
        }
    }
    draw(page)
}

#[cold]
fn draw(page: *mut AtomicU32) -> u32 {
    let page = if page.is_null() { make() } else { page };
    if page.is_null() {
        // A system call each time, then.
        return std::process::id();
    }
    let number = DRAWN.fetch_add(1, Ordering::Relaxed) + 1;
    // SAFETY: pages are never unmapped.
    match unsafe { &*page }.compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => number,
        Err(first) => first,
    }
}

/// The page, or null when the system has no such pages.
fn make() -> *mut AtomicU32 {
    let len = super::page_size();
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing that exists.
    let page = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return ptr::null_mut();
    }
    // SAFETY: the page was mapped just now.
    let wiped = unsafe { libc::madvise(page, len, libc::MADV_WIPEONFORK) } == 0;
    let there = match wiped {
        true => PAGE.compare_exchange(ptr::null_mut(), page.cast(), Ordering::AcqRel, Ordering::Acquire),
        false => Err(ptr::null_mut()),
    };
    match there {
        Ok(_) => page.cast(),
        Err(there) => {
            // SAFETY: nobody else has seen this page.
            unsafe { libc::munmap(page, len) };
            there
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_has_another_number_than_its_parent() {
        let here = process();
        assert_ne!(here, 0);
        assert_eq!(std::thread::spawn(process).join().unwrap(), here);
        // SAFETY: the child calls nothing that could wait for a lock of another thread.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let first = process();
            let good = first != here && first != 0 && process() == first;
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(if good { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: `status` is a place to write to.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0);
        assert_eq!(process(), here);
    }
}
