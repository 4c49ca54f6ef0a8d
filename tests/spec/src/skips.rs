//! [`Skips`]: the directives that are meant to differ, from `skips.toml`.

use std::collections::HashMap;

use serde::Deserialize;

use crate::suite::SuiteFile;

/// Why directives are skipped, by file and line.
pub struct Skips {
    reasons: HashMap<String, HashMap<usize, String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    skip: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    file: String,
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
    let mut reasons: HashMap<String, HashMap<usize, String>> = HashMap::new();
    for entry in document.skip {
        if entry.reason.trim().is_empty() {
            return Err(format!("{}: an entry without a reason", entry.file));
        }
        let lines = reasons.entry(entry.file.clone()).or_default();
        for line in entry.lines {
            if lines.insert(line, entry.reason.clone()).is_some() {
                return Err(format!("{}:{line} is listed twice", entry.file));
            }
        }
    }
    Ok(Skips { reasons })
}

impl Skips {
    /// The lines of a file that are skipped.
    pub fn of_file(&self, path: &str) -> HashMap<usize, String> {
        self.reasons.get(path).cloned().unwrap_or_default()
    }

    /// Entries of files that are not in the suite.
    pub fn of_missing_files(&self, files: &[SuiteFile]) -> Vec<String> {
        self.reasons.keys().filter(|path| !files.iter().any(|file| file.path == **path)).cloned().collect()
    }
}
