//! Limits are kept, by default too, and say what they are.

use instar::{
    Config, Engine, ErrorKind, Func, Global, GlobalType, InstancePre, Linker, Memory, MemoryType, Module, RefType,
    Store, Table, TableType, TrapCode, Val, ValType,
};

use crate::kit::{self, alone, engine, fails, module, paranoid, pre, traps};

const SMALL: &str = "(module (memory (export \"memory\") 1) (func (export \"f\") (result i32) (i32.const 1)))";

fn few(instances: usize) -> Engine {
    engine(|config| {
        config.max_instances(instances);
    })
}

#[test]
fn when_all_instances_are_in_use_the_next_is_refused_with_the_reason_and_later_there_is_room_again() {
    let engine = few(3);
    let pre = pre(&engine, SMALL);
    for _ in 0..3 {
        let mut instances: Vec<_> = (0..3).map(|_| pre.fresh(()).unwrap()).collect();
        assert_eq!(engine.live_instances(), 3);
        for _ in 0..3 {
            let error = fails(pre.fresh(()).map(drop), ErrorKind::PoolExhausted);
            assert!(error.message().contains("all 3 instances"), "{error}");
            assert!(error.message().contains("close") && error.message().contains("max_instances"), "{error}");
            fails(pre.shared(()).map(drop), ErrorKind::PoolExhausted);
            let mut store = Store::new(&engine, ());
            fails(pre.instantiate(&mut store).map(drop), ErrorKind::PoolExhausted);
            fails(Memory::new(&mut store, MemoryType::new(1, None)), ErrorKind::PoolExhausted);
        }
        assert_eq!(engine.live_instances(), 3);
        instances.pop();
        drop(pre.fresh(()).unwrap());
        assert_eq!(engine.live_instances(), 2);
    }
    assert_eq!(engine.live_instances(), 0);
}

#[test]
fn idle_slots_of_other_pres_make_room() {
    let engine = few(4);
    let pres: Vec<InstancePre<()>> = (0..6).map(|_| pre(&engine, SMALL)).collect();
    for round in 0..3 {
        for pre in &pres {
            let all: Vec<_> = (0..4).map(|_| pre.fresh(()).unwrap()).collect();
            fails(pres[round].fresh(()).map(drop), ErrorKind::PoolExhausted);
            drop(all);
        }
    }
    // With some of them in use, the rest is shared.
    let held = [pres[0].fresh(()).unwrap(), pres[1].fresh(()).unwrap()];
    for pre in &pres {
        let (a, b) = (pre.fresh(()).unwrap(), pre.fresh(()).unwrap());
        fails(pre.fresh(()).map(drop), ErrorKind::PoolExhausted);
        drop((a, b));
    }
    drop(held);
}

#[test]
fn idle_slots_on_other_threads_make_room() {
    let engine = few(4);
    let (a, b) = (pre(&engine, SMALL), pre(&engine, SMALL));
    for _ in 0..4 {
        std::thread::scope(|scope| {
            scope.spawn(|| drop((0..4).map(|_| a.fresh(()).unwrap()).collect::<Vec<_>>()));
        });
        drop((0..4).map(|_| b.fresh(()).unwrap()).collect::<Vec<_>>());
        drop((0..4).map(|_| a.fresh(()).unwrap()).collect::<Vec<_>>());
    }
}

#[test]
fn host_made_things_and_failed_instances_count_and_go_back() {
    let engine = few(4);
    let failing = pre(&engine, "(module (func $s unreachable) (start $s))");
    for _ in 0..5 {
        let mut store = Store::new(&engine, ());
        Func::wrap(&mut store, || ()).unwrap();
        Memory::new(&mut store, MemoryType::new(0, None)).unwrap();
        let ty = GlobalType { content: ValType::I32, mutable: true };
        Global::new(&mut store, ty, Val::I32(0)).unwrap();
        traps(failing.instantiate(&mut store).map(drop), TrapCode::Unreachable);
        fails(failing.instantiate(&mut store).map(drop), ErrorKind::PoolExhausted);
        assert_eq!(engine.live_instances(), 4);
    }
    for _ in 0..20 {
        traps(failing.fresh(()).map(drop), TrapCode::Unreachable);
    }
    assert_eq!(engine.live_instances(), 0);
}

