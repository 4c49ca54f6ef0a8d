//! Adds an export to a module that costs nothing to call, so that any module can be asked whether it is there.
//!
//! The function comes after all others, so no index changes.

use crate::AnyResult;

pub const EXPORT: &str = "instar-bench-probe";
pub const ANSWER: i64 = 7;

const TYPE: u8 = 1;
const FUNCTION: u8 = 3;
const EXPORTS: u8 = 7;
const CODE: u8 = 10;
const IMPORT: u8 = 2;

/// The module with a function `() -> i32` exported as [`EXPORT`]. It must have sections of types, functions, exports and code.
pub fn add(wasm: &[u8]) -> AnyResult<Vec<u8>> {
    let mut out = wasm.get(..8).ok_or("not a module")?.to_vec();
    let (mut types, mut functions) = (0, 0);
    let mut rest = &wasm[8..];
    while let Some((&id, after)) = rest.split_first() {
        rest = after;
        let len = take_number(&mut rest)? as usize;
        let section = rest.get(..len).ok_or("a section is cut off")?;
        rest = &rest[len..];
        let mut items = section;
        let mut appended = match id {
            TYPE => {
                types = peek_number(section)?;
                vec![0x60, 0, 1, 0x7f]
            }
            IMPORT => {
                functions += imported_functions(section)?;
                Vec::new()
            }
            FUNCTION => {
                functions += peek_number(section)?;
                number(types)
            }
            EXPORTS => {
                let mut export = number(EXPORT.len() as u32);
                export.extend_from_slice(EXPORT.as_bytes());
                export.push(0);
                export.extend(number(functions));
                export
            }
            CODE => vec![4, 0, 0x41, ANSWER as u8, 0x0b],
            _ => Vec::new(),
        };
        out.push(id);
        if appended.is_empty() {
            out.extend(number(len as u32));
            out.extend_from_slice(section);
        } else {
            let mut content = number(take_number(&mut items)? + 1);
            content.extend_from_slice(items);
            content.append(&mut appended);
            out.extend(number(content.len() as u32));
            out.extend(content);
        }
    }
    Ok(out)
}

fn imported_functions(mut section: &[u8]) -> AnyResult<u32> {
    let mut functions = 0;
    for _ in 0..take_number(&mut section)? {
        for _ in 0..2 {
            let len = take_number(&mut section)? as usize;
            section = section.get(len..).ok_or("an import is cut off")?;
        }
        let [0, after @ ..] = section else { return Err("only functions may be imported".into()) };
        section = after;
        take_number(&mut section)?;
        functions += 1;
    }
    Ok(functions)
}

fn peek_number(mut bytes: &[u8]) -> AnyResult<u32> {
    take_number(&mut bytes)
}

/// Takes an unsigned LEB128 number.
fn take_number(bytes: &mut &[u8]) -> AnyResult<u32> {
    let mut value = 0u64;
    for shift in (0..35).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or("a number is cut off")?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(u32::try_from(value)?);
        }
    }
    Err("a number is too long".into())
}

fn number(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_with_the_probe_is_valid_and_answers() {
        let wasm = wat::parse_str(
            r#"(module (import "a" "b" (func (param i32))) (func (export "f") (result i32) (i32.const 1)) (memory 1))"#,
        );
        let wasm = add(&wasm.unwrap()).unwrap();
        let engine = wasmtime::Engine::default();
        let module = wasmtime::Module::new(&engine, wasm).unwrap();
        let mut store = wasmtime::Store::new(&engine, ());
        let import = wasmtime::Func::wrap(&mut store, |_: i32| ());
        let instance = wasmtime::Instance::new(&mut store, &module, &[import.into()]).unwrap();
        let probe = instance.get_typed_func::<(), i32>(&mut store, EXPORT).unwrap();
        assert_eq!(i64::from(probe.call(&mut store, ()).unwrap()), ANSWER);
    }
}
