//! `instar inspect`.

use serde_json::{Value, json};

use crate::kit::Folder;

const MODULE: &str = r#"(module $plugin
    (import "env" "log" (func (param i32 i64)))
    (import "env" "limit" (global i32))
    (memory (export "memory") 2 16)
    (table (export "table") 3 funcref)
    (global (export "count") (mut i64) (i64.const 0))
    (data (i32.const 16) "hello")
    (elem (i32.const 0) $handle)
    (func $handle (export "handle") (param i32) (result i32 f64) (local.get 0) (f64.const 1))
    (func $main)
    (start $main)
    (@custom "build" "0123456789"))"#;

fn inspect(text: &str) -> Value {
    let folder = Folder::with("x.wat", text);
    let ended = folder.instar("inspect --json x.wat");
    serde_json::from_str(ended.prints()).expect("it is JSON")
}

#[test]
fn json_has_everything() {
    let mut value = inspect(MODULE);
    let sizes = value["sizes"].take();
    assert!(sizes["wasm"].as_u64().unwrap() > 100, "{sizes}");
    assert!(sizes["wasm_code"].as_u64().unwrap() > 10, "{sizes}");
    assert!(sizes["machine_code"].as_u64().unwrap() > 10, "{sizes}");
    assert!(sizes["image"].as_u64().unwrap() >= 5, "{sizes}");
    let memory = json!({ "minimum": 2, "maximum": 16, "page_size": 65536, "memory64": false, "shared": false });
    let table = json!({ "element": "funcref", "minimum": 3, "maximum": null, "table64": false });
    let with = |mut object: Value, more: Value| {
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        object
    };
    let expected = json!({
        "file": "x.wat",
        "format": "wat",
        "name": "plugin",
        "imports": [
            { "module": "env", "name": "log", "kind": "function", "params": ["i32", "i64"], "results": [] },
            { "module": "env", "name": "limit", "kind": "global", "type": "i32", "mutable": false },
        ],
        "exports": [
            with(json!({ "name": "memory", "kind": "memory" }), memory.clone()),
            with(json!({ "name": "table", "kind": "table" }), table.clone()),
            { "name": "count", "kind": "global", "type": "i64", "mutable": true },
            { "name": "handle", "kind": "function", "params": ["i32"], "results": ["i32", "f64"] },
        ],
        "functions": { "imported": 1, "defined": 2 },
        "start": 2,
        "memories": [memory],
        "tables": [table],
        "globals": [
            { "imported": true, "type": "i32", "mutable": false },
            { "type": "i64", "mutable": true },
        ],
        "data": { "segments": 1, "bytes": 5, "segments_outside_image": 0, "outside_image": 0 },
        "elements": { "segments": 1, "elements": 1 },
        "sizes": null,
        "custom_sections": value["custom_sections"],
    });
    assert_eq!(value, expected);
    let custom = value["custom_sections"].as_array().unwrap();
    assert!(custom.contains(&json!({ "name": "build", "bytes": 10 })), "{custom:?}");
}

#[test]
fn the_table_is_for_people() {
    let folder = Folder::with("x.wat", MODULE);
    let ended = folder.instar("inspect x.wat");
    let out = ended.prints();
    for line in [
        "x.wat: module in the text format `plugin`",
        "imports: 2",
        "  env.log    function  (i32, i64) -> ()",
        "  env.limit  global    i32",
        "exports: 4",
        "  memory  memory    2 pages, at most 16",
        "  table   table     funcref, 3 elements",
        "  count   global    mutable i64",
        "  handle  function  (i32) -> (i32, f64)",
        "functions     1 imported, 2 defined",
        "globals       1 imported, 1 defined",
        "start         function 2",
        "data          5 bytes in 1 segment",
        "elements      1 element in 1 segment",
        "  build  10 bytes",
    ] {
        assert!(out.lines().any(|l| l == line), "{line:?} is not in\n{out}");
    }
}

#[test]
fn an_empty_module_has_nothing() {
    let folder = Folder::with("x.wasm", b"\0asm\x01\0\0\0");
    let ended = folder.instar("inspect x.wasm");
    let out = ended.prints();
    for line in [
        "x.wasm: module",
        "imports: none",
        "memories: none",
        "data          none",
        "WebAssembly   8 bytes, 0 of them code",
    ] {
        assert!(out.lines().any(|l| l == line), "{line:?} is not in\n{out}");
    }
}

#[test]
fn hostile_names_are_escaped() {
    let text = r#"(module (func (export "\1b]0;title\07")) (func (export "")) (func (export "a b\n")))"#;
    let folder = Folder::with("x.wat", text);
    let ended = folder.instar("inspect x.wat");
    let out = ended.prints();
    assert!(!out.contains(|c: char| c.is_control() && c != '\n'), "{out:?}");
    assert!(out.contains("  \\u{1b}]0;title\\u{7}"), "{out}");
    assert!(out.contains("  \"\""), "{out}");
    assert_eq!(inspect(text)["exports"][0]["name"], "\x1b]0;title\x07");
}

#[test]
fn a_long_name_does_not_push_the_others_away() {
    let long = "n".repeat(5000);
    let folder = Folder::with("x.wat", format!(r#"(module (func (export "{long}")) (func (export "short")))"#));
    let ended = folder.instar("inspect x.wat");
    assert!(ended.prints().lines().any(|l| l.trim_start().starts_with("short") && l.len() < 100));
}
