//! Which thread is using which handle just now: hazard pointers, with handles instead of pointers.
//!
//! Operations: `announce` (until the guard is dropped), `is_announced` (by any thread).
//!
//! Each thread has one `Reader`, a stack of the handles that it uses: a host function may call the guest again. Readers are
//! linked into a list that only grows; a thread that ends leaves its reader to the next one.
//!
//! Invariant: `held[i] != 0` exactly for `i < depth`, except within `announce` and the guard's drop.

use instar::{Error, ErrorKind, Result};
use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

/// How deep one thread's calls from outside may nest (instance in host function in instance; `caller_call` does not count).
const MAX_DEPTH: usize = 128;

struct Reader {
    next: *const Reader,
    taken: AtomicBool,
    /// Written by the reader's own thread only.
    depth: AtomicUsize,
    held: [AtomicU64; MAX_DEPTH],
}

static READERS: AtomicPtr<Reader> = AtomicPtr::new(ptr::null_mut());

thread_local! {
    static MINE: Cell<*const Reader> = const { Cell::new(ptr::null()) };
    static LEAVING: Leaving = const { Leaving };
}

/// Gives the reader to another thread when this one ends.
struct Leaving;

impl Drop for Leaving {
    fn drop(&mut self) {
        let mine = MINE.replace(ptr::null());
        if !mine.is_null() {
            // SAFETY: readers are never given back to the allocator.
            unsafe { &*mine }.taken.store(false, Ordering::Release);
        }
    }
}

/// A handle that this thread uses, until it is dropped. Guards end in the reverse order of their beginning.
pub struct Announced {
    reader: &'static Reader,
    _not_send: PhantomData<*const ()>,
}

impl Drop for Announced {
    #[inline]
    fn drop(&mut self) {
        let depth = self.reader.depth.load(Ordering::Relaxed) - 1;
        self.reader.held[depth].store(0, Ordering::Release);
        self.reader.depth.store(depth, Ordering::Release);
    }
}

/// Says that this thread uses `handle`. Whether the handle is good must be checked *afterwards*.
#[inline]
pub fn announce(handle: u64) -> Result<Announced> {
    let mine = MINE.get();
    let reader = if mine.is_null() {
        join()?
    } else {
        // SAFETY: readers are never given back to the allocator.
        unsafe { &*mine }
    };
    let depth = reader.depth.load(Ordering::Relaxed);
    if depth == MAX_DEPTH {
        return Err(Error::new(ErrorKind::Limit, format!("calls are nested more than {MAX_DEPTH} deep")));
    }
    reader.depth.store(depth + 1, Ordering::Release);
    // SeqCst: in the one order of all such operations this store comes before the check of the handle's state that follows.
    reader.held[depth].store(handle, Ordering::SeqCst);
    Ok(Announced { reader, _not_send: PhantomData })
}

/// Whether any thread uses `handle`. Meaningful once no new use can begin.
pub fn is_announced(handle: u64) -> bool {
    let mut next = READERS.load(Ordering::SeqCst).cast_const();
    while !next.is_null() {
        // SAFETY: readers are linked after they are initialised and never given back.
        let reader = unsafe { &*next };
        // All of them, whatever `depth` says: it is not ordered with `held` for us.
        if reader.held.iter().any(|held| held.load(Ordering::SeqCst) == handle) {
            return true;
        }
        next = reader.next;
    }
    false
}

/// The first use on this thread: takes a reader that another thread left, or makes one.
#[cold]
fn join() -> Result<&'static Reader> {
    LEAVING.try_with(|_| ()).map_err(|_| {
        Error::new(ErrorKind::Bug, "Instar was called while the thread's local storage is being destroyed")
    })?;
    let reader = reuse().unwrap_or_else(make);
    MINE.set(reader);
    Ok(reader)
}

fn reuse() -> Option<&'static Reader> {
    let mut next = READERS.load(Ordering::Acquire).cast_const();
    while !next.is_null() {
        // SAFETY: readers are linked after they are initialised and never given back.
        let reader = unsafe { &*next };
        if !reader.taken.swap(true, Ordering::AcqRel) {
            return Some(reader);
        }
        next = reader.next;
    }
    None
}

fn make() -> &'static Reader {
    let reader: &'static mut Reader = Box::leak(Box::new(Reader {
        next: READERS.load(Ordering::Acquire),
        taken: AtomicBool::new(true),
        depth: AtomicUsize::new(0),
        held: [const { AtomicU64::new(0) }; MAX_DEPTH],
    }));
    let address: *mut Reader = reader;
    loop {
        // SAFETY: not linked yet, so nobody else sees it.
        let next = unsafe { (*address).next }.cast_mut();
        match READERS.compare_exchange_weak(next, address, Ordering::SeqCst, Ordering::Acquire) {
            // SAFETY: leaked, so it lives for ever.
            Ok(_) => return unsafe { &*address },
            // SAFETY: as above.
            Err(newer) => unsafe { (*address).next = newer },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_announced_until_its_guard_goes() {
        let handle = 0x1234_5678_9abc;
        assert!(!is_announced(handle));
        let outer = announce(handle).unwrap();
        let inner = announce(handle + 1).unwrap();
        assert!(is_announced(handle) && is_announced(handle + 1));
        drop(inner);
        assert!(is_announced(handle) && !is_announced(handle + 1));
        drop(outer);
        assert!(!is_announced(handle));
    }

    #[test]
    fn nesting_without_end_is_a_limit_error() {
        std::thread::spawn(|| {
            let mut guards: Vec<_> = (0..MAX_DEPTH).map(|_| announce(77).unwrap()).collect();
            assert_eq!(announce(77).err().unwrap().kind(), ErrorKind::Limit);
            while let Some(guard) = guards.pop() {
                drop(guard);
            }
            assert!(!is_announced(77));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn threads_that_end_leave_their_reader_to_others() {
        let count = || {
            let (mut readers, mut next) = (0, READERS.load(Ordering::SeqCst).cast_const());
            while !next.is_null() {
                readers += 1;
                // SAFETY: see `is_announced`.
                next = unsafe { &*next }.next;
            }
            readers
        };
        for _ in 0..200 {
            std::thread::spawn(|| drop(announce(5).unwrap())).join().unwrap();
        }
        assert!(count() < 100, "{} readers", count());
    }
}
