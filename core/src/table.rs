//! [`Table`]: tables of a store.

use std::ptr::NonNull;

use crate::artifact::info::{TableType, ValType};
use crate::artifact::layout::VmTable;
use crate::error::{Result, bail, error};
use crate::store::{AsContext, AsContextMut, StoreOpaque};
use crate::synthetic;
use crate::val::Val;
use crate::vm::limiter::Growth;
use crate::vm::table as vm;

/// A table of a store. A small handle: copy it freely.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    store: u64,
    definition: NonNull<VmTable>,
}

// SAFETY: the pointer is followed only after the store id was compared with that of a store the caller has.
unsafe impl Send for Table {}
// SAFETY: as for Send.
unsafe impl Sync for Table {}

impl Table {
    /// Makes a table in the store, filled with `init`.
    ///
    /// # Errors
    ///
    /// `Type` when `init` does not fit; `PoolExhausted` or `Os`: a host-made table takes a slot.
    pub fn new(mut store: impl AsContextMut, ty: TableType, init: Val) -> Result<Self> {
        // Asked for its store once: whoever implements the trait may have several.
        let mut context = store.as_context_mut();
        check_element(ty, &init, context.opaque())?;
        let slot = init.to_slot(context.opaque())?;
        let table = synthetic::table(&mut context, ty, slot)?;
        let definition = table.raw(context.opaque())?;
        // SAFETY: the table was made just now; the range is all of it.
        unsafe { vm::fill(&mut *definition, 0, slot, ty.minimum) }.map_err(crate::Error::trap)?;
        Ok(table)
    }

    /// # Safety
    ///
    /// The definition belongs to an instance of `store`.
    pub(crate) unsafe fn from_definition(definition: *mut VmTable, store: &StoreOpaque) -> Self {
        Table { store: store.id(), definition: NonNull::new(definition).expect("definitions lie in contexts") }
    }

    pub(crate) fn raw(&self, store: &StoreOpaque) -> Result<*mut VmTable> {
        store.check(self.store, "table")?;
        Ok(self.definition.as_ptr())
    }

    pub(crate) fn current_type(&self, store: &StoreOpaque) -> Result<TableType> {
        let definition = self.raw(store)?;
        // SAFETY: the table is alive with its store.
        let (ty, length) = unsafe { (vm::owner(&*definition).ty(), (*definition).length) };
        Ok(TableType { minimum: length as u64, ..ty })
    }

    /// The type, with the current number of elements as its minimum.
    ///
    /// # Errors
    ///
    /// `StaleHandle` when the table belongs to another store. So do all other methods.
    pub fn ty(&self, store: impl AsContext) -> Result<TableType> {
        self.current_type(store.as_context().opaque())
    }

    /// Number of elements.
    pub fn size(&self, store: impl AsContext) -> Result<u64> {
        Ok(self.ty(store)?.minimum)
    }

    /// Element `index`, or `None` beyond the end.
    pub fn get(&self, store: impl AsContext, index: u64) -> Result<Option<Val>> {
        let context = store.as_context();
        let store = context.opaque();
        let ty = self.current_type(store)?;
        let definition = self.raw(store)?;
        // SAFETY: the store is borrowed, so nobody writes the table.
        let slot = unsafe { vm::element(&*definition, index) };
        Ok(slot.map(|slot| Val::from_slot(slot, ValType::Ref(ty.element), store)))
    }

    /// Overwrites element `index`.
    ///
    /// # Errors
    ///
    /// `OutOfBounds`; `Type` when the value is of another type.
    pub fn set(&self, mut store: impl AsContextMut, index: u64, value: Val) -> Result<()> {
        let mut context = store.as_context_mut();
        let store = context.opaque();
        let ty = self.current_type(store)?;
        check_element(ty, &value, store)?;
        let slot = value.to_slot(store)?;
        let definition = self.raw(store)?;
        // SAFETY: the store is borrowed exclusively; the value was checked.
        unsafe { vm::write(&mut *definition, index, std::iter::once(slot)) }
            .map_err(|_| error!(OutOfBounds, "element {index} is out of bounds: the table has {} elements", ty.minimum))
    }

    /// Grows by `delta` elements of `init`; gives the old size.
    ///
    /// # Errors
    ///
    /// `Limit` when the type's or the engine's maximum forbids it; `Type` when the value is of another type.
    pub fn grow(&self, mut store: impl AsContextMut, delta: u64, init: Val) -> Result<u64> {
        let mut context = store.as_context_mut();
        let store = context.opaque();
        let ty = self.current_type(store)?;
        check_element(ty, &init, store)?;
        let slot = init.to_slot(store)?;
        let definition = self.raw(store)?;
        // SAFETY: the store is borrowed exclusively; the value was checked.
        match unsafe { vm::grow(store.cell_mut().vm(), &mut *definition, delta, slot) } {
            Growth::Done(old) => Ok(old),
            Growth::Failed => bail!(
                Limit,
                "a table of {} elements cannot grow by {delta}: its maximum, max_table_elements or the store's limiter forbids it",
                ty.minimum
            ),
            Growth::Stopped => Err(store.cell_mut().take_stop()),
        }
    }
}

fn check_element(ty: TableType, value: &Val, store: &StoreOpaque) -> Result<()> {
    value.check(ValType::Ref(ty.element), store, |must, is| error!(Type, "an element must be {must}, got {is}"))
}
