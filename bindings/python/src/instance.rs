//! `instar.Instance`: a sandbox.
//!
//! Invariant: whoever of `Instance` and its exports object goes last closes the instance, if it still is open. The exports
//! object, once made, is owned by the `Instance`, so it is the last.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::OrRaise;
use crate::exports::{ExportsState, give_up_data};
use crate::gil;
use crate::handle::Handle;
use crate::memory::Memory;
use crate::pre::{InstancePre, with_bytes};
use crate::reference::Ref;

/// An instance of a module. One thread at a time may use it; a second one gets an error of kind `BUSY`.
#[pyclass(frozen, module = "instar", name = "Instance")]
pub struct Instance {
    native: Handle,
    pre: Py<InstancePre>,
    /// The user's `data`, borrowed by the instance's store.
    data: Ref,
    exports: Ref,
}

impl Instance {
    pub fn new(native: Handle, pre: Py<InstancePre>, data: Ref) -> Self {
        Instance { native, pre, data, exports: Ref::empty() }
    }
}

#[pymethods]
impl Instance {
    /// The functions and memories that the instance exports: `instance.exports.name(…)`, `instance.exports["name"]`.
    #[getter]
    fn exports<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(exports) = self.exports.get(py) {
            return Ok(exports);
        }
        let pre = self.pre.bind(py);
        let (keep, data) = (Ref::new(pre.clone().into_any()), Ref::of(self.data.get(py)));
        let made = pre.get().surface(py)?.object(py, ExportsState::new(self.native.clone(), keep, data))?;
        // Making it may have run Python code that made one, too. From here on nothing does.
        match self.exports.get(py) {
            Some(exports) => Ok(exports),
            None => {
                // SAFETY: made by the surface just now.
                unsafe { ExportsState::own(&made) };
                self.exports.set(made.clone());
                Ok(made)
            }
        }
    }

    /// The memory that the instance exports as `memory`.
    #[getter]
    fn memory(slf: &Bound<'_, Self>) -> PyResult<Memory> {
        let (py, this) = (slf.py(), slf.get());
        let export = this.pre.get().memory_export(py, "memory")?;
        Ok(Memory::of_instance(this.native.clone(), export, slf.clone().into_any().unbind()))
    }

    /// The `data` that was given for this instance, or None.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.data.get(py)
    }

    /// Calls an exported function with bytes, and returns bytes. See `InstancePre.call_bytes`.
    #[pyo3(signature = (name, input, /))]
    fn call_bytes<'py>(&self, py: Python<'py>, name: &str, input: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let pre = self.pre.get();
        let func = pre.cached_bytes_func(py, name)?;
        with_bytes(input, |input| {
            let call = || self.native.enter()?.call_bytes(&func, input);
            Ok(PyBytes::new(py, &gil::run(py, pre.release_gil, call).or_raise(py)?))
        })
    }

    /// Ends the instance and gives its place back. Again is fine; during a call it is an error of kind `BUSY`.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.native.close().or_raise(py)?;
        // Only now: no guest code can see the data any more.
        drop(self.exports.take(py));
        drop(self.data.take(py));
        Ok(())
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    #[pyo3(signature = (exc_type=None, exc_value=None, traceback=None))]
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: Option<&Bound<'_, PyAny>>,
        exc_value: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let _ = (exc_type, exc_value, traceback);
        self.close(py)
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let pre = self.pre.bind(py).get();
        let name = pre.native.module().name().map_or_else(String::new, |name| format!(" of {name}"));
        format!("<instar.Instance{name}>")
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.pre)?;
        self.data.traverse(visit)?;
        self.exports.traverse(visit)
    }

    fn __clear__(&self, py: Python<'_>) {
        give_up_data(&self.native, &self.data, py);
        drop(self.exports.take(py));
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if self.exports.is_empty() {
            self.native.close_or_abandon();
        }
    }
}
