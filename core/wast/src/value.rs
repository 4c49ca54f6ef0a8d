//! Arguments and expected results of the scripts, and how they meet the engine's [`Val`]s.

use std::fmt;

use instar::{ExternRef, Store, Val};
use wast::core::{AbstractHeapType, HeapType, NanPattern, V128Pattern, WastArgCore, WastRetCore};
use wast::token::{F32, F64};
use wast::{WastArg, WastRet};

/// Something that Instar does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotSupported(pub &'static str);

/// An argument as the script writes it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Argument {
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
    V128(u128),
    Null(Hierarchy),
    /// A reference to a host object, which is this number.
    Extern(u32),
}

/// A result as the script writes it.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    I32(i32),
    I64(i64),
    F32(Float<u32>),
    F64(Float<u64>),
    V128(u128),
    F32x4([Float<u32>; 4]),
    F64x2([Float<u64>; 2]),
    /// A null reference, of any type if none is given.
    Null(Option<Hierarchy>),
    /// A reference to a host object, any if none is given.
    Extern(Option<u32>),
    /// Any function.
    Func,
    Either(Vec<Expected>),
}

/// A float by its bits, or a set of NaNs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Float<B> {
    Bits(B),
    /// Only the top bit of the payload is set; any sign.
    CanonicalNan,
    /// The top bit of the payload is set: a quiet NaN.
    ArithmeticNan,
}

/// The top of the types that a reference type belongs to. Null is one value of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hierarchy {
    Func,
    Extern,
}

/// Reads an argument.
pub(crate) fn argument(argument: WastArg<'_>) -> Result<Argument, NotSupported> {
    let WastArg::Core(argument) = argument else { return Err(NotSupported("a value of a component")) };
    Ok(match argument {
        WastArgCore::I32(value) => Argument::I32(value),
        WastArgCore::I64(value) => Argument::I64(value),
        WastArgCore::F32(value) => Argument::F32(value.bits),
        WastArgCore::F64(value) => Argument::F64(value.bits),
        WastArgCore::V128(value) => Argument::V128(u128::from_le_bytes(value.to_le_bytes())),
        WastArgCore::RefNull(ty) => Argument::Null(hierarchy(&ty)?),
        WastArgCore::RefExtern(number) => Argument::Extern(number),
        WastArgCore::RefHost(_) => return Err(NotSupported("a value of type anyref")),
    })
}

/// Reads an expected result.
pub(crate) fn expected(result: WastRet<'_>) -> Result<Expected, NotSupported> {
    match result {
        WastRet::Core(result) => expected_core(result),
        _ => Err(NotSupported("a value of a component")),
    }
}

fn expected_core(result: WastRetCore<'_>) -> Result<Expected, NotSupported> {
    Ok(match result {
        WastRetCore::I32(value) => Expected::I32(value),
        WastRetCore::I64(value) => Expected::I64(value),
        WastRetCore::F32(pattern) => Expected::F32(float32(pattern)),
        WastRetCore::F64(pattern) => Expected::F64(float64(pattern)),
        WastRetCore::V128(pattern) => lanes(pattern),
        WastRetCore::RefNull(ty) => Expected::Null(ty.as_ref().map(hierarchy).transpose()?),
        WastRetCore::RefExtern(number) => Expected::Extern(number),
        WastRetCore::RefFunc(None) => Expected::Func,
        WastRetCore::RefFunc(Some(_)) => return Err(NotSupported("a function by its index")),
        WastRetCore::Either(choices) => {
            Expected::Either(choices.into_iter().map(expected_core).collect::<Result<_, _>>()?)
        }
        WastRetCore::RefHost(_)
        | WastRetCore::RefAny
        | WastRetCore::RefEq
        | WastRetCore::RefArray
        | WastRetCore::RefStruct
        | WastRetCore::RefI31
        | WastRetCore::RefI31Shared => return Err(NotSupported("a value of type anyref")),
    })
}

fn float32(pattern: NanPattern<F32>) -> Float<u32> {
    match pattern {
        NanPattern::CanonicalNan => Float::CanonicalNan,
        NanPattern::ArithmeticNan => Float::ArithmeticNan,
        NanPattern::Value(value) => Float::Bits(value.bits),
    }
}

