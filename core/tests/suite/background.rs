//! Resets on the engine's own thread.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use instar::{DirtyTracking, Engine, ErrorKind, InstancePre, Linker, Store};

use crate::kit::{self, MODES, Random, alone, fails, module, pre};

/// 64 pages, of which a call writes as many as it is told, with something in the image.
const HEAP: &str = r#"(module (memory (export "memory") 64 200) (data (i32.const 1000000) "image")
    (func (export "fill") (param i32) (memory.fill (i32.const 0) (i32.const 0x5a) (local.get 0)))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "dirt") (result i32) (local $at i32) (local $sum i32)
      (loop $again
        (local.set $sum (i32.add (local.get $sum) (i32.ne (i32.load8_u (local.get $at)) (i32.const 0))))
        (local.set $at (i32.add (local.get $at) (i32.const 4096)))
        (br_if $again (i32.lt_u (local.get $at) (i32.shl (memory.size) (i32.const 16)))))
      (local.get $sum)))"#;

fn engine(threshold: usize, instances: usize) -> Engine {
    kit::engine(|config| {
        config.background_reset(Some(threshold)).max_instances(instances);
    })
}

#[track_caller]
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    tasks.filter(|t| std::fs::read_to_string(t.path().join("comm")).is_ok_and(|n| n.trim() == "instar-reset")).count()
}

#[test]
fn what_a_slot_held_is_gone_whoever_resets_it() {
    for mode in MODES {
        let engine = mode.engine_with(|config| {
            config.background_reset(Some(100_000)).max_instances(3);
        });
        let pre = pre(&engine, HEAP);
        let fill = pre.export::<u32, ()>("fill").unwrap();
        let grow = pre.export::<u32, i32>("grow").unwrap();
        let dirt = pre.export::<(), u32>("dirt").unwrap();
        for round in 0..12u32 {
            let mut instance = pre.fresh(()).unwrap();
            assert_eq!(instance.call(&dirt, ()).unwrap(), 0, "{} {round}", mode.name);
            if round % 3 == 0 {
                assert_eq!(instance.call(&grow, 20).unwrap(), 64);
            }
            instance.call(&fill, (round % 4) * 1_000_000).unwrap();
        }
        eventually("all slots are reset", || engine.live_instances() == 0);
        assert_eq!(engine.resetting_instances(), 0);
    }
}

#[test]
fn little_is_reset_at_once_and_much_elsewhere() {
    alone("background::little_is_reset_at_once_and_much_elsewhere", || {
        for tracking in [DirtyTracking::Lines, DirtyTracking::Pages] {
            let engine = kit::engine(|config| {
                config.background_reset(Some(1 << 20)).dirty_tracking(tracking);
            });
            let pre = pre(&engine, HEAP);
            let fill = pre.export::<u32, ()>("fill").unwrap();
            for _ in 0..5 {
                pre.call((), &fill, 1_000_000).unwrap();
                assert_eq!(engine.live_instances(), 0);
            }
            assert_eq!(threads(), 0, "nothing was too much to be reset at once");
            pre.call((), &fill, 2_000_000).unwrap();
            eventually("there is a thread", || threads() == 1);
            eventually("the slot is reset", || engine.live_instances() == 0);
            drop(fill);
            drop(pre);
            drop(engine);
            eventually("the thread ends with its engine", || threads() == 0);
        }
    });
}

#[test]
fn an_engine_that_is_full_of_what_is_being_reset_gives_instances() {
    let engine = engine(0, 2);
    let (first, second) = (pre(&engine, HEAP), pre(&engine, HEAP));
    let fill = [first.export::<u32, ()>("fill").unwrap(), second.export::<u32, ()>("fill").unwrap()];
    for i in 0..100 {
        // Slots of the one are in the way of the other.
        let (pre, fill) = if i % 3 == 0 { (&second, &fill[1]) } else { (&first, &fill[0]) };
        pre.call((), fill, 4_000_000).unwrap();
    }
    let held = (first.fresh(()).unwrap(), first.fresh(()).unwrap());
    fails(second.fresh(()), ErrorKind::PoolExhausted);
    drop(held);
    second.fresh(()).unwrap();
}

#[test]
fn host_data_is_dropped_by_whoever_drops_the_instance() {
    struct Data(Arc<Mutex<Vec<ThreadId>>>);
    impl Drop for Data {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(thread::current().id());
        }
    }
    let engine = engine(0, 10);
    let linker = Linker::<Data>::new(&engine);
    let pre = linker.instantiate_pre(&module(&engine, HEAP)).unwrap();
    let fill = pre.export::<u32, ()>("fill").unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    for i in 0..6 {
        if i % 2 == 0 {
            pre.call(Data(seen.clone()), &fill, 4_000_000).unwrap();
        } else {
            pre.instantiate(&mut Store::new(&engine, Data(seen.clone()))).unwrap();
        }
        assert_eq!(*seen.lock().unwrap(), vec![thread::current().id(); i + 1]);
    }
}

