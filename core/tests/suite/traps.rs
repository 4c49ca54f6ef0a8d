//! Each trap by its code, through every way of calling; and life after it.

use instar::{Caller, Engine, ErrorKind, InstancePre, Linker, Result, Store, TrapCode, Val};

use crate::kit::{self, fails, module, paranoid, pre, traps};

/// Exports named by what they do; none has parameters or results.
const TRAPS: &str = r#"(module
  (memory (export "memory") 1) (table $t 4 funcref) (elem (table $t) (i32.const 0) func $none $one) (elem $e func $none)
  (data $d "data") (type $none (func)) (type $one (func (param i32)))
  (global $calls (mut i32) (i32.const 0))
  (func $none (type $none)) (func $one (type $one))
  (func (export "fine") (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1))) (global.get $calls))
  (func (export "unreachable") unreachable)
  (func (export "div_s by 0") (param i32) (drop (i32.div_s (i32.const 1) (local.get 0))))
  (func (export "div_u by 0") (param i32) (drop (i32.div_u (i32.const 1) (local.get 0))))
  (func (export "rem_s by 0") (param i32) (drop (i32.rem_s (i32.const 1) (local.get 0))))
  (func (export "rem_u by 0") (param i32) (drop (i32.rem_u (i32.const 1) (local.get 0))))
  (func (export "i64 div_s by 0") (param i32) (drop (i64.div_s (i64.const 1) (i64.extend_i32_s (local.get 0)))))
  (func (export "i64 rem_u by 0") (param i32) (drop (i64.rem_u (i64.const 1) (i64.extend_i32_s (local.get 0)))))
  (func (export "div overflow") (param i32)
    (drop (i32.div_s (i32.const 0x80000000) (i32.sub (local.get 0) (i32.const 1)))))
  (func (export "i64 div overflow") (param i32)
    (drop (i64.div_s (i64.const 0x8000000000000000) (i64.sub (i64.extend_i32_s (local.get 0)) (i64.const 1)))))
  (func (export "trunc nan") (param i32)
    (drop (i32.trunc_f32_s (f32.div (f32.convert_i32_s (local.get 0)) (f32.const 0)))))
  (func (export "trunc nan u") (param i32)
    (drop (i64.trunc_f64_u (f64.div (f64.convert_i32_s (local.get 0)) (f64.const 0)))))
  (func (export "trunc big") (drop (i32.trunc_f64_s (f64.const 3e9))))
  (func (export "trunc minus") (drop (i64.trunc_f32_u (f32.const -1))))
  (func (export "load") (drop (i32.load (i32.const 65533))))
  (func (export "load 8") (drop (i32.load8_u (i32.const 65536))))
  (func (export "load far") (drop (i64.load offset=0xffffffff (i32.const -1))))
  (func (export "load behind the guard") (drop (i64.load offset=0x2000000 (i32.const 65528))))
  (func (export "store") (i64.store (i32.const 65529) (i64.const 1)))
  (func (export "store -1") (i32.store8 (i32.const -1) (i32.const 1)))
  (func (export "store far") (f64.store offset=0xfffffff8 (i32.const 0) (f64.const 1)))
  (func (export "fill") (memory.fill (i32.const 65536) (i32.const 0) (i32.const 1)))
  (func (export "copy to") (memory.copy (i32.const 65530) (i32.const 0) (i32.const 7)))
  (func (export "copy from") (memory.copy (i32.const 0) (i32.const -1) (i32.const 2)))
  (func (export "init to") (memory.init $d (i32.const 65535) (i32.const 0) (i32.const 2)))
  (func (export "init from") (memory.init $d (i32.const 0) (i32.const 3) (i32.const 2)))
  (func (export "table.get") (drop (table.get $t (i32.const 4))))
  (func (export "table.set") (table.set $t (i32.const -1) (ref.null func)))
  (func (export "table.fill") (table.fill $t (i32.const 3) (ref.null func) (i32.const 2)))
  (func (export "table.copy") (table.copy $t $t (i32.const 2) (i32.const 0) (i32.const 3)))
  (func (export "table.init") (table.init $t $e (i32.const 0) (i32.const 1) (i32.const 1)))
  (func (export "undefined element") (call_indirect $t (type $none) (i32.const 4)))
  (func (export "undefined element far") (call_indirect $t (type $none) (i32.const -1)))
  (func (export "null element") (call_indirect $t (type $none) (i32.const 2)))
  (func (export "other type") (call_indirect $t (type $none) (i32.const 1)))
  (func $recursion (export "recursion") (call $recursion))
  (func $ping (call $pong)) (func $pong (call $ping)) (func (export "mutual recursion") (call $ping))
  (func (export "endless call_indirect") (table.set $t (i32.const 3) (ref.func $self)) (call $self))
  (func $self (call_indirect $t (type $none) (i32.const 3))) (elem declare func $self)
  (func $wide (param i32 i64 f32 f64) (result i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)
    (call $wide (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
  (func (export "wide recursion")
    (call $wide (i32.const 0) (i64.const 0) (f32.const 0) (f64.const 0))
    drop drop drop drop drop drop drop drop drop drop)
)"#;

fn expected() -> Vec<(&'static str, TrapCode)> {
    let of = |code: TrapCode, names: &[&'static str]| names.iter().map(|&n| (n, code)).collect::<Vec<_>>();
    [
        of(TrapCode::Unreachable, &["unreachable"]),
        of(
            TrapCode::IntegerDivideByZero,
            &["div_s by 0", "div_u by 0", "rem_s by 0", "rem_u by 0", "i64 div_s by 0", "i64 rem_u by 0"],
        ),
        of(TrapCode::IntegerOverflow, &["div overflow", "i64 div overflow", "trunc big", "trunc minus"]),
        of(TrapCode::InvalidConversionToInteger, &["trunc nan", "trunc nan u"]),
        of(
            TrapCode::MemoryOutOfBounds,
            &[
                "load",
                "load 8",
                "load far",
                "load behind the guard",
                "store",
                "store -1",
                "store far",
                "fill",
                "copy to",
                "copy from",
                "init to",
                "init from",
            ],
        ),
        of(TrapCode::TableOutOfBounds, &["table.get", "table.set", "table.fill", "table.copy", "table.init"]),
        of(TrapCode::UndefinedElement, &["undefined element", "undefined element far"]),
        of(TrapCode::UninitializedElement, &["null element"]),
        of(TrapCode::IndirectCallTypeMismatch, &["other type"]),
        of(TrapCode::StackOverflow, &["recursion", "mutual recursion", "endless call_indirect", "wide recursion"]),
    ]
    .concat()
}

fn has_parameter(pre: &InstancePre<()>, name: &str) -> bool {
    !pre.func(name).unwrap().ty().params().is_empty()
}

#[test]
fn every_trap_has_its_code_through_a_typed_call_and_the_instance_goes_on() {
    let pre = pre(&paranoid(), TRAPS);
    let fine = pre.export::<(), i32>("fine").unwrap();
    let mut instance = pre.fresh(()).unwrap();
    let mut calls = 0;
    for (name, code) in expected() {
        for _ in 0..3 {
            let result = match has_parameter(&pre, name) {
                true => instance.call(&pre.export::<i32, ()>(name).unwrap(), 0),
                false => instance.call(&pre.export::<(), ()>(name).unwrap(), ()),
            };
            traps(result, code);
            calls += 1;
            assert_eq!(instance.call(&fine, ()).unwrap(), calls, "after `{name}`");
        }
    }
}

#[test]
fn every_trap_has_its_code_in_a_fresh_instance_and_the_engine_goes_on() {
    let pre = pre(&paranoid(), TRAPS);
    let fine = pre.export::<(), i32>("fine").unwrap();
    for (name, code) in expected() {
        let mut slots = [0];
        traps(pre.call_raw((), &pre.func(name).unwrap(), &mut slots), code);
        assert_eq!(pre.call((), &fine, ()).unwrap(), 1, "after `{name}`");
    }
}

#[test]
fn every_trap_has_its_code_through_untyped_and_typed_functions_of_a_store() {
    let engine = paranoid();
    let pre = pre(&engine, TRAPS);
    let mut store = Store::new(&engine, ());
    let instance = pre.instantiate(&mut store).unwrap();
    for (name, code) in expected() {
        let func = instance.func(&mut store, name).unwrap();
        match has_parameter(&pre, name) {
            true => {
                traps(func.call(&mut store, &[Val::I32(0)], &mut []), code);
                traps(func.typed::<i32, ()>(&store).unwrap().call(&mut store, 0), code);
            }
            false => {
                traps(func.call(&mut store, &[], &mut []), code);
                traps(func.typed::<(), ()>(&store).unwrap().call(&mut store, ()), code);
            }
        }
    }
    let fine = instance.typed_func::<(), i32>(&mut store, "fine").unwrap();
    assert_eq!(fine.call(&mut store, ()).unwrap(), 1);
}

#[test]
fn every_trap_has_its_code_in_every_mode() {
    for mode in kit::MODES {
        let pre = pre(&mode.engine(), TRAPS);
        let fine = pre.export::<(), i32>("fine").unwrap();
        let mut instance = pre.fresh(()).unwrap();
        let mut calls = 0;
        for (name, code) in expected() {
            let result = instance.call_raw(&pre.func(name).unwrap(), &mut [0]);
            assert_eq!(
                result.as_ref().err().and_then(|e| e.trap_code()),
                Some(code),
                "{}: {name}: {result:?}",
                mode.name
            );
            calls += 1;
            assert_eq!(instance.call(&fine, ()).unwrap(), calls, "{}: after `{name}`", mode.name);
        }
    }
}

/// Conversions at the ends of what each can give, with what `signals_based_traps` gives as the measure.
#[test]
fn conversions_and_divisions_are_the_same_with_and_without_signals() {
    let with = paranoid();
    let without = kit::mode("signals-off").engine();
    let (mut functions, mut cases) = (String::new(), Vec::new());
    for (float, bits) in [("f32", 24), ("f64", 53)] {
        for int in ["i32", "i64"] {
            for sign in ["s", "u"] {
                let name = format!("{int}.trunc_{float}_{sign}");
                let body = format!("({name} ({float}.reinterpret_{} (local.get 0)))", float.replace('f', "i"));
                functions +=
                    &format!("(func (export \"{name}\") (param {}) (result {int}) {body})", float.replace('f', "i"));
                for power in [0, 31, 32, 63, 64, 127] {
                    let value = 2f64.powi(power);
                    for value in [value, -value, value - 1.0, -value - 1.0, value - 0.5, -value - 0.5, 0.5 - value] {
                        for step in [-2i64, -1, 0, 1, 2] {
                            let bits = match bits {
                                24 => u64::from((value as f32).to_bits().wrapping_add(step as u32)),
                                _ => value.to_bits().wrapping_add(step as u64),
                            };
                            cases.push((name.clone(), bits, 0));
                        }
                    }
                }
                let special =
                    [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, -0.999_999, f64::MIN_POSITIVE];
                for value in special {
                    let bits = if bits == 24 { u64::from((value as f32).to_bits()) } else { value.to_bits() };
                    cases.push((name.clone(), bits, 0));
                }
            }
        }
    }
    for int in ["i32", "i64"] {
        for operator in ["div_s", "div_u", "rem_s", "rem_u"] {
            let name = format!("{int}.{operator}");
            functions += &format!(
                "(func (export \"{name}\") (param {int} {int}) (result {int}) ({name} (local.get 0) (local.get 1)))"
            );
            for divisor in [-1i64, 0, 1, 2, -2, 7] {
                let constant = format!("{name} by {divisor}");
                functions += &format!(
                    "(func (export \"{constant}\") (param {int} {int}) (result {int}) ({name} (local.get 0) ({int}.const {divisor})))"
                );
                for dividend in [0, 1, -1, i64::MIN, i64::MAX, i64::from(i32::MIN), i64::from(i32::MAX), 1 << 32] {
                    cases.push((name.clone(), dividend as u64, divisor as u64));
                    cases.push((constant.clone(), dividend as u64, 0));
                }
            }
        }
    }
    let text = format!("(module {functions})");
    let pres = [pre(&with, &text), pre(&without, &text)];
    let mut trapped = 0;
    for (name, a, b) in cases {
        let results = pres.each_ref().map(|pre| {
            let mut slots = [a, b];
            let result = pre.call_raw((), &pre.func(&name).unwrap(), &mut slots);
            result.map(|()| slots[0]).map_err(|e| e.trap_code().unwrap())
        });
        assert_eq!(results[0], results[1], "{name} of {a:#x} and {b:#x}");
        trapped += u32::from(results[0].is_err());
    }
    assert!(trapped > 200, "{trapped}");
}

/// Signals that arrived at the test's own handler.
static SIGNALS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

extern "C" fn count(_: libc::c_int) {
    SIGNALS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    // A fault would come again and again.
    // SAFETY: ends the process.
    unsafe { libc::_exit(99) };
}

#[test]
fn without_signals_no_instruction_faults_and_no_handler_is_installed() {
    kit::alone("traps::without_signals_no_instruction_faults_and_no_handler_is_installed", || {
        let signals = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP];
        let handler = count as *const () as usize;
        for signal in signals {
            // SAFETY: the handler is a function of the right type.
            unsafe { libc::signal(signal, handler) };
        }
        for name in ["signals-off", "signals-off-reservation-0", "spectre-off-signals-off", "opt-none-signals-off"] {
            let engine = kit::mode(name).engine();
            let pre = pre(&engine, TRAPS);
            let mut instance = pre.fresh(()).unwrap();
            for (name, code) in expected() {
                traps(instance.call_raw(&pre.func(name).unwrap(), &mut [0]), code);
            }
            let nested = nested(&engine, true);
            for (i, (_, code)) in expected().into_iter().enumerate() {
                traps(nested.call((), &nested.export::<u32, u32>("outer").unwrap(), i as u32), code);
            }
        }
        for signal in signals {
            // SAFETY: asks for the handler only.
            let now = unsafe {
                let mut action = std::mem::zeroed::<libc::sigaction>();
                libc::sigaction(signal, std::ptr::null(), &mut action);
                action.sa_sigaction
            };
            assert_eq!(now, handler, "the handler of signal {signal} was replaced");
        }
        assert_eq!(SIGNALS.load(std::sync::atomic::Ordering::Relaxed), 0);
    });
}

/// Frames of up to a mebibyte: the whole frame must fit above the limit before any of it is touched.
#[test]
fn large_frames_overflow_cleanly_without_signals() {
    for name in ["signals-off", "opt-none-signals-off"] {
        let engine = kit::mode(name).engine();
        for values in [10u32, 600, 2000, 30_000] {
            let loads: String = (0..values).map(|i| format!("(i64.load (i32.const {}))", i % 1000 * 8)).collect();
            let uses = "i64.add ".repeat(values as usize - 1);
            let text = format!(
                r#"(module (memory 1) (func $f (export "f") (param i64 i64) (result i64) {loads} {uses} drop
                  {loads} (drop (call $f (local.get 1) (local.get 0))) {uses} drop (i64.sub (local.get 0) (local.get 1))))"#
            );
            let pre = pre(&engine, &text);
            let recursion = pre.export::<(u64, u64), u64>("f").unwrap();
            for _ in 0..3 {
                traps(pre.call((), &recursion, (1, 2)), TrapCode::StackOverflow);
            }
            let once = text.replace("(drop (call $f (local.get 1) (local.get 0)))", "");
            let pre = kit::pre(
                &kit::engine(|c| {
                    kit::mode(name).set(c.max_wasm_stack(4 << 20));
                }),
                once,
            );
            let once = pre.export::<(u64, u64), u64>("f").unwrap();
            let run = move || pre.call((), &once, (9, 4)).unwrap();
            let result = std::thread::Builder::new().stack_size(8 << 20).spawn(run).unwrap().join().unwrap();
            assert_eq!(result, 5, "{values} values");
        }
    }
}

