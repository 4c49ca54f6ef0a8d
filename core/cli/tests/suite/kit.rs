//! What all tests here use.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder of files, gone at the end of the test.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Folder(tempfile::tempdir().expect("the system has room for a folder"))
    }

    /// A folder with one file.
    pub fn with(name: &str, contents: impl AsRef<[u8]>) -> Self {
        let folder = Folder::new();
        folder.write(name, contents);
        folder
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, contents).expect("the folder can be written to");
        path
    }

    /// The program in this folder, with the arguments of a line.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_instar"));
        command.current_dir(self.path()).args(line.split_whitespace()).stdin(Stdio::null());
        // All of these decide about colours.
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs the program in this folder, with the arguments of a line.
    pub fn instar(&self, line: &str) -> Ended {
        Ended::new(line, self.command(line).output().expect("the program starts"))
    }

    /// As [`Folder::instar`], with bytes on the standard input.
    pub fn instar_with_input(&self, line: &str, input: &[u8]) -> Ended {
        let mut command = self.command(line);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        // A program that does not read to the end is none of our business.
        let _ = child.stdin.take().expect("it is piped").write_all(input);
        Ended::new(line, child.wait_with_output().expect("the program ends"))
    }
}

/// How the program ended and what it said.
#[derive(Debug)]
pub struct Ended {
    #[expect(dead_code, reason = "for `Debug`")]
    pub line: String,
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    fn new(line: &str, output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        Ended {
            line: format!("instar {line}"),
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// Asserts success, and gives what was printed.
    #[track_caller]
    pub fn prints(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert_eq!(self.err, "", "{self:?}");
        &self.out
    }

    /// Asserts that the program failed with this code, in one line and at most one of advice, with nothing but a backtrace
    /// between them. All of it together holds all of `parts`.
    #[track_caller]
    pub fn fails(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        let is_backtrace = |l: &&str| l.starts_with("wasm backtrace:") || l.starts_with(' ');
        let lines: Vec<&str> = self.err.lines().filter(|l| !is_backtrace(l)).collect();
        assert!(lines.first().is_some_and(|l| l.starts_with("error: ")), "{self:?}");
        assert!(lines.get(1).is_none_or(|l| l.starts_with("hint: ")), "{self:?}");
        assert!(lines.len() <= 2, "{self:?}");
        assert!(!self.err.contains(|c: char| c.is_control() && c != '\n'), "{self:?}");
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is not in {self:?}");
        }
    }

    /// The lines of the backtrace on stderr, without its heading.
    pub fn backtrace(&self) -> Vec<&str> {
        self.err.lines().skip_while(|l| *l != "wasm backtrace:").skip(1).take_while(|l| l.starts_with(' ')).collect()
    }

    /// Asserts wrong usage, explained with all of `parts`.
    #[track_caller]
    pub fn is_usage(&self, parts: &[&str]) {
        assert_eq!(self.code, Some(2), "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is not in {self:?}");
        }
    }
}
