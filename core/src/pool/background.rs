//! Resets on a thread of their own, for slots that have much to restore.
//!
//! ```text
//!   Lease dropped ── little to restore, queue full, no thread ──► reset here ──► idle
//!        │                                                            ▲
//!        └── much ──► queue ──► the engine's thread ── reset ─────────┘
//!                      └──────► who finds the engine full, or closes the pool
//! ```
//!
//! The store is closed before, by whoever dropped the instance, so nothing here touches host data. A slot in the queue or with
//! the thread is still live: it counts as such, and holds its pool.
//!
//! A slot that waits is not given to an acquire that could have a new one: so the pool grows, by at most [`QUEUE`] slots, until
//! instances run while others are reset. Only when the engine is full, an acquire resets what waits by itself.
//!
//! Locks: the queue's may be taken while a shard's is held, never the other way round.
//!
//! The thread starts with the first slot and ends with the engine. A forked child starts its own.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{Builder, JoinHandle};

use super::slot::Slot;
use super::warm::{self, WarmPool};
use crate::sys::{fork, signals};

/// Slots that wait, at most.
const QUEUE: usize = 8;

/// Where the slots of an engine go that have more to restore than a threshold.
pub struct Background {
    threshold: usize,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There is a slot, or the engine ends.
    work: Condvar,
    /// The thread is done with a slot.
    done: Condvar,
}

#[derive(Default)]
struct State {
    #[expect(clippy::vec_box, reason = "slots move as one pointer")]
    queue: VecDeque<Box<Slot>>,
    /// Address of the pool whose slot is being reset by the thread, or 0.
    resetting: usize,
    thread: Option<Thread>,
    ended: bool,
}

struct Thread {
    /// The process that it runs in.
    process: u32,
    handle: JoinHandle<()>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn wait<'a>(&self, on: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        on.wait(state).unwrap_or_else(|e| e.into_inner())
    }

    /// What the thread does.
    fn run(&self) {
        signals::leave_to_others();
        let mut state = self.lock();
        loop {
            if let Some(slot) = state.queue.pop_front() {
                state.resetting = pool_of(&slot);
                drop(state);
                // A panic is a bug, whose message has been printed; the slot is lost, and others must not wait for it.
                let _ = catch_unwind(AssertUnwindSafe(|| warm::release_here(slot)));
                state = self.lock();
                state.resetting = 0;
                self.done.notify_all();
            } else if state.ended {
                return;
            } else {
                state = self.wait(&self.work, state);
            }
        }
    }
}

fn pool_of(slot: &Slot) -> usize {
    slot.pool.addr().get()
}

impl State {
    /// Forgets the thread of a parent process: it does not run here, and what it had in its hands is lost.
    fn after_fork(&mut self) {
        if let Some(thread) = self.thread.take_if(|thread| thread.process != fork::process()) {
            // There is nothing to be joined or detached in this process.
            std::mem::forget(thread);
            self.resetting = 0;
        }
    }
}

impl Background {
    /// For slots that have more than `threshold` bytes to restore. Starts nothing yet.
    pub fn new(threshold: usize) -> Self {
        Background { threshold, shared: Arc::default() }
    }

    /// Takes a live slot of `pool`, or gives it back to be reset here.
    #[inline]
    pub(super) fn offer(&self, pool: &WarmPool, slot: Box<Slot>) -> Option<Box<Slot>> {
        if slot.has_more_to_restore(self.threshold) { self.push(pool, slot) } else { Some(slot) }
    }

    #[cold]
    fn push(&self, pool: &WarmPool, slot: Box<Slot>) -> Option<Box<Slot>> {
        let home = slot.home;
        // A pool that is closed has emptied the queue, and does not look again.
        pool.if_open(home, slot, |slot| {
            let mut state = self.shared.lock();
            if state.queue.len() >= QUEUE || !self.start(&mut state) {
                return Some(slot);
            }
            state.queue.push_back(slot);
            drop(state);
            self.shared.work.notify_one();
            None
        })
    }

    /// Starts the thread, unless it runs; says whether it does.
    fn start(&self, state: &mut State) -> bool {
        state.after_fork();
        if state.thread.is_none() {
            let shared = self.shared.clone();
            let thread = Builder::new().name("instar-reset".to_owned()).spawn(move || shared.run());
            state.thread = thread.ok().map(|handle| Thread { process: fork::process(), handle });
        }
        state.thread.is_some()
    }

    /// Number of slots that wait or are being reset.
    pub fn resetting(&self) -> usize {
        let mut state = self.shared.lock();
        state.after_fork();
        state.queue.len() + usize::from(state.resetting != 0)
    }

    /// For who needs a slot when the engine has no more: resets the one that waits longest, or waits for the one that is being
    /// reset. `false` if there is neither.
    pub(super) fn help(&self) -> bool {
        let mut state = self.shared.lock();
        state.after_fork();
        if let Some(slot) = state.queue.pop_front() {
            drop(state);
            warm::release_here(slot);
            return true;
        }
        if state.resetting == 0 {
            return false;
        }
        drop(self.shared.wait(&self.shared.done, state));
        true
    }

    /// Throws away the slots of a pool that was closed, and waits until the thread has none of them.
    pub(super) fn cancel(&self, pool: &WarmPool) {
        let address = std::ptr::from_ref(pool).addr();
        let mut state = self.shared.lock();
        state.after_fork();
        let (cancelled, rest) = std::mem::take(&mut state.queue).into_iter().partition(|slot| pool_of(slot) == address);
        state.queue = rest;
        while state.resetting == address {
            state = self.shared.wait(&self.shared.done, state);
        }
        drop(state);
        let cancelled: VecDeque<Box<Slot>> = cancelled;
        for mut slot in cancelled {
            slot.give_up();
            warm::release_here(slot);
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Slots hold the engine's pools, so there are none any more.
        let mut state = self.shared.lock();
        state.after_fork();
        state.ended = true;
        let thread = state.thread.take();
        drop(state);
        self.shared.work.notify_all();
        if let Some(thread) = thread
            && thread.handle.thread().id() != std::thread::current().id()
        {
            // It has caught all panics.
            let _ = thread.handle.join();
        }
    }
}
