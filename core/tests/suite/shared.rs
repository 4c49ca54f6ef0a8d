//! Instances whose handles may be kept too long and used by anybody: what bindings build on.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use instar::{Caller, Engine, ErrorKind, InstancePre, Linker, SharedInstance};

use crate::kit::{self, Random, fails, module, paranoid, pre};

const COUNTER: &str = r#"(module (memory (export "memory") 1) (global $n (mut i32) (i32.const 0))
  (func (export "next") (result i32) (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))"#;

fn enter(pre: &InstancePre<()>, raw: (u64, u64)) -> instar::Result<u32> {
    // SAFETY: the tests pass numbers of instances of the pre's engine, or 0.
    let mut claim = unsafe { SharedInstance::enter_raw(pre, raw.0, raw.1) }?;
    claim.call(&pre.export("next").unwrap(), ())
}

fn close(raw: (u64, u64)) -> instar::Result<()> {
    // SAFETY: as above; the engine is alive.
    unsafe { SharedInstance::<()>::close_raw(raw.0, raw.1) }
}

#[test]
fn a_shared_instance_keeps_its_state_from_claim_to_claim() {
    let pre = pre(&paranoid(), COUNTER);
    let next = pre.export::<(), u32>("next").unwrap();
    let shared = pre.shared(()).unwrap();
    for n in 1..5 {
        assert_eq!(shared.enter().unwrap().call(&next, ()).unwrap(), n);
    }
    let mut claim = shared.enter().unwrap();
    assert_eq!(claim.call(&next, ()).unwrap(), 5);
    assert_eq!(claim.call(&next, ()).unwrap(), 6);
    drop(claim);
    assert!(!shared.is_closed());
    shared.close().unwrap();
    assert!(shared.is_closed());
    assert_eq!(pre.shared(()).unwrap().enter().unwrap().call(&next, ()).unwrap(), 1);
}

#[test]
fn closing_is_final_and_may_be_repeated() {
    let engine = kit::one_slot();
    let pre = pre(&engine, COUNTER);
    let first = pre.shared(()).unwrap();
    first.close().unwrap();
    first.close().unwrap();
    fails(first.enter().map(drop), ErrorKind::StaleHandle);
    // The one slot is somebody else's now.
    let second = pre.shared(()).unwrap();
    fails(first.enter().map(drop), ErrorKind::StaleHandle);
    first.close().unwrap();
    assert!(!second.is_closed(), "closing a stale handle closes nothing");
    assert_eq!(second.enter().unwrap().call(&pre.export::<(), u32>("next").unwrap(), ()).unwrap(), 1);
    drop(first);
    fails(pre.shared(()).map(drop), ErrorKind::PoolExhausted);
    second.enter().expect("an old handle's drop closes nothing of the next owner");
}

#[test]
fn use_by_another_thread_during_a_call_is_busy() {
    let engine = paranoid();
    let (arrived, go_on) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (a, g) = (arrived.clone(), go_on.clone());
    let mut linker = Linker::<()>::new(&engine);
    linker
        .func_wrap("h", "wait", move || {
            a.wait();
            g.wait();
        })
        .unwrap();
    let text = r#"(module (import "h" "wait" (func $wait)) (func (export "wait") (call $wait)))"#;
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    let wait = pre.export::<(), ()>("wait").unwrap();
    let shared = pre.shared(()).unwrap();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| shared.enter().unwrap().call(&wait, ()));
        arrived.wait();
        for _ in 0..100 {
            fails(shared.enter().map(drop), ErrorKind::Busy);
            fails(shared.close(), ErrorKind::Busy);
        }
        assert!(!shared.is_closed());
        go_on.wait();
        call.join().unwrap().unwrap();
    });
    shared.enter().expect("free again");
    shared.close().unwrap();
}

#[test]
fn a_claim_that_is_held_makes_a_second_one_busy_on_the_same_thread() {
    let pre = pre(&paranoid(), COUNTER);
    let shared = pre.shared(()).unwrap();
    let claim = shared.enter().unwrap();
    let error = fails(shared.enter().map(drop), ErrorKind::Busy);
    assert!(error.message().contains("in use"), "{error}");
    fails(shared.close(), ErrorKind::Busy);
    drop(claim);
    shared.close().unwrap();
}

