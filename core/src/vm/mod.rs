//! The unsafe heart: what compiled code runs on.
//!
//! | file | what it holds |
//! |---|---|
//! | [`code`] | executable memory, and the registry from a program counter to the code it lies in |
//! | [`unwind`] | traps: from a fault or a failed host call back to the innermost entry |
//! | [`entry`] | into compiled code, with its stack limit |
//! | [`memory`] [`table`] | linear memories with their dirty map; tables |
//! | [`marks`] | what was written of tables and globals |
//! | [`shared`] [`parking`] | memories that threads share; where threads wait for each other |
//! | [`instance`] | the runtime's record of an instance, and its context |
//! | [`limiter`] | what a host lets the instances of one store have |
//! | [`builtins`] | functions that compiled code calls |
//! | [`module`] | what all instances of a module share |
//!
//! Nothing here knows `Store<T>`, images or pools.

pub mod builtins;
pub mod code;
pub mod entry;
pub mod instance;
pub mod limiter;
pub mod marks;
pub mod memory;
pub mod module;
pub mod parking;
pub mod shared;
pub mod table;
pub mod unwind;
