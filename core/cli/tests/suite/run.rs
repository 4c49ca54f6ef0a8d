//! `instar run`.

use crate::kit::Folder;

const MATH: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func (export "mix") (param f32 f64 i64 v128) (result v128 i64 f64 f32)
        (local.get 3) (local.get 2) (local.get 1) (local.get 0))
    (func (export "ref") (param externref) (result externref funcref) (local.get 0) (ref.func $boom))
    (func $boom (export "boom") unreachable)
    (func $deep (export "deep") (param i32) (result i32)
        (if (result i32) (local.get 0)
            (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
            (else (i32.const 0)))))"#;

fn math() -> Folder {
    Folder::with("math.wat", MATH)
}

#[test]
fn a_function_is_invoked() {
    let folder = math();
    assert_eq!(folder.instar("run --invoke add math.wat 1 2").prints(), "3\n");
    assert_eq!(folder.instar("run --invoke add math.wat -1 0xffffffff").prints(), "-2\n");
    assert_eq!(folder.instar("--invoke add math.wat 4294967295 1").prints(), "0\n");
}

#[test]
fn results_are_printed_one_a_line() {
    let folder = math();
    let printed = "0x000000000000000000000000000000ff\n-7\nnan:0x4000000000001\n-0\n";
    assert_eq!(folder.instar("run --invoke mix math.wat -0 nan:0x4000000000001 -7 255").prints(), printed);
    assert_eq!(folder.instar("run --invoke ref math.wat null").prints(), "null\nfuncref\n");
}

#[test]
fn wrong_arguments_of_a_function() {
    let folder = math();
    folder.instar("run --invoke add math.wat 1").fails(1, &["`add` takes 2 arguments, got 1", "FILE <i32> <i32>"]);
    folder.instar("run --invoke add math.wat 1 2 3").fails(1, &["takes 2 arguments, got 3"]);
    folder.instar("run --invoke add math.wat 1 two").fails(1, &["argument 2 of `add` must be of type i32, not `two`"]);
    folder.instar("run --invoke add math.wat 1 4294967296").fails(1, &["from -2147483648 to 4294967295"]);
    folder.instar("run --invoke ref math.wat 0").fails(1, &["`null`"]);
}

#[test]
fn functions_that_are_not_there() {
    let folder = math();
    folder.instar("run --invoke ad math.wat").fails(1, &["`ad` is not exported", "did you mean `add`?"]);
    folder.instar("run --invoke zzzzzz math.wat").fails(1, &["exported functions: add, mix, ref, boom, deep"]);
    folder.instar("run --invoke memory math.wat").fails(1, &["`memory` is not a function"]);
    folder.instar("run math.wat").fails(1, &["has no `_start` function", "--invoke: add, mix"]);
    folder.instar("run math.wat --invoke add 1 2").fails(1, &["write --invoke before the file"]);
    folder.write("empty.wat", "(module)");
    folder.instar("run --invoke f empty.wat").fails(1, &["the module exports no function"]);
}

