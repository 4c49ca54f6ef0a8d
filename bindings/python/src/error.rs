//! Instar's errors as Python exceptions, and Python exceptions on their way through a guest.
//!
//! The classes are Python's own (`instar/_errors.py`); the numbers are core's. A Python exception raised in a host
//! function travels as [`Raised`] through the guest's frames and comes out as the very same object.

use std::any::Any;
use std::fmt;

use instar::{Error, ErrorKind, TrapCode};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// A Python exception inside an [`Error`].
pub struct Raised(PyErr);

impl Raised {
    /// The error that a host function returns for a Python exception.
    pub fn error(exception: PyErr) -> Error {
        Error::host(Raised(exception))
    }
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Python exception")
    }
}

impl fmt::Debug for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Raised {}

/// The exception for an error.
#[cold]
pub fn raise(py: Python<'_>, error: Error) -> PyErr {
    match error.downcast::<Raised>() {
        Ok(Raised(exception)) => exception,
        Err(error) => {
            let trap = error.trap_code().map_or(0, TrapCode::code);
            make(py, error.kind(), trap, &error.to_string())
        }
    }
}

/// An exception of our own with a message.
#[cold]
pub fn of_kind(py: Python<'_>, kind: ErrorKind, message: impl AsRef<str>) -> PyErr {
    make(py, kind, 0, message.as_ref())
}

/// An argument or result has the wrong type, or there are too few or too many: an `instar.Error` and a `TypeError`.
#[cold]
pub fn signature(py: Python<'_>, message: String) -> PyErr {
    of_class(py, "SignatureError", message)
}

/// An integer does not fit: an `instar.Error` and an `OverflowError`.
#[cold]
pub fn range(py: Python<'_>, message: String) -> PyErr {
    of_class(py, "RangeError", message)
}

/// The exception for a panic of our own Rust code.
#[cold]
pub fn panicked(py: Python<'_>, panic: &(dyn Any + Send)) -> PyErr {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    of_kind(py, ErrorKind::Bug, format!("panic: {}", text.unwrap_or("without a message")))
}

fn make(py: Python<'_>, kind: ErrorKind, trap: u32, message: &str) -> PyErr {
    static FROM_NATIVE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let from_native = FROM_NATIVE
        .get_or_try_init(py, || Ok::<_, PyErr>(py.import("instar._errors")?.getattr("_from_native")?.unbind()));
    match from_native.and_then(|f| f.bind(py).call1((kind.code(), trap, message))) {
        Ok(exception) => PyErr::from_value(exception),
        Err(exception) => exception,
    }
}

fn of_class(py: Python<'_>, class: &str, message: String) -> PyErr {
    let class = py.import("instar._errors").and_then(|module| module.getattr(class));
    match class.and_then(|class| Ok(class.cast_into::<PyType>()?)) {
        Ok(class) => PyErr::from_type(class, message),
        Err(exception) => exception,
    }
}

/// `?` for results of core.
pub trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for instar::Result<T> {
    #[inline]
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| raise(py, error))
    }
}

type Numbers = Vec<(&'static str, u32)>;

/// The numbered lists of core, for the test that compares `instar/_kinds.py` with them.
#[pyfunction]
pub fn _numbers() -> (Numbers, Numbers) {
    let kinds = ErrorKind::ALL.iter().map(|kind| (kind.name(), kind.code()));
    let codes = TrapCode::ALL.iter().map(|code| (code.name(), code.code()));
    (kinds.collect(), codes.collect())
}
