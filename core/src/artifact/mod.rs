//! What the compiler and the runtime agree on: the layout of VM structures and the result of a compilation.
//!
//! The compiler produces a [`Compiled`]; the runtime consumes it. Neither knows the other.

pub mod code;
pub mod info;
pub mod layout;
pub mod plan;

pub use code::{Compiled, EntrySite, FunctionRange, TrapSite};
