//! What the public interface promises, beyond what single functions do: isolation between tenants first of all.
//!
//! | file | what must hold |
//! |---|---|
//! | `isolation`, `random`, `writers` | after a drop the next instance equals its image, whatever the tenant did |
//! | `traps`, `stack`, `signals` | each trap by its code; instances, threads and the process live on |
//! | `backtraces` | where a guest was: names, offsets, nested calls |
//! | `profiling` | what `perf` is told |
//! | `dwarf` | files and lines of guests that clang made; run by `scripts/test.sh dwarf` |
//! | `hosts` | host functions: values, errors, panics, nesting |
//! | `memory` | views of guest memory are bounded, and what they hand out is undone |
//! | `handles`, `shared` | what outlived its store, or belongs to another, is an error and never another tenant |
//! | `limits`, `limiter`, `refusals` | limits are kept, and say what they are; who was refused goes on |
//! | `pool_limits`, `waiting`, `budget`, `metrics`, `machine` | the pool: what it refuses, who waits, what idle slots keep, what it counts, what it makes of a small machine |
//! | `messages` | errors of wrong use say what was wrong and what would be right |
//! | `threads`, `hammer` | any thread may do anything that `Send` and `Sync` allow, and finds nothing of another |
//! | `closing` | the end of an instance: what comes first, and what a reset does that cannot be finished |
//! | `leaks`, `soak` | nothing is left behind; `make soak` takes its time over it |
//! | `strides` | a guest that writes every second page harms nobody |
//! | `steady` | requests that do not grow make no system call and take no page fault |
//! | `simd` | vectors across every boundary, in what a reset undoes, and where the specification leaves a choice |
//! | `wasi` | WASI preview 1: each function, hostile arguments, nothing that was not granted |
//! | `bounds`, `memory64`, `pages` | accesses at the edges; 64-bit memories and tables; pages of one byte; in every mode |
//! | `resets`, `background` | instances that are reset in place; pages the system tells of; resets on the engine's own thread |
//! | `modes` | the tests of isolation, traps and linking again, in every mode |
//! | `touched` | read-only pages: what is learned from faults, what it costs, what bounds it |
//! | `artifact` | what is loaded runs as what was compiled; what is damaged or foreign is refused |
//! | `images` | segments in images, mapped or copied, against a model |
//! | `many` | globals are undone and exports found, however many there are |
//! | `bytes`, `segments`, `linking` | the bytes convention; segments and start; what instances of a store share |
//! | `linker` | what a linker offers beyond definitions one by one; calls without checks |
//! | `references`, `tail_calls`, `wide` | typed function references, tail calls and wide arithmetic, through the public interface |
//! | `atomics`, `shared_memory` | atomic operators against a model; memories that several threads and stores use at once |
//!
//! Engines are paranoid (they compare each slot with its image after each reset, and abort on a difference) unless a
//! test says why not.

mod artifact;
mod atomics;
mod background;
mod backtraces;
mod bounds;
mod budget;
mod bytes;
mod closing;
mod dwarf;
mod hammer;
mod handles;
mod hosts;
mod images;
mod isolation;
mod kit;
mod leaks;
mod limiter;
mod limits;
mod linker;
mod linking;
mod machine;
mod many;
mod memory;
mod memory64;
mod menu;
mod messages;
mod metrics;
mod modes;
mod pages;
mod pool_limits;
mod profiling;
mod program;
mod random;
mod references;
mod refusals;
mod resets;
mod segments;
mod shared;
mod shared_memory;
mod signals;
mod simd;
mod soak;
mod stack;
mod steady;
mod strides;
mod summary;
mod tail_calls;
mod tenants;
mod threads;
mod touched;
mod tracking;
mod traps;
mod waiting;
#[cfg(feature = "wasi")]
mod wasi;
mod wide;
mod writers;
