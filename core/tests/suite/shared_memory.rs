//! Memories that several threads and stores share.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use instar::{
    AsContextMut, Caller, Engine, ErrorKind, Extern, Instance, InstancePre, Linker, Memory, MemoryType,
    ResourceLimiter, Result, SharedMemory, Store, StoreLimits, StoreLimitsBuilder, TrapCode, WaitResult,
};

use crate::kit::{MODES, Random, engine, fails, module, one_slot, paranoid, traps};

const PAGE: u64 = 65_536;

fn shared(engine: &Engine, minimum: u64, maximum: u64) -> SharedMemory {
    SharedMemory::new(engine, MemoryType::shared(minimum, maximum)).unwrap()
}

/// A module that imports the memory as `env.memory`, with this text beside.
fn importer(memory: &SharedMemory, text: &str) -> InstancePre<()> {
    importing(memory, "1 16 shared", text).unwrap()
}

fn importing(memory: &SharedMemory, ty: &str, text: &str) -> Result<InstancePre<()>> {
    let engine = memory.engine();
    let mut linker = Linker::new(engine);
    linker.define(&mut Store::new(engine, ()), "env", "memory", memory.clone())?;
    linker.instantiate_pre(&module(engine, format!(r#"(module (import "env" "memory" (memory {ty})) {text})"#)))
}

fn word(memory: &SharedMemory, address: u64) -> u32 {
    let mut bytes = [0; 4];
    memory.read(address, &mut bytes).unwrap();
    u32::from_le_bytes(bytes)
}

/// Runs `body` on some threads at once.
fn on_threads(count: usize, body: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        for i in 0..count {
            let body = &body;
            scope.spawn(move || body(i));
        }
    });
}

/// Wakes one thread at an address, as soon as one waits there.
fn wake_one(memory: &SharedMemory, address: u64) {
    let start = Instant::now();
    while memory.atomic_notify(address, 1).unwrap() == 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "nobody waits at {address}");
        std::thread::sleep(Duration::from_micros(50));
    }
}

const COUNT: &str = r#"
    (func (export "count") (param i32)
      (loop $again
        (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))
        (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
        (br_if $again (local.get 0))))"#;

/// A mutex at address 64: 0 is free, 1 taken, 2 taken and perhaps waited for. What it protects is at 72, and not atomic.
const MUTEX: &str = r#"
    (func $lock
      (local $seen i32)
      (local.set $seen (i32.atomic.rmw.cmpxchg (i32.const 64) (i32.const 0) (i32.const 1)))
      (if (i32.eqz (local.get $seen)) (then (return)))
      (loop $again
        (if (i32.eqz (i32.atomic.rmw.xchg (i32.const 64) (i32.const 2))) (then (return)))
        (drop (memory.atomic.wait32 (i32.const 64) (i32.const 2) (i64.const -1)))
        (br $again)))
    (func $unlock
      (if (i32.eq (i32.atomic.rmw.xchg (i32.const 64) (i32.const 0)) (i32.const 2))
        (then (drop (memory.atomic.notify (i32.const 64) (i32.const 1))))))
    (func (export "count") (param i32)
      (loop $again
        (call $lock)
        (i64.store (i32.const 72) (i64.add (i64.load (i32.const 72)) (i64.const 1)))
        (call $unlock)
        (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
        (br_if $again (local.get 0))))"#;

#[test]
fn many_threads_count_together() {
    const THREADS: usize = 8;
    for mode in MODES {
        let memory = shared(&mode.engine(), 1, 1);
        let pre = importing(&memory, "1 1 shared", COUNT).unwrap();
        let count = pre.export::<u32, ()>("count").unwrap();
        on_threads(THREADS, |_| {
            for _ in 0..4 {
                pre.call((), &count, 500).unwrap();
            }
        });
        assert_eq!(word(&memory, 0), THREADS as u32 * 2000, "{}", mode.name);
    }
}

#[test]
fn a_mutex_of_guests_excludes_guests_of_all_stores() {
    const THREADS: usize = 12;
    for mode in MODES.iter().filter(|m| ["default", "signals-off", "reservation-0", "opt-none"].contains(&m.name)) {
        let engine = mode.engine();
        let memory = shared(&engine, 1, 16);
        let pre = importer(&memory, MUTEX);
        on_threads(THREADS, |_| {
            let mut store = Store::new(&engine, ());
            let instance = pre.instantiate(&mut store).unwrap();
            let count = instance.typed_func::<u32, ()>(&mut store, "count").unwrap();
            count.call(&mut store, 300).unwrap();
            count.call(&mut store, 200).unwrap();
        });
        assert_eq!(word(&memory, 72), THREADS as u32 * 500, "{}", mode.name);
        assert_eq!(word(&memory, 64), 0);
    }
}

#[test]
fn messages_pass_from_host_to_guest_to_host() {
    let memory = shared(&paranoid(), 1, 16);
    // Takes each message at 8, answers its square at 16, until the message is 0. The turn is at 0: 1 is the guest's.
    let pre = importer(
        &memory,
        r#"(func (export "serve") (result i32) (local $served i32) (local $message i32)
             (loop $again
               (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))
               (br_if $again (i32.eqz (i32.atomic.load (i32.const 0))))
               (local.set $message (i32.load (i32.const 8)))
               (i32.store (i32.const 16) (i32.mul (local.get $message) (local.get $message)))
               (i32.atomic.store (i32.const 0) (i32.const 0))
               (drop (memory.atomic.notify (i32.const 0) (i32.const -1)))
               (local.set $served (i32.add (local.get $served) (i32.const 1)))
               (br_if $again (local.get $message)))
             (local.get $served))"#,
    );
    let serve = pre.export::<(), u32>("serve").unwrap();
    std::thread::scope(|scope| {
        let server = scope.spawn(|| pre.call((), &serve, ()).unwrap());
        for message in (1..200u32).chain([0]) {
            memory.write(8, &message.to_le_bytes()).unwrap();
            memory.write(0, &[1]).unwrap();
            memory.atomic_notify(0, 1).unwrap();
            while memory.atomic_wait32(0, 1, Some(Duration::from_secs(30))).unwrap() != WaitResult::Mismatch {}
            assert_eq!(word(&memory, 16), message * message);
        }
        assert_eq!(server.join().unwrap(), 200);
    });
}

