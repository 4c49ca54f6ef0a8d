//! Memories whose pages are read-only until they are written to: what is learned, what it costs, what bounds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use instar::{Config, DirtyTracking, Engine, HotStats, InstancePre, Linker, Store, TrapCode, TypedExport};

use crate::kit::{self, Random};

/// A guest that writes a word to every `step`-th page of 4 KiB, and reads words.
const WRITER: &str = r#"(module
  (memory (export "m") 64 1024) (data (i32.const 8192) "image") (data (i32.const 3000000) "far")
  (func (export "write") (param $from i32) (param $count i32) (param $step i32)
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $count)))
      (i32.store (i32.shl (local.get $from) (i32.const 12)) (i32.const -1))
      (local.set $from (i32.add (local.get $from) (local.get $step)))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (br $next))))
  (func (export "clear") (param $from i32)
    (i32.store (i32.shl (local.get $from) (i32.const 12)) (i32.const 0)))
  (func (export "store64") (param i32) (i64.store (local.get 0) (i64.const -1)))
  (func (export "read") (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#;

struct Guest {
    pre: InstancePre<()>,
    write: TypedExport<(i32, i32, i32), ()>,
    read: TypedExport<i32, i32>,
    grow: TypedExport<i32, i32>,
}

fn engine(change: impl FnOnce(&mut Config)) -> Engine {
    kit::engine(|config| {
        config.signals_based_traps(true).dirty_tracking(DirtyTracking::Touched);
        change(config);
    })
}

/// Not paranoid: a check reads all pages.
fn plain_engine() -> Engine {
    engine(|config| {
        config.paranoid(false);
    })
}

fn guest(engine: &Engine) -> Guest {
    guest_of(engine, WRITER)
}

fn guest_of(engine: &Engine, text: &str) -> Guest {
    let pre = kit::pre(engine, text);
    assert_eq!(pre.module().dirty_tracking(), DirtyTracking::Touched);
    let (write, read) = (pre.export("write").unwrap(), pre.export("read").unwrap());
    let grow = pre.export("grow").unwrap();
    Guest { pre, write, read, grow }
}

impl Guest {
    fn stats(&self) -> HotStats {
        self.pre.hot_stats().expect("slots are kept")
    }

    fn write(&self, from: i32, count: i32, step: i32) {
        self.pre.call((), &self.write, (from, count, step)).unwrap();
    }

    fn sees_its_image(&self) {
        let mut instance = self.pre.fresh(()).unwrap();
        for (at, word) in [(8192, b"imag"), (3_000_000, b"far\0"), (0, b"\0\0\0\0"), (1 << 20, b"\0\0\0\0")] {
            assert_eq!(instance.call(&self.read, at).unwrap(), i32::from_le_bytes(*word), "{at}");
        }
    }
}

/// Page faults of this process so far.
fn page_faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux tells");
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[7].parse::<u64>().unwrap() + fields[9].parse::<u64>().unwrap()
}

fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").expect("Linux tells").lines().count()
}

#[test]
fn a_page_faults_once_for_all_instances() {
    kit::alone("touched::a_page_faults_once_for_all_instances", || {
        let engine = plain_engine();
        let guest = guest(&engine);
        assert_eq!(guest.stats().pages(), 0);
        guest.write(100, 16, 4);
        let first = guest.stats();
        assert!(first.pages() == 16 && (1..=16).contains(&first.faults()), "{first:?}");
        guest.write(100, 16, 4);
        guest.write(108, 5, 4);
        assert_eq!(guest.stats(), first);
        // New slots know it from the start, and slots that were idle when another learned, from the next use.
        let several: Vec<_> = (0..4).map(|_| guest.pre.fresh(()).unwrap()).collect();
        drop(several);
        for mut instance in (0..4).map(|_| guest.pre.fresh(()).unwrap()).collect::<Vec<_>>() {
            instance.call(&guest.write, (100, 16, 4)).unwrap();
        }
        assert_eq!(guest.stats(), first);
        guest.write(700, 1, 1);
        let second = guest.stats();
        assert_eq!((second.pages(), second.faults()), (17, first.faults() + 1));
        for mut instance in (0..4).map(|_| guest.pre.fresh(()).unwrap()).collect::<Vec<_>>() {
            instance.call(&guest.write, (700, 1, 1)).unwrap();
            instance.call(&guest.write, (100, 16, 4)).unwrap();
        }
        assert_eq!(guest.stats(), second);
        // No page fault of any kind, from here on.
        let before = page_faults();
        for _ in 0..1000 {
            guest.write(100, 16, 4);
            guest.write(700, 1, 1);
        }
        let after = page_faults();
        assert!(after - before < 50, "{} page faults", after - before);
        assert_eq!(guest.stats(), second);
        guest.sees_its_image();
    });
}

