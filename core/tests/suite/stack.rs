//! The stack limit: on any thread, at any depth, through any mixture of host and guest.

use std::sync::Arc;
use std::sync::OnceLock;

use instar::{Caller, Engine, InstancePre, Linker, Result, TrapCode, Val};

use crate::kit::{self, module, paranoid, pre, traps};

const RECURSION: &str = r#"(module
  (func $down (export "down") (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1))))) (else (i32.const 0))))
  (func (export "fine") (result i32) (i32.const 5)))"#;

/// Runs on a thread with a stack of this size.
fn on_stack<R: Send + 'static>(bytes: usize, body: impl FnOnce() -> R + Send + 'static) -> R {
    std::thread::Builder::new().stack_size(bytes).spawn(body).expect("a thread").join().expect("no panic")
}

fn overflows_cleanly(pre: &InstancePre<()>) {
    let down = pre.export::<u32, u32>("down").unwrap();
    let fine = pre.export::<(), i32>("fine").unwrap();
    let mut instance = pre.fresh(()).unwrap();
    for _ in 0..5 {
        traps(instance.call(&down, u32::MAX), TrapCode::StackOverflow);
        assert_eq!(instance.call(&fine, ()).unwrap(), 5);
        assert_eq!(instance.call(&down, 100).unwrap(), 100);
    }
    traps(pre.call((), &down, u32::MAX), TrapCode::StackOverflow);
}

#[test]
fn stacks_of_any_size_overflow_with_a_trap() {
    let pre = pre(&paranoid(), RECURSION);
    overflows_cleanly(&pre);
    for kib in [64, 128, 256, 512, 1024, 8192] {
        let pre = pre.clone();
        on_stack(kib << 10, move || overflows_cleanly(&pre));
    }
}

#[test]
fn a_stack_limit_larger_than_the_thread_has_gives_what_the_thread_has() {
    let engine = kit::engine(|config| {
        config.max_wasm_stack(1 << 30);
    });
    let pre = pre(&engine, RECURSION);
    overflows_cleanly(&pre);
    on_stack(256 << 10, move || overflows_cleanly(&pre));
}

#[test]
fn the_configured_limit_decides_how_deep_a_guest_gets() {
    let deepest = |bytes: usize| {
        let engine = kit::engine(|config| {
            config.max_wasm_stack(bytes);
        });
        let pre = pre(&engine, RECURSION);
        let down = pre.export::<u32, u32>("down").unwrap();
        let (mut good, mut bad) = (0, 1 << 24);
        while bad - good > 1 {
            let middle = (good + bad) / 2;
            match pre.call((), &down, middle) {
                Ok(depth) => good = depth,
                Err(error) => {
                    assert_eq!(error.trap_code(), Some(TrapCode::StackOverflow));
                    bad = middle;
                }
            }
        }
        good
    };
    let (small, large) = (deepest(64 << 10), deepest(256 << 10));
    assert!(small > 100, "{small}");
    assert!((small * 3..small * 6).contains(&large), "{small} {large}");
}

#[test]
fn functions_with_large_frames_stay_within_the_limit() {
    // Each activation takes hundreds of bytes to tens of thousands; the last ones in one step beyond any guard page.
    for values in [10, 100, 1000, 4000] {
        let gets: String = (0..values).map(|i| format!("(local.get {})", 1 + i)).collect();
        let sets: String =
            (0..values).map(|i| format!("(local.set {} (i64.load (i32.const {})))", 1 + i, i * 8)).collect();
        let sums = "(i64.add)".repeat(values - 1);
        let engine = kit::engine(|config| {
            config.cranelift_debug_verifier(false);
        });
        let pre = pre(
            &engine,
            format!(
                r#"(module (memory 1) (func $f (export "down") (param i32) (result i32) (local {})
                  {sets}
                  (if (local.get 0) (then (drop (call $f (i32.sub (local.get 0) (i32.const 1))))))
                  {gets} {sums} drop (local.get 0))
                  (func (export "fine") (result i32) (i32.const 5)))"#,
                "i64 ".repeat(values)
            ),
        );
        let down = pre.export::<u32, u32>("down").unwrap();
        let check = move || {
            let mut instance = pre.fresh(()).unwrap();
            for _ in 0..3 {
                traps(instance.call(&down, u32::MAX), TrapCode::StackOverflow);
            }
        };
        on_stack(256 << 10, check.clone());
        on_stack(2 << 20, check);
    }
}

