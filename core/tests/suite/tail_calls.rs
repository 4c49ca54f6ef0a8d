//! Tail calls: however many there are, of whatever kind, the stack stays as it is; and what leaves a tail-called function
//! by another way than returning finds its way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use instar::{Caller, Engine, Error, ErrorKind, Func, Linker, Result, Store, TrapCode, Val};

use crate::kit::{self, fails, module, pre, traps};

const MANY: u64 = 10_000_000;

/// An engine whose guests have little stack: ten million frames of any size do not fit.
fn small_stack() -> Engine {
    kit::engine(|config| {
        config.max_wasm_stack(32 << 10);
    })
}

/// Parameters `from..from + count` of a list that all functions below share: i64s with a float and an i32 in between.
fn params(count: usize) -> String {
    (0..count).map(|i| format!("(param {})", kind(i))).collect()
}

fn kind(i: usize) -> &'static str {
    ["i64", "i32", "f64", "i64", "f32"][i % 5]
}

/// A function that counts its first parameter down and hands its others, padded with their own indices or cut, to the
/// function that `callee` calls; at zero it gives the sum of its parameters.
fn step(name: &str, count: usize, next: usize, callee: &str) -> String {
    let args: String = (1..next)
        .map(|i| if i < count { format!("(local.get {i})") } else { format!("({}.const {i})", kind(i)) })
        .collect();
    let sum: String = (1..count)
        .map(|i| {
            let wide = match kind(i) {
                "i64" => format!("(local.get {i})"),
                "i32" => format!("(i64.extend_i32_u (local.get {i}))"),
                ty => format!("(i64.trunc_{ty}_u (local.get {i}))"),
            };
            format!("(i64.add {wide})")
        })
        .collect();
    format!(
        "(func ${name} (export \"{name}\") {} (result i64)
           (if (i64.eqz (local.get 0)) (then (return (i64.const 0) {sum})))
           (i64.sub (local.get 0) (i64.const 1)) {args} {callee})",
        params(count)
    )
}

#[test]
fn ten_million_mutual_tail_calls_with_any_number_of_arguments_need_no_stack() {
    let sizes = [1, 24, 3, 40, 9, 17];
    let mut text = String::from("(module ");
    for (i, &size) in sizes.iter().enumerate() {
        text += &format!("(type $t{i} (func {} (result i64)))", params(size));
    }
    text += &format!("(table 6 funcref) (elem (i32.const 0) func {})", "$f0 $f1 $f2 $f3 $f4 $f5");
    for (kind, prefix) in ["f", "g", "h"].iter().enumerate() {
        for (i, &size) in sizes.iter().enumerate() {
            let next = (i + 1) % sizes.len();
            let callee = match kind {
                0 => format!("(return_call $f{next})"),
                1 => format!("(i32.const {next}) (return_call_indirect (type $t{next}))"),
                _ => format!("(ref.func $f{next}) (return_call_ref $t{next})"),
            };
            text += &step(&format!("{prefix}{i}"), size, sizes[next], &callee);
        }
    }
    // The other two kinds go round too, through a table and references of their own.
    let text = text
        .replace("func $f0 $f1 $f2 $f3 $f4 $f5", "func $g0 $g1 $g2 $g3 $g4 $g5")
        .replace("(ref.func $f", "(ref.func $h")
        + "(elem declare func $h0 $h1 $h2 $h3 $h4 $h5))";
    let pre = pre(&small_stack(), text);
    for prefix in ["f", "g", "h"] {
        let start = pre.export::<u64, u64>(&format!("{prefix}0")).unwrap();
        let mut instance = pre.fresh(()).unwrap();
        // Every function cuts its list or pads it with indices, so the sum is that of the indices.
        for (i, &size) in sizes.iter().enumerate() {
            let sum: u64 = (1..size as u64).sum();
            assert_eq!(instance.call(&start, i as u64).unwrap(), sum, "{prefix}{i}");
            let rounds = MANY / sizes.len() as u64 * sizes.len() as u64;
            if i < 2 {
                assert_eq!(instance.call(&start, rounds + i as u64).unwrap(), sum, "{prefix}{i}");
            }
        }
    }
}

