//! What all pools of an engine share.

use std::any::Any;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use super::background::Background;
use super::budget::Budget;
use super::cell::{CellSettings, StoreCell};
use super::cells::Cells;
use super::metrics::{Counts, PoolMetrics, Standing};
use super::queue::Queue;
use super::warm::WarmPool;
use crate::error::{Error, error};

/// What an engine's configuration says about its pools.
#[derive(Clone, Copy, Debug)]
pub struct PoolSettings {
    pub max_slots: usize,
    /// How long one waits for a slot who does not say it.
    pub wait: Duration,
    /// What idle slots may keep resident, in bytes.
    pub idle_bytes: u64,
    /// Slots with more bytes to restore are reset on a thread of the engine.
    pub background: Option<usize>,
    pub cells: CellSettings,
}

/// How many slots exist, every cell ever made, all pools (to take idle slots from), and who waits.
pub struct EnginePool {
    /// What every release reads, and nobody writes often.
    pub(super) calm: Calm,
    settings: PoolSettings,
    existing: AtomicUsize,
    pub(super) pools: Mutex<Vec<Weak<WarmPool>>>,
    cells: Cells,
    /// Shared instances that finalizers gave up: closed by the next acquire, by who waits, or by a thread of their own.
    abandoned: Mutex<Vec<(NonNull<StoreCell>, u64)>>,
    abandoned_count: AtomicUsize,
    /// Number of pools that slots can be acquired from. Without one, nobody would close what is abandoned.
    open_pools: AtomicUsize,
    /// Where slots with much to restore go.
    background: Option<Background>,
    /// The process in which a thread closes what is abandoned, or 0.
    reaping: AtomicU32,
    /// Counts of pools that are gone.
    retired: Mutex<Counts>,
}

/// Aligned so that it shares no cache line with anything that is written often.
#[repr(align(128))]
pub(super) struct Calm {
    pub queue: Queue,
    pub budget: Budget,
}

// SAFETY: cells are Send + Sync; the pointers to them are addresses that are only used with the engine.
unsafe impl Send for EnginePool {}
// SAFETY: all fields are behind locks or atomic.
unsafe impl Sync for EnginePool {}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl EnginePool {
    /// Pools with these settings; `owner` is the engine's public part, for cells.
    pub fn new(settings: PoolSettings, owner: Weak<dyn Any + Send + Sync>) -> Arc<Self> {
        Arc::new(EnginePool {
            calm: Calm { queue: Queue::default(), budget: Budget::new(settings.idle_bytes) },
            settings,
            existing: AtomicUsize::new(0),
            pools: Mutex::default(),
            cells: Cells::new(settings.cells, owner),
            abandoned: Mutex::default(),
            abandoned_count: AtomicUsize::new(0),
            open_pools: AtomicUsize::new(0),
            background: settings.background.map(Background::new),
            reaping: AtomicU32::new(0),
            retired: Mutex::default(),
        })
    }

    /// Registers a pool, so that others can take its idle slots when the engine is full.
    pub(super) fn register(&self, pool: &Arc<WarmPool>) {
        let mut pools = lock(&self.pools);
        pools.retain(|p| p.strong_count() > 0);
        pools.push(Arc::downgrade(pool));
        self.open_pools.fetch_add(1, Ordering::SeqCst);
    }

    /// One pool less can be acquired from. Says whether it was the last; then the caller closes what is abandoned.
    #[must_use]
    pub fn pool_closes(&self) -> bool {
        self.open_pools.fetch_sub(1, Ordering::SeqCst) == 1
    }

    /// How long one waits for a slot who does not say it.
    pub fn default_wait(&self) -> Duration {
        self.settings.wait
    }

    /// Counts one more slot if there is room for it.
    pub(super) fn enter(&self) -> bool {
        let max = self.settings.max_slots;
        let more = |count: usize| (count < max).then(|| count + 1);
        self.existing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }

    /// Like [`EnginePool::enter`], throwing an idle slot of any pool away if the engine is full.
    pub(super) fn enter_by_eviction(&self) -> bool {
        if self.enter() {
            return true;
        }
        let pools = self.pools();
        match pools.iter().find_map(|pool| pool.evict()) {
            Some(mut slot) => {
                // Its room is the caller's, and nobody else's for a moment.
                slot.uncount();
                true
            }
            // What others have freed meanwhile.
            None => self.enter(),
        }
    }

    /// A slot that was counted is gone.
    pub(super) fn leave(&self) {
        self.leave_many(1, 0);
        self.serve();
    }

    /// Slots that were counted are gone, and what they were charged. The caller calls `serve` when it holds no lock.
    pub(super) fn leave_many(&self, count: usize, charged: usize) {
        self.existing.fetch_sub(count, Ordering::SeqCst);
        self.uncharge(charged);
    }

