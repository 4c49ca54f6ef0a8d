//! What idle slots may keep resident, over all pools of an engine, and which of them give it back.
//!
//! Nobody sums it up on the fast path. Each shard knows what its idle slots hold, and has charged the engine for the most
//! that it has held since the last trim; so the sum of the charges is never too low, and is written only when a shard grows
//! beyond what it held before. When the sum is beyond the budget, a trim looks at all shards: charges become what is really
//! idle, and if that is more than seven eighths of the budget, slots that were used least recently give back first. So at
//! least an eighth of the budget lies between one trim that frees something and the next.
//!
//! If that is enough, pages of memories are given back and the slots stay: their next tenants find the same contents with page
//! faults, but nothing has to be laid out anew. Else slots go. To give one page back and touch it again costs 7 µs, to drop
//! a slot and make it again 64 µs; with 64 pages 214 µs and 279 µs, as the faults are the same (docs/adr/0010).
//!
//! "When" is counted in ticks, one for each time that a shard has charged more: what was used since the last tick is as good
//! as now.
//!
//! Invariant: when no release is going on, idle slots hold no more than the budget.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::engine::{EnginePool, lock};
use super::slot::Slot;
use super::warm::WarmPool;

/// The budget of an engine.
pub(super) struct Budget {
    /// In bytes.
    limit: u64,
    /// What shards have charged, in bytes: never less than what is idle.
    charged: AtomicU64,
    /// Ticks. Every release reads it.
    now: AtomicU64,
    /// Taken to trim.
    trimming: Mutex<()>,
}

impl Budget {
    pub fn new(limit: u64) -> Self {
        Budget { limit, charged: AtomicU64::new(0), now: AtomicU64::new(1), trimming: Mutex::new(()) }
    }

    pub fn limit(&self) -> u64 {
        self.limit
    }
}

/// An idle slot, as a trim has seen it.
struct Seen {
    idle_since: u64,
    resident: usize,
    spare: usize,
    shard: (usize, usize),
}

/// What is done to slots.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Measure {
    /// Pages of memories are given back.
    Trim,
    /// Slots are thrown away.
    Evict,
}

impl EnginePool {
    /// The time, in ticks.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        self.calm.budget.now.load(Ordering::Relaxed)
    }

    /// Charges the budget. Says whether it is spent; then the caller trims, without holding a lock.
    #[must_use]
    pub(super) fn charge(&self, bytes: usize) -> bool {
        self.calm.budget.now.fetch_add(1, Ordering::Relaxed);
        self.calm.budget.charged.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64 > self.calm.budget.limit
    }

    pub(super) fn uncharge(&self, bytes: usize) {
        self.calm.budget.charged.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    /// Brings what idle slots hold below the budget.
    pub(super) fn trim(&self) {
        // Dropped after the lock is released: a pool that ends here may run somebody's destructors.
        let pools = self.pools();
        let _one = lock(&self.calm.budget.trimming);
        if self.calm.budget.charged.load(Ordering::Relaxed) <= self.calm.budget.limit {
            // Somebody else has done it meanwhile.
            return;
        }
        let target = self.calm.budget.limit - self.calm.budget.limit / 8;
        // A second time, if slots were taken meanwhile that were to give something back.
        for _ in 0..2 {
            let (total, mut seen) = self.true_up(&pools);
            let Some(mut excess) = total.checked_sub(target).filter(|&excess| excess > 0) else { return };
            let spare: u64 = seen.iter().map(|slot| slot.spare as u64).sum();
            let measure = if spare >= excess { Measure::Trim } else { Measure::Evict };
            seen.sort_unstable_by_key(|slot| slot.idle_since);
            let mut chosen = Vec::new();
            for slot in seen {
                let gain = match measure {
                    Measure::Trim => slot.spare,
                    Measure::Evict => slot.resident,
                } as u64;
                if gain > 0 {
                    chosen.push(slot);
                    match excess.checked_sub(gain) {
                        Some(left) if left > 0 => excess = left,
                        _ => break,
                    }
                }
            }
            apply(self, &pools, chosen, measure);
        }
        self.true_up(&pools);
    }

    /// Makes charges what is idle now. Gives their sum, and the idle slots.
    fn true_up(&self, pools: &[Arc<WarmPool>]) -> (u64, Vec<Seen>) {
        let (mut total, mut seen) = (0, Vec::new());
        for (p, pool) in pools.iter().enumerate() {
            for (s, shard) in pool.shards().iter().enumerate() {
                let mut state = shard.lock();
                self.uncharge(state.charged - state.idle_bytes);
                state.charged = state.idle_bytes;
                total += state.idle_bytes as u64;
                seen.extend(state.idle.iter().map(|slot| Seen {
                    idle_since: slot.idle_since,
                    resident: slot.resident(),
                    spare: slot.spare(),
                    shard: (p, s),
                }));
            }
        }
        (total, seen)
    }

    /// Throws away up to `count` idle slots of any pool; says how many. For when the system has no more to give.
    pub(super) fn evict_idle(&self, count: usize) -> usize {
        let pools = self.pools();
        let mut evicted: Vec<Box<Slot>> = Vec::new();
        for pool in &pools {
            while evicted.len() < count
                && let Some(slot) = pool.evict()
            {
                evicted.push(slot);
            }
        }
        evicted.len()
    }
}

