//! Instances that are reset in place, and pages that the system tells of.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use instar::{
    Caller, Config, DirtyTracking, Engine, ErrorKind, Instance, InstancePre, Linker, Module, ModuleOptions,
    OwnedInstance, Store, TrapCode, Val,
};

use crate::kit::{self, MODES, alone, fails, module, pre, traps};

/// Everything that an instance can change, and functions that say how it is.
const ALL: &str = r#"(module
  (import "host" "started" (func $started))
  (memory (export "memory") 2 9)
  (data (i32.const 4090) "across pages")
  (data (i32.const 100000) "far")
  (data $passive "passive")
  (table $t (export "table") 4 9 funcref)
  (elem (i32.const 1) $one)
  (elem $lazy func $one $two)
  (global $g (export "global") (mut i64) (i64.const 7))
  (func $one (result i32) (i32.const 1))
  (func $two (result i32) (i32.const 2))
  (func (export "change") (result i32)
    (i64.store (i32.const 4092) (i64.const -1))
    (memory.fill (i32.const 60000) (i32.const 0xaa) (i32.const 30000))
    (drop (memory.grow (i32.const 3)))
    (i32.store (i32.const 300000) (i32.const -1))
    (memory.init $passive (i32.const 10) (i32.const 0) (i32.const 7))
    (data.drop $passive)
    (table.set $t (i32.const 1) (ref.func $two))
    (drop (table.grow $t (ref.func $two) (i32.const 2)))
    (table.init $t $lazy (i32.const 2) (i32.const 0) (i32.const 2))
    (elem.drop $lazy)
    (global.set $g (i64.const 99))
    (memory.size))
  (func (export "try-passive") (memory.init $passive (i32.const 0) (i32.const 0) (i32.const 7)))
  (func (export "try-lazy") (table.init $t $lazy (i32.const 0) (i32.const 0) (i32.const 1)))
  (func (export "call") (param i32) (result i32) (call_indirect $t (result i32) (local.get 0)))
  (func (export "sizes") (result i32 i32) (memory.size) (table.size $t))
  (func $start (call $started) (i32.store (i32.const 500) (i32.add (i32.load (i32.const 500)) (i32.const 1))))
  (start $start))"#;