    /// Where slots with much to restore go, if the engine wants them reset elsewhere.
    #[inline]
    pub(super) fn background(&self) -> Option<&Background> {
        self.background.as_ref()
    }

    /// Number of slots that wait for being reset elsewhere, or are. They are live.
    pub fn resetting(&self) -> usize {
        self.background.as_ref().map_or(0, Background::resetting)
    }

    /// Number of live slots: those that exist and are not idle.
    pub fn live(&self) -> usize {
        let idle: usize = self.pools().iter().map(|p| p.idle()).sum();
        self.existing.load(Ordering::Relaxed).saturating_sub(idle)
    }

    /// What all pools have and have done.
    pub fn metrics(&self) -> PoolMetrics {
        let (mut counts, mut standing) = (*lock(&self.retired), Standing::default());
        for pool in self.pools() {
            let (more, now) = pool.sum();
            counts.add(&more);
            standing.idle += now.idle;
            standing.idle_bytes += now.idle_bytes;
        }
        let mut metrics = PoolMetrics::of(&counts, standing);
        metrics.max_instances = self.settings.max_slots;
        metrics.max_idle_resident_bytes = self.calm.budget.limit();
        metrics.waiting = self.calm.queue.len();
        metrics
    }

    /// Keeps the counts of a pool that goes.
    pub(super) fn retire(&self, counts: &Counts) {
        lock(&self.retired).add(counts);
    }

    /// The error of an engine whose slots are all live.
    pub(super) fn full(&self, waited: Option<Duration>) -> Error {
        let max = self.settings.max_slots;
        let (open, busy) = self.cells.shared();
        let shared = match (open, busy) {
            (0, _) => String::new(),
            (1, _) => ", 1 of them a shared instance that was neither closed nor dropped".to_string(),
            (open, 0) => format!(", {open} of them shared instances that were neither closed nor dropped"),
            (open, busy) => {
                format!(", {open} of them shared instances that were neither closed nor dropped ({busy} in a call)")
            }
        };
        match waited {
            None => error!(
                PoolExhausted,
                "all {max} instances of the engine are in use{shared}; close (drop) instances that are done, wait for one (pool_wait, InstancePre::waiting), or raise max_instances"
            ),
            Some(time) => error!(
                PoolExhausted,
                "all {max} instances of the engine are in use{shared}, and none came free within {time:?}; close (drop) instances that are done, wait longer (pool_wait, InstancePre::waiting), or raise max_instances"
            ),
        }
    }

    /// A free cell; it is the caller's until [`EnginePool::release_cell`].
    #[inline]
    pub fn acquire_cell(&self) -> NonNull<StoreCell> {
        self.cells.acquire()
    }

    /// Gives a free (closed) cell back.
    #[inline]
    pub fn release_cell(&self, cell: NonNull<StoreCell>) {
        self.cells.release(cell);
    }

    /// Leaves a shared instance to be closed by the next acquire. Never waits for long and runs no user code. Says whether
    /// there is nobody left to acquire; then the caller sees to it that a thread closes it.
    #[must_use]
    pub fn abandon(&self, cell: NonNull<StoreCell>, id: u64) -> bool {
        lock(&self.abandoned).push((cell, id));
        // One of this thread and the one that closes the last pool, or that waits, sees what the other has written.
        self.abandoned_count.fetch_add(1, Ordering::SeqCst);
        self.nudge();
        self.open_pools.load(Ordering::SeqCst) == 0
    }

    /// Whether shared instances were abandoned that nobody has taken yet.
    #[inline]
    pub fn has_abandoned(&self) -> bool {
        self.abandoned_count.load(Ordering::SeqCst) != 0
    }

    /// Shared instances that were abandoned since the last call.
    #[inline]
    pub fn take_abandoned(&self) -> Vec<(NonNull<StoreCell>, u64)> {
        if !self.has_abandoned() {
            return Vec::new();
        }
        let mut list = lock(&self.abandoned);
        self.abandoned_count.store(0, Ordering::SeqCst);
        std::mem::take(&mut *list)
    }

    /// Leaves an instance that was taken to the next one who takes, as it is in use.
    pub fn abandon_again(&self, cell: NonNull<StoreCell>, id: u64) {
        let mut list = lock(&self.abandoned);
        list.push((cell, id));
        self.abandoned_count.store(list.len(), Ordering::SeqCst);
    }

    /// Whether no thread of this process closes what is abandoned, so that the caller must make one.
    pub fn start_reaping(&self) -> bool {
        let process = std::process::id();
        self.reaping.swap(process, Ordering::SeqCst) != process
    }

    /// The thread that closes what is abandoned has found nothing more, or could not be made.
    pub fn stop_reaping(&self) {
        self.reaping.store(0, Ordering::SeqCst);
    }
}
