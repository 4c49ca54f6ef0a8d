//! Tables: 8 bytes per element, `*const VmFuncRef` or an externref's arena index plus one; 0 is null.
//!
//! Like a memory, a table knows which parts of it were written: a mark for each [`TABLE_CHUNK`] elements, and one flag for all
//! of them, so that a table nobody wrote costs a look at the flag.
//!
//! Invariant: there are marks for all elements. Where the flag is 0, the table has its first size, and no mark is set.

use std::ffi::c_void;
use std::ops::Range;
use std::ptr;

use super::limiter::{self, Growth, Resource};
use super::marks;
use crate::artifact::info::TableType;
use crate::artifact::layout::{TABLE_CHUNK, VmStore, VmTable};
use crate::error::{Result, TrapCode, error};
use crate::sys::mmap;

/// The runtime's record of a table that some instance defines. Its [`VmTable`] lies in that instance's context.
#[derive(Debug)]
pub struct TableStorage {
    elements: Vec<u64>,
    /// A byte for each chunk, eight to a word.
    marks: Vec<u64>,
    ty: TableType,
    /// The type's maximum or the engine's limit, whichever is smaller.
    limit: u64,
    /// See [`TableStorage::set_values`].
    values: Box<[u64]>,
}

/// How many words hold the marks of `len` elements.
fn mark_words(len: usize) -> usize {
    len.div_ceil(TABLE_CHUNK * 8)
}

impl TableStorage {
    /// A table of null elements.
    ///
    /// # Errors
    ///
    /// `Limit` when there is no memory for it.
    pub fn new(ty: TableType, limit: u64) -> Result<Self> {
        let mut elements = Vec::<u64>::new();
        let len = usize::try_from(ty.minimum).unwrap_or(usize::MAX);
        elements
            .try_reserve_exact(len)
            .map_err(|_| error!(Limit, "no memory for a table of {} elements", ty.minimum))?;
        mmap::populate(elements.as_mut_ptr().cast(), len * size_of::<u64>());
        elements.resize(len, 0);
        let marks = vec![0; mark_words(len)];
        Ok(TableStorage { elements, marks, ty, limit: ty.maximum_elements().min(limit), values: [].into() })
    }

    /// The declared type.
    pub fn ty(&self) -> TableType {
        self.ty
    }

    /// The structure for the context. `self` must stay where it is.
    pub fn definition(&mut self) -> VmTable {
        VmTable {
            base: self.elements.as_mut_ptr(),
            length: self.elements.len(),
            dirty: 0,
            marks: self.marks.as_mut_ptr().cast(),
            owner: ptr::from_mut(self).cast::<c_void>(),
        }
    }

    /// The elements.
    pub fn elements_mut(&mut self) -> &mut [u64] {
        &mut self.elements
    }

    /// Elements of the image that only the instance knows, for whoever resets the table.
    pub fn set_values(&mut self, values: Box<[u64]>) {
        self.values = values;
    }

    /// Back to the size of a fresh table, with `restore` called for each range of elements that may have been written:
    /// ascending, with all elements and the values that were set.
    pub fn reset(&mut self, mut restore: impl FnMut(Range<usize>, &mut [u64], &[u64])) {
        self.elements.truncate(self.ty.minimum as usize);
        self.marks.truncate(mark_words(self.elements.len()));
        let len = self.elements.len();
        marks::take(&mut self.marks, |mark| {
            // A mark may be one of elements that are gone.
            let range = (mark * TABLE_CHUNK).min(len)..((mark + 1) * TABLE_CHUNK).min(len);
            restore(range.clone(), &mut self.elements[range], &self.values);
        });
    }

    /// Whether no mark is set.
    pub fn is_unmarked(&self) -> bool {
        self.marks.iter().all(|&word| word == 0)
    }
}

/// The record behind a definition.
///
/// # Safety
///
/// The definition is that of a live table which nobody else uses now.
#[allow(clippy::mut_from_ref)] // the record is another object than the definition
pub unsafe fn owner<'a>(definition: &VmTable) -> &'a mut TableStorage {
    // SAFETY: `owner` was set by `definition` and lives as long as the table.
    unsafe { &mut *definition.owner.cast::<TableStorage>() }
}

