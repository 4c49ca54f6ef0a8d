//! Host functions: values both ways, errors, panics, and calls from inside them.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use instar::{
    Caller, Error, ErrorKind, Extern, ExternRef, Func, FuncType, InstancePre, Linker, Result, Store, TrapCode, Val,
    ValType,
};

use crate::kit::{self, fails, module, one_slot, paranoid, pre, traps};

#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    reason: String,
    code: u32,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused: {} ({})", self.reason, self.code)
    }
}

impl std::error::Error for Refusal {}

/// A guest that calls `h.f`, and one that calls it from further down.
const CALLER: &str = r#"(module (import "h" "f" (func $f (param i32) (result i32)))
  (memory (export "memory") 1) (global $count (mut i32) (i32.const 0))
  (func $deeper (param i32 i32) (result i32)
    (if (result i32) (local.get 1)
      (then (call $deeper (local.get 0) (i32.sub (local.get 1) (i32.const 1)))) (else (call $f (local.get 0)))))
  (func (export "call") (param i32) (result i32)
    (i64.store (i32.const 250) (i64.const -1)) (call $f (local.get 0)))
  (func (export "deep") (param i32) (result i32) (i32.add (i32.const 1) (call $deeper (local.get 0) (i32.const 50))))
  (func (export "fine") (result i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1))) (global.get $count)))"#;

fn refusing() -> InstancePre<()> {
    let engine = one_slot();
    let mut linker = Linker::<()>::new(&engine);
    linker
        .func_wrap("h", "f", |n: u32| -> Result<u32> {
            match n {
                0 => Err(Error::host(Refusal { reason: "no".into(), code: 17 })),
                1 => Err(Error::host("just words")),
                2 => Err(Error::new(ErrorKind::Limit, "my own limit")),
                3 => std::fs::read("/does/not/exist").map(|_| 0).map_err(Error::host),
                n => Ok(n),
            }
        })
        .unwrap();
    linker.instantiate_pre(&module(&engine, CALLER)).unwrap()
}

#[test]
fn the_error_of_a_host_function_comes_back_unchanged() {
    let pre = refusing();
    for name in ["call", "deep"] {
        let call = pre.export::<u32, u32>(name).unwrap();
        let error = fails(pre.call((), &call, 0), ErrorKind::Host);
        assert_eq!(error.to_string(), "refused: no (17)");
        assert_eq!(error.trap_code(), None);
        assert_eq!(error.downcast_ref::<Refusal>().unwrap().code, 17);
        assert!(error.downcast_ref::<std::io::Error>().is_none());
        assert!(std::error::Error::source(&error).unwrap().is::<Refusal>());
        let error = error.downcast::<std::io::Error>().expect_err("it is none");
        let refusal = error.downcast::<Refusal>().expect("it is one");
        assert_eq!(refusal, Refusal { reason: "no".into(), code: 17 });

        assert_eq!(fails(pre.call((), &call, 1), ErrorKind::Host).message(), "just words");
        assert_eq!(fails(pre.call((), &call, 2), ErrorKind::Limit).message(), "my own limit");
        let error = fails(pre.call((), &call, 3), ErrorKind::Host);
        assert_eq!(error.downcast_ref::<std::io::Error>().unwrap().kind(), std::io::ErrorKind::NotFound);
    }
}