#[test]
fn traps_say_what_the_specification_says() {
    let pre = pre(&paranoid(), TRAPS);
    let error = pre.call((), &pre.export::<(), ()>("unreachable").unwrap(), ()).unwrap_err();
    assert_eq!(error.to_string(), "wasm trap: unreachable");
    assert_eq!(error.message(), "unreachable");
    let error = pre.call((), &pre.export::<(), ()>("load").unwrap(), ()).unwrap_err();
    assert_eq!(error.message(), "out of bounds memory access");
}

/// host → wasm → host → wasm: the host function in the middle calls the guest again and answers with the trap's number.
fn nested(engine: &Engine, pass_on: bool) -> InstancePre<()> {
    let mut linker = Linker::<()>::new(engine);
    linker
        .func_wrap("h", "call", move |mut caller: Caller<'_, ()>, name: u32| -> Result<u32> {
            let name = expected()[name as usize].0;
            let function = caller.func(name).expect("an export");
            let params = function.ty(&caller)?.params().len();
            let result = function.call(&mut caller, &[Val::I32(0)][..params], &mut []);
            match result {
                Ok(()) => Ok(0),
                Err(error) if pass_on => Err(error),
                Err(error) => Ok(error.trap_code().expect("a trap").code()),
            }
        })
        .unwrap();
    let imports = r#"(module (import "h" "call" (func $h (param i32) (result i32)))"#;
    let text = TRAPS.replacen("(module", imports, 1);
    let end = text.rfind(')').unwrap();
    let outer = r#"(func (export "outer") (param i32) (result i32)
        (i32.store (i32.const 100) (i32.const 7))
        (i32.add (call $h (local.get 0)) (i32.mul (i32.load (i32.const 100)) (i32.const 1000)))))"#;
    linker.instantiate_pre(&module(engine, format!("{}{outer}", &text[..end]))).unwrap()
}

