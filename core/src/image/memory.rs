//! The image of one memory: page-aligned extents of bytes, zeroes everywhere else.
//!
//! ```text
//!   memory   |  zero  | extent 0 |     zero      | extent 1 | zero …
//!   file              | extent 0 | extent 1 |
//! ```
//!
//! Segments that lie far apart give several extents, so a sparse memory has a small image.

use std::ops::Range;

use crate::artifact::layout::DIRTY_SPILL_BYTES;
use crate::error::Result;
use crate::sys::mmap::SealedBytes;
use crate::sys::page_size;
use crate::vm::memory::LinearMemory;

/// Most extents of an image: each is a mapping of its own in every slot.
const MAX_EXTENTS: usize = 16;

#[derive(Debug)]
struct Extent {
    /// Where in the memory, page-aligned.
    at: Range<usize>,
    /// Where in the file.
    file_offset: usize,
}

/// Initial bytes of a memory.
#[derive(Debug)]
pub struct MemoryImage {
    bytes: SealedBytes,
    /// Ascending, not empty.
    extents: Box<[Extent]>,
}

impl MemoryImage {
    /// The image of a memory to which `segments` (offset, bytes) are applied in order, or `None` if they have no bytes.
    pub fn new(segments: &[(usize, &[u8])]) -> Result<Option<Self>> {
        let page = page_size();
        let mut pages: Vec<Range<usize>> = segments
            .iter()
            .filter(|(_, bytes)| !bytes.is_empty())
            .map(|(offset, bytes)| offset / page * page..(offset + bytes.len()).next_multiple_of(page))
            .collect();
        if pages.is_empty() {
            return Ok(None);
        }
        pages.sort_by_key(|r| r.start);
        let mut gap = 0;
        let merged = loop {
            let merged = merge(&pages, gap);
            if merged.len() <= MAX_EXTENTS {
                break merged;
            }
            gap = (gap * 2).max(page);
        };
        let mut file_offset = 0;
        let extents: Box<[Extent]> = merged
            .into_iter()
            .map(|at| {
                let extent = Extent { file_offset, at };
                file_offset += extent.at.len();
                extent
            })
            .collect();
        let parts = segments.iter().filter(|(_, bytes)| !bytes.is_empty()).map(|&(offset, bytes)| {
            let extent = extents.iter().find(|e| e.at.contains(&offset)).expect("every segment lies in an extent");
            (extent.file_offset + offset - extent.at.start, bytes)
        });
        let bytes = SealedBytes::new(file_offset, parts)?;
        Ok(Some(MemoryImage { bytes, extents }))
    }

    /// Size of all extents together.
    pub fn byte_len(&self) -> usize {
        self.extents.iter().map(|e| e.at.len()).sum()
    }

    /// Maps the image into a fresh memory, copy-on-write.
    pub fn map(&self, memory: &LinearMemory) -> Result<()> {
        for extent in &self.extents {
            memory.map_heap(extent.at.clone(), |reservation, range| {
                reservation.map_copy_on_write(range, &self.bytes, extent.file_offset)
            })?;
        }
        Ok(())
    }

    /// Calls `piece` with consecutive pieces of `range`, ascending: bytes of the image, or `None` for zeroes.
    #[inline]
    pub fn pieces<'a>(&'a self, mut range: Range<usize>, mut piece: impl FnMut(Range<usize>, Option<&'a [u8]>)) {
        for extent in &self.extents {
            if range.start >= extent.at.end {
                continue;
            }
            if range.start < extent.at.start {
                let end = range.end.min(extent.at.start);
                if range.start < end {
                    piece(range.start..end, None);
                }
                range.start = end;
            }
            let end = range.end.min(extent.at.end);
            if range.start >= end {
                break;
            }
            let from = extent.file_offset + range.start - extent.at.start;
            piece(range.start..end, Some(&self.bytes.as_slice()[from..from + (end - range.start)]));
            range.start = end;
        }
        if !range.is_empty() {
            piece(range, None);
        }
    }
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

const _: () = assert!(DIRTY_SPILL_BYTES.is_power_of_two());

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(image: &MemoryImage, range: Range<usize>) -> Vec<u8> {
        let start = range.start;
        let mut out = vec![0xee; range.len()];
        let mut at = range.start;
        image.pieces(range, |r, bytes| {
            assert_eq!(r.start, at);
            at = r.end;
            match bytes {
                Some(bytes) => out[r.start - start..r.end - start].copy_from_slice(bytes),
                None => out[r.start - start..r.end - start].fill(0),
            }
        });
        out
    }

    #[test]
    fn later_segments_win_and_gaps_are_zero() {
        let image =
            MemoryImage::new(&[(10, b"hello"), (12, b"y"), (1 << 20, b"far"), (1 << 30, b"")]).unwrap().unwrap();
        assert_eq!(image.extents.len(), 2);
        assert_eq!(contents(&image, 8..16), b"\0\0heylo\0");
        assert_eq!(contents(&image, (1 << 20) - 1..(1 << 20) + 4), b"\0far\0");
        assert_eq!(contents(&image, 4000..4100), vec![0; 100]);
        assert_eq!(contents(&image, 1 << 25..(1 << 25) + 3), vec![0; 3]);
    }

    #[test]
    fn many_scattered_segments_make_few_extents() {
        let segments: Vec<(usize, &[u8])> = (0..1000).map(|i| (i * 100_000, &b"x"[..])).collect();
        let image = MemoryImage::new(&segments).unwrap().unwrap();
        assert!(image.extents.len() <= MAX_EXTENTS);
        assert_eq!(contents(&image, 99_999..100_002), b"\0x\0");
    }

    #[test]
    fn no_bytes_no_image() {
        assert!(MemoryImage::new(&[(5, b"")]).unwrap().is_none());
    }
}
