//! `instar.Caller`: the calling instance, lent to a host function for the time of one call.
//!
//! Invariant: `native` is null, or points to the `instar::Caller` of a host call that has not returned. Only the thread
//! of that call may use it, and not while a call into the guest made through it is under way (`busy`): that call
//! has borrowed it.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering::Relaxed};

use instar::ErrorKind;
use pyo3::exceptions::PyAttributeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::data::Data;
use crate::error::{self, OrRaise};
use crate::gil;
use crate::memory::Memory;
use crate::value::{Signature, with_slots};

type Native<'a> = instar::Caller<'a, Data>;

/// The instance that called a host function. Valid until the host function returns.
#[pyclass(frozen, module = "instar", name = "Caller")]
pub struct Caller {
    native: AtomicPtr<Native<'static>>,
    busy: AtomicBool,
    thread: usize,
    release_gil: bool,
}

/// The exports of the instance that called a host function.
#[pyclass(frozen, module = "instar", name = "CallerExports")]
pub struct CallerExports {
    caller: Py<Caller>,
}

/// A function of the instance that called a host function.
#[pyclass(frozen, module = "instar", name = "CallerFunc")]
pub struct CallerFunc {
    caller: Py<Caller>,
    func: instar::Func,
    signature: Signature,
}

impl Caller {
    /// Lends `native` to Python code for the time of `body`.
    pub fn lend<'py, R>(
        py: Python<'py>,
        mut native: Native<'_>,
        release_gil: bool,
        body: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<R>,
    ) -> PyResult<R> {
        let pointer = (&raw mut native).cast::<Native<'static>>();
        let caller = Caller {
            native: AtomicPtr::new(pointer),
            busy: AtomicBool::new(false),
            thread: this_thread(),
            release_gil,
        };
        let caller = Bound::new(py, caller)?;
        let _end = End(caller.get());
        body(caller.as_any())
    }

    /// Uses the native caller.
    pub fn with<R>(&self, py: Python<'_>, body: impl FnOnce(&mut Native<'_>) -> PyResult<R>) -> PyResult<R> {
        let pointer = self.native.load(Relaxed);
        if pointer.is_null() {
            let message = "this Caller was used after its host function had returned";
            return Err(error::of_kind(py, ErrorKind::StaleHandle, message));
        }
        if self.thread != this_thread() {
            let message = "this Caller was used by another thread than the one that runs its host function";
            return Err(error::of_kind(py, ErrorKind::Busy, message));
        }
        if self.busy.swap(true, Relaxed) {
            let message =
                "this Caller was used during a call into the guest made through it; use the inner host call's own";
            return Err(error::of_kind(py, ErrorKind::Busy, message));
        }
        let _idle = Idle(self);
        // SAFETY: by the module's invariant it points to a caller that is alive; we are on its thread and nobody else
        // borrows it. Its true lifetime is longer than `body`, which cannot keep it.
        body(unsafe { &mut *pointer })
    }

    fn function(slf: &Bound<'_, Self>, name: &str) -> PyResult<Option<CallerFunc>> {
        let py = slf.py();
        slf.get().with(py, |native| {
            let Some(func) = native.func(name) else { return Ok(None) };
            let signature = Signature::of(name, &func.ty(&*native).or_raise(py)?);
            Ok(Some(CallerFunc { caller: slf.clone().unbind(), func, signature }))
        })
    }

    fn memory_named(slf: &Bound<'_, Self>, name: &str) -> PyResult<Option<Memory>> {
        let memory = slf.get().with(slf.py(), |native| Ok(native.memory(name)))?;
        Ok(memory.map(|memory| Memory::of_caller(slf.clone().unbind(), memory)))
    }
}

/// Takes the native caller back.
struct End<'a>(&'a Caller);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.native.store(null_mut(), Relaxed);
    }
}

struct Idle<'a>(&'a Caller);

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.busy.store(false, Relaxed);
    }
}

