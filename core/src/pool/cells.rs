//! The cells of an engine, and those that are free, by shard: a thread uses the free ones that it has given back.

use std::any::Any;
use std::ptr::NonNull;
use std::sync::{Mutex, Weak};

use super::cell::{CellSettings, StoreCell};
use super::engine::lock;
use super::thread;
use super::warm::SHARDS;

/// All cells of an engine, and the free ones.
pub(super) struct Cells {
    settings: CellSettings,
    /// The engine's public part, for cells.
    owner: Weak<dyn Any + Send + Sync>,
    free: [Free; SHARDS],
    /// Boxes made into raw pointers; freed when the engine goes.
    all: Mutex<Vec<NonNull<StoreCell>>>,
}

#[derive(Default)]
#[repr(align(128))]
struct Free(Mutex<Vec<NonNull<StoreCell>>>);

// SAFETY: cells are Send + Sync; the pointers to them are owned here.
unsafe impl Send for Cells {}
// SAFETY: all fields are behind locks or constant.
unsafe impl Sync for Cells {}

impl Cells {
    pub fn new(settings: CellSettings, owner: Weak<dyn Any + Send + Sync>) -> Self {
        Cells { settings, owner, free: Default::default(), all: Mutex::default() }
    }

    /// A free cell.
    #[inline]
    pub fn acquire(&self) -> NonNull<StoreCell> {
        let home = thread::number() % SHARDS;
        let free = lock(&self.free[home].0).pop();
        free.unwrap_or_else(|| self.acquire_cold())
    }

    #[cold]
    fn acquire_cold(&self) -> NonNull<StoreCell> {
        let other = self.free.iter().find_map(|free| free.0.try_lock().ok()?.pop());
        other.unwrap_or_else(|| {
            let cell = NonNull::from(Box::leak(StoreCell::new(self.settings, self.owner.clone())));
            lock(&self.all).push(cell);
            cell
        })
    }

    /// Takes a free cell back.
    #[inline]
    pub fn release(&self, cell: NonNull<StoreCell>) {
        lock(&self.free[thread::number() % SHARDS].0).push(cell);
    }

    /// How many cells are open for shared instances, and how many of those are in use now.
    pub fn shared(&self) -> (usize, usize) {
        lock(&self.all).iter().fold((0, 0), |(open, busy), cell| {
            // SAFETY: cells live as long as the engine; what is read is atomic.
            match unsafe { cell.as_ref() }.shared_state() {
                Some(claimed) => (open + 1, busy + usize::from(claimed)),
                None => (open, busy),
            }
        })
    }
}

impl Drop for Cells {
    fn drop(&mut self) {
        for cell in std::mem::take(&mut *lock(&self.all)) {
            // SAFETY: made by Box::leak in `acquire_cold`; slots, stores and handles keep the engine alive.
            drop(unsafe { Box::from_raw(cell.as_ptr()) });
        }
    }
}
