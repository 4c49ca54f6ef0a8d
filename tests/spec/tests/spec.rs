//! The official suite as a cargo test: the same as `cargo run -p instar-spec`.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Cargo hands libtest's own options through to us; a filter is the only one that means anything here.
    instar_spec::main(std::env::args().skip(1).filter(|arg| arg == "-v" || !arg.starts_with('-')))
}
