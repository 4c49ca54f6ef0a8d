//! The header and the exported functions agree: names, parameter names, types, order.

use std::collections::BTreeMap;
use std::path::Path;

/// A function, written the Rust way: `"(a: u64, b: u64) -> u32"`.
type Functions = BTreeMap<String, String>;

const PREFIX: &str = "uniffi_instar_ffi_fn_func_";
const HEADER: &str = include_str!("../include/instar_ffi.h");

/// Text without comments.
fn without_comments(c: &str) -> String {
    let mut text = String::new();
    let mut rest = c;
    while let Some(start) = rest.find("/*") {
        text.push_str(&rest[..start]);
        rest = &rest[start + rest[start..].find("*/").expect("comments end") + 2..];
    }
    text + rest
}

fn rust_type(c: &str) -> &str {
    match c {
        "uint64_t" => "u64",
        "uint32_t" => "u32",
        "void" => "",
        other => panic!("the header uses a type that no exported function has: {other}"),
    }
}

fn signature(parameters: &[(String, String)], result: &str) -> String {
    let list: Vec<String> = parameters.iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
    let arrow = if result.is_empty() { String::new() } else { format!(" -> {result}") };
    format!("({}){arrow}", list.join(", "))
}

fn declared() -> Functions {
    let mut functions = Functions::new();
    for line in without_comments(HEADER).lines().filter(|line| line.contains(PREFIX)) {
        let (head, tail) = line.split_once('(').expect("a declaration is on one line");
        let (result, symbol) = head.split_once(' ').expect("result and name");
        let mut parameters: Vec<&str> =
            tail.strip_suffix(");").expect("a declaration is on one line").split(", ").collect();
        assert_eq!(parameters.pop(), Some("RustCallStatus *status"), "{symbol}");
        let parameters: Vec<(String, String)> = parameters
            .iter()
            .map(|parameter| {
                let (ty, name) = parameter.split_once(' ').expect("type and name");
                (name.to_string(), rust_type(ty).to_string())
            })
            .collect();
        let name = symbol.strip_prefix(PREFIX).expect("the prefix").to_string();
        assert!(
            functions.insert(name, signature(&parameters, rust_type(result))).is_none(),
            "declared twice: {symbol}"
        );
    }
    functions
}

fn exported() -> Functions {
    let mut functions = Functions::new();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in std::fs::read_dir(sources).unwrap() {
        let source = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for item in source.split("#[uniffi::export]").skip(1) {
            let item = &item[item.find("pub fn ").expect("a function follows") + 7..];
            let head = item[..item.find('{').expect("a body")].trim();
            let (name, tail) = head.split_once('(').expect("parameters");
            let (parameters, result) = tail.split_once(')').expect("parameters end");
            let parameters: Vec<(String, String)> = parameters
                .split(',')
                .map(str::trim)
                .filter(|parameter| !parameter.is_empty())
                .map(|parameter| {
                    let (name, ty) = parameter.split_once(": ").expect("name and type");
                    (name.to_string(), ty.to_string())
                })
                .collect();
            let result = result.trim().strip_prefix("-> ").unwrap_or("");
            functions.insert(name.to_string(), signature(&parameters, result));
        }
    }
    functions
}

#[test]
fn header_and_exported_functions_agree() {
    let (declared, exported) = (declared(), exported());
    assert!(exported.len() > 40, "the sources were not understood: {} functions", exported.len());
    for (name, signature) in &exported {
        assert_eq!(declared.get(name), Some(signature), "fn {name}: left is include/instar_ffi.h, right is src");
    }
    for name in declared.keys() {
        assert!(exported.contains_key(name), "the header declares {name}, which does not exist");
    }
}

fn constant(name: &str) -> u32 {
    let line =
        HEADER.lines().find_map(|line| line.strip_prefix(&format!("#define {name} "))).expect("the constant is there");
    line.trim().parse().unwrap()
}

#[test]
fn version_numbers_in_the_header_are_those_of_the_library() {
    assert_eq!(constant("INSTAR_FFI_ABI_VERSION"), instar_ffi::abi_version());
    assert_eq!(constant("INSTAR_FFI_UNIFFI_CONTRACT_VERSION"), instar_ffi::ffi_instar_ffi_uniffi_contract_version());
}