#[test]
fn a_trap_in_the_inner_of_two_nested_calls_ends_at_the_host_function_between_them() {
    let pre = nested(&paranoid(), false);
    let outer = pre.export::<u32, u32>("outer").unwrap();
    let mut instance = pre.fresh(()).unwrap();
    for (i, (name, code)) in expected().into_iter().enumerate() {
        assert_eq!(instance.call(&outer, i as u32).unwrap(), 7000 + code.code(), "{name}");
        assert_eq!(pre.call((), &outer, i as u32).unwrap(), 7000 + code.code(), "{name}");
    }
}

#[test]
fn a_trap_that_the_host_function_passes_on_traps_the_outer_call_too() {
    let pre = nested(&paranoid(), true);
    let outer = pre.export::<u32, u32>("outer").unwrap();
    let fine = pre.export::<(), i32>("fine").unwrap();
    let mut instance = pre.fresh(()).unwrap();
    for (i, (_, code)) in expected().into_iter().enumerate() {
        traps(instance.call(&outer, i as u32), code);
        assert_eq!(instance.call(&fine, ()).unwrap(), i as i32 + 1);
    }
}

#[test]
fn a_host_function_can_trap_with_any_code() {
    let engine = paranoid();
    let mut linker = Linker::<()>::new(&engine);
    linker
        .func_wrap("h", "trap", |code: u32| -> Result<()> {
            Err(instar::Error::trap(TrapCode::from_code(code).expect("a trap code")))
        })
        .unwrap();
    let text =
        r#"(module (import "h" "trap" (func $t (param i32))) (func (export "f") (param i32) (call $t (local.get 0))))"#;
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    let f = pre.export::<u32, ()>("f").unwrap();
    for &code in TrapCode::ALL {
        traps(pre.call((), &f, code.code()), code);
    }
}

