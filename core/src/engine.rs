//! [`Engine`]: configuration, compiler and pools, shared by all threads.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, Weak};

use crate::artifact::info::FuncType;
#[cfg(feature = "compile")]
use crate::compile::Compiler;
use crate::config::Config;
use crate::error::Result;
use crate::image::InstanceImage;
use crate::pool::cell::StoreCell;
use crate::pool::engine::EnginePool;
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
    types: RwLock<TypeRegistry>,
    /// Modules made for host-made functions, memories, tables and globals, by their bytes.
    synthetic: Mutex<HashMap<Vec<u8>, Arc<Loaded>>>,
    pool: Arc<EnginePool>,
}

/// A loaded module without its engine.
pub(crate) struct Loaded {
    pub vm: Arc<VmModule>,
    pub image: Arc<InstanceImage>,
}

/// Engine-wide ids of function types.
#[derive(Default)]
struct TypeRegistry {
    ids: HashMap<FuncType, u32>,
    types: Vec<FuncType>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
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
    /// `Config` when the configuration contradicts itself or the machine cannot do it; `Os` when the system refuses the
    /// signal handlers.
    pub fn new(config: &Config) -> Result<Self> {
        config.check()?;
        if config.tunables().signals_based_traps {
            unwind::install()?;
        }
        #[cfg(feature = "compile")]
        let compiler = Compiler::new(&config.tunables())?;
        Ok(Engine(Arc::new_cyclic(|owner: &Weak<Inner>| {
            let owner: Weak<dyn Any + Send + Sync> = owner.clone();
            Inner {
                config: config.clone(),
                #[cfg(feature = "compile")]
                compiler,
                types: RwLock::default(),
                synthetic: Mutex::default(),
                pool: EnginePool::new(config.instance_limit(), config.wasm_stack_bytes(), owner),
            }
        })))
    }

    /// Number of instances that are alive now.
    pub fn live_instances(&self) -> usize {
        self.0.pool.live()
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
            memories: self.0.config.tunables().memory_settings(),
        }
    }

    /// Whether two engines are the same one.
    pub fn same(a: &Engine, b: &Engine) -> bool {
        Arc::ptr_eq(&a.0, &b.0)
    }

    /// The engine of an open cell.
    pub(crate) fn from_cell(cell: &StoreCell) -> Engine {
        let inner = cell.engine().upgrade().and_then(|any| any.downcast::<Inner>().ok());
        Engine(inner.expect("an open store keeps its engine alive"))
    }

    /// The engine-wide id of a type.
    pub(crate) fn type_id(&self, ty: &FuncType) -> u32 {
        let mut registry = self.0.types.write().unwrap_or_else(|e| e.into_inner());
        if let Some(&id) = registry.ids.get(ty) {
            return id;
        }
        let id = u32::try_from(registry.types.len()).expect("memory ends before type ids do");
        registry.types.push(ty.clone());
        registry.ids.insert(ty.clone(), id);
        id
    }

    /// The type with this id.
    pub(crate) fn func_type(&self, id: u32) -> FuncType {
        self.0.types.read().unwrap_or_else(|e| e.into_inner()).types[id as usize].clone()
    }

    /// Compiles and loads a module.
    #[cfg(feature = "compile")]
    pub(crate) fn load(&self, wasm: &[u8]) -> Result<Loaded> {
        let compiled = self.0.compiler.compile(wasm)?;
        let type_ids = compiled.info.types.iter().map(|ty| self.type_id(ty)).collect();
        let image = Arc::new(InstanceImage::build(&compiled.info)?);
        Ok(Loaded { vm: Arc::new(VmModule::load(compiled, type_ids)?), image })
    }

    /// A build without a compiler loads no WebAssembly.
    #[cfg(not(feature = "compile"))]
    pub(crate) fn load(&self, _wasm: &[u8]) -> Result<Loaded> {
        crate::error::bail!(Unsupported, "this build has no compiler (feature `compile`)")
    }

    /// Loads a module that the runtime made itself, once per engine.
    pub(crate) fn load_synthetic(&self, wasm: Vec<u8>) -> Result<Arc<Loaded>> {
        if let Some(loaded) = lock(&self.0.synthetic).get(&wasm) {
            return Ok(loaded.clone());
        }
        let loaded = Arc::new(self.load(&wasm)?);
        Ok(lock(&self.0.synthetic).entry(wasm).or_insert(loaded).clone())
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("config", &self.0.config).finish_non_exhaustive()
    }
}