#[test]
fn raw_handles_are_checked_like_safe_ones() {
    let engine = kit::one_slot();
    let pre = pre(&engine, COUNTER);
    let first = pre.shared(()).unwrap().into_raw();
    assert_eq!(enter(&pre, first).unwrap(), 1);
    assert_eq!(enter(&pre, first).unwrap(), 2);
    close(first).unwrap();
    fails(enter(&pre, first), ErrorKind::StaleHandle);
    close(first).unwrap();
    let second = pre.shared(()).unwrap().into_raw();
    assert_eq!(first.0, second.0, "the cell is the slot's own, and so the same");
    assert_ne!(first.1, second.1);
    fails(enter(&pre, first), ErrorKind::StaleHandle);
    assert_eq!(enter(&pre, second).unwrap(), 1);
    close(first).unwrap();
    assert_eq!(enter(&pre, second).unwrap(), 2);
    close(second).unwrap();
}

#[test]
fn an_id_of_zero_is_never_an_open_instance() {
    let engine = kit::one_slot();
    let pre = pre(&engine, COUNTER);
    for _ in 0..3 {
        let raw = pre.shared(()).unwrap().into_raw();
        fails(enter(&pre, (raw.0, 0)), ErrorKind::StaleHandle);
        close((raw.0, 0)).unwrap();
        close(raw).unwrap();
        // The cell is free now, which it says with an id of zero.
        fails(enter(&pre, (raw.0, 0)), ErrorKind::StaleHandle);
        close((raw.0, 0)).unwrap();
        fails(enter(&pre, (raw.0, 0)), ErrorKind::StaleHandle);
        fails(enter(&pre, (0, 0)), ErrorKind::StaleHandle);
        fails(enter(&pre, (0, raw.1)), ErrorKind::StaleHandle);
        fails(close((0, 0)), ErrorKind::StaleHandle);
        let again = pre.shared(()).unwrap();
        let next = pre.export::<(), u32>("next").unwrap();
        assert_eq!(again.enter().unwrap().call(&next, ()).unwrap(), 1);
        again.close().unwrap();
    }
}

#[test]
fn an_instance_of_another_pre_is_refused_before_its_data_is_touched() {
    let engine = paranoid();
    let module = module(&engine, COUNTER);
    let numbers: InstancePre<u64> = Linker::new(&engine).instantiate_pre(&module).unwrap();
    let texts: InstancePre<String> = Linker::new(&engine).instantiate_pre(&module).unwrap();
    let raw = numbers.shared(7).unwrap().into_raw();
    for _ in 0..3 {
        // SAFETY: the numbers are of an instance of the same engine.
        let result = unsafe { SharedInstance::enter_raw(&texts, raw.0, raw.1) };
        let error = fails(result.map(drop), ErrorKind::StaleHandle);
        assert!(error.message().contains("another InstancePre"), "{error}");
        // SAFETY: as above.
        let claim = unsafe { SharedInstance::enter_raw(&numbers, raw.0, raw.1) }.expect("still open and free");
        assert_eq!(*claim.data(), 7);
    }
    close(raw).unwrap();
}

#[test]
fn an_abandoned_instance_is_closed_by_the_next_instantiation() {
    let engine = kit::one_slot();
    let pre = pre(&engine, COUNTER);
    let next = pre.export::<(), u32>("next").unwrap();
    for round in 0..5 {
        let shared = pre.shared(()).unwrap();
        assert_eq!(shared.enter().unwrap().call(&next, ()).unwrap(), 1);
        match round % 2 {
            0 => drop(shared),
            _ => {
                let raw = shared.into_raw();
                // SAFETY: the numbers are of an instance of this engine.
                unsafe { SharedInstance::<()>::abandon_raw(&engine, raw.0, raw.1) };
                // SAFETY: as above; finalizers may run twice.
                unsafe { SharedInstance::<()>::abandon_raw(&engine, raw.0, raw.1) };
            }
        }
        assert_eq!(engine.live_instances(), 1);
    }
    pre.shared(()).unwrap().close().unwrap();
    assert_eq!(engine.live_instances(), 0);
}

#[test]
fn an_abandoned_instance_makes_room_for_instances_of_every_kind() {
    let engine = kit::one_slot();
    let pre = pre(&engine, COUNTER);
    drop(pre.shared(()).unwrap());
    drop(pre.fresh(()).expect("the abandoned instance's slot"));
    drop(pre.shared(()).unwrap());
    let mut store = instar::Store::new(&engine, ());
    pre.instantiate(&mut store).expect("the abandoned instance's slot");
}

