//! What does not fit is refused with the limit, its value and what was asked for; and who was refused goes on.

use instar::{
    DirtyTracking, Engine, ErrorKind, Func, Global, GlobalType, InstancePre, Linker, Memory, MemoryType, Module,
    ModuleOptions, RefType, Store, Table, TableType, Val, ValType,
};

use crate::kit::{self, MODES, alone, fails, module, pre};

const TRACKING: [DirtyTracking; 4] =
    [DirtyTracking::Lines, DirtyTracking::Touched, DirtyTracking::Pages, DirtyTracking::Off];

#[test]
fn a_module_that_does_not_fit_is_refused_when_it_is_prepared_whatever_its_memories_are() {
    let engine = kit::engine(|config| {
        config.max_memory_pages(3).max_table_elements(20).wasm_custom_page_sizes(true);
    });
    // What it needs is in the error: pages of 64 KiB, or bytes where pages are bytes.
    for (text, words) in [
        ("(memory 4)", &["max_memory_pages", "3", "4"][..]),
        ("(memory i64 4)", &["max_memory_pages", "3", "4"]),
        ("(memory i64 0x1000000000000)", &["max_memory_pages", "3"]),
        ("(memory 1) (memory 3) (memory 5)", &["max_memory_pages", "3", "5", "memory 2"]),
        ("(memory 196609 (pagesize 1))", &["max_memory_pages", "3", "196609"]),
        ("(table 21 funcref)", &["max_table_elements", "20", "21"]),
        ("(table i64 21 externref)", &["max_table_elements", "20", "21"]),
        (
            "(table 20 funcref) (table 3 externref) (table 4000000000 funcref)",
            &["max_table_elements", "20", "4000000000", "table 2"],
        ),
    ] {
        let module = module(&engine, format!("(module {text} (func (export \"f\")))"));
        let linker = Linker::<()>::new(&engine);
        let error = fails(linker.instantiate_pre(&module), ErrorKind::Limit);
        for word in words {
            assert!(error.message().contains(word), "{text}: `{error}` lacks `{word}`");
        }
        let mut store = Store::new(&engine, ());
        fails(linker.instantiate(&mut store, &module), ErrorKind::Limit);
        // The store is as good as before.
        Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
    }
    // Just what the limits allow.
    for text in
        ["(memory 3)", "(memory i64 3)", "(memory 196608 (pagesize 1))", "(memory 1) (memory 2)", "(table 20 funcref)"]
    {
        drop(pre(&engine, format!("(module {text})")).fresh(()).unwrap());
    }
    assert_eq!(engine.live_instances(), 0);
}

const SERVICE: &str = r#"(module (memory (export "memory") 1) (global $g (mut i32) (i32.const 5))
  (func (export "f") (result i32) (global.set $g (i32.add (global.get $g) (i32.const 1)))
    (i32.store (i32.const 100) (global.get $g)) (global.get $g))
  (func (export "alloc") (param i32) (result i32) (i32.const 0))
  (func (export "echo") (param i32 i32) (result i64) (i64.extend_i32_u (local.get 1))))"#;

