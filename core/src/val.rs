//! Values, and the Rust types that stand for them.

use std::any::Any;

use crate::artifact::info::{FuncType, HeapType, RefType, ValType};
use crate::engine::Engine;
use crate::error::{Error, Result, bail, error};
use crate::func::Func;
use crate::store::{AsContext, AsContextMut, StoreOpaque};

/// A vector of 128 bits; lane 0 is in the low bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct V128(u128);

impl V128 {
    /// The vector as an integer.
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

impl From<u128> for V128 {
    fn from(bits: u128) -> Self {
        V128(bits)
    }
}

impl From<V128> for u128 {
    fn from(vector: V128) -> Self {
        vector.0
    }
}

impl std::fmt::Debug for V128 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#034x}", self.0)
    }
}

/// A value of WebAssembly. Floats are their bits, so that NaNs survive.
#[derive(Clone, Copy, Debug)]
pub enum Val {
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
    V128(V128),
    FuncRef(Option<Func>),
    ExternRef(Option<ExternRef>),
}

impl Val {
    /// The value's type.
    pub fn ty(&self) -> ValType {
        match self {
            Val::I32(_) => ValType::I32,
            Val::I64(_) => ValType::I64,
            Val::F32(_) => ValType::F32,
            Val::F64(_) => ValType::F64,
            Val::V128(_) => ValType::V128,
            Val::FuncRef(_) => ValType::FUNCREF,
            Val::ExternRef(_) => ValType::EXTERNREF,
        }
    }

    /// Checks that the value is one of type `ty`; `wrong` makes the error from both types in words.
    #[inline]
    pub(crate) fn check(
        &self,
        ty: ValType,
        store: &StoreOpaque,
        wrong: impl FnOnce(String, String) -> Error,
    ) -> Result<()> {
        match self.is(ty, store)? {
            true => Ok(()),
            false => self.mismatch(ty, store, wrong),
        }
    }

    /// Whether the value is one of type `ty`, which for functions depends on what they are.
    #[inline]
    fn is(&self, ty: ValType, store: &StoreOpaque) -> Result<bool> {
        Ok(match (self, ty) {
            (Val::FuncRef(func), ValType::Ref(ty)) => match (func, ty.heap) {
                (_, HeapType::Extern) => false,
                (None, _) => ty.nullable,
                (Some(_), HeapType::Func) => true,
                (Some(func), HeapType::Concrete(id)) => func.type_id(store)? == id,
            },
            (Val::ExternRef(object), ValType::Ref(ty)) => {
                ty.heap == HeapType::Extern && (ty.nullable || object.is_some())
            }
            (value, ty) => value.ty() == ty,
        })
    }

    #[cold]
    fn mismatch(&self, ty: ValType, store: &StoreOpaque, wrong: impl FnOnce(String, String) -> Error) -> Result<()> {
        let exactly = |heap| ValType::Ref(RefType { nullable: false, heap });
        let engine = store.engine();
        let is = match self {
            Val::FuncRef(None) | Val::ExternRef(None) if ty.is_reference() => format!("a null {}", self.ty()),
            Val::FuncRef(Some(func)) => engine.types().show(exactly(HeapType::Concrete(func.type_id(store)?))),
            value => value.ty().to_string(),
        };
        let must = engine.types().show(ty);
        Err(wrong(must, is))
    }

    /// The zero, or null reference, of a type. Types of references that are never null have no such value; then it is a
    /// null reference all the same.
    pub fn default_for(ty: ValType) -> Self {
        match ty {
            ValType::I32 => Val::I32(0),
            ValType::I64 => Val::I64(0),
            ValType::F32 => Val::F32(0),
            ValType::F64 => Val::F64(0),
            ValType::V128 => Val::V128(V128(0)),
            ValType::Ref(ty) if ty.is_function() => Val::FuncRef(None),
            ValType::Ref(_) => Val::ExternRef(None),
        }
    }

    /// The bits of a number; `None` for a reference.
    pub(crate) fn number_bits(self) -> Option<[u64; 2]> {
        let word = match self {
            Val::I32(v) => u64::from(v as u32),
            Val::I64(v) => v as u64,
            Val::F32(bits) => bits.into(),
            Val::F64(bits) => bits,
            Val::V128(v) => return Some([v.0 as u64, (v.0 >> 64) as u64]),
            Val::FuncRef(_) | Val::ExternRef(_) => return None,
        };
        Some([word, 0])
    }

