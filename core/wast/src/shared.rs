//! [`SharedExports`]: what a thread of a script may see of a module of another thread, its shared memories.

use instar::{Extern, Instance, Linker, Result, SharedMemory, Store};

/// The shared memories that a module exports, by name.
#[derive(Clone, Debug)]
pub(crate) struct SharedExports(Vec<(String, SharedMemory)>);

impl SharedExports {
    /// Those of an instance.
    pub fn of(instance: Instance, store: &mut Store<()>) -> Result<Self> {
        let exports = instance.exports(store)?.into_iter();
        let shared = exports.filter_map(|(name, item)| match item {
            Extern::SharedMemory(memory) => Some((name, memory)),
            _ => None,
        });
        Ok(SharedExports(shared.collect()))
    }

    /// Defines them under the name of a module.
    pub fn define(&self, linker: &mut Linker<()>, store: &mut Store<()>, module: &str) -> Result<()> {
        for (name, memory) in &self.0 {
            linker.define(&mut *store, module, name, memory.clone())?;
        }
        Ok(())
    }
}
