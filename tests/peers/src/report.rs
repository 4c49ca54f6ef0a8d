//! The lines for readers and the JSON for `tests/bench/merge.py`.

use std::path::Path;

use crate::measure::Samples;
use crate::{AnyResult, WASMTIME_VERSION};

/// What a figure is about: the parts of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// A fresh instance for each operation.
    Fresh,
    /// What a second thread costs.
    Threads,
    /// Costs that must not depend on how large a module is, or how many instances live.
    Flat,
    /// Percentiles of single operations.
    Singles,
    /// System calls and page faults.
    Counts,
    /// Memory of instances.
    Space,
    /// Calls into and out of a live instance.
    Calls,
    /// Guests that run, are compiled, are loaded.
    Guests,
}

impl Group {
    fn name(self) -> &'static str {
        match self {
            Group::Fresh => "fresh",
            Group::Threads => "threads",
            Group::Flat => "flat",
            Group::Singles => "singles",
            Group::Counts => "counts",
            Group::Space => "space",
            Group::Calls => "calls",
            Group::Guests => "guests",
        }
    }
}

/// One figure: Instar beside one peer.
pub struct Entry {
    pub group: Group,
    pub case: String,
    /// Instar's tracking mode, where the figure depends on it.
    pub mode: Option<&'static str>,
    /// Whether that is the mode of an engine without a knob turned.
    pub is_default: bool,
    pub threads: u32,
    /// How many times as long as with plain code the guest's own work takes.
    pub slow_down: Option<f64>,
    pub instar: Samples,
    pub peer: Samples,
    pub peer_name: &'static str,
    /// Highest ratio. 0: there must be none at all.
    pub target: Option<f64>,
    /// `ns`, `B`, `x`, `faults` or `syscalls`.
    pub unit: &'static str,
}

impl Entry {
    /// A figure for information, on one thread.
    pub fn new(
        group: Group,
        case: String,
        instar: Samples,
        peer: Samples,
        peer_name: &'static str,
        unit: &'static str,
    ) -> Self {
        Entry {
            group,
            case,
            mode: None,
            is_default: true,
            threads: 1,
            slow_down: None,
            instar,
            peer,
            peer_name,
            target: None,
            unit,
        }
    }

    /// None of what a peer has none of either is a ratio of 0.
    fn ratio(&self) -> f64 {
        if self.instar.median() == 0.0 { 0.0 } else { self.instar.median() / self.peer.median() }
    }

    fn met(&self) -> Option<bool> {
        self.target.map(|target| self.ratio() <= target)
    }

    /// Prints a row of its own: times in microseconds, with the fastest in brackets.
    pub fn print(&self) {
        let figure = |samples: &Samples| match self.unit {
            "ns" => format!("{:.1} ({:.1}) us", samples.median() / 1e3, samples.lowest() / 1e3),
            unit => format!("{:.0} {unit}", samples.median()),
        };
        self.print_figures(figure);
    }

    /// Prints a row of its own: times in nanoseconds, with the fastest in brackets.
    pub fn print_ns(&self) {
        self.print_figures(|samples| format!("{:.1} ({:.1})", samples.median(), samples.lowest()));
    }

    fn print_figures(&self, figure: impl Fn(&Samples) -> String) {
        println!(
            "{:<54} {:>27}   {:<23} {:>27} {:>7.3}  {}",
            self.case,
            figure(&self.instar),
            self.peer_name,
            figure(&self.peer),
            self.ratio(),
            self.verdict(),
        );
    }

    fn verdict(&self) -> String {
        match (self.target, self.met()) {
            (Some(target), Some(true)) => format!("{target:.3} met"),
            (Some(target), _) => format!("{target:.3} MISSED"),
            (None, _) => "-".to_string(),
        }
    }

    /// One sentence about the target.
    pub fn verdict_line(&self) -> String {
        let mode = self.mode.map_or(String::new(), |mode| format!("{mode} "));
        format!("{mode}/ {}: {:.3}, target {}", self.peer_name, self.ratio(), self.verdict())
    }

    fn json(&self) -> String {
        let or_null = |value: Option<String>| value.unwrap_or_else(|| "null".to_string());
        let number =
            |value: f64, digits| if value.is_finite() { format!("{value:.digits$}") } else { "null".to_string() };
        // Names are ours and hold no character that JSON would escape; Debug adds the quotes.
        format!(
            "{{\"group\": {:?}, \"case\": {:?}, \"mode\": {}, \"default_mode\": {}, \"threads\": {}, \"guest\": {}, \
             \"unit\": {:?}, \"instar\": {}, \"peer\": {}, \"peer_name\": {:?}, \"peer_version\": {:?}, \"ratio\": {}, \
             \"target\": {}, \"met\": {}}}",
            self.group.name(),
            self.case,
            or_null(self.mode.map(|mode| format!("{mode:?}"))),
            self.is_default,
            self.threads,
            or_null(self.slow_down.map(|s| number(s, 4))),
            self.unit,
            number(self.instar.median(), 4),
            number(self.peer.median(), 4),
            self.peer_name,
            if self.peer_name.starts_with("Wasmtime") { WASMTIME_VERSION } else { "" },
            number(self.ratio(), 4),
            or_null(self.target.map(|t| number(t, 4))),
            or_null(self.met().map(|m| m.to_string())),
        )
    }
}

/// Writes all entries to a file. With `update`, those that are in the file already and were not measured now are kept.
pub fn write_json(entries: &[Entry], path: &Path, update: bool) -> AnyResult<()> {
    let mut lines: Vec<String> = entries.iter().map(Entry::json).collect();
    if update && path.exists() {
        lines = updated(&std::fs::read_to_string(path)?, lines);
    }
    std::fs::create_dir_all(path.parent().ok_or("the report has no folder")?)?;
    std::fs::write(path, format!("[\n  {}\n]\n", lines.join(",\n  ")))?;
    println!("\nwritten to {}", path.canonicalize()?.display());
    Ok(())
}

/// The entries of a report, a line each, with those of `lines` in their places; what the report lacks comes last.
fn updated(report: &str, mut lines: Vec<String>) -> Vec<String> {
    // All that comes before the figures, and the peer.
    fn key(line: &str) -> Option<(&str, &str)> {
        let (_, peer) = line.split_once("\"peer_name\"")?;
        Some((line.split_once("\"guest\"")?.0, peer.split_once("\"peer_version\"")?.0))
    }
    let mut result: Vec<String> = Vec::new();
    for old in report.lines().map(|line| line.trim().trim_end_matches(',')).filter(|line| line.starts_with('{')) {
        let new = lines.iter().position(|line| key(line) == key(old));
        result.push(new.map_or_else(|| old.to_string(), |place| lines.remove(place)));
    }
    result.extend(lines);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(case: &str, ns: f64, threads: u32) -> Entry {
        let samples = Samples::new(vec![ns]);
        Entry { threads, ..Entry::new(Group::Fresh, case.to_string(), samples.clone(), samples, "Wasmtime", "ns") }
    }

    #[test]
    fn an_update_takes_the_place_of_what_was_measured_again() {
        let old = [entry("a", 1.0, 1), entry("a", 2.0, 2), entry("b", 3.0, 1)].map(|e| e.json());
        let report = format!("[\n  {}\n]\n", old.join(",\n  "));
        let new = [entry("a", 4.0, 2), entry("c", 5.0, 1)].map(|e| e.json());
        let lines = updated(&report, new.to_vec());
        assert_eq!(lines, [&old[0], &new[0], &old[2], &new[1]].map(String::clone));
    }
}
