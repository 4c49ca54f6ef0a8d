//! The standard output, buffered, with colours only where they are wanted; and the error lines on stderr.

use std::fmt::Display;
use std::io::{self, BufWriter, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

use crate::failure::Failure;

/// Headings.
pub const HEADING: Style = Style::new().bold();
/// What is there for orientation: offsets, comments.
pub const FAINT: Style = Style::new().dimmed();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// The standard output. Colours go to terminals only, and to none if `NO_COLOR` is set.
pub struct Output {
    out: Sink,
    colours: bool,
}

enum Sink {
    Stdout(BufWriter<io::StdoutLock<'static>>),
    #[cfg(test)]
    Memory(Vec<u8>),
}

impl Output {
    pub fn new() -> Self {
        let stdout = io::stdout();
        let colours = AutoStream::choice(&stdout) != ColorChoice::Never;
        Output { out: Sink::Stdout(BufWriter::with_capacity(1 << 16, stdout.lock())), colours }
    }

    /// What is written can be looked at.
    #[cfg(test)]
    pub fn to_memory() -> Self {
        Output { out: Sink::Memory(Vec::new()), colours: false }
    }

    /// What was written.
    #[cfg(test)]
    pub fn into_text(self) -> String {
        match self.out {
            Sink::Memory(bytes) => String::from_utf8(bytes).expect("only text is written"),
            Sink::Stdout(_) => unreachable!("not made by `to_memory`"),
        }
    }

    /// The text in a style, if this output has colours.
    pub fn paint(&self, style: Style, text: impl Display) -> String {
        match self.colours {
            true => format!("{style}{text}{style:#}"),
            false => text.to_string(),
        }
    }

    /// Writes out what is buffered. Must be called at the end: what `Drop` cannot write is lost without a word.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.out {
            Sink::Stdout(out) => out.write(bytes),
            #[cfg(test)]
            Sink::Memory(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.out {
            Sink::Stdout(out) => out.flush(),
            #[cfg(test)]
            Sink::Memory(_) => Ok(()),
        }
    }
}

/// Writes a failure to stderr: one line for what is wrong, where the guest was, one line for what would be right.
pub fn report(failure: &Failure) {
    let Failure::Error { message, backtrace, hint, .. } = failure else { return };
    let mut text = format!("{ERROR}error:{ERROR:#} {message}\n");
    if let Some(backtrace) = backtrace {
        text += &format!("{FAINT}{backtrace}{FAINT:#}");
    }
    if let Some(hint) = hint {
        text += &format!("{HINT}hint:{HINT:#} {hint}\n");
    }
    // Nobody is left to be told that stderr is closed.
    let _ = AutoStream::auto(io::stderr()).write_all(text.as_bytes());
}
