//! Reset in the mode [`Pages`](crate::config::DirtyTracking::Pages): the system is asked which pages are the memory's own,
//! and those are copied back from the image.
//!
//! ```text
//!   heap     own  –   own own  –   own │ own  –   own …       – is a page of the image, or none
//!             └────── copied back ───┘ │ └── discarded ──┘
//!                                      └ KEPT_BYTES of own pages from the start
//! ```
//!
//! Copying is the rule because a page that was discarded costs the next tenant a fault: here 2 000 ns, against 80 (what lies in
//! caches) to 320 ns (what does not) for copying it, whatever their number. The bound is there for the memory that idle slots
//! hold, and for the time that the reset after a tenant that never writes so much again would take.
//!
//! Pages stay the memory's own when they were copied back, so they are found again each time. So that they do not stay for
//! ever when tenants do not write them, a reset compares before it copies, once in a while, and discards what was as the image has
//! it. That is once for [`LOOK_AFTER_BYTES`] that were copied: often where there is much to copy, rarely where
//! there is little.

use std::ops::Range;
use std::ptr;

use super::{MemoryImage, ResetLog, reset};
use crate::artifact::layout::VmMemory;
use crate::error::Result;
use crate::sys::{page_size, pagemap};
use crate::vm::memory::LinearMemory;

/// How much of a memory stays its own from one tenant to the next.
const KEPT_BYTES: usize = 16 << 20;

/// How much is copied before a reset looks whether it is still written.
const LOOK_AFTER_BYTES: usize = 4 * KEPT_BYTES;
const _: () = assert!(LOOK_AFTER_BYTES + KEPT_BYTES < u32::MAX as usize);

/// Restores a memory.
///
/// # Errors
///
/// `Os` when pages cannot be discarded.
///
/// # Safety
///
/// Nobody uses the memory; `definition` is its own.
pub unsafe fn restore(
    memory: &LinearMemory,
    definition: &VmMemory,
    image: Option<&MemoryImage>,
    (index, log): (usize, &mut ResetLog),
) -> Result<()> {
    if memory.has_moved() {
        // Nothing of it is mapped from the image, so that pages that are not there are not the image's.
        return reset::rebuild(memory, image, (index, log));
    }
    let length = definition.length();
    let copied = memory.copied_bytes();
    let looks = copied as usize >= LOOK_AFTER_BYTES;
    let (base, page) = (definition.base.addr(), page_size());
    let end = length.next_multiple_of(page);
    let (mut found, mut unwritten) = (0, Unwritten { memory, index, range: 0..0 });
    let scanned = pagemap::written(base..base + end, KEPT_BYTES / page, |run| {
        let run = run.start - base..run.end - base;
        found += run.len();
        if !looks {
            // SAFETY: passed on; the range lies in the memory.
            unsafe { copy(definition, run.start..run.end.min(length), image) };
            log.rewritten(index, run);
            return Ok(());
        }
        for at in run.step_by(page) {
            let bytes = at..(at + page).min(length);
            // SAFETY: as above.
            if unsafe { equals(definition, bytes.clone(), image) } {
                unwritten.add(at..at + page, log)?;
            } else {
                // SAFETY: as above.
                unsafe { copy(definition, bytes.clone(), image) };
                log.rewritten(index, bytes);
            }
        }
        Ok(())
    });
    let scanned = match scanned {
        Ok(address) => address - base,
        // Rebuilding needs nothing of that.
        Err(_) => return reset::rebuild(memory, image, (index, log)),
    };
    unwritten.discard(log)?;
    memory.set_copied_bytes(if looks { 0 } else { copied + found as u32 });
    memory.discard_range(scanned..end)?;
    log.given_back(index, scanned..end);
    if definition.map.is_null() { Ok(()) } else { memory.discard_map() }
}

/// Pages to be discarded: neighbours together.
struct Unwritten<'a> {
    memory: &'a LinearMemory,
    index: usize,
    range: Range<usize>,
}

impl Unwritten<'_> {
    /// Adds a page that lies behind those added before.
    fn add(&mut self, page: Range<usize>, log: &mut ResetLog) -> Result<()> {
        if self.range.end != page.start {
            self.discard(log)?;
            self.range.start = page.start;
        }
        self.range.end = page.end;
        Ok(())
    }

    fn discard(&mut self, log: &mut ResetLog) -> Result<()> {
        let range = std::mem::take(&mut self.range);
        log.given_back(self.index, range.clone());
        self.memory.discard_range(range)
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

/// Whether all bytes are 0.
fn is_zero(bytes: &[u8]) -> bool {
    // Chunks of known size take a few vector instructions.
    let (chunks, rest) = bytes.as_chunks::<128>();
    let zero = |bytes: &[u8]| bytes.iter().fold(0, |any, &byte| any | byte) == 0;
    chunks.iter().all(|chunk| zero(chunk)) && zero(rest)
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
        same = same
            && match bytes {
                Some(bytes) => now == bytes,
                None => is_zero(now),
            };
    });
    same
}
