//! Types of functions as text: `"ii:i"`. The letters are listed in the header.

use instar::{Error, ErrorKind, FuncType, Result, ValType};

/// Reads `"ii:i"`.
pub fn parse(text: &str) -> Result<FuncType> {
    let wrong =
        |what: String| Error::new(ErrorKind::Type, format!("signature text {text:?}: {what}; write it like \"ii:i\""));
    let (params, results) = text.split_once(':').ok_or_else(|| wrong("there is no colon".into()))?;
    let types = |letters: &str| -> Result<Vec<ValType>> {
        let letter = |letter: char| match letter {
            'i' => Ok(ValType::I32),
            'I' => Ok(ValType::I64),
            'f' => Ok(ValType::F32),
            'F' => Ok(ValType::F64),
            'v' => Ok(ValType::V128),
            'r' => Ok(ValType::FUNCREF),
            'e' => Ok(ValType::EXTERNREF),
            other => Err(wrong(format!("{other:?} is no type"))),
        };
        letters.chars().map(letter).collect()
    };
    Ok(FuncType::new(types(params)?, types(results)?))
}

/// Checks that a host function of the foreign language can have the type.
///
/// # Errors
///
/// `Type`, naming the function, its type, and what to do instead.
pub fn check_host(module: &str, name: &str, ty: &FuncType) -> Result<()> {
    if ty.params().iter().chain(ty.results()).all(|ty| !ty.is_reference() && *ty != ValType::V128) {
        return Ok(());
    }
    let message = format!(
        "the host function {module}.{name} has type {ty}; host functions take and give i32, i64, f32 and f64: pass a vector \
         as two i64 or in memory, and an i32 that names a host object in place of a reference to it"
    );
    Err(Error::new(ErrorKind::Type, message))
}

/// Writes `"ii:i"`.
pub fn format(ty: &FuncType) -> String {
    let mut text = String::new();
    text.extend(ty.params().iter().map(letter));
    text.push(':');
    text.extend(ty.results().iter().map(letter));
    text
}

fn letter(ty: &ValType) -> char {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_type_agree_both_ways() {
        for text in [":", "i:", ":I", "iIfF:Ff", "re:er", "vi:v"] {
            assert_eq!(format(&parse(text).unwrap()), text);
        }
    }

    #[test]
    fn host_functions_have_numbers_only() {
        assert!(check_host("env", "f", &parse("iIfF:i").unwrap()).is_ok());
        for text in ["v:", ":v", "ir:", "i:e"] {
            let error = check_host("env", "f", &parse(text).unwrap()).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Type, "{text:?}");
            assert!(error.message().starts_with("the host function env.f has type ("), "{error}");
        }
    }

    #[test]
    fn what_is_no_signature_is_a_type_error() {
        for text in ["", "i", "i:x", "i:i:i", "é:"] {
            assert_eq!(parse(text).err().unwrap().kind(), ErrorKind::Type, "{text:?}");
        }
    }
}