#[test]
fn waits_end_by_a_notification_a_mismatch_or_a_timeout() {
    for mode in MODES {
        let memory = shared(&mode.engine(), 1, 16);
        let pre = importer(
            &memory,
            r#"(func (export "wait32") (param i32 i32 i64) (result i32)
                 (memory.atomic.wait32 offset=4 (local.get 0) (local.get 1) (local.get 2)))
               (func (export "wait64") (param i32 i64 i64) (result i32)
                 (memory.atomic.wait64 offset=8 (local.get 0) (local.get 1) (local.get 2)))"#,
        );
        let wait32 = pre.export::<(u32, u32, i64), u32>("wait32").unwrap();
        let wait64 = pre.export::<(u32, u64, i64), u32>("wait64").unwrap();
        memory.write(4, &7u32.to_le_bytes()).unwrap();
        memory.write(8, &(7u64 << 40).to_le_bytes()).unwrap();
        assert_eq!(pre.call((), &wait32, (0, 8, -1)).unwrap(), 1);
        assert_eq!(pre.call((), &wait32, (0, 7, 0)).unwrap(), 2);
        assert_eq!(pre.call((), &wait64, (0, 7, -1)).unwrap(), 1);
        let start = Instant::now();
        assert_eq!(pre.call((), &wait64, (0, 7 << 40, 3_000_000)).unwrap(), 2);
        assert!(start.elapsed() >= Duration::from_millis(3));
        traps(pre.call((), &wait64, (4, 0, -1)), TrapCode::UnalignedAtomic);
        traps(pre.call((), &wait32, (65_532, 0, -1)), TrapCode::MemoryOutOfBounds);
        std::thread::scope(|scope| {
            let (pre, wait32, wait64) = (&pre, &wait32, &wait64);
            for timeout in [-1, i64::MIN, i64::MAX, 60_000_000_000] {
                let thread = scope.spawn(move || pre.call((), wait32, (0, 7, timeout)).unwrap());
                wake_one(&memory, 4);
                assert_eq!(thread.join().unwrap(), 0, "{}", mode.name);
                let thread = scope.spawn(move || pre.call((), wait64, (0, 7 << 40, timeout)).unwrap());
                wake_one(&memory, 8);
                assert_eq!(thread.join().unwrap(), 0, "{}", mode.name);
            }
        });
    }
}

#[test]
fn a_notification_wakes_no_more_than_it_says_and_nobody_wakes_by_himself() {
    const THREADS: u32 = 10;
    let memory = shared(&paranoid(), 1, 16);
    let pre = importer(
        &memory,
        r#"(func (export "wait") (result i32)
             (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))
             (memory.atomic.wait32 (i32.const 128) (i32.const 0) (i64.const -1)))"#,
    );
    let wait = pre.export::<(), u32>("wait").unwrap();
    let woken = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                assert_eq!(pre.call((), &wait, ()).unwrap(), 0);
                woken.fetch_add(1, Ordering::SeqCst);
            });
        }
        while word(&memory, 0) < THREADS {
            std::thread::yield_now();
        }
        let mut notified = 0;
        for count in [0, 1, 3, 0, 2] {
            let mut left = count;
            // Some may have announced themselves, but not fallen asleep yet.
            while left > 0 {
                left -= memory.atomic_notify(128, left).unwrap();
            }
            notified += count;
            while woken.load(Ordering::SeqCst) < notified {
                std::thread::yield_now();
            }
            assert_eq!(memory.atomic_notify(132, u32::MAX).unwrap(), 0);
            std::thread::sleep(Duration::from_millis(3));
            assert_eq!(woken.load(Ordering::SeqCst), notified);
        }
        let mut left = THREADS - notified;
        while left > 0 {
            left -= memory.atomic_notify(128, u32::MAX).unwrap();
        }
    });
    assert_eq!(woken.load(Ordering::SeqCst), THREADS);
    assert_eq!(memory.atomic_notify(128, u32::MAX).unwrap(), 0);
}

