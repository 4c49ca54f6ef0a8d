//! What pools count.

use instar::{Linker, Store};

use crate::kit::{self, Random, pre};

const GUEST: &str = r#"(module (memory (export "memory") 4 100) (table $t 4 1000 funcref)
  (func (export "store") (param i32) (i32.store (local.get 0) (i32.const 7)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "grow table") (param i32) (result i32) (table.grow $t (ref.null func) (local.get 0)))
  (func (export "nothing")))"#;

#[test]
fn each_instance_is_a_hit_or_a_cold_start_and_each_line_is_counted() {
    let engine = kit::engine(|_| {});
    let pre = pre(&engine, GUEST);
    let store = pre.export::<u32, ()>("store").unwrap();
    let nothing = pre.export::<(), ()>("nothing").unwrap();
    for _ in 0..10 {
        pre.call((), &nothing, ()).unwrap();
    }
    let stats = pre.stats();
    assert_eq!((stats.live, stats.idle, stats.cold_starts, stats.hits, stats.stolen), (0, 1, 1, 9, 0));
    assert_eq!((stats.resets, stats.lines_reset, stats.bytes_reset, stats.hot_pages), (10, 0, 0, 0));
    assert_eq!((stats.failed_resets, stats.waits, stats.wait_timeouts, stats.evictions, stats.trims), (0, 0, 0, 0, 0));
    // Three lines, each with the 64 bytes behind it; the last one's lie in another page.
    for at in [0, 4096 + 600, 4 * 4096 - 4] {
        pre.call((), &store, at).unwrap();
    }
    let stats = pre.stats();
    if stats.lines_reset > 0 {
        assert_eq!((stats.lines_reset, stats.bytes_reset), (3, 3 * 320));
        assert_eq!(stats.hot_pages, 4);
    }
    let two = [pre.fresh(()).unwrap(), pre.fresh(()).unwrap()];
    let stats = pre.stats();
    assert_eq!((stats.live, stats.idle, stats.cold_starts, stats.hits), (2, 0, 2, 13));
    assert_eq!(stats.idle_resident_bytes, 0);
    drop(two);
    assert_eq!((pre.stats().live, pre.stats().idle), (0, 2));
    assert!(pre.stats().idle_resident_bytes > 0);
}

#[test]
fn an_engine_sums_its_pools_and_forgets_none() {
    let engine = kit::engine(|config| {
        config.max_instances(77).max_idle_resident_bytes(1 << 30);
    });
    let one = pre(&engine, GUEST);
    let two = pre(&engine, GUEST);
    let nothing = one.export::<(), ()>("nothing").unwrap();
    one.call((), &nothing, ()).unwrap();
    drop([two.fresh(()).unwrap(), two.fresh(()).unwrap()]);
    let live = two.fresh(()).unwrap();
    let metrics = engine.pool_metrics();
    assert_eq!((metrics.live, metrics.idle, metrics.cold_starts, metrics.hits, metrics.resets), (1, 2, 3, 1, 3));
    assert_eq!((metrics.max_instances, metrics.max_idle_resident_bytes, metrics.waiting), (77, 1 << 30, 0));
    let idle = one.stats().idle_resident_bytes + two.stats().idle_resident_bytes;
    assert_eq!(metrics.idle_resident_bytes, idle);
    drop((live, two));
    let metrics = engine.pool_metrics();
    assert_eq!((metrics.live, metrics.idle, metrics.cold_starts, metrics.hits, metrics.resets), (0, 1, 3, 1, 4));
    drop(one);
    let metrics = engine.pool_metrics();
    assert_eq!((metrics.live, metrics.idle, metrics.idle_resident_bytes), (0, 0, 0));
    assert_eq!((metrics.cold_starts, metrics.hits, metrics.resets), (3, 1, 4));
}

#[test]
fn instances_on_demand_are_cold_starts() {
    let engine = kit::engine(|config| {
        config.allocation_strategy(instar::InstanceAllocationStrategy::OnDemand);
    });
    let pre = pre(&engine, GUEST);
    for _ in 0..3 {
        drop(pre.fresh(()).unwrap());
    }
    let stats = pre.stats();
    assert_eq!((stats.live, stats.idle, stats.cold_starts, stats.hits, stats.resets), (0, 0, 3, 0, 0));
}

