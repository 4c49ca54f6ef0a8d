//! Vectors: across every boundary, in what a reset undoes, and where the specification leaves a choice. What each operator
//! computes is the official suite's.

use std::sync::{Arc, Mutex};

use instar::{
    Caller, Engine, ErrorKind, FuncType, Global, GlobalType, InstancePre, Linker, OptLevel, Result, Store, TrapCode,
    V128, Val, ValType,
};

use crate::kit::{self, Random, fails, module, one_slot, paranoid, pre, traps};

const PAGE: u32 = 65_536;

fn v(bits: u128) -> V128 {
    V128::from(bits)
}

fn lanes32(lanes: [u32; 4]) -> V128 {
    v(lanes.iter().rev().fold(0, |bits, &lane| bits << 32 | u128::from(lane)))
}

fn lanes16(lanes: [i16; 8]) -> V128 {
    v(lanes.iter().rev().fold(0, |bits, &lane| bits << 16 | u128::from(lane as u16)))
}

fn floats(lanes: [f32; 4]) -> V128 {
    lanes32(lanes.map(f32::to_bits))
}

/// Two different halves, so that none can stand for the other.
const A: u128 = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff;
const B: u128 = 0xf0e1_d2c3_b4a5_9687_7869_5a4b_3c2d_1e0f;

fn vector_of(value: &Val) -> u128 {
    match value {
        Val::V128(vector) => vector.as_u128(),
        other => panic!("{other:?} is no vector"),
    }
}

/// A function of one operator on vectors.
fn operator<P: instar::WasmList>(engine: &Engine, params: &str, body: &str, args: P) -> u128 {
    let pre = pre(engine, format!("(module (func (export \"f\") (param {params}) (result v128) {body}))"));
    let f = pre.export::<P, V128>("f").unwrap();
    pre.call((), &f, args).unwrap().as_u128()
}

#[test]
fn vectors_pass_between_host_and_guest_among_other_values() {
    let engine = paranoid();
    let pre = pre(
        &engine,
        r#"(module
          (func (export "turn") (param i32 v128 f64 v128 i64) (result v128 i64 v128 f64 i32)
            (local.get 3) (local.get 4) (local.get 1) (local.get 2) (local.get 0))
          (func (export "one") (param v128) (result v128) (v128.not (local.get 0)))
          (func (export "none") (result v128) (local v128) (local.get 0)))"#,
    );
    let turn = pre.export::<(i32, V128, f64, V128, u64), (V128, u64, V128, f64, i32)>("turn").unwrap();
    let turned = pre.call((), &turn, (-7, v(A), 1.5, v(B), u64::MAX - 1)).unwrap();
    assert_eq!(turned, (v(B), u64::MAX - 1, v(A), 1.5, -7));
    let one = pre.export::<V128, V128>("one").unwrap();
    assert_eq!(pre.call((), &one, v(A)).unwrap().as_u128(), !A);
    let none = pre.export::<(), V128>("none").unwrap();
    assert_eq!(pre.call((), &none, ()).unwrap(), V128::default(), "locals start as zeroes");

    // Raw: two slots each, the low half first.
    let raw = pre.func("turn").unwrap();
    let mut slots = [7, A as u64, (A >> 64) as u64, 0, B as u64, (B >> 64) as u64, 9];
    pre.call_raw((), &raw, &mut slots).unwrap();
    assert_eq!(slots, [B as u64, (B >> 64) as u64, 9, A as u64, (A >> 64) as u64, 0, 7]);
    let error = fails(pre.call_raw((), &raw, &mut slots[..6]), ErrorKind::Type);
    assert!(error.message().contains("needs 7 slots, got 6"), "{error}");

    let mut store = Store::new(&engine, ());
    let func = pre.instantiate(&mut store).unwrap().func(&mut store, "one").unwrap();
    let mut results = [Val::I32(0)];
    func.call(&mut store, &[Val::V128(v(B))], &mut results).unwrap();
    assert_eq!(vector_of(&results[0]), !B);
    let error = fails(func.call(&mut store, &[Val::I64(1)], &mut results), ErrorKind::Type);
    assert!(error.message().contains("v128") && error.message().contains("i64"), "{error}");
    fails(func.typed::<(u64, u64), V128>(&store), ErrorKind::Type);
}

