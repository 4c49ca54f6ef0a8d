//! Isolation, one way of writing at a time. `random` mixes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use instar::{Caller, Engine, ErrorKind, InstancePre, Linker, Result, Store, TrapCode, Val};

use crate::kit::{self, fails, module, one_slot, pre, traps};

const PAGE: u32 = 65_536;

/// All bytes of a fresh instance's memory.
fn contents(pre: &InstancePre<()>) -> Vec<u8> {
    let instance = pre.fresh(()).expect("the one slot is free");
    let memory = pre.memory("memory").expect("the module exports its memory");
    let mut bytes = vec![0xee; instance.memory_size(&memory).unwrap() as usize];
    instance.memory_read(&memory, 0, &mut bytes).unwrap();
    bytes
}

/// Asserts that `act` leaves nothing behind in the memory of the next instance. (A paranoid engine aborts when the slot
/// differs in anything; this looks at it as a tenant would.)
#[track_caller]
fn leaves_nothing(pre: &InstancePre<()>, act: impl FnOnce(&InstancePre<()>)) {
    let before = contents(pre);
    act(pre);
    let after = contents(pre);
    assert_eq!(before.len(), after.len());
    assert_eq!(before.iter().zip(&after).position(|(a, b)| a != b), None, "first address that differs");
}

const STORES: [(&str, &str, u32); 9] = [
    ("i32.store", "i32", 4),
    ("i32.store8", "i32", 1),
    ("i32.store16", "i32", 2),
    ("i64.store", "i64", 8),
    ("i64.store8", "i64", 1),
    ("i64.store16", "i64", 2),
    ("i64.store32", "i64", 4),
    ("f32.store", "f32", 4),
    ("f64.store", "f64", 8),
];

/// Addresses around the ends of lines and pages, and at the end of the memory.
fn edges() -> impl Iterator<Item = u32> {
    let around = [256, 512, 4096, 8192, PAGE, PAGE + 256].into_iter().flat_map(|edge| edge - 20..edge + 4);
    (0..20).chain(around).chain(2 * PAGE - 300..2 * PAGE - 7)
}

#[test]
fn a_store_of_any_width_at_any_edge_is_undone() {
    let engine = one_slot();
    let stores: String = STORES
        .iter()
        .map(|(operator, ty, _)| {
            format!("(func (export \"{operator}\") (param i32) ({operator} (local.get 0) ({ty}.const -1)))")
        })
        .collect();
    let pre = pre(&engine, format!("(module (memory (export \"memory\") 2) (data (i32.const 100) \"abc\") {stores})"));
    for (operator, _, _) in STORES {
        let store = pre.export::<u32, ()>(operator).unwrap();
        for address in edges() {
            pre.call((), &store, address).unwrap();
        }
        leaves_nothing(&pre, |pre| pre.call((), &store, 255).unwrap());
    }
}

#[test]
fn stores_off_one_base_with_static_offsets_are_undone() {
    let engine = one_slot();
    let mut functions = String::new();
    let mut names = Vec::new();
    for (operator, ty, width) in STORES {
        for offset in (0..40).chain([64, 200, 255, 256, 257, 4095]) {
            let name = format!("{operator} {offset}");
            // The first store's mark may serve the second one, or may not.
            functions += &format!(
                "(func (export \"{name}\") (param i32)
                   (i32.store8 (local.get 0) (i32.const 1)) ({operator} offset={offset} (local.get 0) ({ty}.const -1))
                   (i64.store offset={} (local.get 0) (i64.const -1)))",
                offset + width
            );
            names.push(name);
        }
    }
    let pre = pre(&engine, format!("(module (memory (export \"memory\") 2) {functions})"));
    for name in names {
        let store = pre.export::<u32, ()>(&name).unwrap();
        for address in [0, 1, 200].into_iter().chain(216..257).chain([4080, 65_500]) {
            pre.call((), &store, address).unwrap();
        }
    }
    leaves_nothing(&pre, |_| {});
}