/// A guest that calls the host, which calls the guest, and so on.
fn through_the_host(engine: &Engine) -> InstancePre<()> {
    let mut linker = Linker::<()>::new(engine);
    linker
        .func_wrap("h", "again", |mut caller: Caller<'_, ()>, depth: u32| -> Result<u32> {
            let function = caller.func("down").expect("an export").typed::<u32, u32>(&caller)?;
            function.call(&mut caller, depth)
        })
        .unwrap();
    let text = r#"(module (import "h" "again" (func $again (param i32) (result i32)))
      (func (export "down") (param i32) (result i32)
        (if (result i32) (local.get 0)
          (then (i32.add (i32.const 1) (call $again (i32.sub (local.get 0) (i32.const 1))))) (else (i32.const 0))))
      (func (export "fine") (result i32) (i32.const 5)))"#;
    linker.instantiate_pre(&module(engine, text)).unwrap()
}

#[test]
fn recursion_through_host_functions_ends_with_a_trap() {
    let pre = through_the_host(&paranoid());
    let fine = pre.export::<(), i32>("fine").unwrap();
    let down = pre.export::<u32, u32>("down").unwrap();
    let check = move || {
        let mut instance = pre.fresh(()).unwrap();
        for _ in 0..3 {
            traps(instance.call(&down, u32::MAX), TrapCode::StackOverflow);
            assert_eq!(instance.call(&fine, ()).unwrap(), 5);
            assert_eq!(instance.call(&down, 10).unwrap(), 10);
        }
    };
    check();
    on_stack(256 << 10, check.clone());
    on_stack(8 << 20, check);
}

#[test]
fn recursion_through_fresh_instances_ends_with_a_trap() {
    // Each instance has a store, and so a limit, of its own; the thread's stack is the same.
    static PRE: OnceLock<InstancePre<()>> = OnceLock::new();
    let engine = paranoid();
    let mut linker = Linker::<()>::new(&engine);
    linker
        .func_wrap("h", "again", |depth: u32| -> Result<u32> {
            let pre = PRE.get().expect("set before the first call");
            pre.call((), &pre.export::<u32, u32>("down")?, depth)
        })
        .unwrap();
    let text = r#"(module (import "h" "again" (func $again (param i32) (result i32)))
      (func $deep (param i32 i32) (result i32)
        (if (result i32) (local.get 0)
          (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)) (local.get 1))))
          (else (call $again (local.get 1)))))
      (func (export "down") (param i32) (result i32)
        (if (result i32) (local.get 0)
          (then (call $deep (i32.const 20) (i32.sub (local.get 0) (i32.const 1)))) (else (i32.const 7)))))"#;
    let pre = PRE.get_or_init(|| linker.instantiate_pre(&module(&engine, text)).unwrap());
    let down = pre.export::<u32, u32>("down").unwrap();
    assert_eq!(pre.call((), &down, 0).unwrap(), 7);
    assert_eq!(pre.call((), &down, 3).unwrap(), 67);
    for kib in [256, 1024, 2048] {
        on_stack(kib << 10, || {
            let pre = PRE.get().unwrap();
            let down = pre.export::<u32, u32>("down").unwrap();
            traps(pre.call((), &down, u32::MAX), TrapCode::StackOverflow);
            assert_eq!(pre.call((), &down, 1).unwrap(), 27);
        });
    }
    assert_eq!(engine.live_instances(), 0);
}

/// Calls `body` with at least this many bytes of the stack in use below here.
fn deep(bytes: usize, body: &mut dyn FnMut()) {
    fn descend(bottom: usize, body: &mut dyn FnMut()) {
        let ballast = std::hint::black_box([1u8; 4096]);
        match (&raw const ballast as usize) < bottom {
            true => body(),
            false => descend(bottom, body),
        }
        std::hint::black_box(ballast);
    }
    let marker = 0u8;
    descend(&raw const marker as usize - bytes, body);
}

