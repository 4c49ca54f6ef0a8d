//! `instar compile`, and what can be done with its results.

use crate::kit::Folder;

const ADD: &str = r#"(module $math (func $add (export "add") (param i32 i32) (result i32)
    (i32.add (local.get 0) (local.get 1))))"#;

/// A folder with a module and what it was compiled to.
fn compiled() -> Folder {
    let folder = Folder::with("add.wat", ADD);
    assert_eq!(folder.instar("compile add.wat").prints(), "");
    folder
}

#[test]
fn a_compiled_module_runs() {
    let folder = compiled();
    assert_eq!(folder.instar("--invoke add add.cwasm 1 2").prints(), "3\n");
    assert_eq!(folder.instar("run --invoke add ./add.cwasm 1 2").prints(), "3\n");
    let bytes = std::fs::read(folder.path().join("add.cwasm")).unwrap();
    let ended = folder.instar_with_input("run --allow-precompiled --invoke add - 1 2", &bytes);
    assert_eq!(ended.prints(), "3\n");
}

#[test]
fn the_output_goes_where_it_should() {
    let folder = Folder::with("add.wat", ADD);
    assert_eq!(folder.instar("compile -o other.bin add.wat").prints(), "");
    assert!(!folder.path().join("add.cwasm").exists());
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "no temporary file stays: {names:?}");
    folder.instar("compile -o no/such/folder.cwasm add.wat").fails(1, &["no/such/folder.cwasm", "hint: "]);
    folder.instar("compile -o . add.wat").fails(1, &["it is a directory"]);
    folder.instar("compile -o add.wat add.wat").fails(1, &["the same file"]);
    folder.instar_with_input("compile -", ADD.as_bytes()).fails(1, &["-o OUT.cwasm"]);
    assert_eq!(folder.instar_with_input("compile -o stdin.cwasm -", ADD.as_bytes()).prints(), "");
    assert_eq!(folder.instar("--invoke add stdin.cwasm 1 2").prints(), "3\n");
}

#[test]
fn what_cannot_be_compiled_leaves_the_output_alone() {
    let folder = compiled();
    folder.write("add.wat", "(module (func (result i32)))");
    folder.instar("compile add.wat").fails(1, &["add.wat: invalid module"]);
    assert_eq!(folder.instar("--invoke add add.cwasm 1 2").prints(), "3\n");
    folder.instar("compile add.cwasm -o x.cwasm").fails(1, &["is compiled already"]);
    folder.instar("compile add.cwasm").fails(1, &["is compiled already"]);
}

#[test]
fn machine_code_runs_only_under_its_own_name() {
    let folder = compiled();
    std::fs::copy(folder.path().join("add.cwasm"), folder.path().join("add.wasm")).unwrap();
    folder.instar("--invoke add add.wasm 1 2").fails(1, &["holds machine code", "--allow-precompiled"]);
    assert_eq!(folder.instar("--allow-precompiled --invoke add add.wasm 1 2").prints(), "3\n");
    folder.instar("validate add.cwasm").fails(1, &["is compiled already"]);
}

#[test]
fn other_options_are_refused_with_what_differs() {
    let folder = compiled();
    folder
        .instar("run -W nan-canonicalization --invoke add add.cwasm 1 2")
        .fails(1, &["add.cwasm: ", "nan_canonicalization", "instar compile"]);
    assert_eq!(folder.instar("compile -W nan-canonicalization add.wat").prints(), "");
    assert_eq!(folder.instar("run -W nan-canonicalization --invoke add add.cwasm 1 2").prints(), "3\n");
}

#[test]
fn damaged_files_are_refused() {
    let folder = compiled();
    let good = std::fs::read(folder.path().join("add.cwasm")).unwrap();
    for length in [4, 63, 64, good.len() / 2, good.len() - 1] {
        folder.write("cut.cwasm", &good[..length]);
        folder.instar("--invoke add cut.cwasm 1 2").fails(1, &["cut.cwasm: ", "hint: "]);
        folder.instar("inspect cut.cwasm").fails(1, &["cut.cwasm: "]);
    }
    folder.write("foreign.cwasm", std::fs::read(env!("CARGO_BIN_EXE_instar")).unwrap());
    folder.instar("inspect foreign.cwasm").fails(1, &["foreign.cwasm: "]);
}

#[test]
fn inspect_says_the_same_before_and_after() {
    let folder = compiled();
    let json = |file: &str| -> serde_json::Value {
        serde_json::from_str(folder.instar(&format!("inspect --json {file}")).prints()).unwrap()
    };
    let (text, artifact) = (json("add.wat"), json("add.cwasm"));
    assert_eq!(artifact["format"], "cwasm");
    for field in ["name", "imports", "exports", "functions", "memories", "tables", "globals"] {
        assert_eq!(text[field], artifact[field], "{field}");
    }
    assert_eq!(text["data"]["outside_image"], artifact["data"]["outside_image"]);
    assert_eq!(text["sizes"]["image"], artifact["sizes"]["image"]);
    assert_eq!(text["sizes"]["machine_code"], artifact["sizes"]["machine_code"]);
    assert!(folder.instar("inspect add.cwasm").prints().starts_with("add.cwasm: compiled module `math`\n"));
}

#[test]
fn a_changed_byte_is_found_by_verify() {
    let folder = compiled();
    assert!(folder.instar("inspect --verify add.cwasm").prints().contains("compiled module"));
    folder.instar("inspect --verify add.wat").fails(1, &["--verify is for .cwasm files"]);
    let good = std::fs::read(folder.path().join("add.cwasm")).unwrap();
    for at in [good.len() / 4, good.len() / 2, good.len() * 3 / 4] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        folder.write("bad.cwasm", &bad);
        folder.instar("inspect --verify bad.cwasm").fails(1, &["bad.cwasm: "]);
    }
}
