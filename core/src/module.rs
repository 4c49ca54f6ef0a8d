//! [`Module`]: compiled code plus everything known before instantiation.

use std::path::Path;
use std::sync::Arc;

use crate::artifact::info::{EntityIndex, ExternType, ModuleInfo};
use crate::engine::{Engine, Loaded};
use crate::error::{ErrorKind, Result, error};

/// Compiled code and everything known before instantiation. Immutable; cheap to clone; shared by all threads.
#[derive(Clone)]
pub struct Module {
    engine: Engine,
    loaded: Arc<Loaded>,
}

/// An import of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportType<'a> {
    pub module: &'a str,
    pub name: &'a str,
    pub ty: ExternType,
}

/// An export of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportType<'a> {
    pub name: &'a str,
    pub ty: ExternType,
}

/// An export of a module, found once. See [`Module::export_index`].
#[derive(Clone, Copy, Debug)]
pub struct ModuleExport {
    /// The loaded module's id.
    pub(crate) module: u64,
    pub(crate) entity: EntityIndex,
}

impl Module {
    /// Compiles a module from the binary format or, with feature `wat`, from the text format.
    ///
    /// # Errors
    ///
    /// `InvalidModule` with the byte offset (or line and column of the text) and the reason; `Unsupported` when it needs
    /// a feature that this engine does not have; `Os` when there is no memory for it.
    pub fn new(engine: &Engine, bytes: impl AsRef<[u8]>) -> Result<Self> {
        let wasm = binary(bytes.as_ref())?;
        Ok(Module { engine: engine.clone(), loaded: Arc::new(engine.load(&wasm)?) })
    }

    /// Reads and compiles a file in either format.
    ///
    /// # Errors
    ///
    /// As for [`Module::new`]; `Os` when the file cannot be read.
    pub fn from_file(engine: &Engine, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|e| error!(Os, "cannot read {}: {e}", path.display()))?;
        Module::new(engine, bytes).map_err(|e| e.context(path.display()))
    }

    pub(crate) fn synthetic(engine: &Engine, wasm: Vec<u8>) -> Result<Self> {
        Ok(Module { engine: engine.clone(), loaded: engine.load_synthetic(wasm)? })
    }

    /// The engine that the module was compiled in.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The module's name, from its name section.
    pub fn name(&self) -> Option<&str> {
        self.info().name.as_deref()
    }

    /// Name of function `index` of the module's index space, imports first, from its name section. For diagnostics.
    pub fn function_name(&self, index: u32) -> Option<&str> {
        let names = &self.info().function_names;
        let place = names.binary_search_by_key(&index, |&(index, _)| index).ok()?;
        Some(&names[place].1)
    }

    /// The imports, in order.
    pub fn imports(&self) -> impl ExactSizeIterator<Item = ImportType<'_>> {
        let info = self.info();
        info.imports.iter().map(|i| ImportType { module: &i.module, name: &i.name, ty: info.entity_type(i.entity) })
    }

    /// The exports, in order.
    pub fn exports(&self) -> impl ExactSizeIterator<Item = ExportType<'_>> {
        let info = self.info();
        info.exports.iter().map(|e| ExportType { name: &e.name, ty: info.entity_type(e.entity) })
    }

    /// Type of the export of that name.
    pub fn export(&self, name: &str) -> Option<ExternType> {
        Some(self.info().entity_type(self.info().export(name)?))
    }

    /// The export of that name as an index, with which instances of this module find it without a look at names:
    /// [`Instance::module_export`](crate::Instance::module_export).
    pub fn export_index(&self, name: &str) -> Option<ModuleExport> {
        Some(ModuleExport { module: self.loaded.vm.id, entity: self.info().export(name)? })
    }

    pub(crate) fn info(&self) -> &ModuleInfo {
        &self.loaded.vm.info
    }

    pub(crate) fn loaded(&self) -> &Loaded {
        &self.loaded
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module")
            .field("name", &self.name())
            .field("code_bytes", &self.loaded.vm.code_bytes())
            .finish_non_exhaustive()
    }
}

/// The binary format of a module in either format.
fn binary(bytes: &[u8]) -> Result<std::borrow::Cow<'_, [u8]>> {
    if bytes.starts_with(b"\0asm") {
        return Ok(bytes.into());
    }
    let not_wasm = || {
        let start: Vec<String> = bytes.iter().take(4).map(|b| format!("{b:02x}")).collect();
        crate::Error::new(
            ErrorKind::InvalidModule,
            format!(
                "not WebAssembly: a module starts with the bytes 00 61 73 6d, this with [{}] ({} bytes in all)",
                start.join(" "),
                bytes.len()
            ),
        )
    };
    #[cfg(feature = "wat")]
    {
        let text = std::str::from_utf8(bytes).map_err(|_| not_wasm())?;
        if !text.trim_start().starts_with(['(', ';']) {
            return Err(not_wasm());
        }
        wat::parse_str(text).map(Into::into).map_err(|e| error!(InvalidModule, "invalid text format: {e}"))
    }
    #[cfg(not(feature = "wat"))]
    Err(not_wasm())
}
