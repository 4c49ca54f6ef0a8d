//! [`Line`]: one line of `target/conformance/<lang>.jsonl`.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What a runner saw of one command, or of a case that it skipped.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Line {
    pub case: String,
    /// Index of the command, nested with dots; empty for a skipped case.
    pub line: String,
    pub cmd: String,
    pub result: Outcome,
    /// Name of the trap code or error kind that was observed, or empty.
    pub code: String,
    pub msg: String,
}

/// How a command came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Pass,
    Fail,
    Skip,
}

/// Writes a result file.
///
/// # Errors
///
/// The file cannot be written.
pub fn write(path: &Path, lines: &[Line]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = io::BufWriter::new(fs::File::create(path)?);
    for line in lines {
        writeln!(file, "{}", serde_json::to_string(line)?)?;
    }
    file.flush()
}

/// Reads a result file; none if there is none.
///
/// # Errors
///
/// Which line is wrong, and how.
pub fn read(path: &Path) -> Result<Option<Vec<Line>>, String> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            serde_json::from_str(line).map_err(|error| format!("{}:{}: {error}", path.display(), number + 1))
        })
        .collect::<Result<_, _>>()
        .map(Some)
}
