//! `instar.Engine`: configuration and pools.

use instar::Config;
use pyo3::prelude::*;

use crate::error::OrRaise;

/// Compiles modules and owns the pools of their instances. One per process is usual.
///
/// max_instances: how many instances may be alive at a time.
/// max_memory_pages: largest size of a memory, in pages of 64 KiB; 64-bit memories can use more than the default of 65 536 (4 GiB).
/// max_wasm_stack: stack that guest code may use, in bytes.
/// release_gil: let other Python threads run while guest code runs. A call then costs some 50 ns more, and a call of a
/// host function too. Without it the calling thread keeps the GIL; compiling never does.
#[pyclass(frozen, module = "instar", name = "Engine")]
pub struct Engine {
    pub native: instar::Engine,
    pub release_gil: bool,
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (*, max_instances=None, max_memory_pages=None, max_wasm_stack=None, release_gil=false))]
    fn new(
        py: Python<'_>,
        max_instances: Option<usize>,
        max_memory_pages: Option<u64>,
        max_wasm_stack: Option<usize>,
        release_gil: bool,
    ) -> PyResult<Self> {
        let mut config = Config::new();
        if let Some(count) = max_instances {
            config.max_instances(count);
        }
        if let Some(pages) = max_memory_pages {
            config.max_memory_pages(pages);
        }
        if let Some(bytes) = max_wasm_stack {
            config.max_wasm_stack(bytes);
        }
        let native = instar::Engine::new(&config).or_raise(py)?;
        Ok(Engine { native, release_gil })
    }

    /// How many instances are alive now.
    #[getter]
    fn live_instances(&self) -> usize {
        self.native.live_instances()
    }

    /// Whether guest code runs without the GIL.
    #[getter]
    fn release_gil(&self) -> bool {
        self.release_gil
    }

    fn __repr__(&self) -> String {
        format!("<instar.Engine live_instances={}>", self.native.live_instances())
    }
}