/// Every door into an exhausted pool is shut with the same error, as often as one knocks, from any number of threads; who is
/// inside goes on; and when one goes there is room for one.
#[test]
fn an_exhausted_pool_refuses_at_every_door_and_harms_nobody_inside() {
    for mode in MODES {
        let engine = mode.engine_with(|config| {
            config.max_instances(3);
        });
        let pre = pre(&engine, SERVICE);
        let f = pre.export::<(), i32>("f").unwrap();
        let echo = pre.bytes_func("echo").unwrap();
        let raw = pre.func("f").unwrap();
        let mut inside: Vec<_> = (0..3).map(|_| pre.fresh(()).unwrap()).collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let full = |error: instar::Error| {
                            assert_eq!(error.kind(), ErrorKind::PoolExhausted, "{error}");
                            assert!(error.message().contains("all 3 instances"), "{error}");
                            assert!(error.message().contains("max_instances"), "{error}");
                        };
                        full(pre.fresh(()).map(drop).unwrap_err());
                        full(pre.call((), &f, ()).unwrap_err());
                        full(pre.call_raw((), &raw, &mut [0]).unwrap_err());
                        full(pre.call_bytes((), &echo, b"bytes").unwrap_err());
                        full(pre.shared(()).map(drop).unwrap_err());
                        let mut store = Store::new(&engine, ());
                        full(pre.instantiate(&mut store).unwrap_err());
                        full(Linker::new(&engine).instantiate(&mut store, pre.module()).unwrap_err());
                        full(Memory::new(&mut store, MemoryType::new(1, None)).unwrap_err());
                        let table = TableType::new(RefType::FUNCREF, 1, None);
                        full(Table::new(&mut store, table, Val::FuncRef(None)).unwrap_err());
                        let global = GlobalType { content: ValType::I32, mutable: true };
                        full(Global::new(&mut store, global, Val::I32(0)).unwrap_err());
                        full(Func::wrap(&mut store, || ()).unwrap_err());
                    }
                });
            }
            for round in 6..30 {
                for instance in &mut inside {
                    assert_eq!(instance.call(&f, ()).unwrap(), round, "{}", mode.name);
                }
            }
        });
        assert_eq!(engine.live_instances(), 3, "{}", mode.name);
        inside.pop();
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        fails(pre.fresh(()).map(drop), ErrorKind::PoolExhausted);
        assert_eq!(instance.typed_func::<(), i32>(&mut store, "f").unwrap().call(&mut store, ()).unwrap(), 6);
        drop((inside, store));
        assert_eq!(engine.live_instances(), 0, "{}", mode.name);
    }
}

const GROWING: &str = r#"(module (memory (export "memory") 2 16384) (table $t (export "table") 3 funcref) (elem declare func $f) (func $f)
  (data (i32.const 4000) "some of the image")
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "size") (result i32) (memory.size))
  (func (export "grow table") (param i32) (result i32) (table.grow $t (ref.func $f) (local.get 0)))
  (func (export "table size") (result i32) (table.size $t))
  (func (export "store") (param i32) (i64.store (local.get 0) (i64.const -1)))
  (func (export "load") (param i32) (result i64) (i64.load (local.get 0))))"#;

/// An instance to which growth was refused has all that it had, and works; so does its slot after it.
fn goes_on_after(pre: &InstancePre<()>, what: &str, refused: u32, allowed: u32) {
    let call = |name| pre.export::<u32, i32>(name).unwrap();
    let (grow, store, load) =
        (call("grow"), pre.export::<u32, ()>("store").unwrap(), pre.export::<u32, i64>("load").unwrap());
    let size = pre.export::<(), i32>("size").unwrap();
    let memory = pre.memory("memory").unwrap();
    for round in 0..3 {
        let mut instance = pre.fresh(()).unwrap();
        assert_eq!(instance.call(&load, 4000).unwrap(), i64::from_le_bytes(*b"some of "), "{what}");
        assert_eq!(instance.call(&load, 131_064).unwrap(), 0, "{what}");
        instance.call(&store, 4090).unwrap();
        instance.call(&store, 131_064).unwrap();
        for _ in 0..3 {
            assert_eq!(instance.call(&grow, refused).unwrap(), -1, "{what}, round {round}");
            fails(instance.memory_grow(&memory, u64::from(refused)), ErrorKind::Limit);
            assert_eq!(instance.call(&size, ()).unwrap(), 2, "{what}");
            assert_eq!(instance.call(&load, 4090).unwrap(), -1, "{what}");
            assert_eq!(instance.call(&load, 131_064).unwrap(), -1, "{what}");
            assert!(instance.call(&load, 131_072).is_err(), "{what}: what was refused can be read");
            instance.call(&store, 9000 + round).unwrap();
        }
        assert_eq!(instance.call(&grow, allowed).unwrap(), 2, "{what}: growth by less");
        instance.call(&store, 131_072).unwrap();
        assert_eq!(instance.call(&grow, refused).unwrap(), -1, "{what}");
        assert_eq!(instance.call(&load, 131_072).unwrap(), -1, "{what}");
    }
}

