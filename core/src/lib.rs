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
//! let handle = pre.export::<i32, i32>("handle")?;
//! for request in 0..1000 {
//!     // A fresh instance, the call, and everything it did undone.
//!     assert_eq!(pre.call("alice", &handle, request)?, request * 2);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The types, in the order in which they are used
//!
//! | type | what it is |
//! |---|---|
//! | [`Config`] | choices: parts of WebAssembly, limits, how code is compiled and instances are made |
//! | [`Engine`] | compiler and pools with these choices; shared by all threads, mostly one in a process |
//! | [`Module`] | compiled code, from the binary or text format, or precompiled |
//! | [`Linker`] | host functions and other definitions by name; a [`Caller`] shows a host function who called |
//! | [`InstancePre`] | a module with all imports resolved: makes fresh instances, millions of them |
//! | [`TypedExport`], [`ExportFunc`], [`ExportMemory`], [`BytesFunc`] | exports of an `InstancePre`, looked up once |
//! | [`OwnedInstance`] | a fresh instance for several calls; [`SharedInstance`] for threads that take turns |
//! | [`Store`] | several [`Instance`]s that share things, with host data and limits of their own |
//! | [`Func`], [`TypedFunc`], [`Memory`], [`Table`], [`Global`] | what instances in a store export, or the host makes for them |
//! | [`SharedMemory`] | a memory for any number of stores and threads |
//! | [`Val`], [`ExternRef`] | values whose types are known at run time only; host objects as references |
//! | [`Error`] | an [`ErrorKind`] with its reason; after a trap a [`TrapCode`] and a [`WasmBacktrace`] |
//!
//! # Programs
//!
//! Module `wasi` (feature `wasi`) runs programs that expect a system. They see what they are granted.
//!
//! ```
//! use instar::wasi::{self, MemoryOutputPipe, WasiCtx, WasiCtxBuilder};
//! use instar::{Engine, Linker, Module, Store};
//!
//! # fn main() -> instar::Result<()> {
//! let engine = Engine::default();
//! let module = Module::new(&engine, r#"
//!     (module
//!       (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
//!       (memory (export "memory") 1)
//!       (data (i32.const 0) "\08\00\00\00\06\00\00\00hello\n")
//!       (func (export "_start")
//!         (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))))
//! "#)?;
//! let mut linker = Linker::new(&engine);
//! wasi::add_to_linker(&mut linker, |context: &mut WasiCtx| context)?;
//! let output = MemoryOutputPipe::new(1 << 20);
//! let mut store = Store::new(&engine, WasiCtxBuilder::new().arg("hello").stdout(output.clone()).build());
//! let instance = linker.instantiate(&mut store, &module)?;
//! instance.typed_func::<(), ()>(&mut store, "_start")?.call(&mut store, ())?;
//! assert_eq!(output.take(), b"hello\n");
//! # Ok(())
//! # }
//! ```
//!
//! # Precompiled modules
//!
//! Compile once; load in any number of processes, also such that are built without feature `compile`. A file is mapped and
//! used in place.
//!
//! ```
//! use instar::{Engine, Module};
//!
//! # fn main() -> instar::Result<()> {
//! # let folder = std::env::temp_dir().join(format!("instar-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let path = folder.join("plugin.cwasm");
//! let engine = Engine::default();
//! Module::new(&engine, "(module (func (export \"f\")))")?.serialize_to_file(&path)?;
//! // SAFETY: the file is the one that was just written, and nobody changes it.
//! let module = unsafe { Module::deserialize_file(&engine, &path)? };
//! assert!(module.export("f").is_some());
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Limits
//!
//! [`Config`] has limits for each instance of an engine: [`max_instances`](Config::max_instances),
//! [`max_memory_pages`](Config::max_memory_pages), [`max_table_elements`](Config::max_table_elements),
//! [`max_wasm_stack`](Config::max_wasm_stack). A [`ResourceLimiter`] decides for one store.
//!
//! ```
//! use instar::{Config, Engine, ErrorKind, Linker, Module, Store, StoreLimitsBuilder};
//!
//! # fn main() -> instar::Result<()> {
//! let engine = Engine::new(Config::new().max_instances(100).max_memory_pages(1024))?;
//! let module = Module::new(&engine, r#"
//!     (module (memory 1) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))
//! "#)?;
//! let linker = Linker::new(&engine);
//! let mut store = Store::new(&engine, StoreLimitsBuilder::new().memory_size(2 << 16).build());
//! store.limiter(|limits| limits);
//! let instance = linker.instantiate(&mut store, &module)?;
//! let grow = instance.typed_func::<i32, i32>(&mut store, "grow")?;
//! assert_eq!(grow.call(&mut store, 1)?, 1);
//! assert_eq!(grow.call(&mut store, 1)?, -1, "it would have three pages");
//!
//! store.data_mut().clone_from(&StoreLimitsBuilder::new().instances(1).build());
//! let error = linker.instantiate(&mut store, &module).unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::Limit);
//! # Ok(())
//! # }
//! ```
//!
//! There is no limit of time yet: a guest can loop without end.
//!
//! # Features
//!
//! All are on by default: `compile` (the compiler), `dwarf` (files and lines in backtraces), `wat` (the text format), `wasi`.

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
pub use module::{ExportType, FunctionCode, ImportType, Module, ModuleExport, ModuleOptions};
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
