//! Host functions: Rust closures that guests call.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use crate::artifact::info::{EntityIndex, FuncType};
use crate::artifact::layout::{VmContext, VmHostContext};
use crate::error::Result;
use crate::externs::Extern;
use crate::func::Func;
use crate::memory::Memory;
use crate::pool::cell::{Failure, StoreCell};
use crate::store::{AsContext, AsContextMut, StoreContext, StoreContextMut};
use crate::val::{MAX_TYPED_SLOTS, Val, WasmList, WasmTy, check_values, for_each_tuple, typed_signature};
use crate::vm::instance::{ImportValue, VmInstance};

type Call = dyn Fn(NonNull<StoreCell>, *mut VmContext, &mut [u64]) -> Result<()> + Send + Sync;

/// A host function of known type, for stores of one type of host data.
pub(crate) struct HostFunc {
    ty: FuncType,
    call: Box<Call>,
}

impl HostFunc {
    /// A function over raw slots.
    pub(crate) fn raw<T: 'static>(
        ty: FuncType,
        func: impl Fn(Caller<'_, T>, &mut [u64]) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        let call = move |cell: NonNull<StoreCell>, context: *mut VmContext, slots: &mut [u64]| {
            // SAFETY: called from wasm that runs in the open store of `cell`, whose data is a `T` because the linker (or
            // store) that the function was made for has that type.
            func(Caller { store: unsafe { StoreContextMut::new(cell) }, context }, slots)
        };
        HostFunc { ty, call: Box::new(call) }
    }

    /// A function over values.
    pub(crate) fn dynamic<T: 'static>(
        ty: FuncType,
        func: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        let signature = ty.clone();
        Self::raw(ty, move |mut caller: Caller<'_, T>, slots| {
            let store = caller.store.opaque();
            let params: Vec<Val> =
                signature.params().iter().zip(&*slots).map(|(&ty, &slot)| Val::from_slot(slot, ty, store)).collect();
            let mut results: Vec<Val> = signature.results().iter().map(|&ty| Val::default_for(ty)).collect();
            func(Caller { store: caller.store.as_context_mut(), context: caller.context }, &params, &mut results)?;
            check_values("results of the host function", signature.results(), &results)?;
            for (slot, value) in slots.iter_mut().zip(results) {
                *slot = value.to_slot(caller.store.opaque())?;
            }
            Ok(())
        })
    }

    pub(crate) fn ty(&self) -> &FuncType {
        &self.ty
    }

    /// What an import is replaced with. `self` must outlive the instance.
    pub(crate) fn import(&self) -> ImportValue {
        ImportValue::Host { func: host_call, data: std::ptr::from_ref(self).cast() }
    }
}

/// Called by wasm-to-host trampolines.
unsafe extern "C" fn host_call(context: *mut VmHostContext, slots: *mut u64) -> u32 {
    // SAFETY: the context was filled from `HostFunc::import`; the function outlives the instance; the trampoline gives a
    // slot for each parameter and result; the instance runs, so its store is open and used by this thread.
    let (func, cell, caller, slots) = unsafe {
        let caller = (*context).caller;
        let func = &*(*context).data.cast::<HostFunc>();
        let slots = std::slice::from_raw_parts_mut(slots, func.ty.slots());
        (func, StoreCell::from_vm((*caller).store), caller, slots)
    };
    let cell = NonNull::new(cell).expect("a running instance has a store");
    let failure = match catch_unwind(AssertUnwindSafe(|| (func.call)(cell, caller, slots))) {
        Ok(Ok(())) => return 0,
        Ok(Err(error)) => Failure::Error(error),
        Err(panic) => Failure::Panic(panic),
    };
    // SAFETY: the host function has returned, so this thread has the cell to itself.
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

    /// An exported memory of the calling instance.
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

    /// The only memory, or the one exported as `memory`, whichever there is.
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

fn closure<T: 'static, P: WasmList, R: WasmRet>(
    func: impl Fn(Caller<'_, T>, P) -> R + Send + Sync + 'static,
) -> HostClosure<T> {
    const { assert!(P::LEN <= MAX_TYPED_SLOTS) };
    let raw = HostFunc::raw(typed_signature::<P, R::List>(), move |caller: Caller<'_, T>, slots: &mut [u64]| {
        let params = P::load(slots);
        func(caller, params).into_result()?.store(slots);
        Ok(())
    });
    HostClosure(raw, PhantomData)
}

macro_rules! into_func {
    ($($name:ident $index:tt),*) => {
        impl<T: 'static, F, R: WasmRet, $($name: WasmTy),*> IntoFunc<T, ($($name,)*), R> for F
        where F: Fn($($name),*) -> R + Send + Sync + 'static
        {
            #[allow(non_snake_case)]
            fn into_host(self) -> HostClosure<T> {
                closure(move |_: Caller<'_, T>, ($($name,)*): ($($name,)*)| self($($name),*))
            }
        }

        impl<T: 'static, F, R: WasmRet, $($name: WasmTy),*> IntoFunc<T, (Caller<'_, T>, $($name,)*), R> for F
        where F: Fn(Caller<'_, T>, $($name),*) -> R + Send + Sync + 'static
        {
            #[allow(non_snake_case)]
            fn into_host(self) -> HostClosure<T> {
                closure(move |caller: Caller<'_, T>, ($($name,)*): ($($name,)*)| self(caller, $($name),*))
            }
        }
    };
}

for_each_tuple!(into_func);
