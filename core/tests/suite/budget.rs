//! What idle slots keep is bounded, over all pools; those used least recently give back first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use instar::{Config, Engine, ErrorKind, InstancePre};

use crate::kit::{self, Random, fails, pre};

const GUEST: &str = r#"(module (memory 64 200) (table $t 4 100000 funcref) (data (i32.const 5) "hello")
  (func (export "fill") (param i32) (memory.fill (i32.const 0) (i32.const 7) (local.get 0)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "grow table") (param i32) (result i32) (table.grow $t (ref.null func) (local.get 0)))
  (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0))))"#;

fn budget(bytes: u64) -> Engine {
    kit::engine(|config| {
        config.max_idle_resident_bytes(bytes).cranelift_debug_verifier(false);
    })
}

/// Makes as many instances, of which each writes so many bytes, and drops them.
fn run(pre: &InstancePre<()>, instances: usize, bytes: u32) {
    let fill = pre.export::<u32, ()>("fill").unwrap();
    let load = pre.export::<u32, u32>("load").unwrap();
    let mut all: Vec<_> = (0..instances).map(|_| pre.fresh(()).unwrap()).collect();
    for instance in &mut all {
        assert_eq!(instance.call(&load, 5).unwrap(), u32::from(b'h'));
        assert_eq!(instance.call(&load, 100).unwrap(), 0);
        instance.call(&fill, bytes).unwrap();
    }
}

#[test]
fn idle_slots_give_pages_back_when_they_hold_more_than_the_budget() {
    let engine = budget(2 << 20);
    let pre = pre(&engine, GUEST);
    for _ in 0..5 {
        run(&pre, 16, 1 << 20);
        let stats = pre.stats();
        assert!(stats.idle_resident_bytes <= 2 << 20, "{stats:?}");
        assert_eq!(stats.idle, 16, "their pages were enough");
    }
    let stats = pre.stats();
    assert!(stats.evictions == 0 && stats.cold_starts == 16, "{stats:?}");
    // Where resets give pages back in any case nothing is left to be trimmed.
    assert!(stats.trims > 40 || stats.lines_reset == 0, "{stats:?}");
}

#[test]
fn what_grew_is_given_back_too() {
    let engine = budget(1 << 20);
    let pre = pre(&engine, GUEST);
    let (grow, table) = (pre.export::<u32, u32>("grow").unwrap(), pre.export::<u32, u32>("grow table").unwrap());
    let fill = pre.export::<u32, ()>("fill").unwrap();
    for round in 0..6 {
        let mut all: Vec<_> = (0..4).map(|_| pre.fresh(()).unwrap()).collect();
        for instance in &mut all {
            if round % 2 == 0 {
                assert_eq!(instance.call(&grow, 64).unwrap(), 64);
                instance.call(&fill, 128 * 65_536).unwrap();
            } else {
                assert_eq!(instance.call(&table, 90_000).unwrap(), 4);
            }
        }
        drop(all);
        let stats = pre.stats();
        assert!(stats.idle_resident_bytes <= 1 << 20, "{stats:?}");
    }
    run(&pre, 4, 10);
}

#[test]
fn the_least_recently_used_give_back_first_whatever_pool_they_are_of() {
    let engine = budget(8 << 20);
    let (old, new) = (pre(&engine, GUEST), pre(&engine, GUEST));
    run(&old, 3, 1 << 20);
    run(&new, 3, 1 << 20);
    if old.stats().lines_reset == 0 {
        return;
    }
    assert_eq!((old.stats().trims, new.stats().trims), (0, 0));
    // More of the new ones is too much; the old ones have not been used since.
    run(&new, 6, 1 << 20);
    assert!(old.stats().trims >= 2, "{:?}", old.stats());
    assert_eq!(new.stats().trims, 0, "{:?}", new.stats());
    // Now the others are older.
    run(&old, 3, 1 << 20);
    run(&old, 5, 1 << 20);
    assert!(new.stats().trims >= 2, "{:?}", new.stats());
    assert!(engine.pool_metrics().idle_resident_bytes <= 8 << 20);
}