#[test]
fn a_store_in_a_branch_does_not_count_for_the_store_after_it() {
    let engine = one_slot();
    let pre = pre(
        &engine,
        r#"(module (memory (export "memory") 1)
          (func (export "if") (param $at i32) (param $taken i32)
            (if (local.get $taken) (then (i32.store (local.get $at) (i32.const -1)))
              (else (i32.store offset=600 (local.get $at) (i32.const -1))))
            (i32.store (local.get $at) (i32.const -2)))
          (func (export "early") (param $at i32) (param $taken i32)
            (block (br_if 0 (local.get $taken)) (i32.store (local.get $at) (i32.const -1)))
            (i32.store (local.get $at) (i32.const -2)))
          (func (export "loop") (param $at i32) (param $n i32)
            (loop $again
              (i32.store (local.get $at) (i32.const -1))
              (local.set $at (i32.add (local.get $at) (i32.const 256)))
              (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (i32.store (local.get $at) (i32.const -2)))
          (func (export "table") (param $at i32) (param $arm i32)
            (block (block (block (br_table 0 1 2 (local.get $arm)))
              (i64.store (local.get $at) (i64.const -1)))
              (i64.store offset=8 (local.get $at) (i64.const -1)))
            (i64.store offset=12 (local.get $at) (i64.const -1)))
          (func (export "tee") (param $at i32) (param $by i32)
            (i32.store (local.get $at) (i32.const -1))
            (i32.store (local.tee $at (i32.add (local.get $at) (local.get $by))) (i32.const -1))
            (i32.store offset=4 (local.get $at) (i32.const -1))))"#,
    );
    for name in ["if", "early", "loop", "table", "tee"] {
        let function = pre.export::<(u32, u32), ()>(name).unwrap();
        for at in [0, 240, 248, 252, 255, 4090] {
            for second in [0, 1, 2, 3, 250, 300] {
                // As a count, 0 would be 4 thousand million rounds.
                let second = if name == "loop" { second.clamp(1, 200) } else { second };
                leaves_nothing(&pre, |pre| pre.call((), &function, (at, second)).unwrap());
            }
        }
    }
}

#[test]
fn what_each_kind_of_atomic_operator_writes_is_undone() {
    let text = r#"(module (memory (export "memory") 2)
      (func (export "store") (param i32) (i64.atomic.store (local.get 0) (i64.const -1)))
      (func (export "add") (param i32) (drop (i64.atomic.rmw.add (local.get 0) (i64.const -1))))
      (func (export "exchange") (param i32) (drop (i32.atomic.rmw.xchg (local.get 0) (i32.const -1))))
      (func (export "compare") (param i32)
        (drop (i64.atomic.rmw.cmpxchg (local.get 0) (i64.const 0) (i64.const -1))))
      (func (export "compare byte") (param i32)
        (drop (i32.atomic.rmw8.cmpxchg_u offset=7 (local.get 0) (i32.const 0) (i32.const -1)))))"#;
    let engine = kit::engine(|config| {
        config.max_instances(1).wasm_threads(true);
    });
    let pre = pre(&engine, text);
    for name in ["store", "add", "exchange", "compare", "compare byte"] {
        let write = pre.export::<u32, ()>(name).unwrap();
        for address in [0, 248, 256, 4088, 4096, PAGE, 2 * PAGE - 8] {
            leaves_nothing(&pre, |pre| pre.call((), &write, address).unwrap());
        }
    }
}

