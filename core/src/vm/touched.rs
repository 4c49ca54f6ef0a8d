//! Memories most of whose pages are read-only, so that the first write to each is a fault.
//!
//! ```text
//!   heap of a closed memory   | r r r W W r r r r r W W W r r r | r r r … inaccessible
//!                                    └─┬─┘         └──┬──┘      ▲ length
//!                                     runs: what was written, and what a reset copies back
//! ```
//!
//! A memory is `open`: all of it is writable and nothing is known; or `closed`: only its runs are; or `broken`: the system has
//! refused, and it must not be used again. A write of compiled code to another page raises SIGSEGV, and [`touch`] decides
//! by the address: if it is in the accessible part of a closed memory, the page becomes part of a run, and the instruction is
//! run again. A fault at a page that is writable already is not ours: nothing faults for ever. The host calls
//! [`Touched::make_writable`] before it writes, as Rust code must not fault and the kernel does not write to read-only pages.
//!
//! Runs cost the system mappings, of which a process has only so many: a memory has at most [`MAX_RUNS`] of them, and all
//! memories together have a budget. What is beyond it, and a memory with more than [`MAX_PAGES`] writable pages, is opened.
//!
//! Each address belongs to one of 65 536 granules of 4 GiB, and each granule has a list of the memories that reach into it.
//! Lists only get longer, and memories lock to enter and leave, so a handler that goes through one needs no lock. It may see others
//! come and go; that it faulted at holds still, as its own thread uses it.
//!
//! Invariant: pages of a closed memory that are writable are in its runs. (Not the other way: runs reach beyond the length.)
//!
//! Invariant: nothing that [`touch`] calls locks, allocates, or waits for another thread.
//!
//! Other runtimes in the process: their handlers must give SIGSEGV that is not theirs to the handler that was there before,
//! with the same `siginfo` and context, as it is needed for traps too. Those of Go, .NET and the JVM do; a handler that is installed
//! later and raises the signal again (Python's `faulthandler`, if enabled after the engine was made) loses the address.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use super::runs::{MAX_RUNS, Runs};
use crate::sys::page_size;
use crate::sys::pages::{self, Protection};

/// Most writable pages of a closed memory: 16 MiB where pages have 4 KiB. To copy more would still cost less than to give it
/// back and fault it in again, if tenants write it each time; but one that did so once would slow the others down for long.
pub const MAX_PAGES: usize = 4096;

/// How many pages that faulted are remembered one by one.
const MAX_LOGGED: usize = 64;

/// What a memory's pages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// All accessible ones are writable.
    Open,
    /// Those in the runs are writable.
    Closed,
    /// It is not known. The memory must not be used again.
    Broken,
}

/// Which pages of a memory are writable. Used by whoever uses the memory, and by signal handlers of that thread.
#[derive(Debug)]
pub struct Touched {
    state: AtomicU8,
    /// Address of the heap.
    start: AtomicUsize,
    /// Pages that there is address space for.
    capacity: AtomicUsize,
    /// Pages that are accessible.
    committed: AtomicUsize,
    /// Pages below here that are in a run are resident.
    populated: AtomicUsize,
    /// Whether pages are no longer mapped from the image.
    moved: AtomicBool,
    runs: SharedRuns,
    /// Pages that faulted since the last [`Touched::take_faults`].
    logged: [AtomicUsize; MAX_LOGGED],
    /// Number of faults since then, host writes included; may be more than were logged.
    faults: AtomicUsize,
    /// Whether a tenant made it open.
    overflowed: AtomicBool,
    /// Mappings that it has of the budget.
    mappings: AtomicUsize,
    registered: AtomicBool,
}

/// Runs that are written by one thread, and read by the same one.
#[derive(Debug, Default)]
struct SharedRuns {
    ends: [[AtomicUsize; 2]; MAX_RUNS],
    count: AtomicUsize,
}

impl SharedRuns {
    #[inline]
    fn iter(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let count = self.count.load(Ordering::Relaxed).min(MAX_RUNS);
        self.ends[..count].iter().map(|[start, end]| start.load(Ordering::Relaxed)..end.load(Ordering::Relaxed))
    }

    fn load(&self) -> Runs {
        let mut runs = Runs::EMPTY;
        self.iter().for_each(|run| runs.push(run));
        runs
    }

    fn store(&self, runs: &Runs) {
        for ([start, end], run) in self.ends.iter().zip(runs.iter()) {
            start.store(run.start, Ordering::Relaxed);
            end.store(run.end, Ordering::Relaxed);
        }
        self.count.store(runs.count(), Ordering::Relaxed);
    }
}