#[test]
fn a_trap_in_start_is_the_error_of_the_instantiation() {
    let engine = kit::engine(|config| {
        config.max_instances(3);
    });
    let failing = pre(
        &engine,
        "(module (memory 1) (func $s (i32.store (i32.const 65533) (i32.const 1))) (start $s) (func (export \"f\")))",
    );
    let f = failing.export::<(), ()>("f").unwrap();
    for _ in 0..10 {
        traps(failing.fresh(()).map(drop), TrapCode::MemoryOutOfBounds);
        traps(failing.call((), &f, ()), TrapCode::MemoryOutOfBounds);
        traps(failing.shared(()).map(drop), TrapCode::MemoryOutOfBounds);
        let mut store = Store::new(&engine, ());
        traps(failing.instantiate(&mut store).map(drop), TrapCode::MemoryOutOfBounds);
    }
    assert_eq!(engine.live_instances(), 0);
}

#[test]
fn an_instance_that_failed_to_start_stays_reachable_for_those_it_gave_functions_to() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let holder = pre(&engine, "(module (table (export \"t\") 2 funcref))").instantiate(&mut store).unwrap();
    let mut linker = Linker::new(&engine);
    linker.instance(&mut store, "m", holder).unwrap();
    let failing = module(
        &engine,
        r#"(module (import "m" "t" (table 2 funcref)) (elem (i32.const 0) func $f) (global $g (mut i32) (i32.const 41))
          (func $f (result i32) (global.set $g (i32.add (global.get $g) (i32.const 1))) (global.get $g))
          (func $s unreachable) (start $s))"#,
    );
    traps(linker.instantiate(&mut store, &failing).map(drop), TrapCode::Unreachable);
    let Some(Val::FuncRef(Some(f))) = holder.table(&mut store, "t").unwrap().get(&store, 0).unwrap() else {
        panic!("the segment was applied before start trapped")
    };
    let mut results = [Val::I32(0)];
    f.call(&mut store, &[], &mut results).unwrap();
    assert!(matches!(results, [Val::I32(42)]));
}

