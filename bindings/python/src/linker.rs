//! `instar.Linker`: names to host functions.

use std::sync::Mutex;

use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::data::Data;
use crate::engine::Engine;
use crate::error::OrRaise;
use crate::host::{HostTable, Hosts};
use crate::instance::Instance;
use crate::module::Module;
use crate::pre::InstancePre;
use crate::value::{Kind, Signature};

/// Host functions by module and name, for the imports of modules.
#[pyclass(frozen, module = "instar", name = "Linker")]
pub struct Linker {
    // Locked while a function is defined or a pre is made; the latter runs detached from the interpreter as a whole, so
    // no thread waits for the interpreter while it holds the lock.
    native: Mutex<instar::Linker<Data>>,
    hosts: Hosts,
    release_gil: bool,
}

#[pymethods]
impl Linker {
    #[new]
    fn new(engine: &Bound<'_, Engine>) -> PyResult<Self> {
        let (py, engine) = (engine.py(), engine.get());
        Ok(Linker {
            native: Mutex::new(instar::Linker::new(&engine.native)),
            hosts: Py::new(py, HostTable::new())?,
            release_gil: engine.release_gil,
        })
    }

    /// Defines a host function. Use it as a decorator, or give the function.
    ///
    /// params, results: the types, such as `[instar.i32, instar.f64]`; without them the function's annotations say it. A
    /// first parameter that is called `caller` or annotated with `instar.Caller` gets the calling instance.
    #[pyo3(signature = (module, name, function=None, *, params=None, results=None))]
    fn func<'py>(
        slf: &Bound<'py, Self>,
        module: &str,
        name: &str,
        function: Option<Bound<'py, PyAny>>,
        params: Option<Bound<'py, PyAny>>,
        results: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let keywords = PyDict::new(py);
        keywords.set_item("params", params)?;
        keywords.set_item("results", results)?;
        py.import("instar._host")?.getattr("define")?.call((slf, module, name, function), Some(&keywords))
    }

    /// Defines a host function with kinds as letters (see `Kind::from_letter`). The second half of `func`.
    fn _define(
        &self,
        function: Bound<'_, PyAny>,
        module: &str,
        name: &str,
        params: &str,
        results: &str,
        wants_caller: bool,
    ) -> PyResult<()> {
        let py = function.py();
        let signature = Signature::new(&format!("{module}.{name}"), kinds(params)?, kinds(results)?);
        let ty = signature.func_type();
        let mut linker = self.native.lock().expect("nothing panics while it holds this lock");
        let entry = self.hosts.get().add(function, signature, wants_caller, self.release_gil);
        linker.func_raw(module, name, ty, move |caller, slots| entry.call(caller, slots)).or_raise(py)?;
        Ok(())
    }

    /// Resolves and checks all imports of a module, once for all its instances.
    fn instantiate_pre(&self, module: &Bound<'_, Module>) -> PyResult<InstancePre> {
        let py = module.py();
        let module = &module.get().native;
        let pre = py.detach(|| {
            let linker = self.native.lock().expect("nothing panics while it holds this lock");
            linker.instantiate_pre(module)
        });
        Ok(InstancePre::new(pre.or_raise(py)?, self.hosts.clone_ref(py), self.release_gil))
    }

    /// One instance of a module: short for `instantiate_pre(module).instantiate(data)`.
    #[pyo3(signature = (module, data=None))]
    fn instantiate<'py>(&self, module: &Bound<'py, Module>, data: Option<Bound<'py, PyAny>>) -> PyResult<Instance> {
        let pre = Bound::new(module.py(), self.instantiate_pre(module)?)?;
        InstancePre::instantiate(&pre, data)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.hosts)
    }
}

fn kinds(letters: &str) -> PyResult<Box<[Kind]>> {
    let kind = |letter| Kind::from_letter(letter).ok_or_else(|| PyValueError::new_err(format!("no kind {letter:?}")));
    letters.chars().map(kind).collect()
}