#[test]
fn writes_in_order_take_few_faults() {
    let guest = guest(&engine(|_| {}));
    guest.write(0, 512, 1);
    let stats = guest.stats();
    assert_eq!(stats.pages(), 512, "what was only beside others is not learned: {stats:?}");
    assert!(stats.faults() < 20, "{stats:?}");
    guest.write(0, 512, 1);
    assert_eq!(guest.stats(), stats);
    guest.sees_its_image();
}

#[test]
fn a_page_that_is_written_with_what_it_holds_is_learned_too() {
    let guest = guest(&engine(|_| {}));
    let clear = guest.pre.export::<i32, ()>("clear").unwrap();
    for _ in 0..5 {
        guest.pre.call((), &clear, 50).unwrap();
    }
    let stats = guest.stats();
    assert_eq!((stats.pages(), stats.faults()), (1, 1));
}

#[test]
fn stores_that_cross_pages_and_traps_in_the_middle_of_them_are_undone() {
    let guest = guest(&engine(|config| {
        config.max_instances(1);
    }));
    let store = guest.pre.export::<i32, ()>("store64").unwrap();
    for at in [4092, 4089, 4 * 4096 - 1] {
        let mut instance = guest.pre.fresh(()).unwrap();
        instance.call(&store, at).unwrap();
        assert_eq!(instance.call(&guest.read, at + 4).unwrap(), -1);
    }
    assert_eq!(guest.stats().pages(), 4, "{:?}", guest.stats());
    // The last page is there, what follows is not.
    for at in [64 * 65_536 - 4, 64 * 65_536 - 1] {
        kit::traps(guest.pre.call((), &store, at), TrapCode::MemoryOutOfBounds);
        kit::traps(guest.pre.call((), &guest.write, (64 * 16 - 1, 2, 1)), TrapCode::MemoryOutOfBounds);
    }
    kit::traps(guest.pre.call((), &store, -1), TrapCode::MemoryOutOfBounds);
    guest.sees_its_image();
}

#[test]
fn pages_that_nobody_writes_any_more_leave_and_may_come_back() {
    let guest = guest(&plain_engine());
    guest.write(0, 64, 1);
    guest.write(300, 1, 1);
    assert_eq!(guest.stats().pages(), 65);
    let mut rounds = 0;
    while guest.stats().pages() > 1 {
        guest.write(300, 1, 1);
        rounds += 1;
        assert!(rounds < 100_000, "{:?}", guest.stats());
    }
    // One of 512 copied pages is looked at, and each has 16 chances.
    assert!(rounds > 5_000, "{rounds}");
    let before = guest.stats();
    assert_eq!(before.writable_pages(), 1);
    guest.write(300, 1, 1);
    assert_eq!(guest.stats(), before);
    guest.write(0, 64, 1);
    let after = guest.stats();
    assert!(after.pages() == 65 && after.faults() > before.faults(), "{after:?}");
    guest.sees_its_image();
}

