//! Python classes made by hand, for what pyo3 cannot say: a vectorcall entry, and types made at run time.
//!
//! pyo3 calls instances through `tp_call`, which costs a tuple per call (60 ns instead of 11). A class here is a heap
//! type of the limited API (3.11) whose objects are laid out as
//!
//! ```text
//! | ob_refcnt | ob_type | vectorcall | ready | contents: C |
//! ```
//!
//! `__vectorcalloffset__` is the documented way to name the entry; the type flag is in the limited API since 3.12 with
//! the number it has had since 3.8.
//!
//! Invariant: an object of a [`Class<C>`] has this layout, and `ready` says whether `contents` is initialised. The
//! allocator zeroes, so the collector may look at an object before it is ready.

use std::ffi::{CStr, c_int, c_uint, c_ulong, c_void};
use std::marker::PhantomData;
use std::mem::{MaybeUninit, offset_of};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{NonNull, addr_of_mut, null_mut};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use pyo3::{Borrowed, ffi};

use crate::error;
use crate::reference::Visit;

/// `Py_TPFLAGS_HAVE_VECTORCALL`, which pyo3 hides below 3.12.
const HAVE_VECTORCALL: c_ulong = 1 << 11;

/// `PY_VECTORCALL_ARGUMENTS_OFFSET`, which pyo3 hides below 3.12: a flag in the count of arguments.
const ARGUMENTS_OFFSET: usize = 1 << (usize::BITS - 1);

/// What an object of a class made here contains.
pub trait Contents: Sized {
    /// Shows every [`Ref`](crate::reference::Ref) to the collector.
    fn traverse(&self, visit: Visit) -> c_int;

    /// Drops every [`Ref`](crate::reference::Ref) that may be part of a cycle.
    fn clear(&self, py: Python<'_>);
}

/// A class whose objects contain a `C`.
pub struct Class<C> {
    class: Py<PyType>,
    contents: PhantomData<fn() -> C>,
}

#[repr(C)]
struct Layout<C> {
    base: ffi::PyObject,
    vectorcall: Option<ffi::vectorcallfunc>,
    ready: bool,
    contents: MaybeUninit<C>,
}

/// What a class consists of besides its contents.
pub struct Description<'a> {
    /// With the module, `instar.Func`.
    pub name: &'static CStr,
    pub doc: &'static CStr,
    /// The class's objects are functions of the class they stand in, like Python's own.
    pub is_method: bool,
    /// Set attributes are refused.
    pub immutable: bool,
    /// The class's objects can be called: each has an entry.
    pub vectorcall: bool,
    pub methods: &'static Table<ffi::PyMethodDef>,
    pub properties: &'static Table<ffi::PyGetSetDef>,
    /// Further slots, each with a function of the type that the slot demands.
    pub slots: &'a [(c_int, *mut c_void)],
}

/// A table of definitions that ends with an empty one, as C wants it.
pub struct Table<D: 'static>(pub &'static [D]);

// SAFETY: the definitions hold pointers to constants only, and nobody writes to them.
unsafe impl<D> Sync for Table<D> {}

impl<C: Contents> Class<C> {
    /// # Safety
    ///
    /// Every function in `description` must have the type that its place demands, and treat its object as one of this
    /// class.
    pub unsafe fn new(py: Python<'_>, description: &Description<'_>) -> PyResult<Self> {
        // CPython copies the members, so they may live on the stack.
        let mut members = [vectorcall_member::<C>(), ffi::PyMemberDef::default()];
        let mut slots = vec![
            slot(ffi::Py_tp_dealloc, dealloc::<C> as ffi::destructor as *mut c_void),
            slot(ffi::Py_tp_traverse, traverse::<C> as ffi::traverseproc as *mut c_void),
            slot(ffi::Py_tp_clear, clear::<C> as ffi::inquiry as *mut c_void),
            slot(ffi::Py_tp_doc, description.doc.as_ptr().cast_mut().cast()),
            slot(ffi::Py_tp_methods, description.methods.0.as_ptr().cast_mut().cast()),
            slot(ffi::Py_tp_getset, description.properties.0.as_ptr().cast_mut().cast()),
        ];
        let mut flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
        if description.vectorcall {
            flags |= HAVE_VECTORCALL;
            slots.push(slot(ffi::Py_tp_call, call::<C> as ffi::ternaryfunc as *mut c_void));
            slots.push(slot(ffi::Py_tp_members, members.as_mut_ptr().cast()));
        }
        if description.is_method {
            flags |= ffi::Py_TPFLAGS_METHOD_DESCRIPTOR;
        }
        if description.immutable {
            flags |= ffi::Py_TPFLAGS_IMMUTABLETYPE;
        }
        slots.extend(description.slots.iter().map(|&(number, pointer)| slot(number, pointer)));
        slots.push(slot(0, null_mut()));
        let mut spec = ffi::PyType_Spec {
            name: description.name.as_ptr(),
            basicsize: size_of::<Layout<C>>() as c_int,
            itemsize: 0,
            flags: flags as c_uint,
            slots: slots.as_mut_ptr(),
        };
        // SAFETY: the specification is complete and ends with the empty slot; all strings and tables are 'static.
        let class = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(&mut spec)) }?;
        Ok(Class { class: class.cast_into::<PyType>()?.unbind(), contents: PhantomData })
    }

    pub fn class<'py>(&self, py: Python<'py>) -> &Bound<'py, PyType> {
        self.class.bind(py)
    }

    /// The class for the collector, which runs without a `Python`.
    pub fn object_of_class(&self) -> &Py<PyType> {
        &self.class
    }

    /// Makes an object of this class. `vectorcall` is its entry; the class must have been described with one.
    pub fn object<'py>(
        &self,
        py: Python<'py>,
        vectorcall: Option<ffi::vectorcallfunc>,
        contents: C,
    ) -> PyResult<Bound<'py, PyAny>> {
        // SAFETY: the class is a type object, and its allocator takes 0 items.
        let object = unsafe { ffi::PyType_GenericAlloc(self.class.as_ptr().cast(), 0) };
        // SAFETY: null with an exception set, or a new reference.
        let object = unsafe { Bound::from_owned_ptr_or_err(py, object) }?;
        let layout = object.as_ptr().cast::<Layout<C>>();
        // SAFETY: an object of this class has this layout, and nobody else has seen it yet.
        unsafe { (*layout).vectorcall = vectorcall };
        // SAFETY: as above.
        unsafe { (*layout).contents.write(contents) };
        // SAFETY: as above; the contents are initialised now.
        unsafe { (*layout).ready = true };
        Ok(object)
    }
}

