//! `instar wast`: scripts in the format of WebAssembly's official test suite.

use std::io::Write;
use std::path::Path;

use instar_wast::{Outcome, Runner};

use crate::args::WastArgs;
use crate::failure::{ERROR, Failure, Result};
use crate::input;
use crate::output::{self, Output};
use crate::text;

/// Runs all scripts.
pub fn wast(args: &WastArgs) -> Result<u8> {
    let runner = Runner::new(&args.engine.config())?;
    let mut code = 0;
    for file in &args.files {
        match run(&runner, file) {
            Ok(outcome) => {
                print(&outcome, args.verbose)?;
                if !outcome.failures.is_empty() {
                    code = ERROR;
                }
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

fn run(runner: &Runner, file: &Path) -> Result<Outcome> {
    let text = input::read_text(file)?;
    Ok(runner.run_text(&input::shown(file), &text))
}

fn print(outcome: &Outcome, verbose: bool) -> Result<()> {
    let mut out = Output::new();
    let line = |f: &instar_wast::Failure, what: &str| {
        format!("{}:{}: {what}{}", outcome.name, f.line, text::one_line(&f.text))
    };
    for failure in &outcome.failures {
        writeln!(out, "{}", line(failure, ""))?;
    }
    if verbose {
        for skipped in &outcome.skipped {
            writeln!(out, "{}", line(skipped, "not supported: "))?;
        }
    }
    let skipped = match outcome.skipped.len() {
        0 => String::new(),
        n => format!(", {} not supported", text::grouped(n)),
    };
    let (passed, failed) = (text::grouped(outcome.passed), text::grouped(outcome.failures.len()));
    writeln!(out, "{}: {passed} passed, {failed} failed{skipped}", outcome.name)?;
    Ok(out.finish()?)
}
