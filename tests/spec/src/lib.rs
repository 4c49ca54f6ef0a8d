//! The official test suite on Instar.
//!
//! [`suite`] chooses the files, [`script`] turns one into a list of owned steps, [`session`] runs them, [`report`] counts.
//! Differences that are meant are listed in `skips.toml` ([`skips`]), each with its reason; an entry whose directive
//! passes is an error, so the list cannot rot.
//!
//! Every file runs twice over one engine that compares each slot with its image after each reset
//! ([`instar::Config::paranoid`]). Modules that import nothing of a store keep their `InstancePre` between the two
//! rounds, so all instances but the first come from a slot that an earlier tenant has dirtied.

mod report;
mod script;
mod session;
mod skips;
mod suite;
mod value;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use report::FileResult;
use script::Script;
use suite::SuiteFile;

/// Runs the suite with the command line's arguments: `[filter] [-v]`.
pub fn main(arguments: impl Iterator<Item = String>) -> ExitCode {
    let mut filter = String::new();
    let mut verbose = false;
    for argument in arguments {
        match argument.as_str() {
            "-v" | "--verbose" => verbose = true,
            _ => filter = argument,
        }
    }

    let skips = match skips::load() {
        Ok(skips) => skips,
        Err(error) => {
            eprintln!("skips.toml: {error}");
            return ExitCode::FAILURE;
        }
    };
    let files: Vec<SuiteFile> = suite::files().into_iter().filter(|file| file.path.contains(&filter)).collect();
    let mut results = run_all(&files, &skips);
    results.sort_by(|a, b| a.path.cmp(&b.path));
    let unused = if filter.is_empty() { skips.of_missing_files(&files) } else { Vec::new() };
    report::print(&results, &unused, verbose);
    if filter.is_empty()
        && let Err(error) = report::write_json(&results)
    {
        eprintln!("cannot write target/spec/report.json: {error}");
        return ExitCode::FAILURE;
    }
    let failed = results.iter().any(|result| !result.failures.is_empty()) || !unused.is_empty();
    if failed || results.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs the files on all processors.
fn run_all(files: &[SuiteFile], skips: &skips::Skips) -> Vec<FileResult> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = run_file(file, skips);
                    results.lock().unwrap().push(result);
                }
            });
        }
    });
    results.into_inner().unwrap()
}

fn run_file(file: &SuiteFile, skips: &skips::Skips) -> FileResult {
    let script = match Script::parse(file.text) {
        Ok(script) => script,
        Err(message) => return FileResult::unreadable(&file.path, message),
    };
    let verdicts = session::run(&script);
    FileResult::judge(&file.path, &script, verdicts, skips)
}
