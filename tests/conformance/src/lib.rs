//! What the runner and the merge tool share: [`case`] files, the [`verdict`] lines that runners write, and paths.
//!
//! README.md describes both formats. The runner is `tests/run`, the merge tool `src/main.rs`.

pub mod case;
pub mod verdict;

use std::path::PathBuf;

/// `tests/conformance` in the repository.
pub fn suite_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Where runners write, and the merge tool reads.
pub fn results_folder() -> PathBuf {
    suite_folder().join("../../target/conformance")
}
