//! `instar wast`.

use crate::kit::Folder;

const HALF: &str = r#"
(module (func (export "half") (param i32) (result i32) (i32.div_u (local.get 0) (i32.const 2))))
(assert_return (invoke "half" (i32.const 42)) (i32.const 21))
(assert_return (invoke "half" (i32.const 5)) (i32.const 2))
"#;

#[test]
fn scripts_that_pass_are_counted() {
    let folder = Folder::with("half.wast", HALF);
    folder.write("empty.wast", "(module)");
    let ended = folder.instar("wast half.wast empty.wast");
    let out = ended.prints();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert!(lines[0].starts_with("half.wast: ") && lines[0].ends_with(" passed, 0 failed"), "{out}");
    assert!(!lines[0].starts_with("half.wast: 0 "), "{out}");
    assert_eq!(lines[1], "empty.wast: 1 passed, 0 failed");
}

#[test]
fn what_fails_is_shown_with_its_line() {
    let folder = Folder::with("bad.wast", HALF.replace("(i32.const 2))\n", "(i32.const 3))\n"));
    folder.write("half.wast", HALF);
    let ended = folder.instar("wast bad.wast half.wast");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.starts_with("bad.wast:4: "), "{ended:?}");
    assert!(ended.out.contains(" 1 failed\n"), "{ended:?}");
    assert!(ended.out.contains("half.wast: "), "{ended:?}");
}

#[test]
fn files_that_are_no_scripts() {
    let folder = Folder::with("text.wast", "hello");
    assert_eq!(folder.instar("wast text.wast").code, Some(1));
    folder.instar("wast missing.wast").fails(1, &["missing.wast: No such file"]);
    folder.write("bytes.wast", b"(module)\xff");
    folder.instar("wast bytes.wast").fails(1, &["bytes.wast: is not UTF-8 at byte 8"]);
    folder.instar("wast .").fails(1, &["is a directory"]);
    folder.instar("wast").is_usage(&["FILE"]);
}

#[test]
fn settings_decide_what_is_supported() {
    let folder = Folder::with("vector.wast", "(module (func (drop (v128.const i64x2 0 0))))\n(module)");
    let off = "-W simd=n,relaxed-simd=n";
    assert_eq!(
        folder.instar(&format!("wast {off} vector.wast")).prints(),
        "vector.wast: 1 passed, 0 failed, 1 not supported\n"
    );
    let ended = folder.instar(&format!("wast -v {off} vector.wast"));
    assert!(ended.prints().starts_with("vector.wast:1: not supported: "), "{ended:?}");
}
