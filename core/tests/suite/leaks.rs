//! Nothing is left behind: memory, mappings and file descriptors stay level. Each test has a process of its own, since
//! those are the process's.

use instar::{Caller, Engine, ExternRef, Func, InstancePre, Linker, Memory, MemoryType, SharedMemory, Store};

use crate::kit::{alone, engine, module};

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    resident_kib: i64,
    mappings: i64,
    files: i64,
}

fn held() -> Held {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: i64 = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    Held {
        resident_kib: pages * 4,
        mappings: std::fs::read_to_string("/proc/self/maps").unwrap().lines().count() as i64,
        files: std::fs::read_dir("/proc/self/fd").unwrap().count() as i64,
    }
}

/// Runs `body` a number of times to warm up, then ten times as often, and compares.
fn level(rounds: usize, resident_kib: i64, mut body: impl FnMut(usize)) {
    (0..rounds).for_each(&mut body);
    let before = held();
    (0..rounds * 10).for_each(&mut body);
    let after = held();
    println!("{before:?} {after:?}");
    assert!(after.resident_kib - before.resident_kib < resident_kib, "{before:?} {after:?}");
    assert!((after.mappings - before.mappings).abs() < 20, "{before:?} {after:?}");
    assert_eq!(after.files, before.files);
}

fn plain() -> Engine {
    engine(|config| {
        config.paranoid(false).cranelift_debug_verifier(false);
    })
}

const TEXT: &str = r#"(module (import "h" "f" (func $f (param i32) (result i32)))
  (memory (export "memory") 2 10) (data (i32.const 5000) "some data") (table $t (export "t") 3 50 funcref) (elem (i32.const 0) func $go)
  (global $g (mut externref) (ref.null extern)) (data $p "passive")
  (func $rec (result i32) (i32.add (i32.const 1) (call $rec)))
  (func (export "keep") (param externref) (global.set $g (local.get 0)))
  (func (export "alloc") (param i32) (result i32) (i32.const 1000))
  (func (export "echo") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1))))
  (func $go (export "go") (param i32) (result i32)
    (i32.store (local.get 0) (i32.const -1))
    (if (i32.and (local.get 0) (i32.const 1)) (then (drop (memory.grow (i32.const 2))) (i32.store8 (i32.const 200000) (i32.const 1))))
    (if (i32.and (local.get 0) (i32.const 2)) (then (drop (table.grow $t (ref.null func) (i32.const 20)))))
    (if (i32.and (local.get 0) (i32.const 4)) (then (memory.init $p (i32.const 9) (i32.const 0) (i32.const 7)) (data.drop $p)))
    (if (i32.eq (i32.rem_u (local.get 0) (i32.const 31)) (i32.const 5)) (then unreachable))
    (if (i32.eq (i32.rem_u (local.get 0) (i32.const 31)) (i32.const 6)) (then (drop (call $rec))))
    (call $f (local.get 0))))"#;

fn prepare(engine: &Engine) -> InstancePre<String> {
    let mut linker = Linker::<String>::new(engine);
    linker
        .func_wrap("h", "f", |mut caller: Caller<'_, String>, n: u32| -> instar::Result<u32> {
            if n % 31 == 7 {
                return Err(instar::Error::host("no"));
            }
            caller.data_mut().push_str("more text than fits in place");
            Ok(caller.data().len() as u32)
        })
        .unwrap();
    linker.instantiate_pre(&module(engine, TEXT)).unwrap()
}

#[test]
fn two_hundred_thousand_operations_leave_nothing_behind() {
    alone("leaks::two_hundred_thousand_operations_leave_nothing_behind", || {
        let engine = plain();
        let pre = prepare(&engine);
        let go = pre.export::<u32, u32>("go").unwrap();
        let echo = pre.bytes_func("echo").unwrap();
        level(4_500, 2_000, |i| {
            let i = i as u32;
            let _ = pre.call("data".to_owned(), &go, i % 60_000);
            let mut owned = pre.fresh(String::new()).unwrap();
            let _ = owned.call(&go, i % 60_000);
            let _ = owned.call_bytes(&echo, &[1; 300]).unwrap();
            drop(owned);
            let shared = pre.shared(String::new()).unwrap();
            let _ = shared.enter().unwrap().call(&go, i % 1000);
            match i % 3 {
                0 => shared.close().unwrap(),
                _ => drop(shared),
            }
            if i.is_multiple_of(4) {
                let mut store = Store::new(&engine, "data".to_owned());
                let instance = pre.instantiate(&mut store).unwrap();
                let object = ExternRef::new(&mut store, vec![0u8; 1000]);
                let keep = instance.func(&mut store, "keep").unwrap();
                keep.call(&mut store, &[instar::Val::ExternRef(Some(object))], &mut []).unwrap();
                let held = vec![7u8; 2000];
                let made = Func::wrap(&mut store, move || held.len() as u32).unwrap();
                instance.table(&mut store, "t").unwrap().set(&mut store, 1, made.into()).unwrap();
                Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
            }
        });
    });
}

