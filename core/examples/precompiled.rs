//! Compile here, run there: a precompiled module, and how long it takes to load.
//!
//! ```text
//!   cargo run --example precompiled -- compile module.wasm module.cwasm
//!   cargo run --example precompiled --no-default-features -- run module.cwasm [EXPORT]
//! ```
//!
//! `run` needs no compiler in the program. Functions that the module imports trap.

use std::time::Instant;

use instar::{Engine, Error, ExternType, Linker, Module, Result, Store, TrapCode, Val};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["compile", from, to] => Module::from_file(&Engine::default(), from)?.serialize_to_file(to),
        ["run", file] => run(file, None),
        ["run", file, export] => run(file, Some(export)),
        _ => {
            eprintln!("usage: precompiled compile MODULE ARTIFACT | run ARTIFACT [EXPORT]");
            std::process::exit(2);
        }
    }
}

fn run(file: &str, export: Option<&str>) -> Result<()> {
    let engine = Engine::default();
    let mut best = [u128::MAX; 3];
    let mut results = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        // SAFETY: whoever starts this program vouches for the file.
        let module = unsafe { Module::deserialize_file(&engine, file)? };
        let loaded = start.elapsed();
        let mut linker = Linker::<()>::new(&engine);
        linker.allow_shadowing(true);
        for import in module.imports() {
            if let ExternType::Func(ty) = import.ty {
                linker.func_new(import.module, import.name, ty, |_, _, _| Err(Error::trap(TrapCode::Unreachable)))?;
            }
        }
        let mut store = Store::new(&engine, ());
        let instance = linker.instantiate(&mut store, &module)?;
        let instantiated = start.elapsed();
        if let Some(func) = export.and_then(|name| instance.func(&mut store, name)) {
            results = vec![Val::I32(0); func.ty(&mut store)?.results().len()];
            func.call(&mut store, &[], &mut results)?;
        }
        for (best, time) in best.iter_mut().zip([loaded, instantiated, start.elapsed()]) {
            *best = time.as_nanos().min(*best);
        }
    }
    let [loaded, instantiated, called] = best.map(|ns| ns as f64 / 1e3);
    println!("{results:?}");
    println!("loaded after {loaded:.1} µs, instantiated after {instantiated:.1} µs, called after {called:.1} µs");
    Ok(())
}
