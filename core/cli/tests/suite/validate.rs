//! `instar validate`.

use crate::kit::Folder;

#[test]
fn valid_files_are_named() {
    let folder = Folder::with("a.wat", "(module)");
    folder.write("b.wasm", b"\0asm\x01\0\0\0");
    assert_eq!(folder.instar("validate a.wat b.wasm").prints(), "a.wat: valid\nb.wasm: valid\n");
}

#[test]
fn one_bad_file_does_not_hide_the_others() {
    let folder = Folder::with("a.wat", "(module)");
    folder.write("bad.wat", "(module (func (result i32)))");
    folder.write("text.wat", "(module (oops))");
    let ended = folder.instar("validate bad.wat a.wat text.wat");
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.out, "a.wat: valid\n");
    let errors: Vec<&str> = ended.err.lines().filter(|l| l.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 2, "{ended:?}");
    assert!(errors[0].starts_with("error: bad.wat: invalid module at offset 0x"), "{ended:?}");
    assert!(errors[1].starts_with("error: text.wat:1:10: "), "{ended:?}");
}

#[test]
fn what_is_valid_depends_on_the_settings() {
    let folder = Folder::with("x.wat", "(module (memory 1 1 shared))");
    folder.instar("validate -W threads=n x.wat").fails(1, &["unsupported feature"]);
    folder.write("wide.wat", "(module (func (param i64 i64 i64 i64) (result i64 i64) local.get 0 local.get 1 local.get 2 local.get 3 i64.add128))");
    folder.instar("validate wide.wat").fails(1, &["unsupported feature"]);
}
