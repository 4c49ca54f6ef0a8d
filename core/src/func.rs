//! [`Func`] and [`TypedFunc`]: functions of a store, host or guest.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use crate::artifact::info::FuncType;
use crate::artifact::layout::VmFuncRef;
use crate::engine::Engine;
use crate::error::{Result, bail};
use crate::host::{Caller, HostFunc, IntoFunc};
use crate::pool::cell::StoreCell;
use crate::store::{AsContext, AsContextMut, StoreOpaque};
use crate::synthetic;
use crate::val::{MAX_TYPED_SLOTS, Val, WasmList, check_typed, check_values};

/// Calls over values that need no more slots than this need no allocation.
const FEW_SLOTS: usize = 16;

/// A function of a store. A small handle: copy it freely.
#[derive(Clone, Copy, Debug)]
pub struct Func {
    store: u64,
    reference: *const VmFuncRef,
}

// SAFETY: the pointer is followed only after the store id was compared with that of a store the caller has.
unsafe impl Send for Func {}
// SAFETY: as for Send.
unsafe impl Sync for Func {}

impl PartialEq for Func {
    /// Whether both are the same function of the same store.
    fn eq(&self, other: &Self) -> bool {
        self.store == other.store && self.reference == other.reference
    }
}

impl Func {
    /// Makes a closure a function of the store.
    ///
    /// # Errors
    ///
    /// `PoolExhausted` or `Os`: a host-made function takes a slot.
    pub fn wrap<T: 'static, P, R>(
        mut store: impl AsContextMut<Data = T>,
        func: impl IntoFunc<T, P, R>,
    ) -> Result<Self> {
        synthetic::func(&mut store.as_context_mut(), func.into_host().0)
    }

    /// Makes a closure over values a function of the store.
    ///
    /// # Errors
    ///
    /// As for [`Func::wrap`].
    pub fn new<T: 'static>(
        mut store: impl AsContextMut<Data = T>,
        ty: FuncType,
        func: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Self> {
        synthetic::func(&mut store.as_context_mut(), HostFunc::dynamic(ty, func))
    }

    /// # Safety
    ///
    /// `reference` belongs to an instance of `store`.
    pub(crate) unsafe fn from_reference(reference: *const VmFuncRef, store: &StoreOpaque) -> Self {
        Func { store: store.id(), reference }
    }

    /// The function behind a slot that comes from `store`; `None` for null.
    pub(crate) fn from_raw(slot: u64, store: &StoreOpaque) -> Option<Self> {
        (slot != 0).then(|| Func { store: store.id(), reference: slot as *const VmFuncRef })
    }

    /// The reference, for use in `store`.
    pub(crate) fn raw(&self, store: &StoreOpaque) -> Result<*const VmFuncRef> {
        store.check(self.store, "function")?;
        Ok(self.reference)
    }

    /// The function's type.
    ///
    /// # Errors
    ///
    /// `StaleHandle` when it belongs to another store.
    pub fn ty(&self, store: impl AsContext) -> Result<FuncType> {
        self.type_in(store.as_context().opaque())
    }

    fn type_in(&self, store: &StoreOpaque) -> Result<FuncType> {
        Ok(Engine::known_type_in(store.cell(), self.type_id(store)?))
    }

    /// The engine's id of the function's type.
    pub(crate) fn type_id(&self, store: &StoreOpaque) -> Result<u32> {
        let reference = self.raw(store)?;
        // SAFETY: the reference belongs to an instance of this store.
        Ok(unsafe { (*reference).type_id })
    }

    /// Calls the function with values.
    ///
    /// # Errors
    ///
    /// `Type` when number or types of `params`, or the length of `results`, are wrong; `Trap`; a host function's own error;
    /// `StaleHandle`.
    pub fn call(&self, mut store: impl AsContextMut, params: &[Val], results: &mut [Val]) -> Result<()> {
        let mut context = store.as_context_mut();
        let store = context.opaque();
        let ty = self.type_in(store)?;
        check_values("parameter", ty.params(), params, store)?;
        if results.len() != ty.results().len() {
            let (wanted, got) = (ty.results().len(), results.len());
            let engine = store.engine();
            let ty = engine.types().show_func(&ty);
            bail!(Type, "a function of type {ty} needs room for its results: expected {wanted}, got {got}");
        }
        let (mut few, mut many) = ([0; FEW_SLOTS], Vec::new());
        let slots: &mut [u64] = match few.get_mut(..ty.slots()) {
            Some(slots) => slots,
            None => {
                many.resize(ty.slots(), 0);
                &mut many
            }
        };
        Val::to_slots(params, slots, store)?;
        // SAFETY: `type_in` checked the store; slots were checked against the type.
        unsafe { StoreCell::call(store.cell_ptr(), self.reference, slots.as_mut_ptr())? };
        let mut slots = &*slots;
        for (result, &ty) in results.iter_mut().zip(ty.results()) {
            *result = Val::take(&mut slots, ty, store);
        }
        Ok(())
    }

    /// Calls the function on raw slots of 8 bytes: parameters in, results out. Integers and floats are their bits in the low
    /// end; a vector takes two slots, its low half first.
    ///
    /// # Errors
    ///
    /// As for [`Func::call`]; `Type` when there are fewer slots than parameters or results, or when one of them is a reference.
    pub fn call_raw(&self, mut store: impl AsContextMut, slots: &mut [u64]) -> Result<()> {
        let mut context = store.as_context_mut();
        let store = context.opaque();
        let ty = self.type_in(store)?;
        check_raw(&store.engine(), &ty, slots.len())?;
        // SAFETY: `type_in` checked the store; there are slots enough, and any bits are good numbers.
        unsafe { StoreCell::call(store.cell_ptr(), self.reference, slots.as_mut_ptr()) }
    }

    /// Calls the function on raw slots of 8 bytes as [`Func::call_raw`] does, without a look at its type.
    ///
    /// A `funcref` or `externref` in a slot is 0 for null, or a number that an earlier call left in a slot.
    ///
    /// # Errors
    ///
    /// As for [`Func::call`], but for `Type`.
    ///
    /// # Safety
    ///
    /// `slots` points to [`FuncType::slots`] slots at least, which hold parameters of the function's type; references among
    /// them come from calls in the same store.
    pub unsafe fn call_unchecked(&self, mut store: impl AsContextMut, slots: *mut u64) -> Result<()> {
        let mut context = store.as_context_mut();
        let store = context.opaque();
        let reference = self.raw(store)?;
        // SAFETY: the store was checked; the caller vouches for the slots.
        unsafe { StoreCell::call(store.cell_ptr(), reference, slots) }
    }

    /// Checks the function's type once, for calls without checks.
    ///
    /// # Errors
    ///
    /// `Type`, with both types.
    pub fn typed<P: WasmList, R: WasmList>(&self, store: impl AsContext) -> Result<TypedFunc<P, R>> {
        let context = store.as_context();
        let ty = self.type_in(context.opaque())?;
        check_typed::<P, R>(&context.opaque().engine(), "the function", &ty)?;
        Ok(TypedFunc { func: *self, _types: PhantomData })
    }
}

