//! Function types as text: one character a value, `ii:I` is (i32, i32) -> i64.

use instar::{Error, ErrorKind, FuncType, Result, ValType};

fn letter(ty: ValType) -> char {
    match ty {
        ValType::I32 => 'i',
        ValType::I64 => 'I',
        ValType::F32 => 'f',
        ValType::F64 => 'F',
        ValType::V128 => 'v',
        ValType::Ref(ty) if ty.is_function() => 'r',
        ValType::Ref(_) => 'e',
    }
}

/// The text of a function type.
pub fn text(ty: &FuncType) -> String {
    let params = ty.params().iter().map(|&ty| letter(ty));
    let results = ty.results().iter().map(|&ty| letter(ty));
    params.chain([':']).chain(results).collect()
}

/// The function type of a text with number types only.
pub fn parse(text: &str) -> Result<FuncType> {
    let wrong = || Error::new(ErrorKind::Type, format!("{text:?} is not a signature such as \"iI:f\""));
    let types = |part: &str| {
        part.chars()
            .map(|letter| match letter {
                'i' => Ok(ValType::I32),
                'I' => Ok(ValType::I64),
                'f' => Ok(ValType::F32),
                'F' => Ok(ValType::F64),
                _ => Err(wrong()),
            })
            .collect::<Result<Vec<_>>>()
    };
    let (params, results) = text.split_once(':').ok_or_else(wrong)?;
    Ok(FuncType::new(types(params)?, types(results)?))
}
