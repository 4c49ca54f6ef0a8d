//! Where a guest was: names, offsets, nesting, and that a backtrace may live longer than everything it tells of.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use instar::{
    Caller, Config, Engine, Error, ErrorKind, Linker, Memory, MemoryType, Module, Result, Store, StoreLimitsBuilder,
    TrapCode, WasmBacktrace,
};

use crate::kit::{MODES, fails, module, paranoid, pre};

#[track_caller]
fn trace(error: &Error) -> &WasmBacktrace {
    error.wasm_backtrace().unwrap_or_else(|| panic!("no backtrace: {error}"))
}

/// The frames as `module!function`, innermost first.
#[track_caller]
fn names(error: &Error) -> Vec<String> {
    let name = |f: &instar::FrameInfo| format!("{}!{}", f.module_name().unwrap_or("?"), f.func_name().unwrap_or("?"));
    trace(error).frames().iter().map(name).collect()
}

const TRAPS: &str = r#"(module $m (memory 1) (table 4 funcref) (elem (i32.const 0) func $one) (type $none (func))
  (func $one (param i32))
  (func $unreachable (export "unreachable") unreachable)
  (func $load (export "load") (drop (i32.load (i32.const 65533))))
  (func $store (export "store") (i64.store (i32.const -1) (i64.const 1)))
  (func $divide (export "divide") (param i32) (drop (i32.div_s (i32.const 1) (local.get 0))))
  (func $convert (export "convert") (param i32)
    (drop (i32.trunc_f32_s (f32.div (f32.convert_i32_s (local.get 0)) (f32.const 0)))))
  (func $fill (export "fill") (memory.fill (i32.const 65536) (i32.const 0) (i32.const 1)))
  (func $null (export "null") (nop) (call_indirect (type $none) (i32.const 2)))
  (func $type (export "type") (nop) (call_indirect (type $none) (i32.const 0)))
  (func $outside (export "outside") (nop) (call_indirect (type $none) (i32.const 9)))
  (func $table (export "table") (drop (table.get 0 (i32.const 4))))
  (func $middle (param i32) (drop (i32.const 7)) (call $divide (local.get 0)) (drop (i32.const 8)))
  (func $outer (export "outer") (param i32) (call $middle (local.get 0)) (nop)))"#;

#[test]
fn each_frame_says_which_instruction_of_which_function_it_was_at() {
    let wasm = wat::parse_str(TRAPS).unwrap();
    for mode in MODES {
        let engine = mode.engine();
        let pre = Linker::<()>::new(&engine).instantiate_pre(&Module::new(&engine, &wasm).unwrap()).unwrap();
        // The opcode at each frame's offset.
        for (name, index, opcode) in [
            ("unreachable", 1, 0x00),
            ("load", 2, 0x28),
            ("store", 3, 0x37),
            ("divide", 4, 0x6d),
            ("convert", 5, 0xa8),
            ("fill", 6, 0xfc),
            ("null", 7, 0x11),
            ("type", 8, 0x11),
            ("outside", 9, 0x11),
            ("table", 10, 0x25),
        ] {
            let mut instance = pre.fresh(()).unwrap();
            let func = pre.func(name).unwrap();
            let error = instance.call_raw(&func, &mut [0]).unwrap_err();
            let frames = trace(&error).frames();
            assert_eq!(frames.len(), 1, "{name} ({}): {error:?}", mode.name);
            assert_eq!((frames[0].func_index(), frames[0].func_name()), (index, Some(name)), "{}", mode.name);
            let at = frames[0].module_offset().unwrap();
            assert_eq!(wasm[at], opcode, "{name} at {at:#x} ({})", mode.name);
        }
        let error = pre.call((), &pre.export::<i32, ()>("outer").unwrap(), 0).unwrap_err();
        assert_eq!(names(&error), ["m!divide", "m!middle", "m!outer"], "{}", mode.name);
        let opcodes: Vec<_> = trace(&error).frames().iter().map(|f| wasm[f.module_offset().unwrap()]).collect();
        assert_eq!(opcodes, [0x6d, 0x10, 0x10], "{}", mode.name);
        assert_eq!(trace(&error).omitted(), 0);
    }
}

