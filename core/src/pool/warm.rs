//! Warm slots of one InstancePre: which slot a thread gets, and where it goes back. Safe code but for the life of the
//! pool itself.
//!
//! Each thread uses the shard of its number, so its lock is normally free and its cache line its own. A shard also counts
//! the slots that are live from it, and keeps the pool alive while there are any: that way a live slot needs no
//! reference count of its own, and nothing that threads share is written on the fast path.
//!
//! ```text
//!   acquire: own shard ─► other shards ─► a new slot ─► every shard, waiting for locks ─► room of another pool's idle slot
//!            ─► what finalizers have left ─► what is being reset ─► an error, or the queue (see queue)
//! ```

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::background::Background;
use super::engine::EnginePool;
use super::metrics::{Counts, InstancePreStats, Standing};
use super::queue::{Grant, Waited};
use super::slot::{Slot, SlotRecipe};
use super::thread;
use crate::error::Result;
use crate::image::{HotSets, InstanceImage, PageSet};
use crate::sys::limits;

/// Number of shards; a power of two. More than cores, so that few threads share one.
pub(super) const SHARDS: usize = 16;

/// Slots of one InstancePre.
pub struct WarmPool {
    shards: [Shard; SHARDS],
    recipe: SlotRecipe,
    engine: Arc<EnginePool>,
    /// Whether slots are kept for the next tenant. Not when imports belong to a store, or instances make shared memories.
    keeps_slots: bool,
    /// The pages that slots have ever written, by memory. Locked when one writes to a page for the first time.
    hot: Mutex<Vec<PageSet>>,
}

#[derive(Default)]
#[repr(align(128))]
pub(super) struct Shard(Mutex<ShardState>);

#[derive(Default)]
pub(super) struct ShardState {
    /// The one that was used last is at the end.
    #[expect(clippy::vec_box, reason = "a lease holds the box, so that slots move as one pointer")]
    pub idle: Vec<Box<Slot>>,
    /// The sum of what is resident of the idle slots.
    pub idle_bytes: usize,
    /// What the engine's budget has been charged for the shard: the most that `idle_bytes` was since the last trim.
    pub charged: usize,
    /// The difference of `acquired` and `released` are slots that were taken from this shard and have not come back.
    pub counts: Counts,
    /// The pool itself, from the first use of the shard until the pool is closed and no slot is live.
    pool: Option<Arc<WarmPool>>,
    pub closed: bool,
}

impl Shard {
    pub(super) fn lock(&self) -> MutexGuard<'_, ShardState> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl ShardState {
    /// Takes the idle slot that was used last.
    #[inline]
    fn pop(&mut self) -> Option<Box<Slot>> {
        let slot = self.idle.pop()?;
        self.idle_bytes -= slot.resident();
        Some(slot)
    }

    fn is_unused(&self) -> bool {
        self.counts.acquired == self.counts.released
    }
}

/// What an acquire may do when all slots are live.
pub struct Patience<'a> {
    /// How long to wait; not at all when it is zero.
    pub timeout: Duration,
    /// Closes what finalizers have left.
    pub drain: &'a dyn Fn(),
}

/// The InstancePre's hold on its pool. Closes it when dropped.
pub struct PoolHandle(Arc<WarmPool>);

impl PoolHandle {
    /// A pool without slots.
    pub fn new(recipe: SlotRecipe, engine: Arc<EnginePool>, keeps_slots: bool) -> Self {
        let hot = Mutex::default();
        let pool = Arc::new(WarmPool { shards: Default::default(), recipe, engine, keeps_slots, hot });
        pool.engine.register(&pool);
        PoolHandle(pool)
    }

    /// What instances write to, if that is learned.
    pub fn hot_sets(&self) -> Option<&HotSets> {
        self.0.recipe.hot.as_deref()
    }

    /// Whether a slot belongs to this pool.
    pub fn owns(&self, lease: &Lease) -> bool {
        std::ptr::eq(lease.slot().pool.as_ptr(), &*self.0)
    }

