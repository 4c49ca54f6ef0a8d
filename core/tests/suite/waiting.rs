//! When all instances are in use: an error at once, or a place in a fair queue.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use instar::{Engine, ErrorKind, InstancePre, Linker, Store};

use crate::kit::{self, Random, fails, module, pre};

const COUNTER: &str = r#"(module (memory 1)
  (func (export "next") (result i32)
    (i32.store (i32.const 64) (i32.add (i32.load (i32.const 64)) (i32.const 1))) (i32.load (i32.const 64))))"#;

const LONG: Duration = Duration::from_secs(60);

fn room_for(instances: usize) -> Engine {
    kit::engine(|config| {
        config.max_instances(instances).cranelift_debug_verifier(false);
    })
}

fn until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + LONG;
    while !done() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn without_waiting_a_full_pool_is_an_error_at_once() {
    let engine = room_for(1);
    let pre = pre(&engine, COUNTER);
    let held = pre.fresh(()).unwrap();
    let start = Instant::now();
    let error = fails(pre.fresh(()).map(drop), ErrorKind::PoolExhausted);
    for word in ["all 1 instances", "close (drop)", "max_instances", "pool_wait"] {
        assert!(error.message().contains(word), "`{word}` is not in: {error}");
    }
    assert!(start.elapsed() < Duration::from_secs(5));
    drop(held);
    drop(pre.fresh(()).unwrap());
    assert_eq!(pre.stats().waits, 0);
}

#[test]
fn who_waits_gets_what_is_closed_in_every_way_to_instantiate() {
    let engine = room_for(1);
    let pre = pre(&engine, COUNTER).waiting(LONG);
    let next = pre.export::<(), u32>("next").unwrap();
    let raw = pre.func("next").unwrap();
    let ways: [&(dyn Fn() + Sync); 5] = [
        &|| assert_eq!(pre.fresh(()).unwrap().call(&next, ()).unwrap(), 1),
        &|| assert_eq!(pre.call((), &next, ()).unwrap(), 1),
        &|| pre.call_raw((), &raw, &mut [0]).unwrap(),
        &|| pre.shared(()).unwrap().close().unwrap(),
        &|| {
            let mut store = Store::new(&engine, ());
            pre.instantiate(&mut store).unwrap();
        },
    ];
    for (i, way) in ways.into_iter().enumerate() {
        let mut held = pre.fresh(()).unwrap();
        assert_eq!(held.call(&next, ()).unwrap(), 1);
        std::thread::scope(|scope| {
            let thread = scope.spawn(way);
            until("it waits", || engine.pool_metrics().waiting == 1);
            assert!(!thread.is_finished());
            drop(held);
            thread.join().unwrap();
        });
        let stats = pre.stats();
        assert_eq!((stats.waits, stats.wait_timeouts, stats.live), (i as u64 + 1, 0, 0));
        assert_eq!(engine.pool_metrics().waiting, 0);
    }
    assert_eq!(pre.stats().cold_starts, 1);
}

#[test]
fn waiting_ends_with_an_error_when_its_time_is_up() {
    let engine = kit::engine(|config| {
        config.max_instances(1).pool_wait(Duration::from_millis(30));
    });
    let pre = pre(&engine, COUNTER);
    let held = pre.fresh(()).unwrap();
    let start = Instant::now();
    let error = fails(pre.fresh(()).map(drop), ErrorKind::PoolExhausted);
    assert!(start.elapsed() >= Duration::from_millis(30));
    assert!(error.message().contains("within 30ms") && error.message().contains("max_instances"), "{error}");
    // The handle decides, not the engine.
    let start = Instant::now();
    fails(pre.waiting(Duration::ZERO).fresh(()).map(drop), ErrorKind::PoolExhausted);
    assert_eq!((pre.stats().waits, pre.stats().wait_timeouts), (1, 1));
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(engine.pool_metrics().waiting, 0);
    drop(held);
    drop(pre.fresh(()).unwrap());
    // For ever, as far as a clock is concerned.
    let held = pre.fresh(()).unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| pre.waiting(Duration::MAX).fresh(()).map(drop));
        until("it waits", || engine.pool_metrics().waiting == 1);
        drop(held);
        thread.join().unwrap().unwrap();
    });
}

