//! What goes into a module's image is decided when it is compiled: as much as is known before instantiation, per memory
//! and per table.
//!
//! ```text
//!   memory   |  zero  | extent 0 |     zero      | extent 1 | zero …
//!   section           | extent 0 | extent 1 |                           page-aligned, mapped from the artifact
//! ```
//!
//! Segments that lie far apart give several extents, so a sparse memory has a small image. When so few extents would hold
//! mostly zeroes, the artifact keeps the segments, and the image is built in a sparse file when it is first needed.

use std::ops::Range;

use super::info::{ConstOp, Elements, ModuleInfo, SegmentMode};

/// Most extents of an image: each is a mapping of its own in every slot.
const MAX_EXTENTS: usize = 16;
/// Zeroes that an artifact may hold for each memory beside as many as it has data, in bytes.
const MAX_PADDING: usize = 64 << 10;

/// Bytes of a memory's image: where in the memory, page-aligned, and where in what holds the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    pub at: Range<usize>,
    pub offset: usize,
}

/// The image of one memory.
#[derive(Clone, Debug, Default)]
pub enum MemoryContents {
    /// Zeroes.
    #[default]
    Zero,
    /// Ascending extents of the artifact's image section.
    Extents(Box<[Extent]>),
    /// Data segments, each with its address, to be applied in order.
    Segments(Box<[(usize, u32)]>),
}

/// The image of one table: what it is initialised with, and these element segments, each with where it starts, in order.
pub type TablePlan = Box<[(usize, u32)]>;

/// Images of everything that a module defines, and what is left to each instance.
#[derive(Clone, Debug, Default)]
pub struct ImagePlan {
    /// By defined memory.
    pub memories: Box<[MemoryContents]>,
    /// By defined table.
    pub tables: Box<[TablePlan]>,
    /// Active element segments to be applied to each instance, in order.
    pub dynamic_elements: Box<[u32]>,
    /// Active data segments to be applied to each instance, in order. Here and above, data segments are counted as in
    /// [`ModuleInfo::data_segments`].
    pub dynamic_data: Box<[u32]>,
}

impl ImagePlan {
    /// Decides about the segments of a module, and appends the extents of its memories to `section`, whose place in the file
    /// is page-aligned.
    pub fn new(info: &ModuleInfo, page: usize, section: &mut Vec<u8>) -> Self {
        let (tables, dynamic_elements) = tables(info);
        // When elements can trap, data must not be there before them: see `visible_when_failed`.
        let late = visible_when_failed(info) && !dynamic_elements.is_empty();
        let (segments, dynamic_data) = memories(info, late);
        let memories = segments.into_iter().map(|list| memory_contents(info, list, page, section)).collect();
        ImagePlan { memories, tables, dynamic_elements, dynamic_data }
    }
}

impl ImagePlan {
    /// Data segments whose bytes are needed though there is an image: all that do not lie in extents. The others are dropped
    /// as soon as they are applied. From here on the plan counts the segments that are needed only.
    #[cfg(feature = "compile")]
    pub fn keep_data(&mut self, info: &ModuleInfo) -> Vec<u32> {
        let mut dynamic = self.dynamic_data.iter().peekable();
        let needed = |&index: &u32| {
            let is_dynamic = dynamic.next_if(|&&d| d == index).is_some();
            let SegmentMode::Active { target, .. } = info.data_segments[index as usize].mode else { return true };
            let memory = target.checked_sub(info.imported_memories).map(|m| &self.memories[m as usize]);
            is_dynamic || matches!(memory, None | Some(MemoryContents::Segments(_)))
        };
        let kept: Vec<u32> = (0..info.data_segments.len() as u32).filter(needed).collect();
        let place = |index: u32| kept.binary_search(&index).expect("the plan refers to segments that are kept") as u32;
        self.dynamic_data = self.dynamic_data.iter().map(|&index| place(index)).collect();
        for memory in &mut self.memories {
            if let MemoryContents::Segments(list) = memory {
                list.iter_mut().for_each(|(_, index)| *index = place(*index));
            }
        }
        kept
    }
}

/// Whether an instance that failed to start can be seen: by a function of it that went into an imported table. Then what
/// follows the first segment that depends on the instance, and may trap, is not in the image either.
fn visible_when_failed(info: &ModuleInfo) -> bool {
    info.imported_tables > 0
}

/// The value of an offset that does not depend on the instance.
fn constant(expression: &[ConstOp]) -> Option<u64> {
    match expression {
        [ConstOp::Bits(bits)] => Some(*bits),
        _ => None,
    }
}

fn tables(info: &ModuleInfo) -> (Box<[TablePlan]>, Box<[u32]>) {
    let imported = info.imported_tables as usize;
    let mut plans = vec![Vec::new(); info.tables.len() - imported];
    // A table leaves the image at its first segment that depends on the instance: later ones must not go before it.
    let mut closed = vec![false; plans.len()];
    let mut dynamic = Vec::new();
    for (i, segment) in info.element_segments.iter().enumerate() {
        let SegmentMode::Active { target, offset } = &segment.mode else { continue };
        let late = visible_when_failed(info) && !dynamic.is_empty();
        let place = (*target as usize).checked_sub(imported).filter(|&t| !closed[t] && !late);
        let known = place.and_then(|table| {
            let start = constant(offset)?;
            let end = start.checked_add(segment.elements.len() as u64)?;
            (end <= info.tables[imported + table].ty.minimum).then_some(())?;
            matches!(segment.elements, Elements::Functions(_)).then_some((table, start as usize))
        });
        match known {
            Some((table, start)) => plans[table].push((start, i as u32)),
            None => {
                if let Some(table) = place {
                    closed[table] = true;
                }
                dynamic.push(i as u32);
            }
        }
    }
    (plans.into_iter().map(Vec::into_boxed_slice).collect(), dynamic.into())
}

