//! WASI preview 1: arguments, variables, clocks, random bytes, streams, files and exit for guests.
//!
//! ```
//! use instar::wasi::{self, I32Exit, MemoryOutputPipe, WasiCtxBuilder};
//! use instar::{Engine, Linker, Module};
//!
//! # fn main() -> instar::Result<()> {
//! let engine = Engine::default();
//! let module = Module::new(&engine, r#"
//!     (module
//!       (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
//!       (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
//!       (memory (export "memory") 1)
//!       (data (i32.const 8) "hello\n")
//!       (data (i32.const 0) "\08\00\00\00\06\00\00\00")
//!       (func (export "_start")
//!         (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))
//!         (call $exit (i32.const 3))))
//! "#)?;
//! let mut linker = Linker::new(&engine);
//! wasi::add_to_linker(&mut linker, |context| context)?;
//! let pre = linker.instantiate_pre(&module)?;
//! let start = pre.export::<(), ()>("_start")?;
//!
//! let template = WasiCtxBuilder::new().build();
//! for _request in 0..3 {
//!     let stdout = MemoryOutputPipe::new(1 << 20);
//!     let mut context = template.clone();
//!     context.set_stdout(stdout.clone());
//!     let exit = pre.call(context, &start, ()).unwrap_err();
//!     assert_eq!(exit.downcast_ref::<I32Exit>(), Some(&I32Exit(3)));
//!     assert_eq!(stdout.take(), b"hello\n");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is granted
//!
//! Nothing but time and random bytes, unless [`WasiCtxBuilder`] says so. No argument, no variable, no directory of the host is
//! visible by itself; the standard streams lead nowhere.
//!
//! | what | from where |
//! |---|---|
//! | time of day, monotonic time | the system's clocks (the latter counted from when the builder was made), or the embedder's; no clocks of processor time |
//! | random bytes | the operating system, a seed, or the embedder |
//! | files | only below granted directories: `..`, absolute paths and symbolic links do not lead out (cap-std); [`DirPerms`] and [`FilePerms`] say what may be done |
//! | sockets, signals | not there: no descriptor is a socket (`ENOTSOCK`), `proc_raise` is `ENOTSUP` |
//!
//! # What a guest cannot do
//!
//! Invariant: no pointer, length, count, flag or number of a guest makes the host panic, trap, or allocate in proportion to it.
//! A range outside its memory is `EFAULT`; more than 1024 vectors or 4096 subscriptions are `EINVAL`; descriptors beyond
//! [`WasiCtxBuilder::max_open_files`] are `EMFILE`. A guest can fill the host's disk where it may write, and it can wait: a read
//! of a stream, or a poll, lasts as long as the stream or clock makes it.
//!
//! Descriptors have rights, as preview 1 has them. A guest can give rights up, which sticks; opening gives all rights that make
//! sense, but to read or write only when asked for.

mod clock;
mod context;
mod descriptor;
mod directory;
mod file;
mod functions;
mod guest;
mod listing;
mod random;
mod stream;
mod types;

use std::fmt;

pub use clock::{HostMonotonicClock, HostWallClock};
pub use context::{WasiCtx, WasiCtxBuilder};
pub use directory::{DirPerms, FilePerms};
pub use functions::add_to_linker;
pub use stream::{InputStream, MemoryInputPipe, MemoryOutputPipe, OutputStream};

/// A guest has ended itself by `proc_exit`, with this code. It comes back as the error of the outermost call: see
/// [`Error::downcast_ref`](crate::Error::downcast_ref). Code 0 is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct I32Exit(pub i32);

impl I32Exit {
    /// The code for this process to end with in turn: the guest's own from 0 to 255, as the system would cut it.
    pub fn process_exit_code(self) -> i32 {
        self.0 & 0xff
    }
}

impl fmt::Display for I32Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the guest has exited with code {}", self.0)
    }
}

impl std::error::Error for I32Exit {}