const GROWING: &str = r#"(module (memory (export "memory") 1) (table (export "table") 1 funcref)
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "grow table") (param i32) (result i32) (table.grow (ref.null func) (local.get 0))))"#;

#[test]
fn a_memory_grows_up_to_the_engines_limit_whatever_the_module_allows() {
    let engine = engine(|config| {
        config.max_memory_pages(5);
    });
    for text in [GROWING.to_owned(), GROWING.replace("\"memory\") 1", "\"memory\") 1 100")] {
        let pre = pre(&engine, text);
        let grow = pre.export::<u32, i32>("grow").unwrap();
        let mut instance = pre.fresh(()).unwrap();
        assert_eq!(instance.call(&grow, 5).unwrap(), -1);
        assert_eq!(instance.call(&grow, u32::MAX).unwrap(), -1);
        assert_eq!(instance.call(&grow, 4).unwrap(), 1);
        assert_eq!(instance.call(&grow, 1).unwrap(), -1);
        assert_eq!(instance.call(&grow, 0).unwrap(), 5);
        let memory = pre.memory("memory").unwrap();
        let error = fails(instance.memory_grow(&memory, 1), ErrorKind::Limit);
        assert!(error.message().contains("max_memory_pages"), "{error}");
        fails(instance.memory_grow(&memory, u64::MAX), ErrorKind::Limit);
    }
    let mut store = Store::new(&engine, ());
    let memory = Memory::new(&mut store, MemoryType::new(5, None)).unwrap();
    fails(memory.grow(&mut store, 1), ErrorKind::Limit);
}

#[test]
fn a_table_grows_up_to_the_engines_limit_whatever_the_module_allows() {
    let engine = engine(|config| {
        config.max_table_elements(10);
    });
    let pre = pre(&engine, GROWING);
    let grow = pre.export::<u32, i32>("grow table").unwrap();
    let mut instance = pre.fresh(()).unwrap();
    assert_eq!(instance.call(&grow, 10).unwrap(), -1);
    assert_eq!(instance.call(&grow, u32::MAX).unwrap(), -1);
    assert_eq!(instance.call(&grow, 9).unwrap(), 1);
    assert_eq!(instance.call(&grow, 1).unwrap(), -1);
    drop(instance);
    assert_eq!(pre.call((), &grow, 9).unwrap(), 1, "the next instance starts small again");
    let mut store = Store::new(&engine, ());
    let ty = TableType::new(RefType::FUNCREF, 3, Some(1000));
    let table = Table::new(&mut store, ty, Val::FuncRef(None)).unwrap();
    let error = fails(table.grow(&mut store, 8, Val::FuncRef(None)), ErrorKind::Limit);
    assert!(error.message().contains("max_table_elements"), "{error}");
    assert_eq!(table.grow(&mut store, 7, Val::FuncRef(None)).unwrap(), 3);
}

#[test]
fn a_module_that_needs_more_than_the_limit_at_once_is_refused_when_it_is_prepared() {
    let engine = engine(|config| {
        config.max_memory_pages(7).max_table_elements(30);
    });
    let linker = Linker::<()>::new(&engine);
    let refused = |text: &str, words: &[&str]| {
        let module = module(&engine, text);
        let mut store = Store::new(&engine, ());
        for error in [
            fails(linker.instantiate_pre(&module), ErrorKind::Limit),
            fails(linker.instantiate(&mut store, &module), ErrorKind::Limit),
        ] {
            for word in words {
                assert!(error.message().contains(word), "`{error}` lacks `{word}`");
            }
        }
    };
    refused("(module (memory 8))", &["max_memory_pages", "7", "8"]);
    refused("(module (memory 65536))", &["max_memory_pages", "7", "65536"]);
    refused("(module (table 31 funcref))", &["max_table_elements", "30", "31"]);
    refused("(module (table 1 funcref) (table 40 externref))", &["max_table_elements", "30", "40", "table 1"]);
    for text in ["(module (memory 7))", "(module (table 30 funcref))", "(module (memory 7 65536))"] {
        pre(&engine, text).fresh(()).unwrap();
    }
    let mut store = Store::new(&engine, ());
    let error = fails(Memory::new(&mut store, MemoryType::new(8, None)), ErrorKind::Limit);
    assert!(error.message().contains("max_memory_pages"), "{error}");
    let ty = TableType::new(RefType::FUNCREF, 31, None);
    let error = fails(Table::new(&mut store, ty, Val::FuncRef(None)), ErrorKind::Limit);
    assert!(error.message().contains("max_table_elements"), "{error}");
    assert_eq!(engine.live_instances(), 0);
}