    /// A slot that equals its image: a warm one if there is one. `patience` is asked for when there is no slot.
    ///
    /// # Errors
    ///
    /// `PoolExhausted` when all slots of the engine are live, and stay so for as long as may be waited; `Os` or `Limit` when a
    /// new slot cannot be made.
    #[inline]
    pub fn acquire<'a>(&self, patience: impl Fn() -> Patience<'a>) -> Result<Lease> {
        let home = thread::number() % SHARDS;
        let mut shard = self.0.shards[home].lock();
        let lease = match shard.pop() {
            Some(slot) => {
                shard.counts.acquired += 1;
                drop(shard);
                Lease::new(slot)
            }
            None => {
                drop(shard);
                self.0.acquire_cold(home, &patience())?
            }
        };
        if lease.slot().is_outdated() { self.refreshed(lease, &patience()) } else { Ok(lease) }
    }

    #[cold]
    fn refreshed(&self, mut lease: Lease, patience: &Patience<'_>) -> Result<Lease> {
        if lease.slot_mut().refresh() {
            return Ok(lease);
        }
        // Its reset fails, which is its end.
        drop(lease);
        self.0.acquire_cold(thread::number() % SHARDS, patience)
    }

    /// What the pool has and has done.
    pub fn stats(&self) -> InstancePreStats {
        let (counts, standing) = self.0.sum();
        let mut stats = InstancePreStats::of(&counts, standing);
        stats.hot_pages = self.0.hot().iter().map(PageSet::len).sum();
        stats
    }
}

impl Drop for PoolHandle {
    fn drop(&mut self) {
        for shard in &self.0.shards {
            let mut state = shard.lock();
            state.closed = true;
            let mut idle = std::mem::take(&mut state.idle);
            state.idle_bytes = 0;
            let charged = std::mem::take(&mut state.charged);
            // Nobody who looks for room from now on misses that of these slots.
            idle.iter_mut().for_each(|slot| slot.uncount());
            self.0.engine.leave_many(idle.len(), charged);
            let pool = if state.is_unused() { state.pool.take() } else { None };
            drop(state);
            // Neither slots nor the pool are dropped under the lock.
            drop(idle);
            drop(pool);
        }
        self.0.engine.serve();
        if let Some(background) = self.0.engine.background() {
            background.cancel(&self.0);
        }
    }
}

impl WarmPool {
    #[cold]
    fn acquire_cold(self: &Arc<Self>, home: usize, patience: &Patience<'_>) -> Result<Lease> {
        let engine = &self.engine;
        // Those who wait are first.
        engine.serve();
        if engine.nobody_waits() {
            // A slot that is stolen carries nothing from its old shard: it was idle there.
            let quick = self.shards.iter().find_map(|shard| shard.0.try_lock().ok()?.pop());
            if let Some(slot) = quick {
                return Ok(self.take_stolen(home, slot));
            }
            if engine.enter() {
                return self.make(home);
            }
            if let Some(lease) = self.find(home) {
                return lease;
            }
        }
        // Finalizers may have left instances to be closed.
        (patience.drain)();
        if engine.nobody_waits()
            && let Some(lease) = self.find(home)
        {
            return lease;
        }
        // What is being reset is in use no longer than that takes.
        while engine.nobody_waits() && engine.background().is_some_and(Background::help) {
            if let Some(lease) = self.find(home) {
                return lease;
            }
        }
        if patience.timeout.is_zero() {
            return Err(engine.full(None));
        }
        let waited = engine.wait(self, patience);
        let mut shard = self.shards[home].lock();
        shard.counts.waits += 1;
        match waited {
            Waited::Granted(Grant::Warm(slot)) => {
                drop(shard);
                Ok(self.take_stolen(home, slot))
            }
            Waited::Granted(Grant::Room) => {
                drop(shard);
                self.make(home)
            }
            Waited::TimedOut => {
                shard.counts.wait_timeouts += 1;
                drop(shard);
                Err(engine.full(Some(patience.timeout)))
            }
        }
    }

    /// Looks for an idle slot of any shard, then for room, of any pool's idle slot if need be.
    fn find(self: &Arc<Self>, home: usize) -> Option<Result<Lease>> {
        if let Some(slot) = self.steal() {
            return Some(Ok(self.take_stolen(home, slot)));
        }
        self.engine.enter_by_eviction().then(|| self.make(home))
    }

    /// Takes an idle slot of any shard, waiting for their locks.
    pub(super) fn steal(&self) -> Option<Box<Slot>> {
        self.shards.iter().find_map(|shard| shard.lock().pop())
    }

    /// Makes a slot, for which there is room. When the system refuses, idle slots of any pool make way.
    fn make(self: &Arc<Self>, home: usize) -> Result<Lease> {
        let mut evict = 1;
        loop {
            let error = match Slot::new(&self.recipe, self.engine.clone(), NonNull::from(&**self)) {
                Ok(slot) => {
                    let mut shard = self.shards[home].lock();
                    shard.counts.cold_starts += 1;
                    return Ok(self.live(home, shard, slot));
                }
                Err(error) => error,
            };
            let may_help = limits::is_exhaustion(&error);
            if may_help && self.engine.evict_idle(evict) > 0 {
                // Each try costs more than the one before if little is freed.
                evict = evict.saturating_mul(2);
                continue;
            }
            // A slot that cannot be made has not been made: its room goes back.
            self.engine.leave();
            if !may_help {
                return Err(error);
            }
            let live = self.engine.live();
            let what =
                format_args!("a slot for an instance could not be made beside {live} others{}", limits::scarce());
            return Err(error.context(what));
        }
    }

