//! [`Mode`]: the ways of running compiled code that every file must pass in.

use instar::{Config, DirtyTracking, InstanceAllocationStrategy, OptLevel, Result};
use instar_wast::Runner;

use crate::suite::Suite;

/// A way of running.
pub struct Mode {
    pub name: &'static str,
    /// Whether accesses out of bounds are found by the virtual memory system and signals, or by compiled code.
    signals: bool,
    allocation: InstanceAllocationStrategy,
    tracking: DirtyTracking,
    opt_level: OptLevel,
    /// Runs a file twice, and each module twice through one slot.
    again: bool,
}

/// Every way of tracking with slots, both kinds of bounds, with slots and without. Among them are code that was compiled in a
/// hurry, and relaxed vectors that do not depend on the processor.
pub const MODES: &[Mode] = &[
    Mode {
        name: "virtual memory, pooled, lines",
        signals: true,
        allocation: InstanceAllocationStrategy::Pooling,
        tracking: DirtyTracking::Lines,
        opt_level: OptLevel::Speed,
        again: true,
    },
    Mode {
        name: "explicit bounds, pooled, lines",
        signals: false,
        allocation: InstanceAllocationStrategy::Pooling,
        tracking: DirtyTracking::Lines,
        opt_level: OptLevel::Speed,
        again: true,
    },
    Mode {
        name: "virtual memory, pooled, touched",
        signals: true,
        allocation: InstanceAllocationStrategy::Pooling,
        tracking: DirtyTracking::Touched,
        opt_level: OptLevel::Speed,
        again: true,
    },
    Mode {
        name: "explicit bounds, pooled, pages",
        signals: false,
        allocation: InstanceAllocationStrategy::Pooling,
        tracking: DirtyTracking::Pages,
        opt_level: OptLevel::Speed,
        again: true,
    },
    Mode {
        name: "virtual memory, pooled, off",
        signals: true,
        allocation: InstanceAllocationStrategy::Pooling,
        tracking: DirtyTracking::Off,
        opt_level: OptLevel::Speed,
        again: true,
    },
    Mode {
        name: "virtual memory, on demand",
        signals: true,
        allocation: InstanceAllocationStrategy::OnDemand,
        tracking: DirtyTracking::Auto,
        opt_level: OptLevel::None,
        again: false,
    },
    Mode {
        name: "explicit bounds, on demand",
        signals: false,
        allocation: InstanceAllocationStrategy::OnDemand,
        tracking: DirtyTracking::Auto,
        opt_level: OptLevel::Speed,
        again: false,
    },
];

impl Mode {
    /// What runs the files of a suite in this way. Slots are compared with their images after each reset.
    ///
    /// # Errors
    ///
    /// When core refuses the configuration.
    pub fn runner(&self, suite: &Suite) -> Result<Runner> {
        let mut config = Config::new();
        suite.configure(&mut config);
        config
            .signals_based_traps(self.signals)
            .allocation_strategy(self.allocation)
            .dirty_tracking(self.tracking)
            .cranelift_opt_level(self.opt_level)
            .relaxed_simd_deterministic(!self.again)
            .paranoid(true);
        let mut runner = Runner::new(&config)?;
        if self.again {
            runner.rounds(2).rehearse(true);
        }
        Ok(runner)
    }
}
