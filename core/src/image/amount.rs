//! How much a reset has to restore, found out before it.

use super::reset::SCANNED_MAX_BYTES;
use crate::artifact::layout::{DIRTY_LINE_BYTES, VmMemory};
use crate::config::DirtyTracking;
use crate::sys::{page_size, pagemap};
use crate::vm::instance::VmInstance;
use crate::vm::memory::{LinearMemory, dirty_map};

/// Whether a reset of the instance's memories would restore more than `threshold` bytes. Costs next to nothing unless the
/// memories are larger than that together. Where it is not known what was written, all counts.
///
/// # Safety
///
/// Nobody runs in the instance.
#[inline]
pub unsafe fn exceeds(instance: &VmInstance, threshold: usize) -> bool {
    let imported = instance.module().info.imported_memories;
    let definitions = (0..instance.memories().len()).map(|i| instance.memory(imported + i as u32));
    // SAFETY: definitions of memories that the instance defines.
    let total = definitions.fold(0usize, |sum, d| sum.saturating_add(unsafe { (*d).length() }));
    // SAFETY: passed on.
    total > threshold && unsafe { written_exceed(instance, threshold) }
}

#[cold]
unsafe fn written_exceed(instance: &VmInstance, threshold: usize) -> bool {
    let imported = instance.module().info.imported_memories;
    let mut left = threshold;
    instance.memories().iter().enumerate().any(|(i, memory)| {
        // SAFETY: the definition of a memory that the instance defines.
        let definition = unsafe { &*instance.memory(imported + i as u32) };
        // SAFETY: nobody uses the memory.
        match left.checked_sub(unsafe { written(memory.linear(), definition, left) }) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        }
    })
}

/// Bytes that were written to a memory; of no interest is how many beyond `limit`.
///
/// # Safety
///
/// Nobody uses the memory.
unsafe fn written(memory: &LinearMemory, definition: &VmMemory, limit: usize) -> usize {
    let length = definition.length();
    match (memory.tracking(), dirty_map(definition)) {
        (DirtyTracking::Lines, Some(map)) if length <= SCANNED_MAX_BYTES => {
            // SAFETY: the map is accessible for every line of the memory.
            let map = unsafe { &*map };
            map.iter().map(|word| word.count_ones() as usize).sum::<usize>() * DIRTY_LINE_BYTES
        }
        (DirtyTracking::Pages, _) => {
            let (base, page, mut bytes) = (definition.base.addr(), page_size(), 0);
            let scanned = pagemap::written(base..base + length.next_multiple_of(page), limit / page + 1, |run| {
                bytes += run.len();
                Ok(())
            });
            if scanned.is_ok() { bytes } else { length }
        }
        _ => length,
    }
}