    /// Writes values that go into `store` to consecutive slots.
    #[inline]
    pub(crate) fn to_slots(values: &[Val], slots: &mut [u64], store: &StoreOpaque) -> Result<()> {
        let mut at = 0;
        for value in values {
            if let Val::V128(v) = value {
                v.to_slots(&mut slots[at..]);
            } else {
                slots[at] = value.to_slot(store)?;
            }
            at += value.ty().slots();
        }
        Ok(())
    }

    /// The values of these types that come from `store` in consecutive slots.
    pub(crate) fn from_slots<'a>(
        mut slots: &'a [u64],
        types: &'a [ValType],
        store: &'a StoreOpaque,
    ) -> impl ExactSizeIterator<Item = Val> + 'a {
        types.iter().map(move |&ty| Val::take(&mut slots, ty, store))
    }

    /// Takes a value of this type that comes from `store` from the front of `slots`.
    #[inline]
    pub(crate) fn take(slots: &mut &[u64], ty: ValType, store: &StoreOpaque) -> Self {
        let (own, rest) = slots.split_at(ty.slots());
        *slots = rest;
        match ty {
            ValType::V128 => Val::V128(V128(u128::from(own[0]) | u128::from(own[1]) << 64)),
            _ => Val::from_slot(own[0], ty, store),
        }
    }

    /// The slot for a value that goes into `store`: the low half of a vector.
    pub(crate) fn to_slot(self, store: &StoreOpaque) -> Result<u64> {
        Ok(match self {
            Val::I32(v) => u64::from(v as u32),
            Val::I64(v) => v as u64,
            Val::F32(v) => u64::from(v),
            Val::F64(v) => v,
            Val::V128(v) => v.0 as u64,
            Val::FuncRef(None) | Val::ExternRef(None) => 0,
            Val::FuncRef(Some(func)) => func.raw(store)? as u64,
            Val::ExternRef(Some(reference)) => reference.raw(store)?,
        })
    }

    /// The value in a slot that comes from `store`; of a vector, the low half.
    pub(crate) fn from_slot(slot: u64, ty: ValType, store: &StoreOpaque) -> Self {
        match ty {
            ValType::I32 => Val::I32(slot as u32 as i32),
            ValType::I64 => Val::I64(slot as i64),
            ValType::F32 => Val::F32(slot as u32),
            ValType::F64 => Val::F64(slot),
            ValType::V128 => Val::V128(V128(slot.into())),
            ValType::Ref(ty) if ty.is_function() => Val::FuncRef(Func::from_raw(slot, store)),
            ValType::Ref(_) => Val::ExternRef(ExternRef::from_raw(slot, store)),
        }
    }
}

macro_rules! val_from {
    ($($rust:ty => |$v:ident| $val:expr;)*) => {$(
        impl From<$rust> for Val {
            fn from($v: $rust) -> Val {
                $val
            }
        }
    )*};
}

val_from! {
    i32 => |v| Val::I32(v);
    u32 => |v| Val::I32(v as i32);
    i64 => |v| Val::I64(v);
    u64 => |v| Val::I64(v as i64);
    f32 => |v| Val::F32(v.to_bits());
    f64 => |v| Val::F64(v.to_bits());
    V128 => |v| Val::V128(v);
    Func => |v| Val::FuncRef(Some(v));
}

/// A host object that guests can hold but not look into. It lives as long as its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExternRef {
    store: u64,
    index: usize,
}

impl ExternRef {
    /// Puts an object into the store.
    pub fn new(mut store: impl AsContextMut, object: impl Any + Send + Sync) -> Self {
        let mut context = store.as_context_mut();
        let store = context.opaque().id();
        ExternRef { store, index: context.opaque().cell_mut().add_extern(Box::new(object)) }
    }

