//! [`Skips`]: the directives that are meant to differ, and the files that are left out, from `skips.toml`.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use crate::suite::SuiteFile;

/// Directives that are not meant to pass, by file and line, and files that are left out.
pub struct Skips {
    lines: HashMap<String, HashSet<usize>>,
    left_out: HashSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    skip: Vec<Entry>,
    #[serde(default)]
    leave_out: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    file: String,
    #[serde(default)]
    lines: Vec<usize>,
    reason: String,
}

/// Reads `skips.toml`, which is part of this program.
///
/// # Errors
///
/// What is wrong with the file.
pub fn load() -> Result<Skips, String> {
    let document: Document = toml::from_str(include_str!("../skips.toml")).map_err(|error| error.to_string())?;
    let mut skips = Skips { lines: HashMap::new(), left_out: HashSet::new() };
    for entry in document.skip.iter().chain(&document.leave_out) {
        if entry.reason.trim().is_empty() {
            return Err(format!("{}: an entry without a reason", entry.file));
        }
    }
    for entry in document.leave_out {
        if !entry.lines.is_empty() {
            return Err(format!("{}: is left out as a whole, but its entry has lines", entry.file));
        }
        if !skips.left_out.insert(entry.file.clone()) {
            return Err(format!("{}: is left out twice", entry.file));
        }
    }
    for entry in document.skip {
        if skips.left_out.contains(&entry.file) {
            return Err(format!("{}: is left out as a whole and has skipped lines too", entry.file));
        }
        if entry.lines.is_empty() {
            return Err(format!("{}: an entry without lines", entry.file));
        }
        let lines = skips.lines.entry(entry.file.clone()).or_default();
        for line in entry.lines {
            if !lines.insert(line) {
                return Err(format!("{}:{line} is listed twice", entry.file));
            }
        }
    }
    Ok(skips)
}

impl Skips {
    /// The lines of a file whose directives are skipped.
    pub fn of_file(&self, path: &str) -> HashSet<usize> {
        self.lines.get(path).cloned().unwrap_or_default()
    }

    /// Whether a file is left out.
    pub fn leaves_out(&self, path: &str) -> bool {
        self.left_out.contains(path)
    }

    /// Entries of files that are not in the suite.
    pub fn of_missing_files(&self, files: &[SuiteFile]) -> Vec<String> {
        let paths = self.lines.keys().chain(&self.left_out);
        paths.filter(|path| !files.iter().any(|file| file.path == **path)).cloned().collect()
    }
}
