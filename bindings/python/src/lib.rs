//! `instar._instar`: the native half of the Python package.
//!
//! | file | what |
//! |---|---|
//! | `engine` `module` `linker` `pre` `instance` `memory` `caller` | the public nouns |
//! | `func` `exports` | what is called: tokens, methods of exports classes |
//! | `host` | what is called back |
//! | `value` | Python objects to slots and back |
//! | `error` | errors to exceptions and back |
//! | `gil` `handle` `data` `reference` `object` | the rules that make the above sound: who holds the interpreter, who owns what |

mod caller;
mod data;
mod engine;
mod error;
mod exports;
mod func;
mod gil;
mod handle;
mod host;
mod instance;
mod linker;
mod memory;
mod module;
mod object;
mod pre;
mod reference;
mod value;

use pyo3::prelude::*;

#[pymodule]
fn _instar(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    func::method_class(py)?;
    module.add_class::<engine::Engine>()?;
    module.add_class::<module::Module>()?;
    module.add_class::<linker::Linker>()?;
    module.add_class::<pre::InstancePre>()?;
    module.add_class::<pre::BytesToken>()?;
    module.add_class::<instance::Instance>()?;
    module.add_class::<memory::Memory>()?;
    module.add_class::<caller::Caller>()?;
    module.add_class::<caller::CallerExports>()?;
    module.add_class::<caller::CallerFunc>()?;
    module.add("Func", func::token_class(py)?.class(py))?;
    module.add("ExportFunc", func::bound_class(py)?.class(py))?;
    module.add_function(wrap_pyfunction!(error::_numbers, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
