//! What all instances of a module share at run time.

use std::sync::atomic::{AtomicU64, Ordering};

use super::code::CodeMemory;
use crate::artifact::info::ModuleInfo;
use crate::artifact::layout::{ContextLayout, GlobalPlace};
use crate::artifact::{Compiled, FunctionRange};
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
    code: CodeMemory,
    functions: Vec<FunctionRange>,
    entries: Vec<Option<u32>>,
    host_calls: Vec<Option<u32>>,
    direct_host_calls: Vec<Option<u32>>,
}

impl VmModule {
    /// Makes compiled code executable. `type_ids` are the engine-wide ids of `compiled.info.types`.
    pub fn load(compiled: Compiled, type_ids: Box<[u32]>) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let Compiled { info, text, functions, entries, host_calls, direct_host_calls, traps, entry_sites, .. } =
            compiled;
        if type_ids.len() != info.types.len() {
            bail!(Bug, "{} type ids for {} types", type_ids.len(), info.types.len());
        }
        Ok(VmModule {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            layout: ContextLayout::new(&info),
            global_places: info.global_places().collect(),
            type_ids,
            code: CodeMemory::new(&text, traps, entry_sites)?,
            functions,
            entries,
            host_calls,
            direct_host_calls,
            info,
        })
    }

    /// Code of function `index`, which the module defines.
    pub fn function_code(&self, index: u32) -> *const u8 {
        self.code.address(self.functions[(index - self.info.imported_functions) as usize].start)
    }

    /// Entry trampoline for functions of type `type_index`.
    pub fn entry(&self, type_index: u32) -> Result<*const u8> {
        match self.entries[type_index as usize] {
            Some(offset) => Ok(self.code.address(offset)),
            None => bail!(Bug, "type {type_index} has no entry trampoline"),
        }
    }

    /// Wasm-to-host trampoline for functions of type `type_index`: for those that take slots, or for direct ones.
    pub fn host_call(&self, type_index: u32, direct: bool) -> Result<*const u8> {
        let trampolines = if direct { &self.direct_host_calls } else { &self.host_calls };
        match trampolines[type_index as usize] {
            Some(offset) => Ok(self.code.address(offset)),
            None => bail!(Bug, "type {type_index} has no wasm-to-host trampoline"),
        }
    }

    /// Bytes of machine code.
    pub fn code_bytes(&self) -> usize {
        self.functions.last().map_or(0, |f| (f.start + f.len) as usize)
    }
}
