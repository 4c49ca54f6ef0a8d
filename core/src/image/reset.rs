//! Bringing an instance to its image: once when a slot is made, and after every tenant.
//!
//! A reset touches only what was dirtied. How that is known is each memory's own: its lines are marked ([`lines`]), its pages
//! were read-only until they were written to ([`touched`](super::touched)), or the system is asked ([`pages`]). Where writes
//! are not tracked, or not all of them were seen, the pages of the memory are given back instead.
//!
//! Invariant: after [`reset`] the instance equals its image in everything a guest can see or use: bytes, sizes, dirty
//! map, page protections, tables, globals, dropped segments. [`check`] compares all of it.

use std::ops::Range;
use std::ptr;
use std::sync::Arc;

use super::touched::{HotSets, SlotView};
use super::{InstanceImage, MemoryImage, ResetLog, lines, pages, tables};
use crate::artifact::layout::{MEMORY32_MAX_BYTES, VmGlobal, VmMemory};
use crate::config::DirtyTracking;
use crate::error::{Result, bail};
use crate::vm::instance::VmInstance;
use crate::vm::marks;
use crate::vm::memory::{LinearMemory, NOT_PROTECTED, dirty_map};
use crate::vm::shared::InstanceMemory;
use crate::vm::touched::State;

/// Memories larger than this, which take 64-bit addresses, are rebuilt: most of them is never touched, and a guest could
/// make the scan of its map take seconds.
pub(super) const SCANNED_MAX_BYTES: usize = MEMORY32_MAX_BYTES as usize;

/// What belongs to a slot: initial values of its instance's mutable globals, as a `funcref` in them points into its context;
/// and what it knows of hot sets.
#[derive(Debug, Default)]
pub struct GlobalsImage(Box<[VmGlobal]>, Option<SlotView>);

/// Others may hold a shared memory that an instance has made, so that it cannot go back to its image.
const SHARED: &str = "an instance that defines a shared memory was to be used again";

/// Gives a new instance its image, and takes the image of its globals. With `hot` its memories are protected.
///
/// # Errors
///
/// `Os` when mappings or memory are exhausted.
pub fn prepare(instance: &mut VmInstance, image: &InstanceImage, hot: Option<&Arc<HotSets>>) -> Result<GlobalsImage> {
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
    let view = hot.map(|hot| SlotView::new(hot, instance)).transpose()?;
    // SAFETY: nobody runs in the instance.
    Ok(GlobalsImage(unsafe { (*instance.mutable_globals()).into() }, view))
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
pub unsafe fn reset(
    instance: &mut VmInstance,
    image: &InstanceImage,
    globals: &GlobalsImage,
    log: &mut ResetLog,
) -> Result<()> {
    log.begin();
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
        unsafe {
            match (&globals.1, memory.touched()) {
                (Some(view), Some(touched)) => {
                    view.reset(memory, touched, &*definition, memory_image.as_ref(), (i, &mut *log))?
                }
                _ => restore_memory(memory, &*definition, memory_image.as_ref(), (i, &mut *log))?,
            }
            if (*definition).length() > memory.minimum_bytes() {
                memory.shrink_to_minimum(&*definition)?;
                // It may have moved as it grew.
                note_copy(memory, memory_image.as_ref(), (i, &mut *log));
            }
        }
    }
    for (i, table) in image.tables().iter().enumerate() {
        let definition = instance.table(imported_tables + i as u32);
        // SAFETY: the definition of a table that this instance defines.
        if unsafe { (*definition).dirty } != 0 {
            // SAFETY: as above.
            if unsafe { (*definition).length } as u64 > instance.table_storage(i).ty().minimum {
                log.table_changed();
            }
            tables::reset(instance, table, i);
        }
    }
    if is_outdated(globals) && !refresh(instance, globals) {
        bail!(Os, "{NOT_PROTECTED}");
    }
    Ok(())
}