#[test]
fn an_instance_goes_on_after_the_error_of_a_host_function() {
    let pre = refusing();
    let call = pre.export::<u32, u32>("call").unwrap();
    let deep = pre.export::<u32, u32>("deep").unwrap();
    let fine = pre.export::<(), u32>("fine").unwrap();
    let mut instance = pre.fresh(()).unwrap();
    for round in 1..=20 {
        fails(instance.call(&call, 0), ErrorKind::Host);
        fails(instance.call(&deep, 0), ErrorKind::Host);
        assert_eq!(instance.call(&deep, 9).unwrap(), 10);
        assert_eq!(instance.call(&fine, ()).unwrap(), round);
    }
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
struct Payload(u64);

fn panicking() -> InstancePre<Vec<u32>> {
    let engine = one_slot();
    let mut linker = Linker::<Vec<u32>>::new(&engine);
    linker
        .func_wrap("h", "f", |mut caller: Caller<'_, Vec<u32>>, n: u32| -> u32 {
            caller.data_mut().push(n);
            if n == 0 {
                // Unlike panic!, this prints nothing.
                resume_unwind(Box::new(Payload(99)));
            }
            n
        })
        .unwrap();
    linker.instantiate_pre(&module(&engine, CALLER)).unwrap()
}

fn payload(result: std::thread::Result<Result<u32>>) -> Payload {
    *result.expect_err("it panics").downcast::<Payload>().expect("the payload itself")
}

#[test]
fn a_panic_of_a_host_function_goes_on_in_the_caller_of_the_guest_with_its_payload() {
    let pre = panicking();
    let deep = pre.export::<u32, u32>("deep").unwrap();
    let fine = pre.export::<(), u32>("fine").unwrap();
    let mut instance = pre.fresh(Vec::new()).unwrap();
    for round in 1..=5 {
        assert_eq!(payload(catch_unwind(AssertUnwindSafe(|| instance.call(&deep, 0)))), Payload(99));
        assert_eq!(instance.call(&fine, ()).unwrap(), round, "the instance goes on");
        assert_eq!(instance.call(&deep, 5).unwrap(), 6);
    }
    assert_eq!(instance.data(), &[0, 5, 0, 5, 0, 5, 0, 5, 0, 5]);
}

#[test]
fn a_panic_unwinds_through_an_instance_and_resets_it() {
    let pre = panicking();
    let call = pre.export::<u32, u32>("call").unwrap();
    let fine = pre.export::<(), u32>("fine").unwrap();
    for _ in 0..5 {
        assert_eq!(payload(catch_unwind(AssertUnwindSafe(|| pre.call(Vec::new(), &call, 0)))), Payload(99));
        assert_eq!(pre.call(Vec::new(), &fine, ()).unwrap(), 1, "a new instance");
    }
    assert_eq!(pre.engine().live_instances(), 0);
}

#[test]
fn a_panic_leaves_a_store_usable() {
    let pre = panicking();
    let mut store = Store::new(pre.engine(), Vec::new());
    let instance = pre.instantiate(&mut store).unwrap();
    let call = instance.func(&mut store, "call").unwrap();
    let mut out = [Val::I32(0)];
    let panic = catch_unwind(AssertUnwindSafe(|| call.call(&mut store, &[Val::I32(0)], &mut out)));
    assert_eq!(*panic.expect_err("it panics").downcast::<Payload>().unwrap(), Payload(99));
    call.call(&mut store, &[Val::I32(8)], &mut out).unwrap();
    assert!(matches!(out, [Val::I32(8)]));
    assert_eq!(store.into_data(), [0, 8]);
}

#[test]
fn a_panic_in_start_gives_the_slot_back() {
    let engine = one_slot();
    let mut linker = Linker::<u32>::new(&engine);
    linker
        .func_wrap("h", "f", |caller: Caller<'_, u32>| {
            if *caller.data() == 0 {
                resume_unwind(Box::new(Payload(1)));
            }
        })
        .unwrap();
    let text = r#"(module (import "h" "f" (func $f)) (memory 1)
      (func $s (i64.store (i32.const 1000) (i64.const -1)) (call $f)) (start $s))"#;
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    for _ in 0..5 {
        assert!(catch_unwind(AssertUnwindSafe(|| pre.fresh(0).map(drop))).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| pre.shared(0).map(drop))).is_err());
        drop(pre.fresh(1).unwrap());
        assert_eq!(engine.live_instances(), 0);
    }
}

