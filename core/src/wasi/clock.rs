//! Clocks: the system's by default; the embedder's own where time must be repeatable.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustix::time::{ClockId, clock_getres};

use super::types::Errno;

/// The time of day, as guests see it.
pub trait HostWallClock: Send + Sync + 'static {
    /// The smallest step of the clock.
    fn resolution(&self) -> Duration;
    /// Time since 1970-01-01 00:00 UTC.
    fn now(&self) -> Duration;
}

/// Time that never goes back, as guests see it.
pub trait HostMonotonicClock: Send + Sync + 'static {
    /// The smallest step of the clock, in ns.
    fn resolution(&self) -> u64;
    /// Time since some moment, in ns.
    fn now(&self) -> u64;

    /// Lets `duration_ns` pass: what a guest that polls a clock, and nothing else, waits by. Real sleep by default; a
    /// clock that is not real may just step on.
    fn sleep(&self, duration_ns: u64) {
        std::thread::sleep(Duration::from_nanos(duration_ns));
    }
}

/// The clocks of a context.
#[derive(Clone)]
pub(super) struct Clocks {
    pub wall: Option<Arc<dyn HostWallClock>>,
    pub monotonic: Option<Arc<dyn HostMonotonicClock>>,
    /// When the system's monotonic clock says 1 ns: the host's uptime is no guest's business, and some runtimes take 0 for
    /// "no time yet".
    pub start: Instant,
}

impl Clocks {
    pub(super) const REALTIME: u32 = 0;
    pub(super) const MONOTONIC: u32 = 1;

    /// The resolution of a clock in ns.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a clock that does not exist. The clocks of processor time do not: they would tell of other tenants.
    pub(super) fn resolution(&self, id: u32) -> Result<u64, Errno> {
        let system = |id| {
            let time = clock_getres(id);
            time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
        };
        match id {
            Self::REALTIME => {
                Ok(self.wall.as_ref().map_or_else(|| system(ClockId::Realtime), |c| c.resolution().as_nanos() as u64))
            }
            Self::MONOTONIC => {
                Ok(self.monotonic.as_ref().map_or_else(|| system(ClockId::Monotonic), |c| c.resolution()))
            }
            _ => Err(Errno::Inval),
        }
    }

    /// The time of a clock in ns.
    ///
    /// # Errors
    ///
    /// As for `resolution`; `EOVERFLOW` when the time of day does not fit 64 bits: in the year 2554.
    pub(super) fn now(&self, id: u32) -> Result<u64, Errno> {
        match id {
            Self::REALTIME => {
                let now = match &self.wall {
                    Some(clock) => clock.now(),
                    None => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
                };
                u64::try_from(now.as_nanos()).map_err(|_| Errno::Overflow)
            }
            Self::MONOTONIC => Ok(self.monotonic_now()),
            _ => Err(Errno::Inval),
        }
    }

    pub(super) fn monotonic_now(&self) -> u64 {
        match &self.monotonic {
            Some(clock) => clock.now(),
            None => self.start.elapsed().as_nanos() as u64 + 1,
        }
    }

    pub(super) fn sleep(&self, duration_ns: u64) {
        match &self.monotonic {
            Some(clock) => clock.sleep(duration_ns),
            None => std::thread::sleep(Duration::from_nanos(duration_ns)),
        }
    }
}
