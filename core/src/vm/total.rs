//! What the memories, or the tables, of an instance have together, where it has more than one of its own: a limit of the
//! engine holds for their sum, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A sum and its limit. Nobody but the instance's thread changes it.
#[derive(Debug)]
pub struct Total {
    used: AtomicU64,
    limit: u64,
}

impl Total {
    /// A sum with nothing in it.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Total { used: AtomicU64::new(0), limit })
    }

    /// Adds what cannot be refused any more.
    pub fn add(&self, more: u64) {
        self.used.fetch_add(more, Ordering::Relaxed);
    }

    /// Takes away what was added.
    pub fn subtract(&self, less: u64) {
        self.used.fetch_sub(less, Ordering::Relaxed);
    }

    /// Adds what fits the limit; it is taken away again unless it is kept.
    pub fn try_add(&self, more: u64) -> Option<Added<'_>> {
        let fits = |used: u64| used.checked_add(more).filter(|&sum| sum <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Added { total: self, more })
    }
}

/// What was added for now.
#[must_use]
pub struct Added<'a> {
    total: &'a Total,
    more: u64,
}

impl Added<'_> {
    /// Keeps it in the sum.
    pub fn keep(mut self) {
        self.more = 0;
    }
}

impl Drop for Added<'_> {
    fn drop(&mut self) {
        self.total.subtract(self.more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_does_not_count() {
        let total = Total::new(10);
        total.add(4);
        drop(total.try_add(6).unwrap());
        total.try_add(5).unwrap().keep();
        assert!(total.try_add(2).is_none());
        assert!(total.try_add(u64::MAX).is_none());
        total.subtract(1);
        total.try_add(2).unwrap().keep();
    }
}
