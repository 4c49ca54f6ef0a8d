//! [`ModuleSummary`]: what a module declares and how large its parts are, for tools and logs.

use crate::artifact::info::{GlobalType, MemoryType, TableType};
use crate::module::Module;

/// What a module declares, by index space, and how large its parts are. Lists start with the imported entities.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModuleSummary {
    /// How many functions are imported.
    pub imported_functions: usize,
    /// How many functions the module defines.
    pub defined_functions: usize,
    /// All memories.
    pub memories: Vec<MemoryType>,
    /// How many of [`memories`](Self::memories) are imported.
    pub imported_memories: usize,
    /// All tables.
    pub tables: Vec<TableType>,
    /// How many of [`tables`](Self::tables) are imported.
    pub imported_tables: usize,
    /// All globals.
    pub globals: Vec<GlobalType>,
    /// How many of [`globals`](Self::globals) are imported.
    pub imported_globals: usize,
    /// Index of the start function.
    pub start: Option<u32>,
    /// Number of data segments that are kept beside the images: passive ones, and active ones that each instance applies
    /// itself.
    pub data_segments: usize,
    /// Bytes of those.
    pub data_bytes: usize,
    /// Number of element segments.
    pub element_segments: usize,
    /// Elements in all element segments.
    pub elements: usize,
    /// Bytes of the memory images: whole pages of the host that are not zero before `start`, mapped by every instance.
    pub image_bytes: usize,
    /// Bytes of machine code of the functions that the module defines.
    pub code_bytes: usize,
}

impl Module {
    /// What the module declares and how large its parts are.
    pub fn summary(&self) -> ModuleSummary {
        let info = self.info();
        ModuleSummary {
            imported_functions: info.imported_functions as usize,
            defined_functions: info.functions.len() - info.imported_functions as usize,
            memories: info.memories.clone(),
            imported_memories: info.imported_memories as usize,
            tables: info.tables.iter().map(|t| t.ty).collect(),
            imported_tables: info.imported_tables as usize,
            globals: info.globals.iter().map(|g| g.ty).collect(),
            imported_globals: info.imported_globals as usize,
            start: info.start,
            data_segments: info.data_segments.len(),
            data_bytes: info.data_segments.iter().map(|s| s.bytes.len()).sum(),
            element_segments: info.element_segments.len(),
            elements: info.element_segments.iter().map(|s| s.elements.len()).sum(),
            image_bytes: self.loaded().image.memory_bytes(info),
            code_bytes: self.functions().map(|f| f.range.end).max().unwrap_or(0),
        }
    }
}