fn float64(pattern: NanPattern<F64>) -> Float<u64> {
    match pattern {
        NanPattern::CanonicalNan => Float::CanonicalNan,
        NanPattern::ArithmeticNan => Float::ArithmeticNan,
        NanPattern::Value(value) => Float::Bits(value.bits),
    }
}

fn lanes(pattern: V128Pattern) -> Expected {
    match pattern {
        V128Pattern::I8x16(lanes) => Expected::V128(from_lanes(lanes.map(i8::to_le_bytes))),
        V128Pattern::I16x8(lanes) => Expected::V128(from_lanes(lanes.map(i16::to_le_bytes))),
        V128Pattern::I32x4(lanes) => Expected::V128(from_lanes(lanes.map(i32::to_le_bytes))),
        V128Pattern::I64x2(lanes) => Expected::V128(from_lanes(lanes.map(i64::to_le_bytes))),
        V128Pattern::F32x4(lanes) => Expected::F32x4(lanes.map(float32)),
        V128Pattern::F64x2(lanes) => Expected::F64x2(lanes.map(float64)),
    }
}

/// A vector from its lanes, the first in the low end.
fn from_lanes<const LANES: usize, const BYTES: usize>(lanes: [[u8; BYTES]; LANES]) -> u128 {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(lanes.as_flattened());
    u128::from_le_bytes(bytes)
}

fn hierarchy(ty: &HeapType<'_>) -> Result<Hierarchy, NotSupported> {
    use AbstractHeapType::{Extern, Func, NoExtern, NoFunc};
    match ty {
        // Without objects of garbage collection, what has an index is a function type.
        HeapType::Concrete(_) | HeapType::Abstract { shared: false, ty: Func | NoFunc } => Ok(Hierarchy::Func),
        HeapType::Abstract { shared: false, ty: Extern | NoExtern } => Ok(Hierarchy::Extern),
        HeapType::Exact(_) | HeapType::Abstract { .. } => {
            Err(NotSupported("a reference that is no function or externref"))
        }
    }
}

impl Argument {
    /// The value that is passed to the engine.
    pub fn value(self, store: &mut Store<()>) -> Val {
        match self {
            Argument::I32(value) => Val::I32(value),
            Argument::I64(value) => Val::I64(value),
            Argument::F32(bits) => Val::F32(bits),
            Argument::F64(bits) => Val::F64(bits),
            Argument::V128(bits) => Val::V128(bits.into()),
            Argument::Null(Hierarchy::Func) => Val::FuncRef(None),
            Argument::Null(Hierarchy::Extern) => Val::ExternRef(None),
            Argument::Extern(number) => Val::ExternRef(Some(ExternRef::new(store, number))),
        }
    }
}

impl Expected {
    /// Whether the engine's value is the one that is expected.
    pub fn matches(&self, value: &Val, store: &Store<()>) -> bool {
        match (self, value) {
            (Expected::I32(expected), Val::I32(value)) => expected == value,
            (Expected::I64(expected), Val::I64(value)) => expected == value,
            (Expected::F32(expected), Val::F32(bits)) => expected.matches(*bits),
            (Expected::F64(expected), Val::F64(bits)) => expected.matches(*bits),
            (Expected::V128(expected), Val::V128(bits)) => *expected == bits.as_u128(),
            (Expected::F32x4(expected), Val::V128(bits)) => {
                (0..4).all(|lane| expected[lane].matches((bits.as_u128() >> (32 * lane)) as u32))
            }
            (Expected::F64x2(expected), Val::V128(bits)) => {
                (0..2).all(|lane| expected[lane].matches((bits.as_u128() >> (64 * lane)) as u64))
            }
            (Expected::Null(None | Some(Hierarchy::Func)), Val::FuncRef(None)) => true,
            (Expected::Null(None | Some(Hierarchy::Extern)), Val::ExternRef(None)) => true,
            (Expected::Extern(None), Val::ExternRef(Some(_))) => true,
            (Expected::Extern(Some(number)), Val::ExternRef(Some(reference))) => {
                object(reference, store) == Some(*number)
            }
            (Expected::Func, Val::FuncRef(Some(_))) => true,
            (Expected::Either(choices), value) => choices.iter().any(|choice| choice.matches(value, store)),
            _ => false,
        }
    }
}

impl Float<u32> {
    fn matches(self, bits: u32) -> bool {
        match self {
            Float::Bits(expected) => expected == bits,
            Float::CanonicalNan => bits & 0x7fff_ffff == 0x7fc0_0000,
            Float::ArithmeticNan => bits & 0x7fc0_0000 == 0x7fc0_0000,
        }
    }
}

