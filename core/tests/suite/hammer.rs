//! Hammers: more threads than processors do everything at once that threads may do with instances, pres, engines and
//! handles, for some seconds, in every way of tracking writes. Every instance signs its memory, its table and its globals with
//! a number of its own, and whoever comes next must find none.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use instar::{
    DirtyTracking, Engine, ErrorKind, InstancePre, Linker, Module, ModuleOptions, OwnedInstance, SharedInstance, Store,
};

use crate::kit::{self, Random, Use};

/// `sign` writes a number to places all over the instance, and into what it grew into; `seen` answers what is there, all places
/// together, or -1 if something else is not as in the image.
const TEXT: &str = r#"(module (memory (export "memory") 3 9) (table $t 4 30 funcref) (elem declare func $f) (func $f)
  (data (i32.const 4090) "across a page") (data (i32.const 100000) "image")
  (global $mine (mut i64) (i64.const 0)) (data $passive "passive")
  (func (export "sign") (param $at i32) (param $id i64)
    (global.set $mine (local.get $id))
    (i64.store (i32.const 0) (local.get $id))
    (i64.store (local.get $at) (local.get $id))
    (i64.store (i32.const 4092) (local.get $id))
    (v128.store (i32.const 65531) (i64x2.splat (local.get $id)))
    (i64.store (i32.const 196600) (local.get $id))
    (table.set $t (i32.const 2) (ref.func $f))
    (if (i64.eqz (i64.and (local.get $id) (i64.const 7))) (then
      (drop (memory.grow (i32.const 2))) (i64.store (i32.const 327672) (local.get $id))
      (drop (table.grow $t (ref.func $f) (i32.const 3))) (data.drop $passive)
      (memory.fill (i32.const 120000) (i32.const 0x55) (i32.const 9000))))
    (if (i64.eq (i64.and (local.get $id) (i64.const 31)) (i64.const 5)) (then unreachable)))
  (func (export "seen") (param $at i32) (result i64)
    (if (i32.ne (memory.size) (i32.const 3)) (then (return (i64.const -1))))
    (if (i32.ne (table.size $t) (i32.const 4)) (then (return (i64.const -1))))
    (if (i32.eqz (ref.is_null (table.get $t (i32.const 2)))) (then (return (i64.const -1))))
    (if (i64.ne (i64.load (i32.const 4090)) (i64.const 0x6120_7373_6f72_6361)) (then (return (i64.const -1))))
    (if (i32.ne (i32.load (i32.const 100000)) (i32.const 0x67616d69)) (then (return (i64.const -1))))
    (memory.init $passive (i32.const 65600) (i32.const 0) (i32.const 7))
    (i64.or (i64.or (i64.or (global.get $mine) (i64.load (i32.const 0)))
        (i64.or (i64.load (local.get $at)) (i64.load (i32.const 196600))))
      (i64.or (i64.or (i64.load (i32.const 65531)) (i64.load (i32.const 65539))) (i64.load (i32.const 124000)))))
  (func (export "own") (param $at i32) (result i64) (i64.and (global.get $mine) (i64.load (local.get $at)))))"#;

const MODES: [DirtyTracking; 4] =
    [DirtyTracking::Lines, DirtyTracking::Touched, DirtyTracking::Pages, DirtyTracking::Off];

/// Threads: more than processors, and than shards of a pool.
fn threads() -> u64 {
    (std::thread::available_parallelism().map_or(2, |n| n.get()) as u64 * 2).max(20)
}

/// How long each hammer swings; `INSTAR_TEST_SECONDS` says how long in all modes together.
fn time() -> Duration {
    let seconds = std::env::var("INSTAR_TEST_SECONDS").ok().and_then(|n| n.parse().ok());
    seconds.map_or(Duration::from_millis(500), |all: u64| Duration::from_secs(all) / MODES.len() as u32)
}

fn engine(instances: usize) -> Engine {
    kit::engine(|config| {
        config.max_instances(instances).cranelift_debug_verifier(false);
    })
}