/// Data that panics when it is dropped, if it is told to.
struct Bomb(Arc<AtomicUsize>, bool);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        if self.1 {
            resume_unwind(Box::new(Payload(2)));
        }
    }
}

#[test]
fn host_data_that_panics_when_it_is_dropped_is_dropped_once_and_the_slot_goes_back() {
    let engine = one_slot();
    let mut linker = Linker::<Bomb>::new(&engine);
    linker.func_wrap("h", "f", |n: u32| n).unwrap();
    let pre = linker.instantiate_pre(&module(&engine, CALLER)).unwrap();
    let call = pre.export::<u32, u32>("call").unwrap();
    let drops = Arc::new(AtomicUsize::new(0));
    for round in 0..5 {
        let bomb = Bomb(drops.clone(), true);
        assert!(catch_unwind(AssertUnwindSafe(|| pre.call(bomb, &call, 5))).is_err());
        assert_eq!(drops.load(Ordering::Relaxed), 2 * round + 1);
        assert_eq!(pre.call(Bomb(drops.clone(), false), &call, 5).unwrap(), 5);
    }
    let mut store = Store::new(&engine, Bomb(drops.clone(), true));
    pre.instantiate(&mut store).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(store))).is_err());
    assert_eq!(drops.load(Ordering::Relaxed), 11);
    assert_eq!(engine.live_instances(), 0);
    pre.fresh(Bomb(drops.clone(), false)).unwrap();
}

#[test]
fn an_error_in_the_middle_of_nested_calls_goes_to_the_caller_next_to_it() {
    // host 0 → guest → host 1 → guest → host 2 …, where the last fails and one of those before catches.
    let engine = paranoid();
    let mut linker = Linker::<u32>::new(&engine);
    linker
        .func_wrap("h", "f", |mut caller: Caller<'_, u32>, depth: u32| -> Result<u32> {
            if depth == 0 {
                return Err(Error::host(Refusal { reason: "the end".into(), code: 1 }));
            }
            let call = caller.func("call").unwrap().typed::<u32, u32>(&caller)?;
            match call.call(&mut caller, depth - 1) {
                Err(error) if depth == *caller.data() => {
                    assert_eq!(error.downcast_ref::<Refusal>().unwrap().reason, "the end");
                    Ok(1000 + depth)
                }
                other => other,
            }
        })
        .unwrap();
    let pre = linker.instantiate_pre(&module(&engine, CALLER)).unwrap();
    let call = pre.export::<u32, u32>("call").unwrap();
    for catcher in 1..=10 {
        assert_eq!(pre.call(catcher, &call, 10).unwrap(), 1000 + catcher);
    }
    assert_eq!(fails(pre.call(11, &call, 10), ErrorKind::Host).downcast::<Refusal>().unwrap().code, 1);
}

#[test]
fn a_panic_passes_through_nested_calls_to_whoever_catches_it() {
    let engine = paranoid();
    let mut linker = Linker::<()>::new(&engine);
    linker
        .func_wrap("h", "f", |mut caller: Caller<'_, ()>, depth: u32| -> u32 {
            if depth == 0 {
                resume_unwind(Box::new(Payload(5)));
            }
            let call = caller.func("call").unwrap().typed::<u32, u32>(&caller).unwrap();
            if depth == 7 {
                let caught = catch_unwind(AssertUnwindSafe(|| call.call(&mut caller, depth - 1)));
                return payload(caught).0 as u32;
            }
            call.call(&mut caller, depth - 1).unwrap()
        })
        .unwrap();
    let pre = linker.instantiate_pre(&module(&engine, CALLER)).unwrap();
    let call = pre.export::<u32, u32>("call").unwrap();
    assert_eq!(pre.call((), &call, 9).unwrap(), 5);
    assert_eq!(payload(catch_unwind(AssertUnwindSafe(|| pre.call((), &call, 6)))), Payload(5));
}

