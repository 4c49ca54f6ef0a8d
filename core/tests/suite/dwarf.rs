//! Backtraces of guests that clang built: `tests/guests/backtrace/guest.c`. `scripts/test.sh dwarf` builds and runs them, or
//! says that there is no clang.

use std::time::{Duration, Instant};

use instar::{Engine, Error, FrameInfo, Linker, Module, Result};

use crate::kit::{Random, paranoid};

fn guest(version: u32) -> Vec<u8> {
    let path = format!("{}/../target/guests/backtrace-dwarf{version}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}: run tests/guests/build.sh"))
}

fn run(engine: &Engine, wasm: &[u8], export: &str) -> Result<Error> {
    let mut linker = Linker::<()>::new(engine);
    linker.func_wrap("host", "fail", || -> Result<()> { Err(Error::host("no")) })?;
    let pre = linker.instantiate_pre(&Module::new(engine, wasm)?)?;
    let mut instance = pre.fresh(())?;
    Ok(instance.call_raw(&pre.func(export)?, &mut [5]).unwrap_err())
}

/// Each frame's function, with its symbols as `function line`.
fn symbols(frames: &[FrameInfo]) -> Vec<(Option<&str>, Vec<String>)> {
    let frame = |frame: &'_ FrameInfo| {
        let symbol = |s: &instar::FrameSymbol| {
            assert!(s.file().unwrap().ends_with("tests/guests/backtrace/guest.c"), "{s:?}");
            assert!(s.file().unwrap().starts_with('/') && s.column().is_some(), "{s:?}");
            format!("{} {}", s.name().unwrap(), s.line().unwrap())
        };
        frame.symbols().iter().map(symbol).collect()
    };
    frames.iter().map(|f| (f.func_name(), frame(f))).collect()
}

#[test]
#[ignore = "needs clang"]
fn frames_name_files_lines_and_inlined_functions() {
    let engine = paranoid();
    for version in [4, 5] {
        let wasm = guest(version);
        let error = run(&engine, &wasm, "trap_inlined").unwrap();
        let frames = symbols(error.wasm_backtrace().unwrap().frames());
        let expected = [
            (Some("middle"), vec!["divide 9".to_string(), "middle 14".to_string()]),
            (Some("trap_inlined"), vec!["trap_inlined 20".to_string()]),
        ];
        assert_eq!(frames, expected, "DWARF {version}");
        let debug = format!("{error:?}");
        assert!(debug.contains("tests/guests/backtrace/guest.c:9:21 (divide)\n"), "{debug}");

        let error = run(&engine, &wasm, "call_host").unwrap();
        let frames = symbols(error.wasm_backtrace().unwrap().frames());
        assert_eq!(frames, [(Some("call_host"), vec!["call_host 24".to_string()])], "DWARF {version}");

        // From an artifact it is the same.
        let module = Module::new(&engine, &wasm).unwrap();
        // SAFETY: made just now.
        let module = unsafe { Module::deserialize(&engine, module.serialize().unwrap()) }.unwrap();
        let mut linker = Linker::<()>::new(&engine);
        linker.func_wrap("host", "fail", || -> Result<()> { Err(Error::host("no")) }).unwrap();
        let pre = linker.instantiate_pre(&module).unwrap();
        let again = pre.call((), &pre.export::<(), i32>("call_host").unwrap(), ()).unwrap_err();
        assert_eq!(format!("{again:?}"), format!("{error:?}"));
    }
}

/// Where the contents of the `.debug_` sections of a module lie.
fn debug_sections(wasm: &[u8]) -> Vec<std::ops::Range<usize>> {
    let leb = |at: &mut usize| {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = wasm[*at];
            *at += 1;
            value |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    };
    let (mut at, mut found) = (8, Vec::new());
    while at < wasm.len() {
        let custom = wasm[at] == 0;
        at += 1;
        let len = leb(&mut at);
        let end = at + len;
        if custom {
            let name_len = leb(&mut at);
            if wasm[at..at + name_len].starts_with(b".debug_") {
                found.push(at + name_len..end);
            }
        }
        at = end;
    }
    found
}

#[test]
#[ignore = "needs clang"]
fn damaged_dwarf_of_clang_is_no_danger() {
    let engine = Engine::default();
    let mut random = Random::new(7);
    for version in [4, 5] {
        let wasm = guest(version);
        let sections = debug_sections(&wasm);
        assert!(sections.len() >= 4, "{sections:?}");
        for _ in 0..300 {
            let mut damaged = wasm.clone();
            for _ in 0..=random.below(4) {
                let section = &sections[random.below(sections.len() as u64) as usize];
                let at = section.start + random.below(section.len() as u64) as usize;
                damaged[at] = random.next() as u8;
            }
            let error = run(&engine, &damaged, "trap_inlined").unwrap();
            let start = Instant::now();
            assert!(format!("{error:?}").contains("middle"));
            assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        }
    }
}