#[test]
fn growth_by_many_leaves_each_size_once_and_ends_at_the_maximum() {
    for mode in MODES {
        let memory = shared(&mode.engine(), 1, 16);
        let pre = importer(
            &memory,
            r#"(func (export "grow") (result i32) (memory.grow (i32.const 1)))
               (func (export "await") (param i32) (result i32)
                 ;; No atomic operator and no call in the loop.
                 (loop $again (br_if $again (i32.lt_u (memory.size) (local.get 0))))
                 (i32.load8_u (i32.sub (i32.mul (local.get 0) (i32.const 65536)) (i32.const 1))))"#,
        );
        let grow = pre.export::<(), i32>("grow").unwrap();
        let wait = pre.export::<u32, u32>("await").unwrap();
        std::thread::scope(|scope| {
            let (pre, grow, wait) = (&pre, &grow, &wait);
            let watchers = [2, 9, 16].map(|pages| scope.spawn(move || pre.call((), wait, pages).unwrap()));
            let growers = [(); 5].map(|()| scope.spawn(move || [(); 4].map(|()| pre.call((), grow, ()).unwrap())));
            let mut sizes: Vec<i32> = growers.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
            sizes.sort_unstable();
            let expected: Vec<i32> = [-1; 5].into_iter().chain(1..16).collect();
            assert_eq!(sizes, expected, "{}", mode.name);
            for watcher in watchers {
                assert_eq!(watcher.join().unwrap(), 0, "{}", mode.name);
            }
        });
        assert_eq!((memory.size(), memory.data_size()), (16, 16 * PAGE as usize));
        fails(memory.grow(1), ErrorKind::Limit);
        fails(memory.grow(u64::MAX), ErrorKind::Limit);
        assert_eq!(memory.grow(0).unwrap(), 16);
    }
}

#[test]
fn whoever_sees_the_flag_sees_the_growth_before_it() {
    for mode in MODES {
        let memory = shared(&mode.engine(), 1, 16);
        let pre = importer(
            &memory,
            r#"(func (export "await") (param i32) (result i32)
                 ;; This sees the old length; what comes after the flag must not.
                 (drop (i32.load8_u (i32.const 65535)))
                 (loop $again (br_if $again (i32.eqz (i32.atomic.load (i32.const 0)))))
                 (i32.load8_u (local.get 0)))"#,
        );
        let wait = pre.export::<u32, u32>("await").unwrap();
        on_threads(2, |i| match i {
            0 => assert_eq!(pre.call((), &wait, 65_541).unwrap(), 77, "{}", mode.name),
            _ => {
                std::thread::sleep(Duration::from_millis(2));
                assert_eq!(memory.grow(1).unwrap(), 1);
                memory.write(65_541, &[77]).unwrap();
                memory.write(0, &[1]).unwrap();
            }
        });
    }
}

#[test]
fn an_access_out_of_bounds_hits_nothing_while_others_grow_the_memory() {
    const PAGES: u64 = 4000;
    for mode in MODES {
        let memory = shared(&mode.engine(), 1, PAGES);
        let pre = importing(
            &memory,
            "1 4000 shared",
            r#"(func (export "store") (i32.store (i32.const 0x7000_0000) (i32.const -1)))
               (func (export "add") (drop (i32.atomic.rmw.add (i32.const 0x7000_0000) (i32.const -1))))"#,
        )
        .unwrap();
        let (store, add) = (pre.export::<(), ()>("store").unwrap(), pre.export::<(), ()>("add").unwrap());
        // More threads than cores, so that some are interrupted halfway.
        on_threads(8, |i| {
            while memory.size() < PAGES {
                match i {
                    0 => drop(memory.grow(1)),
                    _ => {
                        traps(pre.call((), &store, ()), TrapCode::MemoryOutOfBounds);
                        traps(pre.call((), &add, ()), TrapCode::MemoryOutOfBounds);
                    }
                }
            }
        });
    }
}

