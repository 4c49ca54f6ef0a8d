//! The table for readers and the JSON for `tests/bench/merge.py`.

use std::fmt::Write;
use std::path::Path;

use crate::cases::Case;
use crate::measure::Samples;
use crate::{AnyResult, WASMTIME_VERSION};

/// One figure: Instar beside one peer.
pub struct Entry {
    pub case: String,
    pub instar: Samples,
    pub peer: Samples,
    pub peer_name: &'static str,
    pub target: Option<f64>,
    /// `ns` or `B`.
    pub unit: &'static str,
}

impl Entry {
    fn ratio(&self) -> f64 {
        self.instar.median() / self.peer.median()
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
        println!(
            "{:<46} {:>27}   {:<9} {:>27} {:>7.3}  {}",
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
            (Some(target), Some(true)) => format!("{target} met"),
            (Some(target), _) => format!("{target} MISSED"),
            (None, _) => "-".to_string(),
        }
    }
}

/// Prints the rows of `case`, with a heading before the first case.
pub fn print_rows(entries: &[Entry], case: &Case) {
    let rows: Vec<&Entry> = entries.iter().filter(|e| e.case == case.name).collect();
    if rows.len() == entries.len() {
        println!(
            "Nanoseconds of processor time per operation: the median of the batches, and the fastest batch in brackets."
        );
        println!("Fresh: create + typed call + drop. The peer is Wasmtime {WASMTIME_VERSION}.\n");
        println!("{:<54} {:>19}   {:<23} {:>20} {:>7}  target", "case", "Instar", "peer", "", "ratio");
    }
    for entry in rows {
        let figure = |samples: &Samples| format!("{:.1} ({:.1})", samples.median(), samples.lowest());
        let verdict = entry.verdict();
        println!(
            "{:<54} {:>19}   {:<23} {:>20} {:>7.3}  {verdict}",
            entry.case,
            figure(&entry.instar),
            entry.peer_name,
            figure(&entry.peer),
            entry.ratio(),
        );
    }
    println!("    stands for: {}", case.stands_for);
}

/// Writes all entries to a file.
pub fn write_json(entries: &[Entry], path: &Path) -> AnyResult<()> {
    let mut text = String::from("[\n");
    for (i, entry) in entries.iter().enumerate() {
        let or_null = |value: Option<String>| value.unwrap_or_else(|| "null".to_string());
        // Names are ours and hold no character that JSON would escape; Debug adds the quotes.
        write!(
            text,
            "  {{\"case\": {:?}, \"unit\": {:?}, \"instar\": {:.2}, \"peer\": {:.2}, \"peer_name\": {:?}, \
             \"peer_version\": {WASMTIME_VERSION:?}, \"ratio\": {:.4}, \"target\": {}, \"met\": {}}}",
            entry.case,
            entry.unit,
            entry.instar.median(),
            entry.peer.median(),
            entry.peer_name,
            entry.ratio(),
            or_null(entry.target.map(|t| t.to_string())),
            or_null(entry.met().map(|m| m.to_string())),
        )?;
        text.push_str(if i + 1 < entries.len() { ",\n" } else { "\n" });
    }
    text.push_str("]\n");
    std::fs::create_dir_all(path.parent().ok_or("the report has no folder")?)?;
    std::fs::write(path, text)?;
    println!("\nwritten to {}", path.canonicalize()?.display());
    Ok(())
}
