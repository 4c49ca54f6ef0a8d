//! [`Case`]: one file of `cases/`, as README.md describes it.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;

use crate::suite_folder;

/// One case.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub version: u32,
    pub name: String,
    pub about: String,
    pub requires: Vec<String>,
    pub config: Config,
    pub commands: Vec<Command>,
}

/// The engine's configuration; what is absent keeps its default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub max_instances: Option<usize>,
    pub max_memory_pages: Option<u64>,
    pub max_wasm_stack: Option<usize>,
}

/// One command.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Command {
    Compile {
        r#as: String,
        filename: Option<String>,
        text: Option<String>,
        hex: Option<String>,
    },
    Pre {
        r#as: String,
        module: String,
        imports: BTreeMap<String, Import>,
    },
    Instantiate {
        pre: String,
        r#as: String,
        #[serde(default)]
        data: i64,
    },
    Call {
        instance: String,
        #[serde(flatten)]
        call: Call,
    },
    CallRaw {
        instance: String,
        #[serde(flatten)]
        call: Call,
    },
    CallBytes {
        instance: String,
        #[serde(flatten)]
        call: BytesCall,
    },
    Drop {
        instance: String,
    },
    PreCall {
        pre: String,
        #[serde(default)]
        data: i64,
        #[serde(flatten)]
        call: Call,
    },
    PreCallBytes {
        pre: String,
        #[serde(default)]
        data: i64,
        #[serde(flatten)]
        call: BytesCall,
    },
    MemSize {
        instance: String,
        expected: Option<u64>,
    },
    MemRead {
        instance: String,
        offset: u64,
        len: usize,
        hex: Option<String>,
    },
    MemWrite {
        instance: String,
        offset: u64,
        hex: String,
    },
    Live {
        expected: usize,
    },
    AssertRecorded {
        values: Vec<Value>,
    },
    Repeat {
        count: usize,
        body: Vec<Command>,
    },
    AssertTrap {
        code: String,
        action: Box<Command>,
    },
    AssertError {
        kind: String,
        action: Box<Command>,
    },
    AssertThrow {
        message: String,
        action: Box<Command>,
    },
    TwoThreads {
        instance: String,
        #[serde(flatten)]
        call: Call,
        during: Vec<Command>,
    },
}

/// An export, what it gets, and what it must return.
#[derive(Deserialize)]
pub struct Call {
    pub field: String,
    #[serde(default)]
    pub args: Vec<Value>,
    pub expected: Option<Vec<Value>>,
}

/// The same for bytes in, bytes out.
#[derive(Deserialize)]
pub struct BytesCall {
    pub field: String,
    pub input: Bytes,
    pub expected: Option<Bytes>,
}

/// A host function of the menu, and its type as text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    pub host: String,
    pub sig: String,
}

/// A value: its type and the unsigned decimal number of its bits, or a set of NaNs, or a text.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    #[serde(rename = "type")]
    pub ty: String,
    pub value: String,
}

/// Bytes, written as text or in hexadecimal, so many times over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bytes {
    text: Option<String>,
    hex: Option<String>,
    #[serde(default = "once")]
    repeat: usize,
}

fn once() -> usize {
    1
}

impl Bytes {
    /// The bytes themselves.
    pub fn to_vec(&self) -> Vec<u8> {
        let text = self.text.as_ref().map(|text| text.clone().into_bytes());
        text.or_else(|| self.hex.as_deref().map(unhex)).expect("bytes are text or hex").repeat(self.repeat)
    }
}

/// The bytes that a string of hexadecimal digits stands for.
///
/// # Panics
///
/// If it is none.
pub fn unhex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2), "an odd number of hexadecimal digits: {digits}");
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal")).collect()
}

impl Command {
    /// The command's name in the files.
    pub fn name(&self) -> &'static str {
        match self {
            Command::Compile { .. } => "compile",
            Command::Pre { .. } => "pre",
            Command::Instantiate { .. } => "instantiate",
            Command::Call { .. } => "call",
            Command::CallRaw { .. } => "call_raw",
            Command::CallBytes { .. } => "call_bytes",
            Command::Drop { .. } => "drop",
            Command::PreCall { .. } => "pre_call",
            Command::PreCallBytes { .. } => "pre_call_bytes",
            Command::MemSize { .. } => "mem_size",
            Command::MemRead { .. } => "mem_read",
            Command::MemWrite { .. } => "mem_write",
            Command::Live { .. } => "live",
            Command::AssertRecorded { .. } => "assert_recorded",
            Command::Repeat { .. } => "repeat",
            Command::AssertTrap { .. } => "assert_trap",
            Command::AssertError { .. } => "assert_error",
            Command::AssertThrow { .. } => "assert_throw",
            Command::TwoThreads { .. } => "two_threads",
        }
    }

    /// The commands inside, which write lines of their own.
    pub fn nested(&self) -> &[Command] {
        match self {
            Command::Repeat { body, .. } => body,
            Command::TwoThreads { during, .. } => during,
            _ => &[],
        }
    }
}

impl Case {
    /// The lines that a runner writes for this case, with the command of each.
    pub fn lines(&self) -> BTreeMap<String, &'static str> {
        let mut lines = BTreeMap::new();
        add_lines(&self.commands, "", &mut lines);
        lines
    }
}

fn add_lines(commands: &[Command], prefix: &str, lines: &mut BTreeMap<String, &'static str>) {
    for (index, command) in commands.iter().enumerate() {
        let line = format!("{prefix}{index}");
        add_lines(command.nested(), &format!("{line}."), lines);
        lines.insert(line, command.name());
    }
}

/// All cases, by name.
///
/// # Errors
///
/// Which file is wrong, and how.
pub fn load_all() -> Result<Vec<Case>, String> {
    let folder = suite_folder().join("cases");
    let mut cases = Vec::new();
    for entry in fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let case: Case = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        if path.file_stem().is_none_or(|stem| *stem != *case.name) || case.version != 1 {
            return Err(format!("{}: the name must be the file's, the version 1", path.display()));
        }
        cases.push(case);
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}
