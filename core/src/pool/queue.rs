//! Who waits for a slot: first come, first served.
//!
//! A thread that finds all slots live, and may wait, joins the queue's end. Whoever frees something gives it to the queue's
//! head and not to an idle list: a slot to one who wants an instance of its pool, its room to others. So nobody overtakes.
//!
//! No wake-up is lost:
//! * A release looks at [`Queue::is_empty`] under its shard's lock, and leaves the slot idle only if nobody waits. One who
//!   waits joins first and then, in [`EnginePool::serve`], takes each shard's lock: either it finds the slot, or the release
//!   comes later and sees it.
//! * Room is an atomic number; who leaves changes it before it looks at the queue, and who waits joins before it looks at
//!   the number, all in one order (`SeqCst`). So it is with what finalizers leave behind.
//!
//! Locks are taken in this order: the queue's, the list of pools', a shard's. No slot and no pool is dropped under them.
//!
//! In a forked child nobody stands in the queue but threads of the child: others are recognised by their process.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use super::engine::{EnginePool, lock};
use super::slot::Slot;
use super::warm::{Patience, WarmPool};

/// How often one who waits looks for instances that were abandoned while they were in use.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What one who waits gets.
pub enum Grant {
    /// A slot of its pool, which equals its image.
    Warm(Box<Slot>),
    /// Room for a slot, counted as existing.
    Room,
}

/// How waiting ended.
pub enum Waited {
    Granted(Grant),
    TimedOut,
}

/// One who waits.
struct Waiter {
    pool: Arc<WarmPool>,
    process: u32,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    grant: Option<Grant>,
    /// There is something that finalizers have left.
    nudged: bool,
}

impl Waiter {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn grant(&self, grant: Grant) {
        self.state().grant = Some(grant);
        self.changed.notify_one();
    }
}

/// Those who wait, in order.
#[derive(Default)]
pub(super) struct Queue {
    /// How many there are. Every release reads it, so nothing that is written often lies beside it.
    len: AtomicUsize,
    waiters: Mutex<VecDeque<Arc<Waiter>>>,
}

impl Queue {
    /// Whether nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::SeqCst)
    }

    /// Changes the queue, and keeps its length with it.
    fn with<R>(&self, change: impl FnOnce(&mut VecDeque<Arc<Waiter>>) -> R) -> R {
        let mut waiters = lock(&self.waiters);
        let process = std::process::id();
        waiters.retain(|waiter| waiter.process == process);
        let result = change(&mut waiters);
        self.len.store(waiters.len(), Ordering::SeqCst);
        result
    }
}

/// Takes a waiter out of the queue when it stops waiting, for whatever reason; what it was given and did not take goes on.
struct Place<'a> {
    engine: &'a EnginePool,
    waiter: Arc<Waiter>,
}

impl Place<'_> {
    fn leave(&self) -> Option<Grant> {
        self.engine.calm.queue.with(|waiters| waiters.retain(|other| !Arc::ptr_eq(other, &self.waiter)));
        // Grants are given under the queue's lock only: there will be none any more.
        self.waiter.state().grant.take()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        match self.leave() {
            None => {}
            Some(Grant::Room) => self.engine.leave(),
            // Its pool may be another's than the next one's; the room is what counts.
            Some(Grant::Warm(slot)) => drop(slot),
        }
    }
}

impl EnginePool {
    /// Whether nobody waits for a slot.
    #[inline]
    pub(super) fn nobody_waits(&self) -> bool {
        self.calm.queue.is_empty()
    }

    /// Waits for a slot of `pool` or for room for one.
    pub(super) fn wait(&self, pool: &Arc<WarmPool>, patience: &Patience<'_>) -> Waited {
        // Too far away to be a time is as good as never.
        let deadline = Instant::now().checked_add(patience.timeout);
        let (process, state, changed) = (std::process::id(), Mutex::default(), Condvar::new());
        let waiter = Arc::new(Waiter { pool: pool.clone(), process, state, changed });
        let place = Place { engine: self, waiter: waiter.clone() };
        self.calm.queue.with(|waiters| waiters.push_back(waiter.clone()));
        self.serve();
        loop {
            if self.has_abandoned() {
                (patience.drain)();
            }
            let mut state = waiter.state();
            if state.grant.is_none() && !state.nudged {
                let left = deadline.map_or(Duration::MAX, |d| d.saturating_duration_since(Instant::now()));
                if left.is_zero() {
                    drop(state);
                    return match place.leave() {
                        Some(grant) => Waited::Granted(grant),
                        None => Waited::TimedOut,
                    };
                }
                // What was abandoned during a call is left, and nobody says when the call has ended.
                let left = if self.has_abandoned() { left.min(LOOK_AGAIN) } else { left };
                state = match left {
                    Duration::MAX => waiter.changed.wait(state).unwrap_or_else(|e| e.into_inner()),
                    left => waiter.changed.wait_timeout(state, left).unwrap_or_else(|e| e.into_inner()).0,
                };
            }
            state.nudged = false;
            if let Some(grant) = state.grant.take() {
                return Waited::Granted(grant);
            }
        }
    }

    /// Gives a slot that equals its image, and counts as existing, to the first who waits. Gives it back if nobody does.
    pub(super) fn offer(&self, slot: Box<Slot>) -> Option<Box<Slot>> {
        let left = self.calm.queue.with(|waiters| {
            let Some(first) = waiters.pop_front() else { return Some((slot, true)) };
            if std::ptr::eq(slot.pool.as_ptr(), &*first.pool) {
                first.grant(Grant::Warm(slot));
                return None;
            }
            let mut slot = slot;
            slot.uncount();
            first.grant(Grant::Room);
            Some((slot, false))
        });
        // One whose room was given away is dropped here.
        left.and_then(|(slot, keep)| keep.then_some(slot))
    }

    /// Gives what is idle, and what room there is, to those who wait.
    pub(super) fn serve(&self) {
        if self.nobody_waits() {
            return;
        }
        let pools = self.pools();
        // Slots whose room was given away, to be dropped when no lock is held.
        let mut evicted = Vec::new();
        self.calm.queue.with(|waiters| {
            while let Some(first) = waiters.front() {
                let grant = if let Some(slot) = first.pool.steal() {
                    Grant::Warm(slot)
                } else if self.enter() {
                    Grant::Room
                } else if let Some(mut slot) = pools.iter().find_map(|pool| pool.evict()) {
                    slot.uncount();
                    evicted.push(slot);
                    Grant::Room
                } else {
                    break;
                };
                first.grant(grant);
                waiters.pop_front();
            }
        });
        drop(evicted);
    }

    /// Tells those who wait that finalizers have left something.
    pub(super) fn nudge(&self) {
        if !self.nobody_waits() {
            self.calm.queue.with(|waiters| {
                for waiter in waiters {
                    waiter.state().nudged = true;
                    waiter.changed.notify_one();
                }
            });
        }
    }

    /// All pools that are there.
    pub(super) fn pools(&self) -> Vec<Arc<WarmPool>> {
        lock(&self.pools).iter().filter_map(Weak::upgrade).collect()
    }
}