#[test]
fn bulk_operators_work_on_shared_memories_and_between_both_kinds() {
    for mode in MODES {
        let memory = shared(&mode.engine(), 1, 16);
        let pre = importer(
            &memory,
            r#"(memory $own (export "own") 1)
               (data $bytes "0123456789")
               (func (export "fill") (param i32 i32 i32) (memory.fill 0 (local.get 0) (local.get 1) (local.get 2)))
               (func (export "init") (param i32 i32 i32) (memory.init 0 $bytes (local.get 0) (local.get 1) (local.get 2)))
               (func (export "copy") (param i32 i32 i32) (memory.copy 0 0 (local.get 0) (local.get 1) (local.get 2)))
               (func (export "to own") (param i32 i32 i32) (memory.copy $own 0 (local.get 0) (local.get 1) (local.get 2)))
               (func (export "from own") (param i32 i32 i32) (memory.copy 0 $own (local.get 0) (local.get 1) (local.get 2)))"#,
        );
        let mut model = vec![0u8; PAGE as usize];
        let mut own_model = model.clone();
        let mut instance = pre.fresh(()).unwrap();
        let own = pre.memory("own").unwrap();
        let mut random = Random::new(3);
        for _ in 0..40 {
            let (to, from, len) =
                (random.below(50_000) as u32, random.below(50_000) as u32, random.below(15_000) as u32);
            let (a, b, n) = (to as usize, from as usize, len as usize);
            let name = ["fill", "init", "copy", "to own", "from own"][random.below(5) as usize];
            let (mut from, mut len) = (from, len);
            match name {
                "fill" => model[a..a + n].fill(b as u8),
                "init" => {
                    (from, len) = (from % 5, len % 6);
                    model[a..a + len as usize].copy_from_slice(&b"0123456789"[from as usize..][..len as usize]);
                }
                "copy" => model.copy_within(b..b + n, a),
                "to own" => own_model[a..a + n].copy_from_slice(&model[b..b + n]),
                _ => model[a..a + n].copy_from_slice(&own_model[b..b + n]),
            }
            instance.call(&pre.export::<(u32, u32, u32), ()>(name).unwrap(), (to, from, len)).unwrap();
            let (mut now, mut own_now) = (vec![0; model.len()], vec![0; model.len()]);
            memory.read(0, &mut now).unwrap();
            instance.memory_read(&own, 0, &mut own_now).unwrap();
            assert!(now == model && own_now == own_model, "{}: {name} {to} {from} {len}", mode.name);
        }
        for name in ["fill", "copy", "to own", "from own"] {
            let func = pre.export::<(u32, u32, u32), ()>(name).unwrap();
            traps(instance.call(&func, (65_000, 65_000, 537)), TrapCode::MemoryOutOfBounds);
        }
        drop(instance);
        // The instance's own memory is fresh, the shared one is as it was.
        let instance = pre.fresh(()).unwrap();
        let (mut now, mut own_now) = (vec![1; model.len()], vec![1; model.len()]);
        memory.read(0, &mut now).unwrap();
        instance.memory_read(&own, 0, &mut own_now).unwrap();
        assert!(now == model && own_now.iter().all(|&b| b == 0), "{}", mode.name);
    }
}

/// Defines, fills and exports a shared memory.
const DEFINER: &str = r#"(module
    (memory (export "memory") 1 4 shared)
    (memory $second (export "second") 1 1)
    (data (i32.const 100) "image")
    (data (i32.add (i32.const 200) (i32.const 100)) "late")
    (data $passive "passive")
    (func (export "bump") (result i32) (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))
    (func (export "grow") (param i32) (result i32) (memory.grow 0 (local.get 0)))
    (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1))))"#;

#[test]
fn each_instance_of_a_module_that_defines_a_shared_memory_has_its_own() {
    for mode in MODES {
        let engine = mode.engine_with(|config| {
            config.max_instances(3);
        });
        let pre = Linker::<()>::new(&engine).instantiate_pre(&module(&engine, DEFINER)).unwrap();
        let bump = pre.export::<(), u32>("bump").unwrap();
        for _ in 0..4 {
            assert_eq!(pre.call((), &bump, ()).unwrap(), 0);
        }
        let mut kept = Vec::new();
        for i in 0..4u32 {
            let mut store = Store::new(&engine, ());
            let [a, b] = [(); 2].map(|()| pre.instantiate(&mut store).unwrap());
            let [left, right] = [a, b].map(|instance| instance.shared_memory(&mut store, "memory").unwrap());
            assert!(a.memory(&mut store, "memory").is_none() && a.memory(&mut store, "second").is_some());
            for memory in [&left, &right] {
                let mut bytes = [0; 204];
                memory.read(100, &mut bytes).unwrap();
                assert_eq!((&bytes[..5], &bytes[200..]), (&b"image"[..], &b"late"[..]));
                assert_eq!((word(memory, 0), memory.size()), (0, 1));
            }
            let grow = a.typed_func::<u32, u32>(&mut store, "grow").unwrap();
            let bump = a.typed_func::<(), u32>(&mut store, "bump").unwrap();
            assert_eq!(grow.call(&mut store, 2).unwrap(), 1);
            assert_eq!((0..=i).map(|_| bump.call(&mut store, ()).unwrap()).max(), Some(i));
            assert_eq!((left.size(), right.size()), (3, 1));
            assert_eq!((word(&left, 0), word(&right, 0)), (i + 1, 0));
            kept.push(left);
        }
        // They outlive their instances, and later ones have nothing to do with them.
        assert_eq!(kept.iter().map(|memory| word(memory, 0)).collect::<Vec<_>>(), [1, 2, 3, 4]);
        drop((pre, engine));
        kept[3].write(3 * PAGE - 1, &[1]).unwrap();
        assert_eq!(kept[3].ty(), MemoryType::shared(3, 4));
    }
}

