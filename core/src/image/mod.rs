//! Images: the immutable initial contents of an instance, and the reset that brings an instance back to them.
//!
//! An image is the state *before* `start`. What cannot be known before instantiation (segments into imported memories and
//! tables, and segments that do not fit) is left to [`InstanceImage::dynamic_elements`] and
//! [`InstanceImage::dynamic_data`], which run per instance, in the spec's order.
//!
//! A module has one image for all of its instances, unless segments depend on imported globals: then there is one for each
//! set of their values, which belongs to the InstancePre.

mod amount;
mod lines;
mod log;
mod memory;
mod pages;
mod reset;
mod tables;
mod touched;

use std::sync::{Arc, Mutex, OnceLock};

pub use amount::exceeds;
pub use log::{PageSet, ResetLog};
pub use memory::{ImageSettings, MemoryImage};
pub use reset::{GlobalsImage, check, give_back, is_outdated, note_copies, prepare, refresh, reset};
pub use touched::{HotSets, HotStats};

use self::memory::ImageBytes;
use self::tables::TableImage;
use crate::artifact::format::{Artifact, Section};
use crate::artifact::image::{self, ImagePlan, MemoryContents, Resolved};
use crate::artifact::info::ModuleInfo;
use crate::error::Result;
use crate::sys::mapped::Bytes;
use crate::sys::page_size;

/// What a module knows of the images of its instances.
#[derive(Debug)]
pub struct ModuleImage {
    artifact: Arc<ArtifactImage>,
    depends_on_imports: bool,
    /// The image of all instances, if imports have no part in it. Made for the first InstancePre.
    common: OnceLock<Arc<InstanceImage>>,
}

/// The part of an artifact that images are mapped from.
#[derive(Debug)]
struct ArtifactImage {
    /// By defined memory.
    memories: Box<[MemoryContents]>,
    part: Bytes,
    settings: ImageSettings,
    /// How slots get the part. Known when the first of them is made.
    bytes: OnceLock<ImageBytes>,
    making: Mutex<()>,
}

impl ArtifactImage {
    fn bytes(&self) -> ImageBytes {
        if self.bytes.get().is_none() {
            // Nobody makes a copy in vain.
            let _one = self.making.lock().unwrap_or_else(|e| e.into_inner());
            if self.bytes.get().is_none() {
                _ = self.bytes.set(ImageBytes::of_artifact(&self.part, self.settings));
            }
        }
        self.bytes.get().expect("set above").clone()
    }
}

impl ModuleImage {
    /// The images that an artifact plans. Costs nothing until there is an instance. Closes the artifact's file if nothing will
    /// be mapped from it, or descriptors are scarce.
    ///
    /// # Errors
    ///
    /// None for an artifact that was opened.
    pub fn new(artifact: &Artifact, plan: ImagePlan, settings: ImageSettings) -> Result<Self> {
        let ImagePlan { memories, depends_on_imports } = plan;
        let part = artifact.section(Section::Image)?;
        let extents = memories.iter().any(|m| matches!(m, MemoryContents::Extents(_)));
        match extents && settings.mapped && !settings.anonymous {
            true => part.owner().close_file_if_scarce(),
            false => part.owner().close_file(),
        }
        let (bytes, making) = (OnceLock::new(), Mutex::new(()));
        let artifact = Arc::new(ArtifactImage { memories, part, settings, bytes, making });
        Ok(ModuleImage { artifact, depends_on_imports, common: OnceLock::new() })
    }

    /// The image of instances whose constant globals have these values, as far as they are known. `once`: that of one
    /// instance, for which a file is not worth its making.
    pub fn resolve(&self, info: &ModuleInfo, global: impl Fn(u32) -> Option<u64>, once: bool) -> Arc<InstanceImage> {
        let make = |in_image: bool, global: &dyn Fn(u32) -> Option<u64>| {
            let resolved = image::resolve(info, global, |_| in_image);
            let (parts, making) = (OnceLock::new(), Mutex::new(()));
            Arc::new(InstanceImage { resolved, artifact: self.artifact.clone(), parts, making })
        };
        match self.depends_on_imports {
            true => make(!once, &global),
            false => self.common.get_or_init(|| make(true, &|_| None)).clone(),
        }
    }

    /// Bytes of all memories' images together, in whole pages, as far as they do not depend on imports.
    pub fn memory_bytes(&self, info: &ModuleInfo) -> usize {
        let resolved = image::resolve(info, |_| None, |_| true);
        let range = |&(at, segment): &(usize, u32)| at..at + info.data_segments[segment as usize].bytes.len();
        let bytes = |(i, contents): (usize, &MemoryContents)| match contents {
            MemoryContents::Zero => 0,
            MemoryContents::Extents(extents) => extents.iter().map(|e| e.at.len()).sum(),
            MemoryContents::Segments => image::extents(resolved.memories[i].iter().map(range), page_size()).1,
        };
        self.artifact.memories.iter().enumerate().map(bytes).sum()
    }
}

/// Initial contents of everything that an instance defines. Shared by all slots of an InstancePre, or of a module.
#[derive(Debug)]
pub struct InstanceImage {
    resolved: Resolved,
    artifact: Arc<ArtifactImage>,
    /// Made with the first instance.
    parts: OnceLock<Parts>,
    making: Mutex<()>,
}

#[derive(Debug)]
struct Parts {
    /// By defined memory; `None` for one that starts as zeroes.
    memories: Box<[Option<MemoryImage>]>,
    /// By defined table.
    tables: Box<[TableImage]>,
}

impl InstanceImage {
    /// Makes the images of memories and tables, unless they are there.
    fn make(&self, info: &ModuleInfo) -> Result<&Parts> {
        if let Some(parts) = self.parts.get() {
            return Ok(parts);
        }
        let _one = self.making.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(parts) = self.parts.get() {
            return Ok(parts);
        }
        let data = |segment: u32| &info.data[info.data_segments[segment as usize].bytes.clone()];
        let memory = |(i, contents): (usize, &MemoryContents)| match contents {
            MemoryContents::Zero => Ok(None),
            MemoryContents::Extents(extents) => Ok(Some(MemoryImage::new(extents.clone(), self.artifact.bytes()))),
            MemoryContents::Segments => {
                let list = self.resolved.memories[i].iter();
                let segments: Vec<_> = list.map(|&(at, segment)| (at, data(segment))).collect();
                MemoryImage::of_segments(&segments, self.artifact.settings)
            }
        };
        let memories = self.artifact.memories.iter().enumerate().map(memory).collect::<Result<_>>()?;
        let tables = self.resolved.tables.iter().map(|segments| TableImage::new(info, segments)).collect();
        Ok(self.parts.get_or_init(|| Parts { memories, tables }))
    }

    /// By defined memory; `None` for one that starts as zeroes. Every instance has made them.
    #[inline]
    fn memories(&self) -> &[Option<MemoryImage>] {
        self.parts.get().map_or(&[], |parts| &parts.memories)
    }

    /// By defined table. Every instance has made them.
    #[inline]
    fn tables(&self) -> &[TableImage] {
        self.parts.get().map_or(&[], |parts| &parts.tables)
    }

    /// Active element segments that are not in the image, in order.
    #[inline]
    pub fn dynamic_elements(&self) -> &[u32] {
        &self.resolved.dynamic_elements
    }

    /// Active data segments that are not in the image, in order. Counted as in [`ModuleInfo::data_segments`].
    #[inline]
    pub fn dynamic_data(&self) -> &[u32] {
        &self.resolved.dynamic_data
    }
}