#[test]
fn a_store_to_one_memory_does_not_count_for_another() {
    // Same index, same block: the marks of the first memory say nothing about the second, even if both are the instance's own.
    let text = r#"(module (memory (export "memory") 1) (memory (export "other") 1)
      (func (export "both") (param i32)
        (i64.store 0 (local.get 0) (i64.const -1)) (i64.store 1 (local.get 0) (i64.const -1))
        (v128.store 1 offset=8 (local.get 0) (v128.const i64x2 -1 -1))
        (i64.store 0 offset=16 (local.get 0) (i64.const -1)))
      (func (export "constants")
        (i32.store 0 (i32.const 300) (i32.const -1)) (i32.store 1 (i32.const 300) (i32.const -1))))"#;
    let pre = pre(&one_slot(), text);
    let both = pre.export::<u32, ()>("both").unwrap();
    let constants = pre.export::<(), ()>("constants").unwrap();
    for name in ["memory", "other"] {
        let memory = pre.memory(name).unwrap();
        let is_clean = || {
            let mut bytes = vec![0xee; PAGE as usize];
            pre.fresh(()).unwrap().memory_read(&memory, 0, &mut bytes).unwrap();
            bytes.iter().all(|&byte| byte == 0)
        };
        for address in [0, 240, 255, 256, 4090, PAGE - 24] {
            pre.call((), &both, address).unwrap();
            assert!(is_clean(), "{name} at {address}");
        }
        pre.call((), &constants, ()).unwrap();
        assert!(is_clean(), "{name}");
    }
}

#[test]
fn stores_before_a_trap_are_undone_and_the_store_that_trapped_changed_nothing() {
    let engine = one_slot();
    let pre = pre(
        &engine,
        r#"(module (memory (export "memory") 1) (global $g (mut i32) (i32.const 1))
          (func $rec (result i32) (i32.add (i32.const 1) (call $rec)))
          (func $dirty (i64.store (i32.const 252) (i64.const -1)) (global.set $g (i32.const 9)))
          (func (export "unreachable") (call $dirty) unreachable)
          (func (export "oob") (call $dirty) (i64.store (i32.const 65529) (i64.const -1)))
          (func (export "far") (call $dirty) (i64.store offset=0xfffffff0 (i32.const -1) (i64.const -1)))
          (func (export "overflow") (call $dirty) (drop (call $rec)))
          (func (export "divide") (call $dirty) (drop (i32.div_s (i32.const 1) (i32.const 0))))
          (func (export "fill") (call $dirty) (memory.fill (i32.const 65000) (i32.const 1) (i32.const 537)))
          (func (export "global") (result i32) (global.get $g)))"#,
    );
    for (name, code) in [
        ("unreachable", TrapCode::Unreachable),
        ("oob", TrapCode::MemoryOutOfBounds),
        ("far", TrapCode::MemoryOutOfBounds),
        ("overflow", TrapCode::StackOverflow),
        ("divide", TrapCode::IntegerDivideByZero),
        ("fill", TrapCode::MemoryOutOfBounds),
    ] {
        let function = pre.export::<(), ()>(name).unwrap();
        let global = pre.export::<(), i32>("global").unwrap();
        leaves_nothing(&pre, |pre| {
            let mut instance = pre.fresh(()).unwrap();
            traps(instance.call(&function, ()), code);
            let memory = pre.memory("memory").unwrap();
            let mut seen = [0; 8];
            instance.memory_read(&memory, 252, &mut seen).unwrap();
            assert_eq!(seen, [0xff; 8], "what was stored before the trap is there");
            instance.memory_read(&memory, u64::from(PAGE) - 8, &mut seen).unwrap();
            assert_eq!(seen, [0; 8], "{name}: a store that traps stores nothing");
            assert_eq!(instance.call(&global, ()).unwrap(), 9);
        });
        assert_eq!(pre.call((), &global, ()).unwrap(), 1);
    }
}

#[test]
fn bulk_operations_of_any_length_at_any_edge_are_undone() {
    let engine = one_slot();
    let pre = pre(
        &engine,
        r#"(module (memory (export "memory") 2) (data $d "0123456789abcdef")
          (data (i32.const 300) "some bytes to copy from, and a few more of them")
          (func (export "fill") (param i32 i32) (memory.fill (local.get 0) (i32.const 0xaa) (local.get 1)))
          (func (export "copy") (param i32 i32) (memory.copy (local.get 0) (i32.const 300) (local.get 1)))
          (func (export "init") (param i32 i32)
            (memory.init $d (local.get 0) (i32.const 0) (i32.rem_u (local.get 1) (i32.const 17)))))"#,
    );
    for name in ["fill", "copy", "init"] {
        let function = pre.export::<(u32, u32), ()>(name).unwrap();
        for at in edges().step_by(3) {
            for len in [0, 1, 7, 16, 255, 256, 257, 5000] {
                let result = pre.call((), &function, (at, len));
                if at + len > 2 * PAGE && name != "init" {
                    traps(result, TrapCode::MemoryOutOfBounds);
                }
            }
        }
        leaves_nothing(&pre, |pre| pre.call((), &function, (4000, 300)).unwrap());
    }
}

