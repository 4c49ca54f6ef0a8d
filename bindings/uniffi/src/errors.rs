//! Errors as handles, and the one place where results and panics of Rust become them.

use crate::raw;
use crate::table::{Kind, Table};
use instar::{Error, ErrorKind, Result};
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

static ERRORS: Table<Error> = Table::new(Kind::Error);

/// Host error tokens start here; below are trap codes.
pub const FIRST_HOST_TOKEN: u64 = 0x1_0000;

/// What a host function of the foreign language returned, on its way to the outermost call.
#[derive(Debug)]
pub struct HostToken(pub u64);

impl fmt::Display for HostToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a host function failed")
    }
}

impl std::error::Error for HostToken {}

/// Runs an exported function's body: 0, or the handle of its error. Panics become errors of kind `Bug`.
#[inline]
pub fn report(body: impl FnOnce() -> Result<()>) -> u64 {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => hand_out(error),
        Err(panic) => hand_out(of_panic(&*panic)),
    }
}

/// Runs the body of an exported function that has no way to tell of an error.
pub fn ignore(body: impl FnOnce()) {
    // A panic has been printed by the panic hook; there is nobody to give it to.
    let _ = catch_unwind(AssertUnwindSafe(body));
}

#[cold]
fn hand_out(error: Error) -> u64 {
    // There is always room: the table of errors holds 2^32, and each of them is a few hundred bytes.
    ERRORS.insert(error).unwrap_or(u64::MAX)
}

#[cold]
fn of_panic(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::new(ErrorKind::Bug, format!("panic: {}", text.unwrap_or("without a message")))
}

/// The number of the error's kind; 0 if `err` is no error.
#[uniffi::export]
pub fn error_kind(err: u64) -> u32 {
    ERRORS.with(err, |error| Ok(error.kind().code())).unwrap_or(0)
}

/// The number of the trap code; 0 if it is no trap.
#[uniffi::export]
pub fn error_trap(err: u64) -> u32 {
    ERRORS.with(err, |error| Ok(error.trap_code().map_or(0, |code| code.code()))).unwrap_or(0)
}

/// What the host function returned; 0 if it was none.
#[uniffi::export]
pub fn error_host_token(err: u64) -> u64 {
    ERRORS.with(err, |error| Ok(error.downcast_ref::<HostToken>().map_or(0, |token| token.0))).unwrap_or(0)
}

/// Writes the message; gives its full length.
#[uniffi::export]
pub fn error_message(err: u64, buf: u64, cap: u64) -> u64 {
    ERRORS.with(err, |error| Ok(raw::copy_text(error.message(), buf, cap))).unwrap_or(0)
}

#[uniffi::export]
pub fn error_free(err: u64) {
    ignore(|| {
        ERRORS.free(err);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_reported_as_a_bug_with_its_message() {
        let err = report(|| panic!("number {}", 7));
        assert_eq!(error_kind(err), ErrorKind::Bug.code());
        let mut text = [0u8; 32];
        let len = error_message(err, text.as_mut_ptr() as u64, text.len() as u64);
        assert_eq!(&text[..len as usize], b"panic: number 7");
        error_free(err);
        assert_eq!(error_kind(err), 0);
    }
}