/// Pages that faulted.
pub struct Faults {
    /// Number of faults, host writes to read-only pages included.
    pub count: usize,
    /// The pages that each began at; not all if there were more than could be logged.
    pub pages: Vec<usize>,
}

impl Faults {
    /// Whether there are pages that faulted and are not listed.
    pub fn more(&self) -> bool {
        self.count > self.pages.len()
    }
}

impl Touched {
    /// An open memory of which nothing is known.
    pub fn new(start: *const u8, capacity: usize, committed: usize) -> Box<Self> {
        let page = page_size();
        Box::new(Touched {
            state: AtomicU8::new(State::Open as u8),
            start: AtomicUsize::new(start.addr()),
            capacity: AtomicUsize::new(capacity / page),
            committed: AtomicUsize::new(committed / page),
            populated: AtomicUsize::new(0),
            moved: AtomicBool::new(false),
            runs: SharedRuns::default(),
            logged: [const { AtomicUsize::new(0) }; MAX_LOGGED],
            faults: AtomicUsize::new(0),
            overflowed: AtomicBool::new(false),
            mappings: AtomicUsize::new(0),
            registered: AtomicBool::new(false),
        })
    }

    /// Whether it is open, closed or broken.
    #[inline]
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            0 => State::Open,
            1 => State::Closed,
            _ => State::Broken,
        }
    }

    fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// Pages that are writable if they are accessible. All, unless the memory is closed.
    pub fn runs(&self) -> Runs {
        match self.state() {
            State::Closed => self.runs.load(),
            _ => Runs::one(0..self.committed()),
        }
    }

    /// The runs of a closed memory, ascending.
    #[inline]
    pub fn writable(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.runs.iter()
    }

    /// Number of accessible pages.
    #[inline]
    pub fn committed(&self) -> usize {
        self.committed.load(Ordering::Relaxed)
    }

    /// Whether something faulted since the last [`Touched::take_faults`].
    #[inline]
    pub fn faulted(&self) -> bool {
        self.faults.load(Ordering::Relaxed) != 0
    }

    /// What faulted since the last call.
    pub fn take_faults(&self) -> Faults {
        let count = self.faults.swap(0, Ordering::Relaxed);
        Faults { count, pages: self.logged.iter().take(count).map(|page| page.load(Ordering::Relaxed)).collect() }
    }

    /// Whether a tenant has made it open since the last call.
    pub fn take_overflow(&self) -> bool {
        self.overflowed.swap(false, Ordering::Relaxed)
    }

    fn address(&self, pages: &Range<usize>) -> Range<usize> {
        let (start, page) = (self.start.load(Ordering::Relaxed), page_size());
        start + pages.start * page..start + pages.end * page
    }

    /// Changes the protection of pages as far as they are accessible.
    fn protect(&self, pages: Range<usize>, protection: Protection) -> bool {
        let end = pages.end.min(self.committed());
        // SAFETY: pages of this memory's heap, which nobody else manages.
        pages.start >= end || unsafe { pages::protect(self.address(&(pages.start..end)), protection) }
    }

    fn populate(&self, pages: Range<usize>) {
        let end = pages.end.min(self.committed());
        if pages.start < end {
            // SAFETY: pages of this memory's heap, which nobody else manages.
            unsafe { pages::populate(self.address(&(pages.start..end))) };
        }
    }

    /// A write faulted at an address in the heap. Says whether it may be tried again. Called by signal handlers.
    fn fault(&self, address: usize) -> bool {
        let Some(page) = address.checked_sub(self.start.load(Ordering::Relaxed)).map(|at| at / page_size()) else {
            return false;
        };
        if self.state() != State::Closed || page >= self.committed() {
            return false;
        }
        let runs = self.runs.load();
        if runs.contain(&(page..page + 1)) {
            return false;
        }
        self.log(page);
        self.add(runs, runs.around(page))
    }

    fn log(&self, page: usize) {
        let number = self.faults.load(Ordering::Relaxed);
        if let Some(place) = self.logged.get(number) {
            place.store(page, Ordering::Relaxed);
        }
        self.faults.store(number + 1, Ordering::Relaxed);
    }

    /// Makes pages of a closed memory writable, perhaps with others, or opens it.
    fn add(&self, mut runs: Runs, pages: Range<usize>) -> bool {
        let room = runs.touch(&pages) || (runs.count() < MAX_RUNS && self.count_mappings(runs.count() + 1));
        let Some(added) = runs.add(pages, room) else { return self.overflow() };
        if runs.pages() > MAX_PAGES {
            return self.overflow();
        }
        // First, so that no page is writable that is not known to be.
        self.runs.store(&runs);
        added.into_iter().all(|range| self.protect(range, Protection::ReadWrite)) || self.overflow()
    }

    fn overflow(&self) -> bool {
        self.overflowed.store(true, Ordering::Relaxed);
        self.open()
    }

    /// Makes all of it writable. Needs no mapping more than there are.
    pub fn open(&self) -> bool {
        let opened = self.state() == State::Open || {
            self.set_state(State::Open);
            self.protect(0..self.committed(), Protection::ReadWrite)
        };
        match opened {
            true => {
                self.count_mappings(0);
                self.populated.store(0, Ordering::Relaxed);
            }
            false => self.set_state(State::Broken),
        }
        opened
    }

    /// Makes what the host is about to write writable: a range of bytes that is accessible. Says whether it is.
    #[inline]
    pub fn make_writable(&self, address: usize, len: usize) -> bool {
        let page = page_size();
        let pages = address / page..(address + len).div_ceil(page);
        match self.state() {
            State::Open => true,
            State::Closed => {
                let there = self.runs.iter().any(|run| run.start <= pages.start && pages.end <= run.end);
                there || len == 0 || self.make_pages_writable(pages)
            }
            State::Broken => false,
        }
    }

    #[cold]
    fn make_pages_writable(&self, pages: Range<usize>) -> bool {
        let runs = self.runs.load();
        // Those that were writable before are known.
        runs.gaps(pages.clone()).flatten().take(MAX_LOGGED + 1).for_each(|page| self.log(page));
        self.add(runs, pages)
    }

    /// Makes all read-only but `runs`, and those resident. What becomes read-only must equal the image. The memory stays, or
    /// becomes, open if the system or the budget does not allow it.
    pub fn close(&self, runs: &Runs) {
        let before = match self.state() {
            State::Open => Runs::one(0..self.committed()),
            State::Closed => self.runs.load(),
            State::Broken => return,
        };
        let was_open = self.state() == State::Open;
        if !self.register() || !self.count_mappings(runs.count()) {
            self.open();
            return;
        }
        // Both, so that no page is writable that is not known to be. Nobody looks before the end.
        self.set_state(State::Closed);
        self.runs.store(runs);
        let closed = runs.gaps(0..self.committed()).all(|gap| {
            let writable = before.iter().filter(|run| run.start < gap.end && gap.start < run.end);
            let ends = writable.fold(gap.end..gap.start, |ends, run| ends.start.min(run.start)..ends.end.max(run.end));
            let range = ends.start.max(gap.start)..ends.end.min(gap.end);
            if !was_open && !self.moved.load(Ordering::Relaxed) {
                // SAFETY: pages of this memory's heap that equal what is mapped there.
                unsafe {
                    pages::discard(self.address(&(range.start..range.end.min(self.committed()).max(range.start))))
                };
            }
            self.protect(range, Protection::Read)
        });
        let opened = closed && runs.iter().all(|run| before.contain(&run) || self.protect(run, Protection::ReadWrite));
        if !opened {
            self.open();
            return;
        }
        for run in runs.iter().filter(|run| was_open || !before.contain(run)) {
            self.populate(run);
        }
        self.populated.store(self.committed(), Ordering::Relaxed);
    }

    /// Pages from the old end on have become accessible, and writable. Says whether the memory can be used.
    #[must_use]
    pub fn grown(&self, committed: usize) -> bool {
        let old = self.committed.swap(committed / page_size(), Ordering::Relaxed);
        self.state() != State::Closed || self.settle(old..self.committed())
    }

    /// Pages from `committed` on are inaccessible now.
    pub fn shrunk(&self, committed: usize) {
        self.committed.store(committed / page_size(), Ordering::Relaxed);
    }

    /// All pages of a range, given in bytes, have become writable: an image was mapped there.
    pub fn mapped(&self, range: Range<usize>) -> bool {
        let page = page_size();
        self.state() != State::Closed || self.settle(range.start / page..range.end / page)
    }

    /// Makes the writable pages of a range read-only but for the runs.
    fn settle(&self, pages: Range<usize>) -> bool {
        let runs = self.runs.load();
        let settled = runs.gaps(pages.clone()).all(|gap| self.protect(gap, Protection::Read));
        if !settled {
            return self.overflow();
        }
        let known = self.populated.load(Ordering::Relaxed);
        if pages.end > known {
            let fresh = pages.start.max(known)..pages.end;
            for run in runs.iter() {
                self.populate(run.start.max(fresh.start)..run.end.min(fresh.end));
            }
            self.populated.store(pages.end, Ordering::Relaxed);
        }
        true
    }

    /// The memory lies somewhere else now, where all that is accessible is writable. Says whether it can be used.
    #[must_use]
    pub fn moved(&self, start: *const u8, capacity: usize, committed: usize) -> bool {
        self.unregister();
        let page = page_size();
        self.start.store(start.addr(), Ordering::Relaxed);
        self.capacity.store(capacity / page, Ordering::Relaxed);
        self.committed.store(committed / page, Ordering::Relaxed);
        self.moved.store(true, Ordering::Relaxed);
        self.populated.store(0, Ordering::Relaxed);
        if self.state() != State::Closed {
            return true;
        }
        match self.register() {
            true => self.settle(0..self.committed()),
            false => {
                self.overflowed.store(true, Ordering::Relaxed);
                self.set_state(State::Open);
                self.count_mappings(0);
                true
            }
        }
    }

    /// The image was copied to the memory, so that what is mapped there is not the image.
    pub fn copied(&self) {
        self.moved.store(true, Ordering::Relaxed);
    }

    /// The image is mapped again.
    pub fn remapped(&self) {
        self.moved.store(false, Ordering::Relaxed);
    }

    /// Compares the protections of all pages with those that they should have. Slow.
    ///
    /// # Errors
    ///
    /// What differs.
    pub fn check(&self) -> Result<(), String> {
        if self.state() == State::Broken {
            return Err("the system has refused to protect a memory".into());
        }
        let whole = self.address(&(0..self.capacity.load(Ordering::Relaxed)));
        let seen = pages::protections(&whole).map_err(|error| format!("/proc/self/maps: {error}"))?;
        let (runs, committed, page) = (self.runs(), self.committed(), page_size());
        let mut at = whole.start;
        for (range, protection) in seen {
            if range.start != at {
                return Err(format!("nothing is mapped at {at:#x}"));
            }
            at = range.end;
            let pages = (range.start - whole.start) / page..(range.end - whole.start) / page;
            let good = match protection {
                Protection::None => pages.start >= committed,
                Protection::Read => {
                    pages.end <= committed && runs.gaps(pages.clone()).eq(std::iter::once(pages.clone()))
                }
                Protection::ReadWrite => pages.end <= committed && runs.contain(&pages),
            };
            if !good {
                return Err(format!(
                    "pages {pages:?} are {protection:?}; of the {committed} accessible ones {:?} are to be writable",
                    runs.iter().collect::<Vec<_>>()
                ));
            }
        }
        Ok(())
    }

    /// Takes mappings for `runs` runs from the budget of the process, or gives some back. Says whether it has them.
    fn count_mappings(&self, runs: usize) -> bool {
        let wanted = runs * 2;
        let had = self.mappings.load(Ordering::Relaxed);
        if wanted > had {
            let others = budget::USED.fetch_add(wanted - had, Ordering::Relaxed);
            if others + (wanted - had) > budget::LIMIT.load(Ordering::Relaxed) {
                budget::USED.fetch_sub(wanted - had, Ordering::Relaxed);
                return false;
            }
        } else {
            budget::USED.fetch_sub(had - wanted, Ordering::Relaxed);
        }
        self.mappings.store(wanted, Ordering::Relaxed);
        true
    }

    fn register(&self) -> bool {
        let all = 0..self.capacity.load(Ordering::Relaxed);
        if !self.registered.load(Ordering::Relaxed) {
            budget::prepare();
            self.registered.store(registry::enter(self.address(&all), self), Ordering::Relaxed);
        }
        self.registered.load(Ordering::Relaxed)
    }

    fn unregister(&self) {
        if self.registered.swap(false, Ordering::Relaxed) {
            registry::leave(self.address(&(0..self.capacity.load(Ordering::Relaxed))));
        }
    }
}

