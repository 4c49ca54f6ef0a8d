//! `instar objdump`.

use crate::kit::Folder;

const MODULE: &str = r#"(module
    (func $first (export "first") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func $second (export "second") (param i32) (result i32) (call $first (local.get 0) (i32.const 99)))
    (func (export "third") unreachable))"#;

#[test]
fn functions_are_listed_with_their_offsets() {
    let folder = Folder::with("x.wat", MODULE);
    let ended = folder.instar("objdump x.wat");
    let out = ended.prints();
    for heading in ["function 0 `first`: ", "function 1 `second`: ", "function 2"] {
        assert_eq!(out.lines().filter(|l| l.starts_with(heading)).count(), 1, "{heading}\n{out}");
    }
    // Some instruction comes from a place in the module.
    assert!(out.lines().any(|l| l.trim_start().starts_with("0x") && l.matches("0x").count() >= 2), "{out}");
    if cfg!(target_arch = "x86_64") {
        assert!(out.contains("ret") && out.contains("ud2"), "{out}");
        assert!(out.lines().any(|l| l.contains("call 0x0  ; 0 `first`")), "{out}");
    }
}

#[test]
fn functions_are_chosen_by_name_or_index() {
    let folder = Folder::with("x.wat", MODULE);
    let headings = |line: &str| -> Vec<String> {
        let ended = folder.instar(line);
        let out = ended.prints();
        out.lines()
            .filter(|l| l.starts_with("function "))
            .map(|l| l.split(':').next().unwrap_or(l).to_string())
            .collect()
    };
    assert_eq!(headings("objdump --func second x.wat"), ["function 1 `second`"]);
    assert_eq!(headings("objdump --func 1 --func first x.wat"), ["function 1 `second`", "function 0 `first`"]);
    folder.instar("objdump --func secnd x.wat").fails(1, &["no function `secnd`", "did you mean `second`?"]);
    folder.instar("objdump --func 7 x.wat").fails(1, &["indices 0 to 2"]);
    folder.write("none.wat", "(module)");
    folder.instar("objdump --func f none.wat").fails(1, &["no function `f`"]);
    assert_eq!(folder.instar("objdump none.wat").prints(), "");
}