#[test]
fn many_vectors_pass_through_stacks_memory_and_trampolines() {
    let engine = paranoid();
    // More than there are registers for, as parameters and as results.
    let types = "v128 i32 ".repeat(10);
    let gets: String = (0..20).rev().map(|i| format!("(local.get {i}) ")).collect();
    let turned = "i32 v128 ".repeat(10);
    let text = format!(
        r#"(module
          (type $t (func (param {types}) (result {turned})))
          (import "h" "turn" (func $host (type $t)))
          (table funcref (elem $turn $host))
          (func $turn (type $t) {gets})
          (func (export "direct") (type $t) {} (call $turn))
          (func (export "indirect") (type $t) {} (call_indirect (type $t) (i32.const 0)))
          (func (export "host") (type $t) {} (call $host))
          (func (export "both") (type $t) {} (call_indirect (type $t) (i32.const 1))
            (if (type $t2) (i32.const 1) (then) (else)))
          (type $t2 (func (param {turned}) (result {turned}))))"#,
        forward(20),
        forward(20),
        forward(20),
        forward(20)
    );
    let mut linker = Linker::<()>::new(&engine);
    let list = |names: &[ValType]| names.iter().copied().cycle().take(20).collect::<Vec<_>>();
    let ty = FuncType::new(list(&[ValType::V128, ValType::I32]), list(&[ValType::I32, ValType::V128]));
    linker
        .func_new("h", "turn", ty, |_, params, results| {
            for (result, param) in results.iter_mut().zip(params.iter().rev()) {
                *result = *param;
            }
            Ok(())
        })
        .unwrap();
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = pre.instantiate(&mut store).unwrap();
    let vector = |i: usize| A.rotate_left(i as u32 * 3) ^ i as u128;
    let params: Vec<Val> =
        (0..20).map(|i| if i % 2 == 0 { Val::V128(v(vector(i))) } else { Val::I32(i as i32) }).collect();
    for name in ["direct", "indirect", "host", "both"] {
        let mut results = vec![Val::I32(0); 20];
        instance.func(&mut store, name).unwrap().call(&mut store, &params, &mut results).unwrap();
        for (i, result) in results.iter().enumerate() {
            match result {
                Val::V128(actual) => assert_eq!(actual.as_u128(), vector(19 - i), "{name} {i}"),
                Val::I32(actual) => assert_eq!(*actual, 19 - i as i32, "{name}"),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn forward(count: usize) -> String {
    (0..count).map(|i| format!("(local.get {i}) ")).collect()
}

#[test]
fn sixteen_vectors_are_a_typed_call() {
    let engine = paranoid();
    let types = "v128 ".repeat(16);
    let text = format!(
        r#"(module (import "h" "f" (func $f (param {types}) (result {types})))
          (func (export "f") (param {types}) (result {types}) {} (call $f)))"#,
        forward(16)
    );
    type All = (V128, V128, V128, V128, V128, V128, V128, V128, V128, V128, V128, V128, V128, V128, V128, V128);
    let mut linker = Linker::<()>::new(&engine);
    linker
        .func_wrap("h", "f", |a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p: V128| -> All {
            (p, o, n, m, l, k, j, i, h, g, f, e, d, c, b, a)
        })
        .unwrap();
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    let f = pre.export::<All, All>("f").unwrap();
    let x: [V128; 16] = std::array::from_fn(|i| v(A.rotate_left(i as u32)));
    let [a, b, c, d, e, f_, g, h, i, j, k, l, m, n, o, p] = x;
    let turned = pre.call((), &f, (a, b, c, d, e, f_, g, h, i, j, k, l, m, n, o, p)).unwrap();
    let (a2, b2, c2, d2, e2, f2, g2, h2, i2, j2, k2, l2, m2, n2, o2, p2) = turned;
    assert_eq!([p2, o2, n2, m2, l2, k2, j2, i2, h2, g2, f2, e2, d2, c2, b2, a2], x);
}

#[test]
fn host_functions_take_and_give_vectors() {
    let engine = paranoid();
    let mut linker = Linker::<Arc<Mutex<Vec<u128>>>>::new(&engine);
    linker
        .func_wrap("h", "closure", |caller: Caller<'_, Arc<Mutex<Vec<u128>>>>, n: i32, x: V128, y: f32| {
            caller.data().lock().unwrap().push(x.as_u128());
            (y, V128::from(x.as_u128() ^ u128::from(n as u32)), n)
        })
        .unwrap();
    linker.func_wrap("h", "fails", |_: V128| -> Result<V128> { fails_with_limit() }).unwrap();
    let ty = FuncType::new([ValType::V128], [ValType::I32, ValType::V128]);
    linker
        .func_raw("h", "raw", ty.clone(), |_, slots| {
            let [low, high] = [slots[0], slots[1]];
            slots[..3].copy_from_slice(&[5, high, low]);
            Ok(())
        })
        .unwrap();
    linker
        .func_new("h", "values", ty, |_, params, results| {
            results.copy_from_slice(&[Val::I32(6), params[0]]);
            Ok(())
        })
        .unwrap();
    linker
        .func_new("h", "wrong", FuncType::new([], [ValType::V128]), |_, _, results| {
            results[0] = Val::I64(1);
            Ok(())
        })
        .unwrap();
    let text = r#"(module
      (import "h" "closure" (func $closure (param i32 v128 f32) (result f32 v128 i32)))
      (import "h" "fails" (func $fails (param v128) (result v128)))
      (import "h" "raw" (func $raw (param v128) (result i32 v128)))
      (import "h" "values" (func $values (param v128) (result i32 v128)))
      (import "h" "wrong" (func $wrong (result v128)))
      (func (export "closure") (param v128) (result f32 v128 i32)
        (call $closure (i32.const 0x0f0f) (i32x4.neg (i32x4.neg (local.get 0))) (f32.const 0.5)))
      (func (export "fails") (param v128) (result v128) (call $fails (local.get 0)))
      (func (export "raw") (param v128) (result i32 v128) (call $raw (local.get 0)))
      (func (export "values") (param v128) (result i32 v128) (call $values (local.get 0)))
      (func (export "wrong") (result v128) (call $wrong)))"#;
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let closure = pre.export::<V128, (f32, V128, i32)>("closure").unwrap();
    assert_eq!(pre.call(seen.clone(), &closure, v(A)).unwrap(), (0.5, v(A ^ 0x0f0f), 0x0f0f));
    assert_eq!(*seen.lock().unwrap(), [A]);
    let failing = pre.export::<V128, V128>("fails").unwrap();
    fails(pre.call(seen.clone(), &failing, v(A)), ErrorKind::Limit);
    let raw = pre.export::<V128, (i32, V128)>("raw").unwrap();
    assert_eq!(pre.call(seen.clone(), &raw, v(A)).unwrap(), (5, v(A.rotate_left(64))));
    let values = pre.export::<V128, (i32, V128)>("values").unwrap();
    assert_eq!(pre.call(seen.clone(), &values, v(B)).unwrap(), (6, v(B)));
    let wrong = pre.export::<(), V128>("wrong").unwrap();
    let error = fails(pre.call(seen, &wrong, ()), ErrorKind::Type);
    assert!(error.message().contains("v128"), "{error}");
}