impl Drop for Touched {
    fn drop(&mut self) {
        self.unregister();
        self.count_mappings(0);
    }
}

/// Compiled code wrote to an address and faulted. Says whether it shall try again. For signal handlers: takes no lock,
/// allocates nothing.
pub fn touch(address: usize) -> bool {
    // SAFETY: a thread faults only at memories that it uses, and those live.
    registry::find(address).is_some_and(|memory| unsafe { (*memory).fault(address) })
}

/// Mappings that runs cost, in the whole process.
mod budget {
    use super::*;

    pub(super) static USED: AtomicUsize = AtomicUsize::new(0);
    pub(super) static LIMIT: AtomicUsize = AtomicUsize::new(0);

    /// Sets the limit, once: a quarter of what the system allows.
    pub(super) fn prepare() {
        if LIMIT.load(Ordering::Relaxed) == 0 {
            LIMIT.store((pages::max_mappings() / 4).max(1), Ordering::Relaxed);
        }
    }
}

/// From an address to the memory that it lies in.
mod registry {
    use super::Touched;
    use std::ops::Range;
    use std::ptr;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

    const GRANULE_SHIFT: usize = 32;
    const GRANULES: usize = 1 << 16;

    /// A memory in a list. Free if it starts at `usize::MAX`.
    struct Entry {
        start: AtomicUsize,
        end: AtomicUsize,
        memory: AtomicPtr<Touched>,
    }

