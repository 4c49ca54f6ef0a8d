//! What all instances of a module share at run time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::code::CodeMemory;
use crate::artifact::FunctionRange;
use crate::artifact::address_map::AddressMap;
use crate::artifact::format::{Artifact, NO_TRAMPOLINE, Section};
use crate::artifact::info::ModuleInfo;
use crate::artifact::layout::{ContextLayout, GlobalPlace};
use crate::artifact::words::{Blob, Words};
use crate::config::DirtyTracking;
use crate::error::{Result, bail};

/// A loaded module. Immutable.
#[derive(Debug)]
pub struct VmModule {
    /// Never reused in this process.
    pub id: u64,
    pub info: ModuleInfo,
    pub layout: ContextLayout,
    /// Place in the context of each defined global.
    pub global_places: Vec<GlobalPlace>,
    /// Engine-wide id of each type.
    pub type_ids: Box<[u32]>,
    pub artifact: Artifact,
    /// How writes of its instances to their memories are tracked; not `Auto`.
    pub tracking: DirtyTracking,
    code: CodeMemory,
    /// Start and length of each defined function.
    functions: Words,
    /// Offset of the entry trampoline of each type.
    entries: Words,
    /// Offset of the wasm-to-host trampoline of each type, for functions that take slots and for direct ones.
    host_calls: Words,
    direct_host_calls: Words,
}

/// Tables of a module's functions.
pub struct Functions<'a> {
    types: &'a [u32],
    type_count: usize,
    imported: u32,
    ranges: &'a [[u32; 2]],
    text: &'a [u8],
}

impl Functions<'_> {
    /// Type index of function `index`.
    ///
    /// # Errors
    ///
    /// `Artifact` when the table is damaged.
    #[inline]
    pub fn type_of(&self, index: u32) -> Result<u32> {
        match self.types.get(index as usize) {
            Some(&ty) if (ty as usize) < self.type_count => Ok(ty),
            other => bail!(Artifact, "the artifact is damaged: function {index} has type {other:?}"),
        }
    }

    /// Code of function `index`, which the module defines.
    ///
    /// # Errors
    ///
    /// `Artifact` when the table is damaged.
    #[inline]
    pub fn code_of(&self, index: u32) -> Result<*const u8> {
        let range = self.ranges.get(index.wrapping_sub(self.imported) as usize);
        match range.and_then(|&[start, _]| self.text.get(start as usize)) {
            Some(first) => Ok(first),
            None => bail!(Artifact, "the artifact is damaged: function {index} has its code at {range:?}"),
        }
    }
}

