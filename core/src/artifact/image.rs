//! What goes into the image of a module's instances: as much as is known before instantiation, per memory and per table.
//!
//! ```text
//!   memory   |  zero  | extent 0 |     zero      | extent 1 | zero …
//!   section           | extent 0 | extent 1 |                           page-aligned, mapped from the artifact
//! ```
//!
//! It is decided twice. When a module is compiled, offsets that come from imported globals are not known: a memory all of
//! whose segments are known gets extents in the artifact, any other keeps its segments. When imports are resolved, the
//! values of constant globals are there: [`resolve`] places all segments whose places are known then.
//!
//! Segments that lie far apart give several extents, so a sparse memory has a small image. When so few extents would hold
//! mostly zeroes, the artifact keeps the segments, and the image is built in a sparse file when it is first needed.
//!
//! # The specification's order
//!
//! Element segments are applied in order, then data segments in order; one that does not fit traps, and what went before
//! stays. An image has all of its segments at once. Nobody can tell the difference unless an instance fails to start and is
//! seen nevertheless, by a function of it that a segment put into an imported table before. Then what follows the next
//! segment that may trap is not in the image. What follows a segment that is known to trap is in no image, as it is never
//! applied.

use std::ops::Range;

use super::info::{ConstOp, ModuleInfo, SegmentMode};

/// Most extents of an image: each is a mapping of its own in every slot.
const MAX_EXTENTS: usize = 16;

/// Bytes of a memory's image: where in the memory, page-aligned, and where in what holds the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    pub at: Range<usize>,
    pub offset: usize,
}

impl Extent {
    /// Where the bytes lie in what holds the image.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.at.len()
    }
}

/// What an artifact has of the initial contents of one memory.
#[derive(Clone, Debug, Default)]
pub enum MemoryContents {
    /// Zeroes.
    #[default]
    Zero,
    /// Ascending extents of the artifact's image section: all of it.
    Extents(Box<[Extent]>),
    /// The bytes of all active segments.
    Segments,
}

/// What an artifact says of the image of its instances.
#[derive(Clone, Debug, Default)]
pub struct ImagePlan {
    /// By defined memory.
    pub memories: Box<[MemoryContents]>,
    /// Whether the place of a segment depends on imported globals.
    pub depends_on_imports: bool,
}

/// Segments, each with where it goes.
pub type Placed = Box<[(usize, u32)]>;

/// What becomes of active segments.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// By defined memory: data segments of its image, in order, unless the artifact has their bytes in extents.
    pub memories: Box<[Placed]>,
    /// By defined table: element segments of its image, in order.
    pub tables: Box<[Placed]>,
    /// Active element segments to be applied to each instance, in order.
    pub dynamic_elements: Box<[u32]>,
    /// Active data segments to be applied to each instance, in order.
    pub dynamic_data: Box<[u32]>,
}

impl ImagePlan {
    /// Decides about the segments of a module, and appends the extents of its memories to `section`, whose place in the file
    /// is page-aligned. Of one memory it holds at most as many zeroes as data, or `dense_bytes` in all.
    #[cfg(feature = "compile")]
    pub fn new(info: &ModuleInfo, page: usize, dense_bytes: u64, section: &mut Vec<u8>) -> Self {
        let resolved = resolve(info, |_| None, |_| true);
        let mut active = vec![0; resolved.memories.len()];
        for segment in &info.data_segments {
            if let Some(memory) = own_target(&segment.mode, info.imported_memories) {
                active[memory] += 1;
            }
        }
        let contents = |(segments, active): (&Placed, usize)| match segments.len() == active {
            true => memory_contents(info, segments, page, dense_bytes, section),
            false => MemoryContents::Segments,
        };
        let memories = resolved.memories.iter().zip(active).map(contents).collect();
        ImagePlan { memories, depends_on_imports: depends_on_imports(info) }
    }

    /// Data segments whose bytes are needed though there is an image: all that do not lie in extents. The others are dropped
    /// as soon as they are applied.
    #[cfg(feature = "compile")]
    pub fn kept_data(&self, info: &ModuleInfo) -> Vec<u32> {
        let needed = |&index: &u32| {
            let memory = own_target(&info.data_segments[index as usize].mode, info.imported_memories);
            memory.is_none_or(|memory| matches!(self.memories[memory], MemoryContents::Segments))
        };
        (0..info.data_segments.len() as u32).filter(needed).collect()
    }
}

/// Which memory or table that the module defines an active segment goes to.
#[cfg(feature = "compile")]
fn own_target(mode: &SegmentMode, imported: u32) -> Option<usize> {
    active(mode)?.0.checked_sub(imported).map(|own| own as usize)
}

#[cfg(feature = "compile")]
fn depends_on_imports(info: &ModuleInfo) -> bool {
    let depends = |mode: &SegmentMode, imported| {
        active(mode).is_some_and(|(target, offset)| target >= imported && value(offset, &|_| None).is_none())
    };
    info.data_segments.iter().any(|s| depends(&s.mode, info.imported_memories))
        || info.element_segments.iter().any(|s| depends(&s.mode, info.imported_tables))
}

