//! Bringing an instance to its image: once when a slot is made, and after every tenant.
//!
//! A reset touches only what was dirtied. Per memory:
//!
//! ```text
//!   dirty map    0 0 1 1 0 0 0 1 0 …        scanned 64 bytes at a time
//!                    └─┬─┘     └┬┘
//!   memory           2 lines    1 line      each run, and the 64 bytes after it, from the image; zeroes beyond it
//! ```
//!
//! Where writes are not tracked, the pages of the memory are given back instead.
//!
//! Invariant: after [`reset`] the instance equals its image in everything a guest can see or use: bytes, sizes, dirty
//! map, page protections, tables, globals, dropped segments. [`check`] compares all of it.

use std::ops::Range;
use std::ptr;

use super::{InstanceImage, MemoryImage};
use crate::artifact::info::{Elements, ModuleInfo};
use crate::artifact::layout::{DIRTY_LINE_BYTES, DIRTY_SPILL_BYTES, MEMORY32_MAX_BYTES, VmGlobal, VmMemory};
use crate::error::{Result, bail};
use crate::vm::instance::VmInstance;
use crate::vm::memory::{LinearMemory, dirty_map};
use crate::vm::shared::InstanceMemory;

/// Memories larger than this, which take 64-bit addresses, are rebuilt: most of them is never touched, and a guest could
/// make the scan of its map take seconds.
const SCANNED_MAX_BYTES: usize = MEMORY32_MAX_BYTES as usize;

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
    for (memory, image) in instance.memories().iter().zip(image.make(&module.info)?) {
        if let Some(image) = image {
            image.map(memory.linear())?;
        }
    }
    for i in 0..image.plan.tables.len() {
        // A fresh table has nulls already.
        match table_init(instance, i) {
            0 => apply_elements(instance, image, i),
            _ => fill_table(instance, image, i),
        }
    }
    // SAFETY: nobody runs in the instance.
    Ok(GlobalsImage(unsafe { (*instance.mutable_globals()).into() }))
}

/// What the elements of a table start as: a reference that perhaps only the instance knows.
fn table_init(instance: &VmInstance, index: usize) -> u64 {
    let info = &instance.module().info;
    let decl = &info.tables[info.imported_tables as usize + index];
    decl.init.as_ref().map_or(0, |init| instance.evaluate_word(init))
}

/// The functions of a segment that is in a table's image.
fn functions(info: &ModuleInfo, segment: u32) -> &[u32] {
    match &info.element_segments[segment as usize].elements {
        Elements::Functions(list) => list,
        // Not in an image.
        Elements::Expressions(_) => &[],
    }
}

fn fill_table(instance: &mut VmInstance, image: &InstanceImage, index: usize) {
    let init = table_init(instance, index);
    instance.table_storage(index).elements_mut().fill(init);
    apply_elements(instance, image, index);
}

fn apply_elements(instance: &mut VmInstance, image: &InstanceImage, index: usize) {
    let module = instance.module().clone();
    let references = instance.references();
    let elements = instance.table_storage(index).elements_mut();
    for &(at, segment) in &image.plan.tables[index] {
        let functions = functions(&module.info, segment);
        // Lengths were compared with the table's when the module was loaded.
        for (element, &place) in elements[at..at + functions.len()].iter_mut().zip(functions) {
            *element = references.element(place);
        }
    }
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
    if !globals.0.is_empty() {
        // SAFETY: the block has as many globals as its image, and nobody runs in the instance.
        unsafe {
            let to = instance.mutable_globals().cast::<VmGlobal>();
            ptr::copy_nonoverlapping(globals.0.as_ptr(), to, globals.0.len());
        }
    }
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
    for i in 0..image.plan.tables.len() {
        let definition = instance.table(imported_tables + i as u32);
        // SAFETY: the definition of a table that this instance defines.
        if unsafe { (*definition).dirty } != 0 {
            reset_table(instance, image, i);
        }
    }
    Ok(())
}