#[test]
fn all_value_types_go_both_ways_bit_for_bit() {
    let engine = paranoid();
    let mut linker = Linker::<()>::new(&engine);
    linker
        .func_wrap("h", "typed", |a: i32, b: u64, c: f32, d: f64| (d, c, b, a, a as u32))
        .unwrap()
        .func_new(
            "h",
            "dynamic",
            FuncType::new(
                [ValType::I32, ValType::I64, ValType::F32, ValType::F64],
                [ValType::F64, ValType::F32, ValType::I64, ValType::I32, ValType::I32],
            ),
            |_, params, results| {
                results.copy_from_slice(&[params[3], params[2], params[1], params[0], params[0]]);
                Ok(())
            },
        )
        .unwrap()
        .func_raw(
            "h",
            "raw",
            FuncType::new(
                [ValType::I32, ValType::I64, ValType::F32, ValType::F64],
                [ValType::F64, ValType::F32, ValType::I64, ValType::I32, ValType::I32],
            ),
            |_, slots| {
                assert_eq!(slots.len(), 5);
                let [a, b, c, d] = slots[..4] else { unreachable!() };
                slots.copy_from_slice(&[d, c, b, a, a]);
                Ok(())
            },
        )
        .unwrap();
    let shape = "(param i32 i64 f32 f64) (result f64 f32 i64 i32 i32)";
    let text: String = ["typed", "dynamic", "raw"]
        .iter()
        .map(|n| format!(r#"(import "h" "{n}" (func ${n} {shape}))"#))
        .chain(["typed", "dynamic", "raw"].iter().map(|n| {
            format!(
                "(func (export \"{n}\") {shape} (local.get 0) (local.get 1) (local.get 2) (local.get 3) (call ${n}))"
            )
        }))
        .collect();
    let pre = linker.instantiate_pre(&module(&engine, format!("(module {text})"))).unwrap();
    let values: [(i32, u64, u32, u64); 4] = [
        (0, 0, 0, 0),
        (-1, u64::MAX, 0x7fa0_0001, 0x7ff4_0000_0000_0001),
        (i32::MIN, 1 << 63, 0xffc0_0000, 0xfff8_0000_0000_0000),
        (7, 0x0102_0304_0506_0708, 0x8000_0000, 1),
    ];
    for name in ["typed", "dynamic", "raw"] {
        for (a, b, c, d) in values {
            let mut slots = [u64::from(a as u32), b, u64::from(c), d, 0];
            pre.call_raw((), &pre.func(name).unwrap(), &mut slots).unwrap();
            assert_eq!(slots, [d, u64::from(c), b, u64::from(a as u32), u64::from(a as u32)], "{name}");
        }
    }
}

#[test]
fn sixteen_parameters_and_sixteen_results_are_supported() {
    let engine = paranoid();
    let mut linker = Linker::<()>::new(&engine);
    type Sixteen = (i32, i32, i32, i32, i32, i32, i32, i32, i64, i64, i64, i64, f64, f64, f64, f64);
    linker
        .func_new(
            "h",
            "f",
            FuncType::new(
                std::iter::repeat_n(ValType::I32, 8)
                    .chain(std::iter::repeat_n(ValType::I64, 4))
                    .chain(std::iter::repeat_n(ValType::F64, 4)),
                std::iter::repeat_n(ValType::I32, 8)
                    .chain(std::iter::repeat_n(ValType::I64, 4))
                    .chain(std::iter::repeat_n(ValType::F64, 4)),
            ),
            |_, params, results| {
                results.copy_from_slice(params);
                Ok(())
            },
        )
        .unwrap();
    let types = "i32 i32 i32 i32 i32 i32 i32 i32 i64 i64 i64 i64 f64 f64 f64 f64";
    let gets: String = (0..16).map(|i| format!("(local.get {i})")).collect();
    let text = format!(
        r#"(module (import "h" "f" (func $f (param {types}) (result {types})))
           (func (export "f") (param {types}) (result {types}) {gets} (call $f)))"#
    );
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    let f = pre.export::<Sixteen, Sixteen>("f").unwrap();
    let values = (1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12, 1.5, -2.5, 3.5, f64::INFINITY);
    let back = pre.call((), &f, values).unwrap();
    assert_eq!((back.0, back.1, back.7, back.8), (values.0, values.1, values.7, values.8));
    assert_eq!((back.11, back.12, back.14, back.15), (values.11, values.12, values.14, values.15));
}

#[test]
fn references_go_through_host_functions() {
    let engine = paranoid();
    let mut linker = Linker::<Vec<String>>::new(&engine);
    let ty = FuncType::new([ValType::EXTERNREF, ValType::FUNCREF], [ValType::FUNCREF, ValType::EXTERNREF]);
    linker
        .func_new("h", "swap", ty, |mut caller, params, results| {
            if let Val::ExternRef(Some(object)) = params[0] {
                let text = object.data(&caller)?.downcast_ref::<String>().expect("a string").clone();
                caller.data_mut().push(text);
            }
            if let Val::FuncRef(Some(f)) = params[1] {
                let mut out = [Val::I32(0)];
                f.call(&mut caller, &[], &mut out)?;
                caller.data_mut().push(format!("{out:?}"));
            }
            let new = ExternRef::new(&mut caller, 5u64);
            results[0] = params[1];
            results[1] = Val::ExternRef(Some(new));
            Ok(())
        })
        .unwrap();
    let text = r#"(module (import "h" "swap" (func $swap (param externref funcref) (result funcref externref)))
      (table $t (export "t") 1 funcref) (elem declare func $f) (func $f (export "f") (result i32) (i32.const 77))
      (func (export "go") (param externref) (result externref) (local externref)
        (i32.const 0) (call $swap (local.get 0) (ref.func $f)) (local.set 1) (table.set $t) (local.get 1))
      (func (export "is null") (param externref funcref) (result i32)
        (i32.add (ref.is_null (local.get 0)) (ref.is_null (local.get 1)))))"#;
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    let mut store = Store::new(&engine, Vec::new());
    let instance = pre.instantiate(&mut store).unwrap();
    let object = ExternRef::new(&mut store, "hello".to_owned());
    let go = instance.func(&mut store, "go").unwrap();
    let mut out = [Val::ExternRef(None)];
    go.call(&mut store, &[Val::ExternRef(Some(object))], &mut out).unwrap();
    let [Val::ExternRef(Some(answer))] = out else { panic!("an object comes back") };
    assert_eq!(answer.data(&store).unwrap().downcast_ref::<u64>(), Some(&5));
    assert_eq!(store.data()[..], ["hello".to_owned(), "[I32(77)]".to_owned()]);
    let f = instance.func(&mut store, "f").unwrap();
    let table = instance.table(&mut store, "t").unwrap();
    assert!(matches!(table.get(&store, 0).unwrap(), Some(Val::FuncRef(Some(g))) if g == f));

    let is_null = instance.func(&mut store, "is null").unwrap();
    let mut out = [Val::I32(9)];
    is_null.call(&mut store, &[Val::ExternRef(None), Val::FuncRef(None)], &mut out).unwrap();
    assert!(matches!(out, [Val::I32(2)]));
    is_null.call(&mut store, &[Val::ExternRef(Some(object)), Val::FuncRef(Some(f))], &mut out).unwrap();
    assert!(matches!(out, [Val::I32(0)]));
}

