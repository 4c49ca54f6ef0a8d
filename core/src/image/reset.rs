//! Bringing an instance to its image: once when a slot is made, and after every tenant.
//!
//! A reset touches only what was dirtied. Per memory:
//!
//! ```text
//!   dirty map    0 0 1 1 0 0 0 1 0 …        scanned 64 bytes at a time
//!                    └─┬─┘     └┬┘
//!   memory           2 lines    1 line      each run, and the 15 bytes after it, from the image; zeroes beyond it
//! ```
//!
//! Where writes are not tracked, or not all of them were seen, the pages of the memory are given back instead.
//!
//! Invariant: after [`reset`] the instance equals its image in everything a guest can see or use: bytes, sizes, dirty
//! map, page protections, tables, globals, dropped segments. [`check`] compares all of it.

use std::ops::Range;
use std::ptr;

use super::{InstanceImage, MemoryImage, pages, tables};
use crate::artifact::layout::{DIRTY_LINE_BYTES, DIRTY_SPILL_BYTES, MEMORY32_MAX_BYTES, VmGlobal, VmMemory};
use crate::config::DirtyTracking;
use crate::error::{Result, bail};
use crate::vm::instance::VmInstance;
use crate::vm::marks;
use crate::vm::memory::{LinearMemory, dirty_map};
use crate::vm::shared::InstanceMemory;

/// Memories larger than this, which take 64-bit addresses, are rebuilt: most of them is never touched, and a guest could
/// make the scan of its map take seconds.
pub(super) const SCANNED_MAX_BYTES: usize = MEMORY32_MAX_BYTES as usize;

/// Initial values of an instance's mutable globals. They belong to the slot: a `funcref` in them points into its context.
#[derive(Debug, Default)]
pub struct GlobalsImage(Box<[VmGlobal]>);

/// Others may hold a shared memory that an instance has made, so that it cannot go back to its image.
const SHARED: &str = "an instance that defines a shared memory was to be used again";

/// Gives a new instance its image, and takes the image of its globals.
///
/// # Errors
///
/// `Os` when mappings or memory are exhausted.
pub fn prepare(instance: &mut VmInstance, image: &InstanceImage) -> Result<GlobalsImage> {
    let module = instance.module().clone();
    let parts = image.make(&module.info)?;
    for (memory, image) in instance.memories().iter().zip(&parts.memories) {
        if let Some(image) = image {
            image.map(memory.linear())?;
        }
    }
    for (i, table) in parts.tables.iter().enumerate() {
        tables::prepare(instance, table, i);
    }
    // SAFETY: nobody runs in the instance.
    Ok(GlobalsImage(unsafe { (*instance.mutable_globals()).into() }))
}

/// Brings an instance back to its image.
///
/// # Errors
///
/// `Os` when a page cannot be protected again. The instance must not be used any more then.
///
/// # Safety
///
/// Nobody runs in the instance; `image` and `globals` are those it was prepared with.
pub unsafe fn reset(instance: &mut VmInstance, image: &InstanceImage, globals: &GlobalsImage) -> Result<()> {
    // SAFETY: nobody runs in the instance; it was prepared with these globals.
    unsafe { reset_globals(instance, globals) };
    if instance.segments_dirty() {
        instance.reset_segments();
    }
    let (imported_memories, imported_tables) =
        (instance.module().info.imported_memories, instance.module().info.imported_tables);
    for (i, memory_image) in image.memories().iter().enumerate() {
        let definition = instance.memory(imported_memories + i as u32);
        let InstanceMemory::Own(memory) = &instance.memories()[i] else { bail!(Bug, "{SHARED}") };
        // SAFETY: the definition of a memory that this instance defines.
        unsafe { reset_memory(memory, &*definition, memory_image.as_ref())? };
    }
    for (i, table) in image.tables().iter().enumerate() {
        let definition = instance.table(imported_tables + i as u32);
        // SAFETY: the definition of a table that this instance defines.
        if unsafe { (*definition).dirty } != 0 {
            tables::reset(instance, table, i);
        }
    }
    Ok(())
}

