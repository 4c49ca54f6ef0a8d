//! `instance.exports`: an object of a class made for its InstancePre, with the module's functions as methods.
//!
//! So looking a function up is Python's own attribute look-up, cached by the interpreter, and costs an instance nothing:
//! an [`ExportsState`] is made when `instance.exports` is first asked for, and the class once per InstancePre.
//!
//! Exports whose names are no identifiers, or begin and end with two underscores (a guest must not define `__del__`), are
//! found by `exports["name"]` only.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use instar::{ErrorKind, ExportMemory, ExternType};
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};
use pyo3::{Borrowed, ffi};

use crate::error;
use crate::func::Method;
use crate::handle::Handle;
use crate::memory::Memory;
use crate::object::{Class, Contents, Description, Table, contents, enter};
use crate::pre::InstancePre;
use crate::reference::{Ref, Visit};

/// What an exports object contains. It closes the instance when it goes, once [`own`](Self::own) was called.
pub struct ExportsState {
    instance: Handle,
    owns_instance: AtomicBool,
    /// The `InstancePre`, which keeps the host functions.
    pre: Ref,
    /// The user's `data`, borrowed by the instance's store.
    data: Ref,
}

impl ExportsState {
    pub fn new(instance: Handle, pre: Ref, data: Ref) -> Self {
        ExportsState { instance, owns_instance: AtomicBool::new(false), pre, data }
    }

    pub fn instance(&self) -> &Handle {
        &self.instance
    }

    /// Makes an exports object the one that closes the instance.
    ///
    /// # Safety
    ///
    /// `exports` must come from [`Surface::object`].
    pub unsafe fn own(exports: &Bound<'_, PyAny>) {
        // SAFETY: promised by the caller.
        unsafe { contents::<ExportsState>(exports.as_ptr()) }.owns_instance.store(true, Relaxed);
    }
}

impl Drop for ExportsState {
    fn drop(&mut self) {
        if *self.owns_instance.get_mut() {
            self.instance.close_or_abandon();
        }
    }
}

impl Contents for ExportsState {
    fn traverse(&self, visit: Visit) -> c_int {
        visit.all(&[&self.pre, &self.data])
    }

    fn clear(&self, py: Python<'_>) {
        give_up_data(&self.instance, &self.data, py);
    }
}

/// Drops `data` after closing the instance; keeps it for ever if the instance cannot be closed.
pub fn give_up_data(instance: &Handle, data: &Ref, py: Python<'_>) {
    match instance.close() {
        Ok(()) => drop(data.take(py)),
        Err(_) => data.leak(),
    }
}

/// What an InstancePre knows of its exports.
pub struct Surface {
    class: Class<ExportsState>,
    /// Every function and memory by name: what stands in the class, too, if its name may.
    by_name: Py<PyDict>,
}

impl Surface {
    pub fn new(py: Python<'_>, pre: &InstancePre) -> PyResult<Self> {
        let class = exports_class(py)?;
        let by_name = PyDict::new(py);
        for export in pre.native.module().exports() {
            let export_descriptor = match export.ty {
                // SAFETY: the class is one of `ExportsState`.
                ExternType::Func(_) => unsafe { Method::object(pre.callee(py, export.name)?, class.class(py)) }?,
                ExternType::Memory(_) => MemoryExport::object(py, pre.memory_export(py, export.name)?, &class)?,
                ExternType::Table(_) | ExternType::Global(_) => continue,
            };
            by_name.set_item(export.name, export_descriptor)?;
        }
        for (name, export_descriptor) in &by_name {
            if is_attribute_name(&name)? {
                class.class(py).setattr(name.cast()?, export_descriptor)?;
            }
        }
        Ok(Surface { class, by_name: by_name.unbind() })
    }

    pub fn object<'py>(&self, py: Python<'py>, state: ExportsState) -> PyResult<Bound<'py, PyAny>> {
        self.class.object(py, None, state)
    }

    pub fn traverse(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.class.object_of_class())?;
        visit.call(&self.by_name)
    }
}

fn is_attribute_name(name: &Bound<'_, PyAny>) -> PyResult<bool> {
    let identifier = name.call_method0("isidentifier")?.is_truthy()?;
    let text = name.extract::<std::borrow::Cow<'_, str>>()?;
    Ok(identifier && !(text.starts_with("__") && text.ends_with("__")))
}

/// What stands in an exports class under a memory's name.
#[pyclass(frozen, module = "instar")]
struct MemoryExport {
    export: ExportMemory,
    /// The exports class, made by a `Class<ExportsState>`.
    owner: Py<PyType>,
}

impl MemoryExport {
    fn object<'py>(py: Python<'py>, export: ExportMemory, owner: &Class<ExportsState>) -> PyResult<Bound<'py, PyAny>> {
        let owner = owner.class(py).clone().unbind();
        Ok(Bound::new(py, MemoryExport { export, owner })?.into_any())
    }
}

#[pymethods]
impl MemoryExport {
    fn __get__<'py>(
        slf: &Bound<'py, Self>,
        object: Option<&Bound<'py, PyAny>>,
        owner: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, this, _) = (slf.py(), slf.get(), owner);
        let Some(exports) = object else {
            return Ok(slf.clone().into_any());
        };
        if !exports.get_type().is(&this.owner) {
            return Err(PyTypeError::new_err("this memory belongs to the exports of other instances"));
        }
        // SAFETY: an object of the owner, which is a class of `ExportsState`.
        let instance = unsafe { contents::<ExportsState>(exports.as_ptr()) }.instance.clone();
        let memory = Memory::of_instance(instance, this.export.clone(), exports.clone().unbind());
        Ok(Bound::new(py, memory)?.into_any())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.owner)
    }
}