#[test]
fn the_message_is_one_line_and_debug_output_has_the_frames_below_it() {
    let pre = pre(&paranoid(), "(module $m (func $f unreachable) (func (export \"g\") call $f))");
    let error = pre.call((), &pre.export::<(), ()>("g").unwrap(), ()).unwrap_err();
    assert_eq!(error.to_string(), "wasm trap: unreachable");
    let debug = format!("{error:?}");
    let lines: Vec<_> = debug.lines().collect();
    assert_eq!(lines[0], "Trap: wasm trap: unreachable");
    assert_eq!(lines[1], "wasm backtrace:");
    let offsets: Vec<_> = trace(&error).frames().iter().map(|f| f.module_offset().unwrap()).collect();
    assert_eq!(lines[2], format!("    0: {:#6x} - m!f", offsets[0]));
    assert_eq!(lines[3], format!("    1: {:#6x} - m!<wasm function 1>", offsets[1]));
    assert_eq!(lines.len(), 4);
}

#[test]
fn names_cannot_forge_lines_or_move_the_cursor() {
    let text = "(module $m (@custom \"name\" \"\\01\\0a\\01\\00\\07a\\0ab\\1b[2J\") (func (export \"f\") unreachable))";
    let pre = pre(&paranoid(), text);
    let error = pre.call((), &pre.export::<(), ()>("f").unwrap(), ()).unwrap_err();
    assert_eq!(trace(&error).frames()[0].func_name(), Some("a\nb\u{1b}[2J"));
    let shown = trace(&error).to_string();
    assert!(shown.contains("a\\nb\\u{1b}[2J"), "{shown}");
    assert_eq!(shown.lines().count(), 2);
}

#[test]
fn a_stack_overflow_shows_the_innermost_frames_and_counts_the_others() {
    for mode in MODES {
        let text = r#"(module $m (memory 1) (func $down (param i64 i64 i64)
              (i64.store (i32.const 8) (local.get 0)) (call $down (local.get 1) (local.get 2) (local.get 0))
            (call $nothing)) (func $nothing)
          (func $start (export "start") (call $down (i64.const 0) (i64.const 0) (i64.const 0))))"#;
        let wasm = wat::parse_str(text).unwrap();
        let engine = mode.engine();
        let pre = Linker::<()>::new(&engine).instantiate_pre(&Module::new(&engine, &wasm).unwrap()).unwrap();
        let error = pre.call((), &pre.export::<(), ()>("start").unwrap(), ()).unwrap_err();
        assert_eq!(error.trap_code(), Some(TrapCode::StackOverflow), "{}", mode.name);
        let trace = trace(&error);
        assert_eq!(trace.frames().len(), 64);
        assert!(trace.omitted() > 1000, "{}", trace.omitted());
        assert!(trace.frames().iter().all(|f| f.func_name() == Some("down")), "{trace}");
        // The innermost function has not begun: its first instruction. The others wait for their call.
        let opcodes: Vec<_> = trace.frames().iter().map(|f| wasm[f.module_offset().unwrap()]).collect();
        assert_eq!(opcodes[0], 0x37, "{}", mode.name);
        assert!(opcodes[1..].iter().all(|&o| o == 0x10), "{opcodes:x?}");
        let shown = trace.to_string();
        assert!(shown.ends_with(&format!("… and {} more frames", trace.omitted())), "{shown}");
    }
}

const CALLER: &str = r#"(module $guest (import "h" "f" (func $f (param i32) (result i32)))
  (import "h" "wide" (func $wide (param i32) (result i32 i32)))
  (func $inner (param i32) (result i32) (call $f (local.get 0)))
  (func $call (export "call") (param i32) (result i32) (i32.add (call $inner (local.get 0)) (i32.const 1)))
  (func $both (export "both") (param i32) (result i32) (i32.add (call $wide (local.get 0))))
  (func $trap (export "trap") (param i32) (result i32) unreachable))"#;

