//! The cases' values, as slots and as [`Val`]s.

use instar::{FuncType, Val, ValType};
use instar_conformance::case::Value;

/// The slot of a value that is neither text nor a set of NaNs.
pub fn to_slot(value: &Value) -> u64 {
    value.value.parse().unwrap_or_else(|_| panic!("{value:?} has no bits"))
}

/// The value in a slot.
pub fn from_slot(ty: ValType, slot: u64) -> Value {
    let slot = match ty {
        ValType::I32 | ValType::F32 => u64::from(slot as u32),
        _ => slot,
    };
    Value { ty: ty.to_string(), value: slot.to_string() }
}

/// The value that a host function got.
pub fn from_val(value: &Val) -> Value {
    match *value {
        Val::I32(number) => from_slot(ValType::I32, number as u32 as u64),
        Val::I64(number) => from_slot(ValType::I64, number as u64),
        Val::F32(bits) => from_slot(ValType::F32, u64::from(bits)),
        Val::F64(bits) => from_slot(ValType::F64, bits),
        _ => panic!("the cases have no references"),
    }
}

/// Whether a result is the one that is expected. Without its own type a value's bits do not count.
pub fn matches(expected: &Value, actual: &Value) -> bool {
    if expected.ty != actual.ty {
        return false;
    }
    let bits = to_slot(actual);
    match (expected.value.as_str(), expected.ty.as_str()) {
        ("nan:canonical", "f32") => bits & 0x7fff_ffff == 0x7fc0_0000,
        ("nan:canonical", "f64") => bits & 0x7fff_ffff_ffff_ffff == 0x7ff8_0000_0000_0000,
        ("nan:arithmetic", "f32") => bits & 0x7fc0_0000 == 0x7fc0_0000,
        ("nan:arithmetic", "f64") => bits & 0x7ff8_0000_0000_0000 == 0x7ff8_0000_0000_0000,
        _ => bits == to_slot(expected),
    }
}

/// The function type that a text such as `iI:f` stands for.
pub fn signature(text: &str) -> FuncType {
    let (params, results) = text.split_once(':').unwrap_or_else(|| panic!("{text:?} has no colon"));
    FuncType::new(types(params), types(results))
}

fn types(letters: &str) -> Vec<ValType> {
    letters
        .chars()
        .map(|letter| match letter {
            'i' => ValType::I32,
            'I' => ValType::I64,
            'f' => ValType::F32,
            'F' => ValType::F64,
            _ => panic!("{letter:?} is no type"),
        })
        .collect()
}