/// Segments, each with where it goes.
type Placed = Vec<(usize, u32)>;

/// Data segments of each memory that are in its image, with their addresses, and those that are left out. `late`: all are.
fn memories(info: &ModuleInfo, late: bool) -> (Vec<Placed>, Box<[u32]>) {
    let imported = info.imported_memories as usize;
    let mut contents = vec![Vec::new(); info.memories.len() - imported];
    let mut closed = vec![false; contents.len()];
    let mut dynamic = Vec::new();
    for (i, segment) in info.data_segments.iter().enumerate() {
        let SegmentMode::Active { target, offset } = &segment.mode else { continue };
        let place = (*target as usize).checked_sub(imported).filter(|&m| !closed[m] && !late);
        let known = place.and_then(|memory| {
            let start = constant(offset)?;
            let end = start.checked_add(segment.bytes.len() as u64)?;
            let ty = &info.memories[imported + memory];
            (end <= ty.minimum.checked_mul(ty.page_size())?).then_some((memory, start as usize))
        });
        match known {
            Some((memory, start)) => contents[memory].push((start, i as u32)),
            None => {
                if let Some(memory) = place {
                    closed[memory] = true;
                }
                dynamic.push(i as u32);
            }
        }
    }
    (contents, dynamic.into())
}

fn memory_contents(info: &ModuleInfo, segments: Placed, page: usize, section: &mut Vec<u8>) -> MemoryContents {
    let bytes = |index: u32| &info.data[info.data_segments[index as usize].bytes.clone()];
    let (extents, len) = extents(segments.iter().map(|&(at, index)| at..at + bytes(index).len()), page);
    let data: usize = segments.iter().map(|&(_, index)| bytes(index).len()).sum();
    if len == 0 {
        return MemoryContents::Zero;
    }
    if len > data.saturating_mul(2).saturating_add(MAX_PADDING) {
        return MemoryContents::Segments(segments.into());
    }
    let start = section.len();
    section.resize(start + len, 0);
    for (at, index) in segments.into_iter().filter(|&(_, index)| !bytes(index).is_empty()) {
        let place = start + place(&extents, at);
        section[place..place + bytes(index).len()].copy_from_slice(bytes(index));
    }
    MemoryContents::Extents(extents.into_iter().map(|e| Extent { offset: start + e.offset, ..e }).collect())
}

/// Extents, ascending, that hold these ranges of a memory, and the number of bytes in all of them.
pub fn extents(ranges: impl Iterator<Item = Range<usize>>, page: usize) -> (Vec<Extent>, usize) {
    let mut pages: Vec<Range<usize>> =
        ranges.filter(|r| !r.is_empty()).map(|r| r.start / page * page..r.end.next_multiple_of(page)).collect();
    pages.sort_by_key(|r| r.start);
    let mut gap = 0;
    let merged = loop {
        let merged = merge(&pages, gap);
        if merged.len() <= MAX_EXTENTS {
            break merged;
        }
        gap = (gap * 2).max(page);
    };
    let mut len = 0;
    let extents = merged
        .into_iter()
        .map(|at| {
            let extent = Extent { offset: len, at };
            len += extent.at.len();
            extent
        })
        .collect();
    (extents, len)
}

/// Where address `at`, which lies in one of the extents, lies in what holds them.
pub fn place(extents: &[Extent], at: usize) -> usize {
    let extent = extents.iter().find(|e| e.at.contains(&at)).expect("every segment lies in an extent");
    extent.offset + at - extent.at.start
}

/// Merges ranges, sorted by start, that touch or lie at most `gap` bytes apart.
fn merge(sorted: &[Range<usize>], gap: usize) -> Vec<Range<usize>> {
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end + gap => last.end = last.end.max(range.end),
            _ => merged.push(range.clone()),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;

    #[test]
    fn ranges_that_lie_close_share_an_extent() {
        let (list, len) = extents([10..15, 12..13, 1 << 20..(1 << 20) + 3, 7..7, 4000..4097].into_iter(), PAGE);
        let expected =
            [Extent { at: 0..2 * PAGE, offset: 0 }, Extent { at: 1 << 20..(1 << 20) + PAGE, offset: 2 * PAGE }];
        assert_eq!((list, len), (expected.to_vec(), 3 * PAGE));
        assert_eq!(place(&expected, (1 << 20) + 2), 2 * PAGE + 2);
    }

    #[test]
    fn many_scattered_ranges_make_few_extents() {
        let (list, len) = extents((0..1000).map(|i| i * 100_000..i * 100_000 + 1), PAGE);
        assert!(list.len() <= MAX_EXTENTS);
        assert_eq!(len, list.iter().map(|e| e.at.len()).sum::<usize>());
        assert!((0..1000).all(|i| list.iter().any(|e| e.at.contains(&(i * 100_000)))));
    }

    #[test]
    fn no_bytes_no_extents() {
        assert_eq!(extents(std::iter::once(5..5), PAGE), (Vec::new(), 0));
    }
}
