//! Host functions: [`HostTable`] owns the Python callables, [`HostEntry`] is what the guest's import calls.
//!
//! ```text
//! Linker ──┐                        ┌── closure in instar::Linker
//!          ├─> HostTable ─> HostEntry <─┤
//! Pre ─────┘   (a Python object)    └── closure in instar::InstancePre
//! ```
//!
//! The closures that core keeps are invisible to the garbage collector, so they own no Python object. The table does, and
//! shows them; a linker and every pre made from it own the table. When the collector breaks a cycle, the table
//! empties the entries, and a closure that finds its entry empty answers with an error.
//!
//! Invariant: an entry's callable is null, or the table owns a reference to it.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use instar::{Error, ErrorKind};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{Borrowed, Py, ffi};

use crate::caller::Caller;
use crate::data::Data;
use crate::error::Raised;
use crate::gil;
use crate::reference::Ref;
use crate::value::Signature;

/// The callables of a linker. Not visible to users.
#[pyclass(frozen, module = "instar")]
pub struct HostTable {
    functions: Mutex<Vec<(Ref, Arc<HostEntry>)>>,
}

/// One host function.
pub struct HostEntry {
    callable: AtomicPtr<ffi::PyObject>,
    signature: Signature,
    wants_caller: bool,
    release_gil: bool,
}

impl HostTable {
    pub fn new() -> Self {
        HostTable { functions: Mutex::new(Vec::new()) }
    }

    pub fn add(
        &self,
        callable: Bound<'_, PyAny>,
        signature: Signature,
        wants_caller: bool,
        release_gil: bool,
    ) -> Arc<HostEntry> {
        let pointer = AtomicPtr::new(callable.as_ptr());
        let entry = Arc::new(HostEntry { callable: pointer, signature, wants_caller, release_gil });
        let mut functions = self.functions.lock().expect("nothing panics while it holds this lock");
        functions.push((Ref::new(callable), entry.clone()));
        entry
    }

    fn empty(&self) {
        let functions = match self.functions.lock() {
            Ok(mut functions) => std::mem::take(&mut *functions),
            Err(_) => return,
        };
        for (_, entry) in &functions {
            entry.callable.store(null_mut(), Relaxed);
        }
        // Only now, without the lock: dropping a callable may run any Python code.
        drop(functions);
    }
}

#[pymethods]
impl HostTable {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.functions.try_lock() {
            Ok(functions) => functions.iter().try_for_each(|(callable, _)| callable.traverse(visit)),
            Err(_) => Ok(()),
        }
    }

    fn __clear__(&self) {
        self.empty();
    }
}

impl Drop for HostTable {
    fn drop(&mut self) {
        self.empty();
    }
}

impl HostEntry {
    /// What the guest's import calls.
    pub fn call(&self, caller: instar::Caller<'_, Data>, slots: &mut [u64]) -> instar::Result<()> {
        // SAFETY: all guest code of an engine is entered by `gil::run` with the engine's choice, which is ours too.
        unsafe { gil::back(self.release_gil, |py| self.call_attached(py, caller, slots).map_err(Raised::error)) }
    }

    fn call_attached(&self, py: Python<'_>, caller: instar::Caller<'_, Data>, slots: &mut [u64]) -> PyResult<()> {
        // SAFETY: null, or alive by the module's invariant; the reference made here keeps it so during the call.
        let callable =
            unsafe { Borrowed::from_ptr_or_opt(py, self.callable.load(Relaxed)) }.map(|object| object.to_owned());
        let Some(callable) = callable else {
            let message = format!("host function {} is gone: its linker was collected", self.signature.name);
            return Err(crate::error::raise(py, Error::new(ErrorKind::StaleHandle, message)));
        };
        let result = if self.wants_caller {
            Caller::lend(py, caller, self.release_gil, |caller| self.invoke(&callable, Some(caller), slots))
        } else {
            self.invoke(&callable, None, slots)
        };
        self.signature.encode_results(&result?, slots)
    }

    fn invoke<'py>(
        &self,
        callable: &Bound<'py, PyAny>,
        caller: Option<&Bound<'py, PyAny>>,
        slots: &[u64],
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = callable.py();
        let mut args = self.signature.decode_params(py, slots)?;
        if let Some(caller) = caller {
            args.insert(0, caller.clone());
        }
        let end: *mut ffi::PyObject = null_mut();
        let f = callable.as_ptr();
        // Without a tuple for the usual few: `PyObject_Vectorcall` is not in the limited API before 3.12.
        let result = match &*args {
            // SAFETY: attached; all arguments are live objects.
            [] => unsafe { ffi::PyObject_CallNoArgs(f) },
            // SAFETY: as above; null ends the list.
            [a] => unsafe { ffi::PyObject_CallFunctionObjArgs(f, a.as_ptr(), end) },
            // SAFETY: as above.
            [a, b] => unsafe { ffi::PyObject_CallFunctionObjArgs(f, a.as_ptr(), b.as_ptr(), end) },
            // SAFETY: as above.
            [a, b, c] => unsafe { ffi::PyObject_CallFunctionObjArgs(f, a.as_ptr(), b.as_ptr(), c.as_ptr(), end) },
            _ => return callable.call1(PyTuple::new(py, args)?),
        };
        // SAFETY: a new reference, or null with an exception set.
        unsafe { Bound::from_owned_ptr_or_err(py, result) }
    }
}

/// A linker's or a pre's reference to its table.
pub type Hosts = Py<HostTable>;