#[test]
fn a_host_function_that_answers_with_the_wrong_types_is_a_type_error() {
    let engine = paranoid();
    let mut linker = Linker::<()>::new(&engine);
    linker
        .func_new("h", "f", FuncType::new([ValType::I32], [ValType::I32]), |_, params, results| {
            results[0] = match params[0] {
                Val::I32(0) => Val::I64(1),
                Val::I32(1) => Val::ExternRef(None),
                other => other,
            };
            Ok(())
        })
        .unwrap();
    let pre = linker.instantiate_pre(&module(&engine, CALLER)).unwrap();
    let call = pre.export::<u32, u32>("call").unwrap();
    fails(pre.call((), &call, 0), ErrorKind::Type);
    fails(pre.call((), &call, 1), ErrorKind::Type);
    assert_eq!(pre.call((), &call, 2).unwrap(), 2);
}

#[test]
fn a_reference_of_another_store_as_an_answer_is_a_stale_handle() {
    let engine = paranoid();
    let foreign: Arc<Mutex<Option<Func>>> = Arc::default();
    let mut other = Store::new(&engine, ());
    *foreign.lock().unwrap() = Some(Func::wrap(&mut other, || 1i32).unwrap());
    let mut linker = Linker::<()>::new(&engine);
    linker
        .func_new("h", "f", FuncType::new([], [ValType::FUNCREF]), move |_, _, results| {
            results[0] = Val::FuncRef(*foreign.lock().unwrap());
            Ok(())
        })
        .unwrap();
    let text = r#"(module (import "h" "f" (func $f (result funcref))) (func (export "g") (drop (call $f))))"#;
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    fails(pre.call((), &pre.export::<(), ()>("g").unwrap(), ()), ErrorKind::StaleHandle);
}

