//! One case: what it needs from the session that runs it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::random::Random;

/// A case of one seed.
pub struct Case<'a> {
    pub random: Random,
    pub counts: &'a mut Counts,
    /// Where the module is kept while the case runs, for the case that the process does not survive it.
    pub place: PathBuf,
}

/// How often what happened: to see that a target is not idle.
pub type Counts = BTreeMap<&'static str, u64>;

/// What is wrong, in words; a case that is no longer of interest ends with `Ok`.
pub type Verdict = Result<(), String>;

impl Case<'_> {
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Writes down what is about to run.
    pub fn keep(&self, wasm: &[u8]) {
        std::fs::write(&self.place, wasm).unwrap_or_else(|e| panic!("{}: {e}", self.place.display()));
    }
}