const GROWING: &str = r#"(module (memory (export "memory") 1 5)
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "size") (result i32) (memory.size))
  (func (export "store") (param i32) (i64.store (local.get 0) (i64.const -1)))
  (func (export "load") (param i32) (result i64) (i64.load (local.get 0))))"#;

#[test]
fn a_memory_that_grew_has_its_first_size_again_and_its_new_pages_are_zero() {
    let engine = one_slot();
    let pre = pre(&engine, GROWING);
    let grow = pre.export::<u32, i32>("grow").unwrap();
    let size = pre.export::<(), i32>("size").unwrap();
    let store = pre.export::<u32, ()>("store").unwrap();
    let load = pre.export::<u32, i64>("load").unwrap();
    for pages in 1..=4 {
        let mut instance = pre.fresh(()).unwrap();
        traps(instance.call(&load, PAGE), TrapCode::MemoryOutOfBounds);
        assert_eq!(instance.call(&size, ()).unwrap(), 1);
        assert_eq!(instance.call(&grow, pages).unwrap(), 1);
        for page in 1..=pages {
            for address in [PAGE * page - 4, PAGE * page, PAGE * page + 4088, PAGE * (page + 1) - 8] {
                if address < (pages + 1) * PAGE - 7 {
                    if address >= PAGE && address % PAGE == 0 {
                        assert_eq!(instance.call(&load, address + 8).unwrap(), 0, "a grown page is zero");
                    }
                    instance.call(&store, address).unwrap();
                }
            }
        }
        traps(instance.call(&store, PAGE * (pages + 1) - 7), TrapCode::MemoryOutOfBounds);
        drop(instance);

        let mut next = pre.fresh(()).unwrap();
        assert_eq!(next.call(&size, ()).unwrap(), 1);
        traps(next.call(&load, PAGE - 7), TrapCode::MemoryOutOfBounds);
        traps(next.call(&store, PAGE), TrapCode::MemoryOutOfBounds);
        assert_eq!(next.call(&grow, 4).unwrap(), 1);
        let memory = pre.memory("memory").unwrap();
        let mut bytes = vec![1; PAGE as usize * 5];
        next.memory_read(&memory, 0, &mut bytes).unwrap();
        assert!(bytes.iter().all(|&b| b == 0), "grown by {pages}, then by 4");
    }
}

#[test]
fn a_memory_grown_by_the_host_has_its_first_size_again() {
    let engine = one_slot();
    let pre = pre(&engine, GROWING);
    let memory = pre.memory("memory").unwrap();
    let load = pre.export::<u32, i64>("load").unwrap();
    let mut instance = pre.fresh(()).unwrap();
    assert_eq!(instance.memory_grow(&memory, 3).unwrap(), 1);
    instance.memory_write(&memory, u64::from(PAGE) * 3 - 4, &[7; 300]).unwrap();
    fails(instance.memory_grow(&memory, 2), ErrorKind::Limit);
    drop(instance);
    let mut instance = pre.fresh(()).unwrap();
    assert_eq!(instance.memory_size(&memory).unwrap(), u64::from(PAGE));
    traps(instance.call(&load, PAGE), TrapCode::MemoryOutOfBounds);
    instance.memory_grow(&memory, 4).unwrap();
    assert_eq!(instance.call(&load, PAGE * 3 - 4).unwrap(), 0);
}