    /// The object.
    ///
    /// # Errors
    ///
    /// `StaleHandle` when the reference belongs to another store.
    pub fn data<'a>(&self, store: &'a impl AsContext) -> Result<&'a (dyn Any + Send + Sync)> {
        let context = store.as_context();
        self.raw(context.opaque())?;
        Ok(&*context.cell().externs()[self.index])
    }

    fn raw(self, store: &StoreOpaque) -> Result<u64> {
        store.check(self.store, "externref")?;
        Ok(self.index as u64 + 1)
    }

    fn from_raw(slot: u64, store: &StoreOpaque) -> Option<Self> {
        Some(ExternRef { store: store.id(), index: slot.checked_sub(1)? as usize })
    }
}

/// A Rust type that stands for a numeric or vector value type.
///
/// `i32` and `u32` stand for i32, `i64` and `u64` for i64, `f32` and `f64` for themselves, [`V128`] for v128.
pub trait WasmTy: Copy + Send + Sync + 'static + sealed::Sealed {
    /// The value type.
    const TYPE: ValType;
    /// Number of 8-byte slots that a value takes: 2 for a vector, 1 for all others.
    const SLOTS: usize = 1;
    /// The C type in which compiled code passes a value in a register.
    #[doc(hidden)]
    type Abi: Copy;
    #[doc(hidden)]
    fn from_abi(abi: Self::Abi) -> Self;
    /// Writes the value to the first `SLOTS` slots.
    fn to_slots(self, slots: &mut [u64]);
    /// Reads the value from the first `SLOTS` slots.
    fn from_slots(slots: &[u64]) -> Self;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! wasm_ty {
    ($($rust:ty, $ty:ident, |$v:ident| $to:expr, |$s:ident| $from:expr;)*) => {$(
        impl sealed::Sealed for $rust {}
        impl WasmTy for $rust {
            const TYPE: ValType = ValType::$ty;
            type Abi = Self;
            #[inline]
            fn from_abi(abi: Self) -> Self {
                abi
            }
            #[inline]
            fn to_slots(self, slots: &mut [u64]) {
                let $v = self;
                slots[0] = $to;
            }
            #[inline]
            fn from_slots(slots: &[u64]) -> Self {
                let $s = slots[0];
                $from
            }
        }
    )*};
}

wasm_ty! {
    i32, I32, |v| u64::from(v as u32), |s| s as u32 as i32;
    u32, I32, |v| u64::from(v), |s| s as u32;
    i64, I64, |v| v as u64, |s| s as i64;
    u64, I64, |v| v, |s| s;
    f32, F32, |v| u64::from(v.to_bits()), |s| f32::from_bits(s as u32);
    f64, F64, |v| v.to_bits(), |s| f64::from_bits(s);
}

impl sealed::Sealed for V128 {}
impl WasmTy for V128 {
    const TYPE: ValType = ValType::V128;
    const SLOTS: usize = 2;
    /// Unused: functions with vectors take them in slots.
    type Abi = u64;
    fn from_abi(abi: u64) -> Self {
        V128(abi.into())
    }
    #[inline]
    fn to_slots(self, slots: &mut [u64]) {
        slots[..2].copy_from_slice(&[self.0 as u64, (self.0 >> 64) as u64]);
    }
    #[inline]
    fn from_slots(slots: &[u64]) -> Self {
        V128(u128::from(slots[0]) | u128::from(slots[1]) << 64)
    }
}

/// Rust types that stand for a list of values: a [`WasmTy`], or a tuple of 0 to 16 of them.
pub trait WasmList: Sized + Send + Sync + 'static {
    /// The value types.
    fn types() -> Vec<ValType>;
    /// Number of 8-byte slots that the values take.
    const LEN: usize;
    /// Writes the values to the first `LEN` slots.
    fn store(self, slots: &mut [u64]);
    /// Reads the values from the first `LEN` slots.
    fn load(slots: &[u64]) -> Self;
}

impl<T: WasmTy> WasmList for T {
    fn types() -> Vec<ValType> {
        vec![T::TYPE]
    }
    const LEN: usize = T::SLOTS;
    #[inline]
    fn store(self, slots: &mut [u64]) {
        self.to_slots(slots);
    }
    #[inline]
    fn load(slots: &[u64]) -> Self {
        T::from_slots(slots)
    }
}

