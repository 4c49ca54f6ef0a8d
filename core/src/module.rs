//! [`Module`]: compiled code plus everything known before instantiation.

use std::fs::File;
use std::io::{Read, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::artifact::format::{self, Verify};
use crate::artifact::info::{EntityIndex, ExternType, ModuleInfo};
#[cfg(feature = "compile")]
use crate::config::Config;
use crate::config::DirtyTracking;
use crate::engine::{Engine, Loaded};
use crate::error::{ErrorKind, Result, bail, error};
use crate::sys::mapped::Mapped;

/// Compiled code and everything known before instantiation. Immutable; cheap to clone; shared by all threads.
#[derive(Clone)]
pub struct Module {
    engine: Engine,
    loaded: Arc<Loaded>,
}

/// Choices for one module that differ from the engine's.
///
/// ```
/// use instar::{DirtyTracking, Engine, Module, ModuleOptions};
///
/// let engine = Engine::default();
/// let long_running = ModuleOptions::new().dirty_tracking(DirtyTracking::Touched).clone();
/// let module = Module::with_options(&engine, &long_running, "(module (memory 1))")?;
/// assert_eq!(module.dirty_tracking(), DirtyTracking::Touched);
/// # Ok::<(), instar::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ModuleOptions {
    dirty_tracking: Option<DirtyTracking>,
}

impl ModuleOptions {
    /// The engine's choices.
    pub fn new() -> Self {
        ModuleOptions::default()
    }

    /// How the runtime knows what instances of the module have written. Default: as
    /// [`Config::dirty_tracking`](crate::Config::dirty_tracking) says.
    pub fn dirty_tracking(&mut self, tracking: DirtyTracking) -> &mut Self {
        self.dirty_tracking = Some(tracking);
        self
    }

    /// The module's tracking in an engine; not `Auto`.
    #[cfg(feature = "compile")]
    pub(crate) fn tracking(&self, config: &Config) -> Result<DirtyTracking> {
        let Some(chosen) = self.dirty_tracking else { return Ok(config.tunables().dirty_tracking) };
        config.check_tracking(chosen)?;
        Ok(config.resolve(chosen))
    }
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

/// A function that a module defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionCode<'a> {
    /// In the module's index space, imports first.
    pub index: u32,
    /// From the name section.
    pub name: Option<&'a str>,
    /// Where its code lies in [`Module::text`].
    pub range: Range<usize>,
}

impl Module {
    /// Compiles a module from the binary format or, with feature `wat`, from the text format.
    ///
    /// # Errors
    ///
    /// `InvalidModule` with the byte offset (or line and column of the text) and the reason; `Unsupported` when it needs
    /// a feature that this engine does not have; `Os` when there is no memory for it.
    pub fn new(engine: &Engine, bytes: impl AsRef<[u8]>) -> Result<Self> {
        Module::with_options(engine, &ModuleOptions::new(), bytes)
    }

    /// As [`Module::new`], with choices for this module.
    ///
    /// # Errors
    ///
    /// As for [`Module::new`]; `Config` when the engine cannot do what the options ask for.
    pub fn with_options(engine: &Engine, options: &ModuleOptions, bytes: impl AsRef<[u8]>) -> Result<Self> {
        let wasm = binary(bytes.as_ref())?;
        Ok(Module { engine: engine.clone(), loaded: Arc::new(engine.compile_and_load(&wasm, options)?) })
    }