#[test]
fn traps_have_an_exit_code_of_their_own() {
    let folder = math();
    folder.instar("run --invoke boom math.wat").fails(134, &["wasm trap: unreachable"]);
    folder.instar("run --invoke deep math.wat 100000000").fails(134, &["call stack exhausted"]);
    folder.write("start.wat", "(module (func $f unreachable) (start $f))");
    folder.instar("start.wat").fails(134, &["unreachable"]);
    folder.write("segment.wat", r#"(module (memory 1) (data (i32.const 65536) "x"))"#);
    folder.instar("segment.wat").fails(134, &["out of bounds memory access"]);
}

#[test]
fn traps_show_where_the_guest_was() {
    let folder = Folder::with(
        "nested.wat",
        r#"(module $outer
            (import "env" "gone" (func $gone))
            (func (@name "inner\e2\80\ae") unreachable)
            (func $handle (export "handle") call 1)
            (func (export "host") call $gone))"#,
    );
    let trapped = folder.instar("run --unknown-imports trap --invoke handle nested.wat");
    trapped.fails(134, &["wasm trap: unreachable\nwasm backtrace:\n"]);
    let frames = trapped.backtrace();
    assert_eq!(frames.len(), 2, "{trapped:?}");
    // A name cannot reorder the text around it.
    assert!(frames[0].ends_with(" - outer!inner\\u{202e}"), "{trapped:?}");
    assert!(frames[1].ends_with(" - outer!handle"), "{trapped:?}");
    let failed = folder.instar("run --unknown-imports trap --invoke host nested.wat");
    failed.fails(1, &["env.gone"]);
    assert_eq!(failed.backtrace().len(), 1, "{failed:?}");
    let unmapped = folder.instar("run -O address-map=n --unknown-imports trap --invoke handle nested.wat");
    assert!(unmapped.backtrace()[1].ends_with("1: outer!handle"), "{unmapped:?}");
    assert!(folder.instar("run nested.wat").backtrace().is_empty(), "nothing has run");
}

/// Run by `scripts/test.sh dwarf`.
#[test]
#[ignore = "needs clang"]
fn traps_show_files_and_lines_of_dwarf() {
    let guest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/guests/backtrace-dwarf5.wasm");
    let wasm = std::fs::read(guest).unwrap_or_else(|e| panic!("{guest}: {e}: run tests/guests/build.sh"));
    let folder = Folder::with("guest.wasm", wasm);
    assert_eq!(folder.instar("compile guest.wasm").prints(), "");
    for file in ["guest.wasm", "guest.cwasm"] {
        let trapped = folder.instar(&format!("run --unknown-imports trap --invoke trap_inlined {file} 0"));
        trapped.fails(134, &["integer divide by zero"]);
        let places: Vec<&str> = trapped.backtrace().into_iter().filter(|l| l.contains(" at /")).collect();
        assert!(places[0].ends_with("/tests/guests/backtrace/guest.c:9:21 (divide)"), "{trapped:?}");
        assert_eq!(places.len(), 3, "{trapped:?}");
    }
}

#[test]
fn profilers_are_told_of_code() {
    let folder = math();
    let start = |how: &str| {
        let mut command = folder.command(&format!("run --profile {how} --invoke add math.wat 1 2"));
        let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        let id = child.id();
        assert_eq!(child.wait_with_output().unwrap().stdout, b"3\n", "{how}");
        id
    };
    let map = format!("/tmp/perf-{}.map", start("perfmap"));
    let text = std::fs::read_to_string(&map).unwrap();
    std::fs::remove_file(&map).unwrap();
    assert!(text.lines().any(|l| l.ends_with("!deep")), "{text}");
    let dump = folder.path().join(format!("jit-{}.dump", start("jitdump")));
    let bytes = std::fs::read(dump).unwrap();
    assert!(bytes.windows(6).any(|w| w == b"!deep\0"));
    folder.instar("run --profile vtune math.wat").is_usage(&["perfmap", "jitdump"]);
}

