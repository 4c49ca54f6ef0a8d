//! What programs see: arguments, variables, folders, streams; and how they end.

use crate::kit::Folder;

/// A program with the functions of WASI at hand, 64 KiB of memory, and this `_start`.
fn program(body: &str) -> String {
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "path_open" (func $path_open
                (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
            (memory (export "memory") 1)
            (data (i32.const 64) "file.txt")
            ;; Ends the program unless an operation has succeeded.
            (func $check (param $errno i32)
                (if (local.get $errno) (then (call $proc_exit (local.get $errno)))))
            (func $write (param $fd i32) (param $at i32) (param $len i32)
                (i32.store (i32.const 0) (local.get $at))
                (i32.store (i32.const 4) (local.get $len))
                (call $check (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
            ;; Copies up to 1000 bytes from one descriptor to another.
            (func $copy (param $from i32) (param $to i32)
                (i32.store (i32.const 0) (i32.const 4096))
                (i32.store (i32.const 4) (i32.const 1000))
                (call $check (call $fd_read (local.get $from) (i32.const 0) (i32.const 1) (i32.const 8)))
                (call $write (local.get $to) (i32.const 4096) (i32.load (i32.const 8))))
            ;; Opens `file.txt` in the first folder.
            (func $open (param $flags i32) (param $rights i64) (result i32)
                (call $check (call $path_open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 8)
                    (local.get $flags) (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 16)))
                (i32.load (i32.const 16)))
            (func (export "_start") {body}))"#
    )
}

const ARGS: &str = "
    (call $check (call $args_sizes_get (i32.const 20) (i32.const 24)))
    (call $check (call $args_get (i32.const 1024) (i32.const 2048)))
    (call $write (i32.const 1) (i32.const 2048) (i32.load (i32.const 24)))";

const ENVIRONMENT: &str = "
    (call $check (call $environ_sizes_get (i32.const 20) (i32.const 24)))
    (call $check (call $environ_get (i32.const 1024) (i32.const 2048)))
    (call $write (i32.const 1) (i32.const 2048) (i32.load (i32.const 24)))";

/// Copies `file.txt` to stdout.
const READ: &str = "(call $copy (call $open (i32.const 0) (i64.const 2)) (i32.const 1))";
/// Copies stdin to a new `file.txt`.
const WRITE: &str = "(call $copy (i32.const 0) (call $open (i32.const 1) (i64.const 64)))";

#[test]
fn a_program_sees_its_name_and_arguments() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("bin")).unwrap();
    folder.write("bin/args.wat", program(ARGS));
    assert_eq!(folder.instar("bin/args.wat a --env -- x=y").prints(), "args.wat\0a\0--env\0--\0x=y\0");
    assert_eq!(folder.instar("run bin/args.wat").prints(), "args.wat\0");
}

#[cfg(unix)]
#[test]
fn arguments_may_be_any_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::with("args.wat", program(ARGS));
    let output = folder.command("args.wat").arg(std::ffi::OsStr::from_bytes(b"\xff\x80")).output().unwrap();
    assert_eq!(output.stdout, b"args.wat\0\xff\x80\0");
}

#[test]
fn a_program_sees_no_variable_that_was_not_granted() {
    let folder = Folder::with("env.wat", program(ENVIRONMENT));
    assert_eq!(folder.instar("env.wat").prints(), "");
    let mut command = folder.command("run --env A=1 --env B=x=y --env SECRET_OF_OURS env.wat");
    let output = command.env("SECRET_OF_OURS", "42").env("OTHER", "0").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "A=1\0B=x=y\0SECRET_OF_OURS=42\0");
    folder.instar("run --env NO_SUCH_VARIABLE env.wat").fails(1, &["NO_SUCH_VARIABLE", "NO_SUCH_VARIABLE=VALUE"]);
    folder.instar("run --env =x env.wat").is_usage(&["NAME=VALUE"]);
}

#[test]
fn a_program_sees_no_folder_that_was_not_granted() {
    let folder = Folder::with("read.wat", program(READ));
    folder.write("file.txt", "contents");
    // EBADF: there is no descriptor 3.
    assert_eq!(folder.instar("read.wat").code, Some(8));
    for grant in [".", ".::/", ".::elsewhere", ".:ro", ".::/data:ro"] {
        assert_eq!(folder.instar(&format!("run --dir {grant} read.wat")).prints(), "contents");
    }
}

#[test]
fn a_folder_can_be_read_only() {
    let folder = Folder::with("write.wat", program(WRITE));
    for grant in [".:ro", ".::/:ro"] {
        let ended = folder.instar_with_input(&format!("run --dir {grant} write.wat"), b"new");
        assert!(ended.code.is_some_and(|c| c != 0 && c != 134), "{ended:?}");
        assert!(!folder.path().join("file.txt").exists());
    }
    assert_eq!(folder.instar_with_input("run --dir . write.wat", b"new").prints(), "");
    assert_eq!(std::fs::read(folder.path().join("file.txt")).unwrap(), b"new");
}

#[test]
fn folders_that_are_none() {
    let folder = Folder::with("read.wat", program(READ));
    folder.instar("run --dir missing read.wat").fails(1, &["--dir missing: No such file"]);
    folder.instar("run --dir read.wat read.wat").fails(1, &["--dir read.wat: not a folder"]);
    folder.instar("run --dir ::x read.wat").is_usage(&["HOST::GUEST"]);
}

#[test]
fn streams_are_those_of_the_program() {
    let folder = Folder::with("cat.wat", program("(call $copy (i32.const 0) (i32.const 1))"));
    assert_eq!(folder.instar_with_input("cat.wat", b"some text").prints(), "some text");
    folder.write("err.wat", program("(call $copy (i32.const 0) (i32.const 2))"));
    let ended = folder.instar_with_input("err.wat", b"some text");
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (Some(0), "", "some text"));
}

#[test]
fn the_exit_code_is_the_programs_own() {
    let folder = Folder::new();
    for code in [0, 1, 3, 134, 255] {
        folder.write("exit.wat", program(&format!("(call $proc_exit (i32.const {code})) unreachable")));
        let ended = folder.instar("exit.wat");
        assert_eq!((ended.code, ended.err.as_str()), (Some(code), ""), "{ended:?}");
    }
}

#[test]
fn what_was_written_before_a_trap_is_not_lost() {
    let folder =
        Folder::with("trap.wat", program("(call $write (i32.const 1) (i32.const 64) (i32.const 8)) unreachable"));
    let ended = folder.instar("trap.wat");
    ended.fails(134, &["unreachable"]);
    assert_eq!(ended.out, "file.txt");
}

#[test]
fn a_function_can_be_invoked_in_a_module_that_uses_wasi() {
    let text =
        program("").replace("(func (export \"_start\")", "(func (export \"f\") (result i32) (i32.const 7))\n(func");
    let folder = Folder::with("x.wat", text);
    assert_eq!(folder.instar("--invoke f x.wat").prints(), "7\n");
}