impl VmModule {
    /// Makes the code of an artifact executable. `info` are its declarations and `type_ids` the engine-wide ids of its
    /// types.
    ///
    /// # Errors
    ///
    /// `Artifact` when tables do not fit the declarations; `Os` when the system refuses.
    pub fn load(
        artifact: Artifact,
        info: ModuleInfo,
        type_ids: Box<[u32]>,
        tracking: DirtyTracking,
    ) -> Result<Arc<Self>> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let functions = artifact.words(Section::Functions, 2)?;
        let entries = artifact.words(Section::Entries, 1)?;
        let host_calls = artifact.words(Section::HostCalls, 1)?;
        let direct_host_calls = artifact.words(Section::DirectHostCalls, 1)?;
        let defined = info.functions.len().checked_sub(info.imported_functions as usize);
        for (what, len, expected) in [
            ("functions", functions.len() / 2, defined),
            ("entries", entries.len(), Some(info.types.len())),
            ("host calls", host_calls.len(), Some(info.types.len())),
            ("direct host calls", direct_host_calls.len(), Some(info.types.len())),
            ("type ids", type_ids.len(), Some(info.types.len())),
        ] {
            if Some(len) != expected {
                bail!(Artifact, "the artifact is damaged: it has {len} {what} instead of {expected:?}");
            }
        }
        let module = Arc::new(VmModule {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            layout: ContextLayout::new(&info),
            global_places: info.global_places().collect(),
            type_ids,
            tracking,
            code: CodeMemory::new(&artifact)?,
            functions,
            entries,
            host_calls,
            direct_host_calls,
            info,
            artifact,
        });
        module.code.belongs_to(&module);
        Ok(module)
    }

    /// Machine code of all functions and trampolines.
    pub fn text(&self) -> &[u8] {
        self.code.text()
    }

    /// Types and code of all functions, found once for many look-ups.
    pub fn functions(&self) -> Functions<'_> {
        Functions {
            types: &self.info.functions,
            type_count: self.type_ids.len(),
            imported: self.info.imported_functions,
            ranges: self.functions.as_chunks::<2>().0,
            text: self.code.text(),
        }
    }

    /// Where function `index`, which the module defines, lies in the code.
    pub fn function_range(&self, index: u32) -> Option<FunctionRange> {
        let place = index.checked_sub(self.info.imported_functions)?;
        let &[start, len] = self.functions.as_chunks::<2>().0.get(place as usize)?;
        Some(FunctionRange { start, len })
    }

    /// The function whose code `offset` lies in, and where it lies; `None` in a trampoline or between functions.
    pub fn function_at(&self, offset: u32) -> Option<(u32, FunctionRange)> {
        let functions = self.functions.as_chunks::<2>().0;
        let place = functions.partition_point(|f| f[0] <= offset).checked_sub(1)?;
        let [start, len] = functions[place];
        let index = self.info.imported_functions.checked_add(u32::try_from(place).ok()?)?;
        (offset.checked_sub(start)? < len).then_some((index, FunctionRange { start, len }))
    }

    /// Names and places in the code of all functions and trampolines, from the artifact's symbol table. What is damaged is left
    /// out.
    pub fn symbols(&self) -> impl Iterator<Item = (&str, FunctionRange)> {
        let (text, section) = (self.code.text().len(), |section| self.artifact.section(section).ok());
        let origin = section(Section::Text).map_or(0, |text| text.range().start as u64);
        let table = section(Section::Symbols).map_or(0..0, |table| table.range());
        let names = section(Section::Strings).map_or(0..0, |names| names.range());
        let file = self.artifact.bytes().as_slice();
        let (table, names) = (&file[table], &file[names]);
        // The fields of an ELF symbol: name, kind and section, address, length.
        table.as_chunks::<24>().0.iter().skip(1).filter_map(move |symbol| {
            let (name, rest) = symbol.split_first_chunk::<4>()?;
            let (address, len) = rest[4..].split_first_chunk::<8>()?;
            let name = names.get(u32::from_le_bytes(*name) as usize..)?;
            let name = std::str::from_utf8(&name[..name.iter().position(|&b| b == 0)?]).ok()?;
            let start = u32::try_from(u64::from_le_bytes(*address).checked_sub(origin)?).ok()?;
            let len = u32::try_from(u64::from_le_bytes(len.try_into().ok()?)).ok()?;
            (start as usize).checked_add(len as usize).is_some_and(|end| end <= text).then_some(())?;
            Some((name, FunctionRange { start, len }))
        })
    }

    /// Where an address lies in the code, if it does.
    pub fn offset_of(&self, pc: usize) -> Option<u32> {
        let text = self.code.text();
        let offset = pc.checked_sub(text.as_ptr().addr()).filter(|&offset| offset < text.len())?;
        u32::try_from(offset).ok()
    }

    /// Entry trampoline for functions of type `type_index`.
    ///
    /// # Errors
    ///
    /// `Artifact` when the table is damaged.
    pub fn entry(&self, type_index: u32) -> Result<*const u8> {
        self.trampoline(&self.entries, type_index, "entry")
    }

    /// Wasm-to-host trampoline for functions of type `type_index`: for those that take slots, or for direct ones.
    ///
    /// # Errors
    ///
    /// `Artifact` when the table is damaged.
    pub fn host_call(&self, type_index: u32, direct: bool) -> Result<*const u8> {
        let trampolines = if direct { &self.direct_host_calls } else { &self.host_calls };
        self.trampoline(trampolines, type_index, "wasm-to-host")
    }

    fn trampoline(&self, table: &[u32], type_index: u32, what: &str) -> Result<*const u8> {
        match table.get(type_index as usize) {
            Some(&offset) if offset != NO_TRAMPOLINE => self.code.address(offset),
            _ => bail!(Artifact, "type {type_index} has no {what} trampoline"),
        }
    }

    /// From code to wasm; empty when the module was compiled without.
    ///
    /// # Errors
    ///
    /// `Artifact` when the table is damaged.
    pub fn address_map(&self) -> Result<AddressMap> {
        let ends = self.artifact.words(Section::AddressEnds, 1)?;
        Ok(AddressMap { ends, entries: Blob::InPlace(self.artifact.section(Section::AddressEntries)?) })
    }
}
