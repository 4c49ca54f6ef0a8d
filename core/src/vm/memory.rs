//! Linear memories: one reservation with the dirty map, the heap and a guard.
//!
//! ```text
//!   reservation                        base                                         base + 4 GiB
//!   | dirty map, one byte per line     | heap: 0 .. length accessible, rest not     | guard, never accessible |
//!   |<------ DIRTY_MAP_BYTES --------->|<------------- MEMORY32_MAX_BYTES --------->|<- MEMORY_GUARD_BYTES -->|
//! ```
//!
//! Compiled code finds the map at a constant distance below the base. All writers other than compiled code go through
//! [`LinearMemory::write`] or [`LinearMemory::mark`].
//!
//! Invariant: map bytes exist (are accessible) for at least every line of `0..length`.

use std::ffi::c_void;
use std::ops::Range;
use std::ptr;

use super::limiter::{self, Growth, Resource};
use crate::artifact::info::MemoryType;
use crate::artifact::layout::{
    DIRTY_LINE_SHIFT, DIRTY_MAP_BYTES, MEMORY_GUARD_BYTES, MEMORY32_MAX_BYTES, VmMemory, VmStore, WASM_PAGE_BYTES,
};
use crate::error::Result;
use crate::sys::{mmap::Reservation, page_size};

/// The runtime's record of a linear memory that some instance defines. Its [`VmMemory`] lies in that instance's context.
#[derive(Debug)]
pub struct LinearMemory {
    reservation: Reservation,
    ty: MemoryType,
    /// The type's maximum or the engine's limit, whichever is smaller, in bytes.
    limit_bytes: usize,
}

impl LinearMemory {
    /// Reserves address space for a memory of type `ty` that may grow to `limit_pages`, and commits its minimum.
    ///
    /// # Errors
    ///
    /// `Os` when address space, memory or mappings are exhausted.
    pub fn new(ty: MemoryType, limit_pages: u64) -> Result<Self> {
        let reservation = Reservation::new(DIRTY_MAP_BYTES + MEMORY32_MAX_BYTES as usize + MEMORY_GUARD_BYTES)?;
        let limit = ty.maximum.unwrap_or(65_536).min(limit_pages).min(65_536);
        let memory = LinearMemory { reservation, ty, limit_bytes: (limit * WASM_PAGE_BYTES) as usize };
        memory.commit(0..memory.minimum_bytes())?;
        Ok(memory)
    }

    /// The declared type.
    pub fn ty(&self) -> MemoryType {
        self.ty
    }

    /// Size of a fresh memory in bytes.
    pub fn minimum_bytes(&self) -> usize {
        (self.ty.minimum * WASM_PAGE_BYTES) as usize
    }

    /// First byte of the memory.
    pub fn base(&self) -> *mut u8 {
        self.reservation.base().wrapping_add(DIRTY_MAP_BYTES)
    }

    /// The structure for the context, as it is when the memory is fresh.
    pub fn fresh_definition(&self) -> VmMemory {
        VmMemory {
            base: self.base(),
            length: self.minimum_bytes(),
            owner: ptr::from_ref(self).cast::<c_void>().cast_mut(),
        }
    }

    /// Where in the reservation a range of the heap lies; for mapping an image.
    pub fn heap_range(&self, range: Range<usize>) -> (&Reservation, Range<usize>) {
        (&self.reservation, DIRTY_MAP_BYTES + range.start..DIRTY_MAP_BYTES + range.end)
    }

    /// Pages of the map that cover `range`, but not those that cover what lies before it: they are accessible already.
    fn map_range(range: &Range<usize>) -> Range<usize> {
        let pages = |bytes: usize| (bytes >> DIRTY_LINE_SHIFT).next_multiple_of(page_size()).min(DIRTY_MAP_BYTES);
        pages(range.start)..pages(range.end)
    }

    /// Makes a page-aligned range of the heap, which starts where the accessible part ends, accessible, with its part of the
    /// map.
    fn commit(&self, range: Range<usize>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        self.reservation.commit(Self::map_range(&range))?;
        let (reservation, range) = self.heap_range(range);
        reservation.commit(range)
    }

    /// Makes everything from the minimum on inaccessible again. Its bytes must be zero.
    pub fn shrink_to_minimum(&self, length: usize) -> Result<()> {
        let (reservation, range) = self.heap_range(self.minimum_bytes()..length);
        reservation.protect_none(range)
    }