#[test]
fn host_functions_are_dropped_by_whoever_drops_the_pre() {
    struct Held(Arc<Mutex<Option<ThreadId>>>);
    impl Drop for Held {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = Some(thread::current().id());
        }
    }
    for _ in 0..20 {
        let engine = engine(0, 10);
        let dropped = Arc::new(Mutex::new(None));
        let held = Held(dropped.clone());
        let mut linker = Linker::new(&engine);
        linker
            .func_wrap("", "f", move || {
                let _ = &held;
            })
            .unwrap();
        let text = HEAP.replacen("(memory", "(import \"\" \"f\" (func)) (memory", 1);
        let pre: InstancePre<()> = linker.instantiate_pre(&module(&engine, text)).unwrap();
        drop(linker);
        let instances: Vec<_> = (0..6).map(|_| pre.fresh(()).unwrap()).collect();
        let fill = pre.export::<u32, ()>("fill").unwrap();
        instances.into_iter().for_each(|mut instance| instance.call(&fill, 4_000_000).unwrap());
        drop(fill);
        drop(pre);
        assert_eq!(*dropped.lock().unwrap(), Some(thread::current().id()));
        assert_eq!((engine.live_instances(), engine.resetting_instances()), (0, 0));
    }
}

#[test]
fn instances_that_outlive_their_pre_are_not_left_to_the_thread() {
    let engine = engine(0, 10);
    let pre = pre(&engine, HEAP);
    let fill = pre.export::<u32, ()>("fill").unwrap();
    let mut instance = pre.fresh(()).unwrap();
    instance.call(&fill, 4_000_000).unwrap();
    drop(pre);
    assert_eq!(engine.live_instances(), 1);
    drop(instance);
    assert_eq!(engine.live_instances(), 0);
}

#[test]
fn many_threads_leave_resets_to_one_while_pres_come_and_go() {
    alone("background::many_threads_leave_resets_to_one_while_pres_come_and_go", || {
        for tracking in [DirtyTracking::Lines, DirtyTracking::Pages, DirtyTracking::Off] {
            let engine = kit::engine(|config| {
                config.background_reset(Some(50_000)).max_instances(12).dirty_tracking(tracking);
            });
            let module = module(&engine, HEAP);
            let make = || Linker::<()>::new(&engine).instantiate_pre(&module).unwrap();
            let shared = Mutex::new(make());
            let (stop, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
            thread::scope(|scope| {
                for number in 0..6 {
                    let (shared, stop, calls, make) = (&shared, &stop, &calls, &make);
                    scope.spawn(move || {
                        let mut random = Random::new(number);
                        while !stop.load(Ordering::Relaxed) {
                            let pre = shared.lock().unwrap().clone();
                            if random.below(8) == 0 {
                                *shared.lock().unwrap() = make();
                            }
                            let fill = pre.export::<u32, ()>("fill").unwrap();
                            let dirt = pre.export::<(), u32>("dirt").unwrap();
                            let mut instance = match pre.fresh(()) {
                                Ok(instance) => instance,
                                // Slots of pres that others hold.
                                Err(error) if error.kind() == ErrorKind::PoolExhausted => continue,
                                Err(error) => panic!("{error}"),
                            };
                            drop(pre);
                            assert_eq!(instance.call(&dirt, ()).unwrap(), 0);
                            instance.call(&fill, random.below(300_000) as u32).unwrap();
                            if random.below(4) == 0 {
                                instance.reset().unwrap();
                                assert_eq!(instance.call(&dirt, ()).unwrap(), 0);
                            }
                            calls.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
                thread::sleep(Duration::from_secs(3));
                stop.store(true, Ordering::Relaxed);
            });
            assert!(calls.load(Ordering::Relaxed) > 50);
            drop(shared);
            assert_eq!((engine.live_instances(), engine.resetting_instances()), (0, 0));
            drop((module, engine));
            eventually("the thread ends with its engine", || threads() == 0);
        }
    });
}

#[test]
fn a_forked_child_resets_on_a_thread_of_its_own() {
    alone("background::a_forked_child_resets_on_a_thread_of_its_own", || {
        let engine = engine(0, 10);
        let pre = pre(&engine, HEAP);
        let fill = pre.export::<u32, ()>("fill").unwrap();
        let dirt = pre.export::<(), u32>("dirt").unwrap();
        pre.call((), &fill, 4_000_000).unwrap();
        eventually("the slot is reset", || engine.resetting_instances() == 0);
        // SAFETY: the engine's thread waits for work; the child ends by `_exit`.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let good = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                assert_eq!(threads(), 0);
                for _ in 0..5 {
                    let mut instance = pre.fresh(()).unwrap();
                    assert_eq!(instance.call(&dirt, ()).unwrap(), 0);
                    instance.call(&fill, 4_000_000).unwrap();
                }
                eventually("there is a thread", || threads() == 1);
                eventually("the slots are reset", || engine.resetting_instances() == 0);
                drop((fill, dirt, pre, engine));
                eventually("the thread ends with its engine", || threads() == 0);
            }));
            // SAFETY: ends the child.
            unsafe { libc::_exit(i32::from(good.is_err())) };
        }
        let mut status = 0;
        // SAFETY: `status` is a place to write to.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "the child has failed");
        pre.call((), &fill, 4_000_000).unwrap();
    });
}