#[test]
fn first_come_is_first_served_over_all_pools_and_nobody_overtakes() {
    let engine = room_for(2);
    let pres = [pre(&engine, COUNTER), pre(&engine, COUNTER)];
    let next = pres.each_ref().map(|pre| pre.export::<(), u32>("next").unwrap());
    let order = Mutex::new(Vec::new());
    let held = [pres[0].fresh(()).unwrap(), pres[1].fresh(()).unwrap()];
    std::thread::scope(|scope| {
        for i in 0..12 {
            let (pres, next, order, engine) = (&pres, &next, &order, &engine);
            scope.spawn(move || {
                let which = i % 3 % 2;
                let mut instance = pres[which].waiting(LONG).fresh(()).unwrap();
                order.lock().unwrap().push(i);
                assert_eq!(instance.call(&next[which], ()).unwrap(), 1, "a fresh one");
                // Those who do not wait get nothing as long as somebody does.
                if engine.pool_metrics().waiting > 1 {
                    let _ = pres[which].fresh(()).map(|_| panic!("overtook those who wait"));
                }
            });
            until("it stands in the queue", || engine.pool_metrics().waiting == i + 1);
        }
        let [first, second] = held;
        drop(first);
        until("all are served but by the second slot", || order.lock().unwrap().len() == 12);
        drop(second);
    });
    assert_eq!(*order.lock().unwrap(), (0..12).collect::<Vec<_>>());
    assert_eq!((engine.live_instances(), engine.pool_metrics().waiting), (0, 0));
}

#[test]
fn room_that_comes_free_without_a_slot_is_enough() {
    let engine = kit::engine(|config| {
        config.max_instances(1).allocation_strategy(instar::InstanceAllocationStrategy::OnDemand);
    });
    let on_demand = pre(&engine, COUNTER);
    let held = on_demand.fresh(()).unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| on_demand.waiting(LONG).fresh(()).map(drop));
        until("it waits", || engine.pool_metrics().waiting == 1);
        drop(held);
        thread.join().unwrap().unwrap();
    });
    // So is that of a pool that goes.
    let engine = room_for(1);
    let (one, two) = (pre(&engine, COUNTER), pre(&engine, COUNTER));
    let held = one.fresh(()).unwrap();
    drop(one);
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| two.waiting(LONG).fresh(()).map(drop));
        until("it waits", || engine.pool_metrics().waiting == 1);
        drop(held);
        thread.join().unwrap().unwrap();
    });
}

#[test]
fn what_finalizers_leave_wakes_who_waits() {
    let engine = room_for(2);
    let pre = pre(&engine, COUNTER);
    let (first, second) = (pre.shared(()).unwrap(), pre.shared(()).unwrap());
    let error = fails(pre.fresh(()).map(drop), ErrorKind::PoolExhausted);
    assert!(error.message().contains("2 of them shared instances that were neither closed nor dropped"), "{error}");
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| pre.waiting(LONG).fresh(()).map(drop));
        until("it waits", || engine.pool_metrics().waiting == 1);
        drop(first);
        thread.join().unwrap().unwrap();
    });
    // One that is abandoned during a call is closed when the call is over.
    let third = pre.shared(()).unwrap();
    let raw = second.into_raw();
    // SAFETY: the numbers are of an instance of this engine.
    let claim = unsafe { instar::SharedInstance::enter_raw(&pre, raw.0, raw.1) }.unwrap();
    // SAFETY: as above.
    unsafe { instar::SharedInstance::<()>::abandon_raw(&engine, raw.0, raw.1) };
    let error = fails(pre.fresh(()).map(drop), ErrorKind::PoolExhausted);
    assert!(error.message().contains("2 of them") && error.message().contains("(1 in a call)"), "{error}");
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| pre.waiting(LONG).fresh(()).map(drop));
        until("it waits", || engine.pool_metrics().waiting == 1);
        drop(claim);
        thread.join().unwrap().unwrap();
    });
    third.close().unwrap();
    let error = {
        let _both = (pre.shared(()).unwrap(), pre.fresh(()).unwrap());
        fails(pre.fresh(()).map(drop), ErrorKind::PoolExhausted)
    };
    assert!(error.message().contains("1 of them a shared instance"), "{error}");
}

#[test]
fn a_slot_of_a_thread_that_is_gone_is_found() {
    let engine = room_for(30);
    let pre = pre(&engine, COUNTER);
    for _ in 0..3 {
        let threads: Vec<_> = (0..30).map(|_| pre.fresh(()).unwrap()).collect();
        std::thread::scope(|scope| {
            for instance in threads {
                let pre = &pre;
                scope.spawn(move || {
                    drop(instance);
                    let _ = pre;
                });
            }
        });
        assert_eq!(engine.live_instances(), 0);
    }
    assert_eq!(pre.stats().cold_starts, 30);
}

