//! Images: the immutable initial contents of an instance, and the reset that brings an instance back to them.
//!
//! An image is the state *before* `start`. What cannot be known before instantiation (segments at offsets that come from
//! imported globals, segments into imported memories and tables, segments that do not fit) is left to
//! [`InstanceImage::dynamic_elements`] and [`InstanceImage::dynamic_data`], which run per instance, in the spec's order.

mod memory;
mod reset;
mod touched;

use std::sync::{Arc, Mutex, OnceLock};

pub use memory::MemoryImage;
pub use reset::{GlobalsImage, check, is_outdated, prepare, refresh, reset};
pub use touched::{HotSets, HotStats};

use self::memory::ImageFile;
use crate::artifact::format::{Artifact, Section};
use crate::artifact::image::{self, ImagePlan, MemoryContents};
use crate::artifact::info::ModuleInfo;
use crate::error::Result;
use crate::sys::page_size;

/// Initial contents of everything that the instances of one module define.
#[derive(Debug)]
pub struct InstanceImage {
    plan: ImagePlan,
    file: Arc<ImageFile>,
    /// By defined memory; `None` for one that starts as zeroes. Made with the first instance.
    memories: OnceLock<Box<[Option<MemoryImage>]>>,
    making: Mutex<()>,
}

impl InstanceImage {
    /// The image that an artifact plans. Costs nothing until there is an instance.
    ///
    /// # Errors
    ///
    /// None for an artifact that was opened.
    pub fn new(artifact: &Artifact, plan: ImagePlan) -> Result<Self> {
        let file = Arc::new(ImageFile::new(artifact.section(Section::Image)?));
        Ok(InstanceImage { plan, file, memories: OnceLock::new(), making: Mutex::new(()) })
    }

    /// Makes the images of the memories, unless they are there.
    fn make(&self, info: &ModuleInfo) -> Result<&[Option<MemoryImage>]> {
        if let Some(memories) = self.memories.get() {
            return Ok(memories);
        }
        let _one = self.making.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(memories) = self.memories.get() {
            return Ok(memories);
        }
        let bytes = |segment: u32| &info.data[info.data_segments[segment as usize].bytes.clone()];
        let make = |plan: &MemoryContents| match plan {
            MemoryContents::Zero => Ok(None),
            MemoryContents::Extents(extents) => Ok(Some(MemoryImage::new(extents.clone(), self.file.clone()))),
            MemoryContents::Segments(list) => {
                let segments: Vec<_> = list.iter().map(|&(at, segment)| (at, bytes(segment))).collect();
                MemoryImage::of_segments(&segments)
            }
        };
        let memories = self.plan.memories.iter().map(make).collect::<Result<Box<[_]>>>()?;
        Ok(self.memories.get_or_init(|| memories))
    }

    /// By defined memory; `None` for one that starts as zeroes. Every instance has made them.
    #[inline]
    fn memories(&self) -> &[Option<MemoryImage>] {
        self.memories.get().map_or(&[], |memories| memories)
    }

    /// Active element segments that are not in the image, in order.
    #[inline]
    pub fn dynamic_elements(&self) -> &[u32] {
        &self.plan.dynamic_elements
    }

    /// Active data segments that are not in the image, in order.
    #[inline]
    pub fn dynamic_data(&self) -> &[u32] {
        &self.plan.dynamic_data
    }

    /// Bytes of all memories' images together, in whole pages.
    pub fn memory_bytes(&self, info: &ModuleInfo) -> usize {
        let range = |&(at, segment): &(usize, u32)| at..at + info.data_segments[segment as usize].bytes.len();
        let bytes = |contents: &MemoryContents| match contents {
            MemoryContents::Zero => 0,
            MemoryContents::Extents(extents) => extents.iter().map(|e| e.at.len()).sum(),
            MemoryContents::Segments(list) => image::extents(list.iter().map(range), page_size()).1,
        };
        self.plan.memories.iter().map(bytes).sum()
    }
}
