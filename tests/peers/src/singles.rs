//! Percentiles of single operations, by the processor's clock.
//!
//! What other programs on the machine do to an operation is in the highest percentiles, for all sides alike. What reading the
//! clock costs is measured, printed, and not taken off.

use std::time::{Duration, Instant};

use crate::cases::Operation;
use crate::measure::Run;

/// How many operations are timed, unless they take too long.
const OPERATIONS: usize = 1_000_000;
/// How long one side of one case may take.
const PATIENCE: Duration = Duration::from_secs(8);
/// Operations between two looks at how long it took.
const CHUNK: usize = 1024;

/// Single operations of one side, in nanoseconds.
pub struct Percentiles {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub operations: usize,
}

impl Percentiles {
    /// With the figures' names.
    pub fn named(&self) -> [(&'static str, f64); 3] {
        [("p50", self.p50), ("p99", self.p99), ("p99.9", self.p999)]
    }
}

impl std::fmt::Display for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.0} / {:.0} / {:.0} ns of {}", self.p50, self.p99, self.p999, self.operations)
    }
}

/// Times single operations.
pub fn measure(run: &mut Run, operation: Operation) -> Percentiles {
    // Written once, so that the pages are there.
    let mut ticks = vec![u32::MAX; OPERATIONS];
    let start = Instant::now();
    let mut done = 0;
    for chunk in ticks.chunks_mut(CHUNK) {
        for tick in chunk.iter_mut() {
            let before = clock::now();
            let answer = run(operation.params, 1);
            *tick = u32::try_from(clock::now() - before).unwrap_or(u32::MAX);
            assert_eq!(answer, operation.answer, "a wrong answer");
        }
        done += chunk.len();
        if start.elapsed() > PATIENCE {
            break;
        }
    }
    ticks.truncate(done);
    ticks.sort_unstable();
    let unit = clock::nanoseconds_per_tick();
    let at = |part: f64| f64::from(ticks[((done - 1) as f64 * part) as usize]) * unit;
    Percentiles { p50: at(0.5), p99: at(0.99), p999: at(0.999), operations: done }
}

/// Median of what two looks at the clock, one after the other, differ by, in nanoseconds.
pub fn clock_overhead() -> f64 {
    let mut ticks: Vec<u64> = (0..10_001).map(|_| (clock::now(), clock::now())).map(|(a, b)| b - a).collect();
    ticks.sort_unstable();
    ticks[ticks.len() / 2] as f64 * clock::nanoseconds_per_tick()
}

/// The processor's counter of time.
#[cfg(target_arch = "x86_64")]
mod clock {
    use std::arch::x86_64::{__rdtscp, _mm_lfence};
    use std::sync::OnceLock;
    use std::time::{Duration, Instant};

    /// Waits for what came before, and what comes after waits for it.
    pub fn now() -> u64 {
        let mut processor = 0;
        // SAFETY: every x86-64 processor that has a constant counter has this instruction; the reference is ours.
        let ticks = unsafe { __rdtscp(&mut processor) };
        // SAFETY: SSE2 is part of x86-64.
        unsafe { _mm_lfence() };
        ticks
    }

    pub fn nanoseconds_per_tick() -> f64 {
        static UNIT: OnceLock<f64> = OnceLock::new();
        *UNIT.get_or_init(|| {
            let (start, ticks) = (Instant::now(), now());
            while start.elapsed() < Duration::from_millis(50) {}
            start.elapsed().as_secs_f64() * 1e9 / (now() - ticks) as f64
        })
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod clock {
    use std::sync::LazyLock;
    use std::time::Instant;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);

    pub fn now() -> u64 {
        START.elapsed().as_nanos() as u64
    }

    pub fn nanoseconds_per_tick() -> f64 {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_order_and_of_the_right_size() {
        let mut calls = 0u32;
        let mut run: Run = Box::new(move |_, _| {
            calls += 1;
            // Every fiftieth takes a millisecond.
            if calls % 50 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            1
        });
        let percentiles = measure(&mut run, Operation { params: (0, 0), answer: 1 });
        assert!(percentiles.p50 < 100_000.0, "{percentiles}");
        assert!(percentiles.p99 >= 1e6 && percentiles.p999 < 100e6, "{percentiles}");
        assert!(percentiles.operations >= CHUNK);
    }
}