/// Restores the mutable globals: those that have no marks, and those that are marked.
///
/// # Safety
///
/// As for [`reset`].
#[inline]
unsafe fn reset_globals(instance: &VmInstance, globals: &GlobalsImage) {
    let layout = &instance.module().layout;
    let to = instance.mutable_globals().cast::<VmGlobal>();
    // SAFETY: the block has as many globals as its image, and nobody runs in the instance.
    let restore = |range: Range<usize>| unsafe {
        ptr::copy_nonoverlapping(globals.0[range.clone()].as_ptr(), to.add(range.start), range.len());
    };
    if layout.unmarked_global_count > 0 {
        restore(0..layout.unmarked_global_count as usize);
    }
    if layout.global_mark_words() > 0 {
        // SAFETY: marks are the instance's own; nobody runs in it.
        let marks = unsafe { &mut *instance.global_marks() };
        marks::take(marks, |mark| restore(layout.marked_globals(mark as u32)));
    }
}

/// Restores the dirty lines of a memory and its size.
///
/// # Safety
///
/// Nobody uses the memory; `definition` is its own.
#[inline]
unsafe fn reset_memory(memory: &LinearMemory, definition: &VmMemory, image: Option<&MemoryImage>) -> Result<()> {
    match (memory.tracking(), dirty_map(definition)) {
        (DirtyTracking::Lines, Some(map)) if definition.length() <= SCANNED_MAX_BYTES => {
            // SAFETY: the map is accessible for every line of the memory, and nobody else uses it.
            let map = unsafe { &mut *map };
            // SAFETY: runs are lines of the memory.
            for_each_run(map, |run| unsafe { restore(definition, run, image) });
        }
        // SAFETY: passed on.
        (DirtyTracking::Pages, _) => unsafe { pages::restore(memory, definition, image)? },
        _ => rebuild(memory, image)?,
    }
    if definition.length() > memory.minimum_bytes() {
        memory.shrink_to_minimum(definition)?;
    }
    Ok(())
}

/// Restores a memory whose writes are not known, or whose map is too large to be scanned: its pages are given back, so that
/// the image, or zeroes, are there again. Costs a system call or two, and time in proportion to what is resident.
#[cold]
pub(super) fn rebuild(memory: &LinearMemory, image: Option<&MemoryImage>) -> Result<()> {
    match (memory.discard()?, image) {
        (true, Some(image)) => image.map(memory),
        _ => Ok(()),
    }
}

/// Calls `found` with runs of marked lines, ascending, and clears the marks. `map` has a byte for each line, eight to a
/// word; a run does not cross from one word to the next.
#[inline]
fn for_each_run(map: &mut [u64], mut found: impl FnMut(Range<usize>)) {
    // Blocks of known size, so that looking at a clean one takes a few vector instructions.
    let (blocks, rest) = map.as_chunks_mut::<8>();
    let lines_in_blocks = blocks.len() * 64;
    for (i, block) in blocks.iter_mut().enumerate() {
        if block.iter().fold(0, |any, &word| any | word) != 0 {
            runs_of_words(block, i * 64, &mut found);
        }
    }
    runs_of_words(rest, lines_in_blocks, &mut found);
}

/// The runs of a few words, the first of which stands for the lines from `line` on.
#[inline]
fn runs_of_words(words: &mut [u64], line: usize, found: &mut impl FnMut(Range<usize>)) {
    const LOW: u64 = 0x0101_0101_0101_0101;
    for (i, word) in words.iter_mut().enumerate() {
        if *word == 0 {
            continue;
        }
        // 1 in each byte that is not 0.
        let mut marks = ((((*word & (LOW * 0x7f)) + LOW * 0x7f) | *word) >> 7) & LOW;
        *word = 0;
        let first = line + i * 8;
        while marks != 0 {
            let start = marks.trailing_zeros() / 8;
            let len = ((marks >> (start * 8)) ^ LOW).trailing_zeros() / 8;
            let end = start + len;
            found(first + start as usize..first + end as usize);
            marks &= u64::MAX.checked_shl(end * 8).unwrap_or(0);
        }
    }
}

