//! [`Ref`]: a reference to a Python object held by another Python object, and [`Visit`], how the collector finds it.
//!
//! pyo3's `Py<T>` puts its decrement off when it is dropped in a function that Python calls directly (`tp_dealloc`,
//! vectorcall), because pyo3 does not know there that the interpreter is attached. A sandbox must be given back at
//! once, so the objects of this crate hold their references as `Ref`, which decrements at once.
//!
//! Invariant: a `Ref` lives only inside a Python object (or on the stack of a function that Python called), so it is
//! created, read, taken and dropped only while this thread is attached to the interpreter.

use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::{Borrowed, Bound, PyAny, Python, ffi};

/// An owned reference that may be empty. See the module for when it may be dropped.
pub struct Ref(AtomicPtr<ffi::PyObject>);

impl Ref {
    pub fn new(object: Bound<'_, PyAny>) -> Self {
        Ref(AtomicPtr::new(object.into_ptr()))
    }

    pub const fn empty() -> Self {
        Ref(AtomicPtr::new(null_mut()))
    }

    pub fn of(object: Option<Bound<'_, PyAny>>) -> Self {
        object.map_or(Ref::empty(), Ref::new)
    }

    /// The object without a reference of its own; null if empty.
    pub fn as_ptr(&self) -> *mut ffi::PyObject {
        self.0.load(Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.as_ptr().is_null()
    }

    /// A new reference to the object.
    pub fn get<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        // SAFETY: the pointer is null or an object that `self` owns a reference to.
        let object = unsafe { Borrowed::from_ptr_or_opt(py, self.as_ptr()) };
        object.map(|object| object.to_owned())
    }

    /// Puts `object` in, and drops what was there.
    pub fn set(&self, object: Bound<'_, PyAny>) {
        let py = object.py();
        drop(self.swap(py, object.into_ptr()));
    }

    /// Takes the reference out, and leaves an empty one.
    pub fn take<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.swap(py, null_mut())
    }

    fn swap<'py>(&self, py: Python<'py>, new: *mut ffi::PyObject) -> Option<Bound<'py, PyAny>> {
        let old = self.0.swap(new, Relaxed);
        // SAFETY: the pointer is null or comes with the reference that `self` owned until the swap.
        unsafe { Bound::from_owned_ptr_or_opt(py, old) }
    }

    /// Leaves the reference to nobody: the object lives for ever.
    pub fn leak(&self) {
        self.0.store(null_mut(), Relaxed);
    }

    /// Shows the reference to the garbage collector, for a pyo3 class.
    pub fn traverse(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if self.is_empty() {
            return Ok(());
        }
        // SAFETY: the collector runs attached; it only calls `visit` with the pointer.
        let py = unsafe { Python::assume_attached() };
        // SAFETY: the pointer is an object; `ManuallyDrop` never gives the reference back, so none is taken from `self`.
        let object = ManuallyDrop::new(unsafe { Bound::from_owned_ptr(py, self.as_ptr()) });
        visit.call(object.as_unbound())
    }
}

impl Drop for Ref {
    fn drop(&mut self) {
        // SAFETY: by the module's invariant this thread is attached.
        let py = unsafe { Python::assume_attached() };
        drop(self.take(py));
    }
}

/// The garbage collector's visitor, for the classes of [`object`](crate::object).
#[derive(Clone, Copy)]
pub struct Visit {
    visit: ffi::visitproc,
    arg: *mut c_void,
}

impl Visit {
    /// # Safety
    ///
    /// Both must be those that `tp_traverse` was called with, and that call must not have returned.
    pub unsafe fn new(visit: ffi::visitproc, arg: *mut c_void) -> Self {
        Visit { visit, arg }
    }

    /// Visits all of these; stops at the first that answers other than 0.
    pub fn all(self, references: &[&Ref]) -> c_int {
        references.iter().map(|reference| self.pointer(reference.as_ptr())).find(|&answer| answer != 0).unwrap_or(0)
    }

    pub fn pointer(self, object: *mut ffi::PyObject) -> c_int {
        if object.is_null() {
            return 0;
        }
        // SAFETY: by `new`, these are what the collector gave us; the object is alive, its owner being traversed.
        unsafe { (self.visit)(object, self.arg) }
    }
}