#[test]
fn a_command_runs() {
    let folder = Folder::with("ok.wat", r#"(module (func (export "_start")))"#);
    assert_eq!(folder.instar("ok.wat any --arguments -- here").prints(), "");
    assert_eq!(folder.instar("run ok.wat").prints(), "");
    folder.write("trap.wat", r#"(module (func (export "_start") unreachable))"#);
    folder.instar("trap.wat").fails(134, &[]);
    folder.write("odd.wat", r#"(module (func (export "_start") (param i32)))"#);
    folder.instar("odd.wat").fails(1, &["_start", "(i32) -> ()"]);
}

#[test]
fn a_reactor_is_initialized_once_before_its_function() {
    let folder = Folder::with(
        "reactor.wat",
        r#"(module
            (global $n (mut i32) (i32.const 0))
            (func (export "_initialize") (global.set $n (i32.add (global.get $n) (i32.const 42))))
            (func (export "get") (result i32) (global.get $n)))"#,
    );
    assert_eq!(folder.instar("run --invoke get reactor.wat").prints(), "42\n");
    assert_eq!(folder.instar("run reactor.wat").prints(), "");
}

#[test]
fn a_module_with_nothing_to_call_is_instantiated() {
    let folder = Folder::with("empty.wat", "(module)");
    assert_eq!(folder.instar("empty.wat").prints(), "");
}

#[test]
fn a_missing_import_is_named_with_its_type() {
    let folder =
        Folder::with("x.wat", r#"(module (import "env" "log\1b[31m" (func (param i32))) (func (export "_start")))"#);
    folder.instar("x.wat").fails(1, &["x.wat: ", "env.log\\u{1b}[31m", "function (i32) -> ()"]);
}

#[test]
fn a_module_can_run_without_its_imports() {
    let folder = Folder::with(
        "x.wat",
        r#"(module
            (import "env" "f" (func $f (result i32)))
            (func (export "without") (result i32) (i32.const 1))
            (func (export "with") (result i32) (call $f)))"#,
    );
    folder.instar("--invoke without x.wat").fails(1, &["env.f", "--unknown-imports trap"]);
    assert_eq!(folder.instar("--unknown-imports trap --invoke without x.wat").prints(), "1\n");
    folder.instar("--unknown-imports trap --invoke with x.wat").fails(1, &["the guest called `env.f`"]);
    assert_eq!(folder.instar("--unknown-imports default --invoke with x.wat").prints(), "0\n");
    folder.instar("--unknown-imports maybe x.wat").is_usage(&["trap", "default"]);
    folder.write("memory.wat", r#"(module (import "env" "m" (memory 1)) (func (export "_start")))"#);
    folder.instar("run --unknown-imports trap memory.wat").fails(1, &["env.m", "memory"]);
    assert_eq!(folder.instar("run --unknown-imports default memory.wat").prints(), "");
}

#[test]
fn the_file_is_recognised_by_its_contents() {
    let folder = math();
    std::fs::copy(folder.path().join("math.wat"), folder.path().join("math.txt")).unwrap();
    assert_eq!(folder.instar("run --invoke add math.txt 1 2").prints(), "3\n");
    assert_eq!(folder.instar_with_input("run --invoke add - 1 2", MATH.as_bytes()).prints(), "3\n");
}

#[test]
fn settings_reach_the_engine() {
    let folder = math();
    let line = "run -W simd=n,relaxed-simd=n --invoke add math.wat 1 2";
    folder.instar(line).fails(1, &["SIMD support is not enabled"]);
    folder.instar("run -W simd=n --invoke add math.wat 1 2").fails(1, &["wasm_relaxed_simd", "relaxed-simd"]);
    for level in ["none", "speed", "speed_and_size", "opt-level=0", "s"] {
        assert_eq!(folder.instar(&format!("run -O {level} --invoke add math.wat 1 2")).prints(), "3\n");
    }
    assert_eq!(folder.instar("run --invoke deep math.wat 4000").prints(), "4000\n");
    folder.instar("run -W max-wasm-stack=16384 --invoke deep math.wat 4000").fails(134, &["exhausted"]);
    folder.write("memory.wat", r#"(module (memory 2) (table 2 funcref))"#);
    folder.instar("run -W max-memory-pages=1 memory.wat").fails(1, &["max_memory_pages is 1"]);
    folder.instar("run -W max-table-elements=1 memory.wat").fails(1, &["max_table_elements is 1"]);
    assert_eq!(folder.instar("run -W max-memory-pages=2,max-table-elements=2 memory.wat").prints(), "");
    folder.instar("run -W max-wasm-stack=1 --invoke deep math.wat 1").fails(1, &["max_wasm_stack is 1"]);
}