fn linker<T: 'static>(
    engine: &Engine,
    f: impl Fn(Caller<'_, T>, i32) -> Result<i32> + Send + Sync + 'static,
) -> Linker<T> {
    let mut linker = Linker::new(engine);
    linker.func_wrap("h", "f", f).unwrap();
    linker.func_wrap("h", "wide", |n: i32| -> Result<(i32, i32)> { Err(Error::host(format!("wide {n}"))) }).unwrap();
    linker
}

#[test]
fn errors_of_host_functions_have_the_frames_of_the_guest_that_called_them() {
    let engine = paranoid();
    let linker = linker::<()>(&engine, |_, n| match n {
        0 => Err(Error::host("refused")),
        _ => Err(Error::trap(TrapCode::IntegerOverflow)),
    });
    let pre = linker.instantiate_pre(&module(&engine, CALLER)).unwrap();
    let call = pre.export::<i32, i32>("call").unwrap();
    // Host functions that take registers, and such that take slots: no trampoline is shown.
    let error = fails(pre.call((), &call, 0), ErrorKind::Host);
    assert_eq!(error.message(), "refused");
    assert_eq!(names(&error), ["guest!inner", "guest!call"]);
    let error = fails(pre.call((), &call, 1), ErrorKind::Trap);
    assert_eq!(names(&error), ["guest!inner", "guest!call"]);
    let error = fails(pre.call((), &pre.export::<i32, i32>("both").unwrap(), 1), ErrorKind::Host);
    assert_eq!(names(&error), ["guest!both"]);
}

#[test]
fn an_error_collects_the_frames_of_all_activations_that_it_passes() {
    let engine = paranoid();
    let linker = linker::<u32>(&engine, |mut caller: Caller<'_, u32>, depth| {
        let name = if depth == 0 { "trap" } else { "call" };
        let func = caller.func(name).unwrap().typed::<i32, i32>(&caller)?;
        match func.call(&mut caller, depth - 1) {
            Err(error) if depth as u32 == *caller.data() => {
                // What has been caught goes no further, and a look at it does not matter.
                assert_eq!(names(&error).len() as u32, 1 + 2 * *caller.data(), "{error:?}");
                Err(Error::host("another"))
            }
            other => other,
        }
    });
    let pre = linker.instantiate_pre(&module(&engine, CALLER)).unwrap();
    let call = pre.export::<i32, i32>("call").unwrap();
    let error = pre.call(1000, &call, 2).unwrap_err();
    assert_eq!(error.trap_code(), Some(TrapCode::Unreachable));
    let all = ["trap", "inner", "call", "inner", "call", "inner", "call"].map(|f| format!("guest!{f}"));
    assert_eq!(names(&error), all);
    let error = pre.call(2, &call, 4).unwrap_err();
    assert_eq!(error.message(), "another");
    assert_eq!(names(&error), ["inner", "call", "inner", "call", "inner", "call"].map(|f| format!("guest!{f}")));

    // Never more than 256 frames, however deep the nesting.
    let error = pre.call(1000, &call, 199).unwrap_err();
    assert_eq!((names(&error).len(), trace(&error).omitted()), (256, 401 - 256));
    assert_eq!(names(&error)[0], "guest!trap");
}

#[test]
fn an_error_that_was_looked_at_inside_still_gets_the_outer_frames() {
    let engine = paranoid();
    let linker = linker::<()>(&engine, |mut caller, _| {
        let func = caller.func("trap").unwrap().typed::<i32, i32>(&caller)?;
        let error = func.call(&mut caller, 0).unwrap_err();
        assert_eq!(names(&error), ["guest!trap"]);
        let copy = trace(&error).clone();
        assert_eq!(copy.frames().len(), 1);
        Err(error)
    });
    let pre = linker.instantiate_pre(&module(&engine, CALLER)).unwrap();
    let error = pre.call((), &pre.export::<i32, i32>("call").unwrap(), 0).unwrap_err();
    assert_eq!(names(&error), ["guest!trap", "guest!inner", "guest!call"]);
}

