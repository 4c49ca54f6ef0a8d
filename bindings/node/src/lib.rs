//! The native half of `@instar/instar`. The face that users see is `lib/*.js`; nothing here is public.
//!
//! Two kinds of functions:
//!
//! * [`cold`]: compile, link, describe. Ordinary napi-rs functions over `External`s, 100–300 ns of overhead each.
//! * [`hot`]: create, call, close, memory. One raw Node-API function **without arguments**: both sides read and write one
//!   buffer ([`slots`]), which JavaScript allocates. That is the cheapest crossing there is (9 ns against 18 ns with
//!   arguments), needs no BigInt conversions, and keeps every bit pattern.
//!
//! ```text
//!   instance.exports.add(1, 2)                                                lib/call.js
//!     slots: ENTRY = add, CELL, ID, ARGS = [1, 2]   ->   run()                hot.rs: claim, run, copy back
//!     ARGS = [3]                                    <-   STATUS stays 0
//!                 host function: SELECT = its index, ARGS  ->  dispatch()     host.rs -> lib/runtime.js, lib/host.js
//! ```
//!
//! Host functions are held by JavaScript objects (linker, pre) and named by an index, never by a Node-API reference: a
//! reference is a root of the garbage collector, and a host function that sees its own linker would live for ever.
//!
//! Invariant: everything except `Module.compile`'s work runs on the thread of the environment that loaded the addon.

// Under test, napi-rs registers nothing, so that everything looks unused. There are no tests here: test/ has them.
#![cfg_attr(test, allow(dead_code))]

mod cold;
mod failure;
mod frames;
mod host;
mod hot;
mod signature;
mod slots;
mod state;
mod ticket;
