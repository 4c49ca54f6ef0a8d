//! Executable memory, and the registry that finds the code a program counter lies in.
//!
//! The registry is read by signal handlers, so readers take no lock: writers publish a new sorted list and free the old
//! one after the last reader has left.

use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::artifact::{EntrySite, TrapSite};
use crate::error::{Result, TrapCode};
use crate::sys::mmap::Reservation;

/// One block of compiled code, executable and registered for as long as the value lives.
#[derive(Debug)]
pub struct CodeMemory {
    reservation: Reservation,
    tables: Box<CodeTables>,
}

/// What a trap needs to know about a block of code.
#[derive(Debug)]
pub struct CodeTables {
    start: usize,
    end: usize,
    traps: Vec<TrapSite>,
    entry_sites: Vec<EntrySite>,
}

impl CodeMemory {
    /// Copies `text` into executable memory and registers it.
    pub fn new(text: &[u8], traps: Vec<TrapSite>, entry_sites: Vec<EntrySite>) -> Result<Self> {
        let reservation = Reservation::new(text.len())?;
        reservation.commit(0..reservation.len())?;
        // SAFETY: the whole reservation was committed just now and is ours alone.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), reservation.base(), text.len()) };
        reservation.protect_exec(0..reservation.len())?;
        let start = reservation.base() as usize;
        let tables = Box::new(CodeTables { start, end: start + text.len(), traps, entry_sites });
        registry::update(|list| {
            let at = list.partition_point(|r| r.start < start);
            list.insert(at, Region { start, end: tables.end, tables: &*tables });
        });
        Ok(CodeMemory { reservation, tables })
    }

    /// Address of the code at `offset`.
    pub fn address(&self, offset: u32) -> *const u8 {
        debug_assert!(self.tables.start + (offset as usize) < self.tables.end);
        self.reservation.base().wrapping_add(offset as usize)
    }
}

impl Drop for CodeMemory {
    fn drop(&mut self) {
        registry::update(|list| list.retain(|r| r.start != self.tables.start));
    }
}

impl CodeTables {
    /// The trap that the instruction at `pc` raises, if it raises one.
    pub fn trap_at(&self, pc: usize) -> Option<TrapCode> {
        let offset = u32::try_from(pc - self.start).ok()?;
        let index = self.traps.binary_search_by_key(&offset, |t| t.offset).ok()?;
        Some(self.traps[index].code)
    }

    /// The entry call that returns to `pc`, with the address of its landing pad.
    pub fn entry_at(&self, pc: usize) -> Option<(EntrySite, usize)> {
        let offset = u32::try_from(pc - self.start).ok()?;
        let index = self.entry_sites.binary_search_by_key(&offset, |s| s.return_offset).ok()?;
        let site = self.entry_sites[index];
        Some((site, self.start + site.landing_offset as usize))
    }
}

#[derive(Clone, Copy)]
struct Region {
    start: usize,
    end: usize,
    tables: *const CodeTables,
}

mod registry {
    use super::*;

    static LIST: AtomicPtr<Vec<Region>> = AtomicPtr::new(std::ptr::null_mut());
    static READERS: AtomicUsize = AtomicUsize::new(0);
    /// Guards writers against each other; readers never take it.
    static WRITER: Mutex<()> = Mutex::new(());

    pub(super) fn update(change: impl FnOnce(&mut Vec<Region>)) {
        let _writer = WRITER.lock().unwrap_or_else(|e| e.into_inner());
        let old = LIST.load(Ordering::Relaxed);
        let mut list = if old.is_null() {
            Vec::new()
        } else {
            // SAFETY: `old` was published by an earlier update and is freed only by an update, and we hold the lock.
            unsafe { (*old).clone() }
        };
        change(&mut list);
        LIST.store(Box::into_raw(Box::new(list)), Ordering::SeqCst);
        // Readers that came before the store may still look at the old list; those that come after see the new one.
        while READERS.load(Ordering::SeqCst) != 0 {
            std::thread::yield_now();
        }
        if !old.is_null() {
            // SAFETY: made by Box::into_raw in an earlier update; no reader holds it any more.
            drop(unsafe { Box::from_raw(old) });
        }
    }

    pub(super) fn find(pc: usize) -> Option<*const CodeTables> {
        READERS.fetch_add(1, Ordering::SeqCst);
        let list = LIST.load(Ordering::SeqCst);
        let found = if list.is_null() {
            None
        } else {
            // SAFETY: the list cannot be freed while READERS is not zero.
            let list = unsafe { &*list };
            let index = list.partition_point(|r| r.start <= pc);
            index.checked_sub(1).map(|i| list[i]).filter(|r| pc < r.end).map(|r| r.tables)
        };
        READERS.fetch_sub(1, Ordering::SeqCst);
        found
    }
}

/// The code that `pc` lies in. Takes no lock and allocates nothing.
///
/// # Safety
///
/// The result is good while that code is: the caller knows that an activation of it is on the stack, or that `pc` was
/// interrupted in it.
pub unsafe fn lookup<'a>(pc: usize) -> Option<&'a CodeTables> {
    // SAFETY: the tables live as long as their code, which the caller keeps alive.
    registry::find(pc).map(|tables| unsafe { &*tables })
}