#[test]
fn functions_that_left_by_a_tail_call_are_gone() {
    let engine = paranoid();
    let text = r#"(module $m (func $c (param i32) unreachable) (func $b (param i32) (return_call $c (local.get 0)))
      (func $a (param i32) (call $b (local.get 0)) (nop)) (func $start (export "start") (call $a (i32.const 1)) (nop)))"#;
    let pre = pre(&engine, text);
    let error = pre.call((), &pre.export::<(), ()>("start").unwrap(), ()).unwrap_err();
    assert_eq!(names(&error), ["m!c", "m!a", "m!start"]);
}

#[test]
fn frames_of_several_modules_name_theirs_and_outlive_all_of_it() {
    let error = {
        let engine = paranoid();
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        let inner = module(&engine, r#"(module $inner (func $fail (export "fail") unreachable))"#);
        let inner = linker.instantiate(&mut store, &inner).unwrap();
        linker.instance(&mut store, "inner", inner).unwrap();
        let outer =
            r#"(module $outer (import "inner" "fail" (func $f)) (func $g (call $f)) (func $h (export "h") (call $g)))"#;
        let outer = linker.instantiate(&mut store, &module(&engine, outer)).unwrap();
        outer.typed_func::<(), ()>(&mut store, "h").unwrap().call(&mut store, ()).unwrap_err()
    };
    // Other code may lie where theirs would have been.
    let _others: Vec<_> = (0..8).map(|_| pre(&paranoid(), "(module (func (export \"f\") unreachable))")).collect();
    assert_eq!(names(&error), ["inner!fail", "outer!g", "outer!h"]);
    assert_eq!(trace(&error).frames().iter().map(|f| f.func_index()).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn errors_take_their_backtrace_to_other_threads() {
    let errors: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(|| {
                let pre = pre(&paranoid(), TRAPS);
                let outer = pre.export::<i32, ()>("outer").unwrap();
                (0..20).map(|_| pre.call((), &outer, 0).unwrap_err()).collect::<Vec<_>>()
            })
        })
        .flat_map(|thread| thread.join().unwrap())
        .collect();
    assert_eq!(errors.len(), 80);
    assert!(errors.iter().all(|e| names(e) == ["m!divide", "m!middle", "m!outer"]));
}

#[test]
fn an_artifact_keeps_names_and_offsets() {
    let engine = paranoid();
    let error = |module: &Module| {
        let pre = Linker::<()>::new(&engine).instantiate_pre(module).unwrap();
        pre.call((), &pre.export::<i32, ()>("outer").unwrap(), 0).unwrap_err()
    };
    let compiled = module(&engine, TRAPS);
    // SAFETY: made just now.
    let loaded = unsafe { Module::deserialize(&engine, compiled.serialize().unwrap()) }.unwrap();
    assert_eq!(format!("{:?}", error(&loaded)), format!("{:?}", error(&compiled)));
    assert_eq!(names(&error(&loaded)), ["m!divide", "m!middle", "m!outer"]);
}

#[test]
fn the_start_function_and_owned_instances_have_backtraces_too() {
    let engine = paranoid();
    let bad = pre(&engine, "(module $m (func $init unreachable) (start $init))");
    assert_eq!(names(&bad.fresh(()).map(drop).unwrap_err()), ["m!init"]);
    assert_eq!(names(&bad.instantiate(&mut Store::new(&engine, ())).map(drop).unwrap_err()), ["m!init"]);
    let pre = pre(&engine, TRAPS);
    let mut instance = pre.fresh(()).unwrap();
    let outer = pre.export::<i32, ()>("outer").unwrap();
    for _ in 0..3 {
        assert_eq!(names(&instance.call(&outer, 0).unwrap_err()), ["m!divide", "m!middle", "m!outer"]);
        instance.call(&outer, 1).unwrap();
    }
}

#[test]
fn without_wasm_on_the_way_there_is_no_backtrace() {
    let engine = paranoid();
    let mut store =
        Store::new(&engine, StoreLimitsBuilder::new().memory_size(1 << 16).trap_on_grow_failure(true).build());
    store.limiter(|limits| limits);
    let trap = pre_of(&engine, "(module $m (func $f (export \"f\") unreachable))").instantiate(&mut store).unwrap();
    trap.typed_func::<(), ()>(&mut store, "f").unwrap().call(&mut store, ()).unwrap_err();
    // Errors of the host's own calls.
    let memory = Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
    let error = memory.grow(&mut store, 1).unwrap_err();
    assert!(error.wasm_backtrace().is_none(), "{error:?}");
    assert!(
        fails(Module::new(&engine, "(module (func (result i32)))"), ErrorKind::InvalidModule)
            .wasm_backtrace()
            .is_none()
    );
    // The same limiter, asked by a guest.
    let text = "(module $m (memory 0) (func $grow (export \"grow\") (drop (memory.grow (i32.const 2)))))";
    let grower = pre_of(&engine, text).instantiate(&mut store).unwrap();
    let error = grower.typed_func::<(), ()>(&mut store, "grow").unwrap().call(&mut store, ()).unwrap_err();
    assert_eq!((error.kind(), names(&error)), (ErrorKind::Limit, vec!["m!grow".to_string()]));
    // A host function that the host calls through wasm's conventions.
    let host = instar::Func::wrap(&mut store, || -> Result<()> { Err(Error::host("no")) }).unwrap();
    let error = host.call(&mut store, &[], &mut []).unwrap_err();
    assert!(error.wasm_backtrace().is_none(), "{error:?}");
}

fn pre_of<T: 'static>(engine: &Engine, text: &str) -> instar::InstancePre<T> {
    Linker::new(engine).instantiate_pre(&module(engine, text)).unwrap()
}