#[cold]
fn reset_table(instance: &mut VmInstance, image: &InstanceImage, index: usize) {
    instance.table_storage(index).shrink_to_minimum();
    fill_table(instance, image, index);
    let fresh = instance.table_storage(index).definition();
    let place = instance.table(instance.module().info.imported_tables + index as u32);
    // SAFETY: the definition of a table that this instance defines.
    unsafe { place.write(fresh) };
}

/// Restores the dirty lines of a memory and its size.
///
/// # Safety
///
/// Nobody uses the memory; `definition` is its own.
#[inline]
unsafe fn reset_memory(memory: &LinearMemory, definition: &VmMemory, image: Option<&MemoryImage>) -> Result<()> {
    match dirty_map(definition) {
        Some(map) if definition.length() <= SCANNED_MAX_BYTES => {
            // SAFETY: the map is accessible for every line of the memory, and nobody else uses it.
            let map = unsafe { &mut *map };
            // SAFETY: runs are lines of the memory.
            for_each_run(map, |run| unsafe { restore(definition, run, image) });
        }
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
fn rebuild(memory: &LinearMemory, image: Option<&MemoryImage>) -> Result<()> {
    match (memory.discard()?, image) {
        (true, Some(image)) => image.map(memory),
        _ => Ok(()),
    }
}

/// Calls `found` with runs of marked lines, ascending and as long as they are, and clears the marks. `map` has a byte for each
/// line, eight to a word.
#[inline]
fn for_each_run(map: &mut [u64], mut found: impl FnMut(Range<usize>)) {
    let mut last = 0..0;
    // Long runs come from words that are full, one after the other.
    let mut joined = |run: Range<usize>| {
        if run.start == last.end {
            last.end = run.end;
        } else {
            let whole = std::mem::replace(&mut last, run);
            if !whole.is_empty() {
                found(whole);
            }
        }
    };
    // Blocks of known size, so that looking at a clean one takes a few vector instructions.
    let (blocks, rest) = map.as_chunks_mut::<8>();
    let lines_in_blocks = blocks.len() * 64;
    for (i, block) in blocks.iter_mut().enumerate() {
        if block.iter().fold(0, |any, &word| any | word) != 0 {
            runs_of_words(block, i * 64, &mut joined);
        }
    }
    runs_of_words(rest, lines_in_blocks, &mut joined);
    if !last.is_empty() {
        found(last);
    }
}

/// The runs of a few words, the first of which stands for the lines from `line` on. A run does not cross from one word to the
/// next.
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
    let end = (lines.end * DIRTY_LINE_BYTES + DIRTY_SPILL_BYTES).min(definition.length());
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
    // What a mark covers goes on at the start of the memory after the last address of 32 bits.
    if lines.end * DIRTY_LINE_BYTES == MEMORY32_MAX_BYTES as usize {
        match image {
            Some(image) => image.pieces(0..DIRTY_SPILL_BYTES, piece),
            None => piece(0..DIRTY_SPILL_BYTES, None),
        }
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
        // SAFETY: the map is accessible for the whole memory.
        let map = dirty_map(definition).map_or(&[][..], |map| unsafe { &*map });
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
    for (i, segments) in image.plan.tables.iter().enumerate() {
        let decl = &module.info.tables[module.info.imported_tables as usize + i];
        let mut expected = vec![table_init(instance, i); decl.ty.minimum as usize];
        for &(at, segment) in segments {
            for (k, &place) in functions(&module.info, segment).iter().enumerate() {
                expected[at + k] = instance.references().element(place);
            }
        }
        if instance.table_storage(i).elements_mut() != expected {
            bail!(Bug, "table {i} differs from its image after a reset");
        }
    }
    Ok(())
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
                        let mut runs = Vec::new();
                        for_each_run(&mut map, |run| runs.push(run));
                        assert_eq!((runs.len(), runs[0].clone()), (1, start..end));
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