/// The module in this mode, compiled once.
fn artifact(tracking: DirtyTracking) -> Vec<u8> {
    let options = ModuleOptions::new().dirty_tracking(tracking).clone();
    engine(1).precompile_module_with(&options, TEXT.as_bytes()).unwrap()
}

fn load(engine: &Engine, artifact: &[u8]) -> InstancePre<u64> {
    // SAFETY: it was made just now.
    let module = unsafe { Module::deserialize(engine, artifact) }.unwrap();
    Linker::new(engine).instantiate_pre(&module).unwrap()
}

/// An address that no tenant but the one that chose it writes, most times.
fn somewhere(random: &mut Random) -> u32 {
    70_000 + random.below(2_000) as u32 * 8
}

/// A tenant's life: it finds nothing, signs, and finds its own.
fn live(pre: &InstancePre<u64>, instance: &mut impl Use<u64>, random: &mut Random) {
    let id = *instance.data();
    let at = somewhere(random);
    let seen = instance.call(&pre.export::<u32, u64>("seen").unwrap(), at).unwrap();
    assert_eq!(seen, 0, "tenant {id:#x} finds another's writes, or not its image");
    let signed = instance.call(&pre.export::<(u32, u64), ()>("sign").unwrap(), (at, id));
    assert_eq!(signed.is_err(), id & 31 == 5, "{signed:?}");
    if random.below(3) == 0 {
        let memory = pre.memory("memory").unwrap();
        instance.memory_write(&memory, 6000 + random.below(180_000), &[0x99; 600]).unwrap();
        let _ = instance.memory_grow(&memory, random.below(3));
    }
}

/// What a new instance gets; `None` when there is no room.
fn room<T>(result: instar::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::PoolExhausted, "{error}");
            None
        }
    }
}