fn fails_with_limit() -> Result<V128> {
    Err(instar::Error::new(ErrorKind::Limit, "enough"))
}

#[test]
fn vectors_keep_their_bits_where_control_parts_and_meets() {
    let engine = paranoid();
    // Each function makes its vectors with lanes of one shape and uses them with another.
    let text = r#"(module (memory 1)
      (data (i32.const 16) "\00\01\02\03\04\05\06\07\08\09\0a\0b\0c\0d\0e\0f")
      (type $carry (func (param v128) (result v128)))
      (func (export "arms") (param i32) (result v128)
        ;; Both arms use the vector that was loaded before them, each as another shape.
        (v128.load (i32.const 16))
        (if (type $carry) (local.get 0) (then (f32x4.neg)) (else (i16x8.add (v128.const i32x4 1 1 1 1)))))
      (func (export "early") (param i32) (result v128)
        (block (result v128)
          (f64x2.neg (v128.load (i32.const 16))) (br_if 0 (local.get 0)) (i8x16.neg)))
      (func (export "table") (param i32) (result v128)
        (block $a (result v128) (block $b (result v128)
          (f32x4.neg (v128.load (i32.const 16))) (br_table $a $b $a (local.get 0)))
          (i64x2.neg)))
      (func (export "loop") (param i32) (result v128) (local v128)
        (i32x4.splat (i32.const 1))
        (loop (param v128) (result v128)
          (i16x8.add (i16x8.splat (i32.const 1)))
          (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
      (func (export "select") (param i32) (result v128)
        (select (f32x4.neg (v128.load (i32.const 16))) (i64x2.neg (v128.load (i32.const 16))) (local.get 0)))
      (func (export "typed") (param i32) (result v128)
        (select (result v128) (v128.load (i32.const 16)) (f64x2.neg (v128.load (i32.const 16))) (local.get 0)))
      (func (export "tee") (param i32) (result v128) (local v128)
        (f32x4.neg (local.tee 1 (v128.load (i32.const 16)))) (drop) (i8x16.neg (local.get 1)))
      (func (export "return") (param i32) (result v128)
        (if (local.get 0) (then (return (i32x4.neg (v128.load (i32.const 16))))))
        (f64x2.neg (v128.load (i32.const 16)))))"#;
    let pre = pre(&engine, text);
    let loaded = u128::from_le_bytes(std::array::from_fn(|i| i as u8));
    let sign = |bits: u32| (0..128 / bits).fold(0u128, |mask, i| mask | 1 << (bits * i + bits - 1));
    let neg = |bits: u32, x: u128| {
        (0..128 / bits).fold(0u128, |all, i| {
            let mask = u128::MAX >> (128 - bits);
            all | ((x >> (bits * i) & mask).wrapping_neg() & mask) << (bits * i)
        })
    };
    let ones = (0..8).fold(loaded, |sum, i| sum.wrapping_add(u128::from(i % 2 == 0) << (16 * i)));
    for (name, given, expected) in [
        ("arms", 1, loaded ^ sign(32)),
        ("arms", 0, ones),
        ("early", 1, loaded ^ sign(64)),
        ("early", 0, neg(8, loaded ^ sign(64))),
        ("table", 0, loaded ^ sign(32)),
        ("table", 1, neg(64, loaded ^ sign(32))),
        ("table", 2, loaded ^ sign(32)),
        ("loop", 3, 0x0003_0004_0003_0004_0003_0004_0003_0004),
        ("select", 1, loaded ^ sign(32)),
        ("select", 0, neg(64, loaded)),
        ("typed", 1, loaded),
        ("typed", 0, loaded ^ sign(64)),
        ("tee", 0, neg(8, loaded)),
        ("return", 1, neg(32, loaded)),
        ("return", 0, loaded ^ sign(64)),
    ] {
        let f = pre.export::<i32, V128>(name).unwrap();
        assert_eq!(pre.call((), &f, given).unwrap(), v(expected), "{name} {given}");
    }
}

#[test]
fn globals_hold_vectors_and_go_back_to_their_first_value() {
    let engine = one_slot();
    let (low, high) = (A as u64, (A >> 64) as u64);
    let text = format!(
        r#"(module
          (global $constant v128 (v128.const i64x2 {low:#x} {high:#x}))
          (global $before (mut i32) (i32.const 1))
          (global $mutable (export "mutable") (mut v128) (v128.const i64x2 {low:#x} {high:#x}))
          (global $after (mut i64) (i64.const 2))
          (func (export "swap") (param v128) (result v128)
            (global.get $mutable) (global.set $mutable (f32x4.neg (f32x4.neg (local.get 0))))
            (global.set $before (i32.const -1)) (global.set $after (i64.const -1)))
          (func (export "sum") (result v128) (i64x2.add (global.get $constant) (global.get $mutable))))"#
    );
    let sum = |x: u128, y: u128| {
        let high = (x >> 64).wrapping_add(y >> 64) << 64;
        high | u128::from((x as u64).wrapping_add(y as u64))
    };
    let pre = pre(&engine, text);
    let swap = pre.export::<V128, V128>("swap").unwrap();
    let add = pre.export::<(), V128>("sum").unwrap();
    for _ in 0..3 {
        let mut instance = pre.fresh(()).unwrap();
        assert_eq!(instance.call(&swap, v(B)).unwrap(), v(A), "a fresh instance starts anew");
        assert_eq!(instance.call(&add, ()).unwrap().as_u128(), sum(A, B));
        assert_eq!(instance.call(&swap, v(A)).unwrap(), v(B));
    }
    for _ in 0..2 {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        let global = instance.global(&mut store, "mutable").unwrap();
        assert_eq!(vector_of(&global.get(&store).unwrap()), A);
        global.set(&mut store, Val::V128(v(B))).unwrap();
        let old = instance.typed_func::<V128, V128>(&mut store, "swap").unwrap().call(&mut store, v(1)).unwrap();
        assert_eq!(old, v(B));
        fails(global.set(&mut store, Val::I64(1)), ErrorKind::Type);
    }
}

#[test]
fn globals_of_the_host_hold_vectors() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let ty = |mutable| GlobalType { content: ValType::V128, mutable };
    let mutable = Global::new(&mut store, ty(true), Val::V128(v(A))).unwrap();
    let constant = Global::new(&mut store, ty(false), Val::V128(v(B))).unwrap();
    fails(Global::new(&mut store, ty(true), Val::I64(0)), ErrorKind::Type);
    let mut linker = Linker::new(&engine);
    linker.define(&mut store, "h", "mutable", mutable).unwrap();
    linker.define(&mut store, "h", "constant", constant).unwrap();
    let text = r#"(module
      (import "h" "mutable" (global $mutable (mut v128))) (import "h" "constant" (global $constant v128))
      (global (export "copy") v128 (global.get $constant))
      (func (export "f") (result v128)
        (global.set $mutable (v128.xor (global.get $mutable) (global.get $constant))) (global.get $constant)))"#;
    let instance = linker.instantiate(&mut store, &module(&engine, text)).unwrap();
    let f = instance.typed_func::<(), V128>(&mut store, "f").unwrap();
    assert_eq!(f.call(&mut store, ()).unwrap(), v(B));
    assert_eq!(vector_of(&mutable.get(&store).unwrap()), A ^ B);
    let copy = instance.global(&mut store, "copy").unwrap();
    assert_eq!(vector_of(&copy.get(&store).unwrap()), B);
}

/// Every way to store (part of) a vector, with its width in bytes.
const STORES: [(&str, u32); 5] = [
    ("v128.store", 16),
    ("v128.store8_lane", 1),
    ("v128.store16_lane", 2),
    ("v128.store32_lane", 4),
    ("v128.store64_lane", 8),
];

fn stores(offset: u32) -> String {
    let mut functions = String::new();
    for (operator, width) in STORES {
        for lane in if width == 16 { 0..1 } else { 0..16 / width } {
            let immediate = if width == 16 { String::new() } else { lane.to_string() };
            functions += &format!(
                "(func (export \"{operator} {lane}\") (param i32)
                   ({operator} offset={offset} {immediate} (local.get 0) (v128.const i64x2 -1 -1)))"
            );
        }
    }
    functions
}

fn all_stores() -> impl Iterator<Item = (String, u32)> {
    STORES.iter().flat_map(|&(operator, width)| {
        let lanes = if width == 16 { 1 } else { 16 / width };
        (0..lanes).map(move |lane| (format!("{operator} {lane}"), width))
    })
}

fn contents(pre: &InstancePre<()>) -> Vec<u8> {
    let instance = pre.fresh(()).expect("the one slot is free");
    let memory = pre.memory("memory").unwrap();
    let mut bytes = vec![0xee; instance.memory_size(&memory).unwrap() as usize];
    instance.memory_read(&memory, 0, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_store_of_a_vector_at_any_edge_is_undone() {
    let engine = one_slot();
    for offset in [0, 1, 16, 255] {
        let text =
            format!("(module (memory (export \"memory\") 2) (data (i32.const 250) \"abcdefgh\") {})", stores(offset));
        let pre = pre(&engine, text);
        let before = contents(&pre);
        for (name, width) in all_stores() {
            let store = pre.export::<u32, ()>(&name).unwrap();
            let edges = [256, 512, 4096, PAGE, PAGE + 256].into_iter().flat_map(|edge| edge - 20..edge + 4);
            let end = 2 * PAGE - width;
            for address in (0..4).chain(edges).chain(end - 40..=end) {
                let Some(index) = address.checked_sub(offset) else { continue };
                // The engine compares the slot with its image after each of these.
                pre.call((), &store, index).unwrap();
            }
        }
        assert_eq!(before, contents(&pre));
    }
}

#[test]
fn stores_of_vectors_off_one_base_are_undone() {
    let engine = one_slot();
    let mut functions = String::new();
    let mut names = Vec::new();
    for first in [0, 1, 8, 15, 16, 17, 32] {
        for second in [0, 1, 7, 8, 15, 16, 17, 31, 32, 240, 241, 256] {
            names.push(format!("{first} {second}"));
            functions += &format!(
                "(func (export \"{first} {second}\") (param i32)
                   (i32.store offset={first} (local.get 0) (i32.const -1))
                   (v128.store offset={second} (local.get 0) (v128.const i64x2 -1 -1))
                   (v128.store64_lane offset={first} 1 (local.get 0) (v128.const i64x2 -1 -1)))"
            );
        }
    }
    let pre = pre(&engine, format!("(module (memory (export \"memory\") 1) {functions})"));
    for name in names {
        let store = pre.export::<u32, ()>(&name).unwrap();
        for address in (0..20).chain(200..260).chain([4090, 65_200]) {
            pre.call((), &store, address).unwrap();
        }
    }
    assert!(contents(&pre).iter().all(|&byte| byte == 0));
}

#[test]
fn an_access_across_the_end_traps_and_writes_nothing() {
    let engine = one_slot();
    for offset in [0, 1, 40 << 20] {
        let loads = "(func (export \"load\") (param i32) (drop (v128.load (local.get 0))))
            (func (export \"splat\") (param i32) (drop (v128.load64_splat (local.get 0))))
            (func (export \"extend\") (param i32) (drop (v128.load8x8_s (local.get 0))))
            (func (export \"zero\") (param i32) (drop (v128.load64_zero (local.get 0))))
            (func (export \"lane\") (param i32) (drop (v128.load64_lane 1 (local.get 0) (v128.const i64x2 0 0))))";
        let loads = loads.replace("(local.get 0)", &format!("offset={offset} (local.get 0)"));
        let loads = loads.replace(&format!("lane 1 offset={offset}"), &format!("lane offset={offset} 1"));
        let text = format!("(module (memory (export \"memory\") 1) {} {loads})", stores(offset));
        let pre = pre(&engine, text);
        let memory = pre.memory("memory").unwrap();
        let reads = ["load", "splat", "extend", "zero", "lane"]
            .map(|name| (name.to_string(), if name == "load" { 16 } else { 8 }));
        for (name, width) in all_stores().chain(reads) {
            let access = pre.export::<u32, ()>(&name).unwrap();
            for beyond in 1..=width {
                let mut instance = pre.fresh(()).unwrap();
                let address = (PAGE - width + beyond).wrapping_sub(offset);
                if offset <= 1 {
                    traps(instance.call(&access, address), TrapCode::MemoryOutOfBounds);
                } else {
                    traps(instance.call(&access, beyond), TrapCode::MemoryOutOfBounds);
                }
                let mut tail = [0; 32];
                instance.memory_read(&memory, u64::from(PAGE) - 32, &mut tail).unwrap();
                assert_eq!(tail, [0; 32], "{name} {beyond} beyond the end");
            }
        }
    }
}

#[test]
fn canonical_nans_are_made_when_asked_for() {
    let functions = [
        ("add", 2),
        ("sub", 2),
        ("mul", 2),
        ("div", 2),
        ("min", 2),
        ("max", 2),
        ("sqrt", 1),
        ("ceil", 1),
        ("floor", 1),
        ("trunc", 1),
        ("nearest", 1),
    ];
    let mut text = "(module".to_owned();
    for (name, params) in functions {
        for (ty, shape) in [("f32", "f32x4"), ("f64", "f64x2")] {
            let args: String = (0..params).map(|i| format!("(local.get {i})")).collect();
            text += &format!("(func (export \"{ty}.{name}\") (param {ty} {ty}) (result {ty}) ({ty}.{name} {args}))");
            text +=
                &format!("(func (export \"{shape}.{name}\") (param v128 v128) (result v128) ({shape}.{name} {args}))");
        }
    }
    text += "(func (export \"demote\") (param f64) (result f32) (f32.demote_f64 (local.get 0)))
      (func (export \"promote\") (param f32) (result f64) (f64.promote_f32 (local.get 0)))
      (func (export \"f32x4.demote\") (param v128) (result v128) (f32x4.demote_f64x2_zero (local.get 0)))
      (func (export \"f64x2.promote\") (param v128) (result v128) (f64x2.promote_low_f32x4 (local.get 0)))
      (func (export \"f32x4.madd\") (param v128 v128) (result v128)
        (f32x4.relaxed_madd (local.get 0) (local.get 1) (local.get 0)))
      (func (export \"f64x2.nmadd\") (param v128 v128) (result v128)
        (f64x2.relaxed_nmadd (local.get 0) (local.get 1) (local.get 0))))";

    const QUIET: u32 = 0x7fc0_0000;
    const QUIET64: u64 = 0x7ff8_0000_0000_0000;
    let (nan, nan64) = (f32::from_bits(0xffab_cdef), f64::from_bits(0xfff0_1234_5678_9abc));
    let wide = |bits: u64| v(u128::from(bits) << 64 | u128::from(bits));
    let mut payloads_kept = 0;
    for (canonical, level) in [(true, OptLevel::Speed), (true, OptLevel::None), (false, OptLevel::Speed)] {
        let engine = kit::engine(|config| {
            config.cranelift_nan_canonicalization(canonical).cranelift_opt_level(level);
        });
        let pre = pre(&engine, &text);
        let mut check = |name: &str, bits: u128, expected: u128| {
            if canonical {
                assert_eq!(bits, expected, "{name}: {bits:#x}");
            } else {
                payloads_kept += u32::from(bits != expected);
            }
        };
        for (name, _) in functions {
            let f = pre.export::<(f32, f32), f32>(&format!("f32.{name}")).unwrap();
            check(name, pre.call((), &f, (nan, 1.0)).unwrap().to_bits().into(), QUIET.into());
            let f = pre.export::<(f64, f64), f64>(&format!("f64.{name}")).unwrap();
            check(name, pre.call((), &f, (nan64, 1.0)).unwrap().to_bits().into(), QUIET64.into());
            let f = pre.export::<(V128, V128), V128>(&format!("f32x4.{name}")).unwrap();
            let result = pre.call((), &f, (lanes32([nan.to_bits(); 4]), floats([1.0; 4]))).unwrap();
            check(name, result.as_u128(), lanes32([QUIET; 4]).as_u128());
            let f = pre.export::<(V128, V128), V128>(&format!("f64x2.{name}")).unwrap();
            let result = pre.call((), &f, (wide(nan64.to_bits()), wide(1f64.to_bits()))).unwrap();
            check(name, result.as_u128(), wide(QUIET64).as_u128());
        }
        let f = pre.export::<f64, f32>("demote").unwrap();
        check("demote", pre.call((), &f, nan64).unwrap().to_bits().into(), QUIET.into());
        let f = pre.export::<f32, f64>("promote").unwrap();
        check("promote", pre.call((), &f, nan).unwrap().to_bits().into(), QUIET64.into());
        let f = pre.export::<V128, V128>("f32x4.demote").unwrap();
        let result = pre.call((), &f, wide(nan64.to_bits())).unwrap();
        check("demote", result.as_u128(), lanes32([QUIET, QUIET, 0, 0]).as_u128());
        let f = pre.export::<V128, V128>("f64x2.promote").unwrap();
        check("promote", pre.call((), &f, lanes32([nan.to_bits(); 4])).unwrap().as_u128(), wide(QUIET64).as_u128());
        let f = pre.export::<(V128, V128), V128>("f32x4.madd").unwrap();
        let result = pre.call((), &f, (lanes32([nan.to_bits(); 4]), floats([1.0; 4]))).unwrap();
        check("madd", result.as_u128(), lanes32([QUIET; 4]).as_u128());
        let f = pre.export::<(V128, V128), V128>("f64x2.nmadd").unwrap();
        let result = pre.call((), &f, (wide(nan64.to_bits()), wide(1f64.to_bits()))).unwrap();
        check("nmadd", result.as_u128(), wide(QUIET64).as_u128());
        // Made of ordinary numbers: x86-64 makes this one negative.
        let f = pre.export::<(f64, f64), f64>("f64.div").unwrap();
        check("div", pre.call((), &f, (0.0, 0.0)).unwrap().to_bits().into(), QUIET64.into());
    }
    assert!(payloads_kept > 0, "without the switch the test would have seen other NaNs");
}

#[test]
fn relaxed_operators_can_be_deterministic() {
    let engine = kit::engine(|config| {
        config.relaxed_simd_deterministic(true);
    });
    let two = |operator: &str, x, y| operator_on(&engine, operator, &[x, y]);
    let three = |operator: &str, x, y, z| operator_on(&engine, operator, &[x, y, z]);

    // Indices from 16 on give 0, not those modulo 16.
    let bytes = v(u128::from_le_bytes(std::array::from_fn(|i| i as u8 + 1)));
    let indices = v(u128::from_le_bytes([0, 15, 16, 17, 31, 127, 128, 255, 1, 1, 1, 1, 1, 1, 1, 1]));
    let swizzled = u128::from_le_bytes([1, 16, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2]);
    assert_eq!(two("i8x16.relaxed_swizzle", bytes, indices), swizzled);

    let odd = floats([f32::NAN, 1e20, -1e20, -1.5]);
    let truncated = operator_on(&engine, "i32x4.relaxed_trunc_f32x4_s", &[odd]);
    assert_eq!(v(truncated), lanes32([0, i32::MAX as u32, i32::MIN as u32, -1i32 as u32]));
    let truncated = operator_on(&engine, "i32x4.relaxed_trunc_f32x4_u", &[odd]);
    assert_eq!(v(truncated), lanes32([0, u32::MAX, 0, 0]));
    let odd = v(u128::from(f64::NAN.to_bits()) | u128::from(1e20f64.to_bits()) << 64);
    let truncated = operator_on(&engine, "i32x4.relaxed_trunc_f64x2_s_zero", &[odd]);
    assert_eq!(v(truncated), lanes32([0, i32::MAX as u32, 0, 0]));
    let truncated = operator_on(&engine, "i32x4.relaxed_trunc_f64x2_u_zero", &[odd]);
    assert_eq!(v(truncated), lanes32([0, u32::MAX, 0, 0]));

    // Two roundings: the product rounds to 1 + 2ε exactly, so that nothing is left of ε².
    let x = 1.0 + f32::EPSILON;
    let rounded = -(1.0 + 2.0 * f32::EPSILON);
    assert_eq!(three("f32x4.relaxed_madd", floats([x; 4]), floats([x; 4]), floats([rounded; 4])), 0);
    assert_eq!(three("f32x4.relaxed_nmadd", floats([x; 4]), floats([x; 4]), floats([-rounded; 4])), 0);

    for ty in ["i8x16", "i16x8", "i32x4", "i64x2"] {
        let mask = 0x80f0_0f01_7fff_ffff_8000_0000_dead_beef_u128;
        assert_eq!(three(&format!("{ty}.relaxed_laneselect"), v(A), v(B), v(mask)), A & mask | B & !mask, "{ty}");
    }

    let (x, y) = (floats([f32::NAN, 1.0, 0.0, -0.0]), floats([1.0, f32::NAN, -0.0, 0.0]));
    let both_nan = |bits: u128| [0, 32].iter().all(|&at| f32::from_bits((bits >> at) as u32).is_nan());
    let least = two("f32x4.relaxed_min", x, y);
    assert!(both_nan(least) && least >> 64 == u128::from(0x8000_0000_8000_0000_u64), "{least:#x}");
    let greatest = two("f32x4.relaxed_max", x, y);
    assert!(both_nan(greatest) && greatest >> 64 == 0, "{greatest:#x}");

    let q15 = two("i16x8.relaxed_q15mulr_s", lanes16([i16::MIN; 8]), lanes16([i16::MIN; 8]));
    assert_eq!(v(q15), lanes16([i16::MAX; 8]));

    // Both operands are signed, and sums of two products saturate.
    let (least, mixed) = (v(u128::from_le_bytes([0x80; 16])), v(u128::from_le_bytes([0x81; 16])));
    assert_eq!(v(two("i16x8.relaxed_dot_i8x16_i7x16_s", least, mixed)), lanes16([128 * 127 * 2; 8]));
    assert_eq!(v(two("i16x8.relaxed_dot_i8x16_i7x16_s", least, least)), lanes16([i16::MAX; 8]));
    let most = v(u128::from_le_bytes([0x7f; 16]));
    assert_eq!(v(two("i16x8.relaxed_dot_i8x16_i7x16_s", least, most)), lanes16([-128 * 127 * 2; 8]));
    let sum = three("i32x4.relaxed_dot_i8x16_i7x16_add_s", least, least, lanes32([5; 4]));
    assert_eq!(v(sum), lanes32([2 * i16::MAX as u32 + 5; 4]));
}

fn operator_on(engine: &Engine, name: &str, args: &[V128]) -> u128 {
    let body = |count: usize| format!("({name} {})", forward(count));
    match *args {
        [x] => operator(engine, "v128", &body(1), x),
        [x, y] => operator(engine, "v128 v128", &body(2), (x, y)),
        [x, y, z] => operator(engine, "v128 v128 v128", &body(3), (x, y, z)),
        _ => panic!("one to three operands"),
    }
}

#[test]
fn relaxed_dot_products_of_small_numbers_are_exact() {
    // The second operand is never negative, so all processors agree.
    let mut random = Random::new(7);
    for deterministic in [false, true] {
        let engine = kit::engine(|config| {
            config.relaxed_simd_deterministic(deterministic);
        });
        let text = r#"(module
          (func (export "dot") (param v128 v128) (result v128)
            (i16x8.relaxed_dot_i8x16_i7x16_s (local.get 0) (local.get 1)))
          (func (export "add") (param v128 v128 v128) (result v128)
            (i32x4.relaxed_dot_i8x16_i7x16_add_s (local.get 0) (local.get 1) (local.get 2))))"#;
        let pre = pre(&engine, text);
        let dot = pre.export::<(V128, V128), V128>("dot").unwrap();
        let add = pre.export::<(V128, V128, V128), V128>("add").unwrap();
        for _ in 0..200 {
            let x: [i8; 16] = std::array::from_fn(|_| random.next() as i8);
            let y: [i8; 16] = std::array::from_fn(|_| (random.next() & 0x7f) as i8);
            let z: [u32; 4] = std::array::from_fn(|_| random.next() as u32);
            let bytes = |b: [i8; 16]| v(u128::from_le_bytes(b.map(|x| x as u8)));
            let product = |i: usize| i32::from(x[i]) * i32::from(y[i]);
            let pairs = std::array::from_fn(|i| (product(2 * i) + product(2 * i + 1)) as i16);
            assert_eq!(pre.call((), &dot, (bytes(x), bytes(y))).unwrap(), lanes16(pairs));
            let sums = std::array::from_fn(|i| z[i].wrapping_add((4 * i..4 * i + 4).map(product).sum::<i32>() as u32));
            assert_eq!(pre.call((), &add, (bytes(x), bytes(y), lanes32(z))).unwrap(), lanes32(sums));
        }
    }
}
