//! Compares what the languages' runners saw with what Rust's saw, command by command, and prints one matrix.
//!
//! `cargo run -p instar-conformance -- [--require lang,lang…]`

mod compare;
mod expectations;
mod matrix;

use std::process::ExitCode;

use instar_conformance::{case, results_folder, suite_folder, verdict};

use compare::Language;
use expectations::Expectations;

/// All languages, the reference first.
const LANGUAGES: [&str; 5] = ["rust", "python", "node", "dotnet", "go"];

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything is as it must be.
fn run() -> Result<bool, String> {
    let required = required(std::env::args().skip(1))?;
    let cases = case::load_all()?;
    let mut problems = Vec::new();
    let mut languages: Vec<Language> = Vec::new();
    for name in LANGUAGES {
        let expectations = Expectations::load(&suite_folder().join(format!("expectations/{name}.toml")))?;
        match verdict::read(&results_folder().join(format!("{name}.jsonl")))? {
            Some(lines) => {
                let language = Language::new(name, &cases, lines, &expectations, languages.first());
                problems.extend(language.problems.iter().cloned());
                languages.push(language);
            }
            None if name == LANGUAGES[0] => {
                return Err(
                    "target/conformance/rust.jsonl is missing; run cargo test -p instar-conformance".to_string()
                );
            }
            None if required.iter().any(|required| required == name) => {
                problems.push(format!("{name}: target/conformance/{name}.jsonl is missing"));
            }
            None => {}
        }
    }
    matrix::print(&cases, &languages);
    matrix::write_json(&languages).map_err(|error| format!("cannot write report.json: {error}"))?;
    for problem in &problems {
        println!("FAILED {problem}");
    }
    let passed: usize = languages.iter().map(|language| language.passed).sum();
    println!("{passed} passed, {} failed", problems.len());
    Ok(problems.is_empty())
}

/// The languages after `--require`.
fn required(mut arguments: impl Iterator<Item = String>) -> Result<Vec<String>, String> {
    let mut required = Vec::new();
    while let Some(argument) = arguments.next() {
        let list = match argument.strip_prefix("--require") {
            Some("") => arguments.next().ok_or("--require needs a list of languages")?,
            Some(list) if list.starts_with('=') => list[1..].to_string(),
            _ => return Err(format!("unknown argument {argument:?}; the only one is --require lang,lang…")),
        };
        required.extend(list.split(',').map(str::to_string));
    }
    match required.iter().find(|name| !LANGUAGES.contains(&name.as_str())) {
        Some(unknown) => Err(format!("unknown language {unknown:?}; there are {}", LANGUAGES.join(", "))),
        None => Ok(required),
    }
}
