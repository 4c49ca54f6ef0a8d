//! Host functions: Rust closures that guests call.

use std::any::Any;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use crate::artifact::info::{EntityIndex, FuncType};
use crate::artifact::layout::{DirectResult, VmContext, VmHostContext};
use crate::error::Result;
use crate::externs::Extern;
use crate::func::Func;
use crate::memory::Memory;
use crate::pool::cell::{Failure, StoreCell};
use crate::store::{AsContext, AsContextMut, StoreContext, StoreContextMut};
use crate::val::{MAX_TYPED_SLOTS, Val, WasmList, WasmTy, check_values, for_each_tuple, typed_signature};
use crate::vm::builtins::BUILTINS;
use crate::vm::instance::{HostCode, ImportValue, VmInstance};

/// A host function of known type, for stores of one type of host data.
pub(crate) struct HostFunc {
    ty: FuncType,
    /// Calls the body; monomorphic, so that a closure's code is inlined into it.
    code: HostCode,
    /// What a `VmHostContext` points to: the `Body<F>` that `code` expects.
    body: NonNull<c_void>,
    /// Owns the body.
    _owner: Box<dyn Any + Send + Sync>,
}

/// A closure with what the call from compiled code needs.
struct Body<F> {
    slots: usize,
    func: F,
}

// SAFETY: `body` points into `_owner`, which is Send + Sync; `code` is code.
unsafe impl Send for HostFunc {}
// SAFETY: as for Send.
unsafe impl Sync for HostFunc {}

impl HostFunc {
    /// A function over raw slots.
    pub(crate) fn raw<T, F>(ty: FuncType, func: F) -> Self
    where
        T: 'static,
        F: Fn(Caller<'_, T>, &mut [u64]) -> Result<()> + Send + Sync + 'static,
    {
        Self::new(ty, HostCode::Slots(host_call::<T, F>), func)
    }

    /// `code` expects a `Body<F>`.
    fn new<F: Send + Sync + 'static>(ty: FuncType, code: HostCode, func: F) -> Self {
        let mut body = Box::new(Body { slots: ty.slots(), func });
        let place = NonNull::from(&mut *body).cast();
        HostFunc { ty, code, body: place, _owner: body }
    }

    /// A function over values.
    pub(crate) fn dynamic<T: 'static>(
        ty: FuncType,
        func: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        let signature = ty.clone();
        Self::raw::<T, _>(ty, move |mut caller: Caller<'_, T>, slots| {
            let store = caller.store.opaque();
            let params: Vec<Val> = Val::from_slots(slots, signature.params(), store).collect();
            let mut results: Vec<Val> = signature.results().iter().map(|&ty| Val::default_for(ty)).collect();
            func(Caller { store: caller.store.as_context_mut(), context: caller.context }, &params, &mut results)?;
            let store = caller.store.opaque();
            check_values("host function's result", signature.results(), &results, store)?;
            Val::to_slots(&results, slots, store)
        })
    }

    pub(crate) fn ty(&self) -> &FuncType {
        &self.ty
    }

    /// What an import is replaced with. `self` must outlive the instance, which must belong to a store of a `T`.
    pub(crate) fn import(&self) -> ImportValue {
        ImportValue::Host { func: self.code, data: self.body.as_ptr() }
    }
}

/// What a call from compiled code finds behind its context: the body, the store's cell, and the caller.
///
/// # Safety
///
/// The context was filled from [`HostFunc::import`] of a function with a `Body<F>`, made for stores of a `T`, which outlives
/// the instance; the instance runs, so its store is open and used by this thread.
#[inline(always)]
unsafe fn enter<'a, T: 'static, F>(context: *mut VmHostContext) -> (&'a Body<F>, NonNull<StoreCell>, Caller<'a, T>) {
    // SAFETY: the caller vouches for the context; a running instance has a store. (No check of that: it would be all that
    // many a closure loads.)
    let (body, cell, caller) = unsafe {
        let caller = (*context).caller;
        let cell = StoreCell::from_vm((*caller).store);
        debug_assert!(!cell.is_null(), "a running instance has a store");
        (&*(*context).data.cast::<Body<F>>(), NonNull::new_unchecked(cell), caller)
    };
    // SAFETY: the store's data is a `T`.
    (body, cell, Caller { store: unsafe { StoreContextMut::new(cell) }, context: caller })
}