/// Two modules whose functions call each other in turn.
#[test]
fn tail_calls_between_instances_need_no_stack_and_each_works_on_its_own() {
    let engine = small_stack();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    let a = module(
        &engine,
        r#"(module (type $few (func (param i64) (result i64)))
          (type $many (func (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (result i64)))
          (table (export "table") 1 funcref) (global $g (mut i64) (i64.const 0))
          (func (export "count") (result i64) (global.get $g))
          (func (export "go") (type $few)
            (global.set $g (i64.add (global.get $g) (i64.const 1)))
            (if (i64.eqz (local.get 0)) (then (return (i64.const 77))))
            (return_call_indirect (type $many) (i64.sub (local.get 0) (i64.const 1))
              (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5) (i64.const 6) (i64.const 7) (i64.const 8)
              (i64.const 9) (i32.const 0))))"#,
    );
    let b = module(
        &engine,
        r#"(module (import "a" "table" (table 1 funcref)) (import "a" "go" (func $go (param i64) (result i64)))
          (global $g (mut i64) (i64.const 0)) (elem (i32.const 0) func $back)
          (func (export "count") (result i64) (global.get $g))
          (func $back (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (result i64)
            (global.set $g (i64.add (global.get $g) (local.get 9)))
            (return_call $go (local.get 0))))"#,
    );
    let first = linker.instantiate(&mut store, &a).unwrap();
    linker.instance(&mut store, "a", first).unwrap();
    let second = linker.instantiate(&mut store, &b).unwrap();
    let go = first.typed_func::<u64, u64>(&mut store, "go").unwrap();
    assert_eq!(go.call(&mut store, MANY).unwrap(), 77);
    let count = |store: &mut Store<()>, instance: instar::Instance| {
        instance.typed_func::<(), u64>(&mut *store, "count").unwrap().call(store, ()).unwrap()
    };
    assert_eq!(count(&mut store, first), MANY + 1);
    assert_eq!(count(&mut store, second), 9 * MANY);
}

#[test]
fn a_caller_finds_its_own_values_after_calls_that_end_in_tail_calls() {
    // The callee's callees take more, and fewer, stack arguments than the callee itself.
    let many = params(30);
    let args = |n: usize| (0..n).map(|i| format!("({}.const {i})", kind(i))).collect::<String>();
    let text = format!(
        "(module
           (func $thirty {many} (result i64) (i64.add (local.get 0) (i64.extend_i32_u (local.get 26))))
           (func $two (param i64 i64) (result i64) (i64.sub (local.get 0) (local.get 1)))
           (func $grow (param i64) (result i64) (return_call $thirty {}))
           (func $shrink {many} (result i64) (return_call $two (local.get 28) (local.get 3)))
           (func $both (param i64) (result i64) (return_call $shrink {}))
           (func (export \"f\") (param i64 i64 f64 i64) (result i64) (local i64 i64)
             (local.set 4 (call $grow (local.get 1)))
             (local.set 5 (call $shrink {}))
             (i64.add (i64.mul (local.get 4) (local.get 0))
               (i64.add (i64.mul (local.get 5) (local.get 1))
                 (i64.add (call $both (local.get 3)) (i64.add (i64.trunc_f64_s (local.get 2)) (local.get 3)))))))",
        args(30),
        args(30),
        args(30)
    );
    let pre = pre(&small_stack(), text);
    let f = pre.export::<(i64, i64, f64, i64), i64>("f").unwrap();
    // 26 from $grow, 28 - 3 from the others.
    assert_eq!(pre.call((), &f, (1000, 100, 7.0, 5)).unwrap(), 26_000 + 2_500 + 25 + 7 + 5);
}