#[test]
fn memories_that_grow_have_hot_pages_beyond_their_minimum() {
    for reservation in [4 << 30, 0] {
        let guest = guest(&engine(|config| {
            config.memory_reservation(reservation);
        }));
        let grown = |pages: i32, from, count, step| {
            let mut instance = guest.pre.fresh(()).unwrap();
            assert_eq!(instance.call(&guest.grow, pages).unwrap(), 64);
            assert_eq!(instance.call(&guest.read, from * 4096).unwrap(), 0);
            instance.call(&guest.write, (from, count, step)).unwrap();
            assert_eq!(instance.call(&guest.grow, 2).unwrap(), 64 + pages);
            instance.call(&guest.write, ((64 + pages) * 16, 2, 16)).unwrap();
            instance.call(&guest.write, (from, count, step)).unwrap();
        };
        for _ in 0..3 {
            grown(4, 64 * 16, 64, 1);
        }
        let stats = guest.stats();
        assert_eq!(stats.pages(), 66, "{stats:?}");
        for _ in 0..20 {
            grown(4, 64 * 16, 64, 1);
            grown(8, 64 * 16 + 3, 20, 3);
            guest.write(5, 2, 1);
            kit::traps(guest.pre.call((), &guest.write, (64 * 16, 1, 1)), TrapCode::MemoryOutOfBounds);
        }
        // Nothing is learned twice.
        let stats = guest.stats();
        for _ in 0..20 {
            grown(4, 64 * 16, 64, 1);
            grown(8, 64 * 16 + 3, 20, 3);
            guest.write(5, 2, 1);
        }
        assert_eq!(guest.stats(), stats);
        guest.sees_its_image();
    }
}

#[test]
fn the_host_writes_wherever_it_wants() {
    let engine = engine(|config| {
        config.max_instances(1);
    });
    let guest = guest(&engine);
    for round in 0..3 {
        let mut store = Store::new(&engine, ());
        let instance = guest.pre.instantiate(&mut store).unwrap();
        let memory = instance.memory(&mut store, "m").unwrap();
        memory.write(&mut store, 4090, b"across a page").unwrap();
        memory.write(&mut store, 0, b"").unwrap();
        memory.slice_mut(&mut store, 100_000..200_000).unwrap().fill(7);
        memory.write(&mut store, 64 * 65_536 - 1, b"x").unwrap();
        kit::fails(memory.write(&mut store, 64 * 65_536, b"x"), instar::ErrorKind::OutOfBounds);
        let read = instance.typed_func::<i32, i32>(&mut store, "read").unwrap();
        assert_eq!(read.call(&mut store, 150_000).unwrap(), 0x0707_0707);
        drop(store);
        // A large range is no list of pages, but it is learned like one.
        assert_eq!(guest.stats().pages(), 2 + (200_000usize.div_ceil(4096) - 100_000 / 4096) + 1, "{round}");
    }
    guest.sees_its_image();
}

#[test]
fn what_writes_too_many_pages_is_writable_as_a_whole() {
    let guest = guest(&engine(|config| {
        config.max_instances(1);
    }));
    // 1024 pages are all there are: far fewer than the bound, but the guest grows.
    let all = || {
        let mut instance = guest.pre.fresh(()).unwrap();
        assert_eq!(instance.call(&guest.grow, 960).unwrap(), 64);
        instance.call(&guest.write, (0, 8192, 2)).unwrap();
    };
    all();
    let stats = guest.stats();
    assert_eq!((stats.pages(), stats.open_memories()), (0, 1), "{stats:?}");
    assert!(stats.faults() < 200, "{stats:?}");
    // It takes no fault as long as the set is open, and then it is closed again.
    for _ in 0..15 {
        guest.write(3, 10, 20);
    }
    assert_eq!(guest.stats(), stats);
    guest.write(3, 10, 20);
    guest.write(3, 10, 20);
    let closed = guest.stats();
    assert_eq!((closed.pages(), closed.open_memories()), (10, 0), "{closed:?}");
    // From then on for longer.
    all();
    for _ in 0..31 {
        assert_eq!(guest.stats().open_memories(), 1);
        guest.sees_its_image();
    }
    guest.sees_its_image();
    assert_eq!(guest.stats().open_memories(), 0);
    assert_eq!(guest.stats().pages(), 10);
}