#[test]
fn a_memory_without_pages_can_grow_and_is_empty_again() {
    let engine = one_slot();
    let pre = pre(&engine, GROWING.replace("\"memory\") 1 5", "\"memory\") 0"));
    let grow = pre.export::<u32, i32>("grow").unwrap();
    let store = pre.export::<u32, ()>("store").unwrap();
    for _ in 0..3 {
        let mut instance = pre.fresh(()).unwrap();
        traps(instance.call(&store, 0), TrapCode::MemoryOutOfBounds);
        assert_eq!(instance.call(&grow, 2).unwrap(), 0);
        instance.call(&store, 2 * PAGE - 8).unwrap();
    }
}

#[test]
fn host_writes_through_every_way_are_undone() {
    let engine = one_slot();
    let mut linker = Linker::<()>::new(&engine);
    linker
        .func_wrap("h", "poke", |mut caller: Caller<'_, ()>, at: u32, len: u32| -> Result<()> {
            let memory = caller.default_memory().expect("there is one memory");
            memory.write(&mut caller, u64::from(at), &vec![0x55; len as usize])
        })
        .unwrap();
    let text = r#"(module (import "h" "poke" (func $poke (param i32 i32))) (memory (export "memory") 2)
      (data (i32.const 4090) "across a page")
      (func (export "poke") (param i32 i32) (call $poke (local.get 0) (local.get 1))))"#;
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    let poke = pre.export::<(u32, u32), ()>("poke").unwrap();
    let memory = pre.memory("memory").unwrap();
    for at in edges().step_by(2) {
        for len in [1, 2, 16, 255, 256, 257] {
            let fits = at + len <= 2 * PAGE;
            assert_eq!(pre.call((), &poke, (at, len)).is_ok(), fits);
            let mut instance = pre.fresh(()).unwrap();
            let written = instance.memory_write(&memory, u64::from(at), &vec![0x66; len as usize]);
            assert_eq!(written.is_ok(), fits);
        }
    }
    leaves_nothing(&pre, |pre| {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        let memory = instance.memory(&mut store, "memory").unwrap();
        memory.write(&mut store, 4090, &[1; 300]).unwrap();
    });
}

#[test]
fn what_the_bytes_convention_writes_is_undone() {
    let engine = one_slot();
    let pre = pre(
        &engine,
        r#"(module (memory (export "memory") 1) (global $bump (mut i32) (i32.const 250))
          (func (export "alloc") (param i32) (result i32) (global.get $bump)
            (global.set $bump (i32.add (global.get $bump) (local.get 0))))
          (func (export "echo") (param i32 i32) (result i64)
            (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))"#,
    );
    let echo = pre.bytes_func("echo").unwrap();
    for len in [0, 1, 6, 7, 300, 5000, 65_286] {
        leaves_nothing(&pre, |pre| {
            let input = vec![0x77; len];
            assert_eq!(pre.call_bytes((), &echo, &input).unwrap(), input);
        });
    }
}

#[test]
fn all_kinds_of_globals_are_reset() {
    let engine = one_slot();
    let pre = pre(
        &engine,
        r#"(module (func $f (export "f")) (func $g (export "g"))
          (global (export "a") (mut i32) (i32.const 1)) (global (export "b") (mut i64) (i64.const 2))
          (global (export "c") (mut f32) (f32.const 3)) (global (export "d") (mut f64) (f64.const 4))
          (global (export "e") (mut funcref) (ref.func $f)) (global (export "x") (mut externref) (ref.null extern))
          (global (export "k") i32 (i32.const 5))
          (func (export "set") (global.set 0 (i32.const -1)) (global.set 1 (i64.const -1)) (global.set 2 (f32.const -1))
            (global.set 3 (f64.const -1)) (global.set 4 (ref.func $g))))"#,
    );
    for way in 0..3 {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        let all = instance.exports(&mut store).unwrap();
        let value = |store: &Store<()>, name: &str| {
            let item = all.iter().find(|(n, _)| n == name).unwrap().1.clone();
            let instar::Extern::Global(global) = item else { panic!("`{name}` is a global") };
            global.get(store).unwrap()
        };
        let f = instance.func(&mut store, "f").unwrap();
        assert!(matches!(value(&store, "a"), Val::I32(1)));
        assert!(matches!(value(&store, "b"), Val::I64(2)));
        assert!(matches!(value(&store, "c"), Val::F32(b) if b == 3f32.to_bits()));
        assert!(matches!(value(&store, "d"), Val::F64(b) if b == 4f64.to_bits()));
        assert!(matches!(value(&store, "e"), Val::FuncRef(Some(r)) if r == f));
        assert!(matches!(value(&store, "x"), Val::ExternRef(None)));
        assert!(matches!(value(&store, "k"), Val::I32(5)));
        if way == 0 {
            let set = instance.func(&mut store, "set").unwrap();
            set.call(&mut store, &[], &mut []).unwrap();
        } else {
            let object = instar::ExternRef::new(&mut store, 5u8);
            instance.global(&mut store, "x").unwrap().set(&mut store, Val::ExternRef(Some(object))).unwrap();
            instance.global(&mut store, "e").unwrap().set(&mut store, Val::FuncRef(None)).unwrap();
            instance.global(&mut store, "a").unwrap().set(&mut store, Val::I32(9)).unwrap();
        }
    }
}