#[test]
fn results_in_memory_go_to_whoever_waits_for_them() {
    let types = "i64 i32 f64 f32 funcref i64 i32 f64 f32 externref i64 i64";
    let values = "(i64.const 1) (i32.const 2) (f64.const 3) (f32.const 4) (ref.null func) (i64.const 6) (i32.const 7)
      (f64.const 8) (f32.const 9) (ref.null extern) (i64.const 11)";
    let text = format!(
        r#"(module (type $t (func (param i64) (result {types}))) (import "h" "twelve" (func $host (type $t)))
          (table funcref (elem $f)) (elem declare func $f)
          (func $last (param i64) (result {types}) {values} (local.get 0))
          (func $f (export "f") (type $t)
            (if (i64.eqz (local.get 0)) (then (return_call $last (i64.const 12))))
            (return_call $g (i64.sub (local.get 0) (i64.const 1)) (i32.const 0)))
          (func $g (param i64 i32) (result {types})
            (return_call_indirect (type $t) (local.get 0) (i32.const 0)))
          (func (export "r") (type $t) (return_call_ref $t (local.get 0) (ref.func $f)))
          (func (export "h") (type $t) (return_call $host (local.get 0)))
          (func (export "middle") (param i64) (result i64 i64)
            (call $f (local.get 0))
            (local.set 0) (drop) (drop) (drop) (drop) (drop) (drop) (drop) (drop) (drop) (drop) (local.get 0)))"#
    );
    let engine = small_stack();
    let text_types = module(&engine, &text);
    let mut linker = Linker::<()>::new(&engine);
    let ty = match text_types.imports().next().unwrap().ty {
        instar::ExternType::Func(ty) => ty,
        other => panic!("{other:?}"),
    };
    linker
        .func_new("h", "twelve", ty, |_, params, results| {
            results[0] = Val::I64(-1);
            results[11] = params[0];
            Ok(())
        })
        .unwrap();
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &text_types).unwrap();
    for (name, n) in [("f", 0), ("f", 100_001), ("r", 100_000)] {
        let mut out = vec![Val::I32(0); 12];
        instance.func(&mut store, name).unwrap().call(&mut store, &[Val::I64(n)], &mut out).unwrap();
        assert!(
            matches!(
                out[..],
                [
                    Val::I64(1),
                    Val::I32(2),
                    Val::F64(three),
                    Val::F32(_),
                    Val::FuncRef(None),
                    Val::I64(6),
                    Val::I32(7),
                    Val::F64(_),
                    Val::F32(nine),
                    Val::ExternRef(None),
                    Val::I64(11),
                    Val::I64(12)
                ] if f64::from_bits(three) == 3.0 && f32::from_bits(nine) == 9.0
            ),
            "{name} {n}: {out:?}"
        );
    }
    let mut out = vec![Val::I32(0); 12];
    instance.func(&mut store, "h").unwrap().call(&mut store, &[Val::I64(5)], &mut out).unwrap();
    assert!(matches!((out[0], out[11]), (Val::I64(-1), Val::I64(5))));
    let mut out = [Val::I32(0), Val::I32(0)];
    instance.func(&mut store, "middle").unwrap().call(&mut store, &[Val::I64(9)], &mut out).unwrap();
    assert!(matches!(out, [Val::I64(1), Val::I64(12)]), "{out:?}");
}

/// Ends ten thousand tail calls in the way that `n` says.
const ENDS: &str = r#"(module
  (type $end (func (param i32 i64 i64 i64 i64 i64 i64 i64 i64) (result i32)))
  (import "h" "end" (func $host (param i32 i64) (result i32)))
  (import "h" "back" (func $back (result i32)))
  (memory (export "memory") 1) (table 3 funcref) (elem (i32.const 0) func $trap)
  (func $trap (type $end) (i32.store (i32.const 600) (i32.const 1)) (unreachable))
  (func $down (param i32) (result i32) (i32.add (call $down (local.get 0)) (i32.const 1)))
  (func $null (param i32) (result i32)
    (local.get 0) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5) (i64.const 6) (i64.const 7)
    (i64.const 8) (ref.null $end) (return_call_ref $end))
  (func $indirect (param i32 i32) (result i32)
    (local.get 0) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5) (i64.const 6) (i64.const 7)
    (i64.const 8) (local.get 1) (return_call_indirect (type $end)))
  (func $end (param $n i32) (result i32)
    (if (i32.eq (local.get $n) (i32.const 0)) (then (return_call $indirect (local.get $n) (i32.const 0))))
    (if (i32.eq (local.get $n) (i32.const 1)) (then (return_call $indirect (local.get $n) (i32.const 1))))
    (if (i32.eq (local.get $n) (i32.const 2)) (then (return_call $indirect (local.get $n) (i32.const 3))))
    (if (i32.eq (local.get $n) (i32.const 3)) (then (return_call $null (local.get $n))))
    (if (i32.eq (local.get $n) (i32.const 4)) (then (return_call $down (local.get $n))))
    (if (i32.eq (local.get $n) (i32.const 5)) (then (return_call $back)))
    (return_call $host (local.get $n) (i64.const 9)))
  (func $go (param $n i32) (param $times i32) (result i32)
    (if (i32.eqz (local.get $times)) (then (return_call $end (local.get $n))))
    (return_call $go (local.get $n) (i32.sub (local.get $times) (i32.const 1))))
  (func (export "fine") (result i32) (i32.const 42))
  (func (export "go") (param i32) (result i32) (return_call $go (local.get 0) (i32.const 10000)))
  (func (export "deep") (param i32) (result i32) (i32.add (i32.const 100) (call $go (local.get 0) (i32.const 10000)))))"#;

#[derive(Debug)]
struct Refusal;

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refusal {}

