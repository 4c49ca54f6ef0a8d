//! Where threads wait for each other: the other side of `memory.atomic.wait` and `memory.atomic.notify`.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

/// How a wait ended; the numbers are the spec's results of `memory.atomic.wait`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum WaitResult {
    /// Another thread notified this one.
    Ok = 0,
    /// The value in memory was not the expected one.
    Mismatch = 1,
    /// The time ran out.
    TimedOut = 2,
}

/// Threads that wait, by address, in the order in which they came.
#[derive(Debug, Default)]
pub struct ParkingLot(Mutex<HashMap<u64, VecDeque<Arc<Waiter>>>>);

#[derive(Debug, Default)]
struct Waiter {
    /// Changed under the lot's lock only.
    notified: AtomicBool,
    wake: Condvar,
}

impl ParkingLot {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, VecDeque<Arc<Waiter>>>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Waits at `address` until notified, or until `deadline` if there is one. `as_expected` looks at the memory; no notify
    /// comes between its look and the wait.
    pub fn wait(&self, address: u64, as_expected: impl FnOnce() -> bool, deadline: Option<Instant>) -> WaitResult {
        let mut waiting = self.lock();
        if !as_expected() {
            return WaitResult::Mismatch;
        }
        let waiter = Arc::new(Waiter::default());
        waiting.entry(address).or_default().push_back(waiter.clone());
        loop {
            waiting = match deadline {
                None => waiter.wake.wait(waiting).unwrap_or_else(|e| e.into_inner()),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        if let Some(queue) = waiting.get_mut(&address) {
                            queue.retain(|other| !Arc::ptr_eq(other, &waiter));
                            if queue.is_empty() {
                                waiting.remove(&address);
                            }
                        }
                        return WaitResult::TimedOut;
                    }
                    waiter.wake.wait_timeout(waiting, left).unwrap_or_else(|e| e.into_inner()).0
                }
            };
            if waiter.notified.load(Ordering::Relaxed) {
                return WaitResult::Ok;
            }
        }
    }

    /// Wakes up to `count` threads that wait at `address`, those that came first; says how many.
    pub fn notify(&self, address: u64, count: u32) -> u32 {
        let mut waiting = self.lock();
        let Some(queue) = waiting.get_mut(&address) else { return 0 };
        let woken = queue.len().min(count as usize);
        for waiter in queue.drain(..woken) {
            waiter.notified.store(true, Ordering::Relaxed);
            waiter.wake.notify_one();
        }
        if queue.is_empty() {
            waiting.remove(&address);
        }
        woken as u32
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_wait_for_a_value_that_is_not_there_does_not_wait() {
        let lot = ParkingLot::default();
        assert_eq!(lot.wait(8, || false, None), WaitResult::Mismatch);
        assert_eq!(lot.notify(8, u32::MAX), 0);
    }

    #[test]
    fn a_deadline_ends_a_wait_and_leaves_nothing_behind() {
        let lot = ParkingLot::default();
        assert_eq!(lot.wait(8, || true, Some(Instant::now() + Duration::from_millis(5))), WaitResult::TimedOut);
        assert_eq!(lot.wait(8, || true, Some(Instant::now())), WaitResult::TimedOut);
        assert!(lot.lock().is_empty());
    }

    #[test]
    fn as_many_wake_as_were_notified_and_those_of_other_addresses_sleep_on() {
        let lot = ParkingLot::default();
        let woken = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for address in [8, 8, 8, 16] {
                let (lot, woken) = (&lot, &woken);
                scope.spawn(move || {
                    assert_eq!(lot.wait(address, || true, None), WaitResult::Ok);
                    woken.fetch_add(1, Ordering::SeqCst);
                });
            }
            while lot.lock().values().map(VecDeque::len).sum::<usize>() < 4 {
                std::thread::yield_now();
            }
            assert_eq!(lot.notify(8, 2), 2);
            while woken.load(Ordering::SeqCst) < 2 {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_millis(5));
            assert_eq!(woken.load(Ordering::SeqCst), 2);
            assert_eq!(lot.notify(8, 0), 0);
            assert_eq!(lot.notify(8, u32::MAX), 1);
            assert_eq!(lot.notify(16, 1), 1);
        });
        assert!(lot.lock().is_empty());
    }
}
