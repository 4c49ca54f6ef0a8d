//! Linear memories: one reservation with the dirty map, the heap and a guard.
//!
//! ```text
//!   reservation             base                                   base + capacity
//!   | dirty map,            | heap: 0 .. length accessible,        | guard,           |
//!   | one byte per line     |       the rest not                   | never accessible |
//! ```
//!
//! How much of each there is, and how compiled code finds its way, is in the memory's [`MemoryPlan`]. A memory that
//! outgrows its capacity moves to another reservation, if the plan lets it. All writers other than compiled code go
//! through [`write`], [`fill`], [`copy`] or [`bytes_mut`], which say what they write before they do ([`mark`]).
//!
//! How writes are tracked belongs to the memory, for the code of the module that defines it. [`link`] sees to it that code
//! of other modules does no harm: code that marks finds a map, and a memory whose marks are not complete is *exposed*, so that
//! its reset rebuilds it.
//!
//! Most pages of a memory with [`DirtyTracking::Touched`] may be read-only: see [`touched`](super::touched).
//!
//! A memory that is shared (see [`shared`](super::shared)) may be read, written and grown by other threads at any time.
//! So its length is atomic, its base and its place never change, and Rust touches its bytes as [`racy`] does.
//!
//! Invariant: where code that marks runs, map bytes exist (are accessible) for at least every line of `0..length`.
//!
//! Invariant: bytes from the length on are zero, or inaccessible and zero. With `BoundsCheck::Whole` they may be
//! accessible: pages smaller than the host's, and pages of an earlier tenant. With the other checks they are not.

use std::ffi::c_void;
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::limiter::{self, Growth, Resource};
use super::parking::ParkingLot;
use super::total::Total;
use super::touched::Touched;
use crate::artifact::info::MemoryType;
use crate::artifact::layout::{DIRTY_LINE_BYTES, DIRTY_LINE_SHIFT, DIRTY_MAP_BYTES, VmMemory, VmStore};
use crate::artifact::plan::{BoundsCheck, DirtyMap, MemoryPlan, MemorySettings};
use crate::config::DirtyTracking;
use crate::error::{Result, bail};
use crate::sys::{mmap::Reservation, page_size, racy};

/// Why a memory with read-only pages cannot be used any more.
pub const NOT_PROTECTED: &str = "protecting pages of a memory failed (out of memory or mappings: see vm.max_map_count)";

/// The runtime's record of a linear memory. Its [`VmMemory`] lies in the context of the instance that defines it, or beside
/// it when it is shared.
#[derive(Debug)]
pub struct LinearMemory {
    ty: MemoryType,
    plan: MemoryPlan,
    tracking: DirtyTracking,
    /// Whether something writes that `tracking` does not see.
    exposed: AtomicBool,
    minimum_bytes: usize,
    /// The type's maximum or the engine's limit, whichever is smaller, in bytes.
    limit_bytes: usize,
    /// What the instance's memories have together, if there are several.
    together: Option<Arc<Total>>,
    /// Which pages are writable, with [`DirtyTracking::Touched`]. Before `space`, so that it leaves the registry before the
    /// addresses are another's.
    touched: Option<Box<Touched>>,
    /// Taken to grow, and while nobody runs.
    space: Mutex<Space>,
    /// Where threads wait, if the memory is shared.
    parking: Option<ParkingLot>,
}

/// Where a memory lies.
#[derive(Debug)]
struct Space {
    reservation: Reservation,
    map_bytes: usize,
    /// Whether the map exists.
    marked: bool,
    /// Bytes of heap that there is address space for; whole host pages.
    capacity: usize,
    /// Bytes of heap that are accessible; whole host pages.
    committed: usize,
    /// The most bytes that were ever accessible here: pages up to there may be resident.
    high: usize,
    /// Whether the memory has moved here, or its image was copied to it, so that no part of it is mapped from its image.
    moved: bool,
    /// What [`Pages`](DirtyTracking::Pages) remembers from one reset to the next: how much it has copied since it last looked
    /// whether that is still written.
    copied_bytes: u32,
}

