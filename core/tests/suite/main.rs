//! What the public interface promises, beyond what single functions do: isolation between tenants first of all.
//!
//! | file | what must hold |
//! |---|---|
//! | `isolation`, `random` | after a drop the next instance equals its image, whatever the tenant did |
//! | `traps`, `stack`, `signals` | each trap by its code; instances, threads and the process live on |
//! | `hosts` | host functions: values, errors, panics, nesting |
//! | `handles`, `shared` | what outlived its store, or belongs to another, is an error and never another tenant |
//! | `limits`, `limiter` | limits are kept, and say what they are |
//! | `threads`, `leaks` | any thread may do anything that `Send` and `Sync` allow; nothing is left behind |
//! | `simd` | vectors across every boundary, in what a reset undoes, and where the specification leaves a choice |
//! | `bytes`, `segments`, `linking` | the bytes convention; segments and start; what instances of a store share |
//! | `linker` | what a linker offers beyond definitions one by one; calls without checks |
//! | `references`, `tail_calls`, `wide` | typed function references, tail calls and wide arithmetic, through the public interface |
//! | `atomics`, `shared_memory` | atomic operators against a model; memories that several threads and stores use at once |
//!
//! Engines are paranoid (they compare each slot with its image after each reset, and abort on a difference) unless a
//! test says why not.

mod atomics;
mod bytes;
mod handles;
mod hosts;
mod isolation;
mod kit;
mod leaks;
mod limiter;
mod limits;
mod linker;
mod linking;
mod program;
mod random;
mod references;
mod segments;
mod shared;
mod shared_memory;
mod signals;
mod simd;
mod stack;
mod tail_calls;
mod threads;
mod traps;
mod wide;
