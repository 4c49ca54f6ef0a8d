//! The calling thread's number, and its block of store ids.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Ids are drawn from the shared counter in blocks of this many.
const BLOCK: u64 = 1 << 16;

struct Thread {
    /// Number plus one; 0 before it is drawn.
    number: Cell<usize>,
    next_id: Cell<u64>,
}

thread_local! {
    static THREAD: Thread = const { Thread { number: Cell::new(0), next_id: Cell::new(0) } };
}

/// A small number for the calling thread, to choose a shard by.
#[inline]
pub fn number() -> usize {
    THREAD.with(|t| match t.number.get() {
        0 => draw_number(t),
        n => n - 1,
    })
}

#[cold]
fn draw_number(thread: &Thread) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    thread.number.set(n + 1);
    n
}

/// A store id that was never used before in this process, and never 0.
#[inline]
pub fn next_store_id() -> u64 {
    THREAD.with(|t| {
        let id = t.next_id.get();
        // The last id of a block is never given out, so a multiple of BLOCK means that a new block is due.
        if id.is_multiple_of(BLOCK) { draw_block(t) } else { t.next_id.replace(id + 1) }
    })
}

#[cold]
fn draw_block(thread: &Thread) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let first = NEXT.fetch_add(1, Ordering::Relaxed) * BLOCK + 1;
    thread.next_id.set(first + 1);
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_unique_across_blocks_and_threads() {
        let draw = || (0..BLOCK * 2 + 7).map(|_| next_store_id()).collect::<Vec<_>>();
        let other = std::thread::spawn(draw);
        let mut all = draw();
        all.extend(other.join().unwrap());
        assert!(!all.contains(&0));
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    }
}