/// The value of a constant expression over numbers; `global` says those of globals, as far as they are known.
pub fn value(expression: &[ConstOp], global: &impl Fn(u32) -> Option<u64>) -> Option<u64> {
    let mut stack: Vec<u64> = Vec::with_capacity(2);
    for op in expression {
        let value = match *op {
            ConstOp::Bits(bits) => bits,
            ConstOp::GlobalGet(index) => global(index)?,
            ConstOp::Vector(_) | ConstOp::RefFunc(_) => return None,
            ConstOp::I32Add | ConstOp::I32Sub | ConstOp::I32Mul => {
                let (b, a) = (stack.pop()? as u32, stack.pop()? as u32);
                u64::from(match op {
                    ConstOp::I32Add => a.wrapping_add(b),
                    ConstOp::I32Sub => a.wrapping_sub(b),
                    _ => a.wrapping_mul(b),
                })
            }
            ConstOp::I64Add | ConstOp::I64Sub | ConstOp::I64Mul => {
                let (b, a) = (stack.pop()?, stack.pop()?);
                match op {
                    ConstOp::I64Add => a.wrapping_add(b),
                    ConstOp::I64Sub => a.wrapping_sub(b),
                    _ => a.wrapping_mul(b),
                }
            }
        };
        stack.push(value);
    }
    stack.pop()
}

/// The offset of a segment: the bits of an address of 64 or of 32 bits.
pub fn segment_offset(bits: u64, wide: bool) -> u64 {
    if wide { bits } else { u64::from(bits as u32) }
}

/// What is known while segments are looked at in order.
#[derive(Default)]
struct Order {
    /// Whether a function of the instance may be in an imported table by now.
    escaped: bool,
    /// Whether a segment may have trapped since then: what follows must not be in the image.
    late: bool,
    /// Whether a segment has trapped for sure.
    ended: bool,
}

impl Order {
    /// A segment that may trap.
    fn may_trap(&mut self) {
        self.late |= self.escaped;
    }

    /// Decides about the active segments of one kind: each has its index, target, offset and length. Gives the images of
    /// the module's own memories or tables, and what is left.
    fn decide<'a>(
        &mut self,
        segments: impl Iterator<Item = (u32, u32, &'a [ConstOp], usize)>,
        targets: &Targets,
        global: &impl Fn(u32) -> Option<u64>,
        in_image: impl Fn(usize) -> bool,
    ) -> (Box<[Placed]>, Box<[u32]>) {
        let own = targets.sizes.len() - targets.imported as usize;
        let mut images: Vec<Vec<(usize, u32)>> = vec![Vec::new(); own];
        let mut open: Vec<bool> = (0..own).map(in_image).collect();
        let mut dynamic = Vec::new();
        for (index, target, offset, len) in segments {
            if self.ended {
                break;
            }
            let (size, wide) = targets.sizes[target as usize];
            let Some(place) = target.checked_sub(targets.imported).map(|own| own as usize) else {
                self.may_trap();
                self.escaped |= targets.hold_functions && len > 0;
                dynamic.push(index);
                continue;
            };
            match value(offset, global).map(|bits| segment_offset(bits, wide)) {
                Some(at) if at.checked_add(len as u64).is_none_or(|end| end > size) => {
                    dynamic.push(index);
                    self.ended = true;
                }
                Some(at) if open[place] && !self.late => images[place].push((at as usize, index)),
                Some(_) => dynamic.push(index),
                None => {
                    // What follows must not go before it.
                    open[place] = false;
                    self.may_trap();
                    dynamic.push(index);
                }
            }
        }
        (images.into_iter().map(Vec::into_boxed_slice).collect(), dynamic.into())
    }
}

/// Where segments of one kind go.
struct Targets {
    /// Sizes, and whether addresses have 64 bits.
    sizes: Vec<(u64, bool)>,
    imported: u32,
    hold_functions: bool,
}

/// Target and offset of an active segment.
fn active(mode: &SegmentMode) -> Option<(u32, &[ConstOp])> {
    match mode {
        SegmentMode::Active { target, offset } => Some((*target, offset)),
        _ => None,
    }
}

/// Places the active segments of a module: `global` says values of constant globals, as far as they are known, and
/// `in_image` which of the memories that the module defines are to have images of segments.
pub fn resolve(info: &ModuleInfo, global: impl Fn(u32) -> Option<u64>, in_image: impl Fn(usize) -> bool) -> Resolved {
    let mut order = Order::default();
    let elements = info.element_segments.iter().zip(0..).filter_map(|(segment, i)| {
        let (target, offset) = active(&segment.mode)?;
        Some((i, target, offset, segment.elements.len()))
    });
    let targets = Targets {
        sizes: info.tables.iter().map(|table| (table.ty.minimum, table.ty.table64)).collect(),
        imported: info.imported_tables,
        hold_functions: true,
    };
    let (tables, dynamic_elements) = order.decide(elements, &targets, &global, |_| true);
    let data = info.data_segments.iter().zip(0..).filter_map(|(segment, i)| {
        let (target, offset) = active(&segment.mode)?;
        Some((i, target, offset, segment.bytes.len()))
    });
    let targets = Targets {
        sizes: info.memories.iter().map(|ty| (ty.minimum_bytes(), ty.memory64)).collect(),
        imported: info.imported_memories,
        hold_functions: false,
    };
    let (memories, dynamic_data) = order.decide(data, &targets, &global, in_image);
    Resolved { memories, tables, dynamic_elements, dynamic_data }
}

#[cfg(feature = "compile")]
fn memory_contents(
    info: &ModuleInfo,
    segments: &[(usize, u32)],
    page: usize,
    dense_bytes: u64,
    section: &mut Vec<u8>,
) -> MemoryContents {
    let bytes = |index: u32| &info.data[info.data_segments[index as usize].bytes.clone()];
    let (extents, len) = extents(segments.iter().map(|&(at, index)| at..at + bytes(index).len()), page);
    let data: usize = segments.iter().map(|&(_, index)| bytes(index).len()).sum();
    if len == 0 {
        return MemoryContents::Zero;
    }
    if len > data.saturating_mul(2) && len as u64 > dense_bytes {
        return MemoryContents::Segments;
    }
    let start = section.len();
    section.resize(start + len, 0);
    for &(at, index) in segments.iter().filter(|&&(_, index)| !bytes(index).is_empty()) {
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
