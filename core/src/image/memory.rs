//! The image of one memory: page-aligned extents of bytes, zeroes everywhere else. See [`crate::artifact::image`].
//!
//! Slots map extents copy-on-write from a file: the artifact's own, or an anonymous one. Where there is none, because the
//! engine is not to map images or because descriptors are scarce, they copy them when they are made and whenever they are
//! rebuilt. A reset that restores lines or pages is the same for both.

use std::ops::Range;
use std::sync::Arc;

use crate::artifact::image::{Extent, extents, place};
use crate::error::{Result, bail};
use crate::sys::mapped::{Bytes, Mapped};
use crate::sys::page_size;
use crate::vm::memory::LinearMemory;

/// Where an engine's images come from.
#[derive(Clone, Copy, Debug)]
pub struct ImageSettings {
    /// Whether slots map them, copy-on-write. If not they copy them.
    pub mapped: bool,
    /// Whether the files of artifacts are not mapped for it.
    pub anonymous: bool,
}

/// Bytes that extents count in, and how slots get them.
#[derive(Clone, Debug)]
pub struct ImageBytes {
    bytes: Bytes,
    /// Whether slots map them from the file of what `bytes` are a part of. Then both start at a page.
    mapped: bool,
}

impl ImageBytes {
    /// A part of an artifact.
    pub fn of_artifact(part: &Bytes, settings: ImageSettings) -> Self {
        let start = part.range().start;
        if !settings.mapped || part.as_slice().is_empty() {
            return ImageBytes { bytes: part.clone(), mapped: false };
        }
        if !settings.anonymous && start.is_multiple_of(page_size()) && part.owner().has_file() {
            return ImageBytes { bytes: part.clone(), mapped: true };
        }
        let bytes = part.as_slice();
        ImageBytes::anonymous(bytes.len(), &[(0, bytes)])
            .unwrap_or_else(|| ImageBytes { bytes: part.clone(), mapped: false })
    }

    /// `len` bytes, not 0: `parts` at their offsets and zeroes elsewhere.
    ///
    /// # Errors
    ///
    /// `Os` when there is no memory for them.
    pub fn new(len: usize, parts: &[(usize, &[u8])], settings: ImageSettings) -> Result<Self> {
        if settings.mapped
            && let Some(bytes) = ImageBytes::anonymous(len, parts)
        {
            return Ok(bytes);
        }
        let bytes = Bytes::new(Arc::new(Mapped::composed(len, parts.iter().copied())?));
        Ok(ImageBytes { bytes, mapped: false })
    }

    /// Bytes in an anonymous file; `None` when the system has none for us.
    fn anonymous(len: usize, parts: &[(usize, &[u8])]) -> Option<Self> {
        let copy = match Mapped::sealed(len, parts.iter().copied()) {
            Ok(copy) => copy,
            Err(error) => {
                log::warn!("an image of {len} bytes is copied to each slot, as it cannot be mapped: {error}");
                return None;
            }
        };
        copy.close_file_if_scarce();
        Some(ImageBytes { mapped: copy.has_file(), bytes: Bytes::new(Arc::new(copy)) })
    }
}

/// Initial bytes of a memory.
#[derive(Debug)]
pub struct MemoryImage {
    /// Ascending, not empty.
    extents: Box<[Extent]>,
    source: ImageBytes,
}

impl MemoryImage {
    /// The image that these extents of `source` make.
    pub fn new(extents: Box<[Extent]>, source: ImageBytes) -> Self {
        MemoryImage { extents, source }
    }

    /// The image of a memory to which `segments` (offset, bytes) are applied in order, or `None` if they have no bytes.
    ///
    /// # Errors
    ///
    /// `Os` when there is no memory for it.
    pub fn of_segments(segments: &[(usize, &[u8])], settings: ImageSettings) -> Result<Option<Self>> {
        let (extents, len) = extents(segments.iter().map(|(at, bytes)| *at..at + bytes.len()), page_size());
        if len == 0 {
            return Ok(None);
        }
        let parts: Vec<_> = segments
            .iter()
            .filter(|(_, bytes)| !bytes.is_empty())
            .map(|&(at, bytes)| (place(&extents, at), bytes))
            .collect();
        let source = ImageBytes::new(len, &parts, settings)?;
        Ok(Some(MemoryImage { extents: extents.into(), source }))
    }

    /// Bytes of the image, in whole pages.
    pub fn bytes(&self) -> usize {
        self.extents.iter().map(|extent| extent.at.len()).sum()
    }

