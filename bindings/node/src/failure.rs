//! How errors cross: as text that `lib/errors.js` takes apart, so that the classes of errors exist only in JavaScript.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use instar::{Error, ErrorKind, Result};

/// A host function threw. The exception itself waits in JavaScript (`context.thrown`): between the throw and the return
/// of the outermost native call no JavaScript runs, so one place is enough.
#[derive(Debug)]
pub struct Thrown;

impl fmt::Display for Thrown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a host function threw a JavaScript exception")
    }
}

impl std::error::Error for Thrown {}

/// `instar:<kind>:<trap or 0>:<message>`.
pub fn encode(error: &Error) -> String {
    let trap = error.trap_code().map_or(0, |code| code.code());
    format!("instar:{}:{trap}:{}", error.kind().code(), error.message())
}

/// The error as napi-rs throws it.
pub fn to_napi(error: &Error) -> napi::Error {
    napi::Error::from_reason(encode(error))
}

/// Runs `body`; a panic becomes an error of kind `Bug`, since none may cross into Node.
pub fn guard<R>(body: impl FnOnce() -> Result<R>) -> Result<R> {
    // AssertUnwindSafe: what a panic leaves behind in core is core's to protect (kind Poisoned); ours are plain cells.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| Err(bug(&*panic)))
}

fn bug(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::new(ErrorKind::Bug, format!("panic in Instar: {}", text.unwrap_or("without a message")))
}