/// [`ALL`] in an engine, and how often a start function has run.
fn all(engine: &Engine) -> (InstancePre<u32>, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    let mut linker = Linker::new(engine);
    let starts = count.clone();
    linker
        .func_wrap("host", "started", move || {
            starts.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
    (linker.instantiate_pre(&module(engine, ALL)).unwrap(), count)
}

/// What can be seen of an instance of [`ALL`].
fn look(pre: &InstancePre<u32>, instance: &mut OwnedInstance<u32>) -> (Vec<u8>, (i32, i32), Vec<Option<i32>>) {
    let memory = pre.memory("memory").unwrap();
    let mut bytes = vec![0; instance.memory_size(&memory).unwrap() as usize];
    instance.memory_read(&memory, 0, &mut bytes).unwrap();
    let sizes = instance.call(&pre.export::<(), (i32, i32)>("sizes").unwrap(), ()).unwrap();
    let call = pre.export::<i32, i32>("call").unwrap();
    let table = (0..sizes.1).map(|i| instance.call(&call, i).ok()).collect();
    (bytes, sizes, table)
}

#[test]
fn an_instance_that_was_reset_is_as_one_made_anew() {
    for mode in MODES {
        let engine = mode.engine();
        let (pre, starts) = all(&engine);
        let mut instance = pre.fresh(5).unwrap();
        let fresh = look(&pre, &mut instance);
        let change = pre.export::<(), i32>("change").unwrap();
        for round in 1..4 {
            *instance.data_mut() += 1;
            assert_eq!(instance.call(&change, ()).unwrap(), 5, "{}", mode.name);
            let changed = look(&pre, &mut instance);
            assert_eq!(changed.1, (5, 6));
            assert_ne!(changed.0[..131_072], fresh.0[..]);
            traps(instance.call(&pre.export::<(), ()>("try-passive").unwrap(), ()), TrapCode::MemoryOutOfBounds);
            instance.reset().unwrap();
            assert_eq!(starts.load(Ordering::Relaxed), 1 + round, "{}", mode.name);
            assert!(look(&pre, &mut instance) == fresh, "{}", mode.name);
        }
        instance.call(&pre.export::<(), ()>("try-passive").unwrap(), ()).unwrap();
        instance.call(&pre.export::<(), ()>("try-lazy").unwrap(), ()).unwrap();
        assert_eq!(*instance.data(), 8, "host data stays");
        drop(instance);
        assert!(look(&pre, &mut pre.fresh(0).unwrap()) == fresh, "{}", mode.name);
    }
}

#[test]
fn handles_into_an_instance_of_a_store_outlive_its_reset() {
    for mode in MODES {
        let engine = mode.engine();
        let (pre, _) = all(&engine);
        for _ in 0..2 {
            let mut store = Store::new(&engine, 0);
            let first = pre.instantiate(&mut store).unwrap();
            let other = pre.instantiate(&mut store).unwrap();
            let memory = first.memory(&mut store, "memory").unwrap();
            let global = first.global(&mut store, "global").unwrap();
            let table = first.table(&mut store, "table").unwrap();
            let change = first.typed_func::<(), i32>(&mut store, "change").unwrap();
            change.call(&mut store, ()).unwrap();
            other.typed_func::<(), i32>(&mut store, "change").unwrap().call(&mut store, ()).unwrap();
            memory.write(&mut store, 70_000, b"host").unwrap();
            first.reset(&mut store).unwrap();
            let mut bytes = [0xee; 12];
            memory.read(&store, 4090, &mut bytes).unwrap();
            assert_eq!(&bytes, b"across pages", "{}", mode.name);
            memory.read(&store, 70_000, &mut bytes).unwrap();
            assert_eq!(bytes, [0; 12]);
            assert_eq!(memory.size(&store).unwrap(), 2);
            assert_eq!(table.size(&store).unwrap(), 4);
            assert!(matches!(global.get(&mut store), Ok(Val::I64(7))));
            assert!(matches!(other.global(&mut store, "global").unwrap().get(&mut store), Ok(Val::I64(99))));
            assert_eq!(other.memory(&mut store, "memory").unwrap().size(&store).unwrap(), 5, "others stay as they are");
            assert_eq!(change.call(&mut store, ()).unwrap(), 5);
        }
    }
}

/// What is linked stays linked, and what the other module's code does is still undone: in every pair of ways of tracking.
#[test]
fn instances_that_are_linked_stay_linked_when_one_is_reset() {
    const TRACKING: [DirtyTracking; 4] =
        [DirtyTracking::Lines, DirtyTracking::Touched, DirtyTracking::Pages, DirtyTracking::Off];
    for (owns, uses) in TRACKING.into_iter().flat_map(|a| TRACKING.map(|b| (a, b))) {
        let engine = kit::engine(|_| {});
        let compile = |tracking, text: &str| {
            let options = ModuleOptions::new().dirty_tracking(tracking).clone();
            Module::with_options(&engine, &options, text).unwrap()
        };
        let owner = compile(
            owns,
            r#"(module (memory (export "m") 1 4) (data (i32.const 9000) "image") (table (export "t") 2 funcref)
                 (global (export "g") (mut i32) (i32.const 3))
                 (func (export "f") (param i32) (result i32) (i32.load8_u (local.get 0))))"#,
        );
        let user = compile(
            uses,
            r#"(module (import "o" "m" (memory 1)) (import "o" "t" (table 2 funcref))
                 (import "o" "g" (global $g (mut i32))) (import "o" "f" (func $f (param i32) (result i32)))
                 (memory $own (export "own") 1) (func $here) (elem declare func $here)
                 (func (export "write") (i32.store (i32.const 9000) (i32.const -1)) (i32.store $own (i32.const 4) (i32.const 1))
                   (drop (memory.grow (i32.const 1))) (i32.store (i32.const 66000) (i32.const -1))
                   (global.set $g (i32.const 4)) (table.set 0 (i32.const 0) (ref.func $here)))
                 (func (export "look") (result i32 i32 i32 i32 i32)
                   (call $f (i32.const 9000)) (global.get $g) (memory.size)
                   (ref.is_null (table.get 0 (i32.const 0))) (i32.load $own (i32.const 4))))"#,
        );
        let owner = Linker::<()>::new(&engine).instantiate_pre(&owner).unwrap();
        for _ in 0..3 {
            let mut store = Store::new(&engine, ());
            let mut linker = Linker::new(&engine);
            let first = owner.instantiate(&mut store).unwrap();
            linker.instance(&mut store, "o", first).unwrap();
            let second = linker.instantiate(&mut store, &user).unwrap();
            let write = second.typed_func::<(), ()>(&mut store, "write").unwrap();
            let look = second.typed_func::<(), (i32, i32, i32, i32, i32)>(&mut store, "look").unwrap();
            for _ in 0..2 {
                assert_eq!(look.call(&mut store, ()).unwrap(), (i32::from(b'i'), 3, 1, 1, 0));
                write.call(&mut store, ()).unwrap();
                assert_eq!(look.call(&mut store, ()).unwrap(), (255, 4, 2, 0, 1));
                second.reset(&mut store).unwrap();
                assert_eq!(look.call(&mut store, ()).unwrap(), (255, 4, 2, 0, 0), "imports are left as they are");
                write.call(&mut store, ()).unwrap();
                first.reset(&mut store).unwrap();
                assert_eq!(look.call(&mut store, ()).unwrap(), (i32::from(b'i'), 3, 1, 1, 1));
                second.reset(&mut store).unwrap();
            }
            // And now the slot of the first goes back.
            write.call(&mut store, ()).unwrap();
        }
    }
}