#[test]
fn a_function_of_another_instance_does_not_stay_in_a_table_or_a_global() {
    let engine = kit::engine(|config| {
        config.max_instances(2);
    });
    let holder = pre(
        &engine,
        r#"(module (table (export "t") 2 8 funcref) (global (export "g") (mut funcref) (ref.null func))
          (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0))))"#,
    );
    for round in 0..10 {
        {
            let mut store = Store::new(&engine, ());
            let instance = holder.instantiate(&mut store).unwrap();
            // The module goes with the block, and its code with the store.
            let text = format!("(module (func (export \"f\") (result i32) (i32.const {round})))");
            let other = pre(&engine, text).instantiate(&mut store).unwrap();
            let function = other.func(&mut store, "f").unwrap();
            let table = instance.table(&mut store, "t").unwrap();
            table.set(&mut store, 1, function.into()).unwrap();
            table.grow(&mut store, 3, function.into()).unwrap();
            instance.global(&mut store, "g").unwrap().set(&mut store, function.into()).unwrap();
            let call = instance.typed_func::<u32, i32>(&mut store, "call").unwrap();
            assert_eq!(call.call(&mut store, 1).unwrap(), round);
            assert_eq!(call.call(&mut store, 4).unwrap(), round);
        }
        let call = holder.export::<u32, i32>("call").unwrap();
        traps(holder.call((), &call, 1), TrapCode::UninitializedElement);
        traps(holder.call((), &call, 4), TrapCode::UndefinedElement);
    }
}

#[test]
fn tables_are_reset_after_every_kind_of_write() {
    let engine = one_slot();
    let pre = pre(
        &engine,
        r#"(module (table $t (export "t") 4 9 funcref) (elem (table $t) (i32.const 1) func $a $b) (elem $e func $b $b $b)
          (type $r (func (result i32)))
          (func $a (result i32) (i32.const 10)) (func $b (result i32) (i32.const 20))
          (func (export "call") (param i32) (result i32) (call_indirect $t (type $r) (local.get 0)))
          (func (export "size") (result i32) (table.size $t))
          (func (export "set") (table.set $t (i32.const 0) (ref.func $b)))
          (func (export "null") (table.set $t (i32.const 1) (ref.null func)))
          (func (export "grow") (drop (table.grow $t (ref.func $a) (i32.const 5))))
          (func (export "grow by 0") (drop (table.grow $t (ref.func $a) (i32.const 0))))
          (func (export "fill") (table.fill $t (i32.const 0) (ref.func $a) (i32.const 4)))
          (func (export "copy") (table.copy $t $t (i32.const 0) (i32.const 1) (i32.const 3)))
          (func (export "init") (table.init $t $e (i32.const 0) (i32.const 0) (i32.const 3)))
          (func (export "init oob") (table.init $t $e (i32.const 3) (i32.const 0) (i32.const 3)))
          (func (export "drop") (elem.drop $e)))"#,
    );
    let call = pre.export::<u32, i32>("call").unwrap();
    let size = pre.export::<(), i32>("size").unwrap();
    let init = pre.export::<(), ()>("init").unwrap();
    for name in ["set", "null", "grow", "grow by 0", "fill", "copy", "init", "init oob", "drop"] {
        let write = pre.export::<(), ()>(name).unwrap();
        let result = pre.call((), &write, ());
        assert_eq!(result.is_err(), name == "init oob", "{name}");
        let mut next = pre.fresh(()).unwrap();
        assert_eq!(next.call(&size, ()).unwrap(), 4, "{name}");
        traps(next.call(&call, 0), TrapCode::UninitializedElement);
        assert_eq!(next.call(&call, 1).unwrap(), 10, "{name}");
        assert_eq!(next.call(&call, 2).unwrap(), 20, "{name}");
        traps(next.call(&call, 3), TrapCode::UninitializedElement);
        traps(next.call(&call, 4), TrapCode::UndefinedElement);
        next.call(&init, ()).unwrap();
        assert_eq!(next.call(&call, 0).unwrap(), 20, "{name}: the segment is there");
    }
}

