//! Where the output goes: pipes that close, full disks, terminals.

use std::io::Read;
use std::process::Stdio;

use crate::kit::Folder;

/// A module that has much to say about it.
fn large() -> Folder {
    let exports: String = (0..20_000).map(|i| format!("(export \"f{i}\" (func 0))")).collect();
    Folder::with("x.wat", format!("(module (func) {exports})"))
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let folder = large();
    for line in ["inspect x.wat", "inspect --json x.wat", "completions bash"] {
        let mut child =
            folder.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut few = [0; 4];
        child.stdout.take().unwrap().read_exact(&mut few).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{line}");
        assert_eq!(ended.stderr, b"", "{line}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let folder = Folder::with("x.wat", r#"(module (func (export "f") (result i32) (i32.const 1)))"#);
    for line in ["inspect x.wat", "inspect --json x.wat", "completions zsh", "validate x.wat", "--invoke f x.wat"] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ended = folder.command(line).stdout(full).output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{line}");
        let err = String::from_utf8(ended.stderr).unwrap();
        assert!(err.contains("cannot write to the standard output: No space left"), "{line}: {err}");
    }
}

/// Runs a line with stdout and stderr on a terminal of its own, and gives what the terminal got.
#[cfg(target_os = "linux")]
fn on_terminal(folder: &Folder, line: &str, variables: &[(&str, &str)]) -> String {
    use std::fs::File;
    use std::os::fd::FromRawFd;

    let (mut master, mut slave) = (0, 0);
    // SAFETY: both are valid places for a descriptor; the other parameters may be null.
    let result = unsafe {
        libc::openpty(&mut master, &mut slave, std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut())
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: openpty has made the descriptor, and nobody else has it.
    let mut master = unsafe { File::from_raw_fd(master) };
    // SAFETY: as above.
    let slave = unsafe { File::from_raw_fd(slave) };
    let mut command = folder.command(line);
    command.env("TERM", "xterm").envs(variables.iter().copied());
    command.stdout(slave.try_clone().unwrap()).stderr(slave);
    let mut child = command.spawn().expect("the program starts");
    // The command holds the last descriptors of our side.
    drop(command);
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    // A terminal whose other side is closed is an input/output error.
    while let Ok(n @ 1..) = master.read(&mut buffer) {
        text.extend(&buffer[..n]);
    }
    child.wait().unwrap();
    String::from_utf8(text).unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn colours_appear_on_terminals_only_and_not_against_no_color() {
    let folder = Folder::with("x.wat", "(module)");
    for line in ["inspect x.wat", "inspect missing.wasm"] {
        assert!(on_terminal(&folder, line, &[]).contains("\x1b["), "{line}");
        let plain = on_terminal(&folder, line, &[("NO_COLOR", "1")]);
        assert!(!plain.contains('\x1b') && !plain.is_empty(), "{line}: {plain:?}");
        let dumb = on_terminal(&folder, line, &[("TERM", "dumb")]);
        assert!(!dumb.contains('\x1b') && !dumb.is_empty(), "{line}: {dumb:?}");
        let piped = folder.instar(line);
        assert!(!piped.out.contains('\x1b') && !piped.err.contains('\x1b'), "{piped:?}");
    }
}