#[test]
fn the_caller_sees_memory_exports_and_data_of_the_calling_instance() {
    let engine = paranoid();
    let mut linker = Linker::<String>::new(&engine);
    linker
        .func_wrap("h", "f", |mut caller: Caller<'_, String>, n: u32| -> Result<u32> {
            let memory = caller.default_memory().expect("there is one memory");
            let mut bytes = [0; 3];
            memory.read(&caller, u64::from(n), &mut bytes)?;
            caller.data_mut().push_str(std::str::from_utf8(&bytes).expect("text"));
            memory.write(&mut caller, u64::from(n), b"HOST")?;
            assert!(caller.memory("call").is_none(), "that is a function");
            assert!(caller.func("nothing").is_none());
            assert!(matches!(caller.export("fine"), Some(Extern::Func(_))));
            fails(memory.read(&caller, 65_534, &mut bytes), ErrorKind::OutOfBounds);
            assert_eq!(memory.grow(&mut caller, 1)?, 1);
            memory.read(&caller, 65_534, &mut bytes)?;
            Ok(memory.size(&caller)? as u32)
        })
        .unwrap();
    let text = CALLER
        .replace("(memory (export \"memory\") 1)", "(memory (export \"memory\") 1 2) (data (i32.const 9) \"abc\")");
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    let call = pre.export::<u32, u32>("call").unwrap();
    let mut instance = pre.fresh("data:".to_owned()).unwrap();
    assert_eq!(instance.call(&call, 9).unwrap(), 2);
    assert_eq!(instance.data(), "data:abc");
    let mut bytes = [0; 4];
    instance.memory_read(&pre.memory("memory").unwrap(), 9, &mut bytes).unwrap();
    assert_eq!(&bytes, b"HOST");
}

#[test]
fn a_memory_that_a_host_function_grows_is_seen_by_the_guest_at_once() {
    let engine = one_slot();
    let mut linker = Linker::<()>::new(&engine);
    linker
        .func_wrap("h", "grow", |mut caller: Caller<'_, ()>| {
            let memory = caller.default_memory().unwrap();
            memory.grow(&mut caller, 1).unwrap() as u32
        })
        .unwrap();
    let text = r#"(module (import "h" "grow" (func $grow (result i32))) (memory 1 3) (table $t 1 funcref)
      (func (export "f") (result i32)
        (i32.store (i32.const 65532) (i32.const 1))
        (drop (call $grow))
        (i32.store (i32.const 131068) (i32.const 2))
        (i64.store offset=0x2000000 (i32.const 0xfe020000) (i64.const 3))
        (memory.size)))"#;
    // The last store lies beyond the guard's reach, where lengths are compared, and wraps nowhere.
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    traps(pre.call((), &pre.export::<(), u32>("f").unwrap(), ()), TrapCode::MemoryOutOfBounds);
    let text = text.replace("(i64.store offset=0x2000000 (i32.const 0xfe020000) (i64.const 3))", "");
    drop(pre);
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    for _ in 0..3 {
        assert_eq!(pre.call((), &pre.export::<(), u32>("f").unwrap(), ()).unwrap(), 2);
    }
}

