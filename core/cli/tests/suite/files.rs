//! File arguments that hold no module: every command that takes one says what is wrong.

use crate::kit::Folder;

/// The commands that take a module.
const COMMANDS: &[&str] = &["run", "compile", "validate", "inspect", "inspect --json", "objdump"];

#[track_caller]
fn all_fail(folder: &Folder, file: &str, parts: &[&str]) {
    for command in COMMANDS {
        let ended = folder.instar(&format!("{command} {file}"));
        ended.fails(1, parts);
        assert_eq!(ended.out, "", "{ended:?}");
        assert!(ended.err.contains("\nhint: "), "{ended:?}");
    }
}

#[test]
fn a_missing_file() {
    let folder = Folder::with("plugin.wasm", "");
    all_fail(&folder, "nothing-like-it.wasm", &["nothing-like-it.wasm: No such file", "`-` for the standard input"]);
    all_fail(&folder, "plugn.wasm", &["did you mean plugin.wasm?"]);
    all_fail(&folder, "plugin.wat", &["did you mean plugin.wasm?"]);
    all_fail(&folder, "pl.wasm", &["`-` for the standard input"]);
    all_fail(&folder, "./plugin", &["did you mean ./plugin.wasm?"]);
    all_fail(&folder, "no/such/folder.wasm", &["No such file"]);
}

#[test]
fn a_directory() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("build")).unwrap();
    all_fail(&folder, "build", &["build is a directory"]);
    folder.write("build/plugin.wasm", "");
    all_fail(&folder, "build", &["build is a directory", "such as build/plugin.wasm"]);
}

#[test]
fn an_empty_file() {
    all_fail(&Folder::with("x.wasm", ""), "x.wasm", &["x.wasm: is empty"]);
}

#[test]
fn text_that_is_no_module() {
    let folder = Folder::with("x.wasm", "int main() {}");
    all_fail(&folder, "x.wasm", &["x.wasm: is not WebAssembly", "69 6e 74 20"]);
    folder.write("y.wat", [0xff, 0xfe, b'(']);
    all_fail(&folder, "y.wat", &["y.wat: is not WebAssembly", "ff fe 28"]);
}

#[test]
fn components_and_other_versions() {
    let folder = Folder::with("component.wasm", b"\0asm\x0d\0\x01\0");
    all_fail(&folder, "component.wasm", &["is a component, not a module"]);
    folder.write("component.wat", "(component)");
    all_fail(&folder, "component.wat", &["is a component, not a module"]);
    folder.write("future.wasm", b"\0asm\x02\0\0\0");
    all_fail(&folder, "future.wasm", &["version 2"]);
}

#[test]
fn damaged_modules_have_an_offset() {
    let folder = Folder::with("x.wasm", b"\0asm\x01\0\0\0\x01\xff");
    all_fail(&folder, "x.wasm", &["x.wasm: invalid module at offset 0x"]);
    folder.write("cut.wasm", b"\0asm\x01");
    all_fail(&folder, "cut.wasm", &["cut.wasm: invalid module"]);
}

#[test]
fn text_modules_have_line_and_column() {
    let folder = Folder::with("x.wat", "(module\n  (fnuc))");
    for command in COMMANDS {
        folder.instar(&format!("{command} x.wat")).fails(1, &["x.wat:2:4: "]);
    }
}

#[cfg(unix)]
#[test]
fn a_file_without_the_right_to_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::with("x.wat", "(module)");
    std::fs::set_permissions(folder.path().join("x.wat"), PermissionsExt::from_mode(0o000)).unwrap();
    // The superuser may read it all the same.
    if std::fs::read(folder.path().join("x.wat")).is_err() {
        all_fail(&folder, "x.wat", &["Permission denied"]);
    }
}

#[test]
fn names_with_control_characters_are_escaped() {
    let folder = Folder::new();
    let mut command = folder.command("validate");
    let output = command.arg("\x1b[31mred.wasm").output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("\\u{1b}[31mred.wasm") && !err.contains('\x1b'), "{err:?}");
}

#[test]
fn the_standard_input_is_a_file_too() {
    let folder = Folder::new();
    let ended = folder.instar_with_input("validate -", b"(module)");
    assert_eq!(ended.prints(), "standard input: valid\n");
    folder.instar_with_input("validate -", b"").fails(1, &["standard input: is empty"]);
}
