//! Images: the immutable initial contents of an instance, and the reset that brings an instance back to them.
//!
//! An image is the state *before* `start`. What cannot be known before instantiation (segments at offsets that come from
//! imported globals, segments into imported memories and tables, segments that do not fit) is left to
//! [`InstanceImage::dynamic_elements`] and [`InstanceImage::dynamic_data`], which run per instance, in the spec's order.

mod build;
mod memory;
mod reset;

pub use memory::MemoryImage;
pub use reset::{GlobalsImage, check, prepare, reset};

use crate::artifact::info::ModuleInfo;
use crate::error::Result;

/// Initial contents of everything that the instances of one module define.
#[derive(Debug)]
pub struct InstanceImage {
    /// By defined memory; `None` for one that starts as zeroes.
    memories: Box<[Option<MemoryImage>]>,
    /// By defined table: function index of each element, or `u32::MAX` for null. Empty when the table starts as nulls.
    tables: Box<[Box<[u32]>]>,
    /// Active element segments to be applied to each instance, in order.
    dynamic_elements: Box<[u32]>,
    /// Active data segments to be applied to each instance, in order.
    dynamic_data: Box<[u32]>,
}

impl InstanceImage {
    /// Builds the image of a module.
    ///
    /// # Errors
    ///
    /// `Os` when there is no memory for it.
    pub fn build(info: &ModuleInfo) -> Result<Self> {
        build::build(info)
    }

    /// Active element segments that are not in the image, in order.
    pub fn dynamic_elements(&self) -> &[u32] {
        &self.dynamic_elements
    }

    /// Active data segments that are not in the image, in order.
    pub fn dynamic_data(&self) -> &[u32] {
        &self.dynamic_data
    }

    /// Bytes of all memories' images together, in whole pages.
    pub fn memory_bytes(&self) -> usize {
        self.memories.iter().flatten().map(MemoryImage::byte_len).sum()
    }
}
