//! [`SharedExports`]: what a thread of a script may see of a module of another thread, its shared memories.
//!
//! There are none as long as the engine cannot take a memory from one store to another.

use instar::{Error, ErrorKind, Instance, Linker, Result, Store};

/// The shared memories that a module exports, by name.
#[derive(Clone, Debug)]
pub(crate) struct SharedExports(());

impl SharedExports {
    /// Those of an instance.
    pub fn of(_instance: Instance, _store: &mut Store<()>) -> Result<Self> {
        Err(Error::new(ErrorKind::Unsupported, "memories that several stores share"))
    }

    /// Defines them under the name of a module.
    pub fn define(&self, _linker: &mut Linker<()>, _store: &mut Store<()>, _module: &str) -> Result<()> {
        let SharedExports(()) = self;
        Ok(())
    }
}
