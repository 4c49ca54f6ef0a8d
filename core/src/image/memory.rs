//! The image of one memory: page-aligned extents of bytes, zeroes everywhere else. See [`crate::artifact::image`].

use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock};

use crate::artifact::image::{Extent, extents, place};
use crate::artifact::layout::DIRTY_SPILL_BYTES;
use crate::error::Result;
use crate::sys::mapped::{Bytes, Mapped};
use crate::sys::page_size;
use crate::vm::memory::LinearMemory;

/// What extents are mapped from: a part of an artifact.
#[derive(Debug)]
pub struct ImageFile {
    bytes: Bytes,
    /// A copy of the part, when the artifact has no file; made when it is first needed.
    copy: OnceLock<Mapped>,
    copying: Mutex<()>,
}

impl ImageFile {
    /// The part `bytes` of an artifact.
    pub fn new(bytes: Bytes) -> Self {
        ImageFile { bytes, copy: OnceLock::new(), copying: Mutex::new(()) }
    }

    /// An anonymous file of `len` bytes, with `parts` at their offsets and zeroes elsewhere.
    fn sparse<'a>(len: usize, parts: impl Iterator<Item = (usize, &'a [u8])>) -> Result<Self> {
        Ok(ImageFile::new(Bytes::new(Arc::new(Mapped::sealed(len, parts)?))))
    }

    fn copy(&self) -> Result<&Mapped> {
        if self.copy.get().is_none() {
            let _one = self.copying.lock().unwrap_or_else(|e| e.into_inner());
            if self.copy.get().is_none() {
                let bytes = self.bytes.as_slice();
                let copy = Mapped::sealed(bytes.len(), [(0, bytes)].into_iter())?;
                return Ok(self.copy.get_or_init(|| copy));
            }
        }
        Ok(self.copy.get().expect("set before the lock was released"))
    }

    /// Maps the bytes from `offset` on at a range of the heap, copy-on-write.
    fn map(&self, memory: &LinearMemory, at: Range<usize>, offset: usize) -> Result<()> {
        let start = self.bytes.range().start;
        let (file, offset) = match self.bytes.owner().file() {
            Some(file) if start.is_multiple_of(page_size()) => (Some(file), start + offset),
            _ => (self.copy()?.file(), offset),
        };
        let file = file.expect("sealed copies have a file");
        memory.map_heap(at, |reservation, range| reservation.map_copy_on_write(range, file, offset as u64))
    }
}

/// Initial bytes of a memory.
#[derive(Debug)]
pub struct MemoryImage {
    /// Ascending, not empty.
    extents: Box<[Extent]>,
    file: Arc<ImageFile>,
}

impl MemoryImage {
    /// The image that these extents of `file` make.
    pub fn new(extents: Box<[Extent]>, file: Arc<ImageFile>) -> Self {
        MemoryImage { extents, file }
    }

    /// The image of a memory to which `segments` (offset, bytes) are applied in order, or `None` if they have no bytes.
    pub fn of_segments(segments: &[(usize, &[u8])]) -> Result<Option<Self>> {
        let (extents, len) = extents(segments.iter().map(|(at, bytes)| *at..at + bytes.len()), page_size());
        if len == 0 {
            return Ok(None);
        }
        let parts = segments.iter().filter(|(_, bytes)| !bytes.is_empty());
        let file = ImageFile::sparse(len, parts.map(|&(at, bytes)| (place(&extents, at), bytes)))?;
        Ok(Some(MemoryImage { extents: extents.into(), file: Arc::new(file) }))
    }

    /// Maps the image into a fresh memory, copy-on-write.
    pub fn map(&self, memory: &LinearMemory) -> Result<()> {
        self.extents.iter().try_for_each(|extent| self.file.map(memory, extent.at.clone(), extent.offset))
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
            let from = extent.offset + range.start - extent.at.start;
            piece(range.start..end, Some(&self.file.bytes.as_slice()[from..from + (end - range.start)]));
            range.start = end;
        }
        if !range.is_empty() {
            piece(range, None);
        }
    }
}

const _: () = assert!(DIRTY_SPILL_BYTES.is_power_of_two());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::info::MemoryType;
    use crate::artifact::plan::MemorySettings;
    use crate::config::DirtyTracking;

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
        let image = MemoryImage::of_segments(&[(10, b"hello"), (12, b"y"), (1 << 20, b"far"), (1 << 30, b"")]);
        let image = image.unwrap().unwrap();
        assert_eq!(image.extents.len(), 2);
        assert_eq!(contents(&image, 8..16), b"\0\0heylo\0");
        assert_eq!(contents(&image, (1 << 20) - 1..(1 << 20) + 4), b"\0far\0");
        assert_eq!(contents(&image, 4000..4100), vec![0; 100]);
        assert_eq!(contents(&image, 1 << 25..(1 << 25) + 3), vec![0; 3]);
    }

    #[test]
    fn many_scattered_segments_make_an_image() {
        let segments: Vec<(usize, &[u8])> = (0..1000).map(|i| (i * 100_000, &b"x"[..])).collect();
        let image = MemoryImage::of_segments(&segments).unwrap().unwrap();
        assert_eq!(contents(&image, 99_999..100_002), b"\0x\0");
    }

    #[test]
    fn extents_of_a_part_without_a_file_are_mapped_from_a_copy() {
        let page = page_size();
        let artifact = Arc::new(Mapped::copy_of(&[vec![1; page + 5], vec![2; page * 2]].concat()).unwrap());
        let file = ImageFile::new(Bytes::new(artifact).part(page + 5..page * 3 + 5).unwrap());
        let extents = [Extent { at: page..page * 2, offset: page }];
        let image = MemoryImage::new(extents.into(), Arc::new(file));
        let settings = MemorySettings { reservation: 4 << 30, guard: 0, signals: true };
        let memory = LinearMemory::new(MemoryType::new(1, None), settings, DirtyTracking::Off, 65_536).unwrap();
        image.map(&memory).unwrap();
        // SAFETY: the memory has a page of 64 KiB, which nobody else uses.
        let bytes = unsafe { std::slice::from_raw_parts(memory.fresh_definition().base, 65_536) };
        assert_eq!(contents(&image, 0..65_536), bytes);
        assert_eq!(bytes.iter().map(|&b| usize::from(b)).sum::<usize>(), 2 * page);
    }
}