#[test]
fn dropped_segments_are_there_for_the_next_instance() {
    let engine = one_slot();
    let pre = pre(
        &engine,
        r#"(module (memory (export "memory") 1) (data $p "xyz") (data $a (i32.const 0) "active")
          (func (export "drop") (data.drop $p))
          (func (export "init") (memory.init $p (i32.const 10) (i32.const 0) (i32.const 3)))
          (func (export "init active") (memory.init $a (i32.const 10) (i32.const 0) (i32.const 1))))"#,
    );
    let drop = pre.export::<(), ()>("drop").unwrap();
    let init = pre.export::<(), ()>("init").unwrap();
    for _ in 0..3 {
        let mut instance = pre.fresh(()).unwrap();
        instance.call(&init, ()).unwrap();
        instance.call(&drop, ()).unwrap();
        traps(instance.call(&init, ()), TrapCode::MemoryOutOfBounds);
    }
    let active = pre.export::<(), ()>("init active").unwrap();
    traps(pre.call((), &active, ()), TrapCode::MemoryOutOfBounds);
}

#[test]
fn an_instance_that_failed_to_start_leaves_nothing_behind() {
    let engine = one_slot();
    let starts = Arc::new(AtomicU32::new(0));
    let count = starts.clone();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("h", "start", move || count.fetch_add(1, Ordering::Relaxed)).unwrap();
    let text = r#"(module (import "h" "start" (func $number (result i32)))
      (memory (export "memory") 1 3) (global $g (mut i32) (i32.const 0)) (table $t 2 5 funcref)
      (elem declare func $start)
      (func $start
        (if (i32.and (call $number) (i32.const 1)) (then
          (i64.store (i32.const 1020) (i64.const -1)) (global.set $g (i32.const 1))
          (drop (memory.grow (i32.const 1))) (i64.store (i32.const 70000) (i64.const -1))
          (drop (table.grow $t (ref.func $start) (i32.const 2))) (table.set $t (i32.const 0) (ref.func $start))
          unreachable)))
      (start $start)
      (func (export "state") (result i32)
        (i32.add (i32.add (global.get $g) (memory.size)) (i32.add (table.size $t) (i32.load (i32.const 1020))))))"#;
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    let state = pre.export::<(), i32>("state").unwrap();
    for round in 0..20 {
        match round % 2 {
            0 => assert_eq!(pre.call((), &state, ()).unwrap(), 3),
            _ => traps(pre.fresh(()).map(drop), TrapCode::Unreachable),
        }
    }
    assert_eq!(starts.load(Ordering::Relaxed), 20, "start runs once for each instance");
}

#[test]
fn a_start_function_runs_for_each_instance_on_the_image_before_it() {
    let engine = one_slot();
    let pre = pre(
        &engine,
        r#"(module (memory (export "memory") 1) (data (i32.const 8) "\05")
          (func $start (i32.store8 (i32.const 8) (i32.add (i32.load8_u (i32.const 8)) (i32.const 1)))) (start $start)
          (func (export "get") (result i32) (i32.load8_u (i32.const 8))))"#,
    );
    let get = pre.export::<(), i32>("get").unwrap();
    for _ in 0..5 {
        assert_eq!(pre.call((), &get, ()).unwrap(), 6);
    }
}