#[test]
fn host_functions_made_in_a_store_work_and_go_with_it() {
    let engine = paranoid();
    let alive = Arc::new(());
    for _ in 0..3 {
        let mut store = Store::new(&engine, 10u32);
        let held = alive.clone();
        let add = Func::wrap(&mut store, move |caller: Caller<'_, u32>, n: u32| {
            let _ = &held;
            n + *caller.data()
        })
        .unwrap();
        let dynamic = Func::new(&mut store, FuncType::new([ValType::I32], []), |_, params, _| match params[0] {
            Val::I32(0) => Err(Error::host(Refusal { reason: "zero".into(), code: 0 })),
            _ => Ok(()),
        })
        .unwrap();
        assert_eq!(add.typed::<u32, u32>(&store).unwrap().call(&mut store, 5).unwrap(), 15);
        assert_eq!(add.ty(&store).unwrap().to_string(), "(i32) -> (i32)");
        fails(dynamic.call(&mut store, &[Val::I32(0)], &mut []), ErrorKind::Host);
        dynamic.call(&mut store, &[Val::I32(1)], &mut []).unwrap();
        // In a table, called by a guest of another instance.
        let holder = pre(
            &engine,
            r#"(module (table (export "t") 1 funcref)
              (func (export "call") (param i32) (result i32)
                (call_indirect (param i32) (result i32) (local.get 0) (i32.const 0))))"#,
        );
        let mut linker = Linker::new(&engine);
        linker.define(&mut store, "h", "add", add).unwrap();
        let instance = linker.instantiate(&mut store, holder.module()).unwrap();
        instance.table(&mut store, "t").unwrap().set(&mut store, 0, add.into()).unwrap();
        let call = instance.typed_func::<u32, u32>(&mut store, "call").unwrap();
        assert_eq!(call.call(&mut store, 1).unwrap(), 11);
        assert_eq!(Arc::strong_count(&alive), 2);
        drop(linker);
        drop(store);
        assert_eq!(Arc::strong_count(&alive), 1, "the closure goes with its store");
    }
}