macro_rules! tuples {
    ($($name:ident $index:tt),*) => {
        impl<$($name: WasmTy),*> WasmList for ($($name,)*) {
            fn types() -> Vec<ValType> {
                vec![$($name::TYPE),*]
            }
            const LEN: usize = 0 $(+ $name::SLOTS)*;
            #[inline]
            fn store(self, slots: &mut [u64]) {
                // One check for all values; what is left is known when this is compiled.
                let _rest = &mut slots[..Self::LEN];
                $(let (slots, _rest) = _rest.split_at_mut($name::SLOTS);
                self.$index.to_slots(slots);)*
            }
            #[inline]
            #[allow(clippy::unused_unit)]
            fn load(slots: &[u64]) -> Self {
                let mut _rest = &slots[..Self::LEN];
                ($({
                    let slots;
                    (slots, _rest) = _rest.split_at($name::SLOTS);
                    $name::from_slots(slots)
                },)*)
            }
        }
    };
}

/// Calls a macro with the names and indices of tuples of 0 to 16 elements.
macro_rules! for_each_tuple {
    ($callback:ident) => {
        $callback!();
        $callback!(A 0);
        $callback!(A 0, B 1);
        $callback!(A 0, B 1, C 2);
        $callback!(A 0, B 1, C 2, D 3);
        $callback!(A 0, B 1, C 2, D 3, E 4);
        $callback!(A 0, B 1, C 2, D 3, E 4, G 5);
        $callback!(A 0, B 1, C 2, D 3, E 4, G 5, H 6);
        $callback!(A 0, B 1, C 2, D 3, E 4, G 5, H 6, I 7);
        $callback!(A 0, B 1, C 2, D 3, E 4, G 5, H 6, I 7, J 8);
        $callback!(A 0, B 1, C 2, D 3, E 4, G 5, H 6, I 7, J 8, K 9);
        $callback!(A 0, B 1, C 2, D 3, E 4, G 5, H 6, I 7, J 8, K 9, L 10);
        $callback!(A 0, B 1, C 2, D 3, E 4, G 5, H 6, I 7, J 8, K 9, L 10, M 11);
        $callback!(A 0, B 1, C 2, D 3, E 4, G 5, H 6, I 7, J 8, K 9, L 10, M 11, N 12);
        $callback!(A 0, B 1, C 2, D 3, E 4, G 5, H 6, I 7, J 8, K 9, L 10, M 11, N 12, O 13);
        $callback!(A 0, B 1, C 2, D 3, E 4, G 5, H 6, I 7, J 8, K 9, L 10, M 11, N 12, O 13, P 14);
        $callback!(A 0, B 1, C 2, D 3, E 4, G 5, H 6, I 7, J 8, K 9, L 10, M 11, N 12, O 13, P 14, Q 15);
    };
}
pub(crate) use for_each_tuple;

for_each_tuple!(tuples);

/// Most slots that a typed call needs: sixteen vectors.
pub(crate) const MAX_TYPED_SLOTS: usize = 32;

/// The function type that `P` and `R` stand for.
pub(crate) fn typed_signature<P: WasmList, R: WasmList>() -> FuncType {
    FuncType::new(P::types(), R::types())
}

/// Checks that a function of type `actual` can be called as `P -> R`.
pub(crate) fn check_typed<P: WasmList, R: WasmList>(engine: &Engine, what: &str, actual: &FuncType) -> Result<()> {
    if actual.params() == P::types() && actual.results() == R::types() {
        return Ok(());
    }
    bail!(Type, "{what} has type {}, not {}", engine.types().show_func(actual), typed_signature::<P, R>())
}

/// Checks a list of values against types. `what` names one of them.
pub(crate) fn check_values(what: &str, types: &[ValType], values: &[Val], store: &StoreOpaque) -> Result<()> {
    if types.len() != values.len() {
        let engine = store.engine();
        let wanted: Vec<String> = types.iter().map(|&ty| engine.types().show(ty)).collect();
        let plural = if types.len() == 1 { "" } else { "s" };
        bail!(Type, "expected {} {what}{plural} ({}), got {}", types.len(), wanted.join(", "), values.len());
    }
    for (i, (ty, value)) in types.iter().zip(values).enumerate() {
        value.check(*ty, store, |must, is| error!(Type, "{what} {} must be {must}, got {is}", i + 1))?;
    }
    Ok(())
}
