//! What the compiler and the runtime agree on: the layout of VM structures, and artifacts.
//!
//! The compiler makes a [`Compiled`], `write` makes an artifact of it, and the runtime runs artifacts, whether they were
//! made just now or come from a file. Neither side knows the other.
//!
//! | file | what it holds |
//! |---|---|
//! | [`info`] [`code`] | declarations of a module; its code, as compiled |
//! | [`layout`] | VM structures that compiled code reads and writes |
//! | [`format`](mod@format) | the file: sections, lengths, checksums |
//! | [`header`] | for which version, machine and settings a file was made |
//! | [`declarations`] [`func_types`] | declarations as bytes; the function types among them |
//! | [`image`] | which segments are known before instantiation |
//! | [`words`] | lists that are read in place |
//! | [`address_map`] | from code to wasm |

pub mod address_map;
pub mod code;
pub mod declarations;
pub mod format;
pub mod func_types;
pub mod header;
pub mod image;
pub mod info;
pub mod layout;
pub mod plan;
pub mod words;
#[cfg(feature = "compile")]
pub mod write;

pub use code::{Compiled, EntrySite, FunctionRange, TrapSite};