    /// Gives the image to a memory whose bytes are zeroes and that nobody uses: maps it, copy-on-write, or copies it. To be
    /// done again after [`LinearMemory::discard`] if that says so.
    ///
    /// # Errors
    ///
    /// `Os` when mappings are exhausted.
    pub fn map(&self, memory: &LinearMemory) -> Result<()> {
        let bytes = &self.source.bytes;
        for extent in &self.extents {
            if !self.source.mapped {
                // SAFETY: nobody uses the memory; the bytes are an artifact's or our own.
                unsafe { memory.copy_image(extent.at.start, &bytes.as_slice()[extent.range()]) };
                continue;
            }
            let offset = (bytes.range().start + extent.offset) as u64;
            memory.map_heap(extent.at.clone(), |reservation, range| {
                let mapped = bytes.owner().with_file(|file| reservation.map_copy_on_write(range, file, offset));
                mapped.unwrap_or_else(|| bail!(Bug, "the file of an image was closed"))
            })?;
        }
        Ok(())
    }

    /// The bytes of a range, if one extent has them all.
    #[inline]
    pub fn contiguous(&self, range: &Range<usize>) -> Option<&[u8]> {
        let holds = |extent: &&Extent| extent.at.start <= range.start && range.end <= extent.at.end;
        let extent = self.extents.iter().find(holds)?;
        let from = extent.offset + (range.start - extent.at.start);
        Some(&self.source.bytes.as_slice()[from..from + range.len()])
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
            piece(range.start..end, Some(&self.source.bytes.as_slice()[from..from + (end - range.start)]));
            range.start = end;
        }
        if !range.is_empty() {
            piece(range, None);
        }
    }
}

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

    const MAPPED: ImageSettings = ImageSettings { mapped: true, anonymous: false };
    const COPIED: ImageSettings = ImageSettings { mapped: false, anonymous: false };

    #[test]
    fn later_segments_win_and_gaps_are_zero() {
        for settings in [MAPPED, COPIED] {
            let segments: [(usize, &[u8]); 4] = [(10, b"hello"), (12, b"y"), (1 << 20, b"far"), (1 << 30, b"")];
            let image = MemoryImage::of_segments(&segments, settings).unwrap().unwrap();
            assert_eq!(image.source.mapped, settings.mapped);
            assert_eq!((image.extents.len(), image.bytes()), (2, 2 * page_size()));
            assert_eq!(contents(&image, 8..16), b"\0\0heylo\0");
            assert_eq!(contents(&image, (1 << 20) - 1..(1 << 20) + 4), b"\0far\0");
            assert_eq!(contents(&image, 4000..4100), vec![0; 100]);
            assert_eq!(contents(&image, 1 << 25..(1 << 25) + 3), vec![0; 3]);
        }
    }

    #[test]
    fn many_scattered_segments_make_an_image() {
        let segments: Vec<(usize, &[u8])> = (0..1000).map(|i| (i * 100_000, &b"x"[..])).collect();
        let image = MemoryImage::of_segments(&segments, MAPPED).unwrap().unwrap();
        assert_eq!(contents(&image, 99_999..100_002), b"\0x\0");
    }

    #[test]
    fn extents_of_an_artifact_reach_memories_whatever_they_are_mapped_from() {
        let page = page_size();
        let bytes = [vec![1; page], vec![2; page * 2]].concat();
        let in_memory = Arc::new(Mapped::copy_of(&bytes).unwrap());
        let in_file = Arc::new(Mapped::sealed(bytes.len(), [(0, &bytes[..])].into_iter()).unwrap());
        let anonymous = ImageSettings { anonymous: true, ..MAPPED };
        for (artifact, settings, own_file) in [
            (&in_memory, MAPPED, false),
            (&in_memory, COPIED, false),
            (&in_file, MAPPED, true),
            (&in_file, anonymous, false),
            (&in_file, COPIED, false),
        ] {
            let source = ImageBytes::of_artifact(&Bytes::new(artifact.clone()).part(page..page * 3).unwrap(), settings);
            assert_eq!(source.mapped, settings.mapped);
            assert_eq!(own_file, source.mapped && Arc::ptr_eq(source.bytes.owner(), artifact));
            let image = MemoryImage::new([Extent { at: page..page * 2, offset: page }].into(), source);
            let memory_settings = MemorySettings { reservation: 4 << 30, guard: 0, signals: true };
            let memory =
                LinearMemory::new(MemoryType::new(1, None), memory_settings, DirtyTracking::Off, 65_536).unwrap();
            for _ in 0..2 {
                image.map(&memory).unwrap();
                // SAFETY: the memory has a page of 64 KiB, which nobody else uses.
                let bytes = unsafe { std::slice::from_raw_parts_mut(memory.fresh_definition().base, 65_536) };
                assert_eq!(contents(&image, 0..65_536), bytes);
                assert_eq!(bytes.iter().map(|&b| usize::from(b)).sum::<usize>(), 2 * page);
                bytes.fill(7);
                // What was copied must be copied again.
                assert_eq!(memory.discard().unwrap(), !settings.mapped);
            }
        }
    }
}
