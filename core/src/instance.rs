//! [`Instance`]: an instance of a store.

use std::ptr::NonNull;

use crate::error::{Result, error};
use crate::externs::Extern;
use crate::func::{Func, TypedFunc};
use crate::global::Global;
use crate::memory::Memory;
use crate::module::ModuleExport;
use crate::pre::{missing_function, reset};
use crate::shared_memory::SharedMemory;
use crate::store::{AsContextMut, StoreOpaque};
use crate::table::Table;
use crate::val::WasmList;
use crate::vm::instance::VmInstance;

/// An instance of a store. A small handle: copy it freely.
#[derive(Clone, Copy, Debug)]
pub struct Instance {
    store: u64,
    instance: NonNull<VmInstance>,
}

// SAFETY: the pointer is followed only after the store id was compared with that of a store the caller has.
unsafe impl Send for Instance {}
// SAFETY: as for Send.
unsafe impl Sync for Instance {}

impl Instance {
    pub(crate) fn new(instance: NonNull<VmInstance>, store: &StoreOpaque) -> Self {
        Instance { store: store.id(), instance }
    }

    fn vm(&self, store: &StoreOpaque) -> Result<&VmInstance> {
        store.check(self.store, "instance")?;
        // SAFETY: the instance lives as long as its store.
        Ok(unsafe { self.instance.as_ref() })
    }

    /// Undoes everything the instance did to what it defines, as if it were made anew: memories and tables with their sizes,
    /// globals, dropped segments. Then segments that the image cannot hold are applied and the start function runs, as
    /// they did when it was made. What it imports from others is left as it is; so are the host data and objects behind
    /// `externref`s. Handles stay good, and so does what other instances have of this one. The store's limiter is not asked.
    ///
    /// # Errors
    ///
    /// `Busy` while a call into the store is going on; `Unsupported` when the instance defines a shared memory; `StaleHandle`
    /// when it belongs to another store. Nothing has happened then.
    ///
    /// `Os`; what the start function or a segment fails with. From then on every call into the store is a `Poisoned` error, as
    /// other instances may have relied on this one.
    pub fn reset(&self, mut store: impl AsContextMut) -> Result<()> {
        let mut context = store.as_context_mut();
        let store = context.opaque();
        self.vm(store)?;
        let lease = store.cell_mut().lease_of(self.instance).map(std::ptr::from_mut);
        let lease = lease.ok_or_else(|| error!(Bug, "the store has no lease of its instance"))?;
        // SAFETY: the store is borrowed exclusively, and the lease is its own.
        unsafe { reset(store.cell_ptr(), lease) }
    }

    /// The export of that name; `None` when there is none, or the instance belongs to another store.
    pub fn export(&self, mut store: impl AsContextMut, name: &str) -> Option<Extern> {
        let mut context = store.as_context_mut();
        let instance = self.vm(context.opaque()).ok()?;
        let entity = instance.module().info.export(name)?;
        Some(Extern::from_instance(instance, entity, context.opaque()))
    }

    /// An export that was found in the module before; `None` when it belongs to another module, or the instance to another
    /// store.
    pub fn module_export(&self, mut store: impl AsContextMut, export: &ModuleExport) -> Option<Extern> {
        let mut context = store.as_context_mut();
        let instance = self.vm(context.opaque()).ok()?;
        (instance.module().id == export.module)
            .then(|| Extern::from_instance(instance, export.entity, context.opaque()))
    }

    /// All exports, in order.
    ///
    /// # Errors
    ///
    /// `StaleHandle` when the instance belongs to another store.
    pub fn exports(&self, mut store: impl AsContextMut) -> Result<Vec<(String, Extern)>> {
        let mut context = store.as_context_mut();
        let instance = self.vm(context.opaque())?;
        let exports = &instance.module().info.exports;
        Ok(exports
            .iter()
            .map(|e| (e.name.clone(), Extern::from_instance(instance, e.entity, context.opaque())))
            .collect())
    }

    /// The exported function of that name.
    pub fn func(&self, store: impl AsContextMut, name: &str) -> Option<Func> {
        match self.export(store, name)? {
            Extern::Func(func) => Some(func),
            _ => None,
        }
    }

    /// The exported function of that name, whose type is known to Rust.
    ///
    /// # Errors
    ///
    /// `MissingExport`; `Type`, with both types; `StaleHandle`.
    pub fn typed_func<P: WasmList, R: WasmList>(
        &self,
        mut store: impl AsContextMut,
        name: &str,
    ) -> Result<TypedFunc<P, R>> {
        self.vm(store.as_context_mut().opaque())?;
        let Some(func) = self.func(&mut store, name) else {
            return Err(missing_function(&self.vm(store.as_context_mut().opaque())?.module().info, name));
        };
        func.typed(&mut store).map_err(|e| e.context(format_args!("`{name}`")))
    }

    /// The exported memory of that name, unless it is shared.
    pub fn memory(&self, store: impl AsContextMut, name: &str) -> Option<Memory> {
        match self.export(store, name)? {
            Extern::Memory(memory) => Some(memory),
            _ => None,
        }
    }

    /// The exported shared memory of that name.
    pub fn shared_memory(&self, store: impl AsContextMut, name: &str) -> Option<SharedMemory> {
        match self.export(store, name)? {
            Extern::SharedMemory(memory) => Some(memory),
            _ => None,
        }
    }

    /// The exported table of that name.
    pub fn table(&self, store: impl AsContextMut, name: &str) -> Option<Table> {
        match self.export(store, name)? {
            Extern::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The exported global of that name.
    pub fn global(&self, store: impl AsContextMut, name: &str) -> Option<Global> {
        match self.export(store, name)? {
            Extern::Global(global) => Some(global),
            _ => None,
        }
    }
}
