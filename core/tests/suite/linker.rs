//! What a linker offers beyond definitions one by one.

use instar::{ErrorKind, ExternType, FuncType, Linker, Module, Store, Val, ValType};

use crate::kit::{fails, module, paranoid};

fn run(linker: &Linker<()>, store: &mut Store<()>, text: &str) -> instar::Result<i32> {
    let user = Module::new(linker.engine(), text)?;
    let instance = linker.instantiate(&mut *store, &user)?;
    let func = instance.typed_func::<(), i32>(&mut *store, "run")?;
    func.call(store, ())
}

#[test]
fn aliases_name_the_same_definition() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    linker.func_wrap("a", "f", || 7).unwrap().func_wrap("a", "g", || 8).unwrap();
    linker.alias("a", "f", "b", "h").unwrap().alias_module("a", "c").unwrap();
    for (module, name, value) in [("b", "h", 7), ("c", "f", 7), ("c", "g", 8)] {
        let text = format!(r#"(module (import "{module}" "{name}" (func $f (result i32))) (export "run" (func $f)))"#);
        assert_eq!(run(&linker, &mut store, &text).unwrap(), value);
    }
    let error = fails(linker.alias("a", "none", "x", "y").map(|_| ()), ErrorKind::Link);
    assert!(error.message().contains("`a.none` is not defined"), "{error}");
    fails(linker.alias("a", "g", "b", "h").map(|_| ()), ErrorKind::Link);
    fails(linker.alias_module("none", "x").map(|_| ()), ErrorKind::Link);
    linker.allow_shadowing(true).alias("a", "g", "b", "h").unwrap();
    let text = r#"(module (import "b" "h" (func $f (result i32))) (export "run" (func $f)))"#;
    assert_eq!(run(&linker, &mut store, text).unwrap(), 8);
}

const COUNTER: &str = r#"(global $n (mut i32) (i32.const 0))
  (func (export "next") (result i32)
    (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n))"#;

const USER: &str = r#"(module (import "counter" "next" (func $next (result i32)))
  (func (export "run") (result i32) (drop (call $next)) (drop (call $next)) (call $next)))"#;

#[test]
fn a_library_is_initialised_once_and_a_command_is_new_for_each_call() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    let library = format!(r#"(module {COUNTER} (func (export "_initialize") (global.set $n (i32.const 100))))"#);
    linker.module(&mut store, "counter", &module(&engine, library)).unwrap();
    assert_eq!(run(&linker, &mut store, USER).unwrap(), 103);
    assert_eq!(run(&linker, &mut store, USER).unwrap(), 106);

    let mut linker = Linker::new(&engine);
    let command = format!(r#"(module {COUNTER} (func (export "_start")))"#);
    linker.module(&mut store, "counter", &module(&engine, command)).unwrap();
    assert_eq!(run(&linker, &mut store, USER).unwrap(), 1);
}

#[test]
fn unknown_functions_can_be_traps_that_name_themselves() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let user = module(
        &engine,
        r#"(module (import "env" "known" (func $known (result i32)))
          (import "env" "missing" (func $missing (param externref f64) (result i32 funcref)))
          (import "env" "missing" (func $again (param externref f64) (result i32 funcref)))
          (func (export "good") (result i32) (call $known))
          (func (export "bad") (call $missing (ref.null extern) (f64.const 1)) drop drop))"#,
    );
    let mut linker = Linker::new(&engine);
    linker.func_wrap("env", "known", || 5).unwrap();
    linker.define_unknown_imports_as_traps(&user).unwrap();
    let instance = linker.instantiate(&mut store, &user).unwrap();
    assert_eq!(instance.typed_func::<(), i32>(&mut store, "good").unwrap().call(&mut store, ()).unwrap(), 5);
    let bad = instance.typed_func::<(), ()>(&mut store, "bad").unwrap();
    let error = fails(bad.call(&mut store, ()), ErrorKind::Link);
    assert!(error.message().contains("`env.missing`"), "{error}");
    let needs_memory = module(&engine, r#"(module (import "env" "m" (memory 1)))"#);
    let error = fails(linker.define_unknown_imports_as_traps(&needs_memory), ErrorKind::Link);
    assert!(error.message().contains("`env.m` is a memory"), "{error}");
}