#[test]
fn a_guest_that_writes_every_second_page_harms_nobody() {
    kit::alone("touched::a_guest_that_writes_every_second_page_harms_nobody", || {
        let engine = plain_engine();
        let text = WRITER.replace("64 1024", "4096 4096");
        let guest = guest_of(&engine, &text);
        let neighbour = self::guest(&engine);
        neighbour.write(3, 10, 20);
        let before = mappings();
        let start = Instant::now();
        let mut live = Vec::new();
        for _ in 0..3 {
            let mut instance = guest.pre.fresh(()).unwrap();
            instance.call(&guest.write, (0, 32_768, 2)).unwrap();
            live.push(instance);
        }
        assert!(mappings() < before + 300, "{} mappings, {before} before", mappings());
        // Malloc, maps and threads still work, and so do others' guests.
        let more: Vec<Vec<u8>> = (0..100).map(|i| vec![i; 1 << 20]).collect();
        assert!(std::thread::spawn(move || more.len()).join().is_ok());
        neighbour.write(3, 10, 20);
        guest_of(&Engine::new(Config::new().dirty_tracking(DirtyTracking::Touched)).unwrap(), WRITER).write(0, 5, 9);
        drop(live);
        let elapsed = start.elapsed();
        assert!(elapsed < Duration::from_secs(20), "{elapsed:?}");
        for _ in 0..40 {
            guest.sees_its_image();
        }
    });
}

#[test]
fn all_memories_together_have_a_budget_of_mappings() {
    kit::alone("touched::all_memories_together_have_a_budget_of_mappings", || {
        let engine = engine(|config| {
            config.max_instances(2000).paranoid(false);
        });
        let allowed = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse::<usize>().unwrap();
        let guests: Vec<Guest> = (0..4).map(|_| guest(&engine)).collect();
        let mut live = Vec::new();
        // 16 runs each, which makes 32 mappings: a quarter of what is allowed does for some 500.
        let before = mappings();
        for i in 0..(allowed / 4 / 32 + 200).min(1500) {
            let guest = &guests[i % 4];
            let mut instance = guest.pre.fresh(()).unwrap();
            instance.call(&guest.write, (0, 16, 60)).unwrap();
            live.push((guest, instance));
        }
        let each = (mappings() - before) / live.len();
        assert!(each < 32, "{each} mappings each");
        assert!(mappings() < allowed, "{} of {allowed}", mappings());
        for (guest, mut instance) in live.drain(..) {
            assert_eq!(instance.call(&guest.read, 60 * 4096).unwrap(), -1);
        }
        for guest in &guests {
            let several: Vec<_> = (0..50).map(|_| guest.pre.fresh(()).unwrap()).collect();
            for mut instance in several {
                assert_eq!(instance.call(&guest.read, 60 * 4096).unwrap(), 0);
                instance.call(&guest.write, (0, 16, 60)).unwrap();
            }
        }
        drop(guests);
        drop(engine);
        // All of the budget is there again.
        let guest = guest(&plain_engine());
        guest.write(0, 16, 60);
        guest.write(0, 16, 60);
        assert_eq!((guest.stats().pages(), guest.stats().faults()), (16, 16));
    });
}

#[test]
fn without_a_mapping_left_memories_become_writable_as_a_whole() {
    kit::alone("touched::without_a_mapping_left_memories_become_writable_as_a_whole", || {
        let engine = plain_engine();
        let guest = guest(&engine);
        let mut instance = guest.pre.fresh(()).unwrap();
        instance.call(&guest.write, (0, 3, 60)).unwrap();
        let hold = exhaust_mappings();
        let result = instance.call(&guest.write, (20, 10, 60));
        let read = instance.call(&guest.read, 20 * 4096);
        drop(hold);
        result.unwrap();
        assert_eq!(read.unwrap(), -1);
        drop(instance);
        guest.sees_its_image();
        for _ in 0..40 {
            guest.write(0, 10, 60);
            guest.sees_its_image();
        }
    });
}

/// Splits mappings until the system has no mapping left. The result gives them back.
fn exhaust_mappings() -> impl Drop {
    struct Hold(*mut libc::c_void, usize);
    impl Drop for Hold {
        fn drop(&mut self) {
            // SAFETY: mapped below, and nobody uses it.
            unsafe { libc::munmap(self.0, self.1) };
        }
    }
    let len = 300_000 * 4096;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: new pages.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
    assert_ne!(base, libc::MAP_FAILED);
    // Every second page is readable.
    // SAFETY: pages that were mapped above.
    let split = |at: &usize| unsafe { libc::mprotect(base.wrapping_byte_add(at * 8192), 4096, libc::PROT_READ) == 0 };
    let splits = (0..150_000).take_while(split).count();
    assert!((1000..150_000).contains(&splits), "{splits}");
    Hold(base, len)
}