#[test]
fn growth_that_a_limit_refuses_leaves_the_instance_running_in_every_mode() {
    for mode in MODES {
        let engine = mode.engine_with(|config| {
            config.max_instances(1).max_memory_pages(8).max_table_elements(40);
        });
        let pre = pre(&engine, GROWING);
        goes_on_after(&pre, mode.name, 7, 6);
        let (grow, size) =
            (pre.export::<u32, i32>("grow table").unwrap(), pre.export::<(), i32>("table size").unwrap());
        for _ in 0..2 {
            let mut instance = pre.fresh(()).unwrap();
            for by in [38, 1 << 20, u32::MAX] {
                assert_eq!(instance.call(&grow, by).unwrap(), -1, "{}", mode.name);
                assert_eq!(instance.call(&size, ()).unwrap(), 3, "{}", mode.name);
            }
            assert_eq!(instance.call(&grow, 37).unwrap(), 3, "{}", mode.name);
            assert_eq!(instance.call(&grow, 1).unwrap(), -1, "{}", mode.name);
        }
    }
}

/// Lets this process have no more than so many bytes of writable memory beyond what it has.
fn limit_data(more: u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmData:")).expect("Linux says it");
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    let limit = libc::rlimit { rlim_cur: (kib << 10) + more, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: a limit of this process, from a value that lives.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_DATA, &raw const limit) }, 0);
}

fn tracked(engine: &Engine, tracking: DirtyTracking, text: &str) -> InstancePre<()> {
    let options = ModuleOptions::new().dirty_tracking(tracking).clone();
    Linker::new(engine).instantiate_pre(&Module::with_options(engine, &options, text).unwrap()).unwrap()
}

#[test]
fn growth_that_the_system_refuses_leaves_the_instance_running() {
    alone("refusals::growth_that_the_system_refuses_leaves_the_instance_running", || {
        for tracking in TRACKING {
            for reservation in [4 << 30, 0] {
                let engine = kit::engine(|config| {
                    config.max_instances(1).memory_reservation(reservation);
                });
                let pre = tracked(&engine, tracking, GROWING);
                drop(pre.fresh(()).unwrap());
                limit_data(128 << 20);
                // 512 MiB, and half a MiB.
                goes_on_after(&pre, &format!("{tracking:?}, reservation {reservation:#x}"), 8192, 8);
                limit_data(8 << 30);
                let grow = pre.export::<u32, i32>("grow").unwrap();
                assert_eq!(pre.call((), &grow, 8192).unwrap(), 2, "{tracking:?}: there is memory again");
            }
        }
    });
}

#[test]
fn an_instance_for_which_the_system_has_no_memory_is_an_error_and_later_there_is_one() {
    alone("refusals::an_instance_for_which_the_system_has_no_memory_is_an_error_and_later_there_is_one", || {
        for tracking in TRACKING {
            let engine = kit::engine(|config| {
                // Nothing of 1 GiB is compared byte by byte here.
                config.paranoid(false).max_instances(8);
            });
            let large = tracked(&engine, tracking, &GROWING.replace("2 16384", "16384 16384"));
            let small = tracked(&engine, tracking, GROWING);
            let load = small.export::<u32, i64>("load").unwrap();
            drop(small.fresh(()).unwrap());
            limit_data(200 << 20);
            for _ in 0..5 {
                fails(large.fresh(()).map(drop), ErrorKind::Os);
                let mut store = Store::new(&engine, ());
                fails(large.instantiate(&mut store).map(drop), ErrorKind::Os);
                // The others do not notice.
                assert_eq!(small.call((), &load, 4000).unwrap(), i64::from_le_bytes(*b"some of "));
            }
            assert_eq!(engine.live_instances(), 0, "{tracking:?}: what failed still counts");
            limit_data(16 << 30);
            let all: Vec<_> = (0..8).map(|_| large.fresh(()).unwrap()).collect();
            fails(large.fresh(()).map(drop), ErrorKind::PoolExhausted);
            drop(all);
        }
    });
}