#[test]
fn an_exported_memory_goes_on_to_other_stores_and_out_of_them_again() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    let definer = linker.instantiate(&mut store, &module(&engine, DEFINER)).unwrap();
    let Some(Extern::SharedMemory(memory)) = definer.export(&mut store, "memory") else { panic!("a shared memory") };
    // A name for all exports of the instance; what belongs to the store can be used there only, the shared memory anywhere.
    linker.instance(&mut store, "definer", definer).unwrap();
    let text = r#"(module (import "definer" "memory" (memory 1 4 shared)) (export "again" (memory 0))
        (import "h" "look" (func $look))
        (func (export "look") (call $look))
        (func (export "bump") (result i32) (i32.atomic.rmw.add (i32.const 0) (i32.const 1))))"#;
    linker
        .func_wrap("h", "look", |mut caller: Caller<'_, ()>| {
            let Some(Extern::SharedMemory(seen)) = caller.export("again") else { panic!("a shared memory") };
            assert!(caller.memory("again").is_none() && caller.default_memory().is_none());
            seen.write(8, &[9]).unwrap();
        })
        .unwrap();
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    let mut other = Store::new(&engine, ());
    let importer = pre.instantiate(&mut other).unwrap();
    let again = importer.shared_memory(&mut other, "again").unwrap();
    drop((store, linker, memory));
    let bump = importer.typed_func::<(), u32>(&mut other, "bump").unwrap();
    assert_eq!(bump.call(&mut other, ()).unwrap(), 0);
    importer.typed_func::<(), ()>(&mut other, "look").unwrap().call(&mut other, ()).unwrap();
    drop((other, pre));
    let mut bytes = [0; 9];
    again.read(0, &mut bytes).unwrap();
    assert_eq!((bytes[0], bytes[8]), (1, 9));
}

