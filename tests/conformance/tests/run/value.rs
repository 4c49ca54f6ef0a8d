//! The cases' values, as slots and as [`Val`]s.

use instar::{FuncType, Val, ValType};
use instar_conformance::case::Value;

/// The bits of a value that is neither text nor a set of NaNs.
fn bits(value: &Value) -> u128 {
    value.value.parse().unwrap_or_else(|_| panic!("{value:?} has no bits"))
}

/// The slots of these values: two for a v128, its low half first, and one for each other.
pub fn to_slots(values: &[Value]) -> Vec<u64> {
    let mut slots = Vec::new();
    for value in values {
        let bits = bits(value);
        slots.push(bits as u64);
        if value.ty == "v128" {
            slots.push((bits >> 64) as u64);
        }
    }
    slots
}

/// The values of these types in consecutive slots.
pub fn from_slots(types: &[ValType], slots: &[u64]) -> Vec<Value> {
    let mut slots = slots.iter().copied();
    let mut next = || slots.next().expect("slots enough");
    let value = |&ty: &ValType| match ty {
        ValType::V128 => {
            let (low, high) = (next(), next());
            Value { ty: ty.to_string(), value: (u128::from(high) << 64 | u128::from(low)).to_string() }
        }
        _ => from_slot(ty, next()),
    };
    types.iter().map(value).collect()
}

fn from_slot(ty: ValType, slot: u64) -> Value {
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
        _ => panic!("host functions of the cases take numbers only"),
    }
}

/// Whether a result is the one that is expected. Without its own type a value's bits do not count.
pub fn matches(expected: &Value, actual: &Value) -> bool {
    if expected.ty != actual.ty {
        return false;
    }
    let actual = bits(actual);
    match (expected.value.as_str(), expected.ty.as_str()) {
        ("nan:canonical", "f32") => actual & 0x7fff_ffff == 0x7fc0_0000,
        ("nan:canonical", "f64") => actual & 0x7fff_ffff_ffff_ffff == 0x7ff8_0000_0000_0000,
        ("nan:arithmetic", "f32") => actual & 0x7fc0_0000 == 0x7fc0_0000,
        ("nan:arithmetic", "f64") => actual & 0x7ff8_0000_0000_0000 == 0x7ff8_0000_0000_0000,
        _ => actual == bits(expected),
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
