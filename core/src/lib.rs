//! **Instar** runs a fresh WebAssembly instance for every request at the price of a function call.
//!
//! ```
//! use instar::{Engine, Linker, Module};
//!
//! # fn main() -> instar::Result<()> {
//! let engine = Engine::default();
//! let module = Module::new(&engine, r#"
//!     (module
//!       (import "env" "log" (func $log (param i32)))
//!       (global $count (mut i32) (i32.const 0))
//!       (func (export "handle") (param i32) (result i32)
//!         (global.set $count (i32.add (global.get $count) (i32.const 1)))
//!         (call $log (global.get $count))
//!         (i32.mul (local.get 0) (i32.const 2))))
//! "#)?;
//! let mut linker = Linker::<&'static str>::new(&engine);
//! linker.func_wrap("env", "log", |caller: instar::Caller<'_, &'static str>, count: i32| {
//!     println!("{}: request number {count} of this instance", caller.data());
//!     assert_eq!(count, 1, "no instance was used before");
//! })?;
//! let pre = linker.instantiate_pre(&module)?;
//! let handle = pre.typed::<i32, i32>("handle")?;
//! for request in 0..1000 {
//!     // A fresh instance, the call, and everything it did undone.
//!     assert_eq!(pre.call("alice", &handle, request)?, request * 2);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Start with [`Engine`], [`Module`], [`Linker`] and [`InstancePre`]. [`Store`] is for several instances that share things.
//! Module `wasi` (feature `wasi`) runs programs that expect a system.

/// The README's example runs.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

// What only the compiler writes is not used without it.
#[cfg_attr(not(feature = "compile"), allow(dead_code, unused_imports))]
mod artifact;
mod backtrace;
#[cfg(feature = "compile")]
mod compile;
mod config;
mod engine;
mod error;
mod externs;
mod func;
mod global;
mod host;
mod image;
mod instance;
mod linker;
mod memory;
mod module;
mod owned;
mod pool;
mod pre;
mod profile;
mod shared;
mod shared_memory;
mod store;
mod summary;
mod synthetic;
mod sys;
mod table;
mod types;
mod val;
mod vm;
#[cfg(feature = "wasi")]
pub mod wasi;

pub use artifact::info::{ExternType, FuncType, GlobalType, HeapType, MemoryType, RefType, TableType, ValType};
pub use backtrace::{FrameInfo, FrameSymbol, WasmBacktrace};
pub use config::{Config, DirtyTracking, InstanceAllocationStrategy, OptLevel, ProfilingStrategy};
pub use engine::Engine;
pub use error::{Error, ErrorKind, Result, TrapCode};
pub use externs::Extern;
pub use func::{Func, TypedFunc};
pub use global::Global;
pub use host::{Caller, IntoFunc, WasmRet};
pub use instance::Instance;
pub use linker::Linker;
pub use memory::Memory;
pub use module::{ExportType, FunctionCode, ImportType, Module, ModuleExport};
pub use owned::OwnedInstance;
pub use pre::{BytesFunc, ExportFunc, ExportMemory, InstancePre, TypedExport};
pub use shared::{Claim, SharedInstance};
pub use shared_memory::SharedMemory;
pub use store::{AsContext, AsContextMut, Store, StoreContext, StoreContextMut};
pub use summary::ModuleSummary;
pub use table::Table;
pub use val::{ExternRef, V128, Val, WasmList, WasmTy};
pub use vm::limiter::{ResourceLimiter, StoreLimits, StoreLimitsBuilder};
pub use vm::parking::WaitResult;
