//! What all pools of an engine share.

use std::any::Any;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use super::background::Background;
use super::cell::{CellSettings, StoreCell};
use super::warm::WarmPool;
use crate::error::{Result, bail};

/// How many slots exist, every cell ever made, and all pools (to take idle slots from).
pub struct EnginePool {
    max_slots: usize,
    settings: CellSettings,
    /// The engine's public part, for cells.
    owner: Weak<dyn Any + Send + Sync>,
    existing: AtomicUsize,
    pools: Mutex<Vec<Weak<WarmPool>>>,
    cells: Mutex<Cells>,
    /// Shared instances that finalizers gave up: closed by the next acquire.
    abandoned: Mutex<Vec<(NonNull<StoreCell>, u64)>>,
    abandoned_count: AtomicUsize,
    /// Number of pools that slots can be acquired from. Without one, nobody would close what is abandoned.
    open_pools: AtomicUsize,
    /// Where slots with much to restore go.
    background: Option<Background>,
}

#[derive(Default)]
struct Cells {
    /// Boxes made into raw pointers; freed when the engine goes.
    all: Vec<NonNull<StoreCell>>,
    free: Vec<NonNull<StoreCell>>,
}

// SAFETY: cells are Send + Sync; the pointers to them are owned here.
unsafe impl Send for EnginePool {}
// SAFETY: all fields are behind locks or atomic.
unsafe impl Sync for EnginePool {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl EnginePool {
    /// Pools of an engine that allows `max_slots` slots, and cells with these settings.
    pub fn new(
        max_slots: usize,
        settings: CellSettings,
        background: Option<Background>,
        owner: Weak<dyn Any + Send + Sync>,
    ) -> Arc<Self> {
        Arc::new(EnginePool {
            max_slots,
            settings,
            owner,
            existing: AtomicUsize::new(0),
            pools: Mutex::default(),
            cells: Mutex::default(),
            abandoned: Mutex::default(),
            abandoned_count: AtomicUsize::new(0),
            open_pools: AtomicUsize::new(0),
            background,
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

    /// Counts one more slot, throwing idle slots of any pool away if the engine is full.
    ///
    /// # Errors
    ///
    /// `PoolExhausted` when all slots are live.
    pub(super) fn count_slot(&self) -> Result<()> {
        loop {
            let count = self.existing.fetch_add(1, Ordering::Relaxed) + 1;
            if count <= self.max_slots {
                return Ok(());
            }
            self.existing.fetch_sub(1, Ordering::Relaxed);
            let pools: Vec<_> = lock(&self.pools).iter().filter_map(Weak::upgrade).collect();
            if !pools.iter().any(|pool| pool.evict_one()) {
                bail!(
                    PoolExhausted,
                    "all {} instances of the engine are in use; close (drop) instances that are done, or raise max_instances",
                    self.max_slots
                );
            }
        }
    }

    pub(super) fn slot_gone(&self) {
        self.existing.fetch_sub(1, Ordering::Relaxed);
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
        let pools: Vec<_> = lock(&self.pools).iter().filter_map(Weak::upgrade).collect();
        let idle: usize = pools.iter().map(|p| p.idle()).sum();
        self.existing.load(Ordering::Relaxed).saturating_sub(idle)
    }

    /// A free cell; it is the caller's until [`EnginePool::release_cell`].
    pub fn acquire_cell(&self) -> NonNull<StoreCell> {
        let mut cells = lock(&self.cells);
        cells.free.pop().unwrap_or_else(|| {
            let cell = NonNull::from(Box::leak(StoreCell::new(self.settings, self.owner.clone())));
            cells.all.push(cell);
            cell
        })
    }

    /// Gives a free (closed) cell back.
    pub fn release_cell(&self, cell: NonNull<StoreCell>) {
        lock(&self.cells).free.push(cell);
    }

    /// Leaves a shared instance to be closed by the next acquire. Never waits for long and runs no user code. Says whether
    /// there is nobody left to acquire; then the caller closes it.
    #[must_use]
    pub fn abandon(&self, cell: NonNull<StoreCell>, id: u64) -> bool {
        lock(&self.abandoned).push((cell, id));
        // One of this thread and the one that closes the last pool sees what the other has written.
        self.abandoned_count.fetch_add(1, Ordering::SeqCst);
        self.open_pools.load(Ordering::SeqCst) == 0
    }

    /// Shared instances that were abandoned since the last call.
    #[inline]
    pub fn take_abandoned(&self) -> Vec<(NonNull<StoreCell>, u64)> {
        if self.abandoned_count.load(Ordering::SeqCst) == 0 {
            return Vec::new();
        }
        let mut list = lock(&self.abandoned);
        self.abandoned_count.store(0, Ordering::Release);
        std::mem::take(&mut *list)
    }
}

impl Drop for EnginePool {
    fn drop(&mut self) {
        for cell in std::mem::take(&mut lock(&self.cells).all) {
            // SAFETY: made by Box::leak in `acquire_cell`; slots, stores and handles keep the engine alive.
            drop(unsafe { Box::from_raw(cell.as_ptr()) });
        }
    }
}