/// Does what was chosen, shard by shard. Slots may have been taken meanwhile; they are left alone.
fn apply(engine: &EnginePool, pools: &[Arc<WarmPool>], mut chosen: Vec<Seen>, measure: Measure) {
    chosen.sort_unstable_by_key(|slot| (slot.shard, slot.idle_since));
    for group in chosen.chunk_by(|a, b| a.shard == b.shard) {
        let (pool, shard) = group[0].shard;
        let (pool, last) = (&pools[pool], group[group.len() - 1].idle_since);
        let shard = &pool.shards()[shard];
        let mut taken: Vec<Box<Slot>> = Vec::new();
        let mut state = shard.lock();
        let mut left = group.len();
        let old = |slot: &mut Box<Slot>| {
            let chosen = left > 0 && slot.idle_since <= last && (measure == Measure::Evict || slot.spare() > 0);
            left -= usize::from(chosen);
            chosen
        };
        taken.extend(state.idle.extract_if(.., old));
        for slot in &mut taken {
            state.idle_bytes -= slot.resident();
            // Who looks for room now finds that of these, whatever becomes of them.
            slot.uncount();
        }
        match measure {
            Measure::Evict => state.counts.evictions += taken.len() as u64,
            Measure::Trim => state.counts.trims += taken.len() as u64,
        }
        drop(state);
        engine.leave_many(taken.len(), 0);
        if measure == Measure::Trim {
            give_back(engine, pool, shard, taken);
        }
    }
    engine.serve();
}

/// Gives back the pages of slots, which the engine does not count, and makes them idle again if there is still room.
#[expect(clippy::vec_box, reason = "as in a shard: slots move as one pointer")]
fn give_back(engine: &EnginePool, pool: &WarmPool, shard: &super::warm::Shard, taken: Vec<Box<Slot>>) {
    let mut kept = Vec::new();
    for mut slot in taken {
        // A slot that the system does not let us trim is dropped, with its pages.
        if slot.give_back(pool.recipe()).is_ok() {
            kept.push(slot);
        }
    }
    let mut state = shard.lock();
    if !state.closed {
        let room = kept.iter().take_while(|_| engine.enter()).count();
        let rest = kept.split_off(room);
        for slot in &mut kept {
            slot.count();
            state.idle_bytes += slot.resident();
        }
        if state.idle_bytes > state.charged {
            // The trim that is going on looks at the sum once more.
            let _ = engine.charge(state.idle_bytes - state.charged);
            state.charged = state.idle_bytes;
        }
        // Those with pages are used first.
        state.idle.splice(0..0, kept);
        kept = rest;
    }
    drop(state);
    drop(kept);
}
