//! `instar completions`: completion scripts.

use std::io::Write;

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs};
use crate::failure::Result;
use crate::output::Output;

/// Prints the script for a shell.
pub fn completions(args: &CompletionsArgs) -> Result<u8> {
    // Into memory first: `generate` panics when it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "instar", &mut script);
    let mut out = Output::new();
    out.write_all(&script)?;
    out.finish()?;
    Ok(0)
}