/// Restores a run of lines and what a store at its end may have spilled beyond.
///
/// # Safety
///
/// The lines lie in the memory, which nobody uses.
#[inline]
unsafe fn restore(definition: &VmMemory, lines: Range<usize>, image: Option<&MemoryImage>) {
    let start = lines.start * DIRTY_LINE_BYTES;
    let end = (lines.end * DIRTY_LINE_BYTES + DIRTY_SPILL_BYTES - 1).min(definition.length());
    let piece = |range: Range<usize>, bytes: Option<&[u8]>| {
        // SAFETY: `range` lies in the memory.
        unsafe {
            let to = definition.base.add(range.start);
            match bytes {
                Some(bytes) => ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()),
                None => ptr::write_bytes(to, 0, range.len()),
            }
        }
    };
    match image {
        Some(image) => image.pieces(start..end, piece),
        None => piece(start..end, None),
    }
}

/// Compares an instance with its image, byte by byte.
///
/// # Errors
///
/// `Bug`, naming the first difference.
///
/// # Safety
///
/// As for [`reset`].
pub unsafe fn check(instance: &mut VmInstance, image: &InstanceImage, globals: &GlobalsImage) -> Result<()> {
    // SAFETY: nobody runs in the instance.
    let now = unsafe { &*instance.mutable_globals() };
    if let Some(i) = now.iter().zip(&globals.0).position(|(a, b)| a.bits != b.bits) {
        bail!(Bug, "mutable global {i} differs from its image after a reset");
    }
    // SAFETY: as above.
    if unsafe { &*instance.global_marks() }.iter().any(|&word| word != 0) {
        bail!(Bug, "mutable globals are still marked after a reset");
    }
    if instance.segments_dirty() {
        bail!(Bug, "segments differ from their image after a reset");
    }
    let module = instance.module().clone();
    for (i, memory_image) in image.memories().iter().enumerate() {
        // SAFETY: the definition of a memory that this instance defines.
        let definition = unsafe { &*instance.memory(module.info.imported_memories + i as u32) };
        let memory = instance.memories()[i].linear();
        let length = definition.length();
        if length != memory.minimum_bytes() {
            bail!(Bug, "memory {i} has {} bytes after a reset; a fresh one has {}", length, memory.minimum_bytes());
        }
        let tracked = matches!(memory.tracking(), DirtyTracking::Lines | DirtyTracking::Pages);
        // SAFETY: the map is accessible for the whole memory.
        let map = dirty_map(definition).filter(|_| tracked).map_or(&[][..], |map| unsafe { &*map });
        if let Some(word) = map.iter().position(|&w| w != 0) {
            bail!(Bug, "a line near {} of memory {i} is still marked after a reset", word * 8);
        }
        let mut differs = None;
        let mut compare = |range: Range<usize>, bytes: Option<&[u8]>| {
            // SAFETY: the range lies in the memory, which nobody writes.
            let now = unsafe { std::slice::from_raw_parts(definition.base.add(range.start), range.len()) };
            let same = match bytes {
                Some(bytes) => now == bytes,
                None => now.iter().all(|&b| b == 0),
            };
            if !same && differs.is_none() {
                differs = Some(range);
            }
        };
        match memory_image {
            Some(image) => image.pieces(0..length, compare),
            None => compare(0..length, None),
        }
        if let Some(range) = differs {
            bail!(Bug, "memory {i} differs from its image somewhere in {range:?} after a reset");
        }
    }
    tables::check(instance, image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_lines_are_found_wherever_they_lie_and_marks_are_cleared() {
        for words in [1usize, 7, 8, 9, 32] {
            for start in 0..words * 8 {
                for len in [1, 2, 7, 8, 9, 64, 130] {
                    for mark in [1, 2, 0x80, 0xff] {
                        let end = (start + len).min(words * 8);
                        let mut bytes = vec![0u8; words * 8];
                        bytes[start..end].fill(mark);
                        let mut map: Vec<u64> =
                            bytes.chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
                        let mut lines = Vec::new();
                        for_each_run(&mut map, |r| lines.extend(r));
                        assert_eq!(lines, (start..end).collect::<Vec<_>>());
                        assert!(map.iter().all(|&word| word == 0));
                    }
                }
            }
        }
    }

    #[test]
    fn scattered_marks_are_all_found() {
        let mut map = [0x0001_0000_0101_0001, 0, u64::MAX, 0x0100_0000_0000_0000];
        let mut lines = Vec::new();
        for_each_run(&mut map, |r| lines.extend(r));
        assert_eq!(lines, [0, 2, 3, 6, 16, 17, 18, 19, 20, 21, 22, 23, 31]);
    }
}
