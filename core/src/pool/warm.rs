//! Warm slots of one InstancePre: which slot a thread gets, and where it goes back. Safe code but for the life of the
//! pool itself.
//!
//! Each thread uses the shard of its number, so its lock is normally free and its cache line its own. A shard also counts
//! the slots that are live from it, and keeps the pool alive while there are any: that way a live slot needs no
//! reference count of its own, and nothing that threads share is written on the fast path.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard};

use super::engine::EnginePool;
use super::slot::{Slot, SlotRecipe};
use super::thread;
use crate::error::Result;
use crate::image::InstanceImage;

/// Number of shards; a power of two. More than cores, so that few threads share one.
const SHARDS: usize = 16;

/// Slots of one InstancePre.
pub struct WarmPool {
    shards: [Shard; SHARDS],
    recipe: SlotRecipe,
    engine: Arc<EnginePool>,
    /// Whether slots are kept for the next tenant. Not when imports belong to a store, or instances make shared memories.
    keeps_slots: bool,
}

#[derive(Default)]
#[repr(align(128))]
struct Shard(Mutex<ShardState>);

#[derive(Default)]
struct ShardState {
    #[expect(clippy::vec_box, reason = "a lease holds the box, so that slots move as one pointer")]
    idle: Vec<Box<Slot>>,
    /// Slots that were taken from this shard and have not come back.
    live: usize,
    /// The pool itself, from the first use of the shard until the pool is closed and no slot is live.
    pool: Option<Arc<WarmPool>>,
    closed: bool,
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, ShardState> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// The InstancePre's hold on its pool. Closes it when dropped.
pub struct PoolHandle(Arc<WarmPool>);

impl PoolHandle {
    /// A pool without slots.
    pub fn new(recipe: SlotRecipe, engine: Arc<EnginePool>, keeps_slots: bool) -> Self {
        let pool = Arc::new(WarmPool { shards: Default::default(), recipe, engine, keeps_slots });
        pool.engine.register(&pool);
        PoolHandle(pool)
    }

    /// Whether a slot belongs to this pool.
    pub fn owns(&self, lease: &Lease) -> bool {
        std::ptr::eq(lease.slot().pool.as_ptr(), &*self.0)
    }

    /// A slot that equals its image: a warm one if there is one.
    ///
    /// # Errors
    ///
    /// `PoolExhausted` when all slots of the engine are live; `Os` when a new slot cannot be made.
    #[inline]
    pub fn acquire(&self) -> Result<Lease> {
        let home = thread::number() % SHARDS;
        let mut shard = self.0.shards[home].lock();
        match shard.idle.pop() {
            Some(slot) => {
                shard.live += 1;
                Ok(Lease::new(slot))
            }
            None => {
                drop(shard);
                self.0.acquire_cold(home)
            }
        }
    }
}

impl Drop for PoolHandle {
    fn drop(&mut self) {
        for shard in &self.0.shards {
            let mut state = shard.lock();
            state.closed = true;
            let idle = std::mem::take(&mut state.idle);
            let pool = if state.live == 0 { state.pool.take() } else { None };
            drop(state);
            // Neither slots nor the pool are dropped under the lock.
            drop(idle);
            drop(pool);
        }
        if let Some(background) = self.0.engine.background() {
            background.cancel(&self.0);
        }
    }
}

impl WarmPool {
    #[cold]
    fn acquire_cold(self: &Arc<Self>, home: usize) -> Result<Lease> {
        let stolen = self.shards.iter().find_map(|shard| {
            // A slot that is stolen carries nothing from its old shard: it was idle there.
            shard.0.try_lock().ok()?.idle.pop()
        });
        let mut slot = match stolen {
            Some(slot) => slot,
            None => {
                if let Err(error) = self.engine.count_slot() {
                    // What is being reset is in use no longer than that takes.
                    let helped = self.engine.background().is_some_and(|background| background.help());
                    return if helped { self.acquire_cold(home) } else { Err(error) };
                }
                // A slot that cannot be made has not been made: the count goes back.
                Slot::new(&self.recipe, self.engine.clone(), NonNull::from(&**self))
                    .inspect_err(|_| self.engine.slot_gone())?
            }
        };
        slot.home = home;
        let mut shard = self.shards[home].lock();
        shard.live += 1;
        shard.pool.get_or_insert_with(|| self.clone());
        Ok(Lease::new(slot))
    }

    /// Throws one idle slot away; says whether there was one.
    pub(super) fn evict_one(&self) -> bool {
        let slot = self.shards.iter().find_map(|shard| shard.lock().idle.pop());
        slot.is_some()
    }

    /// Number of idle slots.
    pub(super) fn idle(&self) -> usize {
        self.shards.iter().map(|s| s.lock().idle.len()).sum()
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

    fn reset_and_keep(&self, mut slot: Box<Slot>) -> Option<Arc<WarmPool>> {
        let home = slot.home;
        let kept = match (self.keeps_slots && !slot.is_broken()).then(|| slot.reset(&self.recipe)) {
            Some(Ok(())) => Some(slot),
            Some(Err(error)) => {
                self.failed_reset(&error);
                drop(slot);
                None
            }
            None => {
                drop(slot);
                None
            }
        };
        let mut shard = self.shards[home].lock();
        shard.live -= 1;
        if !shard.closed {
            shard.idle.extend(kept);
            return None;
        }
        let pool = if shard.live == 0 { shard.pool.take() } else { None };
        drop(shard);
        drop(kept);
        pool
    }
}

impl WarmPool {
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