    fn take_stolen(self: &Arc<Self>, home: usize, slot: Box<Slot>) -> Lease {
        let mut shard = self.shards[home].lock();
        shard.counts.stolen += 1;
        self.live(home, shard, slot)
    }

    fn live(self: &Arc<Self>, home: usize, mut shard: MutexGuard<'_, ShardState>, mut slot: Box<Slot>) -> Lease {
        slot.home = home;
        shard.counts.acquired += 1;
        shard.pool.get_or_insert_with(|| self.clone());
        drop(shard);
        Lease::new(slot)
    }

    /// Takes an idle slot to be thrown away: the one that was used least recently, of the first shard that has any.
    pub(super) fn evict(&self) -> Option<Box<Slot>> {
        self.shards.iter().find_map(|shard| {
            let mut state = shard.lock();
            if state.idle.is_empty() {
                return None;
            }
            let slot = state.idle.remove(0);
            state.idle_bytes -= slot.resident();
            state.counts.evictions += 1;
            Some(slot)
        })
    }

    pub(super) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    pub(super) fn recipe(&self) -> &SlotRecipe {
        &self.recipe
    }

    /// What all shards have, and have done.
    pub(super) fn sum(&self) -> (Counts, Standing) {
        let (mut counts, mut standing) = (Counts::default(), Standing::default());
        for shard in &self.shards {
            let state = shard.lock();
            counts.add(&state.counts);
            standing.idle += state.idle.len();
            standing.idle_bytes += state.idle_bytes;
        }
        (counts, standing)
    }

    /// Number of idle slots.
    pub(super) fn idle(&self) -> usize {
        self.shards.iter().map(|s| s.lock().idle.len()).sum()
    }

    fn hot(&self) -> MutexGuard<'_, Vec<PageSet>> {
        self.hot.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Adds the pages that a slot has written to the hot set.
    #[cold]
    fn learn(&self, slot: &Slot) {
        let mut hot = self.hot();
        for (i, pages) in slot.log().written().enumerate() {
            match hot.get_mut(i) {
                Some(known) => known.merge(pages),
                None => hot.push(pages.clone()),
            }
        }
    }

    /// Resets a slot and takes it back. Gives the shard's hold on a closed pool, to be dropped by the caller.
    #[inline]
    fn release(&self, slot: Box<Slot>) -> Option<Arc<WarmPool>> {
        let slot = match self.engine.background() {
            Some(background) if self.keeps_slots && !slot.is_broken() => background.offer(self, slot)?,
            _ => slot,
        };
        self.reset_and_keep(slot)
    }

    #[inline]
    fn reset_and_keep(&self, mut slot: Box<Slot>) -> Option<Arc<WarmPool>> {
        let home = slot.home;
        if !self.keeps_slots || slot.is_broken() {
            return self.throw_away(slot, home, false);
        }
        match slot.reset(&self.recipe) {
            Ok(false) => {}
            Ok(true) => self.learn(&slot),
            Err(error) => {
                self.failed_reset(&error);
                return self.throw_away(slot, home, true);
            }
        }
        let (lines, bytes) = (slot.log().lines, slot.log().bytes);
        slot.idle_since = self.engine.now();
        let mut guard = self.shards[home].lock();
        let shard = &mut *guard;
        let counts = &mut shard.counts;
        counts.resets += 1;
        counts.lines += lines;
        counts.bytes += bytes;
        // Looked at under the lock: who waits has taken it since, and found the slot, or is seen here.
        if shard.closed || !self.engine.nobody_waits() {
            drop(guard);
            return self.release_cold(slot, home);
        }
        counts.released += 1;
        let idle_bytes = shard.idle_bytes + slot.resident();
        shard.idle_bytes = idle_bytes;
        shard.idle.push(slot);
        if idle_bytes > shard.charged {
            self.charge(guard);
        }
        None
    }

    /// Charges the engine's budget for a shard that has more idle bytes than ever since the last trim.
    #[cold]
    fn charge(&self, mut shard: MutexGuard<'_, ShardState>) {
        let more = shard.idle_bytes - shard.charged;
        shard.charged = shard.idle_bytes;
        if self.engine.charge(more) {
            // The pool may end as soon as the shard is unlocked.
            let engine = self.engine.clone();
            drop(shard);
            engine.trim();
        }
    }

