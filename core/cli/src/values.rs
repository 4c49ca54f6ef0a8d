//! Values of WebAssembly as people write and read them.
//!
//! Invariant: what [`show`] prints for a number, [`parse`] reads back as the same bits.

use instar::{Val, ValType};

/// How a type's values are written, for messages.
pub fn notation(ty: ValType) -> &'static str {
    match ty {
        ValType::I32 => "an i32 is a whole number from -2147483648 to 4294967295, decimal or 0x…",
        ValType::I64 => "an i64 is a whole number from -9223372036854775808 to 18446744073709551615, decimal or 0x…",
        ValType::F32 | ValType::F64 => "a float is written as 1, -2.5, 1e10, inf, nan or nan:0x…",
        ValType::V128 => "a v128 is a whole number of 128 bits, decimal or 0x…, lane 0 in the low bits",
        ValType::Ref(_) => "the only reference that can be written is `null`",
    }
}

/// The value of this type that a text stands for.
pub fn parse(ty: ValType, text: &str) -> Option<Val> {
    Some(match ty {
        ValType::I32 => Val::I32(integer(text, 32)? as u32 as i32),
        ValType::I64 => Val::I64(integer(text, 64)? as u64 as i64),
        ValType::F32 => Val::F32(match nan(text, 23) {
            Some((sign, payload)) => u32::from(sign) << 31 | f32::INFINITY.to_bits() | payload as u32,
            None => text.parse::<f32>().ok()?.to_bits(),
        }),
        ValType::F64 => Val::F64(match nan(text, 52) {
            Some((sign, payload)) => u64::from(sign) << 63 | f64::INFINITY.to_bits() | payload,
            None => text.parse::<f64>().ok()?.to_bits(),
        }),
        ValType::V128 => Val::V128(vector(text)?.into()),
        ValType::Ref(reference) if reference.nullable && text == "null" => Val::default_for(ty),
        ValType::Ref(_) => return None,
    })
}

/// A whole number that fits into `bits` bits, signed or unsigned.
fn integer(text: &str, bits: u32) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(rest) => (rest, 16),
        None => (digits, 10),
    };
    // `from_str_radix` would take a second sign.
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    let value = if negative { -magnitude } else { magnitude };
    (-(1 << (bits - 1))..1 << bits).contains(&value).then_some(value)
}

/// The bits of a vector.
fn vector(text: &str) -> Option<u128> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(rest) => (rest, 16),
        None => (text, 10),
    };
    if digits.starts_with('+') {
        return None;
    }
    u128::from_str_radix(digits, radix).ok()
}

/// Sign and payload of a NaN whose payload has `bits` bits.
fn nan(text: &str, bits: u32) -> Option<(bool, u64)> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.eq_ignore_ascii_case("nan") {
        return Some((sign, 1 << (bits - 1)));
    }
    let digits = rest.strip_prefix("nan:0x").filter(|d| d.starts_with(|c: char| c.is_ascii_hexdigit()))?;
    let payload = u64::from_str_radix(digits, 16).ok()?;
    (payload != 0 && payload >> bits == 0).then_some((sign, payload))
}

/// The text for a value.
pub fn show(value: &Val) -> String {
    match value {
        Val::I32(v) => v.to_string(),
        Val::I64(v) => v.to_string(),
        Val::F32(bits) => {
            let payload = u64::from(bits & 0x007f_ffff);
            show_float(f32::from_bits(*bits), f32::is_nan, f32::is_sign_negative, payload, 23)
        }
        Val::F64(bits) => {
            let payload = bits & 0x000f_ffff_ffff_ffff;
            show_float(f64::from_bits(*bits), f64::is_nan, f64::is_sign_negative, payload, 52)
        }
        Val::V128(vector) => format!("{vector:?}"),
        Val::FuncRef(None) | Val::ExternRef(None) => "null".to_string(),
        Val::FuncRef(Some(_)) => "funcref".to_string(),
        Val::ExternRef(Some(_)) => "externref".to_string(),
    }
}