#[test]
fn unknown_imports_of_every_kind_can_be_defaults() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let user = module(
        &engine,
        r#"(module (import "env" "f" (func $f (param i32) (result i32 f64 externref)))
          (import "env" "m" (memory 2 5)) (import "env" "t" (table 3 externref))
          (import "env" "g" (global $g (mut i64))) (import "env" "c" (global $c f32))
          (func (export "run") (result i32)
            (call $f (i32.const 9)) (ref.is_null) (i32.const 100) (i32.mul) (global.set $g (i64.const 1))
            (drop (i32.const 0)) (i32.add (memory.size)) (i32.add (table.size)) (local.set 0)
            drop (i32.add (local.get 0)))
        )"#
        .replace("(func (export \"run\") (result i32)", "(func (export \"run\") (result i32) (local i32)"),
    );
    let mut linker = Linker::new(&engine);
    linker.define_unknown_imports_as_default_values(&mut store, &user).unwrap();
    let instance = linker.instantiate(&mut store, &user).unwrap();
    let run = instance.typed_func::<(), i32>(&mut store, "run").unwrap();
    assert_eq!(run.call(&mut store, ()).unwrap(), 105);
}

#[test]
fn exports_found_in_the_module_are_those_of_its_instances() {
    let engine = paranoid();
    let first = module(&engine, r#"(module (func (export "f") (result i32) (i32.const 1)) (memory (export "m") 1))"#);
    let second = module(&engine, r#"(module (memory (export "m") 1) (func (export "f") (result i32) (i32.const 2)))"#);
    let f = first.export_index("f").unwrap();
    assert!(first.export_index("g").is_none());
    let linker = Linker::new(&engine);
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &first).unwrap();
    let item = instance.module_export(&mut store, &f).unwrap();
    let instar::Extern::Func(func) = item else { panic!("{item:?}") };
    assert_eq!(func.typed::<(), i32>(&store).unwrap().call(&mut store, ()).unwrap(), 1);
    let other = linker.instantiate(&mut store, &second).unwrap();
    assert!(other.module_export(&mut store, &f).is_none());
    assert!(instance.module_export(&mut Store::new(&engine, ()), &f).is_none());
    assert_eq!(first.export("f"), Some(ExternType::Func(FuncType::new([], [ValType::I32]))));
}

#[test]
fn unchecked_calls_pass_slots_and_references() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let text = r#"(module
      (func (export "swap") (param i64 f32) (result f32 i64) (local.get 1) (local.get 0))
      (func $seven (result i32) (i32.const 7)) (elem declare func $seven) (table $t 1 funcref)
      (func (export "give") (result funcref) (ref.func $seven))
      (func (export "call") (param funcref) (result i32)
        (table.set $t (i32.const 0) (local.get 0)) (call_indirect $t (result i32) (i32.const 0))))"#;
    let instance = Linker::new(&engine).instantiate(&mut store, &module(&engine, text)).unwrap();
    let mut slots = [u64::MAX, 1.5f32.to_bits().into()];
    let swap = instance.func(&mut store, "swap").unwrap();
    // SAFETY: two slots of an i64 and an f32.
    unsafe { swap.call_unchecked(&mut store, slots.as_mut_ptr()) }.unwrap();
    assert_eq!(slots, [1.5f32.to_bits().into(), u64::MAX]);
    let mut slot = [0];
    let (give, call) = (instance.func(&mut store, "give").unwrap(), instance.func(&mut store, "call").unwrap());
    // SAFETY: one slot; the reference comes from the call before, in the same store.
    unsafe {
        give.call_unchecked(&mut store, slot.as_mut_ptr()).unwrap();
        call.call_unchecked(&mut store, slot.as_mut_ptr()).unwrap();
    }
    assert_eq!(slot, [7]);
    let mut other = Store::new(&engine, ());
    // SAFETY: the call is refused before it looks at slots.
    fails(unsafe { give.call_unchecked(&mut other, slot.as_mut_ptr()) }, ErrorKind::StaleHandle);
    let mut results = [Val::I32(0)];
    fails(call.call(&mut store, &[Val::I32(1)], &mut results), ErrorKind::Type);
}

