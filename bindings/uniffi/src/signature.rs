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
        for text in [":", "i:", ":I", "iIfF:Ff", "re:er"] {
            assert_eq!(format(&parse(text).unwrap()), text);
        }
    }

    #[test]
    fn what_is_no_signature_is_a_type_error() {
        for text in ["", "i", "i:x", "i:i:i", "é:"] {
            assert_eq!(parse(text).err().unwrap().kind(), ErrorKind::Type, "{text:?}");
        }
    }
}
