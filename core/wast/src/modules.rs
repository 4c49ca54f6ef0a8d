//! [`Modules`]: what is compiled once per script, and serves all its rounds and threads.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use instar::{Engine, ExternType, InstancePre, Module, Result};

/// Compiled modules, by the place of the directive that they stand in.
#[derive(Default)]
pub(crate) struct Modules {
    compiled: Mutex<HashMap<usize, Reusable>>,
}

/// A compiled module.
#[derive(Clone)]
pub(crate) struct Reusable {
    pub module: Module,
    /// Present once the module was linked, if it belongs to no store.
    pub pre: Option<InstancePre<()>>,
}

impl Reusable {
    /// Whether all imports are functions of the host, which no store owns.
    pub fn belongs_to_no_store(&self) -> bool {
        self.module.imports().all(|import| import.module == "spectest" && matches!(import.ty, ExternType::Func(_)))
    }
}

impl Modules {
    /// The module of directive `place`, compiled unless it was before.
    pub fn compile(&self, place: usize, engine: &Engine, bytes: &[u8]) -> Result<Reusable> {
        if let Some(known) = self.lock().get(&place) {
            return Ok(known.clone());
        }
        let reusable = Reusable { module: Module::new(engine, bytes)?, pre: None };
        Ok(self.lock().entry(place).or_insert(reusable).clone())
    }

    /// The module of directive `place`, which was compiled before.
    pub fn of(&self, place: usize) -> Option<Reusable> {
        self.lock().get(&place).cloned()
    }

    /// Keeps what a module was linked to.
    pub fn keep(&self, place: usize, pre: &InstancePre<()>) {
        if let Some(reusable) = self.lock().get_mut(&place) {
            reusable.pre.get_or_insert_with(|| pre.clone());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<usize, Reusable>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