#[test]
fn host_made_things_of_impossible_types_are_errors() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    for (minimum, maximum) in [(2, Some(1)), (65_537, None), (u64::MAX, None), (0, Some(65_537)), (1, Some(u64::MAX))] {
        assert!(Memory::new(&mut store, MemoryType::new(minimum, maximum)).is_err(), "{minimum} {maximum:?}");
    }
    for (minimum, maximum) in [(2, Some(1)), (1 << 32, None), (u64::MAX, None), (0, Some(u64::MAX))] {
        let ty = TableType::new(RefType::FUNCREF, minimum, maximum);
        assert!(Table::new(&mut store, ty, Val::FuncRef(None)).is_err(), "{minimum} {maximum:?}");
    }
    assert_eq!(engine.live_instances(), 0);
}

#[test]
fn configurations_that_make_no_sense_are_refused() {
    type Change = fn(&mut Config) -> &mut Config;
    let refused = |change: Change, word: &str| {
        let mut config = Config::new();
        change(&mut config);
        let error = fails(Engine::new(&config).map(drop), ErrorKind::Config);
        assert!(error.message().contains(word), "{error}");
    };
    refused(|c| c.max_instances(0), "max_instances");
    refused(|c| c.max_wasm_stack(1000), "max_wasm_stack");
    refused(|c| c.max_memory_pages((1 << 30) + 1), "max_memory_pages");
    refused(|c| c.max_memory_pages(u64::MAX), "max_memory_pages");
    refused(|c| c.memory_reservation(u64::MAX), "memory_reservation");
    refused(|c| c.memory_guard_size((1 << 46) + 1), "memory_guard_size");
    refused(|c| c.memory_guard_size(1 << 46), "memory_reservation and memory_guard_size");
    let extremes: [Change; 5] = [
        |c| c.max_instances(usize::MAX),
        |c| c.max_memory_pages(0),
        |c| c.max_table_elements(0),
        |c| c.max_table_elements(u64::MAX),
        |c| c.max_wasm_stack(usize::MAX),
    ];
    for change in extremes {
        let mut config = Config::new();
        change(config.paranoid(true));
        let engine = Engine::new(&config).unwrap();
        let pre = pre(&engine, "(module (func $f (export \"f\") (call $f)))");
        traps(pre.call((), &pre.export::<(), ()>("f").unwrap(), ()), TrapCode::StackOverflow);
    }
}

