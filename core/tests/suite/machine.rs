//! On a machine that gives less: what was not asked for shrinks, and what cannot be had is an error that names the limit.

use instar::{Config, Engine, ErrorKind, InstancePre, Linker, Module};

use crate::kit::{self, fails, module, pre, traps};

const GUEST: &str = r#"(module (memory (export "memory") 1 1000) (data (i32.const 8) "image")
  (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "store") (param i32) (i32.store8 (local.get 0) (i32.const 7)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#;

/// Lowers a limit of this process. Only in a child.
fn lower(resource: libc::__rlimit_resource_t, bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: a good structure.
    assert_eq!(unsafe { libc::setrlimit(resource, &limit) }, 0);
}

/// Address space of this process in bytes.
fn address_space() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096
}

/// Guests work, whatever the engine has made of the machine.
fn works(pre: &InstancePre<()>) {
    let load = pre.export::<u32, u32>("load").unwrap();
    let store = pre.export::<u32, ()>("store").unwrap();
    let grow = pre.export::<u32, i32>("grow").unwrap();
    for _ in 0..3 {
        let mut instance = pre.fresh(()).unwrap();
        assert_eq!(instance.call(&load, 8).unwrap(), u32::from(b'i'));
        assert_eq!(instance.call(&load, 65_535).unwrap(), 0);
        traps(instance.call(&load, 65_536), instar::TrapCode::MemoryOutOfBounds);
        traps(instance.call(&load, u32::MAX), instar::TrapCode::MemoryOutOfBounds);
        instance.call(&store, 9).unwrap();
        assert_eq!(instance.call(&grow, 30).unwrap(), 1);
        instance.call(&store, 1_000_000).unwrap();
        assert_eq!(instance.call(&load, 1_000_000).unwrap(), 7);
        // A growth that the machine refuses leaves the instance as it is.
        let grown = instance.call(&grow, 900).unwrap();
        assert!(grown == 31 || grown == -1);
        assert_eq!(instance.call(&load, 9).unwrap(), 7);
    }
}

#[test]
fn an_engine_in_little_address_space_has_fewer_instances_and_checks_bounds() {
    kit::alone("machine::an_engine_in_little_address_space_has_fewer_instances_and_checks_bounds", || {
        lower(libc::RLIMIT_AS, address_space() + (2 << 30));
        let engine = kit::engine(|_| {});
        let max = engine.pool_metrics().max_instances;
        assert!((50..5_000).contains(&max), "{max}");
        let pre = pre(&engine, GUEST);
        works(&pre);
        // As many as it says can be had, at the size they start with.
        let all: Vec<_> = (0..max).map(|_| pre.fresh(()).unwrap()).collect();
        fails(pre.fresh(()).map(drop), ErrorKind::PoolExhausted);
        drop(all);
        works(&pre);
    });
}

#[test]
fn as_many_instances_as_were_set_are_had_in_little_address_space() {
    kit::alone("machine::as_many_instances_as_were_set_are_had_in_little_address_space", || {
        lower(libc::RLIMIT_AS, address_space() + (3 << 30));
        let engine = kit::engine(|config| {
            config.max_instances(400);
        });
        let pre = pre(&engine, GUEST);
        works(&pre);
        let all: Vec<_> = (0..400).map(|_| pre.fresh(()).unwrap()).collect();
        drop(all);
        let refused = fails(Engine::new(Config::new().max_instances(12_000)), ErrorKind::Config);
        for word in ["max_instances is 12000", "ulimit -v", "GiB"] {
            assert!(refused.message().contains(word), "`{word}` is not in: {refused}");
        }
        let refused = fails(Engine::new(Config::new().memory_reservation(4 << 30)), ErrorKind::Config);
        for word in ["memory_reservation", "4.0 GiB", "ulimit -v"] {
            assert!(refused.message().contains(word), "`{word}` is not in: {refused}");
        }
    });
}

#[test]
fn a_limit_that_comes_later_makes_idle_slots_of_any_pool_give_way() {
    kit::alone("machine::a_limit_that_comes_later_makes_idle_slots_of_any_pool_give_way", || {
        let engine = kit::engine(|_| {});
        let (one, two) = (pre(&engine, GUEST), pre(&engine, GUEST));
        drop((0..5).map(|_| one.fresh(()).unwrap()).collect::<Vec<_>>());
        assert_eq!(one.stats().idle, 5);
        // Not one more reservation.
        lower(libc::RLIMIT_AS, address_space() + (64 << 20));
        let first = two.fresh(()).unwrap();
        assert!(one.stats().evictions >= 1 && one.stats().idle < 5, "{:?}", one.stats());
        let mut all = vec![first];
        let error = loop {
            match two.fresh(()) {
                Ok(instance) => all.push(instance),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Os, "{error}");
        for word in ["beside 5 others", "address space, ulimit -v", "vm.max_map_count", "reserving address space"] {
            assert!(error.message().contains(word), "`{word}` is not in: {error}");
        }
        assert_eq!((all.len(), one.stats().idle), (5, 0));
        drop(all);
        works(&two);
        assert_eq!(engine.live_instances(), 0);
    });
}

#[test]
fn little_data_is_an_error_of_one_instance_and_not_the_end() {
    kit::alone("machine::little_data_is_an_error_of_one_instance_and_not_the_end", || {
        let engine = kit::engine(|_| {});
        let large = pre(&engine, "(module (memory 1600) (func (export \"f\")))");
        let small = pre(&engine, GUEST);
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let data = statm.split(' ').nth(5).unwrap().parse::<u64>().unwrap() * 4096;
        lower(libc::RLIMIT_DATA, data + (350 << 20));
        let mut all = Vec::new();
        let error = loop {
            match large.fresh(()) {
                Ok(instance) => all.push(instance),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Os, "{error}");
        assert!(error.message().contains("ulimit -d"), "{error}");
        assert!((1..=3).contains(&all.len()), "{}", all.len());
        all.pop();
        works(&small);
    });
}

#[test]
fn a_program_started_with_ulimit_runs() {
    // The limit is there before anything of Instar is.
    let test = "machine::a_program_started_with_ulimit_runs";
    if std::env::var("INSTAR_TEST_ULIMIT").is_ok() {
        let engine = kit::engine(|_| {});
        assert!(engine.pool_metrics().max_instances < 10_000);
        works(&Linker::new(&engine).instantiate_pre(&module(&engine, GUEST)).unwrap());
        // What was precompiled for another reservation says which.
        let error = fails(Engine::new(Config::new().memory_reservation(8 << 30)), ErrorKind::Config);
        assert!(error.message().contains("ulimit -v"), "{error}");
        return;
    }
    let binary = std::env::current_exe().unwrap();
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -v 1500000; exec \"$0\" \"$1\" --exact --test-threads=1 --nocapture"])
        .arg(binary)
        .arg(test)
        .env("INSTAR_TEST_ULIMIT", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn more_instances_than_mappings_are_refused_with_both_figures() {
    let limit: u64 = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
    let count = limit as usize / 4 + 1;
    let error = fails(Engine::new(Config::new().max_instances(count)), ErrorKind::Config);
    for word in [format!("max_instances is {count}"), format!("vm.max_map_count is {limit}")] {
        assert!(error.message().contains(&word), "`{word}` is not in: {error}");
    }
    let engine = Engine::new(Config::new().max_instances(usize::MAX)).unwrap();
    drop(pre(&engine, "(module)").fresh(()).unwrap());
    let _ = Module::new(&engine, "(module)").unwrap();
}
