//! `instar-fuzz <target|all> [--seconds N | --seeds N] [--start S]`: see the library.

use std::process::ExitCode;
use std::time::Duration;

use instar_fuzz::{Options, Target, run};

const USAGE: &str = "usage: instar-fuzz <module|diff|tenants|artifact|all> [--seconds N | --seeds N] [--start S]";

fn main() -> ExitCode {
    let (targets, options) = match arguments(std::env::args().skip(1)) {
        Ok(choice) => choice,
        Err(message) => {
            eprintln!("{message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    println!("seeds from {}; a seed that ends the process is the one after the last that was printed", options.start);
    println!("its module stays in target/fuzz/<target>-<process>.running.wasm");
    match targets.into_iter().map(|target| run(target, options).len()).sum() {
        0 => ExitCode::SUCCESS,
        failed => {
            eprintln!("{failed} seeds failed");
            ExitCode::FAILURE
        }
    }
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<(Vec<Target>, Options), String> {
    let name = words.next().ok_or("which target?")?;
    let targets: Vec<Target> = Target::ALL.into_iter().filter(|t| name == "all" || name == t.name()).collect();
    if targets.is_empty() {
        return Err(format!("no target `{name}`"));
    }
    let mut options = Options { start: 0, seeds: 300, time: None };
    while let Some(word) = words.next() {
        let number = words.next().and_then(|n| n.parse().ok()).ok_or_else(|| format!("{word} needs a number"))?;
        match word.as_str() {
            "--seconds" => options.time = Some(Duration::from_secs(number)),
            "--seeds" => options.seeds = number,
            "--start" => options.start = number,
            _ => return Err(format!("no option `{word}`")),
        }
    }
    Ok((targets, options))
}