impl Space {
    /// Address space for `capacity` bytes of heap, none of it accessible.
    fn new(plan: &MemoryPlan, capacity: usize, marked: bool) -> Result<Self> {
        let page = page_size();
        let capacity = capacity.next_multiple_of(page);
        let map_bytes = match plan.map {
            DirtyMap::None => 0,
            DirtyMap::Below => DIRTY_MAP_BYTES,
            DirtyMap::Pointer => capacity.div_ceil(DIRTY_LINE_BYTES).next_multiple_of(page),
        };
        let reservation = Reservation::new(map_bytes + capacity + plan.guard as usize)?;
        Ok(Space { reservation, map_bytes, marked, capacity, committed: 0, high: 0, moved: false, copied_bytes: 0 })
    }

    fn base(&self) -> *mut u8 {
        self.reservation.base().wrapping_add(self.map_bytes)
    }

    fn map(&self) -> *mut u8 {
        if self.marked { self.reservation.base() } else { ptr::null_mut() }
    }

    /// Where in the reservation a range of the heap lies.
    fn heap(&self, range: Range<usize>) -> Range<usize> {
        self.map_bytes + range.start..self.map_bytes + range.end
    }

    /// Bytes of the map that are accessible when `committed` bytes of the heap are.
    fn committed_map(&self, committed: usize) -> usize {
        if !self.marked {
            return 0;
        }
        committed.div_ceil(DIRTY_LINE_BYTES).next_multiple_of(page_size()).min(self.map_bytes)
    }

    /// Makes the map, unless it is there.
    fn add_map(&mut self) -> Result<()> {
        if !self.marked {
            self.marked = true;
            let map = 0..self.committed_map(self.committed);
            self.reservation.commit(map).inspect_err(|_| self.marked = false)?;
        }
        Ok(())
    }

    /// Makes the heap accessible up to `length`, with its part of the map.
    fn commit(&mut self, length: usize) -> Result<()> {
        let wanted = length.next_multiple_of(page_size());
        if wanted > self.committed {
            self.reservation.commit(self.committed_map(self.committed)..self.committed_map(wanted))?;
            let heap = self.heap(self.committed..wanted);
            self.high = self.high.max(wanted);
            if let Err(error) = self.reservation.commit(heap.clone()) {
                // Part of it may be accessible by now, and bounds checks rely on what lies beyond the length not to be.
                self.reservation.protect_none(heap)?;
                return Err(error);
            }
            self.committed = wanted;
        }
        Ok(())
    }

    /// Makes the heap inaccessible from `length`, which is whole host pages, on.
    fn decommit(&mut self, length: usize) -> Result<()> {
        self.reservation.protect_none(self.heap(length..self.committed))?;
        self.committed = length;
        Ok(())
    }

    /// Copies the contents of a memory of `length` bytes, and its marks, to here. Pages of zeroes stay untouched.
    ///
    /// # Safety
    ///
    /// The memory lies in `from`; this space is fresh and has that much committed.
    unsafe fn take_over(&mut self, from: &Space, length: usize) {
        self.moved = true;
        let page = page_size();
        for at in (0..length).step_by(page) {
            // SAFETY: both are accessible up to the end of the page that the length lies in.
            unsafe {
                let old = std::slice::from_raw_parts(from.base().add(at), page);
                if old.iter().fold(0, |any, &byte| any | byte) != 0 {
                    ptr::copy_nonoverlapping(old.as_ptr(), self.base().add(at), page);
                }
            }
        }
        if length > 0 && self.marked {
            // SAFETY: both maps are accessible for every line.
            unsafe { ptr::copy_nonoverlapping(from.map(), self.map(), length.div_ceil(DIRTY_LINE_BYTES)) };
        }
    }
}

impl LinearMemory {
    /// Reserves address space for a memory of type `ty` that may grow to `limit_bytes`, and commits its minimum.
    ///
    /// # Errors
    ///
    /// `Limit` when the minimum is beyond the limit; `Os` when address space, memory or mappings are exhausted.
    pub fn new(ty: MemoryType, settings: MemorySettings, tracking: DirtyTracking, limit_bytes: u64) -> Result<Self> {
        let plan = MemoryPlan::new(&ty, settings);
        let limit = ty.maximum_bytes().min(limit_bytes);
        let minimum = ty.minimum_bytes();
        if minimum > limit {
            bail!(Limit, "a memory of {minimum} bytes is beyond the limit of {limit}");
        }
        let capacity = match plan.check {
            BoundsCheck::Fault { .. } => plan.reservation,
            _ if ty.shared => limit,
            BoundsCheck::Index { .. } | BoundsCheck::Whole => plan.reservation.min(limit).max(minimum),
        };
        let mut space = Space::new(&plan, capacity as usize, tracking.marks() && plan.map != DirtyMap::None)?;
        space.commit(minimum as usize)?;
        let touched = (tracking == DirtyTracking::Touched && !ty.shared)
            .then(|| Touched::new(space.base(), space.capacity, space.committed));
        Ok(LinearMemory {
            ty,
            plan,
            tracking,
            touched,
            exposed: AtomicBool::new(false),
            minimum_bytes: minimum as usize,
            limit_bytes: limit as usize,
            together: None,
            space: Mutex::new(space),
            parking: ty.shared.then(ParkingLot::default),
        })
    }

