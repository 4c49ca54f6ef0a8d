//! Imports between the folders of core run one way.
//!
//! ```text
//!   error ← sys, config ← artifact ← vm ← image, backtrace ← pool ← public nouns
//!   compile reads artifact, config and error only; vm, image and pool may read artifact, vm and image config; only engine joins compile to the rest
//! ```

use std::fs;
use std::path::Path;

/// A layer and the layers it may use beside itself.
const RULES: &[(&str, &[&str])] = &[
    ("backtrace", &["artifact", "error", "vm"]),
    ("error", &[]),
    ("config", &["error"]),
    ("artifact", &["config", "error", "sys"]),
    ("compile", &["artifact", "config", "error"]),
    ("sys", &["error"]),
    ("vm", &["artifact", "config", "error", "sys"]),
    ("image", &["artifact", "config", "error", "sys", "vm"]),
    ("pool", &["artifact", "backtrace", "error", "image", "sys", "vm"]),
    // The public names only.
    ("wasi", &["Caller", "Linker", "Memory"]),
];

/// Public nouns that every layer may name because they are re-exports of `error`.
const REEXPORTS: &[&str] = &["Error", "ErrorKind", "Result", "TrapCode"];

/// Modules of the public layer that may use `compile`.
const COMPILE_USERS: &[&str] = &["engine"];

/// All `crate::x` paths in a source file, outside comments.
fn uses(source: &str) -> Vec<String> {
    let code: String = source.lines().map(|l| l.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = &list[..list.find('}').unwrap_or(list.len())];
                found.extend(list.split(',').map(|item| first_word(item.trim())));
            }
            None => found.push(first_word(rest)),
        }
    }
    found.retain(|w| !w.is_empty());
    found
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn sources(folder: &Path, out: &mut Vec<(String, String)>, layer: Option<&str>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let layer = layer.unwrap_or(&name);
        if path.is_dir() {
            sources(&path, out, Some(layer));
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push((layer.to_string(), path.to_string_lossy().into_owned()));
        }
    }
}

/// The violations among `(layer, file, source)`.
fn violations<'a>(files: impl Iterator<Item = (&'a str, &'a str, String)>) -> Vec<String> {
    let mut out = Vec::new();
    for (layer, file, source) in files {
        let rule = RULES.iter().find(|(name, _)| *name == layer);
        for used in uses(&source) {
            let wrong = match rule {
                Some((_, allowed)) => {
                    used != layer && !allowed.contains(&used.as_str()) && !REEXPORTS.contains(&used.as_str())
                }
                None => used == "compile" && !COMPILE_USERS.contains(&layer),
            };
            if wrong {
                out.push(format!("{file}: `{layer}` uses `{used}`"));
            }
        }
    }
    out
}

#[test]
fn imports_run_one_way() {
    let mut files = Vec::new();
    sources(&super::root().join("core/src"), &mut files, None);
    assert!(files.len() > 30, "the check looks at the sources of core");
    let found = violations(files.iter().map(|(l, f)| (l.as_str(), f.as_str(), fs::read_to_string(f).unwrap())));
    assert!(found.is_empty(), "imports against the rules of ARCHITECTURE.md:\n{}", found.join("\n"));
}

#[test]
fn a_wrong_import_is_found() {
    let wrong = [
        ("vm", "use crate::pool::slot::Slot;"),
        ("sys", "fn f() { crate::vm::code::lookup(0); }"),
        ("compile", "use crate::{artifact, engine};"),
        ("store", "use crate::compile::Compiler;"),
        ("wasi", "use crate::memory::Memory;"),
    ];
    for (layer, source) in wrong {
        assert_eq!(violations([(layer, "x.rs", source.to_string())].into_iter()).len(), 1, "{source}");
    }
    assert!(
        violations([("vm", "x.rs", "// crate::pool\nuse crate::error::Result;".to_string())].into_iter()).is_empty()
    );
}

#[test]
fn system_calls_and_target_checks_lie_in_sys() {
    let mut files = Vec::new();
    sources(&super::root().join("core/src"), &mut files, None);
    for (layer, file) in &files {
        let source = fs::read_to_string(file).unwrap();
        if layer != "sys" {
            assert!(!source.contains("libc::"), "{file} uses libc; only core/src/sys may");
            assert!(!source.contains("target_os"), "{file} asks for the operating system; only core/src/sys may");
        }
    }
}
