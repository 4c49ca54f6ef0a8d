//! A guest that writes every second page of 256 MiB: the worst there is for whoever tracks pages, as each page differs from
//! its neighbours in what the system is told about it. The process has 65 530 mappings by default, and when they are used up
//! `malloc` and `pthread_create` fail everywhere. It must harm nobody, in any mode.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use instar::{DirtyTracking, Engine, InstancePre, Linker, Module, ModuleOptions};

use crate::kit::{self, alone};

const PAGES: u32 = 256 << 20 >> 16;

/// `stride` writes a byte every so many bytes, from an address on; `sum` adds up all that is there.
const TEXT: &str = r#"(module (memory (export "memory") 16 8192)
  (data (i32.const 8192) "the image")
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "stride") (param $at i32) (param $by i32)
    (loop $again
      (i32.store8 (local.get $at) (i32.const 0xff))
      (local.set $at (i32.add (local.get $at) (local.get $by)))
      (br_if $again (i32.lt_u (local.get $at) (i32.shl (memory.size) (i32.const 16))))))
  (func (export "sum") (result i64) (local $at i32) (local $sum i64)
    (loop $again
      (local.set $sum (i64.add (i64.rotl (local.get $sum) (i64.const 1)) (i64.load (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $again (i32.lt_u (local.get $at) (i32.shl (memory.size) (i32.const 16)))))
    (local.get $sum)))"#;

fn pre(engine: &Engine, tracking: DirtyTracking, text: &str) -> InstancePre<()> {
    let options = ModuleOptions::new().dirty_tracking(tracking).clone();
    Linker::new(engine).instantiate_pre(&Module::with_options(engine, &options, text).unwrap()).unwrap()
}

fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").expect("Linux tells").lines().count()
}

/// What others do meanwhile: threads, memory that is mapped and given back, instances of another module.
fn neighbour(pre: &InstancePre<()>) {
    let sum = pre.export::<(), u64>("sum").unwrap();
    let stride = pre.export::<(u32, u32), ()>("stride").unwrap();
    let expected = pre.call((), &sum, ()).unwrap();
    let thread = std::thread::Builder::new().spawn(|| {
        // Above malloc's threshold, so that it is a mapping.
        let block = vec![1u8; 4 << 20];
        std::hint::black_box(&block).len()
    });
    assert_eq!(thread.expect("threads can be made").join().unwrap(), 4 << 20);
    let mut instance = pre.fresh(()).expect("instances can be made");
    instance.call(&stride, (0, 65_536)).unwrap();
    drop(instance);
    assert_eq!(pre.call((), &sum, ()).unwrap(), expected);
}

/// Tenants write with strides in a memory of 256 MiB that is there from the start, or that they grow into.
fn harms_nobody(tracking: DirtyTracking, text: &str, grows: bool) {
    let engine = kit::engine(|config| {
        // Comparing 256 MiB makes all of it resident, so that is done below, and not after each reset.
        config.paranoid(false).max_instances(4);
    });
    let guest = pre(&engine, tracking, text);
    let other = pre(&engine, tracking, TEXT);
    neighbour(&other);
    let before = mappings();
    let (over, rounds, most) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                neighbour(&other);
                rounds.fetch_add(1, Ordering::Relaxed);
                most.fetch_max(mappings(), Ordering::Relaxed);
            }
        });
        // Tells the thread above also when something here fails.
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _over = Over(&over);
        let stride = guest.export::<(u32, u32), ()>("stride").unwrap();
        let grow = guest.export::<u32, i32>("grow").unwrap();
        let started = Instant::now();
        // Every second page, the pages between them, and few enough that they may be learned.
        for (from, by) in [(0, 8192), (4096, 8192), (0, 12_288), (0, 8192), (100, 1 << 20)] {
            let mut instance = guest.fresh(()).unwrap();
            if grows {
                assert_eq!(instance.call(&grow, PAGES - 16).unwrap(), 16);
            }
            instance.call(&stride, (from, by)).unwrap();
            // While what it wrote is there.
            neighbour(&other);
            most.fetch_max(mappings(), Ordering::Relaxed);
            drop(instance);
            neighbour(&other);
            assert!(started.elapsed() < Duration::from_secs(60), "{tracking:?}: it takes too long");
        }
    });
    // The system's default limit is 65 530; a guest must not come near it.
    let most = most.into_inner();
    assert!(most < before + 4000, "{tracking:?}: {most} mappings, and {before} before");
    assert!(mappings() < before + 4000, "{tracking:?}: {} mappings after it, and {before} before", mappings());
    assert!(rounds.into_inner() > 0, "the neighbour had a turn");

    // The next tenant finds the image and zeroes, in what it grows into, too.
    let mut next = guest.fresh(()).unwrap();
    let memory = guest.memory("memory").unwrap();
    if grows {
        next.memory_grow(&memory, u64::from(PAGES) - 16).unwrap();
    }
    let mut bytes = vec![0; 1 << 20];
    for at in (0..256u64 << 20).step_by(1 << 20) {
        next.memory_read(&memory, at, &mut bytes).unwrap();
        if at == 0 {
            assert_eq!(&bytes[8192..8201], b"the image", "{tracking:?}");
            bytes[8192..8201].fill(0);
        }
        let left = bytes.iter().position(|&b| b != 0);
        assert_eq!(left, None, "{tracking:?}: the last tenant's, after {at:#x}");
    }
    drop(next);
    drop((guest, other, engine));
    assert!(mappings() <= before + 20, "{tracking:?}: {} mappings when all is gone, and {before} before", mappings());
}

