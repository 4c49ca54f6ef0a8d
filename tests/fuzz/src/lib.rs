//! Fuzzing that needs nothing but cargo: every case comes from a number, the seed, and is the same everywhere.
//!
//! | target | a case |
//! |---|---|
//! | `module` | bytes that are nearly a module: compiled (or refused) without a crash, and accepted if and only if they are valid |
//! | `diff` | a valid module, run on Instar and on wasmi: results, traps, memories, tables and globals are the same |
//! | `tenants` | tenants in turn through one slot: each finds what it would find in an engine of its own |
//!
//! ```text
//!   cargo run --release -p instar-fuzz -- diff --seconds 300 --start 1000000
//!   cargo run -p instar-fuzz -- diff --start 4711 --seeds 1        one case again
//! ```
//!
//! A case that fails leaves its module in `target/fuzz/`. What it found belongs into a test of its own.

mod case;
mod diff;
mod features;
mod generate;
mod host;
mod instar_side;
mod mode;
mod module;
mod mutate;
mod random;
mod session;
mod tenants;
mod wasmi_side;

pub use session::{Options, Target, run};