#[test]
fn on_a_full_engine_every_idle_slot_is_found_whoever_looks() {
    // As many slots as threads: nobody may ever be refused, as each holds one at most.
    let threads = 12;
    let engine = room_for(threads);
    let pres: Vec<_> = (0..3).map(|_| pre(&engine, COUNTER)).collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (pres, stop) = (&pres, &stop);
            scope.spawn(move || {
                let mut random = Random::new(thread as u64 + 1);
                while !stop.load(Ordering::Relaxed) {
                    let pre = &pres[random.below(3) as usize];
                    let next = pre.export::<(), u32>("next").unwrap();
                    // A millisecond is for those who are on their way from one place to another.
                    assert_eq!(pre.waiting(LONG).call((), &next, ()).unwrap(), 1);
                }
            });
        }
        std::thread::sleep(Duration::from_millis(800));
        stop.store(true, Ordering::Relaxed);
    });
    let metrics = engine.pool_metrics();
    assert_eq!((metrics.live, metrics.wait_timeouts, metrics.waiting), (0, 0, 0), "{metrics:?}");
}

#[test]
fn hammered_by_more_threads_than_slots_everybody_is_served() {
    let engine = kit::engine(|config| {
        config.max_instances(3).pool_wait(LONG).cranelift_debug_verifier(false).max_idle_resident_bytes(100_000);
    });
    let pres: Vec<InstancePre<Arc<AtomicUsize>>> =
        (0..3).map(|_| Linker::new(&engine).instantiate_pre(&module(&engine, COUNTER)).unwrap()).collect();
    let (alive, most) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let rounds = 150;
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let (pres, alive, most, engine) = (&pres, &alive, &most, &engine);
            scope.spawn(move || {
                let mut random = Random::new(thread + 1);
                for _ in 0..rounds {
                    let pre = &pres[random.below(3) as usize];
                    let next = pre.export::<(), u32>("next").unwrap();
                    match random.below(4) {
                        0 => assert_eq!(pre.call(alive.clone(), &next, ()).unwrap(), 1),
                        1 => {
                            // Some finalizers have their turn.
                            let shared = pre.shared(alive.clone()).unwrap();
                            assert_eq!(shared.enter().unwrap().call(&next, ()).unwrap(), 1);
                            match random.below(2) {
                                0 => shared.close().unwrap(),
                                _ => drop(shared),
                            }
                        }
                        2 => {
                            let mut instance = pre.fresh(alive.clone()).unwrap();
                            let now = alive.fetch_add(1, Ordering::SeqCst) + 1;
                            most.fetch_max(now, Ordering::SeqCst);
                            assert!(now <= 3, "{now} instances at a time");
                            assert_eq!(instance.call(&next, ()).unwrap(), 1);
                            std::thread::yield_now();
                            alive.fetch_sub(1, Ordering::SeqCst);
                        }
                        _ => {
                            let short = Duration::from_micros(random.below(300));
                            match pre.waiting(short).fresh(alive.clone()) {
                                Ok(mut instance) => assert_eq!(instance.call(&next, ()).unwrap(), 1),
                                Err(error) => assert_eq!(error.kind(), ErrorKind::PoolExhausted, "{error}"),
                            }
                        }
                    }
                    // Those who come and go: a pool of its own.
                    if random.below(40) == 0 {
                        let own = kit::pre(engine, COUNTER);
                        drop(own.fresh(()).unwrap());
                    }
                }
            });
        }
    });
    SharedCloser::close(&pres[0]);
    let metrics = engine.pool_metrics();
    assert_eq!((metrics.live, engine.live_instances(), metrics.waiting), (0, 0, 0), "{metrics:?}");
    assert!(metrics.waits > 100, "too tame: {metrics:?}");
    assert!(metrics.idle_resident_bytes <= 100_000, "{metrics:?}");
    assert_eq!(most.into_inner(), 3);
}

/// Closes what was abandoned last.
struct SharedCloser;

impl SharedCloser {
    fn close(pre: &InstancePre<Arc<AtomicUsize>>) {
        pre.shared(Arc::default()).unwrap().close().unwrap();
    }
}

#[test]
fn a_forked_child_does_not_serve_the_parents_threads() {
    kit::alone("waiting::a_forked_child_does_not_serve_the_parents_threads", || {
        let engine = room_for(1);
        let pre = pre(&engine, COUNTER);
        let held = pre.fresh(()).unwrap();
        let patient = pre.waiting(LONG);
        let waits = std::thread::spawn(move || patient.fresh(()).map(drop));
        until("it waits", || engine.pool_metrics().waiting == 1);
        // SAFETY: the only other thread sleeps without holding a lock.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // The thread that waits does not exist here: the slot is nobody's but ours.
            drop(held);
            let again = pre.waiting(Duration::from_secs(5)).fresh(());
            let fine = again.is_ok() && engine.pool_metrics().waiting == 0 && engine.live_instances() == 1;
            // SAFETY: ends the child at once, without its parent's destructors.
            unsafe { libc::_exit(if fine { 7 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: waits for the child made above.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7, "{status:#x}");
        drop(held);
        waits.join().unwrap().unwrap();
    });
}
