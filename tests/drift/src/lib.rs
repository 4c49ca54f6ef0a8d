//! Checks against drift: each test compares something written down with where it comes from.
//!
//! `BLESS=1 cargo test -p instar-drift` rewrites the generated files.

#![cfg(test)]

mod documents;
mod imports;
mod kinds;
mod versions;

use std::path::{Path, PathBuf};

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the crate lies in the repository")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}
