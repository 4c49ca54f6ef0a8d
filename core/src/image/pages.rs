//! Reset in the mode [`Pages`](crate::config::DirtyTracking::Pages): the system is asked which pages are the memory's own,
//! and those are copied back from the image.
//!
//! ```text
//!   heap     own  –   own own  –   own │ own  –   own …       – is a page of the image, or none
//!             └────── copied back ───┘ │ └── discarded ──┘
//!                                      └ KEPT_PAGES own pages from the start
//! ```
//!
//! Copying is the rule because a page that was discarded costs the next tenant a fault: here 2 000 ns, against 80 (what lies in
//! caches) to 320 ns (what does not) for copying it, whatever their number. The bound is there for the memory that idle slots
//! hold, and for the time that the reset after a tenant that never writes so much again would take.
//!
//! Pages stay the memory's own when they were copied back, so they are found again each time. So that they do not stay for
//! ever when tenants do not write them, a reset compares before it copies, once in a while, and discards what was as the image has
//! it. That is once for each [`LOOK_AFTER_PAGES`] pages that were copied: often where there is much to copy, rarely where
//! there is little.

use std::ops::Range;
use std::ptr;
use std::sync::atomic::Ordering;

use super::{MemoryImage, reset};
use crate::artifact::layout::VmMemory;
use crate::error::Result;
use crate::sys::{page_size, pagemap};
use crate::vm::memory::LinearMemory;

/// Pages of a memory that stay its own from one tenant to the next: 16 MiB, where a page has 4 KiB.
const KEPT_PAGES: usize = 4096;

/// Pages that are copied before a reset looks whether they are still written.
const LOOK_AFTER_PAGES: usize = 4 * KEPT_PAGES;

/// Restores a memory.
///
/// # Errors
///
/// `Os` when pages cannot be discarded.
///
/// # Safety
///
/// Nobody uses the memory; `definition` is its own.
pub unsafe fn restore(memory: &LinearMemory, definition: &VmMemory, image: Option<&MemoryImage>) -> Result<()> {
    if memory.has_moved() {
        // Nothing of it is mapped from the image, so that pages that are not there are not the image's.
        return reset::rebuild(memory, image);
    }
    let length = definition.length();
    let copied = memory.copied_pages.load(Ordering::Relaxed);
    let looks = copied >= LOOK_AFTER_PAGES;
    let (base, page) = (definition.base.addr(), page_size());
    let end = length.next_multiple_of(page);
    let (mut found, mut unwritten) = (0, Unwritten { memory, range: 0..0 });
    let scanned = pagemap::written(base..base + end, KEPT_PAGES, |run| {
        let run = run.start - base..run.end - base;
        found += run.len() / page;
        if !looks {
            // SAFETY: passed on; the range lies in the memory.
            unsafe { copy(definition, run.start..run.end.min(length), image) };
            return Ok(());
        }
        for at in run.step_by(page) {
            let bytes = at..(at + page).min(length);
            // SAFETY: as above.
            if unsafe { equals(definition, bytes.clone(), image) } {
                unwritten.add(at..at + page)?;
            } else {
                // SAFETY: as above.
                unsafe { copy(definition, bytes, image) };
            }
        }
        Ok(())
    });
    let scanned = match scanned {
        Ok(address) => address - base,
        // Rebuilding needs nothing of that.
        Err(_) => return reset::rebuild(memory, image),
    };
    unwritten.discard()?;
    memory.copied_pages.store(if looks { 0 } else { copied + found }, Ordering::Relaxed);
    memory.discard_range(scanned..end)?;
    if definition.map.is_null() { Ok(()) } else { memory.discard_map() }
}

/// Pages to be discarded: neighbours together.
struct Unwritten<'a> {
    memory: &'a LinearMemory,
    range: Range<usize>,
}

impl Unwritten<'_> {
    /// Adds a page that lies behind those added before.
    fn add(&mut self, page: Range<usize>) -> Result<()> {
        if self.range.end != page.start {
            self.discard()?;
            self.range.start = page.start;
        }
        self.range.end = page.end;
        Ok(())
    }

    fn discard(&mut self) -> Result<()> {
        self.memory.discard_range(std::mem::take(&mut self.range))
    }
}

/// Calls `piece` with consecutive pieces of `range`: bytes of the image, or `None` for zeroes.
fn pieces(range: Range<usize>, image: Option<&MemoryImage>, mut piece: impl FnMut(Range<usize>, Option<&[u8]>)) {
    match image {
        Some(image) => image.pieces(range, piece),
        None => piece(range, None),
    }
}

/// Copies a range from the image.
///
/// # Safety
///
/// The range lies in the memory, which nobody uses.
unsafe fn copy(definition: &VmMemory, range: Range<usize>, image: Option<&MemoryImage>) {
    pieces(range, image, |range, bytes| {
        // SAFETY: the piece lies in the memory.
        unsafe {
            let to = definition.base.add(range.start);
            match bytes {
                Some(bytes) => ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()),
                None => ptr::write_bytes(to, 0, range.len()),
            }
        }
    });
}

/// Whether a range is as in the image.
///
/// # Safety
///
/// As for [`copy`].
unsafe fn equals(definition: &VmMemory, range: Range<usize>, image: Option<&MemoryImage>) -> bool {
    let mut same = true;
    pieces(range, image, |range, bytes| {
        // SAFETY: the piece lies in the memory, which nobody writes.
        let now = unsafe { std::slice::from_raw_parts(definition.base.add(range.start), range.len()) };
        same &= match bytes {
            Some(bytes) => now == bytes,
            None => now.iter().fold(0, |any, &byte| any | byte) == 0,
        };
    });
    same
}
