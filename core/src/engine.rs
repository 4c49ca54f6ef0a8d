//! [`Engine`]: configuration, compiler and pools, shared by all threads.

use std::any::Any;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, Weak};

use crate::adapt;
use crate::artifact::declarations::Declarations;
use crate::artifact::format::{Artifact, FORMAT, Section, Verify};
use crate::artifact::func_types::PackedTypes;
use crate::artifact::header::Header;
use crate::artifact::info::FuncType;
use crate::artifact::plan::MemorySettings;
#[cfg(feature = "compile")]
use crate::artifact::write;
#[cfg(feature = "compile")]
use crate::compile::Compiler;
use crate::config::{Config, DirtyTracking, Features};
use crate::error::Result;
use crate::image::{ImageSettings, ModuleImage};
use crate::module::ModuleOptions;
use crate::pool::cell::{CellSettings, StoreCell};
use crate::pool::engine::{EnginePool, PoolSettings};
use crate::pool::metrics::PoolMetrics;
use crate::profile;
use crate::sys::limits;
use crate::sys::mapped::{Bytes, Mapped};
use crate::sys::pagemap;
use crate::types::TypeRegistry;
use crate::vm::instance::InstanceLimits;
use crate::vm::module::VmModule;
use crate::vm::unwind;

/// Configuration, compiler and pools. Cheap to clone; shared by all threads.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    config: Config,
    #[cfg(feature = "compile")]
    compiler: Compiler,
    /// What artifacts of this engine say about themselves.
    header: Header,
    types: RwLock<TypeRegistry>,
    /// Modules made for host-made functions, memories, tables and globals, by their bytes.
    synthetic: Mutex<HashMap<Vec<u8>, Arc<Loaded>>>,
    pool: Arc<EnginePool>,
}

/// A loaded module without its engine.
pub(crate) struct Loaded {
    pub vm: Arc<VmModule>,
    pub image: Arc<ModuleImage>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// Checks that this system can track writes in this way.
fn check_system(tracking: DirtyTracking) -> Result<()> {
    if tracking == DirtyTracking::Pages { pagemap::check() } else { Ok(()) }
}

impl Default for Engine {
    /// An engine with the default configuration.
    ///
    /// # Panics
    ///
    /// If the machine cannot run one; [`Engine::new`] gives an error instead.
    fn default() -> Self {
        Engine::new(&Config::new()).unwrap_or_else(|error| panic!("no engine with the default configuration: {error}"))
    }
}

impl Engine {
    /// An engine with this configuration.
    ///
    /// # Errors
    ///
    /// `Config` when the configuration contradicts itself or the machine cannot do it, or has less of something than was set;
    /// `Os` when the system refuses the signal handlers, or the profiler's file cannot be written.
    pub fn new(config: &Config) -> Result<Self> {
        config.check()?;
        check_system(config.tunables().dirty_tracking)?;
        let sizes = adapt::fit(&config.wishes(), &limits::probe())?;
        if !sizes.notes.is_empty() {
            log::warn!("the engine takes less than its default: {}", sizes.notes.join("; "));
        }
        let config = &{
            let mut adapted = config.clone();
            adapted.adapt(&sizes);
            adapted
        };
        if config.tunables().signals_based_traps {
            unwind::install()?;
        }
        profile::start(config.profiling())?;
        #[cfg(feature = "compile")]
        let compiler = Compiler::new(&config.tunables())?;
        #[cfg(feature = "compile")]
        let cpu = compiler.cpu_features();
        #[cfg(not(feature = "compile"))]
        let cpu = [];
        let tunables = config.tunables();
        let header = Header::new(&cpu, tunables.features.bits(), tunables.settings());
        let cells = CellSettings { max_wasm_stack: config.wasm_stack_bytes(), backtraces: config.takes_backtraces() };
        let pool = PoolSettings {
            max_slots: config.instance_limit(),
            wait: config.pool_wait_time(),
            idle_bytes: sizes.idle_bytes,
            background: config.background_threshold(),
            cells,
        };
        Ok(Engine(Arc::new_cyclic(|owner: &Weak<Inner>| {
            let owner: Weak<dyn Any + Send + Sync> = owner.clone();
            Inner {
                config: config.clone(),
                #[cfg(feature = "compile")]
                compiler,
                header,
                types: RwLock::default(),
                synthetic: Mutex::default(),
                pool: EnginePool::new(pool, owner),
            }
        })))
    }