/// Data that counts how many of its kind are alive.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Counted(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn abandoning_runs_nobodys_code_and_the_next_instantiation_does() {
    let engine = paranoid();
    let pre: InstancePre<Counted> = Linker::new(&engine).instantiate_pre(&module(&engine, COUNTER)).unwrap();
    let alive = Arc::new(AtomicUsize::new(0));
    for _ in 0..10 {
        drop(pre.shared(Counted::new(&alive)).unwrap());
        assert_eq!(alive.load(Ordering::Relaxed), 1);
    }
    pre.shared(Counted::new(&alive)).unwrap().close().unwrap();
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

#[test]
fn abandoned_instances_do_not_keep_an_engine_that_everybody_dropped() {
    let alive = Arc::new(AtomicUsize::new(0));
    {
        let engine = paranoid();
        let pre: InstancePre<Counted> = Linker::new(&engine).instantiate_pre(&module(&engine, COUNTER)).unwrap();
        let shared: Vec<_> = (0..5).map(|_| pre.shared(Counted::new(&alive)).unwrap()).collect();
        drop(shared);
    }
    assert_eq!(alive.load(Ordering::Relaxed), 0, "data of instances of an engine that is gone");
    {
        // The other way round: the instances go last.
        let engine = paranoid();
        let pre: InstancePre<Counted> = Linker::new(&engine).instantiate_pre(&module(&engine, COUNTER)).unwrap();
        let shared: Vec<_> = (0..5).map(|_| pre.shared(Counted::new(&alive)).unwrap()).collect();
        drop((pre, engine));
        drop(shared);
    }
    assert_eq!(alive.load(Ordering::Relaxed), 0, "data of instances that were the last to go");
}

#[test]
fn an_instance_abandoned_while_the_last_pre_goes_is_closed_by_one_of_the_two() {
    let alive = Arc::new(AtomicUsize::new(0));
    for _ in 0..300 {
        let engine = kit::engine(|config| {
            config.cranelift_debug_verifier(false);
        });
        let pre: InstancePre<Counted> = Linker::new(&engine).instantiate_pre(&module(&engine, "(module)")).unwrap();
        let shared = pre.shared(Counted::new(&alive)).unwrap();
        let start = Barrier::new(2);
        std::thread::scope(|scope| {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                drop((pre, engine));
            });
            scope.spawn(move || {
                start.wait();
                drop(shared);
            });
        });
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    }
}

/// What the hammer's tenants know of each other: the handle, and the number that its data and memory carry.
type Known = ((u64, u64), u64);

struct Tenant(u64);

