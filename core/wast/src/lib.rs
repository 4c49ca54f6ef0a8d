//! Runs `.wast` scripts, the format of WebAssembly's official test suite, on Instar.
//!
//! ```
//! use instar_wast::Runner;
//!
//! # fn main() -> instar::Result<()> {
//! let runner = Runner::new(&instar::Config::new())?;
//! let outcome = runner.run_text(
//!     "half.wast",
//!     r#"
//!         (module (func (export "half") (param i32) (result i32) (i32.div_u (local.get 0) (i32.const 2))))
//!         (assert_return (invoke "half" (i32.const 42)) (i32.const 21))
//!         (assert_return (invoke "half" (i32.const 5)) (i32.const 3))
//!     "#,
//! );
//! assert_eq!(outcome.passed, 2);
//! assert_eq!(outcome.failures[0].line, 4);
//! assert_eq!(outcome.failures[0].text, "assert_return: expected (i32.const 3), got (i32.const 2)");
//! # Ok(())
//! # }
//! ```
//!
//! A script is a list of directives. Each passes, fails, or is not supported: it is about exceptions, garbage collected
//! objects or components, or about a module that needs a feature that the engine's configuration switches off.
//!
//! | what | where |
//! |---|---|
//! | [`Script`] | the text as a list of owned steps, so that it can be run several times |
//! | [`Runner`] | an engine and how often scripts run on it |
//! | [`Outcome`] | what came of a script |
//!
//! Scripts may import the module `spectest` of the official suite. Directives `thread` and `wait` of the threads proposal
//! run on threads of the system: each has a store, a `spectest` and names of its own, and shares the memories that a module
//! given by `(shared (module $m))` exports.

mod modules;
mod runner;
mod script;
mod session;
mod shared;
mod spectest;
mod value;

pub use runner::{Failure, Outcome, Runner, Verdict};
pub use script::{Script, SyntaxError};
