//! The bytes convention: `alloc(len) -> ptr`, `f(ptr, len) -> ptr << 32 | len`, and guests that break it.

use instar::{ErrorKind, TrapCode};

use crate::kit::{fails, one_slot, paranoid, pre, traps};

/// A guest whose alloc and answer are expressions of `len` (local 0) and of `ptr`, `len` (locals 0 and 1).
fn guest(alloc: &str, answer: &str) -> String {
    format!(
        r#"(module (memory (export "memory") 1 4) (data (i32.const 65000) "tail")
          (func (export "alloc") (param i32) (result i32) {alloc})
          (func (export "f") (param i32 i32) (result i64) {answer}))"#
    )
}

const ANSWER_IS_INPUT: &str =
    "(i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))";

#[test]
fn bytes_go_in_and_come_out() {
    let pre = pre(&one_slot(), guest("(i32.const 100)", ANSWER_IS_INPUT));
    let f = pre.bytes_func("f").unwrap();
    for len in [0usize, 1, 255, 256, 4096, 65_436] {
        let input: Vec<u8> = (0..len).map(|i| i as u8 | 1).collect();
        assert_eq!(pre.call_bytes((), &f, &input).unwrap(), input);
        let mut instance = pre.fresh(()).unwrap();
        assert_eq!(instance.call_bytes(&f, &input).unwrap(), input);
        assert_eq!(instance.call_bytes(&f, b"again").unwrap(), b"again");
    }
}

#[test]
fn an_alloc_whose_answer_does_not_fit_breaks_the_convention() {
    let engine = one_slot();
    for (alloc, len) in
        [("(i32.const 65535)", 2), ("(i32.const -1)", 1), ("(i32.const 65537)", 0), ("(i32.const 101)", 65_436)]
    {
        let pre = pre(&engine, guest(alloc, ANSWER_IS_INPUT));
        let f = pre.bytes_func("f").unwrap();
        let error = fails(pre.call_bytes((), &f, &vec![1; len]), ErrorKind::GuestProtocol);
        assert!(error.message().contains(&format!("alloc({len})")), "{error}");
    }
    let pre = pre(&engine, guest("(i32.const 65536)", ANSWER_IS_INPUT));
    assert!(pre.call_bytes((), &pre.bytes_func("f").unwrap(), b"").unwrap().is_empty(), "nothing fits anywhere");
}

#[test]
fn an_answer_that_does_not_lie_in_memory_breaks_the_convention() {
    let engine = one_slot();
    for answer in [
        "(i64.const 0x0000_0000_0001_0001)",
        "(i64.const 0x0000_ffff_0000_0002)",
        "(i64.const -1)",
        "(i64.const 0xffff_ffff_0000_0001)",
        "(i64.const 0x0000_0001_ffff_ffff)",
        "(i64.const 0x0001_0001_0000_0000)",
    ] {
        let pre = pre(&engine, guest("(i32.const 0)", answer));
        let f = pre.bytes_func("f").unwrap();
        let error = fails(pre.call_bytes((), &f, b"hello"), ErrorKind::GuestProtocol);
        assert!(error.message().contains("65536"), "{error}");
    }
    let pre = pre(&engine, guest("(i32.const 0)", "(i64.const 0x0000_fde8_0000_0004)"));
    assert_eq!(pre.call_bytes((), &pre.bytes_func("f").unwrap(), b"").unwrap(), b"tail");
}

#[test]
fn a_memory_that_grows_in_alloc_or_in_the_call_is_taken_as_it_is_then() {
    let engine = one_slot();
    let grows = "(drop (memory.grow (i32.const 1))) (i32.const 65530)";
    let pre_alloc = pre(&engine, guest(grows, ANSWER_IS_INPUT));
    let input = vec![3; 5000];
    for _ in 0..3 {
        assert_eq!(pre_alloc.call_bytes((), &pre_alloc.bytes_func("f").unwrap(), &input).unwrap(), input);
    }
    drop(pre_alloc);
    let grows = format!(
        "(drop (memory.grow (i32.const 2))) (memory.copy (i32.const 131072) (local.get 0) (local.get 1))
         (local.set 0 (i32.const 131072)) {ANSWER_IS_INPUT}"
    );
    let pre = pre(&engine, guest("(i32.const 8)", &grows));
    for _ in 0..3 {
        assert_eq!(pre.call_bytes((), &pre.bytes_func("f").unwrap(), &input).unwrap(), input);
    }
}

#[test]
fn traps_in_alloc_and_in_the_call_are_traps() {
    let engine = one_slot();
    for (alloc, answer) in [("unreachable", ANSWER_IS_INPUT), ("(i32.const 0)", "unreachable")] {
        let pre = pre(&engine, guest(alloc, answer));
        let f = pre.bytes_func("f").unwrap();
        let mut instance = pre.fresh(()).unwrap();
        traps(instance.call_bytes(&f, b"abc"), TrapCode::Unreachable);
        traps(instance.call_bytes(&f, b"abc"), TrapCode::Unreachable);
        drop(instance);
        traps(pre.call_bytes((), &f, b"abc"), TrapCode::Unreachable);
    }
}

#[test]
fn a_module_without_the_convention_is_told_what_it_lacks() {
    let engine = paranoid();
    let without = |text: &str, kind: ErrorKind, words: &[&str]| {
        let error = fails(pre(&engine, text).bytes_func("f"), kind);
        for word in words.iter().chain(&["alloc(i32) -> i32", "f(i32, i32) -> i64"]) {
            assert!(error.message().contains(word), "{error} lacks {word}");
        }
    };
    let f = "(func (export \"f\") (param i32 i32) (result i64) (i64.const 0))";
    let alloc = "(func (export \"alloc\") (param i32) (result i32) (i32.const 0))";
    let memory = "(memory (export \"memory\") 1)";
    without(&format!("(module {alloc} {memory})"), ErrorKind::MissingExport, &["`f`"]);
    without(&format!("(module {f} {memory})"), ErrorKind::MissingExport, &["`alloc`"]);
    without(&format!("(module {f} {alloc})"), ErrorKind::MissingExport, &["`memory`"]);
    without(&format!("(module {f} {alloc} (func (export \"memory\")))"), ErrorKind::MissingExport, &["no memory"]);
    let wrong = "(func (export \"alloc\") (param i64) (result i32) (i32.const 0))";
    without(&format!("(module {f} {wrong} {memory})"), ErrorKind::Type, &["(i64) -> (i32)"]);
}