#[test]
fn imports_match_by_type_size_and_engine() {
    let engine = paranoid();
    let memory = shared(&engine, 1, 4);
    for (ty, fits) in [
        ("1 4 shared", true),
        ("0 4 shared", true),
        ("1 5 shared", true),
        ("2 4 shared", false),
        ("1 3 shared", false),
        ("1 4", false),
        ("1", false),
        ("i64 1 4 shared", false),
    ] {
        match fits {
            true => drop(importing(&memory, ty, "").unwrap()),
            false => {
                let error = fails(importing(&memory, ty, ""), ErrorKind::Link);
                assert!(error.to_string().contains("shared memory of 1 to 4 pages"), "{error}");
            }
        }
    }
    memory.grow(1).unwrap();
    importing(&memory, "2 4 shared", "").unwrap();
    // An ordinary memory is no shared one.
    let mut store = Store::new(&engine, ());
    let own = Memory::new(&mut store, MemoryType::new(1, Some(4))).unwrap();
    let mut linker = Linker::new(&engine);
    linker.define(&mut store, "env", "memory", own).unwrap();
    let wants = module(&engine, r#"(module (import "env" "memory" (memory 1 4 shared)))"#);
    fails(linker.instantiate(&mut store, &wants), ErrorKind::Link);
    // Another engine may lay memories out in another way.
    let other = engine_with_other_layout();
    let mut linker = Linker::new(&other);
    let error = fails(linker.define(&mut Store::new(&other, ()), "env", "memory", memory).map(drop), ErrorKind::Link);
    assert!(error.to_string().contains("different engines"), "{error}");
    // What nobody defined has a default.
    let mut linker = Linker::new(&engine);
    linker.define_unknown_imports_as_default_values(&mut store, &wants).unwrap();
    linker.instantiate_pre(&wants).unwrap().instantiate(&mut Store::new(&engine, ())).unwrap();
}

fn engine_with_other_layout() -> Engine {
    engine(|config| {
        config.memory_reservation(0).memory_guard_size(0);
    })
}

#[test]
fn types_that_cannot_be_are_refused_with_a_reason() {
    let engine = paranoid();
    let ty = MemoryType::shared(1, 2);
    let wide = MemoryType { memory64: true, ..ty };
    for (ty, kind, reason) in [
        (MemoryType::new(1, Some(2)), ErrorKind::Type, "Memory::new"),
        (MemoryType { maximum: None, ..ty }, ErrorKind::Type, "needs a maximum"),
        (MemoryType::shared(3, 2), ErrorKind::Type, "at least 3 pages cannot have at most 2"),
        (MemoryType::shared(1, 65_537), ErrorKind::Type, "65537 pages is beyond 65536"),
        (MemoryType { maximum: Some(u64::MAX), ..wide }, ErrorKind::Type, "beyond 281474976710656"),
        (MemoryType { page_size_log2: 12, ..ty }, ErrorKind::Unsupported, "wasm_custom_page_sizes"),
        (MemoryType { minimum: 70_000, maximum: Some(80_000), ..wide }, ErrorKind::Limit, "beyond the limit"),
    ] {
        let error = fails(SharedMemory::new(&engine, ty), kind);
        assert!(error.to_string().contains(reason), "{error}");
    }
    let error = fails(Memory::new(&mut Store::new(&engine, ()), ty), ErrorKind::Unsupported);
    assert!(error.to_string().contains("SharedMemory::new"), "{error}");
    let bytes = self::engine(|config| {
        config.wasm_custom_page_sizes(true);
    });
    fails(SharedMemory::new(&bytes, MemoryType { page_size_log2: 12, ..ty }), ErrorKind::Type);
    let small = SharedMemory::new(&bytes, MemoryType { page_size_log2: 0, ..MemoryType::shared(5, 100_000) }).unwrap();
    assert_eq!((small.size(), small.page_size(), small.data_size()), (5, 1, 5));
    fails(small.write(4, &[1, 2]), ErrorKind::OutOfBounds);
    assert_eq!(small.grow(70_000).unwrap(), 5);
    small.write(70_004, &[7]).unwrap();
    fails(small.grow(29_996), ErrorKind::Limit);
    assert_eq!(small.grow(29_995).unwrap(), 70_005);
    let huge = SharedMemory::new(&engine, MemoryType { maximum: Some(1 << 48), ..wide }).unwrap();
    fails(huge.grow(1 << 40), ErrorKind::Limit);
    assert_eq!(huge.size(), 1);
}

#[test]
fn the_host_reads_writes_waits_and_notifies_within_bounds() {
    for mode in MODES {
        let memory = shared(&mode.engine(), 1, 2);
        assert!(format!("{memory:?}").contains("shared: true"));
        let bytes: Vec<u8> = (0..1000).map(|i| i as u8).collect();
        for at in [0, 1, 7, 64_535, 64_536] {
            memory.write(at, &bytes).unwrap();
            let mut now = vec![0; 1000];
            memory.read(at, &mut now).unwrap();
            assert_eq!(now, bytes);
        }
        for at in [64_537, PAGE, PAGE + 1, u64::MAX - 5, u64::MAX] {
            let error = fails(memory.write(at, &bytes), ErrorKind::OutOfBounds);
            assert!(error.to_string().contains("65536 bytes"), "{error}");
            fails(memory.read(at, &mut [0; 1000]), ErrorKind::OutOfBounds);
        }
        memory.read(PAGE, &mut []).unwrap();
        fails(memory.read(PAGE + 1, &mut []), ErrorKind::OutOfBounds);
        for at in [PAGE, PAGE + 4, u64::MAX - 7] {
            fails(memory.atomic_notify(at, 1), ErrorKind::OutOfBounds);
            fails(memory.atomic_wait32(at, 0, None), ErrorKind::OutOfBounds);
            fails(memory.atomic_wait64(at / 8 * 8, 0, None), ErrorKind::OutOfBounds);
        }
        traps(memory.atomic_notify(2, 1), TrapCode::UnalignedAtomic);
        traps(memory.atomic_wait32(65_539, 0, None), TrapCode::UnalignedAtomic);
        traps(memory.atomic_wait64(4, 0, None), TrapCode::UnalignedAtomic);
        memory.write(16, &0x1122_3344_5566_7788u64.to_le_bytes()).unwrap();
        assert_eq!(memory.atomic_wait32(16, 0, None).unwrap(), WaitResult::Mismatch);
        assert_eq!(memory.atomic_wait32(16, 0x5566_7788, Some(Duration::ZERO)).unwrap(), WaitResult::TimedOut);
        assert_eq!(memory.atomic_wait64(16, 0x5566_7788, None).unwrap(), WaitResult::Mismatch);
        let soon = Some(Duration::from_millis(1));
        assert_eq!(memory.atomic_wait64(16, 0x1122_3344_5566_7788, soon).unwrap(), WaitResult::TimedOut);
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| memory.atomic_wait64(32_768, 0, Some(Duration::MAX)).unwrap());
            wake_one(&memory, 32_768);
            assert_eq!(thread.join().unwrap(), WaitResult::Ok);
        });
    }
}