#[test]
fn closures_of_a_linker_live_until_the_last_instance_that_may_call_them() {
    let engine = paranoid();
    let alive = Arc::new(());
    let held = alive.clone();
    let mut linker = Linker::<()>::new(&engine);
    linker
        .func_wrap("h", "f", move |n: u32| {
            let _ = &held;
            n + 1
        })
        .unwrap();
    let pre = linker.instantiate_pre(&module(&engine, CALLER)).unwrap();
    let call = pre.export::<u32, u32>("call").unwrap();
    let mut instance = pre.fresh(()).unwrap();
    // An idle slot too.
    pre.call((), &call, 1).unwrap();
    drop(linker);
    drop(pre);
    assert_eq!(Arc::strong_count(&alive), 2);
    assert_eq!(instance.call(&call, 1).unwrap(), 2);
    drop(instance);
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn objects_behind_references_go_with_their_store() {
    let engine = paranoid();
    let object: Arc<dyn Any + Send + Sync> = Arc::new(());
    let mut store = Store::new(&engine, ());
    let references: Vec<_> = (0..100).map(|_| ExternRef::new(&mut store, object.clone())).collect();
    assert_eq!(Arc::strong_count(&object), 101);
    assert!(references[50].data(&store).unwrap().is::<Arc<dyn Any + Send + Sync>>());
    drop(store);
    assert_eq!(Arc::strong_count(&object), 1);
}

#[test]
fn host_data_of_any_size_and_alignment_is_kept_and_dropped() {
    #[repr(align(64))]
    struct Aligned(#[allow(dead_code)] Arc<()>);
    fn check<T: 'static>(make: impl Fn(Arc<()>) -> T, is_aligned: impl Fn(&T) -> bool) {
        let engine = one_slot();
        let pre: InstancePre<T> =
            Linker::new(&engine).instantiate_pre(&module(&engine, "(module (func (export \"f\")))")).unwrap();
        let f = pre.export::<(), ()>("f").unwrap();
        let alive = Arc::new(());
        for _ in 0..3 {
            pre.call(make(alive.clone()), &f, ()).unwrap();
            let mut owned = pre.fresh(make(alive.clone())).unwrap();
            assert!(is_aligned(owned.data()));
            *owned.data_mut() = make(alive.clone());
            assert_eq!(Arc::strong_count(&alive), 2);
            drop(owned);
            let store = Store::new(&engine, make(alive.clone()));
            assert!(is_aligned(store.data()));
            drop(store.into_data());
            assert_eq!(Arc::strong_count(&alive), 1);
        }
    }
    check(|a| a, |_| true);
    check(|a| (a, [7u64; 3]), |d| d.1 == [7; 3]);
    check(|a| (a, [7u64; 100]), |d| d.1 == [7; 100]);
    check(Aligned, |d| (std::ptr::from_ref(d) as usize).is_multiple_of(64));
    check(|a| Box::new(a) as Box<dyn Any>, |_| true);
}

#[test]
fn instances_of_a_pre_see_only_their_own_data() {
    let engine = kit::paranoid();
    let mut linker = Linker::<u32>::new(&engine);
    linker
        .func_wrap("h", "f", |mut caller: Caller<'_, u32>, n: u32| {
            *caller.data_mut() += n;
            *caller.data()
        })
        .unwrap();
    let pre = linker.instantiate_pre(&module(&engine, CALLER)).unwrap();
    let call = pre.export::<u32, u32>("call").unwrap();
    let mut instances: Vec<_> = (0..10).map(|i| pre.fresh(i * 100).unwrap()).collect();
    for round in 1..5 {
        for (i, instance) in instances.iter_mut().enumerate() {
            assert_eq!(instance.call(&call, 1).unwrap(), i as u32 * 100 + round);
        }
    }
}

#[test]
fn slots_that_only_results_use_hold_nothing_of_the_stack() {
    let engine = paranoid();
    let mut linker = Linker::<()>::new(&engine);
    let results = FuncType::new([ValType::I64], [ValType::I64; 6]);
    linker
        .func_raw("h", "look", results, |_, slots| {
            assert_eq!(slots.len(), 6);
            assert_eq!(slots[1..], [0; 5], "what was on the stack before");
            Ok(())
        })
        .unwrap()
        // Leaves its parameters on the stack, in the same places.
        .func_raw("h", "fill", FuncType::new([ValType::I64; 6], []), |_, slots| {
            assert_eq!(slots, [u64::MAX; 6]);
            Ok(())
        })
        .unwrap();
    let text = r#"(module
      (import "h" "look" (func $look (param i64) (result i64 i64 i64 i64 i64 i64)))
      (import "h" "fill" (func $fill (param i64 i64 i64 i64 i64 i64)))
      (func (export "f")
        (call $fill (i64.const -1) (i64.const -1) (i64.const -1) (i64.const -1) (i64.const -1) (i64.const -1))
        (call $look (i64.const 1)) drop drop drop drop drop drop))"#;
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    pre.call((), &pre.export::<(), ()>("f").unwrap(), ()).unwrap();
}