    /// Number of instances that are alive now, with those that are being [reset elsewhere](Config::background_reset).
    pub fn live_instances(&self) -> usize {
        self.0.pool.live()
    }

    /// Number of slots whose instance is gone and which wait to be reset by the engine's thread, or are being reset by it.
    /// Always 0 without [`Config::background_reset`].
    pub fn resetting_instances(&self) -> usize {
        self.0.pool.resetting()
    }

    /// What the pools have now, and what they have done since the engine was made. Takes a lock of each thread's part of each
    /// pool in turn: for monitoring, not for each request.
    pub fn pool_metrics(&self) -> PoolMetrics {
        self.0.pool.metrics()
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(crate) fn pool(&self) -> &Arc<EnginePool> {
        &self.0.pool
    }

    pub(crate) fn limits(&self) -> InstanceLimits {
        InstanceLimits {
            memory_bytes: self.0.config.memory_limit_bytes(),
            table_elements: self.0.config.table_limit_elements(),
            memories: MemorySettings::new(&self.0.config.tunables()),
        }
    }

    /// Whether two engines are the same one.
    pub fn same(a: &Engine, b: &Engine) -> bool {
        Arc::ptr_eq(&a.0, &b.0)
    }

    /// Whether a cell is one of this engine. Touches no count of references.
    pub(crate) fn owns(&self, cell: &StoreCell) -> bool {
        std::ptr::addr_eq(cell.engine().as_ptr(), Arc::as_ptr(&self.0))
    }

    /// The engine of an open cell.
    pub(crate) fn from_cell(cell: &StoreCell) -> Engine {
        let inner = cell.engine().upgrade().and_then(|any| any.downcast::<Inner>().ok());
        Engine(inner.expect("an open store keeps its engine alive"))
    }

    /// The type of a function of an open cell, without a count of who uses the engine.
    pub(crate) fn known_type_in(cell: &StoreCell, id: u32) -> FuncType {
        let alive = cell.id() != 0 && cell.engine().strong_count() > 0;
        assert!(alive, "an open store keeps its engine alive");
        // SAFETY: cells are made with the engine's `Inner`, which is alive and stays so while its store is open.
        let inner = unsafe { &*cell.engine().as_ptr().cast::<Inner>() };
        let types = inner.types.read().unwrap_or_else(|e| e.into_inner());
        types.get(id).expect("functions have types of their engine").clone()
    }

    /// The engine's id of a function type, for [`HeapType::Concrete`](crate::HeapType::Concrete). Equal types have equal
    /// ids.
    ///
    /// # Errors
    ///
    /// `Type` when the type mentions ids that are none of this engine.
    pub fn type_id(&self, ty: &FuncType) -> Result<u32> {
        self.0.types.write().unwrap_or_else(|e| e.into_inner()).id(ty)
    }

    /// The function type with this id; `None` when the engine has no such type.
    pub fn func_type(&self, id: u32) -> Option<FuncType> {
        self.types().get(id).cloned()
    }

    /// All function types.
    pub(crate) fn types(&self) -> RwLockReadGuard<'_, TypeRegistry> {
        self.0.types.read().unwrap_or_else(|e| e.into_inner())
    }

    /// The types of a module that is loaded, as this engine has them, and their ids.
    fn adopt_types(&self, types: PackedTypes<'_>) -> Result<(Vec<FuncType>, Box<[u32]>)> {
        self.0.types.write().unwrap_or_else(|e| e.into_inner()).adopt(types)
    }