    /// Places in a list. Never freed: the next memory takes them.
    struct Chunk {
        entries: [Entry; 5],
        next: AtomicPtr<Chunk>,
    }

    static GRANULE_LISTS: [AtomicPtr<Chunk>; GRANULES] = [const { AtomicPtr::new(ptr::null_mut()) }; GRANULES];
    /// Guards writers against each other; readers never take it.
    static WRITER: Mutex<()> = Mutex::new(());

    const FREE: usize = usize::MAX;

    /// The chunks of a list.
    fn chunks(list: &'static AtomicPtr<Chunk>) -> impl Iterator<Item = &'static Chunk> {
        let mut next = list;
        std::iter::from_fn(move || {
            // SAFETY: chunks are leaked boxes, complete before they are in a list.
            let chunk = unsafe { next.load(Ordering::Acquire).as_ref() }?;
            next = &chunk.next;
            Some(chunk)
        })
    }

    fn lists(range: &Range<usize>) -> Option<&'static [AtomicPtr<Chunk>]> {
        GRANULE_LISTS.get(range.start >> GRANULE_SHIFT..((range.end - 1) >> GRANULE_SHIFT) + 1)
    }

    /// Enters a memory that lies at a range of addresses, which is not empty. `false`: it is beyond what the table covers.
    pub(super) fn enter(range: Range<usize>, memory: &Touched) -> bool {
        if range.is_empty() {
            return false;
        }
        let Some(lists) = lists(&range) else { return false };
        let _writer = WRITER.lock().unwrap_or_else(|e| e.into_inner());
        for list in lists {
            let free =
                chunks(list).flat_map(|chunk| &chunk.entries).find(|entry| entry.start.load(Ordering::Relaxed) == FREE);
            let entry = free.unwrap_or_else(|| &lengthen(list).entries[0]);
            // Whoever sees one of these sees the place free if he looks again: it was before.
            entry.end.store(range.end, Ordering::Release);
            entry.memory.store(ptr::from_ref(memory).cast_mut(), Ordering::Release);
            entry.start.store(range.start, Ordering::Release);
        }
        true
    }

