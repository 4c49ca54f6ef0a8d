//! `instar.InstancePre`: what is instantiated millions of times.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use instar::{BytesFunc, ExportMemory};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyTuple};

use crate::data::Data;
use crate::error::OrRaise;
use crate::exports::Surface;
use crate::func::{Callee, Token};
use crate::gil;
use crate::handle::Handle;
use crate::host::Hosts;
use crate::instance::Instance;
use crate::memory::bytes_of;
use crate::module::Module;
use crate::reference::Ref;

/// A module with all imports resolved and checked. Any number of threads may use it.
#[pyclass(frozen, module = "instar", name = "InstancePre")]
pub struct InstancePre {
    pub native: instar::InstancePre<Data>,
    pub release_gil: bool,
    hosts: Hosts,
    callees: Mutex<HashMap<Box<str>, Arc<Callee>>>,
    bytes_funcs: Mutex<HashMap<Box<str>, Arc<BytesFunc>>>,
    surface: PyOnceLock<Surface>,
}

impl InstancePre {
    pub fn new(native: instar::InstancePre<Data>, hosts: Hosts, release_gil: bool) -> Self {
        InstancePre {
            native,
            release_gil,
            hosts,
            callees: Mutex::default(),
            bytes_funcs: Mutex::default(),
            surface: PyOnceLock::new(),
        }
    }

    pub fn callee(&self, py: Python<'_>, name: &str) -> PyResult<Arc<Callee>> {
        cached(&self.callees, name, || Ok(Callee::new(name, self.native.func(name).or_raise(py)?, self.release_gil)))
    }

    pub fn cached_bytes_func(&self, py: Python<'_>, name: &str) -> PyResult<Arc<BytesFunc>> {
        cached(&self.bytes_funcs, name, || Ok(Arc::new(self.native.bytes_func(name).or_raise(py)?)))
    }

    fn run_bytes<'py>(
        &self,
        func: &BytesFunc,
        input: &Bound<'py, PyAny>,
        data: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let (py, data) = (input.py(), Data::borrow(data.as_ref()));
        with_bytes(input, |input| {
            let output = gil::run(py, self.release_gil, || self.native.call_bytes(data, func, input)).or_raise(py)?;
            Ok(PyBytes::new(py, &output))
        })
    }

    pub fn memory_export(&self, py: Python<'_>, name: &str) -> PyResult<ExportMemory> {
        self.native.memory(name).or_raise(py)
    }

    pub fn surface(&self, py: Python<'_>) -> PyResult<&Surface> {
        if let Some(surface) = self.surface.get(py) {
            return Ok(surface);
        }
        // Not under the lock: making classes runs Python code, which may ask for the surface itself.
        let _ = self.surface.set(py, Surface::new(py, self)?);
        Ok(self.surface.get(py).expect("set just now, or by someone else before"))
    }
}

/// Looks `name` up, and makes and keeps it if it is missing.
fn cached<V: Clone>(
    cache: &Mutex<HashMap<Box<str>, V>>,
    name: &str,
    make: impl FnOnce() -> PyResult<V>,
) -> PyResult<V> {
    let found = cache.lock().expect("nothing panics while it holds this lock").get(name).cloned();
    match found {
        Some(value) => Ok(value),
        None => {
            let value = make()?;
            cache.lock().expect("nothing panics while it holds this lock").insert(name.into(), value.clone());
            Ok(value)
        }
    }
}

#[pymethods]
impl InstancePre {
    /// A fresh instance. `data` is what its host functions see as `caller.data`.
    ///
    /// Close it, or use it in a `with` statement; one that is forgotten is closed when it is collected.
    #[pyo3(signature = (data=None))]
    pub fn instantiate(slf: &Bound<'_, Self>, data: Option<Bound<'_, PyAny>>) -> PyResult<Instance> {
        let (py, this) = (slf.py(), slf.get());
        let borrowed = Data::borrow(data.as_ref());
        let instance = gil::run(py, this.release_gil, || Handle::open(&this.native, borrowed)).or_raise(py)?;
        Ok(Instance::new(instance, slf.clone().unbind(), Ref::of(data)))
    }