/// Gives the system back what an instance that equals its image holds beyond what it needs: pages of memories that were
/// written, spare room of tables. It equals its image after it.
///
/// # Errors
///
/// `Os` when the system refuses. The instance must not be used any more then.
///
/// # Safety
///
/// As for [`reset`], which was called before.
pub unsafe fn give_back(
    instance: &mut VmInstance,
    image: &InstanceImage,
    globals: &GlobalsImage,
    log: &mut ResetLog,
) -> Result<()> {
    for (i, memory_image) in image.memories().iter().enumerate() {
        let InstanceMemory::Own(memory) = &instance.memories()[i] else { bail!(Bug, "{SHARED}") };
        rebuild(memory, memory_image.as_ref(), (i, log))?;
    }
    for i in 0..image.tables().len() {
        instance.table_storage(i).release_spare();
        let fresh = instance.table_storage(i).definition();
        let place = instance.table(instance.module().info.imported_tables + i as u32);
        // SAFETY: the definition of a table that this instance defines.
        unsafe { place.write(fresh) };
    }
    log.table_changed();
    if !refresh(instance, globals) {
        bail!(Os, "{NOT_PROTECTED}");
    }
    Ok(())
}

/// Notes what is resident because images were copied to a fresh instance.
pub fn note_copies(instance: &VmInstance, image: &InstanceImage, log: &mut ResetLog) {
    for (i, memory_image) in image.memories().iter().enumerate() {
        note_copy(instance.memories()[i].linear(), memory_image.as_ref(), (i, log));
    }
}

fn note_copy(memory: &LinearMemory, image: Option<&MemoryImage>, (index, log): (usize, &mut ResetLog)) {
    log.moved(index, memory.moved_bytes(image.map_or(0, MemoryImage::bytes)));
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

/// Whether other instances have taught something since the memories of a slot were protected.
#[inline]
pub fn is_outdated(globals: &GlobalsImage) -> bool {
    globals.1.as_ref().is_some_and(SlotView::is_outdated)
}

/// Protects the memories of an idle slot as is known now. Says whether it can be used.
#[cold]
pub fn refresh(instance: &VmInstance, globals: &GlobalsImage) -> bool {
    globals.1.as_ref().is_none_or(|view| view.adopt(instance))
}

/// Restores the dirty lines of a memory, or rebuilds it.
///
/// # Safety
///
/// Nobody uses the memory; `definition` is its own.
#[inline]
unsafe fn restore_memory(
    memory: &LinearMemory,
    definition: &VmMemory,
    image: Option<&MemoryImage>,
    (index, log): (usize, &mut ResetLog),
) -> Result<()> {
    match (memory.tracking(), dirty_map(definition)) {
        (DirtyTracking::Lines, Some(map)) if definition.length() <= SCANNED_MAX_BYTES => {
            // SAFETY: the map is accessible for every line of the memory, and nobody else uses it.
            let map = unsafe { &mut *map };
            // SAFETY: it is the memory's map.
            unsafe { lines::restore(definition, map, image, (index, &mut *log)) };
        }
        // SAFETY: passed on.
        (DirtyTracking::Pages, _) => unsafe { pages::restore(memory, definition, image, (index, &mut *log))? },
        _ => rebuild(memory, image, (index, &mut *log))?,
    }
    Ok(())
}

/// Restores a memory whose writes are not known, or whose map is too large to be scanned: its pages are given back, so that
/// the image, or zeroes, are there again. Costs a system call or two, and time in proportion to what is resident.
#[cold]
pub(super) fn rebuild(
    memory: &LinearMemory,
    image: Option<&MemoryImage>,
    (index, log): (usize, &mut ResetLog),
) -> Result<()> {
    if let Some(touched) = memory.touched()
        && touched.state() == State::Closed
        && !touched.open()
    {
        bail!(Os, "{NOT_PROTECTED}");
    }
    let anew = memory.discard()?;
    log.discarded(index);
    if let (true, Some(image)) = (anew, image) {
        image.map(memory)?;
        note_copy(memory, Some(image), (index, log));
    }
    Ok(())
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
    let look_at_protections = globals.1.as_ref().is_some_and(SlotView::checks_protections);
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
        if let Some(touched) = memory.touched().filter(|_| look_at_protections)
            && let Err(difference) = touched.check()
        {
            bail!(Bug, "memory {i} is not protected as its hot set says after a reset: {difference}");
        }
    }
    tables::check(instance, image)
}
