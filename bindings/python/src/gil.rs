//! Who holds the interpreter while guest code runs: the engine's choice, `Engine(release_gil=…)`.
//!
//! Default: this thread keeps it. A call is some 50 ns cheaper, and host functions need not wait for it; other Python
//! threads stand still while the guest runs. With `release_gil=True` guest code runs detached and host functions attach.
//! Compiling always runs detached.

use instar::{Error, ErrorKind, Result};
use pyo3::Python;

/// Runs guest code as the engine's choice demands.
pub fn run<R: Send>(py: Python<'_>, release: bool, body: impl FnOnce() -> R + Send) -> R {
    if release { py.detach(body) } else { body() }
}

/// Runs a host function's Python code: the other direction of [`run`].
///
/// # Safety
///
/// If `release` is false, this thread must be attached: the guest was entered by `run(_, false, _)`.
pub unsafe fn back<R>(release: bool, body: impl FnOnce(Python<'_>) -> Result<R>) -> Result<R> {
    if release {
        Python::try_attach(body).unwrap_or_else(|| {
            Err(Error::new(ErrorKind::Host, "a host function cannot run: the Python interpreter is shutting down"))
        })
    } else {
        // SAFETY: promised by the caller.
        body(unsafe { Python::assume_attached() })
    }
}