    /// The exported function as a token: each call of it is a fresh instance, a call, and a reset.
    fn func<'py>(slf: &Bound<'py, Self>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let callee = this.callee(py, name)?;
        Token { callee, native: this.native.clone(), pre: Ref::new(slf.clone().into_any()) }.object(py)
    }

    /// Calls an exported function in a fresh instance.
    #[pyo3(signature = (name, /, *args, data=None))]
    fn call<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        args: &Bound<'py, PyTuple>,
        data: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let callee = self.callee(py, name)?;
        let pointers: Vec<_> = args.iter_borrowed().map(|arg| arg.as_ptr()).collect();
        let data = data.as_ref().map_or(std::ptr::null_mut(), |data| data.as_ptr());
        // SAFETY: the tuple keeps its items alive, and our caller `data`.
        let result = unsafe { callee.call_fresh(py, &self.native, &pointers, data) }?;
        // SAFETY: a new reference.
        unsafe { Bound::from_owned_ptr_or_err(py, result) }
    }

    /// Calls an exported function in a fresh instance with bytes, and returns bytes.
    ///
    /// The module must export `memory`, `alloc(i32) -> i32`, and the function as `(pointer: i32, length: i32) -> i64`, whose
    /// answer is `pointer << 32 | length`.
    #[pyo3(signature = (name, input, /, *, data=None))]
    fn call_bytes<'py>(
        &self,
        name: &str,
        input: &Bound<'py, PyAny>,
        data: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let py = input.py();
        let func = self.cached_bytes_func(py, name)?;
        self.run_bytes(&func, input, data)
    }

    /// A function of bytes as a token: `token(input)` is `call_bytes(name, input)` without the look-up.
    fn bytes_func(slf: &Bound<'_, Self>, name: &str) -> PyResult<BytesToken> {
        let func = slf.get().cached_bytes_func(slf.py(), name)?;
        Ok(BytesToken { name: name.into(), func, pre: slf.clone().unbind() })
    }

    /// The module that this was made from.
    #[getter]
    fn module(&self) -> Module {
        Module { native: self.native.module().clone() }
    }

    fn __repr__(&self) -> String {
        match self.native.module().name() {
            Some(name) => format!("<instar.InstancePre of {name}>"),
            None => "<instar.InstancePre>".to_owned(),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.hosts)?;
        // SAFETY: the collector runs attached.
        let py = unsafe { Python::assume_attached() };
        self.surface.get(py).map_or(Ok(()), |surface| surface.traverse(visit))
    }
}

/// An exported function of bytes. Each call runs in a fresh instance, in one native crossing.
#[pyclass(frozen, module = "instar", name = "BytesFunc")]
pub struct BytesToken {
    name: Box<str>,
    func: Arc<BytesFunc>,
    pre: Py<InstancePre>,
}

#[pymethods]
impl BytesToken {
    #[pyo3(signature = (input, /, *, data=None))]
    fn __call__<'py>(
        &self,
        input: &Bound<'py, PyAny>,
        data: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.pre.get().run_bytes(&self.func, input, data)
    }

    /// The name of the export.
    #[getter]
    fn __name__(&self) -> &str {
        &self.name
    }

    fn __repr__(&self) -> String {
        format!("<instar.BytesFunc {}>", self.name)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.pre)
    }
}

/// Lends the bytes of an object. Only `bytes` cannot change meanwhile; of anything else a copy is lent.
pub fn with_bytes<R>(object: &Bound<'_, PyAny>, body: impl FnOnce(&[u8]) -> PyResult<R>) -> PyResult<R> {
    match object.cast::<PyBytes>() {
        Ok(bytes) => body(bytes.as_bytes()),
        Err(_) => body(&bytes_of(object)?),
    }
}