#[test]
fn a_trap_in_a_function_with_many_frames_and_values_on_the_stack_is_clean() {
    let engine = paranoid();
    let locals = "i64 ".repeat(200);
    let sets: String = (0..200).map(|i| format!("(local.set {} (i64.const {i}))", i + 1)).collect();
    let sums: String = (0..200).map(|i| format!("(i64.add (local.get {}))", i + 1)).collect();
    let pre = pre(
        &engine,
        format!(
            r#"(module (func $f (export "f") (param i32) (result i64) (local {locals}) {sets}
              (if (i32.eqz (local.get 0)) (then unreachable))
              (drop (call $f (i32.sub (local.get 0) (i32.const 1))))
              (i64.const 0) {sums}))"#
        ),
    );
    let f = pre.export::<u32, i64>("f").unwrap();
    let mut instance = pre.fresh(()).unwrap();
    for depth in [0, 1, 10, 100] {
        traps(instance.call(&f, depth), TrapCode::Unreachable);
    }
    traps(instance.call(&f, u32::MAX), TrapCode::StackOverflow);
}

#[test]
fn wrong_values_are_type_errors_before_anything_runs() {
    let engine = paranoid();
    let pre = pre(
        &engine,
        r#"(module (global $n (export "n") (mut i32) (i32.const 0))
          (func (export "f") (param i32 f64) (result i64) (global.set $n (i32.const 1)) (i64.const 1))
          (func (export "r") (param externref)))"#,
    );
    let mut store = Store::new(&engine, ());
    let instance = pre.instantiate(&mut store).unwrap();
    let f = instance.func(&mut store, "f").unwrap();
    let mut out = [Val::I64(0)];
    for parameters in [&[][..], &[Val::I32(1)], &[Val::F64(0), Val::I32(1)], &[Val::I32(1), Val::F64(1), Val::I32(1)]] {
        fails(f.call(&mut store, parameters, &mut out), ErrorKind::Type);
    }
    fails(f.call(&mut store, &[Val::I32(1), Val::F64(1)], &mut []), ErrorKind::Type);
    fails(f.typed::<i32, i64>(&store), ErrorKind::Type);
    let error = fails(f.typed::<(i32, f32), i64>(&store), ErrorKind::Type);
    assert!(error.message().contains("(i32, f64) -> (i64)"), "{error}");
    assert!(error.message().contains("(i32, f32) -> (i64)"), "{error}");
    assert!(matches!(instance.global(&mut store, "n").unwrap().get(&store).unwrap(), Val::I32(0)));

    fails(f.call_raw(&mut store, &mut [0]), ErrorKind::Type);
    let r = instance.func(&mut store, "r").unwrap();
    fails(r.call_raw(&mut store, &mut [0]), ErrorKind::Type);
    let mut slots = [1, 2, 99];
    f.call_raw(&mut store, &mut slots).unwrap();
    assert_eq!(slots, [1, 2, 99], "the result, and what no parameter or result needs");

    let mut owned = pre.fresh(()).unwrap();
    fails(owned.call_raw(&pre.func("f").unwrap(), &mut [0]), ErrorKind::Type);
    fails(owned.call_raw(&pre.func("r").unwrap(), &mut [0]), ErrorKind::Type);
    fails(pre.export::<(), ()>("n"), ErrorKind::MissingExport);
}