/// The names and descriptors of an exports object.
///
/// # Safety
///
/// `exports` must be a live object of a class of `ExportsState`.
unsafe fn by_name<'py>(py: Python<'py>, exports: *mut ffi::PyObject) -> PyResult<Bound<'py, PyDict>> {
    // SAFETY: promised by the caller.
    let state = unsafe { contents::<ExportsState>(exports) };
    let pre = state.pre.get(py).ok_or_else(|| PyTypeError::new_err("these exports are gone"))?;
    let pre = pre.cast::<InstancePre>()?;
    Ok(pre.get().surface(py)?.by_name.bind(py).clone())
}

/// `exports[name]`
unsafe extern "C" fn subscript(exports: *mut ffi::PyObject, name: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(|py| {
        // SAFETY: this is a slot of classes of `ExportsState` only.
        let by_name = unsafe { by_name(py, exports) }?;
        // SAFETY: Python gives live objects.
        let (exports, name) = unsafe { (Borrowed::from_ptr(py, exports), Borrowed::from_ptr(py, name)) };
        match by_name.get_item(name)? {
            Some(descriptor) => Ok(descriptor.call_method1("__get__", (exports,))?.into_ptr()),
            None => Err(missing(py, exports.as_ptr(), &name)),
        }
    })
}

/// Why `exports[name]` has nothing to give.
fn missing(py: Python<'_>, exports: *mut ffi::PyObject, name: &Bound<'_, PyAny>) -> PyErr {
    // SAFETY: called by `subscript` only, with its own object.
    let pre = unsafe { contents::<ExportsState>(exports) }.pre.get(py);
    let module = pre.and_then(|pre| Some(pre.cast_into::<InstancePre>().ok()?.get().native.module().clone()));
    let is_other =
        name.extract::<String>().is_ok_and(|name| module.is_some_and(|module| module.export(&name).is_some()));
    let but = if is_other { " that is a function or a memory" } else { "" };
    let shown = name.repr().map_or_else(|_| "of that name".to_owned(), |name| name.to_string());
    error::of_kind(py, ErrorKind::MissingExport, format!("the instance has no export {shown}{but}"))
}

/// `len(exports)`
unsafe extern "C" fn length(exports: *mut ffi::PyObject) -> ffi::Py_ssize_t {
    let mut length = -1;
    enter(|py| {
        // SAFETY: this is a slot of classes of `ExportsState` only.
        length = unsafe { by_name(py, exports) }?.len() as ffi::Py_ssize_t;
        Ok(std::ptr::null_mut())
    });
    length
}

/// `name in exports`
unsafe extern "C" fn contains(exports: *mut ffi::PyObject, name: *mut ffi::PyObject) -> c_int {
    let mut answer = -1;
    enter(|py| {
        // SAFETY: this is a slot of classes of `ExportsState` only.
        let by_name = unsafe { by_name(py, exports) }?;
        // SAFETY: Python gives a live object.
        answer = c_int::from(by_name.contains(unsafe { Borrowed::from_ptr(py, name) })?);
        Ok(std::ptr::null_mut())
    });
    answer
}

/// `iter(exports)`: the names.
unsafe extern "C" fn iterate(exports: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(|py| {
        // SAFETY: this is a slot of classes of `ExportsState` only.
        let by_name = unsafe { by_name(py, exports) }?;
        Ok(by_name.keys().try_iter()?.into_ptr())
    })
}

/// `repr(exports)`
unsafe extern "C" fn repr(exports: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(|py| {
        // SAFETY: this is a slot of classes of `ExportsState` only.
        let names = unsafe { by_name(py, exports) }?.keys();
        Ok(pyo3::types::PyString::new(py, &format!("<instar.Exports {names}>")).into_ptr())
    })
}

static NO_METHODS: Table<ffi::PyMethodDef> = Table(&[ffi::PyMethodDef::zeroed()]);

static NO_PROPERTIES: Table<ffi::PyGetSetDef> = Table(&[ffi::PyGetSetDef {
    name: std::ptr::null(),
    get: None,
    set: None,
    doc: std::ptr::null(),
    closure: std::ptr::null_mut(),
}]);

fn exports_class(py: Python<'_>) -> PyResult<Class<ExportsState>> {
    let description = Description {
        name: c"instar.Exports",
        doc: c"The functions and memories that an instance exports, as attributes and by name.",
        is_method: false,
        immutable: false,
        vectorcall: false,
        methods: &NO_METHODS,
        properties: &NO_PROPERTIES,
        slots: &[
            (ffi::Py_mp_subscript, subscript as ffi::binaryfunc as *mut c_void),
            (ffi::Py_mp_length, length as ffi::lenfunc as *mut c_void),
            (ffi::Py_sq_contains, contains as ffi::objobjproc as *mut c_void),
            (ffi::Py_tp_iter, iterate as ffi::getiterfunc as *mut c_void),
            (ffi::Py_tp_repr, repr as ffi::reprfunc as *mut c_void),
        ],
    };
    // SAFETY: each function has its slot's type and treats its object as an `ExportsState`.
    unsafe { Class::new(py, &description) }
}