/// Runs `body` with a number on each of many threads, until the time is over and `enough` has happened; on a machine that is busy
/// with other things that may take longer.
fn hammer(enough: impl Fn() -> bool, body: impl Fn(&mut Random, u64) + Sync) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..threads() {
            let (stop, body) = (&stop, &body);
            scope.spawn(move || {
                let mut random = Random::new(thread + 1);
                let mut round = 0;
                // A thread that fails stops all.
                struct Stop<'a>(&'a AtomicBool);
                impl Drop for Stop<'_> {
                    fn drop(&mut self) {
                        if std::thread::panicking() {
                            self.0.store(true, Ordering::Relaxed);
                        }
                    }
                }
                let _stop = Stop(stop);
                while !stop.load(Ordering::Relaxed) {
                    // No number twice, and none is 0.
                    body(&mut random, (thread + 1) << 40 | round << 1 | 1 << 30);
                    round += 1;
                }
            });
        }
        let end = Instant::now() + time();
        let patience = end + Duration::from_secs(60);
        while !stop.load(Ordering::Relaxed) && (Instant::now() < end || !enough() && Instant::now() < patience) {
            std::thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// One pre, and then many, used by all threads; instances dropped where they were made and elsewhere; fewer slots than
/// threads, so that slots are stolen from other shards, taken from other pres, and refused.
#[test]
fn no_instance_ever_finds_what_another_wrote() {
    for (tracking, pres, slots) in MODES.into_iter().flat_map(|mode| [(mode, 1, 12), (mode, 5, 9)]) {
        let engine = engine(slots);
        let artifact = artifact(tracking);
        let pres: Vec<_> = (0..pres).map(|_| load(&engine, &artifact)).collect();
        let (sender, receiver) = mpsc::sync_channel::<OwnedInstance<u64>>(4);
        let receiver = Mutex::new(receiver);
        let (lived, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
        hammer(
            || lived.load(Ordering::Relaxed) > 200,
            |random, id| {
                let pre = &pres[random.below(pres.len() as u64) as usize];
                let id = id + random.below(32);
                let Some(mut instance) = room(pre.fresh(id)) else {
                    refused.fetch_add(1, Ordering::Relaxed);
                    // Room is made by whoever waits elsewhere.
                    drop(receiver.lock().unwrap().try_recv());
                    return;
                };
                lived.fetch_add(1, Ordering::Relaxed);
                live(pre, &mut instance, random);
                match random.below(4) {
                    // Another thread drops it, after it was used there once more.
                    0 => drop(sender.try_send(instance)),
                    1 => {
                        if let Ok(mut other) = receiver.lock().unwrap().try_recv() {
                            let pre =
                                pres.iter().find(|pre| other.call(&pre.export::<u32, u64>("own").unwrap(), 0).is_ok());
                            let own = other.call(&pre.unwrap().export::<u32, u64>("own").unwrap(), 0).unwrap();
                            assert_eq!(own, *other.data(), "an instance that waited lost its state");
                        }
                    }
                    2 => {
                        let mut store = Store::new(&engine, id);
                        if let Some(second) = room(pre.instantiate(&mut store)) {
                            let seen = second.typed_func::<u32, u64>(&mut store, "seen").unwrap();
                            assert_eq!(seen.call(&mut store, 70_000).unwrap(), 0);
                            let sign = second.typed_func::<(u32, u64), ()>(&mut store, "sign").unwrap();
                            let _ = sign.call(&mut store, (70_000, id));
                        }
                    }
                    _ => {}
                }
            },
        );
        drop(receiver);
        assert_eq!(engine.live_instances(), 0, "{tracking:?}");
        let (lived, refused) = (lived.into_inner(), refused.into_inner());
        println!("{tracking:?}, {} pres: {lived} instances, {refused} refused", pres.len());
        assert!(lived > 200, "{tracking:?}: too tame: {lived} instances");
    }
}

/// Engines, modules and pres go while instances live on other threads, which are the last to hold them.
#[test]
fn engines_and_pres_go_while_other_threads_use_what_is_left_of_them() {
    for tracking in MODES {
        let artifact = artifact(tracking);
        let place: Mutex<(Engine, InstancePre<u64>)> = Mutex::new({
            let engine = engine(30);
            let pre = load(&engine, &artifact);
            (engine, pre)
        });
        let replaced = AtomicUsize::new(0);
        let left: Mutex<Vec<(InstancePre<u64>, OwnedInstance<u64>)>> = Mutex::default();
        hammer(
            || replaced.load(Ordering::Relaxed) > 1,
            |random, id| {
                match random.below(40) {
                    // A new engine; all that is left of the old one is what threads hold.
                    0 => {
                        let engine = engine(30);
                        let pre = load(&engine, &artifact);
                        let old = std::mem::replace(&mut *place.lock().unwrap(), (engine, pre));
                        replaced.fetch_add(1, Ordering::Relaxed);
                        drop(old);
                    }
                    // A new pre of the same engine.
                    1..5 => {
                        let engine = place.lock().unwrap().0.clone();
                        let pre = load(&engine, &artifact);
                        let old = std::mem::replace(&mut *place.lock().unwrap(), (engine, pre));
                        drop(old);
                    }
                    _ => {
                        let pre = place.lock().unwrap().1.clone();
                        let Some(mut instance) = room(pre.fresh(id)) else { return left.lock().unwrap().clear() };
                        live(&pre, &mut instance, random);
                        if random.below(2) == 0 {
                            let before = {
                                let mut left = left.lock().unwrap();
                                left.push((pre, instance));
                                (left.len() > 10).then(|| left.swap_remove(random.below(10) as usize))
                            };
                            if let Some((pre, mut instance)) = before {
                                let own = instance.call(&pre.export::<u32, u64>("own").unwrap(), 0).unwrap();
                                assert_eq!(own, *instance.data());
                            }
                        }
                    }
                }
            },
        );
        assert!(replaced.into_inner() > 1, "{tracking:?}: no engine was replaced");
    }
}

/// The pre that made an instance, its raw handle, and the number of its tenant.
type Known = (usize, (u64, u64), u64);

/// Raw handles that were closed, abandoned or reused by others are used on purpose; they say so, and never reach anybody else.
#[test]
fn stale_handles_never_reach_the_next_tenant() {
    for tracking in MODES {
        let engine = engine(10);
        let artifact = artifact(tracking);
        let pres = [load(&engine, &artifact), load(&engine, &artifact)];
        // Each handle with the number of its tenant; they stay in the list after they were closed.
        let known: Mutex<Vec<Known>> = Mutex::default();
        let (entered, stale) = (AtomicU64::new(0), AtomicU64::new(0));
        let enough = || entered.load(Ordering::Relaxed) > 50 && stale.load(Ordering::Relaxed) > 50;
        hammer(enough, |random, id| {
            let which = random.below(2) as usize;
            let picked = {
                let known = known.lock().unwrap();
                (!known.is_empty()).then(|| known[random.below(known.len() as u64) as usize])
            };
            match (random.below(6), picked) {
                (0, _) | (_, None) => {
                    // Never one that traps when it signs.
                    let id = id << 5;
                    let Some(shared) = room(pres[which].shared(id)) else { return };
                    live(&pres[which], &mut shared.enter().unwrap(), random);
                    let mut known = known.lock().unwrap();
                    known.push((which, shared.into_raw(), id));
                    if known.len() > 64 {
                        // The oldest must be closed before it is forgotten: nobody else would.
                        // SAFETY: the engine is alive.
                        if unsafe { SharedInstance::<u64>::close_raw(known[0].1.0, known[0].1.1) }.is_ok() {
                            known.remove(0);
                        }
                    }
                }
                (1, Some((_, raw, _))) => {
                    // SAFETY: as above.
                    if let Err(error) = unsafe { SharedInstance::<u64>::close_raw(raw.0, raw.1) } {
                        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
                    }
                }
                (2, Some((_, raw, _))) => {
                    // SAFETY: as above.
                    unsafe { SharedInstance::<u64>::abandon_raw(&engine, raw.0, raw.1) };
                }
                (action, Some((owner, raw, id))) => {
                    // Every other time through the wrong pre.
                    let pre = &pres[if action == 3 { 1 - owner } else { owner }];
                    // SAFETY: as above.
                    match unsafe { SharedInstance::enter_raw(pre, raw.0, raw.1) } {
                        Ok(mut claim) => {
                            assert_ne!(action, 3, "an instance of another pre");
                            assert_eq!(*claim.data(), id, "somebody else's data");
                            let own = claim.call(&pre.export::<u32, u64>("own").unwrap(), 0).unwrap();
                            assert_eq!(own, id, "somebody else's memory");
                            entered.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => {
                            assert!(matches!(error.kind(), ErrorKind::Busy | ErrorKind::StaleHandle), "{error}");
                            stale.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            }
        });
        for (_, raw, _) in known.into_inner().unwrap() {
            // SAFETY: as above.
            unsafe { SharedInstance::<u64>::close_raw(raw.0, raw.1) }.unwrap();
        }
        // Closes what was abandoned.
        pres[0].shared(8).unwrap().close().unwrap();
        assert_eq!(engine.live_instances(), 0, "{tracking:?}");
        let (entered, stale) = (entered.into_inner(), stale.into_inner());
        assert!(entered > 50 && stale > 50, "{tracking:?}: too tame: {entered} entered, {stale} refused");
    }
}

/// Threads come and go, each with a few instances: shards have slots of threads that are gone, which others steal.
#[test]
fn slots_of_threads_that_are_gone_serve_others() {
    for tracking in MODES {
        let engine = engine(24);
        let pre = load(&engine, &artifact(tracking));
        let end = Instant::now() + time();
        let mut numbers = 8;
        while Instant::now() < end {
            std::thread::scope(|scope| {
                for _ in 0..24 {
                    numbers += 8;
                    let (pre, id) = (&pre, numbers);
                    scope.spawn(move || {
                        let mut random = Random::new(id);
                        let mut instance = pre.fresh(id).expect("there is room for all");
                        live(pre, &mut instance, &mut random);
                    });
                }
            });
        }
        assert_eq!(engine.live_instances(), 0, "{tracking:?}");
    }
}