fn show_float<F: std::fmt::Debug + Copy>(
    value: F,
    is_nan: fn(F) -> bool,
    is_negative: fn(F) -> bool,
    payload: u64,
    bits: u32,
) -> String {
    if is_nan(value) {
        let sign = if is_negative(value) { "-" } else { "" };
        return match payload == 1 << (bits - 1) {
            true => format!("{sign}nan"),
            false => format!("{sign}nan:{payload:#x}"),
        };
    }
    // `Debug` changes to an exponent where `Display` would write hundreds of zeroes.
    let text = format!("{value:?}");
    text.strip_suffix(".0").map(String::from).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use instar::{HeapType, RefType};

    #[test]
    fn vectors_are_128_bits() {
        for bits in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_0011_2233_4455_6677] {
            for text in [show(&Val::V128(bits.into())), bits.to_string()] {
                assert!(matches!(parse(ValType::V128, &text), Some(Val::V128(v)) if v.as_u128() == bits), "{text}");
            }
        }
        assert_eq!(show(&Val::V128(1.into())), format!("0x{:032x}", 1));
        for text in ["", "-1", "0x", "+1", "0x+1", "340282366920938463463374607431768211456"] {
            assert!(parse(ValType::V128, text).is_none(), "{text}");
        }
    }

    fn i32_of(text: &str) -> Option<i32> {
        parse(ValType::I32, text).map(|v| match v {
            Val::I32(v) => v,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn integers_are_signed_or_unsigned() {
        for (text, value) in [
            ("0", 0),
            ("-1", -1),
            ("+7", 7),
            ("4294967295", -1),
            ("0xffffffff", -1),
            ("-0x80000000", i32::MIN),
            ("2147483648", i32::MIN),
        ] {
            assert_eq!(i32_of(text), Some(value), "{text}");
        }
        for text in
            ["", "-", "+", "x", "1.0", "4294967296", "-2147483649", "0x", "--1", "0x-1", "-+1", " 1", "1 ", "1_0"]
        {
            assert_eq!(i32_of(text), None, "{text}");
        }
        let huge = "9".repeat(100);
        assert_eq!(i32_of(&huge), None);
        assert!(parse(ValType::I64, &huge).is_none());
        assert!(matches!(parse(ValType::I64, "18446744073709551615"), Some(Val::I64(-1))));
    }

    #[test]
    fn numbers_survive_being_printed() {
        let singles = [0, 0x8000_0000, 0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0xffc0_0001, 0x7f80_0001, 1, 0x7f7f_ffff];
        for bits in singles.into_iter().chain([1.0f32, -2.5, 1e10, 0.1].map(f32::to_bits)) {
            let text = show(&Val::F32(bits));
            assert!(matches!(parse(ValType::F32, &text), Some(Val::F32(back)) if back == bits), "{bits:#x} {text}");
        }
        let doubles = [f64::MAX, f64::MIN_POSITIVE, 0.1, -0.0, 3.0, f64::NEG_INFINITY].map(f64::to_bits);
        for bits in doubles.into_iter().chain([0x7ff8_0000_0000_0000, 0xfff0_0000_0000_0001, 0x7fff_ffff_ffff_ffff, 1])
        {
            let text = show(&Val::F64(bits));
            assert!(text.len() < 30, "{text}");
            assert!(matches!(parse(ValType::F64, &text), Some(Val::F64(back)) if back == bits), "{bits:#x} {text}");
        }
        for value in [i64::MIN, -1, 0, i64::MAX] {
            let text = show(&Val::I64(value));
            assert!(matches!(parse(ValType::I64, &text), Some(Val::I64(back)) if back == value), "{text}");
        }
    }

    #[test]
    fn floats_read_as_people_write_them() {
        assert_eq!(show(&Val::F64(3f64.to_bits())), "3");
        assert_eq!(show(&Val::F64(2.5f64.to_bits())), "2.5");
        assert_eq!(show(&Val::F32(f32::MAX.to_bits())), "3.4028235e38");
        assert_eq!(show(&Val::F32(f32::NAN.to_bits())), "nan");
        for text in ["", "abc", "nan:0x0", "nan:0x800000", "nan:0x", "nan:1", "0x1p3", "nan:0x+1"] {
            assert!(parse(ValType::F32, text).is_none(), "{text}");
        }
    }

    #[test]
    fn references_can_only_be_null() {
        assert!(matches!(parse(ValType::FUNCREF, "null"), Some(Val::FuncRef(None))));
        assert!(matches!(parse(ValType::EXTERNREF, "null"), Some(Val::ExternRef(None))));
        assert!(parse(ValType::EXTERNREF, "0").is_none());
        let not_null = RefType { nullable: false, heap: HeapType::Func };
        assert!(parse(ValType::Ref(not_null), "null").is_none());
    }
}
