//! Compiled modules (`.cwasm`): loading them, and making them for `instar compile`.

use std::fs::File;
use std::path::{Path, PathBuf};

use instar::{Engine, Module};

use crate::args::CompileArgs;
use crate::failure::{Failure, Result, reason};
use crate::input::{Format, Input};
use crate::load;
use crate::progress::Progress;
use crate::save;

/// The file name extension of compiled modules.
pub const EXTENSION: &str = "cwasm";

/// Loads a compiled module, without looking at all of it.
pub fn load(engine: &Engine, input: &Input) -> Result<Module> {
    let loaded = match input.piped() {
        // SAFETY: whoever starts the program with this file vouches for it, see `check_trust`.
        Some(bytes) => unsafe { Module::deserialize(engine, bytes) },
        None => {
            let file = File::open(input.path())
                .map_err(|e| Failure::new(format_args!("cannot read {}: {}", input.shown(), reason(&e))))?;
            // SAFETY: as above; a file that changes meanwhile is the user's to avoid, as for native programs.
            unsafe { Module::deserialize_open_file(engine, file) }
        }
    };
    loaded.map_err(|e| explain(e, input))
}

/// Loads a compiled module and compares the checksum of all its bytes.
pub fn verify(engine: &Engine, input: &Input) -> Result<Module> {
    if input.format() != Format::Artifact {
        return Err(Failure::new("is not compiled: --verify is for .cwasm files")
            .or_hint("check other modules with `instar validate`")
            .in_file(input.shown()));
    }
    let read;
    let bytes = match input.piped() {
        Some(bytes) => bytes,
        None => {
            read = std::fs::read(input.path()).map_err(|e| Failure::new(reason(&e)).in_file(input.shown()))?;
            &read
        }
    };
    // SAFETY: nothing in the module is run; what is read from its tables is checked.
    unsafe { Module::deserialize(engine, bytes) }.map_err(|e| explain(e, input))
}

fn explain(error: instar::Error, input: &Input) -> Failure {
    let hint = match error.message() {
        m if m.contains("made with") => {
            "give the same -W and -O as to `instar compile`, or compile the module again with this version"
        }
        m if m.contains("made for processors") => "compile the module again on a processor like this one",
        _ => "compile the module again",
    };
    Failure::from(error).in_file(input.shown()).or_hint(hint)
}

/// Refuses to run a compiled module that does not say so by its name: it holds machine code, which no sandbox confines.
pub fn check_trust(input: &Input, allowed: bool) -> Result<()> {
    let named = input.path().extension().is_some_and(|e| e == EXTENSION);
    if input.format() == Format::Artifact && !named && !allowed {
        return Err(Failure::new("holds machine code but is not named .cwasm")
            .or_hint("if you trust whoever compiled it, pass --allow-precompiled")
            .in_file(input.shown()));
    }
    Ok(())
}

/// Compiles a file.
pub fn compile(args: &CompileArgs) -> Result<u8> {
    let input = Input::read(&args.file)?;
    let wasm = input.wasm()?;
    let out = output(&args.file, args.output.as_deref())?;
    let engine = args.engine.engine()?;
    let compiled = {
        let _progress = Progress::start(format!("compiling {}", input.shown()));
        engine.precompile_module(&wasm).map_err(|e| load::explain(e, &input))?
    };
    save::replace(&out, &compiled)?;
    Ok(0)
}

fn output(file: &Path, output: Option<&Path>) -> Result<PathBuf> {
    let out = match output {
        Some(out) => out.to_path_buf(),
        None if file.as_os_str() == "-" => {
            return Err(Failure::new("the standard input has no name to derive the output's from")
                .or_hint("name the output with -o OUT.cwasm"));
        }
        None => file.with_extension(EXTENSION),
    };
    let same = matches!((out.canonicalize(), file.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same {
        return Err(Failure::new("input and output are the same file").or_hint("name another file with -o"));
    }
    Ok(out)
}
