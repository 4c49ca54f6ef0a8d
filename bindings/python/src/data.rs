//! [`Data`]: what an instance's store knows of the `data` that the user gave for it.

use std::ptr::{NonNull, null_mut};

use pyo3::{Borrowed, Bound, PyAny, Python, ffi};

/// A borrowed pointer to the user's `data` object; none stands for Python's `None`.
///
/// It owns no reference, so that dropping a store never runs Python code and needs no attached interpreter, and so that
/// the garbage collector sees the true owner. Invariant: whoever starts guest code owns a reference to the object until
/// that code has returned:
/// * `Func` and `InstancePre.call` borrow it from their caller's arguments;
/// * `Instance` and `Exports` each own a reference, and close the instance before they give it up.
#[derive(Clone, Copy)]
pub struct Data(Option<NonNull<ffi::PyObject>>);

// SAFETY: the pointer is only turned into an object by `object`, which demands an attached interpreter.
unsafe impl Send for Data {}
// SAFETY: as above; nothing can be changed through a shared `Data`.
unsafe impl Sync for Data {}

impl Data {
    pub const NONE: Data = Data(None);

    /// Borrows `object`. The caller keeps the invariant of [`Data`].
    pub fn borrow(object: Option<&Bound<'_, PyAny>>) -> Self {
        Data(object.and_then(|object| NonNull::new(object.as_ptr())))
    }

    /// Borrows the object behind a pointer that may be null. The caller keeps the invariant of [`Data`].
    pub fn borrow_ptr(object: *mut ffi::PyObject) -> Self {
        Data(NonNull::new(object))
    }

    /// A new reference to the object.
    ///
    /// # Safety
    ///
    /// Guest code of the instance must be running: then the invariant says that the object is alive.
    pub unsafe fn object<'py>(self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let pointer = self.0.map_or(null_mut(), NonNull::as_ptr);
        // SAFETY: null, or alive by the caller's promise.
        unsafe { Borrowed::from_ptr_or_opt(py, pointer) }.map(|object| object.to_owned())
    }
}