#[pymethods]
impl Caller {
    /// The `data` that was given for this instance, or None.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.with(py, |native| {
            let data = *native.data();
            // SAFETY: the guest is running: it called us.
            Ok(unsafe { data.object(py) })
        })
    }

    /// The memory that the instance exports as `memory`.
    #[getter]
    fn memory(slf: &Bound<'_, Self>) -> PyResult<Memory> {
        Caller::memory_named(slf, "memory")?.ok_or_else(|| {
            error::of_kind(
                slf.py(),
                ErrorKind::MissingExport,
                "the calling instance exports no memory named \"memory\"",
            )
        })
    }

    /// The functions and memories that the instance exports.
    #[getter]
    fn exports(slf: &Bound<'_, Self>) -> CallerExports {
        CallerExports { caller: slf.clone().unbind() }
    }
}

impl CallerExports {
    fn find<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        let caller = self.caller.bind(py);
        if let Some(func) = Caller::function(caller, name)? {
            return Ok(Some(Bound::new(py, func)?.into_any()));
        }
        match Caller::memory_named(caller, name)? {
            Some(memory) => Ok(Some(Bound::new(py, memory)?.into_any())),
            None => Ok(None),
        }
    }
}

#[pymethods]
impl CallerExports {
    fn __getattr__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let missing =
            || PyAttributeError::new_err(format!("the calling instance exports no function or memory {name:?}"));
        self.find(py, name)?.ok_or_else(missing)
    }

    fn __getitem__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        self.find(py, name)?.ok_or_else(|| {
            let message = format!("the calling instance exports no function or memory {name:?}");
            error::of_kind(py, ErrorKind::MissingExport, message)
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.caller)
    }
}

impl CallerFunc {
    fn run(&self, py: Python<'_>, slots: &mut [u64]) -> PyResult<()> {
        let caller = self.caller.get();
        caller.with(py, |native| {
            let native = SameThread(native);
            gil::run(py, caller.release_gil, || native.call(self.func, slots)).or_raise(py)
        })
    }
}

#[pymethods]
impl CallerFunc {
    #[pyo3(signature = (*args))]
    fn __call__<'py>(&self, args: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let py = args.py();
        let pointers: Vec<_> = args.iter_borrowed().map(|arg| arg.as_ptr()).collect();
        with_slots(self.signature.slots(), |slots| {
            // SAFETY: the tuple keeps its items alive.
            unsafe { self.signature.encode(py, &pointers, slots) }?;
            self.run(py, slots)?;
            let result = self.signature.decode(py, slots)?;
            // SAFETY: a new reference.
            unsafe { Bound::from_owned_ptr_or_err(py, result) }
        })
    }

    /// Calls with bit patterns: one unsigned int of 64 bits for each argument and result, two for a v128, its low half first.
    fn call_raw<'py>(&self, slots: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let (py, given) = (slots.py(), slots);
        with_slots(self.signature.slots(), |slots| {
            self.signature.encode_raw(given, slots)?;
            self.run(py, slots)?;
            self.signature.raw_results(py, slots)
        })
    }

    fn __repr__(&self) -> String {
        format!("<instar.CallerFunc {}>", self.signature)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.caller)
    }
}

/// Carries a borrow into [`gil::run`], which wants its body `Send` though it runs it on this very thread.
struct SameThread<'a, 'b>(&'a mut Native<'b>);

// SAFETY: see the type; the body never leaves the thread.
unsafe impl Send for SameThread<'_, '_> {}

impl SameThread<'_, '_> {
    fn call(self, func: instar::Func, slots: &mut [u64]) -> instar::Result<()> {
        func.call_raw(self.0, slots)
    }
}

/// A number that no other living thread has.
fn this_thread() -> usize {
    thread_local!(static MARK: u8 = const { 0 });
    MARK.with(|mark| std::ptr::from_ref(mark).addr())
}