/// Called by wasm-to-host trampolines.
unsafe extern "C" fn host_call<T, F>(context: *mut VmHostContext, slots: *mut u64) -> u32
where
    T: 'static,
    F: Fn(Caller<'_, T>, &mut [u64]) -> Result<()> + Send + Sync + 'static,
{
    // SAFETY: `HostFunc::raw` pairs this function with such a body; the trampoline gives a slot for each parameter and result.
    let (body, cell, caller, slots) = unsafe {
        let (body, cell, caller) = enter::<T, F>(context);
        (body, cell, caller, std::slice::from_raw_parts_mut(slots, body.slots))
    };
    match catch_unwind(AssertUnwindSafe(|| (body.func)(caller, slots))) {
        Ok(Ok(())) => 0,
        // SAFETY: the host function has returned, so this thread has the cell to itself.
        Ok(Err(error)) => unsafe { failed(cell, Failure::Error(error)) },
        // SAFETY: as above.
        Err(panic) => unsafe { failed(cell, Failure::Panic(panic)) },
    }
}

/// The body of functions that direct wasm-to-host trampolines call: `call` calls the closure.
///
/// # Safety
///
/// As for [`enter`].
#[inline(always)]
unsafe fn direct_call<T: 'static, F, R: WasmRet>(
    context: *mut VmHostContext,
    call: impl FnOnce(&F, Caller<'_, T>) -> R,
) -> DirectResult {
    // SAFETY: passed on.
    let (body, cell, caller) = unsafe { enter::<T, F>(context) };
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut bits = [0];
        call(&body.func, caller).into_result()?.store(&mut bits);
        Ok(bits[0])
    }));
    let trap = match result {
        Ok(Ok(bits)) => return DirectResult { bits, trap: 0 },
        // SAFETY: the host function has returned, so this thread has the cell to itself.
        Ok(Err(error)) => unsafe { failed(cell, Failure::Error(error)) },
        // SAFETY: as above.
        Err(panic) => unsafe { failed(cell, Failure::Panic(panic)) },
    };
    DirectResult { bits: BUILTINS.raise as usize as u64, trap: trap.into() }
}

/// # Safety
///
/// This thread has the cell to itself.
#[cold]
unsafe fn failed(cell: NonNull<StoreCell>, failure: Failure) -> u32 {
    // SAFETY: passed on.
    unsafe { (*cell.as_ptr()).fail(failure) }
}

/// The instance whose import is being called, and its store.
pub struct Caller<'a, T: 'static> {
    store: StoreContextMut<'a, T>,
    context: *mut VmContext,
}

impl<T: 'static> Caller<'_, T> {
    /// The host data of the store.
    pub fn data(&self) -> &T {
        self.store.data()
    }

    /// The host data of the store.
    pub fn data_mut(&mut self) -> &mut T {
        self.store.data_mut()
    }

    /// An export of the calling instance.
    pub fn export(&mut self, name: &str) -> Option<Extern> {
        // SAFETY: the instance runs in the store that is borrowed here.
        let instance = unsafe { VmInstance::from_context(self.context) };
        let entity = instance.module().info.export(name)?;
        Some(Extern::from_instance(instance, entity, self.store.opaque()))
    }

    /// An exported memory of the calling instance, unless it is shared.
    pub fn memory(&mut self, name: &str) -> Option<Memory> {
        match self.export(name)? {
            Extern::Memory(memory) => Some(memory),
            _ => None,
        }
    }

    /// An exported function of the calling instance.
    pub fn func(&mut self, name: &str) -> Option<Func> {
        match self.export(name)? {
            Extern::Func(func) => Some(func),
            _ => None,
        }
    }

    /// The only memory, or the one exported as `memory`, whichever there is, unless it is shared.
    pub fn default_memory(&mut self) -> Option<Memory> {
        self.memory("memory").or_else(|| {
            // SAFETY: as in `export`.
            let instance = unsafe { VmInstance::from_context(self.context) };
            let only = instance.module().info.memories.len() == 1;
            match Extern::from_instance(instance, EntityIndex::Memory(only.then_some(0)?), self.store.opaque()) {
                Extern::Memory(memory) => Some(memory),
                _ => None,
            }
        })
    }
}