    /// Compiles a module to the bytes of an artifact.
    #[cfg(feature = "compile")]
    pub(crate) fn compile(&self, wasm: &[u8], options: &ModuleOptions) -> Result<Vec<u8>> {
        let tracking = options.tracking(self.config())?;
        let compiled = self.0.compiler.compile(wasm, tracking)?;
        write::write(&compiled, &self.0.header, tracking, self.0.config.images().dense_bytes)
    }

    /// A build without a compiler compiles nothing.
    #[cfg(not(feature = "compile"))]
    pub(crate) fn compile(&self, _wasm: &[u8], _options: &ModuleOptions) -> Result<Vec<u8>> {
        crate::error::bail!(Unsupported, "this build has no compiler (feature `compile`); it loads precompiled modules")
    }

    /// Validates a module.
    #[cfg(feature = "compile")]
    pub(crate) fn validate(&self, wasm: &[u8]) -> Result<()> {
        self.0.compiler.validate(wasm)
    }

    /// A build without a compiler validates nothing.
    #[cfg(not(feature = "compile"))]
    pub(crate) fn validate(&self, _wasm: &[u8]) -> Result<()> {
        crate::error::bail!(Unsupported, "this build has no compiler (feature `compile`), and so no validator")
    }

    /// Compiles a module in the binary or text format to the bytes of an artifact, which
    /// [`Module::deserialize`](crate::Module::deserialize) loads in any process of this kind of machine. The same input,
    /// settings and processor give the same bytes.
    ///
    /// # Errors
    ///
    /// As for [`Module::new`](crate::Module::new).
    pub fn precompile_module(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        self.precompile_module_with(&ModuleOptions::new(), bytes)
    }

    /// As [`Engine::precompile_module`], with choices for this module.
    ///
    /// # Errors
    ///
    /// As for [`Module::with_options`](crate::Module::with_options).
    pub fn precompile_module_with(&self, options: &ModuleOptions, bytes: &[u8]) -> Result<Vec<u8>> {
        self.compile(&crate::module::binary(bytes)?, options)
    }

    /// Something to be hashed: engines for which it is equal make and load the same artifacts. For keys of caches.
    pub fn precompile_compatibility_hash(&self) -> impl Hash + '_ {
        (FORMAT, self.0.config.images().dense_bytes, &self.0.header)
    }

    /// Loads an artifact.
    pub(crate) fn load(&self, bytes: Mapped, verify: Verify) -> Result<Loaded> {
        let artifact = Artifact::open(Bytes::new(Arc::new(bytes)), verify)?;
        let tracking = self.0.header.check(artifact.section(Section::Header)?.as_slice(), Features::names)?;
        self.config().check_tracking(tracking)?;
        check_system(tracking)?;
        let declarations = Declarations::new(&artifact)?;
        let (types, type_ids) = self.adopt_types(declarations.types()?)?;
        let (info, plan) = declarations.decode(types, &type_ids)?;
        let images = self.0.config.images();
        let images = ImageSettings { mapped: images.cow, anonymous: images.force_memfd };
        let image = Arc::new(ModuleImage::new(&artifact, plan, images)?);
        let vm = VmModule::load(artifact, info, type_ids, tracking)?;
        profile::loaded(self.0.config.profiling(), &vm)?;
        Ok(Loaded { vm, image })
    }

    /// Compiles and loads a module. What was written just now needs no verification.
    pub(crate) fn compile_and_load(&self, wasm: &[u8], options: &ModuleOptions) -> Result<Loaded> {
        self.load(Mapped::copy_of(&self.compile(wasm, options)?)?, Verify::Head)
    }

    /// Loads a module that the runtime made itself, once per engine.
    pub(crate) fn load_synthetic(&self, wasm: Vec<u8>) -> Result<Arc<Loaded>> {
        if let Some(loaded) = lock(&self.0.synthetic).get(&wasm) {
            return Ok(loaded.clone());
        }
        let loaded = Arc::new(self.compile_and_load(&wasm, &ModuleOptions::new())?);
        Ok(lock(&self.0.synthetic).entry(wasm).or_insert(loaded).clone())
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("config", &self.0.config).finish_non_exhaustive()
    }
}