impl Float<u64> {
    fn matches(self, bits: u64) -> bool {
        match self {
            Float::Bits(expected) => expected == bits,
            Float::CanonicalNan => bits & 0x7fff_ffff_ffff_ffff == 0x7ff8_0000_0000_0000,
            Float::ArithmeticNan => bits & 0x7ff8_0000_0000_0000 == 0x7ff8_0000_0000_0000,
        }
    }
}

/// The number that a script's host object is.
fn object(reference: &ExternRef, store: &Store<()>) -> Option<u32> {
    reference.data(store).ok()?.downcast_ref().copied()
}

impl fmt::Display for Float<u32> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Float::Bits(bits) if f32::from_bits(*bits).is_nan() => nan(f, bits >> 31 == 1, u64::from(bits & 0x7f_ffff)),
            Float::Bits(bits) => write!(f, "{:?}", f32::from_bits(*bits)),
            Float::CanonicalNan => f.write_str("nan:canonical"),
            Float::ArithmeticNan => f.write_str("nan:arithmetic"),
        }
    }
}

impl fmt::Display for Float<u64> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Float::Bits(bits) if f64::from_bits(*bits).is_nan() => nan(f, bits >> 63 == 1, bits & 0xf_ffff_ffff_ffff),
            Float::Bits(bits) => write!(f, "{:?}", f64::from_bits(*bits)),
            Float::CanonicalNan => f.write_str("nan:canonical"),
            Float::ArithmeticNan => f.write_str("nan:arithmetic"),
        }
    }
}

fn nan(f: &mut fmt::Formatter<'_>, negative: bool, payload: u64) -> fmt::Result {
    write!(f, "{}nan:{payload:#x}", if negative { "-" } else { "" })
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::I32(value) => write!(f, "(i32.const {value})"),
            Expected::I64(value) => write!(f, "(i64.const {value})"),
            Expected::F32(value) => write!(f, "(f32.const {value})"),
            Expected::F64(value) => write!(f, "(f64.const {value})"),
            Expected::V128(bits) => vector(f, *bits),
            Expected::F32x4([a, b, c, d]) => write!(f, "(v128.const f32x4 {a} {b} {c} {d})"),
            Expected::F64x2([a, b]) => write!(f, "(v128.const f64x2 {a} {b})"),
            Expected::Null(None) => f.write_str("(ref.null)"),
            Expected::Null(Some(Hierarchy::Func)) => f.write_str("(ref.null func)"),
            Expected::Null(Some(Hierarchy::Extern)) => f.write_str("(ref.null extern)"),
            Expected::Extern(None) => f.write_str("(ref.extern)"),
            Expected::Extern(Some(number)) => write!(f, "(ref.extern {number})"),
            Expected::Func => f.write_str("(ref.func)"),
            Expected::Either(choices) => {
                f.write_str("(either")?;
                choices.iter().try_for_each(|choice| write!(f, " {choice}"))?;
                f.write_str(")")
            }
        }
    }
}

fn vector(f: &mut fmt::Formatter<'_>, bits: u128) -> fmt::Result {
    f.write_str("(v128.const i32x4")?;
    (0..4).try_for_each(|lane| write!(f, " {:#010x}", (bits >> (32 * lane)) as u32))?;
    f.write_str(")")
}

/// A value of the engine as a script would write it.
/// Without a store, of a host object only that it is one.
pub(crate) struct Shown<'a>(pub &'a Val, pub Option<&'a Store<()>>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown(value, store) = self;
        let expected = match value {
            Val::I32(value) => Expected::I32(*value),
            Val::I64(value) => Expected::I64(*value),
            Val::F32(bits) => Expected::F32(Float::Bits(*bits)),
            Val::F64(bits) => Expected::F64(Float::Bits(*bits)),
            Val::V128(bits) => Expected::V128(bits.as_u128()),
            Val::FuncRef(None) => Expected::Null(Some(Hierarchy::Func)),
            Val::FuncRef(Some(_)) => Expected::Func,
            Val::ExternRef(None) => Expected::Null(Some(Hierarchy::Extern)),
            Val::ExternRef(Some(reference)) => Expected::Extern(store.and_then(|store| object(reference, store))),
        };
        expected.fmt(f)
    }
}