#[test]
fn the_host_may_call_a_guest_from_deep_in_its_own_stack() {
    let pre = pre(&paranoid(), RECURSION);
    on_stack(1 << 20, move || {
        for kib in [0, 100, 300, 500, 700] {
            deep(kib << 10, &mut || overflows_cleanly(&pre));
        }
    });
}

#[test]
fn a_guest_called_with_too_little_stack_left_traps_at_once() {
    // Below the room that is kept for the host, no guest function may start, however small its frame.
    let engine = paranoid();
    // Frames of several sizes: none, some slots, thousands of bytes.
    let locals = |n: usize| -> String { (0..n).map(|i| format!("(i64.load (i32.const {}))", i * 8)).collect() };
    for values in [2, 40, 400, 2000] {
        let text = format!(
            r#"(module (memory 1) (func $leaf (result i32) {} {} i32.wrap_i64)
               (func (export "work") (result i32) {} (call $leaf) (i64.extend_i32_u) {} i32.wrap_i64))"#,
            locals(values),
            "i64.add ".repeat(values - 1),
            locals(values),
            "i64.add ".repeat(values)
        );
        let pre = pre(&engine, text);
        // Larger than any stack that other tests leave for reuse, so that the thread gets just this.
        const STACK: usize = 48 << 20;
        on_stack(STACK, move || {
            let work = pre.export::<(), i32>("work").unwrap();
            // The stack's lowest 128 KiB are the host's.
            deep(STACK - (100 << 10), &mut || traps(pre.call((), &work, ()), TrapCode::StackOverflow));
            pre.call((), &work, ()).unwrap();
        });
    }
}

#[test]
fn host_functions_at_the_limit_have_room_to_work() {
    let engine = paranoid();
    let mut linker = Linker::<()>::new(&engine);
    linker
        .func_wrap("h", "work", |depth: u32| -> u32 {
            let text = std::hint::black_box(format!("{:?} {depth}", [depth; 1000]));
            std::hint::black_box([text.len() as u8; 32 << 10]).len() as u32
        })
        .unwrap();
    let text = r#"(module (import "h" "work" (func $work (param i32) (result i32)))
      (func $down (export "down") (param i32) (result i32)
        (if (i32.eqz (i32.rem_u (local.get 0) (i32.const 64))) (then (drop (call $work (local.get 0)))))
        (i32.add (i32.const 1) (call $down (i32.add (local.get 0) (i32.const 1))))))"#;
    let pre = Arc::new(linker.instantiate_pre(&module(&engine, text)).unwrap());
    for kib in [256, 1024, 2048] {
        let pre = pre.clone();
        on_stack(kib << 10, move || {
            let down = pre.export::<u32, u32>("down").unwrap();
            traps(pre.call((), &down, 1), TrapCode::StackOverflow);
        });
    }
}

#[test]
fn a_dynamic_call_with_a_thousand_values_works_near_the_limit() {
    let engine = kit::engine(|config| {
        config.cranelift_debug_verifier(false);
    });
    let types = "i64 ".repeat(1000);
    let gets: String = (0..1000).map(|i| format!("(local.get {i})")).collect();
    let pre = pre(
        &engine,
        format!(
            "(module (func $f (export \"f\") (param {types}) (result {types}) {gets} (call $f)) (func (export \"g\") (param {types}) (result {types}) {gets}))"
        ),
    );
    on_stack(512 << 10, move || {
        let mut store = instar::Store::new(pre.engine(), ());
        let instance = pre.instantiate(&mut store).unwrap();
        let values: Vec<Val> = (0..1000).map(Val::I64).collect();
        let mut results = vec![Val::I32(0); 1000];
        let g = instance.func(&mut store, "g").unwrap();
        g.call(&mut store, &values, &mut results).unwrap();
        assert!(results.iter().enumerate().all(|(i, v)| matches!(v, Val::I64(n) if *n == i as i64)));
        let f = instance.func(&mut store, "f").unwrap();
        for _ in 0..3 {
            traps(f.call(&mut store, &values, &mut results), TrapCode::StackOverflow);
        }
    });
}