#[test]
fn hammered_by_threads_no_tenant_ever_sees_another() {
    let engine: Engine = kit::engine(|config| {
        config.max_instances(24).cranelift_debug_verifier(false);
    });
    let mut linker = Linker::<Tenant>::new(&engine);
    linker.func_wrap("h", "id", |caller: Caller<'_, Tenant>| caller.data().0).unwrap();
    // `sign` writes the tenant's number; `check` answers whether memory and global hold it, or nothing yet.
    let text = r#"(module (import "h" "id" (func $id (result i64))) (memory (export "memory") 1)
      (global $mine (mut i64) (i64.const 0))
      (func (export "sign") (param i32)
        (global.set $mine (call $id)) (i64.store (local.get 0) (call $id)) (i64.store (i32.const 8) (call $id)))
      (func (export "check") (param i32) (result i64)
        (i64.or (i64.load (local.get 0)) (i64.or (i64.load (i32.const 8)) (global.get $mine)))))"#;
    let pres: Vec<InstancePre<Tenant>> =
        (0..2).map(|_| linker.instantiate_pre(&module(&engine, text)).unwrap()).collect();
    let known: Mutex<Vec<(usize, Known)>> = Mutex::default();
    let numbers = AtomicU64::new(1);
    let stop = AtomicBool::new(false);
    let entered = AtomicUsize::new(0);
    let refused = AtomicUsize::new(0);

    let enter = |pre: &InstancePre<Tenant>, (raw, number): Known, random: &mut Random| {
        let sign = pre.export::<u32, ()>("sign").unwrap();
        let check = pre.export::<u32, u64>("check").unwrap();
        // SAFETY: the engine lives for all of the test, and so do its cells.
        match unsafe { SharedInstance::enter_raw(pre, raw.0, raw.1) } {
            Ok(mut claim) => {
                entered.fetch_add(1, Ordering::Relaxed);
                assert_eq!(claim.data().0, number, "somebody else's data");
                let at = random.below(7_000) as u32 * 8 + 64;
                let seen = claim.call(&check, at).unwrap();
                assert!(seen == 0 || seen == number, "{seen:#x} is not of tenant {number:#x}");
                claim.call(&sign, at).unwrap();
                assert_eq!(claim.call(&check, at).unwrap(), number);
            }
            Err(error) => {
                refused.fetch_add(1, Ordering::Relaxed);
                assert!(matches!(error.kind(), ErrorKind::Busy | ErrorKind::StaleHandle), "{error}");
            }
        }
    };

    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (pres, known, numbers, stop, engine, enter) = (&pres, &known, &numbers, &stop, &engine, &enter);
            scope.spawn(move || {
                let mut random = Random::new(thread + 1);
                while !stop.load(Ordering::Relaxed) {
                    let pick = |random: &mut Random| {
                        let known = known.lock().unwrap();
                        (!known.is_empty()).then(|| known[random.below(known.len() as u64) as usize])
                    };
                    match random.below(10) {
                        0..2 => {
                            let which = random.below(2) as usize;
                            let number = numbers.fetch_add(1, Ordering::Relaxed);
                            match pres[which].shared(Tenant(number)) {
                                Ok(shared) => {
                                    let mut known = known.lock().unwrap();
                                    known.push((which, (shared.into_raw(), number)));
                                    // Stale handles stay known for a while, and open ones in use for longer.
                                    if known.len() > 200 && close(known[0].1.0).is_ok() {
                                        known.remove(0);
                                    }
                                }
                                Err(error) => assert_eq!(error.kind(), ErrorKind::PoolExhausted, "{error}"),
                            }
                        }
                        2 => {
                            let which = random.below(2) as usize;
                            let number = numbers.fetch_add(1, Ordering::Relaxed);
                            match pres[which].fresh(Tenant(number)) {
                                Ok(mut instance) => {
                                    let check = pres[which].export::<u32, u64>("check").unwrap();
                                    let sign = pres[which].export::<u32, ()>("sign").unwrap();
                                    let at = random.below(7_000) as u32 * 8 + 64;
                                    assert_eq!(instance.call(&check, at).unwrap(), 0, "not a fresh instance");
                                    instance.call(&sign, at).unwrap();
                                }
                                Err(error) => assert_eq!(error.kind(), ErrorKind::PoolExhausted, "{error}"),
                            }
                        }
                        3..8 => {
                            if let Some((which, known)) = pick(&mut random) {
                                enter(&pres[which], known, &mut random);
                            }
                        }
                        8 => {
                            // Another pre, an id of zero, an id of somebody else.
                            if let (Some((which, (raw, number))), Some((_, (other, _)))) =
                                (pick(&mut random), pick(&mut random))
                            {
                                enter(&pres[1 - which], (raw, u64::MAX), &mut random);
                                enter(&pres[which], ((raw.0, 0), u64::MAX), &mut random);
                                if raw.0 != other.0 {
                                    enter(&pres[which], ((raw.0, other.1), u64::MAX), &mut random);
                                }
                                let _ = close((raw.0, 0));
                                enter(&pres[which], (raw, number), &mut random);
                            }
                        }
                        _ => {
                            if let Some((_, (raw, _))) = pick(&mut random) {
                                match random.below(4) {
                                    // SAFETY: the numbers are of an instance of this engine.
                                    0 => unsafe { SharedInstance::<Tenant>::abandon_raw(engine, raw.0, raw.1) },
                                    _ => {
                                        if let Err(error) = close(raw) {
                                            assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            });
        }
        let end = Instant::now() + Duration::from_millis(1200);
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50));
        }
        stop.store(true, Ordering::Relaxed);
    });
    let (entered, refused) = (entered.into_inner(), refused.into_inner());
    assert!(entered > 1000 && refused > 1000, "too tame: {entered} entered, {refused} refused");
    for (_, (raw, _)) in known.into_inner().unwrap() {
        close(raw).unwrap();
    }
    pres[0].shared(Tenant(0)).unwrap().close().unwrap();
    assert_eq!(engine.live_instances(), 0);
}