impl<T: 'static> AsContext for Caller<'_, T> {
    type Data = T;
    fn as_context(&self) -> StoreContext<'_, T> {
        self.store.as_context()
    }
}

impl<T: 'static> AsContextMut for Caller<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        self.store.as_context_mut()
    }
}

/// What a host closure may return: a [`WasmList`], or a [`Result`] of one.
pub trait WasmRet {
    /// The values.
    type List: WasmList;
    /// The values, or the error that the caller of the guest gets.
    fn into_result(self) -> Result<Self::List>;
}

impl<R: WasmList> WasmRet for R {
    type List = R;
    fn into_result(self) -> Result<R> {
        Ok(self)
    }
}

impl<R: WasmList> WasmRet for Result<R> {
    type List = R;
    fn into_result(self) -> Result<R> {
        self
    }
}

/// Closures that can be host functions: up to 16 parameters of [`WasmTy`], with or without a [`Caller`] in front.
///
/// `Params` and `Results` only tell the implementations apart.
pub trait IntoFunc<T, Params, Results>: Send + Sync + 'static {
    /// The host function.
    #[doc(hidden)]
    fn into_host(self) -> HostClosure<T>;
}

/// A closure made into a host function.
pub struct HostClosure<T>(pub(crate) HostFunc, PhantomData<fn(T)>);

/// A closure whose parameters and results pass through slots.
fn through_slots<T: 'static, P: WasmList, R: WasmRet>(
    ty: FuncType,
    func: impl Fn(Caller<'_, T>, P) -> R + Send + Sync + 'static,
) -> HostFunc {
    const { assert!(P::LEN <= MAX_TYPED_SLOTS) };
    HostFunc::raw(ty, move |caller: Caller<'_, T>, slots: &mut [u64]| {
        let params = P::load(slots);
        func(caller, params).into_result()?.store(slots);
        Ok(())
    })
}

macro_rules! into_func {
    ($($name:ident $index:tt),*) => {
        into_func!(@closure caller, [], (), [], $($name $index),*);
        into_func!(@closure caller, [Caller<'_, T>,], (Caller<'_, T>,), [caller,], $($name $index),*);
    };
    // The name of the caller, and the closure's own first parameter: as type, in the list that tells implementations
    // apart, and as argument.
    (@closure $caller:ident, [$($first:ty,)?], ($($tag:ty,)?), [$($argument:ident,)?], $($name:ident $index:tt),*) => {
        impl<T: 'static, F, R: WasmRet, $($name: WasmTy),*> IntoFunc<T, ($($tag,)? $($name,)*), R> for F
        where F: Fn($($first,)? $($name),*) -> R + Send + Sync + 'static
        {
            #[allow(non_snake_case, unused_variables)]
            fn into_host(self) -> HostClosure<T> {
                unsafe extern "C" fn direct<T, Func, Ret, $($name),*>(
                    context: *mut VmHostContext,
                    $($name: $name::Abi),*
                ) -> DirectResult
                where
                    T: 'static,
                    Func: Fn($($first,)? $($name),*) -> Ret + Send + Sync + 'static,
                    Ret: WasmRet,
                    $($name: WasmTy),*
                {
                    // SAFETY: `into_host` pairs this function with a body of a `Func`.
                    unsafe {
                        direct_call::<T, Func, Ret>(context, |func, $caller| func($($argument,)? $($name::from_abi($name)),*))
                    }
                }
                let ty = typed_signature::<($($name,)*), R::List>();
                HostClosure(
                    if ty.is_direct() {
                        HostFunc::new(ty, HostCode::Direct(direct::<T, F, R, $($name),*> as *const c_void), self)
                    } else {
                        through_slots(ty, move |$caller: Caller<'_, T>, ($($name,)*): ($($name,)*)| {
                            self($($argument,)? $($name),*)
                        })
                    },
                    PhantomData,
                )
            }
        }
    };
}

for_each_tuple!(into_func);