    /// Makes the memory one of several, for the sum of which there is a limit.
    pub fn join(&mut self, total: &Arc<Total>) {
        total.add(self.minimum_bytes as u64);
        self.together = Some(total.clone());
    }

    fn space(&self) -> MutexGuard<'_, Space> {
        self.space.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The declared type.
    pub fn ty(&self) -> MemoryType {
        self.ty
    }

    /// Where threads wait, if the memory is shared.
    pub fn parking(&self) -> Option<&ParkingLot> {
        self.parking.as_ref()
    }

    /// How writes are tracked; `Off` from the moment something writes that they do not see, until
    /// [`LinearMemory::discard`].
    #[inline]
    pub fn tracking(&self) -> DirtyTracking {
        // Set by this thread, or by one that has handed the store over since.
        if self.exposed.load(Ordering::Relaxed) { DirtyTracking::Off } else { self.tracking }
    }

    /// Whether something writes that its tracking does not see.
    pub fn is_exposed(&self) -> bool {
        self.exposed.load(Ordering::Relaxed)
    }

    /// Code that writes without being seen is still linked to the memory: says so again after a reset.
    pub fn expose(&self) {
        self.exposed.store(true, Ordering::Relaxed);
    }

    /// Which pages are writable, with [`DirtyTracking::Touched`].
    #[inline]
    pub fn touched(&self) -> Option<&Touched> {
        self.touched.as_deref()
    }

    /// Size of a fresh memory in bytes.
    #[inline]
    pub fn minimum_bytes(&self) -> usize {
        self.minimum_bytes
    }

    /// The structure for the context, as it is when the memory is fresh.
    pub fn fresh_definition(&self) -> VmMemory {
        let space = self.space();
        VmMemory {
            base: space.base(),
            length: AtomicUsize::new(self.minimum_bytes()),
            owner: ptr::from_ref(self).cast::<c_void>().cast_mut(),
            map: space.map(),
        }
    }

    /// Calls `map` with the reservation and where in it a range of the heap lies; for mapping an image.
    pub fn map_heap(
        &self,
        range: Range<usize>,
        map: impl FnOnce(&Reservation, Range<usize>) -> Result<()>,
    ) -> Result<()> {
        let space = self.space();
        map(&space.reservation, space.heap(range.clone()))?;
        match self.touched() {
            Some(touched) if !touched.mapped(range) => bail!(Os, "{NOT_PROTECTED}"),
            _ => Ok(()),
        }
    }

    /// Copies bytes of an image to the heap at `at`, which is accessible there, without marks: for an image that is not
    /// mapped. The next [`LinearMemory::discard`] says so.
    ///
    /// # Safety
    ///
    /// Nobody uses the memory.
    pub unsafe fn copy_image(&self, at: usize, bytes: &[u8]) {
        let mut space = self.space();
        assert!(at <= space.committed && bytes.len() <= space.committed - at, "{} bytes at {at}", bytes.len());
        space.moved = true;
        if let Some(touched) = &self.touched {
            touched.copied();
        }
        // SAFETY: the range is accessible, and the caller vouches that nobody uses it.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), space.base().add(at), bytes.len()) };
    }

    /// Throws away all that was written to the heap: it becomes what is mapped there, the image or zeroes. So does the
    /// map. Says whether the image must be mapped or copied anew: the memory has moved, or was copied to.
    ///
    /// # Errors
    ///
    /// `Os` when the system refuses.
    pub fn discard(&self) -> Result<bool> {
        let mut space = self.space();
        space.reservation.discard(space.heap(0..space.high))?;
        space.reservation.discard(0..space.committed_map(space.high))?;
        self.exposed.store(false, Ordering::Relaxed);
        if let Some(touched) = &self.touched {
            touched.remapped();
        }
        Ok(std::mem::replace(&mut space.moved, false))
    }