/// Marks the chunks of `len` elements from `at` on, which lie in the table.
///
/// # Safety
///
/// The definition is that of a live table which nobody else uses now; the range was checked.
unsafe fn mark(definition: &mut VmTable, at: usize, len: usize) {
    if len == 0 {
        return;
    }
    definition.dirty = 1;
    let (first, last) = (at / TABLE_CHUNK, (at + len - 1) / TABLE_CHUNK);
    // SAFETY: there are marks for all elements.
    unsafe { ptr::write_bytes(definition.marks.add(first), 1, last - first + 1) };
}

fn in_bounds(definition: &VmTable, start: u64, len: u64) -> Result<usize, TrapCode> {
    match start.checked_add(len) {
        Some(end) if end <= definition.length as u64 => Ok(start as usize),
        _ => Err(TrapCode::TableOutOfBounds),
    }
}

/// Element `index`.
///
/// # Safety
///
/// The definition is that of a live table which nobody else uses now.
pub unsafe fn element(definition: &VmTable, index: u64) -> Option<u64> {
    let at = in_bounds(definition, index, 1).ok()?;
    // SAFETY: the index was checked.
    Some(unsafe { *definition.base.add(at) })
}

/// Overwrites `values.len()` elements from `start` on.
///
/// # Safety
///
/// As for [`element`]; the values are good for the table's type.
pub unsafe fn write(
    definition: &mut VmTable,
    start: u64,
    values: impl ExactSizeIterator<Item = u64>,
) -> Result<(), TrapCode> {
    let at = in_bounds(definition, start, values.len() as u64)?;
    // SAFETY: the range was checked.
    unsafe { mark(definition, at, values.len()) };
    for (i, value) in values.enumerate() {
        // SAFETY: the range was checked.
        unsafe { *definition.base.add(at + i) = value };
    }
    Ok(())
}

/// Fills a part of a table.
///
/// # Safety
///
/// As for [`write`].
pub unsafe fn fill(definition: &mut VmTable, start: u64, value: u64, len: u64) -> Result<(), TrapCode> {
    let at = in_bounds(definition, start, len)?;
    // SAFETY: the range was checked.
    unsafe {
        mark(definition, at, len as usize);
        std::slice::from_raw_parts_mut(definition.base.add(at), len as usize).fill(value);
    }
    Ok(())
}

/// Copies between two tables, or within one.
///
/// # Safety
///
/// As for [`write`], for both; the two may be the same.
pub unsafe fn copy(dst: *mut VmTable, src: *const VmTable, to: u64, from: u64, len: u64) -> Result<(), TrapCode> {
    // SAFETY: the caller vouches for both; no reference lives beyond its line.
    unsafe {
        let to = in_bounds(&*dst, to, len)?;
        let from = in_bounds(&*src, from, len)?;
        mark(&mut *dst, to, len as usize);
        ptr::copy((*src).base.add(from), (*dst).base.add(to), len as usize);
    }
    Ok(())
}

/// Grows by `delta` elements of `value` if the table's type, the engine's limits and the store's limiter allow it.
///
/// # Safety
///
/// As for [`write`]; the store is open and used by this thread.
pub unsafe fn grow(store: *mut VmStore, definition: &mut VmTable, delta: u64, value: u64) -> Growth {
    let current = definition.length as u64;
    // SAFETY: the caller vouches for the definition.
    let maximum = unsafe { owner(definition) }.ty.maximum;
    // SAFETY: passed on.
    unsafe {
        limiter::grow(store, Resource::Table, (current, current.checked_add(delta)), maximum, || {
            extend(definition, delta, value)
        })
    }
}

/// Grows by `delta` elements of `value`. Returns the old size, or `None` when a limit forbids it.
///
/// # Safety
///
/// As for [`write`].
unsafe fn extend(definition: &mut VmTable, delta: u64, value: u64) -> Option<u64> {
    // SAFETY: the caller vouches for the definition.
    let storage = unsafe { owner(definition) };
    let old = definition.length as u64;
    let new = old.checked_add(delta)?;
    let more_marks = mark_words(usize::try_from(new).ok()?) - storage.marks.len();
    if new > storage.limit
        || storage.elements.try_reserve((new - old) as usize).is_err()
        || storage.marks.try_reserve(more_marks).is_err()
    {
        return None;
    }
    storage.elements.resize(new as usize, value);
    storage.marks.resize(storage.marks.len() + more_marks, 0);
    if delta > 0 {
        definition.base = storage.elements.as_mut_ptr();
        definition.marks = storage.marks.as_mut_ptr().cast();
        definition.length = new as usize;
        definition.dirty = 1;
    }
    Some(old)
}
