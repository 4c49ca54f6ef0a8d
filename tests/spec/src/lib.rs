//! The official test suite on Instar.
//!
//! [`suite`] chooses the files and the features that each folder is about, [`mode`] the ways of running them, crate
//! `instar-wast` runs them, [`report`] counts. Differences that are meant are listed in `skips.toml` ([`skips`]), each with
//! its reason; an entry whose directive passes is an error, so the list cannot rot.
//!
//! Every file runs in every mode. With slots it runs twice over one engine that compares each slot with its image after each
//! reset ([`instar::Config::paranoid`]). Modules that import nothing of a store keep their `InstancePre` between the two
//! rounds, and each time one is wanted, it is first instantiated in a throwaway store that is dropped again. So in round two
//! every such instance gets a slot that was dirtied by all directives of round one, and must behave as if nothing had
//! happened.

mod mode;
mod report;
mod skips;
mod suite;

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use instar_wast::{Runner, Script, Verdict};

use mode::MODES;
use report::{FileResult, ModeResult};
use skips::Skips;
use suite::{SUITES, SuiteFile};

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
    match run(&filter, verbose) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all files passed whose path contains `filter`. With a filter no report is written.
fn run(filter: &str, verbose: bool) -> Result<bool, String> {
    let skips = skips::load().map_err(|error| format!("skips.toml: {error}"))?;
    let mut files = suite::files()?;
    let mut complaints: Vec<String> = Vec::new();
    if filter.is_empty() {
        let missing = skips.of_missing_files(&files).into_iter();
        complaints.extend(missing.map(|path| format!("{path}: skips.toml lists it, but there is no such file")));
    }
    files.retain(|file| file.path.contains(filter));
    let runners = runners()?;
    let mut results = run_all(&files, &runners, &skips);
    results.sort_by(|a, b| a.path.cmp(&b.path));
    for (folder, list) in &runners {
        for (mode, runner) in MODES.iter().zip(list) {
            let left = runner.engine().live_instances();
            if left > 0 {
                complaints.push(format!("{folder}: {left} instances are alive after the end ({})", mode.name));
            }
        }
    }
    report::print(&results, &complaints, verbose);
    if filter.is_empty() {
        report::write_json(&results).map_err(|error| format!("cannot write target/spec/report.json: {error}"))?;
    }
    let failed = results.iter().any(|result| !result.failures.is_empty()) || !complaints.is_empty();
    Ok(!failed && !results.is_empty())
}

/// For each suite by its folder, a runner for each mode.
type Runners = HashMap<&'static str, Vec<Runner>>;

fn runners() -> Result<Runners, String> {
    let of = |suite: &'static suite::Suite| {
        let runners = MODES.iter().map(|mode| {
            mode.runner(suite).map_err(|error| format!("{}: no engine for {}: {error:?}", suite.folder, mode.name))
        });
        Ok((suite.folder, runners.collect::<Result<_, String>>()?))
    };
    SUITES.iter().map(of).collect()
}

/// Runs the files on all processors.
fn run_all(files: &[SuiteFile], runners: &Runners, skips: &Skips) -> Vec<FileResult> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = run_file(file, &runners[file.suite.folder], skips);
                    results.lock().unwrap().push(result);
                }
            });
        }
    });
    results.into_inner().unwrap()
}

fn run_file(file: &SuiteFile, runners: &[Runner], skips: &Skips) -> FileResult {
    let script = match Script::parse(&file.text) {
        Ok(script) => script,
        Err(error) => return FileResult::unreadable(&file.path, error.line, &error.text),
    };
    if skips.leaves_out(&file.path) {
        let verdicts: Vec<Verdict> = runners.iter().take(1).flat_map(|runner| runner.run(&script)).collect();
        return FileResult::left_out(&file.path, &verdicts);
    }
    let run = |runner: &Runner| {
        let start = Instant::now();
        ModeResult { verdicts: runner.run(&script), time: start.elapsed() }
    };
    let modes: Vec<ModeResult> = runners.iter().map(run).collect();
    FileResult::judge(&file.path, &script, &modes, skips)
}
