//! [`Expectations`]: what a language is known not to do, from `expectations/<lang>.toml`.

use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

/// The exceptions of one language.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    /// Cases that its runner skips.
    #[serde(default)]
    pub skip: Vec<Entry>,
    /// Commands that fail, and must.
    #[serde(default)]
    pub xfail: Vec<Entry>,
}

/// One exception.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub case: String,
    /// Absent: the case as a whole.
    pub line: Option<String>,
    pub reason: String,
}

impl Expectations {
    /// Reads a file; a language without one has no exceptions.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let this: Self = toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        if this.skip.iter().chain(&this.xfail).any(|entry| entry.reason.trim().is_empty()) {
            return Err(format!("{}: an entry without a reason", path.display()));
        }
        if this.skip.iter().any(|entry| entry.line.is_some()) {
            return Err(format!("{}: whole cases are skipped, not lines", path.display()));
        }
        Ok(this)
    }

    /// Whether the case may be skipped.
    pub fn skips(&self, case: &str) -> bool {
        self.skip.iter().any(|entry| entry.case == case)
    }

    /// Whether the command may fail.
    pub fn allows_failure(&self, case: &str, line: &str) -> bool {
        self.xfail.iter().any(|entry| entry.case == case && entry.line.as_deref().is_none_or(|at| at == line))
    }
}