/// The contents of an object.
///
/// # Safety
///
/// `object` must be an object of a `Class<C>`, made by [`Class::object`], and outlive `'a`.
pub unsafe fn contents<'a, C: Contents>(object: *mut ffi::PyObject) -> &'a C {
    let layout = object.cast::<Layout<C>>();
    // SAFETY: by the caller's promise the object has this layout.
    debug_assert!(unsafe { (*layout).ready });
    // SAFETY: as above; `Class::object` has initialised the contents, and only `dealloc` ends them.
    unsafe { (*layout).contents.assume_init_ref() }
}

/// Runs the body of a function that Python calls directly: gives its exception to Python and stops panics.
pub fn enter(body: impl FnOnce(Python<'_>) -> PyResult<*mut ffi::PyObject>) -> *mut ffi::PyObject {
    // SAFETY: Python calls us, so this thread is attached.
    let py = unsafe { Python::assume_attached() };
    let exception = match catch_unwind(AssertUnwindSafe(|| body(py))) {
        Ok(Ok(object)) => return object,
        Ok(Err(exception)) => exception,
        Err(panic) => error::panicked(py, &*panic),
    };
    exception.restore(py);
    null_mut()
}

fn slot(number: c_int, pointer: *mut c_void) -> ffi::PyType_Slot {
    ffi::PyType_Slot { slot: number, pfunc: pointer }
}

fn vectorcall_member<C>() -> ffi::PyMemberDef {
    ffi::PyMemberDef {
        name: c"__vectorcalloffset__".as_ptr(),
        type_code: ffi::Py_T_PYSSIZET,
        offset: offset_of!(Layout<C>, vectorcall) as ffi::Py_ssize_t,
        flags: ffi::Py_READONLY,
        doc: std::ptr::null(),
    }
}

/// `tp_dealloc`
unsafe extern "C" fn dealloc<C: Contents>(object: *mut ffi::PyObject) {
    // SAFETY: Python gives a live object of our class.
    let class = unsafe { ffi::Py_TYPE(object) };
    // SAFETY: as above; the collector must not see the object any more.
    unsafe { ffi::PyObject_GC_UnTrack(object.cast()) };
    let layout = object.cast::<Layout<C>>();
    // SAFETY: as above.
    if unsafe { (*layout).ready } {
        // SAFETY: the contents are initialised, and this runs once.
        unsafe { addr_of_mut!((*layout).contents).cast::<C>().drop_in_place() };
    }
    // SAFETY: the object came from the collector's allocator and nobody refers to it.
    unsafe { ffi::PyObject_GC_Del(object.cast()) };
    // SAFETY: each object of a heap type owns a reference to its type.
    unsafe { ffi::Py_DECREF(class.cast()) };
}

/// `tp_traverse`
unsafe extern "C" fn traverse<C: Contents>(
    object: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: these are the collector's.
    let visit = unsafe { Visit::new(visit, arg) };
    // SAFETY: Python gives a live object of our class.
    let class = unsafe { ffi::Py_TYPE(object) };
    // SAFETY: as above.
    let ready = unsafe { (*object.cast::<Layout<C>>()).ready };
    match visit.pointer(class.cast()) {
        // SAFETY: it is ready, and alive during this call.
        0 if ready => unsafe { contents::<C>(object) }.traverse(visit),
        answer => answer,
    }
}

/// `tp_clear`
unsafe extern "C" fn clear<C: Contents>(object: *mut ffi::PyObject) -> c_int {
    // SAFETY: Python gives a live object of our class.
    if unsafe { (*object.cast::<Layout<C>>()).ready } {
        // SAFETY: it is ready, and alive during this call.
        let contents = unsafe { contents::<C>(object) };
        // SAFETY: the collector runs attached.
        contents.clear(unsafe { Python::assume_attached() });
    }
    0
}

/// `tp_call`, for the rare caller that does not know vectorcall: lays the arguments out and uses the object's entry.
unsafe extern "C" fn call<C>(
    object: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    enter(|py| {
        // SAFETY: Python gives a tuple.
        let args = unsafe { Borrowed::from_ptr(py, args) }.to_owned().cast_into::<PyTuple>()?;
        // SAFETY: Python gives a dict or null.
        let kwargs = unsafe { Borrowed::from_ptr_or_opt(py, kwargs) };
        let mut values: Vec<Bound<'_, PyAny>> = args.iter().collect();
        let mut names = None;
        if let Some(kwargs) = kwargs {
            let kwargs = kwargs.to_owned().cast_into::<PyDict>()?;
            names = Some(PyTuple::new(py, kwargs.keys())?);
            values.extend(kwargs.values());
        }
        let pointers: Vec<_> = values.iter().map(|value| value.as_ptr()).collect();
        let names = names.as_ref().map_or(null_mut(), |names| names.as_ptr());
        // SAFETY: Python gives a live object of our class.
        let entry = unsafe { (*object.cast::<Layout<C>>()).vectorcall };
        let entry = entry.ok_or_else(|| PyTypeError::new_err("this object cannot be called"))?;
        // SAFETY: positional values first, then one for each name; all are kept alive by `values`.
        let result = unsafe { entry(object, pointers.as_ptr(), args.len(), names) };
        NonNull::new(result).map(NonNull::as_ptr).ok_or_else(|| PyErr::fetch(py))
    })
}

/// The `n` positional arguments and the keyword arguments of a vectorcall.
pub struct Arguments<'a> {
    positional: &'a [*mut ffi::PyObject],
    keyword_values: *const *mut ffi::PyObject,
    keyword_names: *mut ffi::PyObject,
}

