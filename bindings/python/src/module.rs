//! `instar.Module`: compiled code.

use std::path::PathBuf;

use instar::{ExternType, FuncType};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple, PyType};

use crate::engine::Engine;
use crate::error::OrRaise;
use crate::memory::bytes_of;
use crate::value::Kind;

/// A compiled module. Immutable; any number of threads may use it.
///
/// source: the bytes of a `.wasm` file, or the text format as `str` or `bytes`.
#[pyclass(frozen, module = "instar", name = "Module")]
pub struct Module {
    pub native: instar::Module,
}

#[pymethods]
impl Module {
    #[new]
    fn new(engine: &Bound<'_, Engine>, source: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = engine.py();
        let engine = &engine.get().native;
        let compile = |source: &[u8]| py.detach(|| instar::Module::new(engine, source)).or_raise(py);
        let native = if let Ok(text) = source.cast::<PyString>() {
            compile(text.to_cow()?.as_bytes())
        } else if let Ok(bytes) = source.cast::<PyBytes>() {
            compile(bytes.as_bytes())
        } else {
            let copy = bytes_of(source).map_err(|_| {
                let class = source.get_type();
                PyTypeError::new_err(format!("Module() wants the bytes of a module, or its text as str, not {class}"))
            })?;
            compile(&copy)
        }?;
        Ok(Module { native })
    }

    /// Compiles the file at `path`: a `.wasm` file or the text format.
    #[staticmethod]
    fn from_file(py: Python<'_>, engine: &Bound<'_, Engine>, path: PathBuf) -> PyResult<Self> {
        let engine = &engine.get().native;
        let native = py.detach(|| instar::Module::from_file(engine, path)).or_raise(py)?;
        Ok(Module { native })
    }

    /// The name that the module gives itself, if any.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.native.name()
    }

    /// What the module wants, in its order: a list of `ImportType(module, name, kind, func)`.
    #[getter]
    fn imports<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let class = class(py, "ImportType")?;
        let list = PyList::empty(py);
        for import in self.native.imports() {
            let (kind, func) = describe(py, &import.ty)?;
            list.append(class.call1((import.module, import.name, kind, func))?)?;
        }
        Ok(list)
    }

    /// What the module offers, in its order: a list of `ExportType(name, kind, func)`.
    #[getter]
    fn exports<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let class = class(py, "ExportType")?;
        let list = PyList::empty(py);
        for export in self.native.exports() {
            let (kind, func) = describe(py, &export.ty)?;
            list.append(class.call1((export.name, kind, func))?)?;
        }
        Ok(list)
    }

    fn __repr__(&self) -> String {
        match self.native.name() {
            Some(name) => format!("<instar.Module {name}>"),
            None => "<instar.Module>".to_owned(),
        }
    }
}

/// The kind of an import or export, and a `FuncType` if it is a function.
fn describe<'py>(py: Python<'py>, ty: &ExternType) -> PyResult<(&'static str, Option<Bound<'py, PyAny>>)> {
    Ok(match ty {
        ExternType::Func(ty) => ("func", Some(func_type(py, ty)?)),
        ExternType::Memory(_) => ("memory", None),
        ExternType::Table(_) => ("table", None),
        ExternType::Global(_) => ("global", None),
    })
}

fn func_type<'py>(py: Python<'py>, ty: &FuncType) -> PyResult<Bound<'py, PyAny>> {
    let params: Vec<Kind> = ty.params().iter().map(Kind::of).collect();
    let results: Vec<Kind> = ty.results().iter().map(Kind::of).collect();
    class(py, "FuncType")?.call1((val_types(py, &params)?, val_types(py, &results)?))
}

/// A tuple of `instar.ValType`.
pub fn val_types<'py>(py: Python<'py>, kinds: &[Kind]) -> PyResult<Bound<'py, PyTuple>> {
    let class = class(py, "ValType")?;
    let types: Vec<_> = kinds.iter().map(|kind| class.call1((kind.name(),))).collect::<PyResult<_>>()?;
    PyTuple::new(py, types)
}

/// A class of `instar/_types.py`.
fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyType>> {
    static TYPES: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = TYPES.get_or_try_init(py, || py.import("instar._types").map(Bound::unbind))?;
    Ok(module.bind(py).getattr(name)?.cast_into::<PyType>()?)
}