#[test]
fn limits_of_the_engine_and_of_the_store_hold_for_shared_memories() {
    let engine = engine(|config| {
        config.max_memory_pages(3);
    });
    let memory = shared(&engine, 1, 16);
    let pre = importer(&memory, r#"(func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))"#);
    let grow = pre.export::<u32, i32>("grow").unwrap();
    assert_eq!(pre.call((), &grow, 3).unwrap(), -1);
    fails(memory.grow(3), ErrorKind::Limit);
    assert_eq!(pre.call((), &grow, 2).unwrap(), 1);
    let too_large = module(&engine, "(module (memory 4 4 shared))");
    fails(Linker::<()>::new(&engine).instantiate_pre(&too_large), ErrorKind::Limit);

    // What the limiter allows is what happens, though others grow the memory meanwhile.
    const ALLOWED: usize = 20 * PAGE as usize;
    let engine = paranoid();
    let memory = shared(&engine, 1, 100);
    let pre = {
        let mut linker = Linker::<StoreLimits>::new(&engine);
        let store = Store::new(&engine, StoreLimitsBuilder::new().build());
        linker.define(store, "env", "memory", memory.clone()).unwrap();
        linker
            .instantiate_pre(&module(
                &engine,
                r#"(module (import "env" "memory" (memory 1 100 shared))
                  (func (export "grow") (result i32) (memory.grow (i32.const 1))))"#,
            ))
            .unwrap()
    };
    let barrier = Barrier::new(6);
    on_threads(6, |_| {
        let mut store = Store::new(&engine, StoreLimitsBuilder::new().memory_size(ALLOWED).build());
        store.limiter(|limits| limits as &mut dyn ResourceLimiter);
        let instance = pre.instantiate(&mut store).unwrap();
        let grow = instance.typed_func::<(), i32>(&mut store, "grow").unwrap();
        barrier.wait();
        while grow.call(&mut store, ()).unwrap() != -1 {}
    });
    assert_eq!(memory.data_size(), ALLOWED);
    // The host is not limited.
    assert_eq!(memory.grow(1).unwrap(), 20);
}

#[test]
fn a_warm_slot_that_imports_a_shared_memory_is_fresh_but_for_that() {
    for mode in MODES {
        let engine = mode.engine_with(|config| {
            config.max_instances(1);
        });
        let memory = shared(&engine, 1, 16);
        let pre = importer(
            &memory,
            r#"(memory $own 1) (global $calls (mut i32) (i32.const 0)) (data (i32.const 40) "each time")
               (func (export "go") (result i32)
                 (i32.store8 (i32.const 40) (i32.const 0))
                 (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))
                 (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                 (i32.add (global.get $calls) (i32.atomic.rmw.add $own (i32.const 0) (i32.const 1))))"#,
        );
        let go = pre.export::<(), u32>("go").unwrap();
        for round in 1..20 {
            let mut instance = pre.fresh(()).unwrap();
            // Active segments are applied to the import by each instance.
            let mut bytes = [0; 9];
            memory.read(40, &mut bytes).unwrap();
            assert_eq!(&bytes, b"each time", "{}", mode.name);
            assert_eq!(instance.call(&go, ()).unwrap(), 1, "{}", mode.name);
            assert_eq!(word(&memory, 0), round, "{}", mode.name);
        }
    }
}

#[test]
fn handles_to_exported_memories_work_for_shared_ones() {
    let engine = one_slot();
    let pre = Linker::<()>::new(&engine).instantiate_pre(&module(&engine, DEFINER)).unwrap();
    let memory = pre.memory("memory").unwrap();
    for _ in 0..3 {
        let mut instance = pre.fresh(()).unwrap();
        let mut bytes = [0; 5];
        instance.memory_read(&memory, 100, &mut bytes).unwrap();
        assert_eq!(&bytes, b"image");
        instance.memory_write(&memory, 100, b"other").unwrap();
        assert_eq!(instance.memory_grow(&memory, 2).unwrap(), 1);
        assert_eq!(instance.memory_size(&memory).unwrap(), 3 * PAGE);
        fails(instance.memory_grow(&memory, 2), ErrorKind::Limit);
        fails(instance.memory_write(&memory, 3 * PAGE, &[1]), ErrorKind::OutOfBounds);
    }
}

/// What a thread of the hammer calls.
const HAMMER: &str = r#"
    (func (export "bump") (param i32) (result i32) (i32.atomic.rmw.add (local.get 0) (i32.const 1)))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "wait") (param i32) (result i32)
      (memory.atomic.wait32 (local.get 0) (i32.atomic.load (local.get 0)) (i64.const 30000)))
    (func (export "notify") (param i32) (result i32) (memory.atomic.notify (local.get 0) (i32.const 2)))
    (func (export "last") (result i32)
      (i32.load8_u (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1))))
    (func (export "beyond") (result i32) (i32.load8_u (i32.const 0x7fff_0000)))
    (func (export "copy") (param i32) (memory.copy (i32.const 8192) (local.get 0) (i32.const 3000)))"#;

