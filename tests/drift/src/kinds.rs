//! Every language's copy of the numbered lists, generated from the ones in core.

use std::fmt::Write;

use instar::{ErrorKind, TrapCode};

/// The one line that says where a copy comes from.
const ORIGIN: &str = "Generated from core/src/error.rs by `BLESS=1 cargo test -p instar-drift`; do not edit.";

struct Item {
    name: &'static str,
    code: u32,
    text: &'static str,
}

fn kinds() -> Vec<Item> {
    ErrorKind::ALL.iter().map(|k| Item { name: k.name(), code: k.code(), text: k.text() }).collect()
}

fn traps() -> Vec<Item> {
    TrapCode::ALL.iter().map(|t| Item { name: t.name(), code: t.code(), text: t.text() }).collect()
}

const KIND_DOC: &str = "What went wrong.";
const TRAP_DOC: &str = "Why a guest trapped.";

fn screaming(name: &str) -> String {
    let mut out = String::new();
    for (i, c) in name.chars().enumerate() {
        if i > 0 && c.is_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}

fn python() -> String {
    let mut out = format!(
        "# {ORIGIN}\n\"\"\"The numbered lists of error kinds and trap codes: the same numbers in every language.\"\"\"\n\nfrom enum import IntEnum\n"
    );
    for (class, doc, items) in [("ErrorKind", KIND_DOC, kinds()), ("TrapCode", TRAP_DOC, traps())] {
        write!(out, "\n\nclass {class}(IntEnum):\n    \"\"\"{doc}\"\"\"\n\n").unwrap();
        for item in items {
            writeln!(out, "    {} = {}", screaming(item.name), item.code).unwrap();
        }
    }
    out
}

fn javascript() -> String {
    let mut out = format!("\"use strict\";\n// {ORIGIN}\n");
    for (name, doc, items) in [("ErrorKind", KIND_DOC, kinds()), ("TrapCode", TRAP_DOC, traps())] {
        write!(out, "\n/** {doc} */\nexports.{name} = Object.freeze({{\n").unwrap();
        for item in items {
            writeln!(out, "  {}: {},", item.name, item.code).unwrap();
        }
        out.push_str("});\n");
    }
    out
}

fn typescript() -> String {
    let mut out = format!("// {ORIGIN}\n");
    for (name, doc, items) in [("ErrorKind", KIND_DOC, kinds()), ("TrapCode", TRAP_DOC, traps())] {
        write!(out, "\n/** {doc} */\nexport declare const {name}: {{\n").unwrap();
        for item in items {
            write!(out, "  /** {} */\n  readonly {}: {};\n", item.text, item.name, item.code).unwrap();
        }
        write!(out, "}};\nexport type {name} = keyof typeof {name};\n").unwrap();
    }
    out
}

fn csharp() -> String {
    let mut out = format!("// {ORIGIN}\n\nnamespace Instar;\n");
    for (name, doc, items) in [("ErrorKind", KIND_DOC, kinds()), ("TrapCode", TRAP_DOC, traps())] {
        write!(out, "\n/// <summary>{doc}</summary>\npublic enum {name}\n{{\n").unwrap();
        let lines: Vec<String> = items
            .iter()
            .map(|i| format!("    /// <summary>{}.</summary>\n    {} = {},\n", sentence(i.text), i.name, i.code))
            .collect();
        out.push_str(&lines.join("\n"));
        out.push_str("}\n");
    }
    out
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().collect::<String>() + chars.as_str())
}

fn go() -> String {
    let mut out = format!("// Code generated from core/src/error.rs. DO NOT EDIT.\n// {ORIGIN}\n\npackage instar\n");
    for (name, doc, prefix, items) in [
        ("ErrorKind", "ErrorKind says what went wrong.", "Kind", kinds()),
        ("TrapCode", "TrapCode says why a guest trapped.", "Trap", traps()),
    ] {
        write!(out, "\n// {doc}\ntype {name} uint32\n\nconst (\n").unwrap();
        for item in &items {
            write!(out, "\t// {prefix}{}: {}.\n\t{prefix}{} {name} = {}\n", item.name, item.text, item.name, item.code)
                .unwrap();
        }
        write!(out, ")\n\n// String is the name of the value, the same in every language.\nfunc (v {name}) String() string {{\n\tswitch v {{\n").unwrap();
        for item in &items {
            write!(out, "\tcase {prefix}{}:\n\t\treturn \"{}\"\n", item.name, item.name).unwrap();
        }
        write!(out, "\t}}\n\treturn \"unknown {name}\"\n}}\n").unwrap();
    }
    out
}

fn check(path: &str, expected: &str) {
    let file = super::root().join(path);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, expected).unwrap_or_else(|e| panic!("{path}: {e}"));
    }
    let found = super::read(path);
    assert!(found == expected, "{path} differs from core/src/error.rs; run `BLESS=1 cargo test -p instar-drift`");
}

#[test]
fn every_language_has_the_lists_of_core() {
    check("bindings/python/python/instar/_kinds.py", &python());
    check("bindings/node/lib/kinds.js", &javascript());
    check("bindings/node/lib/kinds.d.ts", &typescript());
    check("bindings/dotnet/src/Instar/ErrorKinds.g.cs", &csharp());
    check("bindings/go/kinds_gen.go", &go());
}

#[test]
fn numbers_are_dense_and_unique() {
    for items in [kinds(), traps()] {
        for (i, item) in items.iter().enumerate() {
            assert_eq!(item.code as usize, i + 1, "{}", item.name);
        }
    }
}