#[test]
fn memory_up_to_the_largest_size_works_and_ends_where_it_says() {
    alone("limits::memory_up_to_the_largest_size_works_and_ends_where_it_says", || {
        let engine = engine(|config| {
            // The comparison of 4 GiB would make all of it resident.
            config.paranoid(false);
        });
        let pre = pre(
            &engine,
            r#"(module (memory (export "memory") 65535)
              (func (export "grow") (result i32) (memory.grow (i32.const 1)))
              (func (export "store") (param i32) (i32.store8 (local.get 0) (i32.const 1)))
              (func (export "store 1") (param i32) (i32.store8 offset=1 (local.get 0) (i32.const 1)))
              (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
              (func (export "size") (result i32) (memory.size)))"#,
        );
        let grow = pre.export::<(), i32>("grow").unwrap();
        let size = pre.export::<(), u32>("size").unwrap();
        let store = pre.export::<u32, ()>("store").unwrap();
        let beyond = pre.export::<u32, ()>("store 1").unwrap();
        let load = pre.export::<u32, u32>("load").unwrap();
        for _ in 0..3 {
            let mut instance = pre.fresh(()).unwrap();
            traps(instance.call(&store, u32::MAX), TrapCode::MemoryOutOfBounds);
            assert_eq!(instance.call(&grow, ()).unwrap(), 65_535);
            assert_eq!(instance.call(&size, ()).unwrap(), 65_536);
            assert_eq!(instance.call(&grow, ()).unwrap(), -1);
            assert_eq!(instance.call(&load, u32::MAX).unwrap(), 0);
            instance.call(&store, u32::MAX).unwrap();
            instance.call(&store, 1 << 31).unwrap();
            assert_eq!(instance.call(&load, u32::MAX).unwrap(), 1);
            traps(instance.call(&beyond, u32::MAX), TrapCode::MemoryOutOfBounds);
            let memory = pre.memory("memory").unwrap();
            instance.memory_write(&memory, (1 << 32) - 300, &[1; 300]).unwrap();
            fails(instance.memory_write(&memory, (1 << 32) - 299, &[1; 300]), ErrorKind::OutOfBounds);
            fails(instance.memory_write(&memory, u64::MAX, &[1; 3]), ErrorKind::OutOfBounds);
            fails(instance.memory_read(&memory, u64::MAX - 1, &mut [1; 3]), ErrorKind::OutOfBounds);
        }
    });
}

#[test]
fn modules_that_declare_huge_things_never_crash() {
    alone("limits::modules_that_declare_huge_things_never_crash", || {
        let engine = engine(|config| {
            config.paranoid(false).cranelift_debug_verifier(false);
        });
        let linker = Linker::<()>::new(&engine);
        let tables = |n: usize, size: &str| format!("(module {})", format!("(table {size} funcref) ").repeat(n));
        let texts = [
            "(module (memory 65536))".to_owned(),
            "(module (memory 65536) (data (i32.const -2) \"a\"))".to_owned(),
            "(module (memory 65536) (data (i32.const 0) \"a\") (data (i32.const -1) \"b\"))".to_owned(),
            "(module (memory 0 65536) (data (i32.const 0) \"\"))".to_owned(),
            "(module (memory 1) (memory 65536))".to_owned(),
            "(module (memory 65537))".to_owned(),
            tables(1, "1000000"),
            tables(1, "10000000"),
            tables(1, "4294967295"),
            tables(100, "1000000"),
            tables(1000, "1"),
            "(module (table 1000000 funcref) (func $f) (elem (i32.const 999999) func $f))".to_owned(),
            "(module (table 10000000 funcref) (func $f) (elem (i32.const 9999999) func $f))".to_owned(),
            "(module (table 10 funcref) (func $f) (elem (i32.const -1) func $f))".to_owned(),
            format!("(module (func (param {})))", "i32 ".repeat(1000)),
            format!("(module (func (param {})))", "i32 ".repeat(1001)),
            format!("(module (func (result {}) unreachable))", "i64 ".repeat(1000)),
            format!("(module (func (local {})))", "i64 ".repeat(50_000)),
            format!("(module (func (local {})))", "i64 ".repeat(50_001)),
            format!("(module {})", "(global (mut i64) (i64.const 0))".repeat(100_000)),
            format!("(module {})", "(func (export \"\"))".repeat(2)),
            format!("(module {})", (0..20_000).map(|i| format!("(func (export \"{i}\"))")).collect::<String>()),
            format!("(module {})", "(type (func))".repeat(100_000)),
            format!("(module (memory 1) {})", "(data (i32.const 7) \"a\")".repeat(50_000)),
            format!(
                "(module (memory 65536) {})",
                (0..3000).map(|i| format!("(data (i32.const {}) \"a\")", i * 1_400_000u32)).collect::<String>()
            ),
        ];
        for text in texts {
            let start = &text[..text.len().min(70)];
            match Module::new(&engine, &text) {
                Err(error) => println!("{start}: {error:?}"),
                Ok(module) => match linker.instantiate_pre(&module) {
                    Err(error) => println!("{start}: {error:?}"),
                    Ok(pre) => {
                        for _ in 0..3 {
                            if let Err(error) = pre.fresh(()) {
                                println!("{start}: {error:?}");
                            }
                        }
                    }
                },
            }
            assert_eq!(engine.live_instances(), 0, "{start}");
        }
        let peak = peak_bytes();
        assert!(peak < 3 << 30, "{} MiB at the peak", peak >> 20);
    });
}