    fn lengthen(list: &'static AtomicPtr<Chunk>) -> &'static Chunk {
        let entry = || Entry {
            start: AtomicUsize::new(FREE),
            end: AtomicUsize::new(0),
            memory: AtomicPtr::new(ptr::null_mut()),
        };
        let entries = std::array::from_fn(|_| entry());
        let chunk: &'static Chunk = Box::leak(Box::new(Chunk { entries, next: AtomicPtr::default() }));
        let last = chunks(list).last().map_or(list, |last| &last.next);
        last.store(ptr::from_ref(chunk).cast_mut(), Ordering::Release);
        chunk
    }

    /// Takes the memory that lies at a range out.
    pub(super) fn leave(range: Range<usize>) {
        let _writer = WRITER.lock().unwrap_or_else(|e| e.into_inner());
        for entry in lists(&range).into_iter().flatten().flat_map(chunks).flat_map(|chunk| &chunk.entries) {
            if entry.start.load(Ordering::Relaxed) == range.start {
                entry.start.store(FREE, Ordering::Release);
            }
        }
    }

    /// The memory that an address lies in. That it lives is the caller's to know.
    pub(super) fn find(address: usize) -> Option<*const Touched> {
        let list = GRANULE_LISTS.get(address >> GRANULE_SHIFT)?;
        chunks(list).flat_map(|chunk| &chunk.entries).find_map(|entry| {
            let start = entry.start.load(Ordering::Acquire);
            if address < start || address >= entry.end.load(Ordering::Acquire) {
                return None;
            }
            let memory = entry.memory.load(Ordering::Acquire);
            // Another memory may have taken the place meanwhile. If it starts at the same address, that is the one that
            // lies there, so that nobody uses the address.
            (entry.start.load(Ordering::Acquire) == start).then_some(memory.cast_const())
        })
    }
}