#[test]
fn slots_go_when_their_pages_are_not_enough() {
    // Tables belong to slots whether they are used or not.
    let text = "(module (table 100000 funcref) (func (export \"f\")))";
    let engine = budget(3 << 20);
    let pre = pre(&engine, text);
    let all: Vec<_> = (0..20).map(|_| pre.fresh(()).unwrap()).collect();
    assert_eq!(pre.stats().live, 20);
    drop(all);
    let stats = pre.stats();
    assert!(stats.idle_resident_bytes <= 3 << 20, "{stats:?}");
    assert!((1..=3).contains(&stats.idle) && stats.evictions == 20 - stats.idle as u64, "{stats:?}");
    assert_eq!(engine.live_instances(), 0);
}

#[test]
fn without_a_budget_no_slot_stays_and_without_a_limit_all_do() {
    let engine = budget(0);
    let none = pre(&engine, GUEST);
    run(&none, 5, 100_000);
    run(&none, 1, 100_000);
    let stats = none.stats();
    assert_eq!((stats.idle, stats.idle_resident_bytes, stats.live, stats.cold_starts), (0, 0, 0, 6));
    let all = pre(&budget(u64::MAX), GUEST);
    run(&all, 20, 1 << 20);
    assert_eq!((all.stats().idle, all.stats().trims, all.stats().evictions), (20, 0, 0));
}

#[test]
fn a_budget_beyond_the_machine_is_refused_with_both_figures() {
    let error = fails(Engine::new(Config::new().max_idle_resident_bytes(1 << 60)), ErrorKind::Config);
    assert!(error.message().contains("max_idle_resident_bytes is 1152921504606846976"), "{error}");
    assert!(error.message().contains("machine has") || error.message().contains("control group"), "{error}");
}

#[test]
fn a_closed_pool_is_no_burden_of_the_budget() {
    let engine = budget(4 << 20);
    for _ in 0..5 {
        let pre = pre(&engine, GUEST);
        run(&pre, 3, 1 << 20);
        let stats = pre.stats();
        assert_eq!((stats.idle, stats.trims, stats.evictions), (3, 0, 0), "{stats:?}");
    }
    assert_eq!(engine.pool_metrics().idle_resident_bytes, 0);
}

#[test]
fn hammered_by_threads_the_budget_holds_and_nobody_sees_anything_but_the_image() {
    let engine = kit::engine(|config| {
        config.max_idle_resident_bytes(3 << 20).max_instances(20).cranelift_debug_verifier(false);
        config.pool_wait(Duration::from_secs(60));
    });
    let pres: Vec<_> = (0..3).map(|_| pre(&engine, GUEST)).collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..10 {
            let (pres, stop) = (&pres, &stop);
            scope.spawn(move || {
                let mut random = Random::new(thread + 1);
                while !stop.load(Ordering::Relaxed) {
                    let pre = &pres[random.below(3) as usize];
                    run(pre, 1 + random.below(2) as usize, random.below(1 << 20) as u32);
                }
            });
        }
        let (engine, stop) = (&engine, &stop);
        scope.spawn(move || {
            let end = Instant::now() + Duration::from_secs(60);
            loop {
                // Releases that are going on may each be one slot ahead of their trim.
                let metrics = engine.pool_metrics();
                let held = metrics.idle_resident_bytes <= (3 << 20) + 10 * (2 << 20);
                if !held || metrics.resets > 300 || Instant::now() > end {
                    stop.store(true, Ordering::Relaxed);
                    assert!(held, "{metrics:?}");
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
    });
    let metrics = engine.pool_metrics();
    assert!(metrics.idle_resident_bytes <= 3 << 20, "{metrics:?}");
    assert_eq!((metrics.live, engine.live_instances(), metrics.failed_resets), (0, 0, 0));
    assert!(metrics.resets > 300 && (metrics.trims > 10 || metrics.lines_reset == 0), "too tame: {metrics:?}");
}