fn in_both_memories(tracking: DirtyTracking) {
    harms_nobody(tracking, &TEXT.replace("\"memory\") 16 8192", &format!("\"memory\") {PAGES}")), false);
    harms_nobody(tracking, TEXT, true);
}

// Each in a process of its own, whose mappings nobody else makes.

#[test]
fn every_second_page_of_256_mib_with_marked_lines() {
    alone("strides::every_second_page_of_256_mib_with_marked_lines", || in_both_memories(DirtyTracking::Lines));
}

#[test]
fn every_second_page_of_256_mib_with_touched_pages() {
    alone("strides::every_second_page_of_256_mib_with_touched_pages", || in_both_memories(DirtyTracking::Touched));
}

#[test]
fn every_second_page_of_256_mib_with_pages_of_the_system() {
    alone("strides::every_second_page_of_256_mib_with_pages_of_the_system", || in_both_memories(DirtyTracking::Pages));
}

#[test]
fn every_second_page_of_256_mib_without_tracking() {
    alone("strides::every_second_page_of_256_mib_without_tracking", || in_both_memories(DirtyTracking::Off));
}

/// Many guests at once in memories of 16 MiB each, so that it is the process that must not run out, and not one memory.
#[test]
fn sixteen_guests_that_write_every_second_page_at_once() {
    alone("strides::sixteen_guests_that_write_every_second_page_at_once", || {
        for tracking in [DirtyTracking::Lines, DirtyTracking::Touched, DirtyTracking::Pages, DirtyTracking::Off] {
            let engine = kit::engine(|config| {
                config.paranoid(false);
            });
            let text = TEXT.replace("\"memory\") 16 8192", "\"memory\") 256");
            // Different pres learn different things.
            let guests: Vec<_> = (0..4).map(|_| pre(&engine, tracking, &text)).collect();
            let other = pre(&engine, tracking, TEXT);
            let before = mappings();
            let most = AtomicUsize::new(0);
            for round in 0..3 {
                let mut all: Vec<_> = (0..16).map(|i| (i, guests[i % 4].fresh(()).unwrap())).collect();
                std::thread::scope(|scope| {
                    for (i, instance) in &mut all {
                        let guest = &guests[*i % 4];
                        scope.spawn(move || {
                            let sum = guest.export::<(), u64>("sum").unwrap();
                            assert_eq!(instance.call(&sum, ()).unwrap(), image_sum(256), "{tracking:?}");
                            let stride = guest.export::<(u32, u32), ()>("stride").unwrap();
                            instance.call(&stride, (round % 2 * 4096, 8192)).unwrap();
                        });
                    }
                    scope.spawn(|| neighbour(&other));
                });
                most.fetch_max(mappings(), Ordering::Relaxed);
                drop(all);
                neighbour(&other);
                let sum =
                    |guest: &InstancePre<()>| guest.call((), &guest.export::<(), u64>("sum").unwrap(), ()).unwrap();
                let seen: Vec<u64> = guests.iter().map(sum).collect();
                // The image alone: "the image", rotated by what follows it.
                let expected = image_sum(256);
                assert!(seen.iter().all(|&s| s == expected), "{tracking:?}: {seen:x?}, not {expected:x}");
            }
            let most = most.into_inner();
            assert!(most < before + 8000, "{tracking:?}: {most} mappings, and {before} before");
        }
    });
}

/// What `sum` gives for a memory of so many pages that nobody has written.
fn image_sum(pages: usize) -> u64 {
    let mut bytes = vec![0; pages << 16];
    bytes[8192..8201].copy_from_slice(b"the image");
    let words = bytes.as_chunks::<8>().0;
    words.iter().fold(0u64, |sum, word| sum.rotate_left(1).wrapping_add(u64::from_le_bytes(*word)))
}