#[test]
fn closures_of_every_shape_pass_registers_and_stack() {
    let engine = paranoid();
    let mut linker = Linker::<u64>::new(&engine);
    linker
        .func_wrap(
            "h",
            "many",
            |mut caller: instar::Caller<'_, u64>,
             a: i32,
             b: f64,
             c: i64,
             d: f32,
             e: u32,
             f: u64,
             g: f64,
             h: i32,
             i: i32,
             j: i64,
             k: f32,
             l: f64,
             m: f64,
             n: f64,
             o: f64,
             p: f64|
             -> f64 {
                *caller.data_mut() += 1;
                f64::from(a)
                    + b
                    + c as f64
                    + f64::from(d)
                    + f64::from(e)
                    + f as f64
                    + g
                    + f64::from(h)
                    + f64::from(i)
                    + j as f64
                    + f64::from(k)
                    + l
                    + m
                    + n * 1000.0
                    + o * 10_000.0
                    + p * 100_000.0
            },
        )
        .unwrap()
        .func_wrap("h", "two", |a: i32, b: f32| (b, a))
        .unwrap()
        .func_wrap("h", "fails", |a: f32| -> instar::Result<f32> {
            match a {
                0.0 => Err(instar::Error::host("zero")),
                a => Ok(-a),
            }
        })
        .unwrap();
    let text = r#"(module
      (import "h" "many" (func $many (param i32 f64 i64 f32 i32 i64 f64 i32 i32 i64 f32 f64 f64 f64 f64 f64) (result f64)))
      (import "h" "two" (func $two (param i32 f32) (result f32 i32)))
      (import "h" "fails" (func $fails (param f32) (result f32)))
      (func (export "many") (result f64) (call $many (i32.const -1) (f64.const 2) (i64.const 3) (f32.const 4) (i32.const -1)
        (i64.const 6) (f64.const 7) (i32.const 8) (i32.const -9) (i64.const -10) (f32.const 11) (f64.const 12) (f64.const 13)
        (f64.const 14) (f64.const 15) (f64.const 16)))
      (func (export "two") (result f32 i32) (call $two (i32.const 3) (f32.const 4.5)))
      (func (export "fails") (param f32) (result f32) (call $fails (local.get 0))))"#;
    let mut store = Store::new(&engine, 0);
    let instance = linker.instantiate(&mut store, &module(&engine, text)).unwrap();
    let many = instance.typed_func::<(), f64>(&mut store, "many").unwrap().call(&mut store, ()).unwrap();
    let sum = -1.0 + 2.0 + 3.0 + 4.0 + 4_294_967_295.0 + 6.0 + 7.0 + 8.0 - 9.0 - 10.0 + 11.0 + 12.0 + 13.0;
    assert_eq!(many, sum + 14_000.0 + 150_000.0 + 1_600_000.0);
    assert_eq!(*store.data(), 1);
    let two = instance.typed_func::<(), (f32, i32)>(&mut store, "two").unwrap();
    assert_eq!(two.call(&mut store, ()).unwrap(), (4.5, 3));
    let fails_at_zero = instance.typed_func::<f32, f32>(&mut store, "fails").unwrap();
    assert_eq!(fails_at_zero.call(&mut store, 2.5).unwrap(), -2.5);
    assert_eq!(fails(fails_at_zero.call(&mut store, 0.0), ErrorKind::Host).message(), "zero");
    assert_eq!(fails_at_zero.call(&mut store, f32::INFINITY).unwrap(), f32::NEG_INFINITY);
}
