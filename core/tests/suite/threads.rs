//! Threads: anything may move that is `Send`, and be used where it is `Sync`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use instar::{
    BytesFunc, Caller, Config, Engine, ErrorKind, ExportFunc, ExportMemory, Instance, InstancePre, Linker, Module,
    OwnedInstance, SharedInstance, Store, TrapCode, TypedExport,
};

use crate::kit::{self, Random, module, paranoid, pre, traps};

const WORK: &str = r#"(module (memory (export "memory") 2 6) (global $n (mut i32) (i32.const 0)) (table 4 funcref)
  (data (i32.const 100) "text") (elem declare func $f) (func $f)
  (func $rec (result i32) (i32.add (i32.const 1) (call $rec)))
  (func (export "work") (param $seed i32) (result i32) (local $i i32)
    (if (i32.or (global.get $n) (i32.load (i32.const 1000))) (then (return (i32.const -1))))
    (if (i32.ne (i32.load (i32.const 100)) (i32.const 0x74786574)) (then (return (i32.const -2))))
    (if (i32.ne (memory.size) (i32.const 2)) (then (return (i32.const -3))))
    (if (i32.eqz (ref.is_null (table.get (i32.const 2)))) (then (return (i32.const -4))))
    (global.set $n (local.get $seed)) (i64.store (i32.const 100) (i64.const -1)) (i64.store (i32.const 1000) (i64.const -1))
    (table.set (i32.const 2) (ref.func $f))
    (if (i32.eqz (i32.rem_u (local.get $seed) (i32.const 7))) (then (drop (memory.grow (i32.const 2)))))
    (if (i32.eqz (i32.rem_u (local.get $seed) (i32.const 11))) (then unreachable))
    (if (i32.eqz (i32.rem_u (local.get $seed) (i32.const 97))) (then (drop (call $rec))))
    (i32.add (global.get $n) (i32.const 1))))"#;

fn check(result: instar::Result<i32>, seed: i32) {
    match result {
        Ok(n) => assert_eq!(n, seed + 1),
        Err(error) => assert!(
            matches!(error.trap_code(), Some(TrapCode::Unreachable | TrapCode::StackOverflow)),
            "{error}: seed {seed}"
        ),
    }
}

#[test]
fn eight_threads_create_call_and_drop_instances_of_one_pre() {
    let engine = paranoid();
    let pre = pre(&engine, WORK);
    let work = pre.export::<i32, i32>("work").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (pre, work) = (&pre, &work);
            scope.spawn(move || {
                for i in 0..300 {
                    let seed = thread * 1000 + i + 1;
                    check(pre.call((), work, seed), seed);
                    let mut instance = pre.fresh(()).unwrap();
                    check(instance.call(work, seed), seed);
                }
            });
        }
    });
    assert_eq!(engine.live_instances(), 0);
}

#[test]
fn an_instance_moves_from_thread_to_thread() {
    let engine = paranoid();
    let pre = pre(&engine, WORK);
    let work = pre.export::<i32, i32>("work").unwrap();
    for seed in 1..60 {
        let mut instance = pre.fresh(()).unwrap();
        let result = std::thread::scope(|scope| scope.spawn(|| instance.call(&work, seed)).join().unwrap());
        check(result, seed);
        std::thread::scope(|scope| drop(scope.spawn(move || drop(instance))));
        // The slot came from this thread's shard, and goes back there.
        check(pre.call((), &work, seed), seed);
    }
    assert_eq!(engine.live_instances(), 0);
}

#[test]
fn a_store_moves_from_thread_to_thread_with_all_that_is_in_it() {
    let engine = paranoid();
    let pre = pre(&engine, WORK);
    for seed in 1..20 {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let work = instance.typed_func::<i32, i32>(&mut store, "work").unwrap();
                check(work.call(&mut store, seed), seed);
                std::thread::scope(|scope| drop(scope.spawn(move || drop(store))));
            });
        });
    }
    assert_eq!(engine.live_instances(), 0);
}

#[test]
fn engine_module_linker_and_pre_may_go_while_instances_live_on_other_threads() {
    for round in 0..10 {
        let engine = paranoid();
        let pre = pre(&engine, WORK);
        let work = pre.export::<i32, i32>("work").unwrap();
        let (ready, is_ready) = mpsc::channel();
        let mut starts = Vec::new();
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let (start, started) = mpsc::channel::<()>();
                starts.push(start);
                let (mut instance, work, ready) = (pre.fresh(()).unwrap(), work.clone(), ready.clone());
                std::thread::spawn(move || {
                    ready.send(()).unwrap();
                    // Until the main thread has dropped everything.
                    let _ = started.recv();
                    let seed = thread * 10 + 1;
                    check(instance.call(&work, seed), seed);
                    drop(work);
                    drop(instance);
                })
            })
            .collect();
        (0..4).for_each(|_| is_ready.recv().unwrap());
        match round % 2 {
            0 => drop((pre, work, engine)),
            _ => drop((engine, work, pre)),
        }
        drop(starts);
        threads.into_iter().for_each(|t| t.join().unwrap());
    }
}

