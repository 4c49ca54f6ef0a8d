//! The program `instar`.
//!
//! ```text
//!   args ──► one file per command ──► exit code
//!              │ uses: input (files), load (modules), engine (options)
//!              └ says: output (stdout, error lines), progress (spinner)
//! ```
//!
//! Invariants: every error ends in `main`, as one line and a hint on stderr; text from files reaches the terminal through
//! `text::printable` only; no input makes the program panic.

mod args;
mod artifact;
mod completions;
mod disasm;
mod engine;
mod failure;
mod input;
mod inspect;
mod listing;
mod load;
mod objdump;
mod output;
mod progress;
mod run;
mod save;
mod script;
mod text;
mod validate;
mod values;
mod wasi;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse_from(args::with_command(std::env::args_os().collect())) {
        Ok(cli) => cli,
        // Help and version come this way too, and go to stdout with exit code 0.
        Err(error) => error.exit(),
    };
    let result = match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Compile(args) => artifact::compile(args),
        Command::Validate(args) => validate::validate(args),
        Command::Inspect(args) => inspect::inspect(args),
        Command::Objdump(args) => objdump::objdump(args),
        Command::Wast(args) => script::wast(args),
        Command::Completions(args) => completions::completions(args),
    };
    let code = result.unwrap_or_else(|failure| {
        output::report(&failure);
        failure.code()
    });
    ExitCode::from(code)
}
