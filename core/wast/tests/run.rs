//! What passes, what fails and what is not supported.

use instar::Config;
use instar_wast::{Runner, Script, Verdict};

const MODULE: &str = r#"
    (module
      (memory 1)
      (global (export "g") (mut i32) (i32.const 7))
      (func (export "one") (result i32) (i32.const 1))
      (func (export "nan") (result f32) (f32.const nan:0x200000))
      (func (export "quiet") (result f32) (f32.const -nan:0x400001))
      (func (export "null") (result funcref) (ref.null func))
      (func (export "same") (param externref) (result externref) (local.get 0))
      (func (export "itself") (result funcref) (ref.func $itself))
      (func $itself)
      (elem declare func $itself)
      (func (export "count") (result i32)
        (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
        (i32.load (i32.const 0)))
      (func (export "trap") (unreachable))
      (func $deep (export "deep") (call $deep)))
"#;

fn runner() -> Runner {
    let mut config = Config::new();
    config.paranoid(true);
    let mut runner = Runner::new(&config).unwrap();
    runner.rounds(2).rehearse(true);
    runner
}

fn verdicts(text: &str) -> Vec<Verdict> {
    runner().run(&Script::parse(text).unwrap_or_else(|error| panic!("line {}: {}", error.line, error.text)))
}

/// Verdicts of the directives after the module.
fn after_module(directives: &str) -> Vec<Verdict> {
    verdicts(&format!("{MODULE}{directives}")).split_off(1)
}

#[test]
fn what_is_true_passes_in_both_rounds() {
    let right = r#"
        (assert_return (invoke "one") (i32.const 1))
        (assert_return (invoke "one") (either (i32.const 0) (i32.const 1)))
        (assert_return (get "g") (i32.const 7))
        (assert_return (invoke "count") (i32.const 1))
        (assert_return (invoke "count") (i32.const 2))
        (assert_return (invoke "quiet") (f32.const nan:arithmetic))
        (assert_return (invoke "null") (ref.null func))
        (assert_return (invoke "null") (ref.null))
        (assert_return (invoke "itself") (ref.func))
        (assert_return (invoke "same" (ref.extern 5)) (ref.extern 5))
        (assert_return (invoke "same" (ref.extern 5)) (ref.extern))
        (assert_return (invoke "same" (ref.null noextern)) (ref.null extern))
        (assert_trap (invoke "trap") "unreachable")
        (assert_exhaustion (invoke "deep") "call stack exhausted")
        (assert_invalid (module (func (result i32))) "type mismatch")
        (assert_malformed (module quote "(modul)") "unexpected token")
        (assert_malformed_custom (module quote "(@name)(module)") "@name annotation")
        (assert_unlinkable (module (import "spectest" "nothing" (func))) "unknown import")
        (assert_unlinkable (module (import "spectest" "print" (func (param i32)))) "incompatible import type")
    "#;
    for (index, verdict) in after_module(right).into_iter().enumerate() {
        assert_eq!(verdict, Verdict::Passed, "directive {index}");
    }
}

#[test]
fn what_is_wrong_fails() {
    let wrong = r#"
        (assert_return (invoke "one") (i32.const 2))
        (assert_return (invoke "one"))
        (assert_return (invoke "one") (i64.const 1))
        (assert_return (invoke "one") (either (i32.const 0) (i32.const 2)))
        (assert_return (invoke "nan") (f32.const nan:canonical))
        (assert_return (invoke "quiet") (f32.const nan:canonical))
        (assert_return (invoke "null") (ref.func))
        (assert_return (invoke "null") (ref.null extern))
        (assert_return (invoke "itself") (ref.null func))
        (assert_return (invoke "same" (ref.extern 5)) (ref.extern 6))
        (assert_return (invoke "same" (ref.null extern)) (ref.extern))
        (assert_return (invoke "missing"))
        (assert_return (get "missing") (i32.const 7))
        (assert_return (invoke "trap"))
        (assert_trap (invoke "one") "unreachable")
        (assert_trap (invoke "trap") "integer overflow")
        (assert_exhaustion (invoke "trap") "call stack exhausted")
        (assert_invalid (module) "type mismatch")
        (assert_malformed (module quote "(module)") "unexpected token")
        (assert_unlinkable (module) "unknown import")
        (assert_unlinkable (module (memory 1) (data (i32.const 65536) "a")) "unknown import")
        (invoke "trap")
        (register "x" $missing)
        (module instance $x $missing)
        (wait $missing)
    "#;
    for (index, verdict) in after_module(wrong).into_iter().enumerate() {
        assert!(matches!(verdict, Verdict::Failed(_)), "directive {index}: {verdict:?}");
    }
}

#[test]
fn what_has_no_place_here_is_not_supported_and_neither_is_what_follows_from_it() {
    let directives = r#"
        (assert_exception (invoke "trap"))
        (assert_return (invoke "one") (ref.i31))
        (assert_return (invoke "one") (either (i32.const 1) (ref.struct)))
        (invoke "same" (ref.null any))
        (invoke "same" (ref.host 1))
        (module $gc (type (struct)) (func (export "f")))
        (invoke "f")
        (register "gc" $gc)
        (module (import "gc" "f" (func)))
        (assert_return (invoke $gc "f"))
    "#;
    for (index, verdict) in after_module(directives).into_iter().enumerate() {
        assert!(matches!(verdict, Verdict::NotSupported(_)), "directive {index}: {verdict:?}");
    }
}

#[test]
fn an_instance_is_made_from_each_definition() {
    let text = r#"
        (module definition $m
          (global $g (mut i32) (i32.const 0))
          (func (export "next") (result i32)
            (global.set $g (i32.add (global.get $g) (i32.const 1)))
            (global.get $g)))
        (module instance $a $m)
        (module instance $b $m)
        (assert_return (invoke $a "next") (i32.const 1))
        (assert_return (invoke $a "next") (i32.const 2))
        (assert_return (invoke $b "next") (i32.const 1))
        (module instance)
        (assert_return (invoke "next") (i32.const 1))
        (module $c (func (export "f") (result i32) (i32.const 5)))
        (module instance $d $c)
        (assert_return (invoke $d "f") (i32.const 5))
    "#;
    assert!(verdicts(text).iter().all(|verdict| *verdict == Verdict::Passed), "{:?}", verdicts(text));
}

#[test]
fn threads_run_their_own_directives() {
    let text = r#"
        (module $m (func (export "f") (result i32) (i32.const 1)))
        (register "m" $m)
        (thread $t
          (module (func (export "f") (result i32) (i32.const 2)))
          (assert_return (invoke "f") (i32.const 2))
          (assert_return (invoke "f") (i32.const 3))
          (assert_unlinkable (module (import "m" "f" (func (result i32)))) "unknown import")
          (thread $inner (assert_return (invoke $m "f") (i32.const 1)))
          (wait $inner))
        (thread $never_waited_for
          (module)
          (invoke "nothing"))
        (thread $t)
        (assert_return (invoke "f") (i32.const 1))
        (wait $t)
        (wait $t)
    "#;
    let failed: Vec<usize> = runner().run_text("threads", text).failures.iter().map(|failure| failure.line).collect();
    assert_eq!(failed, [7, 9, 13, 14, 17], "counted from the line break that the text starts with");
}

#[test]
fn a_failure_says_what_was_expected_and_what_came() {
    let text = format!(
        "{}\n{}",
        MODULE.replace('\n', " "),
        "(assert_return (invoke \"nan\") (f32.const nan:canonical))\n(assert_trap (invoke \"one\") \"unreachable\")"
    );
    let outcome = runner().run_text("nan.wast", &text);
    assert_eq!(
        outcome.to_string(),
        "nan.wast:2: assert_return: expected (f32.const nan:canonical), got (f32.const nan:0x200000)\n\
         nan.wast:3: assert_trap: expected \"unreachable\", got (i32.const 1)\n"
    );
}

#[test]
fn text_that_is_no_script_is_one_failure_with_its_line() {
    let outcome = runner().run_text("bad.wast", "(module)\n(assert_retur)");
    assert_eq!((outcome.passed, outcome.failures.len()), (0, 1));
    assert_eq!(outcome.failures[0].line, 2);
}
