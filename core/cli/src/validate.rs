//! `instar validate`: whether files hold modules that this engine takes.

use std::io::Write;
use std::path::Path;

use instar::{Engine, Module};

use crate::args::ValidateArgs;
use crate::failure::{ERROR, Failure, Result};
use crate::input::Input;
use crate::load;
use crate::output::{self, Output};

/// Checks all files, and says of each what it is.
pub fn validate(args: &ValidateArgs) -> Result<u8> {
    let engine = args.engine.engine()?;
    let mut code = 0;
    for file in &args.files {
        match check(&engine, file) {
            Ok(name) => {
                let mut out = Output::new();
                writeln!(out, "{name}: valid")?;
                out.finish()?;
            }
            Err(failure @ Failure::Error { .. }) => {
                output::report(&failure);
                code = ERROR;
            }
            Err(other) => return Err(other),
        }
    }
    Ok(code)
}

fn check(engine: &Engine, file: &Path) -> Result<String> {
    let input = Input::read(file)?;
    Module::validate(engine, input.wasm()?).map_err(|e| load::explain(e, &input))?;
    Ok(input.shown())
}