/// Whether a call on `slots` raw slots is one for functions of type `ty`.
///
/// # Errors
///
/// `Type` when there are too few, or when a parameter or result is a reference.
pub(crate) fn check_raw(engine: &Engine, ty: &FuncType, slots: usize) -> Result<()> {
    if ty.has_references() {
        let ty = engine.types().show_func(ty);
        bail!(Type, "references cannot be passed as raw slots: the function has type {ty}");
    }
    if slots < ty.slots() {
        bail!(Type, "a call of type {ty} needs {} slots, got {slots}", ty.slots());
    }
    Ok(())
}

/// A function whose type is known to Rust.
#[derive(Debug)]
pub struct TypedFunc<P, R> {
    func: Func,
    _types: PhantomData<fn(P) -> R>,
}

impl<P, R> Clone for TypedFunc<P, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P, R> Copy for TypedFunc<P, R> {}

impl<P: WasmList, R: WasmList> TypedFunc<P, R> {
    /// The function.
    pub fn func(&self) -> &Func {
        &self.func
    }

    /// Calls the function.
    ///
    /// # Errors
    ///
    /// `Trap`; a host function's own error; `StaleHandle`.
    #[inline]
    pub fn call(&self, mut store: impl AsContextMut, params: P) -> Result<R> {
        let mut context = store.as_context_mut();
        let store = context.opaque();
        let reference = self.func.raw(store)?;
        // SAFETY: the store was checked, the type when `self` was made.
        unsafe { call_typed(store.cell_ptr(), reference, params) }
    }
}

/// Calls `reference` as `P -> R`.
///
/// # Safety
///
/// As for [`StoreCell::call`], and the function has that type.
#[inline]
pub(crate) unsafe fn call_typed<P: WasmList, R: WasmList>(
    cell: *mut StoreCell,
    reference: *const VmFuncRef,
    params: P,
) -> Result<R> {
    const { assert!(P::LEN <= MAX_TYPED_SLOTS && R::LEN <= MAX_TYPED_SLOTS) };
    let used = const { if P::LEN > R::LEN { P::LEN } else { R::LEN } };
    let mut slots = [const { MaybeUninit::<u64>::uninit() }; MAX_TYPED_SLOTS];
    for slot in &mut slots[..used] {
        slot.write(0);
    }
    // SAFETY: those slots were initialised just now.
    let slots = unsafe { std::slice::from_raw_parts_mut(slots.as_mut_ptr().cast::<u64>(), used) };
    params.store(slots);
    // SAFETY: passed on; there is a slot for each parameter and result.
    unsafe { StoreCell::call(cell, reference, slots.as_mut_ptr())? };
    Ok(R::load(slots))
}