    /// Whether it has moved, so that nothing is mapped from its image until [`LinearMemory::discard`].
    pub fn has_moved(&self) -> bool {
        self.space().moved
    }

    /// How much resets by pages have copied since they last looked whether it is still written.
    pub fn copied_bytes(&self) -> u32 {
        self.space().copied_bytes
    }

    /// Sets [`LinearMemory::copied_bytes`].
    pub fn set_copied_bytes(&self, bytes: u32) {
        self.space().copied_bytes = bytes;
    }

    /// Throws away what was written to whole pages of the heap: they become what is mapped there.
    ///
    /// # Errors
    ///
    /// `Os` when the system refuses.
    pub fn discard_range(&self, range: Range<usize>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        self.map_heap(range, |reservation, range| reservation.discard(range))
    }

    /// Removes all marks.
    ///
    /// # Errors
    ///
    /// `Os` when the system refuses.
    #[cold]
    pub fn discard_map(&self) -> Result<()> {
        let space = self.space();
        space.reservation.discard(0..space.committed_map(space.committed))
    }

    /// Bytes that are resident, at most, because the memory has moved: its image's, which are `image` many, and the map's. None
    /// if it has not.
    pub fn moved_bytes(&self, image: usize) -> usize {
        let space = self.space();
        if space.moved { image + space.committed_map(space.high) } else { 0 }
    }

    /// Back to the size of a fresh memory. What lies beyond it must be zero.
    ///
    /// # Errors
    ///
    /// `Os` when the system refuses; the memory must not be used any more then.
    #[cold]
    pub fn shrink_to_minimum(&self, definition: &VmMemory) -> Result<()> {
        if self.plan.check != BoundsCheck::Whole {
            let mut space = self.space();
            space.decommit(self.minimum_bytes)?;
            if let Some(touched) = &self.touched {
                touched.shrunk(space.committed);
            }
        }
        if let Some(together) = &self.together {
            together.subtract((definition.length() - self.minimum_bytes) as u64);
        }
        definition.set_length(self.minimum_bytes);
        Ok(())
    }

    /// Grows by `delta` pages from `old` bytes. `None` when a limit or the system forbids it, `Some(false)` when the memory has
    /// another size by now; then it is as it was.
    ///
    /// # Safety
    ///
    /// The definition is the memory's own. If the memory is not shared, no other thread uses it, and nobody has a reference
    /// to the definition.
    unsafe fn grow(&self, definition: *mut VmMemory, old: usize, delta: u64) -> Option<bool> {
        let new = usize::try_from(delta.checked_mul(self.ty.page_size())?).ok()?.checked_add(old)?;
        let mut space = self.space();
        // SAFETY: the definition is alive; a length is atomic.
        if unsafe { (*definition).length() } != old {
            return Some(false);
        }
        if new > self.limit_bytes {
            return None;
        }
        let added = match &self.together {
            Some(together) => Some(together.try_add((new - old) as u64)?),
            None => None,
        };
        if new <= space.capacity {
            let before = space.committed;
            space.commit(new).ok()?;
            if let Some(touched) = &self.touched
                && !touched.grown(space.committed)
            {
                space.decommit(before).ok()?;
                touched.shrunk(before);
                return None;
            }
        } else {
            if !self.plan.moves {
                return None;
            }
            // With room to grow on, so that growing in small steps does not copy everything each time.
            let roomy = new.max(self.limit_bytes.min(space.capacity + space.capacity / 2));
            let marked = space.marked;
            let mut next =
                Space::new(&self.plan, roomy, marked).or_else(|_| Space::new(&self.plan, new, marked)).ok()?;
            next.commit(new).ok()?;
            // SAFETY: the memory lies in `space`, and whoever grows it has it to itself.
            unsafe { next.take_over(&space, old) };
            if let Some(touched) = &self.touched
                && !touched.moved(next.base(), next.capacity, next.committed)
            {
                // It stays where it is, but the next reset refuses it.
                let _ = touched.moved(space.base(), space.capacity, space.committed);
                return None;
            }
            // SAFETY: only memories that are not shared move, and nobody has a reference to the definition.
            unsafe {
                (*definition).base = next.base();
                (*definition).map = next.map();
            }
            *space = next;
        }
        if let Some(added) = added {
            added.keep();
        }
        // SAFETY: the definition is alive; a length is atomic.
        unsafe { (*definition).set_length(new) };
        Some(true)
    }
}

