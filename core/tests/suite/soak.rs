//! Many operations in every way of tracking writes: resident memory, mappings and open files stay level, and go back to
//! where they were when the engine goes. `make soak` runs the long ones: 10 million operations in each mode.

use instar::{DirtyTracking, Engine, InstancePre, Linker, Module, ModuleOptions, SharedInstance, Store};

use crate::kit::{alone, traps};
use crate::leaks::{Held, held, level, plain};

const MODES: [DirtyTracking; 4] =
    [DirtyTracking::Lines, DirtyTracking::Touched, DirtyTracking::Pages, DirtyTracking::Off];

const EMPTY: &str = r#"(module (func (export "go") (param i32) (result i32) (local.get 0)))"#;

/// Writes all over two memories and a table; traps and grows now and then.
const WRITING: &str = r#"(module (memory (export "memory") 3 12) (memory $wide i64 1 4) (table $t 3 50 funcref) (elem (i32.const 0) func $go)
  (data (i32.const 5000) "some data") (data (memory $wide) (i64.const 9000) "some more") (data $p "passive")
  (global $g (mut i64) (i64.const 0))
  (func $rec (result i32) (i32.add (i32.const 1) (call $rec)))
  (func $go (export "go") (param $n i32) (result i32) (local $m i32)
    (global.set $g (i64.const 1))
    (i32.store (i32.mul (local.get $n) (i32.const 8)) (i32.const -1))
    (i64.store $wide (i64.extend_i32_u (local.get $n)) (i64.const -1))
    (memory.fill (i32.const 4090) (i32.const 9) (i32.const 20))
    (local.set $m (i32.rem_u (local.get $n) (i32.const 32)))
    (if (i32.eq (local.get $m) (i32.const 1)) (then
      (drop (memory.grow (i32.const 2))) (i32.store8 (i32.const 300000) (i32.const 1))
      (drop (memory.grow $wide (i64.const 1))) (i32.store8 $wide (i64.const 100000) (i32.const 1))))
    (if (i32.eq (local.get $m) (i32.const 2)) (then (drop (table.grow $t (ref.null func) (i32.const 20)))))
    (if (i32.eq (local.get $m) (i32.const 3)) (then (memory.init $p (i32.const 9) (i32.const 0) (i32.const 7)) (data.drop $p)))
    (if (i32.eq (local.get $m) (i32.const 4)) (then unreachable))
    (if (i32.eq (local.get $m) (i32.const 5)) (then (drop (memory.grow (i32.const 100)))))
    (if (i32.eq (i32.rem_u (local.get $n) (i32.const 512)) (i32.const 6)) (then (return (call $rec))))
    (i32.const 7)))"#;

/// An instance that traps when it starts, after it wrote and grew.
const FAILING: &str = r#"(module (memory 1 4) (data (i32.const 100) "x")
  (func $start (i32.store (i32.const 70) (i32.const 1)) (drop (memory.grow (i32.const 1)))
    (i32.store (i32.const 70000) (i32.const 1)) unreachable) (start $start))"#;

fn artifact(tracking: DirtyTracking, text: &str) -> Vec<u8> {
    let options = ModuleOptions::new().dirty_tracking(tracking).clone();
    plain().precompile_module_with(&options, text.as_bytes()).unwrap()
}

fn load(engine: &Engine, artifact: &[u8]) -> InstancePre<()> {
    // SAFETY: it was made just now.
    let module = unsafe { Module::deserialize(engine, artifact) }.unwrap();
    Linker::new(engine).instantiate_pre(&module).unwrap()
}

/// `count` operations, a part of them on other threads and through other doors.
fn operate(engine: &Engine, pres: &[InstancePre<()>; 3], count: usize) {
    let [empty, writing, failing] = pres;
    let (nothing, go) = (empty.export::<u32, u32>("go").unwrap(), writing.export::<u32, u32>("go").unwrap());
    let memory = writing.memory("memory").unwrap();
    for i in 0..count {
        let n = (i % 8000) as u32;
        match i % 16 {
            0..6 => assert_eq!(empty.call((), &nothing, n).unwrap(), n),
            6..13 => drop(writing.call((), &go, n)),
            13 => {
                let mut instance = writing.fresh(()).unwrap();
                instance.memory_write(&memory, 6000, &[1; 5000]).unwrap();
                if i % 256 == 13 {
                    let _ = instance.memory_grow(&memory, 1);
                }
                let _ = instance.call(&go, n);
            }
            14 => {
                let mut store = Store::new(engine, ());
                let instance = writing.instantiate(&mut store).unwrap();
                let memory = instance.memory(&mut store, "memory").unwrap();
                memory.slice_mut(&mut store, 100..9000).unwrap().fill(1);
                if i % 128 == 14 {
                    traps(failing.instantiate(&mut store).map(drop), instar::TrapCode::Unreachable);
                }
            }
            _ => {
                let shared = writing.shared(()).unwrap();
                let _ = shared.enter().unwrap().call(&go, n);
                match i % 48 {
                    15 => drop(shared),
                    31 => shared.close().unwrap(),
                    _ => {
                        let (cell, id) = shared.into_raw();
                        // SAFETY: the engine is alive.
                        unsafe { SharedInstance::<()>::close_raw(cell, id) }.unwrap();
                    }
                }
                if i % 256 == 15 {
                    traps(failing.fresh(()).map(drop), instar::TrapCode::Unreachable);
                }
            }
        }
    }
}

