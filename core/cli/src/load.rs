//! From an [`Input`] to a [`Module`].

use instar::{Engine, ErrorKind, Module};

use crate::artifact;
use crate::failure::{Failure, Result};
use crate::input::{Format, Input};
use crate::progress::Progress;

/// Compiles the input, or loads it if it is compiled already.
pub fn module(engine: &Engine, input: &Input) -> Result<Module> {
    match input.format() {
        Format::Wasm | Format::Text => compile(engine, input),
        Format::Artifact => artifact::load(engine, input),
    }
}

/// Compiles the input.
pub fn compile(engine: &Engine, input: &Input) -> Result<Module> {
    let wasm = input.wasm()?;
    let _progress = Progress::start(format!("compiling {}", input.shown()));
    Module::new(engine, &wasm).map_err(|e| explain(e, input))
}

/// The failure of a module that cannot be compiled or loaded.
pub fn explain(error: instar::Error, input: &Input) -> Failure {
    let hint = match error.kind() {
        ErrorKind::InvalidModule => Some("the file is damaged, or the tool that wrote it is wrong"),
        ErrorKind::Unsupported => {
            Some("build the module without this feature, or switch the feature on with -W (see `instar help run`)")
        }
        ErrorKind::Limit => Some("split the function or the module"),
        _ => None,
    };
    let failure = Failure::from(error).in_file(input.shown());
    match hint {
        Some(hint) => failure.or_hint(hint),
        None => failure,
    }
}