#[test]
fn two_instances_alive_at_once_share_nothing() {
    let engine = kit::paranoid();
    let pre = pre(&engine, GROWING);
    let store = pre.export::<u32, ()>("store").unwrap();
    let load = pre.export::<u32, i64>("load").unwrap();
    let grow = pre.export::<u32, i32>("grow").unwrap();
    let mut instances: Vec<_> = (0..8).map(|_| pre.fresh(()).unwrap()).collect();
    for i in 0..8u32 {
        for (j, other) in instances.iter_mut().enumerate() {
            assert_eq!(other.call(&load, 0).unwrap() != 0, (j as u32) < i);
        }
        instances[i as usize].call(&store, 0).unwrap();
        instances[i as usize].call(&grow, i % 4).unwrap();
    }
}

#[test]
fn two_pres_of_one_module_and_two_modules_keep_apart() {
    let engine = kit::paranoid();
    let module = module(&engine, GROWING);
    let linker = Linker::<()>::new(&engine);
    let pres = [linker.instantiate_pre(&module).unwrap(), linker.instantiate_pre(&module).unwrap()];
    let memory = pres[0].memory("memory").unwrap();
    for round in 0..10u8 {
        for (i, pre) in pres.iter().enumerate() {
            let mut instance = pre.fresh(()).unwrap();
            let mut bytes = [9; 16];
            // A token serves all instances of its module, whichever pre they come from.
            instance.memory_read(&memory, 1000, &mut bytes).unwrap();
            assert_eq!(bytes, [0; 16]);
            instance.memory_write(&memory, 1000, &[round + i as u8; 16]).unwrap();
        }
    }
}

#[test]
fn writes_all_over_a_large_memory_are_undone() {
    let engine = one_slot();
    let pre = pre(
        &engine,
        r#"(module (memory (export "memory") 256)
          (data (i32.const 0) "near") (data (i32.const 9000000) "far") (data (i32.const 16777200) "the very end!")
          (func (export "stride") (param $by i32) (local $at i32)
            (loop $again
              (i32.store8 (local.get $at) (i32.const 0xff))
              (local.set $at (i32.add (local.get $at) (local.get $by)))
              (br_if $again (i32.lt_u (local.get $at) (i32.const 16777216))))))"#,
    );
    let stride = pre.export::<u32, ()>("stride").unwrap();
    for by in [1 << 20, 65_536, 4096, 4099, 256, 255, 16_777_215, 1009] {
        leaves_nothing(&pre, |pre| pre.call((), &stride, by).unwrap());
    }
}

#[test]
fn a_memory_that_another_instance_exports_is_reset_when_both_go() {
    let engine: Engine = kit::paranoid();
    let exporter = pre(&engine, GROWING);
    let importer = module(
        &engine,
        r#"(module (import "m" "memory" (memory 1 5))
          (data (i32.const 500) "imported")
          (func (export "write") (param i32)
            (i64.store (local.get 0) (i64.const -1)) (i64.store offset=9 (local.get 0) (i64.const -1))
            (drop (memory.grow (i32.const 1))) (i64.store (i32.const 65533) (i64.const -1))
            (memory.fill (i32.const 3000) (i32.const 1) (i32.const 2000))))"#,
    );
    for at in [0, 247, 255, 4090] {
        leaves_nothing(&exporter, |exporter| {
            let mut store = Store::new(&engine, ());
            let instance = exporter.instantiate(&mut store).unwrap();
            let mut linker = Linker::new(&engine);
            linker.instance(&mut store, "m", instance).unwrap();
            let user = linker.instantiate(&mut store, &importer).unwrap();
            let write = user.typed_func::<u32, ()>(&mut store, "write").unwrap();
            write.call(&mut store, at).unwrap();
        });
    }
}
