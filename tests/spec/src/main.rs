//! `cargo run -p instar-spec -- [filter] [-v]`

use std::process::ExitCode;

fn main() -> ExitCode {
    instar_spec::main(std::env::args().skip(1))
}