#[test]
fn a_panic_leaves_no_frames_for_the_next_error() {
    let engine = paranoid();
    let linker = linker::<()>(&engine, |_, _| resume_unwind(Box::new(5)));
    let pre = linker.instantiate_pre(&module(&engine, CALLER)).unwrap();
    let (call, trap) = (pre.export::<i32, i32>("call").unwrap(), pre.export::<i32, i32>("trap").unwrap());
    for _ in 0..3 {
        let caught = catch_unwind(AssertUnwindSafe(|| pre.call((), &call, 0)));
        assert_eq!(*caught.unwrap_err().downcast::<i32>().unwrap(), 5);
        assert_eq!(names(&pre.call((), &trap, 0).unwrap_err()), ["guest!trap"]);
    }
}

#[test]
fn backtraces_and_the_address_map_can_be_switched_off() {
    let run = |config: &mut Config| {
        let pre = pre(&Engine::new(config).unwrap(), TRAPS);
        pre.call((), &pre.export::<i32, ()>("outer").unwrap(), 0).unwrap_err()
    };
    let error = run(Config::new().wasm_backtrace(false));
    assert!(error.wasm_backtrace().is_none());
    assert_eq!(format!("{error:?}"), format!("Trap: {error}"));
    let error = run(Config::new().generate_address_map(false));
    assert_eq!(names(&error), ["m!divide", "m!middle", "m!outer"]);
    assert!(trace(&error).frames().iter().all(|f| f.module_offset().is_none() && f.symbols().is_empty()));
    assert!(trace(&error).to_string().contains("0: m!divide"), "{error:?}");
}

#[test]
fn a_check_in_front_of_a_function_does_not_move_its_places() {
    // Without signals, a function with a large frame has its stack check in front.
    let results = "v128 ".repeat(900);
    let text = format!(
        r#"(module (func $many (result {results}) {})
          (func (export "f") (param i32) (result i32)
            (call $many) {}
            (i32.div_u (i32.const 7) (i32.sub (local.get 0) (i32.const 1)))))"#,
        "(v128.const i64x2 1 1) ".repeat(900),
        "drop ".repeat(900),
    );
    let places = [true, false].map(|signals| {
        let engine = crate::kit::engine(|config| {
            config.signals_based_traps(signals);
        });
        let pre = crate::kit::pre(&engine, &text);
        let f = pre.export::<u32, u32>("f").unwrap();
        let error = pre.call((), &f, 1).unwrap_err();
        let frames = error.wasm_backtrace().unwrap().frames();
        assert_eq!(frames.len(), 1);
        frames[0].module_offset().unwrap()
    });
    assert_eq!(places[0], places[1]);
}