    /// Grows by `delta` pages. Returns the old size in pages, or `None` when a limit or the system forbids it; then the
    /// memory is as it was.
    fn grow(&self, definition: &mut VmMemory, delta: u64) -> Option<u64> {
        let old = definition.length;
        let new = usize::try_from(delta.checked_mul(WASM_PAGE_BYTES)?).ok()?.checked_add(old)?;
        if new > self.limit_bytes {
            return None;
        }
        self.commit(old..new).ok()?;
        definition.length = new;
        Some(old as u64 / WASM_PAGE_BYTES)
    }

    /// The part of the dirty map that covers `0..length`, eight lines to a word. Lengths are whole WebAssembly pages, so
    /// there is no rest.
    pub fn dirty_map(&self, length: usize) -> *mut [u64] {
        ptr::slice_from_raw_parts_mut(self.reservation.base().cast(), (length >> DIRTY_LINE_SHIFT) / 8)
    }
}

/// Checks that `len` bytes at `address` lie in the memory.
fn in_bounds(definition: &VmMemory, address: u64, len: u64) -> Option<usize> {
    let end = address.checked_add(len)?;
    (end <= definition.length as u64).then_some(address as usize)
}

/// Marks the lines of `len` bytes at `address`, which lie in the memory.
///
/// # Safety
///
/// The definition is that of a live memory and the range was checked.
unsafe fn mark(definition: &VmMemory, address: usize, len: usize) {
    if len == 0 {
        return;
    }
    let first = address >> DIRTY_LINE_SHIFT;
    let last = (address + len - 1) >> DIRTY_LINE_SHIFT;
    // SAFETY: the map lies DIRTY_MAP_BYTES below the base and covers every line of the memory.
    unsafe { ptr::write_bytes(definition.base.sub(DIRTY_MAP_BYTES).add(first), 1, last - first + 1) };
}

/// Copies out of a memory.
///
/// # Safety
///
/// The definition is that of a live memory which no other thread writes.
pub unsafe fn read(definition: &VmMemory, address: u64, into: &mut [u8]) -> Option<()> {
    let at = in_bounds(definition, address, into.len() as u64)?;
    // SAFETY: the range was checked; `into` is not guest memory, of which no Rust reference exists.
    unsafe { ptr::copy_nonoverlapping(definition.base.add(at), into.as_mut_ptr(), into.len()) };
    Some(())
}

/// Copies into a memory and marks what was written.
///
/// # Safety
///
/// The definition is that of a live memory which no other thread uses.
pub unsafe fn write(definition: &VmMemory, address: u64, bytes: &[u8]) -> Option<()> {
    let at = in_bounds(definition, address, bytes.len() as u64)?;
    // SAFETY: the range was checked; `bytes` may be anything but guest memory, of which no Rust reference exists.
    unsafe {
        mark(definition, at, bytes.len());
        ptr::copy_nonoverlapping(bytes.as_ptr(), definition.base.add(at), bytes.len());
    }
    Some(())
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
        mark(definition, at, len as usize);
        ptr::write_bytes(definition.base.add(at), byte, len as usize);
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
    // SAFETY: both ranges were checked; they may overlap, which `ptr::copy` allows.
    unsafe {
        mark(dst, to, len as usize);
        ptr::copy(src.base.add(from), dst.base.add(to), len as usize);
    }
    Some(())
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

/// Grows a memory by `delta` pages if its type, the engine's limits and the store's limiter allow it. Sizes are in pages.
///
/// # Safety
///
/// The definition is that of a live memory which no other thread uses; the store is open and used by this thread.
pub unsafe fn grow(store: *mut VmStore, definition: &mut VmMemory, delta: u64) -> Growth {
    // SAFETY: passed on.
    let memory = unsafe { owner(definition) };
    let page = memory.ty.page_size();
    let current = definition.length as u64;
    let desired = delta.checked_mul(page).and_then(|grown| grown.checked_add(current));
    let maximum = memory.ty.maximum.map(|pages| pages.saturating_mul(page));
    // SAFETY: passed on.
    unsafe { limiter::grow(store, Resource::Memory, (current, desired), maximum, || memory.grow(definition, delta)) }
}