#[test]
fn nobody_is_reset_while_it_runs() {
    let engine = kit::one_slot();
    let mut linker = Linker::<Option<Instance>>::new(&engine);
    linker
        .func_wrap("", "reset", |mut caller: Caller<'_, Option<Instance>>| {
            let instance = caller.data().unwrap();
            instance.reset(&mut caller)
        })
        .unwrap();
    let text = r#"(module (import "" "reset" (func $reset)) (memory (export "m") 1)
        (func (export "f") (i32.store (i32.const 0) (i32.const 5)) (call $reset)))"#;
    let mut store = Store::new(&engine, None);
    let instance = linker.instantiate(&mut store, &module(&engine, text)).unwrap();
    *store.data_mut() = Some(instance);
    let f = instance.typed_func::<(), ()>(&mut store, "f").unwrap();
    let error = fails(f.call(&mut store, ()), ErrorKind::Busy);
    assert!(error.message().contains("while a call"), "{error}");
    let mut byte = [0];
    instance.memory(&mut store, "m").unwrap().read(&store, 0, &mut byte).unwrap();
    assert_eq!(byte, [5], "nothing has happened");
    instance.reset(&mut store).unwrap();
    instance.memory(&mut store, "m").unwrap().read(&store, 0, &mut byte).unwrap();
    assert_eq!(byte, [0]);
}

#[test]
fn an_instance_whose_start_fails_after_a_reset_lets_no_call_in() {
    let engine = kit::one_slot();
    let mut linker = Linker::<bool>::new(&engine);
    linker
        .func_wrap("", "fails", |caller: Caller<'_, bool>| match *caller.data() {
            true => Err(instar::Error::trap(TrapCode::Unreachable)),
            false => Ok(()),
        })
        .unwrap();
    let text = r#"(module (import "" "fails" (func $fails)) (memory (export "m") 1) (start $fails)
        (func (export "f") (i32.store (i32.const 0) (i32.const 5))))"#;
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    let f = pre.export::<(), ()>("f").unwrap();
    for _ in 0..2 {
        let mut instance = pre.fresh(false).unwrap();
        instance.call(&f, ()).unwrap();
        instance.reset().unwrap();
        *instance.data_mut() = true;
        traps(instance.reset(), TrapCode::Unreachable);
        let error = fails(instance.call(&f, ()), ErrorKind::Poisoned);
        assert!(error.message().contains("reset"), "{error}");
        fails(instance.call_raw(&pre.func("f").unwrap(), &mut []), ErrorKind::Poisoned);
        *instance.data_mut() = false;
        fails(instance.reset(), ErrorKind::Poisoned);
        drop(instance);
        // The slot is as good as after any start that fails.
        let mut store = Store::new(&engine, false);
        let instance = pre.instantiate(&mut store).unwrap();
        *store.data_mut() = true;
        traps(instance.reset(&mut store), TrapCode::Unreachable);
        fails(instance.typed_func::<(), ()>(&mut store, "f").unwrap().call(&mut store, ()), ErrorKind::Poisoned);
        fails(instance.reset(&mut store), ErrorKind::Poisoned);
    }
}