#[track_caller]
fn assert_level(what: &str, before: Held, after: Held, resident_kib: i64) {
    println!("{what}: {before:?} {after:?}");
    assert!(after.resident_kib - before.resident_kib < resident_kib, "{what}: {before:?} {after:?}");
    assert!((after.mappings - before.mappings).abs() < 20, "{what}: {before:?} {after:?}");
    assert_eq!(after.files, before.files, "{what}");
}

fn operations(count: usize) {
    for tracking in MODES {
        let artifacts = [EMPTY, WRITING, FAILING].map(|text| artifact(tracking, text));
        let round = |count: usize, threads: usize| {
            let engine = plain();
            let pres = artifacts.each_ref().map(|artifact| load(&engine, artifact));
            operate(&engine, &pres, count / 10);
            let before = held();
            operate(&engine, &pres, count - count / 10);
            assert_level(&format!("{tracking:?}, {count} operations"), before, held(), 2_000);
            std::thread::scope(|scope| {
                (0..threads).for_each(|_| drop(scope.spawn(|| operate(&engine, &pres, count / 20))));
            });
            assert_eq!(engine.live_instances(), 0);
        };
        // What the process needs once: threads, handlers, the allocator's own.
        round(2_000, 4);
        let before = held();
        round(count, 4);
        assert_level(&format!("{tracking:?}, after the engine"), before, held(), 4_000);
    }
}

#[test]
fn operations_in_every_mode_leave_nothing_behind() {
    alone("soak::operations_in_every_mode_leave_nothing_behind", || operations(50_000));
}

#[test]
#[ignore = "takes minutes: `make soak` runs it"]
fn ten_million_operations_in_every_mode_leave_nothing_behind() {
    alone("soak::ten_million_operations_in_every_mode_leave_nothing_behind", || operations(10_000_000));
}

/// Modules are loaded and dropped in one engine, each used a little.
fn loads(rounds: usize) {
    for tracking in MODES {
        let engine = plain();
        let artifacts = [EMPTY, WRITING, FAILING].map(|text| artifact(tracking, text));
        level(rounds, 6_000, |i| {
            let pres = artifacts.each_ref().map(|artifact| load(&engine, artifact));
            operate(&engine, &pres, 16);
            let kept = pres[1].fresh(()).unwrap();
            match i % 2 {
                0 => drop((pres, kept)),
                _ => drop((kept, pres)),
            }
        });
    }
}

#[test]
fn modules_that_are_loaded_and_dropped_leave_nothing_behind() {
    alone("soak::modules_that_are_loaded_and_dropped_leave_nothing_behind", || loads(40));
}

#[test]
#[ignore = "takes minutes: `make soak` runs it"]
fn ten_thousand_modules_that_are_loaded_and_dropped_leave_nothing_behind() {
    alone("soak::ten_thousand_modules_that_are_loaded_and_dropped_leave_nothing_behind", || loads(1_000));
}

fn engines(rounds: usize) {
    for tracking in MODES {
        let artifacts = [EMPTY, WRITING, FAILING].map(|text| artifact(tracking, text));
        level(rounds, 8_000, |_| {
            let engine = plain();
            let pres = artifacts.each_ref().map(|artifact| load(&engine, artifact));
            operate(&engine, &pres, 32);
        });
    }
}

#[test]
fn engines_that_come_and_go_leave_nothing_behind() {
    alone("soak::engines_that_come_and_go_leave_nothing_behind", || engines(20));
}

#[test]
#[ignore = "takes minutes: `make soak` runs it"]
fn a_thousand_engines_that_come_and_go_leave_nothing_behind() {
    alone("soak::a_thousand_engines_that_come_and_go_leave_nothing_behind", || engines(100));
}

/// An engine keeps the function types that its modules have used, until it goes: what each costs is bounded.
#[test]
fn types_that_only_one_module_had_cost_an_engine_little() {
    alone("soak::types_that_only_one_module_had_cost_an_engine_little", || {
        let engine = plain();
        let types = ["i32", "i64", "f32", "f64"];
        let text = |i: usize| {
            let params: String = (0..8).map(|place| format!("{} ", types[i >> (2 * place) & 3])).collect();
            format!("(module (func (export \"f\") (param {params})))")
        };
        let load = |i: usize| drop(Module::new(&engine, text(i)).unwrap());
        (0..100).for_each(load);
        let before = held();
        let count = 1_000;
        (100..100 + count).for_each(load);
        let after = held();
        println!("{} bytes for each type", (after.resident_kib - before.resident_kib) * 1024 / count as i64);
        assert_level("types", before, after, 4 * count as i64);
        drop(engine);
        assert_eq!(held().files, before.files);
    });
}
