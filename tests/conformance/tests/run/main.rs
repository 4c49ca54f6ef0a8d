//! Rust's runner of the conformance cases, the one that the other languages are compared with: one test per case,
//! verdicts to `target/conformance/rust.jsonl`.
//!
//! [`runner`] executes commands, [`host`] is the menu of host functions, [`typed`] calls exports by Rust's typed path.

mod host;
mod runner;
mod typed;
mod value;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use instar_conformance::verdict::{self, Line, Outcome};
use instar_conformance::{case, results_folder};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let cases = match case::load_all() {
        Ok(cases) => cases,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let lines: Arc<Mutex<Vec<Line>>> = Arc::default();
    let trials = cases.into_iter().map(|case| {
        let lines = Arc::clone(&lines);
        Trial::test(case.name.clone(), move || {
            let seen = runner::run(&case);
            let failures: Vec<String> = seen
                .iter()
                .filter(|line| line.result == Outcome::Fail)
                .map(|line| format!("{} {}: {}", line.line, line.cmd, line.msg))
                .collect();
            lines.lock().unwrap().extend(seen);
            if failures.is_empty() { Ok(()) } else { Err(Failed::from(failures.join("\n"))) }
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    if !arguments.list {
        let mut lines = std::mem::take(&mut *lines.lock().unwrap());
        // Stable: the lines of a case keep their order.
        lines.sort_by(|a, b| a.case.cmp(&b.case));
        if let Err(error) = verdict::write(&results_folder().join("rust.jsonl"), &lines) {
            eprintln!("cannot write rust.jsonl: {error}");
            return ExitCode::FAILURE;
        }
    }
    conclusion.exit_code()
}