#[test]
fn two_thousand_engines_modules_and_pres_leave_nothing_behind() {
    alone("leaks::two_thousand_engines_modules_and_pres_leave_nothing_behind", || {
        level(200, 8_000, |i| {
            let engine = plain();
            let pre = prepare(&engine);
            let go = pre.export::<u32, u32>("go").unwrap();
            let _ = pre.call(String::new(), &go, i as u32);
            let instances: Vec<_> = (0..3).map(|_| pre.fresh("data".to_owned()).unwrap()).collect();
            let mut store = Store::new(&engine, String::new());
            pre.instantiate(&mut store).unwrap();
            Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
            match i % 3 {
                0 => drop((engine, pre, instances, store)),
                1 => drop((store, instances, pre, engine)),
                _ => drop((pre, engine, store, instances)),
            }
        });
    });
}

#[test]
fn modules_and_pres_of_one_engine_leave_nothing_behind() {
    alone("leaks::modules_and_pres_of_one_engine_leave_nothing_behind", || {
        let engine = plain();
        level(150, 8_000, |i| {
            let pre = prepare(&engine);
            let go = pre.export::<u32, u32>("go").unwrap();
            let _ = pre.call(String::new(), &go, i as u32);
            let shared = pre.shared(String::new()).unwrap();
            drop((pre, shared));
        });
        drop(engine);
    });
}

#[test]
fn modules_that_are_refused_leave_nothing_behind() {
    alone("leaks::modules_that_are_refused_leave_nothing_behind", || {
        let engine = plain();
        let wasm = wat::parse_str(TEXT).unwrap();
        level(300, 8_000, |i| {
            let mut wasm = wasm.clone();
            let at = 8 + i * 7919 % (wasm.len() - 8);
            wasm[at] ^= 0x55;
            let _ = instar::Module::new(&engine, &wasm);
            let _ = instar::Module::new(&engine, &wasm[..at]);
        });
    });
}

#[test]
fn threads_that_come_and_go_leave_nothing_behind() {
    alone("leaks::threads_that_come_and_go_leave_nothing_behind", || {
        let engine = plain();
        let pre = prepare(&engine);
        let go = pre.export::<u32, u32>("go").unwrap();
        level(200, 8_000, |i| {
            std::thread::scope(|scope| {
                for n in 0..2 {
                    let (pre, go) = (&pre, &go);
                    scope.spawn(move || pre.call(String::new(), go, (i * 2 + n) as u32).is_ok());
                }
            });
        });
    });
}

#[test]
fn shared_memories_leave_nothing_behind() {
    alone("leaks::shared_memories_leave_nothing_behind", || {
        let engine = plain();
        let text = r#"(module (memory (export "memory") 1 9 shared) (data (i32.const 0) "image")
          (func (export "go") (result i32) (i32.store (i32.const 70000) (memory.grow (i32.const 1))) (memory.size)))"#;
        let definer = Linker::<()>::new(&engine).instantiate_pre(&module(&engine, text)).unwrap();
        let go = definer.export::<(), u32>("go").unwrap();
        let text = r#"(module (import "" "" (memory 1 9 shared))
          (func (export "go") (result i32) (i32.atomic.store (i32.const 70000) (memory.grow (i32.const 1)))
            (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const 1))))"#;
        let importer = module(&engine, text);
        level(200, 8_000, |i| {
            let _ = definer.call((), &go, ());
            let mut store = Store::new(&engine, ());
            let instance = definer.instantiate(&mut store).unwrap();
            let memories = [
                SharedMemory::new(&engine, MemoryType::shared(1, 9)).unwrap(),
                instance.shared_memory(&mut store, "memory").unwrap(),
            ];
            let mut linker = Linker::new(&engine);
            linker.define(&mut store, "", "", memories[i % 2].clone()).unwrap();
            let pre = linker.instantiate_pre(&importer).unwrap();
            let _ = pre.call((), &pre.export::<(), u32>("go").unwrap(), ());
            let importing = pre.instantiate(&mut store).unwrap();
            let _ = importing.typed_func::<(), u32>(&mut store, "go").unwrap().call(&mut store, ());
            match i % 3 {
                0 => drop((store, linker, pre, memories)),
                1 => drop((memories, pre, linker, store)),
                _ => drop((pre, memories, store, linker)),
            }
        });
    });
}
