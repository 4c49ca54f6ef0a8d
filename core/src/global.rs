//! [`Global`]: globals of a store.

use std::ptr::NonNull;

use crate::artifact::info::GlobalType;
use crate::artifact::layout::VmGlobal;
use crate::error::{Result, bail, error};
use crate::store::{AsContext, AsContextMut, StoreOpaque};
use crate::synthetic;
use crate::val::Val;

/// A global of a store. A small handle: copy it freely.
#[derive(Clone, Copy, Debug)]
pub struct Global {
    store: u64,
    definition: NonNull<VmGlobal>,
    ty: GlobalType,
}

// SAFETY: the pointer is followed only after the store id was compared with that of a store the caller has.
unsafe impl Send for Global {}
// SAFETY: as for Send.
unsafe impl Sync for Global {}

impl Global {
    /// Makes a global in the store.
    ///
    /// # Errors
    ///
    /// `Type` when `init` does not fit; `PoolExhausted` or `Os`: a host-made global takes a slot.
    pub fn new(mut store: impl AsContextMut, ty: GlobalType, init: Val) -> Result<Self> {
        let mut context = store.as_context_mut();
        init.check(ty.content, context.opaque(), |must, is| {
            error!(Type, "a global of type {must} cannot start as {is}")
        })?;
        let global = synthetic::global(&mut context, ty)?;
        global.put(context.opaque(), init)?;
        Ok(global)
    }

    /// # Safety
    ///
    /// The definition belongs to an instance of `store` and has type `ty`.
    pub(crate) unsafe fn from_definition(definition: *mut VmGlobal, ty: GlobalType, store: &StoreOpaque) -> Self {
        Global { store: store.id(), definition: NonNull::new(definition).expect("definitions lie in contexts"), ty }
    }

    pub(crate) fn raw(&self, store: &StoreOpaque) -> Result<*mut VmGlobal> {
        store.check(self.store, "global")?;
        Ok(self.definition.as_ptr())
    }

    pub(crate) fn type_in(&self, store: &StoreOpaque) -> Result<GlobalType> {
        self.raw(store)?;
        Ok(self.ty)
    }

    /// The bits of its value, if it is a constant of numbers: those never change and mean the same in every store.
    pub(crate) fn constant(&self, store: &StoreOpaque) -> Result<Option<[u64; 2]>> {
        let definition = self.raw(store)?;
        let constant = !self.ty.mutable && !self.ty.content.is_reference();
        // SAFETY: the global is alive with its store.
        Ok(constant.then(|| unsafe { (*definition).bits }))
    }

    fn put(&self, store: &mut StoreOpaque, value: Val) -> Result<()> {
        let mut bits = [0; 2];
        Val::to_slots(&[value], &mut bits, store)?;
        let definition = self.raw(store)?;
        // SAFETY: the global is alive with its store, which is borrowed exclusively.
        unsafe { (*definition).bits = bits };
        Ok(())
    }

    /// The type.
    pub fn ty(&self) -> GlobalType {
        self.ty
    }

    /// The value.
    ///
    /// # Errors
    ///
    /// `StaleHandle` when the global belongs to another store.
    pub fn get(&self, store: impl AsContext) -> Result<Val> {
        let context = store.as_context();
        let definition = self.raw(context.opaque())?;
        // SAFETY: the global is alive with its store, which is borrowed.
        let bits = unsafe { (*definition).bits };
        let value = Val::from_slots(&bits, &[self.ty.content], context.opaque()).next();
        value.ok_or_else(|| error!(Bug, "a global without a value"))
    }

    /// Changes the value.
    ///
    /// # Errors
    ///
    /// `Type` when the global is constant or the value is of another type; `StaleHandle`.
    pub fn set(&self, mut store: impl AsContextMut, value: Val) -> Result<()> {
        if !self.ty.mutable {
            bail!(Type, "the global is constant; only mutable globals can be set");
        }
        let mut context = store.as_context_mut();
        let store = context.opaque();
        // Before the value is looked at: a type is one of the global's own engine.
        self.raw(store)?;
        value.check(self.ty.content, store, |must, is| error!(Type, "the global is {must}, got {is}"))?;
        self.put(store, value)
    }
}