#[test]
fn a_panic_of_the_start_function_in_a_reset_poisons_the_store() {
    let engine = kit::one_slot();
    let mut linker = Linker::<bool>::new(&engine);
    linker.func_wrap("", "panics", |caller: Caller<'_, bool>| assert!(!*caller.data(), "on purpose")).unwrap();
    let text = r#"(module (import "" "panics" (func $panics)) (start $panics) (func (export "f")))"#;
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    let mut instance = pre.fresh(false).unwrap();
    *instance.data_mut() = true;
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| instance.reset()));
    assert!(panicked.is_err());
    fails(instance.call(&pre.export::<(), ()>("f").unwrap(), ()), ErrorKind::Poisoned);
    drop(instance);
    pre.fresh(false).unwrap();
}

#[test]
fn an_instance_that_defines_a_shared_memory_cannot_be_reset() {
    let engine = kit::paranoid();
    let text = r#"(module (memory (export "m") 1 1 shared) (func (export "f")))"#;
    let pre = pre(&engine, text);
    let mut instance = pre.fresh(()).unwrap();
    let error = fails(instance.reset(), ErrorKind::Unsupported);
    assert!(error.message().contains("shared memory"), "{error}");
    instance.call(&pre.export::<(), ()>("f").unwrap(), ()).unwrap();
}

#[test]
fn a_shared_instance_is_reset_unless_it_is_in_use_or_closed() {
    let engine = kit::paranoid();
    let (pre, _) = all(&engine);
    let change = pre.export::<(), i32>("change").unwrap();
    let instance = pre.shared(1).unwrap();
    let mut claim = instance.enter().unwrap();
    claim.call(&change, ()).unwrap();
    fails(instance.reset(), ErrorKind::Busy);
    claim.reset().unwrap();
    assert_eq!(look(&pre, &mut claim).1, (2, 4));
    claim.call(&change, ()).unwrap();
    drop(claim);
    instance.reset().unwrap();
    assert_eq!(look(&pre, &mut instance.enter().unwrap()).1, (2, 4));
    assert_eq!(*instance.enter().unwrap().data(), 1);
    instance.close().unwrap();
    fails(instance.reset(), ErrorKind::StaleHandle);
}

#[test]
fn an_instance_of_another_store_is_not_reset() {
    let engine = kit::paranoid();
    let (pre, _) = all(&engine);
    let mut store = Store::new(&engine, 0);
    let instance = pre.instantiate(&mut store).unwrap();
    fails(instance.reset(&mut Store::new(&engine, 0)), ErrorKind::StaleHandle);
    drop(store);
    fails(instance.reset(&mut Store::new(&engine, 0)), ErrorKind::StaleHandle);
}

fn in_pages(change: impl FnOnce(&mut Config)) -> Engine {
    kit::engine(|config| {
        config.max_instances(1);
        change(config);
        config.dirty_tracking(DirtyTracking::Pages);
    })
}