impl<'a> Arguments<'a> {
    /// # Safety
    ///
    /// The three must be what Python called a vectorcall entry with, and that call must not have returned during `'a`.
    pub unsafe fn new(args: *const *mut ffi::PyObject, nargsf: usize, names: *mut ffi::PyObject) -> Self {
        let count = nargsf & !ARGUMENTS_OFFSET;
        let positional = match count {
            0 => &[][..],
            // SAFETY: Python gives `count` arguments.
            _ => unsafe { std::slice::from_raw_parts(args, count) },
        };
        Arguments { positional, keyword_values: args.wrapping_add(count), keyword_names: names }
    }

    pub fn positional(&self) -> &'a [*mut ffi::PyObject] {
        self.positional
    }

    /// The value of the only keyword there may be, if any; null without it.
    ///
    /// # Errors
    ///
    /// `TypeError` if there is another one.
    #[inline]
    pub fn keyword(&self, py: Python<'_>, function: &str, keyword: Option<&CStr>) -> PyResult<*mut ffi::PyObject> {
        if self.keyword_names.is_null() { Ok(null_mut()) } else { self.find_keyword(py, function, keyword) }
    }

    fn find_keyword(&self, py: Python<'_>, function: &str, keyword: Option<&CStr>) -> PyResult<*mut ffi::PyObject> {
        // SAFETY: Python gives a tuple of strings.
        let names = unsafe { Borrowed::from_ptr(py, self.keyword_names) };
        let mut found = null_mut();
        for (at, name) in names.cast::<PyTuple>()?.iter_borrowed().enumerate() {
            let is = |keyword: &CStr| {
                // SAFETY: the name is a string, and the keyword ends with 0.
                unsafe { ffi::PyUnicode_CompareWithASCIIString(name.as_ptr(), keyword.as_ptr()) == 0 }
            };
            if !keyword.is_some_and(is) {
                return Err(PyTypeError::new_err(format!(
                    "{function}() got an unexpected keyword argument {}",
                    name.repr()?
                )));
            }
            // SAFETY: there is one value for each name, after the positional ones.
            found = unsafe { *self.keyword_values.add(at) };
        }
        Ok(found)
    }
}

/// `None` becomes null: both mean that there is no `data`.
pub fn none_to_null(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: always allowed.
    if object == unsafe { ffi::Py_None() } { null_mut() } else { object }
}