/// The part of a memory's dirty map that covers all its lines, eight to a word; `None` when writes are not tracked. Beyond
/// the last line are zeroes.
#[inline]
pub fn dirty_map(definition: &VmMemory) -> Option<*mut [u64]> {
    let words = definition.length().div_ceil(DIRTY_LINE_BYTES * 8);
    (!definition.map.is_null()).then(|| ptr::slice_from_raw_parts_mut(definition.map.cast(), words))
}

/// Checks that `len` bytes at `address` lie in the memory.
fn in_bounds(definition: &VmMemory, address: u64, len: u64) -> Option<usize> {
    let end = address.checked_add(len)?;
    (end <= definition.length() as u64).then_some(address as usize)
}

/// Whether other threads may use the memory at the same time.
///
/// # Safety
///
/// The definition is that of a live memory.
unsafe fn is_shared(definition: &VmMemory) -> bool {
    // SAFETY: passed on.
    unsafe { owner(definition) }.parking.is_some()
}

/// Prepares a write of `len` bytes at `address`, which lie in the memory: marks their lines and makes their pages writable.
/// `None` if the system does not allow it.
///
/// # Safety
///
/// The definition is that of a live memory and the range was checked. If the memory is not shared, no other thread uses it.
unsafe fn mark(definition: &VmMemory, address: usize, len: usize) -> Option<()> {
    // SAFETY: passed on.
    if let Some(touched) = unsafe { owner(definition) }.touched()
        && !touched.make_writable(address, len)
    {
        return None;
    }
    if len == 0 || definition.map.is_null() {
        return Some(());
    }
    let first = address >> DIRTY_LINE_SHIFT;
    let last = (address + len - 1) >> DIRTY_LINE_SHIFT;
    // SAFETY: the map covers every line of the memory.
    unsafe {
        let mark = definition.map.add(first);
        mark.write(1);
        // Most ranges are shorter than a line: a call of memset would cost more than their copy.
        if first != last {
            ptr::write_bytes(mark.add(1), 1, last - first);
        }
    }
    Some(())
}

/// Copies out of a memory.
///
/// # Safety
///
/// The definition is that of a live memory which is shared or which no other thread writes.
pub unsafe fn read(definition: &VmMemory, address: u64, into: &mut [u8]) -> Option<()> {
    let at = in_bounds(definition, address, into.len() as u64)?;
    // SAFETY: the range was checked; `into` is not guest memory, of which no Rust reference exists.
    unsafe {
        let from = definition.base.add(at);
        match is_shared(definition) {
            false => ptr::copy_nonoverlapping(from, into.as_mut_ptr(), into.len()),
            true => racy::copy(from, into.as_mut_ptr(), into.len()),
        }
    }
    Some(())
}

/// Copies into a memory and marks what was written.
///
/// # Safety
///
/// The definition is that of a live memory which is shared or which no other thread uses.
pub unsafe fn write(definition: &VmMemory, address: u64, bytes: &[u8]) -> Option<()> {
    let at = in_bounds(definition, address, bytes.len() as u64)?;
    // SAFETY: the range was checked; `bytes` may be anything but guest memory, of which no Rust reference exists.
    unsafe {
        mark(definition, at, bytes.len())?;
        let to = definition.base.add(at);
        match is_shared(definition) {
            false => ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()),
            true => racy::copy(bytes.as_ptr(), to, bytes.len()),
        }
    }
    Some(())
}

/// All bytes of a memory, to read.
///
/// # Safety
///
/// The definition is that of a live memory, which nobody writes, grows or resets for `'a`.
pub unsafe fn bytes<'a>(definition: &VmMemory) -> &'a [u8] {
    // SAFETY: `length` bytes from the base are accessible; none of them is written for `'a`.
    unsafe { std::slice::from_raw_parts(definition.base, definition.length()) }
}