#[test]
fn a_pre_dropped_on_one_thread_while_others_create_and_drop_instances_is_clean() {
    for _ in 0..20 {
        let engine = paranoid();
        let pre = pre(&engine, WORK);
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let pre = pre.clone();
                std::thread::spawn(move || {
                    let work = pre.export::<i32, i32>("work").unwrap();
                    let kept: Vec<OwnedInstance<()>> = (0..3).map(|_| pre.fresh(()).unwrap()).collect();
                    for i in 0..5 {
                        check(pre.call((), &work, thread + i * 10 + 1), thread + i * 10 + 1);
                    }
                    drop(pre);
                    kept
                })
            })
            .collect();
        drop(pre);
        let kept: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        assert_eq!(engine.live_instances(), 12);
        drop(kept);
        assert_eq!(engine.live_instances(), 0);
    }
}

#[test]
fn modules_are_compiled_on_many_threads_at_once() {
    let engine = paranoid();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let engine = &engine;
            scope.spawn(move || {
                for i in 0..10 {
                    let number = thread * 100 + i;
                    let text = format!("(module (func (export \"f\") (result i32) (i32.const {number})))");
                    let pre = pre(engine, text);
                    let f = pre.export::<(), i32>("f").unwrap();
                    assert_eq!(pre.call((), &f, ()).unwrap(), number);
                }
            });
        }
    });
}

#[test]
fn traps_are_found_while_other_threads_load_and_drop_code() {
    let engine = kit::engine(|config| {
        config.cranelift_debug_verifier(false);
    });
    let trapping = pre(&engine, WORK);
    let work = trapping.export::<i32, i32>("work").unwrap();
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for i in 0..60 {
                    drop(pre(&engine, format!("(module (func (export \"f\") (result i32) (i32.const {i})))")));
                }
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                while done.load(Ordering::Relaxed) < 2 {
                    traps(trapping.call((), &work, 11), TrapCode::Unreachable);
                    traps(trapping.call((), &work, 97), TrapCode::StackOverflow);
                }
            });
        }
    });
}

#[test]
fn threads_that_come_and_go_leave_no_slot_behind_that_others_cannot_use() {
    let engine = kit::engine(|config| {
        config.max_instances(4);
    });
    let pre = pre(&engine, WORK);
    let work = pre.export::<i32, i32>("work").unwrap();
    for round in 0..50 {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (pre, work) = (&pre, &work);
                scope.spawn(move || {
                    let seed = round * 10 + thread + 1;
                    check(pre.call((), work, seed), seed);
                });
            }
        });
    }
    assert_eq!(engine.live_instances(), 0);
}

#[test]
fn more_threads_than_instances_get_an_instance_or_a_clear_error() {
    let engine = kit::engine(|config| {
        config.max_instances(3);
    });
    let pres = [pre(&engine, WORK), pre(&engine, WORK)];
    let (good, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let (pres, good, refused) = (&pres, &good, &refused);
            scope.spawn(move || {
                let mut random = Random::new(thread);
                for _ in 0..200 {
                    let pre = &pres[random.below(2) as usize];
                    let seed = random.below(1000) as i32 + 1;
                    match pre.fresh(()) {
                        Ok(mut instance) => {
                            good.fetch_add(1, Ordering::Relaxed);
                            check(instance.call(&pre.export("work").unwrap(), seed), seed);
                        }
                        Err(error) => {
                            refused.fetch_add(1, Ordering::Relaxed);
                            assert_eq!(error.kind(), ErrorKind::PoolExhausted, "{error}");
                        }
                    }
                }
            });
        }
    });
    assert!(good.load(Ordering::Relaxed) > 50, "{good:?} {refused:?}");
    assert_eq!(engine.live_instances(), 0);
}

#[test]
fn a_host_function_may_use_other_instances_and_threads() {
    let engine = paranoid();
    let inner = pre(&engine, WORK);
    let work = inner.export::<i32, i32>("work").unwrap();
    let mut linker = Linker::<Arc<AtomicUsize>>::new(&engine);
    linker
        .func_wrap("h", "spawn", move |caller: Caller<'_, Arc<AtomicUsize>>, n: i32| {
            std::thread::scope(|scope| {
                for thread in 0..3 {
                    let (inner, work, count) = (&inner, &work, caller.data());
                    scope.spawn(move || {
                        let seed = n * 10 + thread + 1;
                        check(inner.call((), work, seed), seed);
                        count.fetch_add(1, Ordering::Relaxed);
                    });
                }
            });
        })
        .unwrap();
    let text = r#"(module (import "h" "spawn" (func $s (param i32))) (memory 1)
      (func (export "go") (param i32) (i32.store (i32.const 5) (i32.const 1)) (call $s (local.get 0))))"#;
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    let go = pre.export::<i32, ()>("go").unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..10).for_each(|n| pre.call(count.clone(), &go, n).unwrap()));
        }
    });
    assert_eq!(count.load(Ordering::Relaxed), 90);
}

#[test]
fn what_should_be_send_and_sync_is() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    macro_rules! both {
        ($($ty:ty),*) => {$(
            send::<$ty>();
            sync::<$ty>();
        )*};
    }
    both!(
        Engine, Config, Module, Linker<()>, InstancePre<()>, Store<()>, Instance, OwnedInstance<()>, SharedInstance<()>,
        ExportFunc, TypedExport<i32, i32>, BytesFunc, ExportMemory, instar::Error, instar::Func, instar::Memory,
        instar::Table, instar::Global, instar::Val, instar::ExternRef
    );
    // A pre of data that must stay on its thread may itself go anywhere.
    both!(InstancePre<std::rc::Rc<()>>, Linker<std::rc::Rc<()>>);
    // Data that is only Send may be shared by claims.
    both!(SharedInstance<std::cell::Cell<u8>>);
}