#[test]
fn traps_errors_and_panics_in_tail_called_functions_reach_the_caller() {
    let engine = small_stack();
    let mut linker = Linker::<()>::new(&engine);
    let calls = Arc::new(AtomicU64::new(0));
    let counter = calls.clone();
    linker
        .func_wrap("h", "end", move |n: i32, nine: i64| -> Result<i32> {
            counter.fetch_add(nine as u64, Ordering::Relaxed);
            match n {
                6 => Err(Error::host(Refusal)),
                7 => Err(Error::trap(TrapCode::IntegerOverflow)),
                8 => panic!("on purpose"),
                n => Ok(-n),
            }
        })
        .unwrap()
        .func_wrap("h", "back", |mut caller: Caller<'_, ()>| -> Result<i32> {
            // A trap below ends at this call, which is itself the end of tail calls.
            let go = caller.func("go").expect("an export");
            let mut out = [Val::I32(0)];
            traps(go.call(&mut caller, &[Val::I32(0)], &mut out), TrapCode::Unreachable);
            let fine = caller.func("fine").expect("an export");
            fine.call(&mut caller, &[], &mut out)?;
            match out {
                [Val::I32(n)] => Ok(n),
                _ => unreachable!(),
            }
        })
        .unwrap();
    let pre = linker.instantiate_pre(&module(&engine, ENDS)).unwrap();
    let [go, deep] = ["go", "deep"].map(|name| pre.export::<i32, i32>(name).unwrap());
    let fine = pre.export::<(), i32>("fine").unwrap();
    for (func, added) in [(&go, 0), (&deep, 100)] {
        for _ in 0..2 {
            let mut instance = pre.fresh(()).unwrap();
            traps(instance.call(func, 0), TrapCode::Unreachable);
            traps(instance.call(func, 1), TrapCode::UninitializedElement);
            traps(instance.call(func, 2), TrapCode::UndefinedElement);
            traps(instance.call(func, 3), TrapCode::NullFunctionReference);
            traps(instance.call(func, 4), TrapCode::StackOverflow);
            assert_eq!(instance.call(func, 5).unwrap(), 42 + added);
            let error = fails(instance.call(func, 6), ErrorKind::Host);
            assert!(error.downcast_ref::<Refusal>().is_some());
            traps(instance.call(func, 7), TrapCode::IntegerOverflow);
            assert_eq!(instance.call(func, 9).unwrap(), added - 9);
            assert_eq!(instance.call(&fine, ()).unwrap(), 42);
        }
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pre.call((), func, 8))).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
    }
    assert_eq!(calls.load(Ordering::Relaxed), 9 * 2 * (2 * 3 + 1));
}

#[test]
fn host_functions_can_be_tail_called_through_tables_and_references() {
    let engine = small_stack();
    let mut store = Store::new(&engine, ());
    let text = r#"(module (type $t (func (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
      (import "h" "sum" (func $sum (type $t))) (table (export "table") 2 funcref) (elem (i32.const 0) func $sum)
      (func (export "indirect") (param i32 i32) (result i32)
        (return_call_indirect (type $t) (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5) (i32.const 6)
          (i32.const 7) (i32.const 8) (i32.const 9) (local.get 0) (local.get 1)))
      (func (export "ref") (param i32) (result i32)
        (return_call_ref $t (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5) (i32.const 6)
          (i32.const 7) (i32.const 8) (i32.const 9) (local.get 0) (ref.func $sum))))"#;
    let mut linker = Linker::<()>::new(&engine);
    type I = i32;
    let sum = |a: I, b: I, c: I, d: I, e: I, f: I, g: I, h: I, i: I, j: I| a + b + c + d + e + f + g + h + i + j;
    linker.func_wrap("h", "sum", sum).unwrap();
    let instance = linker.instantiate(&mut store, &module(&engine, text)).unwrap();
    let negative = Func::wrap(&mut store, move |a: I, b: I, c: I, d: I, e: I, f: I, g: I, h: I, i: I, j: I| {
        -sum(a, b, c, d, e, f, g, h, i, j)
    })
    .unwrap();
    instance.table(&mut store, "table").unwrap().set(&mut store, 1, Val::FuncRef(Some(negative))).unwrap();
    let indirect = instance.typed_func::<(i32, i32), i32>(&mut store, "indirect").unwrap();
    let by_ref = instance.typed_func::<i32, i32>(&mut store, "ref").unwrap();
    for _ in 0..1000 {
        assert_eq!(indirect.call(&mut store, (10, 0)).unwrap(), 55);
        assert_eq!(indirect.call(&mut store, (11, 1)).unwrap(), -56);
        assert_eq!(by_ref.call(&mut store, 12).unwrap(), 57);
    }
    traps(indirect.call(&mut store, (10, 2)), TrapCode::UndefinedElement);
}

#[test]
fn without_the_feature_tail_calls_are_refused() {
    let engine = kit::engine(|config| {
        config.wasm_tail_call(false);
    });
    for text in [
        "(module (func $f (return_call $f)))",
        "(module (table 1 funcref) (func (return_call_indirect (i32.const 0))))",
    ] {
        fails(instar::Module::new(&engine, text), ErrorKind::Unsupported);
    }
}