#[test]
fn texts_and_bodies_that_nest_without_end_never_crash() {
    alone("limits::texts_and_bodies_that_nest_without_end_never_crash", || {
        let nested = |open: &str, inner: &str, close: &str, n: usize| {
            format!("(module (func (result i32) {}{inner}{}))", open.repeat(n), close.repeat(n))
        };
        let texts = [
            "(".repeat(1_000_000),
            "(module ".repeat(100_000),
            "(;".repeat(1_000_000),
            format!("(module (func {}", "(block ".repeat(200_000)),
            nested("(i32.eqz ", "(i32.const 0)", ")", 50_000),
            nested("(block (result i32) ", "(i32.const 0)", ")", 20_000),
            nested("(if (result i32) (i32.const 1) (then ", "(i32.const 0)", ") (else (i32.const 1)))", 5_000),
            nested("(loop (result i32) ", "(i32.const 0)", ")", 20_000),
            format!("(module (type {}))", "(func (param ".repeat(50_000)),
            format!(
                "(module (global i32 {} (i32.const 0) {}))",
                "(i32.add (i32.const 1) ".repeat(50_000),
                ")".repeat(50_000)
            ),
        ];
        let check = move || {
            let engine = engine(|config| {
                config.cranelift_debug_verifier(false);
            });
            for text in &texts {
                match Module::new(&engine, text) {
                    Ok(module) => drop(Linker::<()>::new(&engine).instantiate_pre(&module).unwrap().fresh(()).unwrap()),
                    Err(error) => {
                        println!("{}: {}", &text[..60], &error.to_string()[..60.min(error.to_string().len())])
                    }
                }
            }
        };
        check.clone()();
        let thread = std::thread::Builder::new().stack_size(256 << 10).spawn(check).unwrap();
        thread.join().expect("no crash on a small stack either");
    });
}

/// The most memory that this process ever had resident.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).expect("Linux says it");
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

#[test]
fn a_system_without_address_space_left_gives_an_error_and_later_works_again() {
    alone("limits::a_system_without_address_space_left_gives_an_error_and_later_works_again", || {
        let engine = kit::engine(|config| {
            config.max_instances(usize::MAX);
        });
        let pre = pre(&engine, SMALL);
        let f = pre.export::<(), i32>("f").unwrap();
        // Some 128 TiB of addresses, 4 GiB for each instance; or 65 530 mappings, several for each.
        let mut all = Vec::new();
        let error = loop {
            match pre.fresh(()) {
                Ok(instance) => all.push(instance),
                Err(error) => break error,
            }
            assert!(all.len() < 1 << 20, "more instances than there can be");
        };
        assert_eq!(error.kind(), ErrorKind::Os, "{error}");
        assert_eq!(engine.live_instances(), all.len());
        for _ in 0..10 {
            fails(pre.fresh(()).map(drop), ErrorKind::Os);
        }
        assert_eq!(all.last_mut().unwrap().call(&f, ()).unwrap(), 1);
        all.truncate(all.len() - 10);
        let mut again = pre.fresh(()).unwrap();
        assert_eq!(again.call(&f, ()).unwrap(), 1);
        drop(again);
        drop(all);
        drop(pre);
        assert_eq!(engine.live_instances(), 0);
    });
}