/// Fills memories of all kinds, far more than is kept resident, partly and wholly.
#[test]
fn written_pages_are_undone_however_many_there_are() {
    let kinds: [(&str, &str, u64, bool); 4] =
        [("", "i32", 4 << 30, true), ("", "i32", 0, true), ("i64", "i64", 4 << 30, true), ("i64", "i64", 0, false)];
    for (address, ty, reservation, signals) in kinds {
        let engine = in_pages(|config| {
            config.memory_reservation(reservation).signals_based_traps(signals);
        });
        let pre = pre(
            &engine,
            format!(
                r#"(module (memory (export "memory") {address} 400 900)
                  (data ({ty}.const 5000) "near") (data ({ty}.const 20000000) "far")
                  (func (export "fill") (param {ty} {ty} i32)
                    (memory.fill (local.get 0) (local.get 2) (local.get 1)))
                  (func (export "grow") (param {ty}) (result {ty}) (memory.grow (local.get 0)))
                  (func (export "every") (param $at {ty}) (param $step {ty}) (param $end {ty})
                    (loop $again
                      (i32.store8 (local.get $at) (i32.const 1))
                      (local.set $at ({ty}.add (local.get $at) (local.get $step)))
                      (br_if $again ({ty}.lt_u (local.get $at) (local.get $end))))))"#
            ),
        );
        let size = 400 << 16;
        let memory = pre.memory("memory").unwrap();
        let run = |name: &str, arguments: &[u64], grow: u64| {
            let mut instance = pre.fresh(()).unwrap();
            let mut bytes = vec![0xee; size];
            assert_eq!(instance.memory_size(&memory).unwrap(), size as u64);
            instance.memory_read(&memory, 0, &mut bytes).unwrap();
            assert_eq!((&bytes[5000..5004], &bytes[20_000_000..20_000_003]), (&b"near"[..], &b"far"[..]));
            assert_eq!(bytes.iter().filter(|&&byte| byte != 0).count(), 7);
            if grow > 0 {
                instance.call_raw(&pre.func("grow").unwrap(), &mut [grow]).unwrap();
            }
            let mut slots = arguments.to_vec();
            instance.call_raw(&pre.func(name).unwrap(), &mut slots).unwrap();
        };
        for _ in 0..2 {
            run("fill", &[0, size as u64, 7], 0);
            run("fill", &[19_000_000, 2_000_000, 7], 0);
            run("every", &[3, 8192, size as u64], 0);
            run("every", &[0, 70_000, size as u64], 0);
            // Zeroes where the image has something: the page is the instance's own, and all zeroes.
            run("fill", &[0, size as u64, 0], 0);
            run("fill", &[0, 500 << 16, 9], 100);
            run("every", &[4095, 4096, 900 << 16], 500);
            run("fill", &[5001, 1, 9], 0);
        }
    }
}

fn resident_pages() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn pages_that_tenants_have_ceased_to_write_are_given_back() {
    alone("resets::pages_that_tenants_have_ceased_to_write_are_given_back", || {
        let engine = Engine::new(Config::new().dirty_tracking(DirtyTracking::Pages)).unwrap();
        let pre = pre(
            &engine,
            r#"(module (memory 300) (func (export "fill") (param i32) (memory.fill (i32.const 0) (i32.const 1) (local.get 0))))"#,
        );
        let fill = pre.export::<u32, ()>("fill").unwrap();
        pre.call((), &fill, 1).unwrap();
        let before = resident_pages();
        pre.call((), &fill, 16 << 20).unwrap();
        let kept = resident_pages();
        assert!(kept > before + 4000, "{before} {kept}: written pages stay for the next tenant");
        for _ in 0..4 {
            pre.call((), &fill, 4096).unwrap();
        }
        let after = resident_pages();
        assert!(after < before + 500, "{before} {kept} {after}: none has written them since");
    });
}

fn pagemaps() -> Vec<i32> {
    let name = |e: &std::fs::DirEntry| std::fs::read_link(e.path()).is_ok_and(|to| to.ends_with("pagemap"));
    let entries = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok).filter(name);
    entries.map(|e| e.file_name().to_str().unwrap().parse().unwrap()).collect()
}

/// Ends a forked child with what `body` says; asserts in the parent that it was right.
fn in_fork(body: impl FnOnce() -> bool) {
    // SAFETY: this process has one thread that is of interest; the child uses nothing that others may hold.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let good = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(false);
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(!good)) };
    }
    let mut status = 0;
    // SAFETY: `status` is a place to write to.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "the child has failed");
}