/// A part of a memory, marked as if all of it had been written.
///
/// # Safety
///
/// The definition is that of a live memory, which nobody else uses, grows or resets for `'a`.
pub unsafe fn bytes_mut<'a>(definition: &VmMemory, range: &Range<u64>) -> Option<&'a mut [u8]> {
    let len = range.end.checked_sub(range.start)?;
    let at = in_bounds(definition, range.start, len)?;
    // SAFETY: the range was checked; it is nobody else's for `'a`.
    unsafe {
        mark(definition, at, len as usize)?;
        Some(std::slice::from_raw_parts_mut(definition.base.add(at), len as usize))
    }
}

/// Fills a part of a memory and marks it.
///
/// # Safety
///
/// As for [`write`].
pub unsafe fn fill(definition: &VmMemory, address: u64, byte: u8, len: u64) -> Option<()> {
    let at = in_bounds(definition, address, len)?;
    // SAFETY: the range was checked.
    unsafe {
        mark(definition, at, len as usize)?;
        let to = definition.base.add(at);
        match is_shared(definition) {
            false => ptr::write_bytes(to, byte, len as usize),
            true => racy::fill(to, byte, len as usize),
        }
    }
    Some(())
}

/// Copies between two memories, or within one, and marks what was written.
///
/// # Safety
///
/// As for [`write`], for both.
pub unsafe fn copy(dst: &VmMemory, src: &VmMemory, to: u64, from: u64, len: u64) -> Option<()> {
    let to = in_bounds(dst, to, len)?;
    let from = in_bounds(src, from, len)?;
    // SAFETY: both ranges were checked; they may overlap, which both ways of copying allow.
    unsafe {
        mark(dst, to, len as usize)?;
        let (to, from, len) = (dst.base.add(to), src.base.add(from), len as usize);
        match is_shared(dst) || is_shared(src) {
            false => ptr::copy(from, to, len),
            true => racy::copy_overlapping(from, to, len),
        }
    }
    Some(())
}

/// Prepares a memory for the code of another module than the one that defines it.
///
/// # Errors
///
/// `Os` when there is no memory for a dirty map.
///
/// # Safety
///
/// The definition is that of a live memory. If it is not shared, no other thread uses it, and nobody has a reference to the
/// definition.
pub unsafe fn link(definition: *mut VmMemory, code: DirtyTracking) -> Result<()> {
    // SAFETY: passed on.
    let memory = unsafe { owner(&*definition) };
    if memory.plan.map == DirtyMap::None {
        return Ok(());
    }
    if code.marks() {
        let mut space = memory.space();
        space.add_map()?;
        // SAFETY: the definition is alive, and nobody has a reference to it.
        unsafe { (*definition).map = space.map() };
    } else if memory.tracking.marks() {
        memory.exposed.store(true, Ordering::Relaxed);
    }
    Ok(())
}

/// The record behind a definition.
///
/// # Safety
///
/// The definition is that of a live memory.
pub unsafe fn owner<'a>(definition: &VmMemory) -> &'a LinearMemory {
    // SAFETY: `owner` was set by `fresh_definition` and lives as long as the memory.
    unsafe { &*definition.owner.cast::<LinearMemory>() }
}

/// Grows a memory by `delta` pages if its type, the engine's limits and the store's limiter allow it; without a store
/// there is no limiter. Sizes are in pages.
///
/// # Safety
///
/// The definition is that of a live memory. If it is not shared, no other thread uses it, and nobody has a reference to the
/// definition. The store is null or open and used by this thread.
pub unsafe fn grow(store: *mut VmStore, definition: *mut VmMemory, delta: u64) -> Growth {
    // SAFETY: passed on.
    let memory = unsafe { owner(&*definition) };
    let page = memory.ty.page_size();
    let maximum = memory.ty.maximum.map(|pages| pages.saturating_mul(page));
    loop {
        // SAFETY: passed on.
        let current = unsafe { (*definition).length() };
        let desired = delta.checked_mul(page).and_then(|grown| grown.checked_add(current as u64));
        let mut outrun = false;
        let mut attempt = || {
            // SAFETY: passed on.
            outrun = !unsafe { memory.grow(definition, current, delta) }?;
            Some(current as u64 / page)
        };
        let growth = if store.is_null() {
            attempt().map_or(Growth::Failed, Growth::Done)
        } else {
            // SAFETY: passed on.
            unsafe { limiter::grow(store, Resource::Memory, (current as u64, desired), maximum, attempt) }
        };
        // What the limiter has allowed was growth from another size: once more.
        if !outrun {
            return growth;
        }
    }
}
