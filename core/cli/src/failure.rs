//! [`Failure`]: why the program ends with an error, what would be right, and the exit code.
//!
//! Every command returns one; `main` alone writes it and ends the process.

use std::fmt;
use std::io;

use instar::{Error, ErrorKind};

use crate::text::{lines, one_line};

/// Exit code of every error that is neither the guest's own nor wrong usage.
pub const ERROR: u8 = 1;
/// Exit code after a trap: what a shell shows for a process that aborted (128 + SIGABRT).
pub const TRAP: u8 = 134;

/// The end of a command that did not do what it was asked to do.
#[derive(Debug)]
pub enum Failure {
    /// Said on stderr as `error: …` and `hint: …`, with the guest's backtrace between them.
    Error { message: String, backtrace: Option<String>, hint: Option<String>, code: u8 },
    /// Whoever read our output has gone; not an error.
    OutputClosed,
}

pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// An error with this message, made one line.
    pub fn new(message: impl fmt::Display) -> Self {
        Failure::Error { message: one_line(&message.to_string()), backtrace: None, hint: None, code: ERROR }
    }

    /// Adds how to do it right, unless that has been said.
    pub fn or_hint(mut self, text: impl fmt::Display) -> Self {
        if let Failure::Error { hint: hint @ None, .. } = &mut self {
            *hint = Some(one_line(&text.to_string()));
        }
        self
    }

    /// Puts the file that it is about in front of the message.
    pub fn in_file(mut self, file: impl fmt::Display) -> Self {
        if let Failure::Error { message, .. } = &mut self {
            *message = format!("{}: {message}", one_line(&file.to_string()));
        }
        self
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Error { code, .. } => *code,
            Failure::OutputClosed => 0,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = if error.kind() == ErrorKind::Trap { TRAP } else { ERROR };
        let hint = hint_for(error.kind()).map(String::from);
        let backtrace = error.wasm_backtrace().map(|backtrace| lines(&backtrace.to_string()));
        Failure::Error { message: one_line(&error.to_string()), backtrace, hint, code }
    }
}

impl From<io::Error> for Failure {
    /// A failed write of our own output; errors of files are made where the file's name is known.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::new(format_args!("cannot write to the standard output: {}", reason(&error))),
        }
    }
}

/// What helps with any error of this kind. Commands that know better say it before this is asked.
fn hint_for(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::PoolExhausted | ErrorKind::Os => {
            Some("free memory or raise the limits of this process (`ulimit -a`)")
        }
        ErrorKind::Config => Some("-W and -O take these settings, written `relaxed-simd` for `wasm_relaxed_simd`"),
        ErrorKind::Bug => Some("please report it, with the file and this command"),
        _ => None,
    }
}

/// An I/O error without its number: `No such file or directory`.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trap_has_its_own_exit_code() {
        let trap = Failure::from(Error::trap(instar::TrapCode::Unreachable));
        assert_eq!(trap.code(), 134);
        assert_eq!(Failure::from(Error::new(ErrorKind::Link, "x")).code(), 1);
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        assert!(matches!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)), Failure::OutputClosed));
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::StorageFull)).code(), 1);
    }

    #[test]
    fn the_first_hint_stays() {
        let Failure::Error { hint, .. } = Failure::new("x").or_hint("first").or_hint("second") else {
            panic!("an error stays an error")
        };
        assert_eq!(hint.as_deref(), Some("first"));
    }

    #[test]
    fn reasons_have_no_numbers() {
        assert_eq!(reason(&io::Error::from_raw_os_error(2)), "No such file or directory");
    }
}
