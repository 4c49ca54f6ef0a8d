//! Arguments and expected results of the scripts, and how they meet the engine's [`Val`]s.

use instar::{ExternRef, Store, Val};

/// An argument as the script writes it.
#[derive(Debug)]
pub enum Argument {
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
    Null(Reference),
    /// A reference to a host object, which is this number.
    Extern(u32),
    OutOfScope,
}

/// A result as the script writes it.
#[derive(Debug)]
pub enum Expected {
    I32(i32),
    I64(i64),
    F32(Float<u32>),
    F64(Float<u64>),
    /// A null reference, of any type if none is given.
    Null(Option<Reference>),
    /// A reference to a host object, any if none is given.
    Extern(Option<u32>),
    /// Any function.
    Func,
    Either(Vec<Expected>),
    OutOfScope,
}

/// A float by its bits, or a set of NaNs.
#[derive(Debug)]
pub enum Float<B> {
    Bits(B),
    /// Only the top bit of the payload is set; any sign.
    CanonicalNan,
    /// The top bit of the payload is set: a quiet NaN.
    ArithmeticNan,
}

/// The type of a reference.
#[derive(Clone, Copy, Debug)]
pub enum Reference {
    Func,
    Extern,
    OutOfScope,
}

impl Argument {
    /// The value that is passed to the engine.
    pub fn value(&self, store: &mut Store<()>) -> Result<Val, String> {
        Ok(match *self {
            Argument::I32(value) => Val::I32(value),
            Argument::I64(value) => Val::I64(value),
            Argument::F32(bits) => Val::F32(bits),
            Argument::F64(bits) => Val::F64(bits),
            Argument::Null(Reference::Func) => Val::FuncRef(None),
            Argument::Null(Reference::Extern) => Val::ExternRef(None),
            Argument::Extern(number) => Val::ExternRef(Some(ExternRef::new(store, number))),
            Argument::Null(Reference::OutOfScope) | Argument::OutOfScope => {
                return Err("an argument of a type that is out of scope".to_string());
            }
        })
    }
}

impl Expected {
    /// Whether the engine's value is the one that is expected.
    pub fn matches(&self, value: &Val, store: &Store<()>) -> bool {
        match (self, value) {
            (Expected::I32(expected), Val::I32(value)) => expected == value,
            (Expected::I64(expected), Val::I64(value)) => expected == value,
            (Expected::F32(expected), Val::F32(bits)) => match expected {
                Float::Bits(expected) => expected == bits,
                Float::CanonicalNan => bits & 0x7fff_ffff == 0x7fc0_0000,
                Float::ArithmeticNan => bits & 0x7fc0_0000 == 0x7fc0_0000,
            },
            (Expected::F64(expected), Val::F64(bits)) => match expected {
                Float::Bits(expected) => expected == bits,
                Float::CanonicalNan => bits & 0x7fff_ffff_ffff_ffff == 0x7ff8_0000_0000_0000,
                Float::ArithmeticNan => bits & 0x7ff8_0000_0000_0000 == 0x7ff8_0000_0000_0000,
            },
            (Expected::Null(None | Some(Reference::Func)), Val::FuncRef(None)) => true,
            (Expected::Null(None | Some(Reference::Extern)), Val::ExternRef(None)) => true,
            (Expected::Extern(expected), Val::ExternRef(Some(reference))) => match expected {
                None => true,
                Some(expected) => reference.data(store).ok().and_then(|data| data.downcast_ref()) == Some(expected),
            },
            (Expected::Func, Val::FuncRef(Some(_))) => true,
            (Expected::Either(choices), value) => choices.iter().any(|choice| choice.matches(value, store)),
            _ => false,
        }
    }
}
