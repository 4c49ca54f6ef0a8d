//! The command line itself: help, completions, wrong usage.

use crate::kit::Folder;

#[test]
fn help_has_examples() {
    let folder = Folder::new();
    for command in ["--help", "run --help", "help inspect", "completions --help", "validate -h"] {
        let ended = folder.instar(command);
        let out = ended.prints();
        assert!(out.contains("Example") && out.contains("instar "), "{command}: {out}");
        assert!(!out.contains('\x1b'), "{command}: {out:?}");
    }
    assert!(folder.instar("help run").prints().contains("relaxed-simd[=y|n]"));
    assert!(folder.instar("--version").prints().starts_with(concat!("instar ", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn every_shell_has_a_script() {
    let folder = Folder::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ended = folder.instar(&format!("completions {shell}"));
        let out = ended.prints();
        assert!(out.contains("inspect") && out.contains("invoke"), "{shell}");
    }
    folder.instar("completions tcsh").is_usage(&["tcsh", "bash"]);
}

#[test]
fn wrong_usage_has_exit_code_2() {
    let folder = Folder::with("x.wat", "(module)");
    folder.instar("").is_usage(&["Usage: instar"]);
    folder.instar("run").is_usage(&["FILE"]);
    folder.instar("validate").is_usage(&["FILE"]);
    folder.instar("inspect x.wat y.wat").is_usage(&["y.wat"]);
    folder.instar("inspect --yaml x.wat").is_usage(&["--yaml"]);
    folder.instar("inspct x.wat").is_usage(&["'inspct'", "'inspect'"]);
    folder.instar("run -W smd x.wat").is_usage(&["did you mean `simd`?"]);
    folder.instar("run -W simd=maybe x.wat").is_usage(&["simd=n"]);
    folder.instar("run -O fastest x.wat").is_usage(&["opt-level"]);
    folder.instar("--nope x.wat").is_usage(&["--nope"]);
}

#[test]
fn arguments_that_are_not_utf8() {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let folder = Folder::with("x.wat", r#"(module (func (export "f") (param i32)))"#);
        let bytes = std::ffi::OsStr::from_bytes(b"\xff");
        let output = folder.command("run --invoke f x.wat").arg(bytes).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let output = folder.command("").arg(bytes).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
    }
}