    /// Reads and compiles a file in either format. Precompiled files are loaded by [`Module::deserialize_file`].
    ///
    /// # Errors
    ///
    /// As for [`Module::new`]; `Os` when the file cannot be read.
    pub fn from_file(engine: &Engine, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|e| error!(Os, "cannot read {}: {e}", path.display()))?;
        Module::new(engine, bytes).map_err(|e| e.context(path.display()))
    }

    /// Checks that bytes are a valid module in either format, with the features of the engine. Compiles nothing.
    ///
    /// # Errors
    ///
    /// `InvalidModule` or `Unsupported`, as for [`Module::new`].
    pub fn validate(engine: &Engine, bytes: impl AsRef<[u8]>) -> Result<()> {
        engine.validate(&binary(bytes.as_ref())?)
    }

    /// The module's artifact: an ELF file, to be loaded by [`Module::deserialize`] or, from a file,
    /// [`Module::deserialize_file`] in any process of this kind of machine.
    ///
    /// # Errors
    ///
    /// None at present.
    pub fn serialize(&self) -> Result<Vec<u8>> {
        Ok(self.loaded.vm.artifact.bytes().as_slice().to_vec())
    }

    /// Writes the module's artifact to a file: all of it or nothing, and a file that is there already stays as it was for
    /// those who have mapped it. (A temporary file in the same folder takes its place.)
    ///
    /// # Errors
    ///
    /// `Os`, naming the file.
    pub fn serialize_to_file(&self, path: impl AsRef<Path>) -> Result<()> {
        write_file(path.as_ref(), self.loaded.vm.artifact.bytes().as_slice())
    }

    /// Loads an artifact that [`Module::serialize`] or [`Engine::precompile_module`] made. It is copied, and verified as a
    /// whole: this takes a millisecond for some 20 MB.
    ///
    /// # Errors
    ///
    /// `Artifact` when it is damaged, or was made by another version, for another machine or with other settings, naming
    /// what differs with both values; `Os` when there is no memory for it.
    ///
    /// # Safety
    ///
    /// The bytes were made by Instar and nobody has changed them since: they hold machine code, which runs as it is.
    /// Checksums find accidents, and no forgeries.
    pub unsafe fn deserialize(engine: &Engine, bytes: impl AsRef<[u8]>) -> Result<Self> {
        let bytes = bytes.as_ref();
        if !format::detect(bytes) {
            return Err(format::no_artifact(bytes));
        }
        let loaded = engine.load(Mapped::copy_of(bytes)?, Verify::Content)?;
        Ok(Module { engine: engine.clone(), loaded: Arc::new(loaded) })
    }

    /// Loads an artifact from a file, which is mapped and used in place: this takes some microseconds, however large it is.
    /// Only header, section table and lengths are verified. See [`Config::seal_artifacts`](crate::Config::seal_artifacts)
    /// for a copy instead.
    ///
    /// # Errors
    ///
    /// As for [`Module::deserialize`]; `Os` when the file cannot be read.
    ///
    /// # Safety
    ///
    /// As for [`Module::deserialize`]. Besides, the file must not change as long as the module or anything made with it
    /// lives, unless the engine seals artifacts: replace it by renaming another file, as [`Module::serialize_to_file`] does. A
    /// file that is cut short ends the process with SIGBUS; one that is written to changes the running code.
    pub unsafe fn deserialize_file(engine: &Engine, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|e| error!(Os, "cannot read {}: {e}", path.display()))?;
        // SAFETY: passed on.
        unsafe { Module::deserialize_open_file(engine, file) }.map_err(|e| e.context(path.display()))
    }

    /// As [`Module::deserialize_file`], with a file that is open for reading.
    ///
    /// # Errors
    ///
    /// As for [`Module::deserialize_file`].
    ///
    /// # Safety
    ///
    /// As for [`Module::deserialize_file`].
    pub unsafe fn deserialize_open_file(engine: &Engine, mut file: File) -> Result<Self> {
        let (bytes, verify) = match engine.config().seals_artifacts() {
            true => (Mapped::sealed_copy(&mut file)?, Verify::Content),
            false => (Mapped::open(file)?, Verify::Head),
        };
        Ok(Module { engine: engine.clone(), loaded: Arc::new(engine.load(bytes, verify)?) })
    }

    /// Whether bytes are those of an artifact, of any version and for any machine. Looks at the first 64 only.
    pub fn detect_precompiled(bytes: &[u8]) -> bool {
        format::detect(bytes)
    }

    /// Whether a file is an artifact, as [`Module::detect_precompiled`].
    ///
    /// # Errors
    ///
    /// `Os` when it cannot be read.
    pub fn detect_precompiled_file(path: impl AsRef<Path>) -> Result<bool> {
        let path = path.as_ref();
        let mut start = Vec::new();
        File::open(path)
            .and_then(|file| file.take(format::ELF_HEADER_BYTES as u64).read_to_end(&mut start))
            .map_err(|e| error!(Os, "cannot read {}: {e}", path.display()))?;
        Ok(format::detect(&start))
    }

    pub(crate) fn synthetic(engine: &Engine, wasm: Vec<u8>) -> Result<Self> {
        Ok(Module { engine: engine.clone(), loaded: engine.load_synthetic(wasm)? })
    }

    /// The engine that the module was compiled in.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// How the runtime knows what instances of the module have written: as the module was compiled for, never
    /// [`DirtyTracking::Auto`].
    pub fn dirty_tracking(&self) -> DirtyTracking {
        self.loaded.vm.tracking
    }

    /// The module's name, from its name section.
    pub fn name(&self) -> Option<&str> {
        self.info().name.as_deref()
    }

    /// Name of function `index` of the module's index space, imports first, from its name section. For diagnostics.
    pub fn function_name(&self, index: u32) -> Option<&str> {
        self.info().function_names.get(index)
    }

    /// Machine code: functions in order, then trampolines. See [`Module::functions`].
    pub fn text(&self) -> &[u8] {
        self.loaded.vm.text()
    }

    /// The functions that the module defines, in order.
    pub fn functions(&self) -> impl Iterator<Item = FunctionCode<'_>> {
        let (info, vm) = (self.info(), &self.loaded.vm);
        (info.imported_functions..info.functions.len() as u32).filter_map(move |index| {
            let range = vm.function_range(index)?;
            let range = range.start as usize..(range.start as usize).checked_add(range.len as usize)?;
            Some(FunctionCode { index, name: info.function_names.get(index), range })
        })
    }

    /// From which wasm instruction each piece of the code comes, as pairs of an offset in [`Module::text`] and one in the
    /// wasm binary, ascending by the first. A pair holds up to the next one; `None` is code of no instruction. `None` as a
    /// whole when the module was compiled without: see
    /// [`Config::generate_address_map`](crate::Config::generate_address_map).
    pub fn address_map(&self) -> Option<impl Iterator<Item = (usize, Option<u32>)> + '_> {
        let map = self.loaded.vm.address_map().ok().filter(|map| !map.ends.is_empty())?;
        Some(self.functions().enumerate().flat_map(move |(i, function)| {
            let range = function.range;
            let mut entries: Vec<_> = map.function(i).map(|(at, wasm)| (range.start + at as usize, wasm)).collect();
            if entries.last().is_some_and(|last| last.1.is_some() && last.0 < range.end) {
                entries.push((range.end, None));
            }
            entries
        }))
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
            .field("code_bytes", &self.text().len())
            .finish_non_exhaustive()
    }
}

/// The binary format of a module in either format.
pub(crate) fn binary(bytes: &[u8]) -> Result<std::borrow::Cow<'_, [u8]>> {
    if bytes.starts_with(b"\0asm") {
        return Ok(bytes.into());
    }
    if format::detect(bytes) {
        bail!(
            InvalidModule,
            "this is a precompiled module, which runs as it is: load it with Module::deserialize_file or \
             Module::deserialize if you trust where it comes from"
        );
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

/// Writes a file under another name and renames it.
fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let failed = |e: std::io::Error| error!(Os, "cannot write {}: {e}", path.display());
    let Some(name) = path.file_name() else { bail!(Os, "cannot write {}: it names no file", path.display()) };
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    let temporary = path.with_file_name(temporary);
    let write = || {
        let mut file = File::create_new(&temporary)?;
        file.write_all(bytes)?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|e| {
        // It may not be there; the first error counts.
        _ = std::fs::remove_file(&temporary);
        failed(e)
    })
}