    /// Takes back a slot that equals its image, when somebody waits for one or the pool is closed.
    #[cold]
    fn release_cold(&self, slot: Box<Slot>, home: usize) -> Option<Arc<WarmPool>> {
        let mut slot = Some(slot);
        loop {
            if !self.engine.nobody_waits() {
                // The slot counts as live here, which keeps the pool alive, until somebody has it.
                slot = slot.and_then(|slot| self.engine.offer(slot));
            }
            let mut shard = self.shards[home].lock();
            match slot.take() {
                Some(returned) if !shard.closed => {
                    if !self.engine.nobody_waits() {
                        slot = Some(returned);
                        continue;
                    }
                    shard.counts.released += 1;
                    shard.idle_bytes += returned.resident();
                    shard.idle.push(returned);
                    if shard.idle_bytes > shard.charged {
                        self.charge(shard);
                    }
                    return None;
                }
                rest => {
                    shard.counts.released += 1;
                    let pool = if shard.closed && shard.is_unused() { shard.pool.take() } else { None };
                    drop(shard);
                    drop(rest);
                    return pool;
                }
            }
        }
    }

    /// Takes a slot that is not kept out of the counts, and drops it.
    #[cold]
    fn throw_away(&self, slot: Box<Slot>, home: usize, failed: bool) -> Option<Arc<WarmPool>> {
        // While it counts as live the pool is there, to which its instance has pointers.
        drop(slot);
        let mut shard = self.shards[home].lock();
        shard.counts.released += 1;
        shard.counts.failed_resets += u64::from(failed);
        if shard.closed && shard.is_unused() { shard.pool.take() } else { None }
    }

    /// Calls `keep` with a live slot of this shard, unless the pool is closed or closes meanwhile. What is not kept comes back.
    pub(super) fn if_open(
        &self,
        home: usize,
        slot: Box<Slot>,
        keep: impl FnOnce(Box<Slot>) -> Option<Box<Slot>>,
    ) -> Option<Box<Slot>> {
        let shard = self.shards[home].lock();
        if shard.closed { Some(slot) } else { keep(slot) }
    }

    /// A slot that cannot be reset is thrown away with its mappings; a paranoid engine does not go on.
    #[cold]
    fn failed_reset(&self, error: &crate::Error) {
        if self.recipe.paranoid {
            eprintln!("instar: paranoid check failed: {error}");
            std::process::abort();
        }
    }
}

impl Drop for WarmPool {
    fn drop(&mut self) {
        let (counts, _) = self.sum();
        self.engine.retire(&counts);
    }
}

/// Resets a live slot here and now, and gives it back.
pub(super) fn release_here(slot: Box<Slot>) {
    // SAFETY: the slot's home shard keeps the pool alive while the slot is live.
    let last = unsafe { slot.pool.as_ref() }.reset_and_keep(slot);
    // The pool may end here, when nothing borrows it any more.
    drop(last);
}

/// A live slot. Dropping it resets the slot and gives it back.
pub struct Lease(ManuallyDrop<Box<Slot>>);

impl Lease {
    fn new(slot: Box<Slot>) -> Self {
        Lease(ManuallyDrop::new(slot))
    }

    #[inline]
    pub fn slot(&self) -> &Slot {
        &self.0
    }

    /// Brings the instance back to its image; others may be linked to it.
    ///
    /// # Errors
    ///
    /// When that fails: no call must go to the instance any more. `Unsupported` when it cannot be done; nothing has happened then.
    pub fn reset(&mut self) -> Result<()> {
        // SAFETY: the slot's home shard keeps the pool alive while the slot is live.
        let pool = unsafe { self.0.pool.as_ref() };
        self.0.reset_live(&pool.recipe).inspect_err(|error| {
            if self.0.is_broken() {
                pool.failed_reset(error);
            }
        })
    }

    /// The image of the instance.
    ///
    /// # Safety
    ///
    /// The slot is live for `'a`.
    pub unsafe fn image<'a>(&self) -> &'a InstanceImage {
        // SAFETY: passed on; the slot's home shard keeps the pool alive while the slot is live.
        &unsafe { self.0.pool.as_ref() }.recipe.image
    }

    #[inline]
    pub fn slot_mut(&mut self) -> &mut Slot {
        &mut self.0
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: taken once, here.
        let slot = unsafe { ManuallyDrop::take(&mut self.0) };
        // SAFETY: the slot's home shard keeps the pool alive while the slot is live.
        let last = unsafe { slot.pool.as_ref() }.release(slot);
        // The pool may end here, when nothing borrows it any more.
        drop(last);
    }
}