#[test]
fn more_threads_than_cores_do_everything_at_once() {
    const THREADS: usize = 12;
    for mode in MODES.iter().filter(|m| ["default", "signals-off", "reservation-0", "on-demand"].contains(&m.name)) {
        let memory = shared(&mode.engine(), 1, 16);
        let pre = importer(&memory, HAMMER);
        let bumps = AtomicU32::new(0);
        on_threads(THREADS, |i| {
            let mut random = Random::new(i as u64 + 1);
            let call = |name: &str, argument: u32| pre.call((), &pre.export::<u32, u32>(name).unwrap(), argument);
            for _ in 0..150 {
                let address = random.below(4) as u32 * 4;
                match random.below(10) {
                    0..3 => {
                        call("bump", address).unwrap();
                        bumps.fetch_add(1, Ordering::Relaxed);
                    }
                    3 => assert!(call("wait", address).unwrap() <= 2),
                    4 => assert!(call("notify", address).unwrap() <= 2),
                    5 => {
                        call("grow", random.below(2) as u32).unwrap();
                    }
                    6 => assert_eq!(pre.call((), &pre.export::<(), u32>("last").unwrap(), ()).unwrap(), 0),
                    7 => {
                        traps(pre.call((), &pre.export::<(), u32>("beyond").unwrap(), ()), TrapCode::MemoryOutOfBounds)
                    }
                    8 => {
                        let from = 4096 + random.below(8000) as u32;
                        pre.call((), &pre.export::<u32, ()>("copy").unwrap(), from).unwrap();
                    }
                    _ => {
                        memory.write(4096, &[i as u8; 500]).unwrap();
                        let mut bytes = [0; 500];
                        memory.read(4200, &mut bytes).unwrap();
                        assert!(bytes.iter().all(|&b| usize::from(b) < THREADS));
                        let expected = word(&memory, u64::from(address));
                        memory.atomic_wait32(u64::from(address), expected, Some(Duration::from_micros(20))).unwrap();
                    }
                }
            }
        });
        let total: u32 = (0..4).map(|i| word(&memory, i * 4)).sum();
        assert_eq!(total, bumps.load(Ordering::Relaxed), "{}", mode.name);
        assert_eq!((0..4).map(|i| memory.atomic_notify(i * 4, 9).unwrap()).sum::<u32>(), 0);
    }
}

#[test]
fn whoever_holds_a_memory_last_may_be_anyone() {
    let engine = paranoid();
    type Parts = (Option<SharedMemory>, Option<InstancePre<()>>, Option<(Store<()>, Instance)>);
    for order in 0..6usize {
        let memory = shared(&engine, 1, 16);
        let pre = importer(
            &memory,
            r#"(func (export "bump") (result i32) (i32.atomic.rmw.add (i32.const 4) (i32.const 1)))"#,
        );
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        let mut parts: Parts = (Some(memory), Some(pre), Some((store, instance)));
        let permutations = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        for part in permutations[order] {
            if let Some((store, instance)) = &mut parts.2 {
                let bump = instance.typed_func::<(), u32>(store.as_context_mut(), "bump").unwrap();
                bump.call(store.as_context_mut(), ()).unwrap();
            }
            if let Some(pre) = &parts.1 {
                pre.call((), &pre.export::<(), u32>("bump").unwrap(), ()).unwrap();
            }
            if let Some(memory) = &parts.0 {
                assert!(word(memory, 4) > 0);
                memory.write(65_000, &[1; 100]).unwrap();
            }
            match part {
                0 => parts.0 = None,
                1 => parts.1 = None,
                _ => parts.2 = None,
            }
        }
    }
}

#[test]
fn a_thread_may_wait_in_a_start_function_and_in_nested_calls() {
    let engine = paranoid();
    let memory = shared(&engine, 1, 16);
    let mut linker = Linker::<Arc<AtomicU32>>::new(&engine);
    linker.define(&mut Store::new(&engine, Arc::default()), "env", "memory", memory.clone()).unwrap();
    linker
        .func_wrap("env", "again", |mut caller: Caller<'_, Arc<AtomicU32>>| -> Result<()> {
            let inner = caller.func("inner").unwrap();
            caller.data().fetch_add(1, Ordering::SeqCst);
            inner.call(&mut caller, &[], &mut [])
        })
        .unwrap();
    let text = r#"(module (import "env" "memory" (memory 1 16 shared)) (import "env" "again" (func $again))
      (func $inner (export "inner")
        (if (memory.atomic.wait32 (i32.const 12) (i32.const 0) (i64.const -1)) (then (unreachable))))
      (func $start (call $inner) (call $again))
      (start $start))"#;
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    let reached = Arc::new(AtomicU32::new(0));
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| pre.fresh(reached.clone()).map(drop).unwrap());
        wake_one(&memory, 12);
        wake_one(&memory, 12);
        thread.join().unwrap();
    });
    assert_eq!(reached.load(Ordering::SeqCst), 1);
}

#[test]
fn artifacts_keep_shared_memories_with_their_images() {
    let engine = paranoid();
    let artifact = module(&engine, DEFINER).serialize().unwrap();
    // SAFETY: the artifact was made by this engine just now.
    let loaded = unsafe { instar::Module::deserialize(&engine, &artifact) }.unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &loaded).unwrap();
    let memory = instance.shared_memory(&mut store, "memory").unwrap();
    assert_eq!(memory.ty(), MemoryType::shared(1, 4));
    let mut bytes = [0; 5];
    memory.read(100, &mut bytes).unwrap();
    assert_eq!(&bytes, b"image");
}