#[test]
fn counts_of_many_threads_add_up() {
    let engine = kit::engine(|config| {
        config.cranelift_debug_verifier(false);
    });
    let pre = pre(&engine, GUEST);
    let (threads, rounds) = (12, 200);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let pre = &pre;
            scope.spawn(move || {
                let store = pre.export::<u32, ()>("store").unwrap();
                let mut random = Random::new(thread + 1);
                for _ in 0..rounds {
                    // A line of its own: stores do not cross.
                    pre.call((), &store, random.below(1000) as u32 * 256).unwrap();
                }
            });
        }
    });
    let stats = pre.stats();
    let all = threads * rounds;
    assert_eq!((stats.live, stats.hits + stats.cold_starts, stats.resets), (0, all, all));
    assert!(stats.stolen <= stats.hits);
    assert_eq!(stats.idle as u64, stats.cold_starts);
    if stats.lines_reset > 0 {
        assert_eq!((stats.lines_reset, stats.bytes_reset), (all, all * 320));
        assert!(stats.hot_pages > 40 && stats.hot_pages <= 64, "{}", stats.hot_pages);
    }
}

/// Anonymous memory of the mappings that lie in a range of addresses, in bytes.
fn anonymous(range: std::ops::Range<usize>) -> usize {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut inside = false;
    let mut sum = 0;
    for line in smaps.lines() {
        let first = line.split_whitespace().next().unwrap();
        if let Some((start, end)) = first.split_once('-')
            && let (Ok(start), Ok(end)) = (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16))
        {
            inside = start >= range.start && end <= range.end;
        } else if inside && first == "Anonymous:" {
            sum += line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024;
        }
    }
    sum
}

#[test]
fn the_estimate_of_what_is_resident_is_never_too_low_and_not_far_too_high() {
    kit::alone("metrics::the_estimate_of_what_is_resident_is_never_too_low_and_not_far_too_high", || {
        let data = format!(r#"(data (i32.const 70000) "{}")"#, "x".repeat(50_000));
        let texts = [
            GUEST.to_string(),
            GUEST.replace("(func (export \"nothing\"))", &format!("(func (export \"nothing\")) {data}")),
        ];
        for text in texts {
            let engine = kit::engine(|config| {
                config.max_instances(1).paranoid(false);
            });
            let pre = Linker::<()>::new(&engine).instantiate_pre(&kit::module(&engine, &text)).unwrap();
            let mut random = Random::new(5);
            let mut tables = 0;
            for round in 0..40 {
                let mut store = Store::new(&engine, ());
                let instance = pre.instantiate(&mut store).unwrap();
                let write = instance.typed_func::<u32, ()>(&mut store, "store").unwrap();
                for _ in 0..random.below(20) {
                    write.call(&mut store, random.below(4 * 65_536 - 4) as u32).unwrap();
                }
                if round >= 20 {
                    let grow = instance.typed_func::<i32, i32>(&mut store, "grow").unwrap();
                    assert_eq!(grow.call(&mut store, 60).unwrap(), 4);
                    for _ in 0..random.below(20) {
                        write.call(&mut store, random.below(64 * 65_536 - 4) as u32).unwrap();
                    }
                }
                if round >= 30 {
                    let grow = instance.typed_func::<i32, i32>(&mut store, "grow table").unwrap();
                    assert_eq!(grow.call(&mut store, 900).unwrap(), 4);
                    tables = 904 * 8;
                }
                let memory = instance.memory(&mut store, "memory").unwrap();
                let base = memory.data(&store).unwrap().as_ptr() as usize;
                drop(store);
                let estimate = pre.stats().idle_resident_bytes as usize;
                let heap = anonymous(base - (16 << 20)..base + (4 << 30) + (32 << 20));
                assert!(estimate >= heap + tables, "round {round}: {estimate} for {heap}");
                // Context, records and the map's page, and what a growth by another reservation has copied.
                assert!(estimate <= heap + tables * 2 + (64 << 10), "round {round}: {estimate} for {heap}");
            }
        }
    });
}