#[test]
fn a_process_has_one_descriptor_for_its_pages_and_a_child_its_own() {
    alone("resets::a_process_has_one_descriptor_for_its_pages_and_a_child_its_own", || {
        let engine = in_pages(|_| {});
        let other = in_pages(|_| {});
        let (first, _) = all(&engine);
        let (second, _) = all(&other);
        let change = first.export::<(), i32>("change").unwrap();
        let fresh = look(&first, &mut first.fresh(0).unwrap());
        first.call(0, &change, ()).unwrap();
        second.call(0, &second.export::<(), i32>("change").unwrap(), ()).unwrap();
        let mine = pagemaps();
        assert_eq!(mine.len(), 1);
        in_fork(|| {
            for _ in 0..3 {
                first.call(0, &change, ()).unwrap();
                assert!(look(&first, &mut first.fresh(0).unwrap()) == fresh);
            }
            in_fork(|| {
                first.call(0, &change, ()).unwrap();
                pagemaps().len() == 1 && look(&first, &mut first.fresh(0).unwrap()) == fresh
            });
            pagemaps().len() == 1
        });
        // A child that has closed what it does not know, and opened something else.
        in_fork(|| {
            // SAFETY: nothing else uses the descriptor.
            unsafe { libc::close(mine[0]) };
            let file = std::fs::File::open("/dev/null").unwrap();
            first.call(0, &change, ()).unwrap();
            assert!(look(&first, &mut first.fresh(0).unwrap()) == fresh);
            file.metadata().is_ok() && pagemaps().len() == 1
        });
        first.call(0, &change, ()).unwrap();
        assert_eq!(pagemaps(), mine);
        // Somebody has closed the descriptor: memories are rebuilt.
        // SAFETY: what uses the descriptor expects that it may not work.
        unsafe { libc::close(mine[0]) };
        for _ in 0..3 {
            first.call(0, &change, ()).unwrap();
            assert!(look(&first, &mut first.fresh(0).unwrap()) == fresh);
        }
    });
}

/// Makes the kernel refuse `PAGEMAP_SCAN` with this error, as older ones do.
fn refuse_scans(error: i32) {
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let give = libc::BPF_RET | libc::BPF_K;
    let filter = [
        step(load, 0, 0, 0),
        step(equal, 0, 3, libc::SYS_ioctl as u32),
        // The low half of the second argument.
        step(load, 0, 0, 24),
        step(equal, 0, 1, 0xc060_6610),
        step(give, 0, 0, libc::SECCOMP_RET_ERRNO | error as u32),
        step(give, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the program is alive during the call; this process is a child made for it.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
    }
}

#[test]
fn a_system_that_cannot_tell_written_pages_is_an_error() {
    alone("resets::a_system_that_cannot_tell_written_pages_is_an_error", || {
        refuse_scans(libc::ENOTTY);
        let error = fails(Engine::new(Config::new().dirty_tracking(DirtyTracking::Pages)), ErrorKind::Config);
        assert!(error.message().contains("needs Linux 6.7"), "{error}");
        let engine = Engine::default();
        let options = ModuleOptions::new().dirty_tracking(DirtyTracking::Pages).clone();
        fails(Module::with_options(&engine, &options, "(module)"), ErrorKind::Config);
        let bytes = engine.precompile_module_with(&options, b"(module)").unwrap();
        // SAFETY: the bytes were made just now.
        fails(unsafe { Module::deserialize(&engine, bytes) }, ErrorKind::Config);
    });
}

#[test]
fn scans_that_cease_to_work_leave_memories_to_be_rebuilt() {
    alone("resets::scans_that_cease_to_work_leave_memories_to_be_rebuilt", || {
        let engine = in_pages(|_| {});
        let (pre, _) = all(&engine);
        let change = pre.export::<(), i32>("change").unwrap();
        let fresh = look(&pre, &mut pre.fresh(0).unwrap());
        refuse_scans(libc::EPERM);
        for _ in 0..3 {
            pre.call(0, &change, ()).unwrap();
            assert!(look(&pre, &mut pre.fresh(0).unwrap()) == fresh);
        }
    });
}
