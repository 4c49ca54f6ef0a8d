//! `instar.Memory`: linear memory, by checked copies.
//!
//! There is no buffer protocol yet: a pointer given away cannot be taken back, and the memory is another tenant's soon.

use instar::{ErrorKind, ExportMemory};
use pyo3::buffer::PyBuffer;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::caller::Caller;
use crate::error::{self, OrRaise};
use crate::handle::Handle;

/// A linear memory of an instance, or of the caller of a host function.
#[pyclass(frozen, module = "instar", name = "Memory")]
pub struct Memory {
    place: Place,
}

enum Place {
    /// `owner` is the object whose life the instance's depends on.
    Instance {
        instance: Handle,
        export: ExportMemory,
        owner: Py<PyAny>,
    },
    Caller {
        caller: Py<Caller>,
        memory: instar::Memory,
    },
}

impl Memory {
    pub fn of_instance(instance: Handle, export: ExportMemory, owner: Py<PyAny>) -> Self {
        Memory { place: Place::Instance { instance, export, owner } }
    }

    pub fn of_caller(caller: Py<Caller>, memory: instar::Memory) -> Self {
        Memory { place: Place::Caller { caller, memory } }
    }

    fn size_bytes(&self, py: Python<'_>) -> PyResult<u64> {
        match &self.place {
            Place::Instance { instance, export, .. } => {
                instance.enter().and_then(|claim| claim.memory_size(export)).or_raise(py)
            }
            Place::Caller { caller, memory } => {
                caller.get().with(py, |native| Ok(memory.data_size(&*native).or_raise(py)? as u64))
            }
        }
    }

    fn read_into(&self, py: Python<'_>, addr: u64, bytes: &mut [u8]) -> PyResult<()> {
        match &self.place {
            Place::Instance { instance, export, .. } => {
                instance.enter().and_then(|claim| claim.memory_read(export, addr, bytes)).or_raise(py)
            }
            Place::Caller { caller, memory } => {
                caller.get().with(py, |native| memory.read(&*native, addr, bytes).or_raise(py))
            }
        }
    }

    /// Checks a range before anything of its length is allocated.
    fn check(&self, py: Python<'_>, addr: u64, len: u64) -> PyResult<()> {
        let size = self.size_bytes(py)?;
        if addr.checked_add(len).is_some_and(|end| end <= size) {
            return Ok(());
        }
        let message = format!("{len} bytes at address {addr} are outside the memory of {size} bytes");
        Err(error::of_kind(py, ErrorKind::OutOfBounds, message))
    }
}

#[pymethods]
impl Memory {
    /// The size in bytes.
    #[getter]
    fn size(&self, py: Python<'_>) -> PyResult<u64> {
        self.size_bytes(py)
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.size_bytes(py)? as usize)
    }

    /// A copy of `len` bytes from the address `addr`.
    fn read<'py>(&self, py: Python<'py>, addr: u64, len: u64) -> PyResult<Bound<'py, PyBytes>> {
        self.check(py, addr, len)?;
        PyBytes::new_with(py, len as usize, |bytes| self.read_into(py, addr, bytes))
    }

    /// `len` bytes from the address `addr`, decoded as UTF-8.
    fn read_str<'py>(&self, py: Python<'py>, addr: u64, len: u64) -> PyResult<Bound<'py, PyString>> {
        self.check(py, addr, len)?;
        let mut bytes = vec![0; len as usize];
        self.read_into(py, addr, &mut bytes)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(PyString::new(py, text)),
            Err(error) => Err(pyo3::exceptions::PyUnicodeDecodeError::new_utf8(py, &bytes, error)?.into()),
        }
    }

    /// Copies `data` to the address `addr`.
    fn write(&self, addr: u64, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = data.py();
        let store = |bytes: &[u8]| match &self.place {
            Place::Instance { instance, export, .. } => {
                instance.enter().and_then(|mut claim| claim.memory_write(export, addr, bytes)).or_raise(py)
            }
            Place::Caller { caller, memory } => {
                caller.get().with(py, |native| memory.write(native, addr, bytes).or_raise(py))
            }
        };
        match data.cast::<PyBytes>() {
            Ok(bytes) => store(bytes.as_bytes()),
            Err(_) => store(&bytes_of(data)?),
        }
    }

    /// Grows by `pages` pages of its own size (64 KiB unless its type says otherwise), and returns the old size in pages.
    fn grow(&self, py: Python<'_>, pages: u64) -> PyResult<u64> {
        match &self.place {
            Place::Instance { instance, export, .. } => {
                instance.enter().and_then(|mut claim| claim.memory_grow(export, pages)).or_raise(py)
            }
            Place::Caller { caller, memory } => caller.get().with(py, |native| memory.grow(native, pages).or_raise(py)),
        }
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        match self.size_bytes(py) {
            Ok(size) => format!("<instar.Memory of {size} bytes>"),
            Err(_) => "<instar.Memory, closed>".to_owned(),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.place {
            Place::Instance { owner, .. } => visit.call(owner),
            Place::Caller { caller, .. } => visit.call(caller),
        }
    }
}

/// A copy of the bytes of any object with the buffer protocol.
pub fn bytes_of(object: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    PyBuffer::<u8>::get(object)?.to_vec(object.py())
}