#[test]
fn many_threads_fault_at_once_while_slots_come_and_go() {
    let done = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicUsize::new(0));
    let shared = guest(&engine(|config| {
        config.max_instances(6);
    }));
    std::thread::scope(|scope| {
        for number in 0..6 {
            let (done, calls, shared) = (done.clone(), calls.clone(), &shared);
            scope.spawn(move || {
                let mut random = Random::new(number);
                let mut own = None;
                while !done.load(Ordering::Relaxed) {
                    // Engines and pres of its own come and go; idle slots of the shared one are evicted by a full engine.
                    if own.is_none() || random.below(20) == 0 {
                        own = Some(guest(&engine(|config| {
                            config.max_instances(2).memory_reservation(random.below(2) << 32);
                        })));
                    }
                    let guest = if random.below(2) == 0 { shared } else { own.as_ref().unwrap() };
                    let Ok(mut instance) = guest.pre.fresh(()) else { continue };
                    let (from, step) = (random.below(500) as i32, 1 + random.below(40) as i32);
                    let count = 1 + random.below(((1023 - from) / step).max(1) as u64) as i32;
                    instance.call(&guest.write, (from, count, step)).unwrap();
                    assert_eq!(instance.call(&guest.read, from << 12).unwrap(), -1);
                    assert_eq!(instance.call(&guest.read, ((from + 1) << 12) - 4).unwrap(), 0);
                    if random.below(4) == 0 {
                        kit::traps(instance.call(&guest.write, (64 * 16, 1, 1)), TrapCode::MemoryOutOfBounds);
                    }
                    if random.below(4) == 0 {
                        // Dropped by another thread.
                        std::thread::scope(|scope| scope.spawn(move || drop(instance)).join().unwrap());
                    }
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(Duration::from_secs(4));
        done.store(true, Ordering::Relaxed);
    });
    assert!(calls.load(Ordering::Relaxed) > 100);
    shared.sees_its_image();
}

#[test]
fn nothing_is_learned_where_slots_are_not_kept() {
    let engine = engine(|config| {
        config.allocation_strategy(instar::InstanceAllocationStrategy::OnDemand);
    });
    let pre = kit::pre(&engine, WRITER);
    assert_eq!(pre.hot_stats(), None);
    let write = pre.export::<(i32, i32, i32), ()>("write").unwrap();
    for _ in 0..3 {
        pre.call((), &write, (0, 100, 3)).unwrap();
    }
}

#[test]
fn every_kind_of_memory_learns() {
    let stores = |memory: &str, address: &str| {
        format!(
            r#"(module (memory {memory}) (data ({address}.const 5000) "image")
              (func (export "run") (param ${address} {address}) (result i32)
                (i32.store8 (local.get 0) (i32.const 1))
                (i64.store (local.get 0) (i64.const -1))
                (v128.store (local.get 0) (v128.const i64x2 3 4))
                (drop (i32.atomic.rmw.add (local.get 0) (i32.const 5)))
                (drop (i64.atomic.rmw.cmpxchg (local.get 0) (i64.const 0) (i64.const 5)))
                (i32.atomic.store (local.get 0) (i32.const 77))
                (v128.store8_lane 3 (local.get 0) (v128.const i64x2 3 4))
                (memory.fill (local.get 0) (i32.const 3) ({address}.const 5))
                (memory.copy (local.get 0) ({address}.const 5000) ({address}.const 5))
                (i32.load ({address}.const 5000))))"#
        )
    };
    for (memory, address) in [("2 4", "i32"), ("i64 2 4", "i64"), ("100000 200000 (pagesize 1)", "i32")] {
        for reservation in [4 << 30, 0] {
            let engine = engine(|config| {
                config.memory_reservation(reservation).max_instances(1);
                config.wasm_custom_page_sizes(true).wasm_threads(true).wasm_memory64(true);
            });
            let pre = kit::pre(&engine, stores(memory, address));
            let run = |at: i32| {
                if address == "i64" {
                    pre.call((), &pre.export::<i64, i32>("run").unwrap(), i64::from(at))
                } else {
                    pre.call((), &pre.export::<i32, i32>("run").unwrap(), at)
                }
            };
            for at in [16, 40_000, 16, 99_984, 40_000] {
                assert_eq!(run(at).unwrap(), i32::from_le_bytes(*b"imag"));
            }
            let stats = pre.hot_stats().unwrap();
            assert_eq!((stats.pages(), stats.faults()), (3, 3), "{memory}");
        }
    }
}

#[test]
fn every_kind_of_store_alone_may_be_the_first_to_a_page() {
    let operations = [
        "(i32.store8 (local.get 0) (i32.const 1))",
        "(i64.store32 (local.get 0) (i64.const 1))",
        "(f32.store (local.get 0) (f32.const 1))",
        "(f64.store (local.get 0) (f64.const 1))",
        "(v128.store (local.get 0) (v128.const i64x2 1 1))",
        "(v128.store16_lane 3 (local.get 0) (v128.const i64x2 1 -1))",
        "(v128.store64_lane 1 (local.get 0) (v128.const i64x2 1 1))",
        "(i32.store (local.get 0) (i32.add (i32.load (local.get 0)) (i32.const 1)))",
        "(i64.store (local.get 0) (i64.xor (i64.load (local.get 0)) (i64.const 1)))",
        "(i32.atomic.store8 (local.get 0) (i32.const 1))",
        "(i64.atomic.store (local.get 0) (i64.const 1))",
        "(drop (i32.atomic.rmw.add (local.get 0) (i32.const 1)))",
        "(drop (i32.atomic.rmw8.sub_u (local.get 0) (i32.const 1)))",
        "(drop (i32.atomic.rmw16.xchg_u (local.get 0) (i32.const 1)))",
        "(drop (i64.atomic.rmw.and (local.get 0) (i64.const 0)))",
        "(drop (i64.atomic.rmw.or (local.get 0) (i64.const 1)))",
        "(drop (i64.atomic.rmw32.xor_u (local.get 0) (i64.const 1)))",
        "(drop (i32.atomic.rmw.cmpxchg (local.get 0) (i32.const 0) (i32.const 1)))",
        "(drop (i64.atomic.rmw.cmpxchg (local.get 0) (i64.const 9) (i64.const 1)))",
        "(memory.fill (local.get 0) (i32.const 1) (i32.const 1))",
        "(memory.copy (local.get 0) (i32.const 5000) (i32.const 3))",
        "(memory.init 1 (local.get 0) (i32.const 0) (i32.const 3))",
    ];
    for reservation in [4 << 30, 0] {
        let engine = engine(|config| {
            config.memory_reservation(reservation).max_instances(1);
        });
        for operation in operations {
            let text = format!(
                r#"(module (memory 1) (data (i32.const 5000) "image") (data "abc") (func (export "run") (param i32) {operation}))"#
            );
            let pre = kit::pre(&engine, text);
            let run = pre.export::<i32, ()>("run").unwrap();
            for at in [8192, 8200, 40_000, 8192, 40_000] {
                pre.call((), &run, at).unwrap_or_else(|error| panic!("{operation}: {error}"));
            }
            let stats = pre.hot_stats().unwrap();
            assert_eq!((stats.pages(), stats.faults()), (2, 2), "{operation}");
            kit::traps(pre.call((), &run, 65_536), TrapCode::MemoryOutOfBounds);
        }
    }
}

#[test]
fn imported_memories_of_a_store_may_be_written_by_any_module() {
    let engine = engine(|_| {});
    let guest = guest(&engine);
    let other = kit::module(
        &engine,
        r#"(module (import "o" "m" (memory 1)) (data (i32.const 20000) "segment")
          (func (export "f") (param i32) (i32.store (local.get 0) (i32.const 5))))"#,
    );
    for _ in 0..3 {
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        let owner = guest.pre.instantiate(&mut store).unwrap();
        let memory = owner.memory(&mut store, "m").unwrap();
        linker.define(&mut store, "o", "m", memory).unwrap();
        let other = linker.instantiate(&mut store, &other).unwrap();
        let f = other.typed_func::<i32, ()>(&mut store, "f").unwrap();
        f.call(&mut store, 60_000).unwrap();
        f.call(&mut store, 4_000_000).unwrap();
    }
    let stats = guest.stats();
    assert_eq!((stats.pages(), stats.faults()), (3, 3));
}
