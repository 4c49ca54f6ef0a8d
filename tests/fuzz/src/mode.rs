//! [`Mode`]: the ways in which Instar can run a module. Each case runs in one of them.

use std::sync::OnceLock;

use instar::{Config, DirtyTracking, Engine, InstanceAllocationStrategy, OptLevel};

use crate::features;
use crate::random::Random;

/// A way of running.
pub struct Mode {
    pub name: &'static str,
    /// Whether Instar has it yet.
    there: bool,
    configure: fn(&mut Config) -> &mut Config,
}

const COUNT: usize = 8;

/// All ways, the default first.
static MODES: [Mode; COUNT] = [
    Mode { name: "as by default", there: true, configure: |config| config },
    Mode { name: "without optimisation", there: true, configure: |config| config.cranelift_opt_level(OptLevel::None) },
    Mode { name: "with plain stores", there: true, configure: |config| config.dirty_tracking(DirtyTracking::Off) },
    Mode { name: "with touched pages", there: true, configure: |config| config.dirty_tracking(DirtyTracking::Touched) },
    Mode {
        name: "with touched pages that move",
        there: true,
        configure: |config| config.dirty_tracking(DirtyTracking::Touched).memory_reservation(0),
    },
    Mode { name: "with explicit bounds", there: true, configure: |config| config.signals_based_traps(false) },
    Mode {
        name: "in a small reservation",
        there: true,
        configure: |config| config.memory_reservation(1 << 20).memory_guard_size(1 << 16),
    },
    Mode {
        name: "on demand",
        there: true,
        configure: |config| config.allocation_strategy(InstanceAllocationStrategy::OnDemand),
    },
];

impl Mode {
    /// A mode that Instar has.
    pub fn any(random: &mut Random) -> &'static Mode {
        let there: Vec<&'static Mode> = MODES.iter().filter(|mode| mode.there).collect();
        random.pick::<&Mode>(&there)
    }

    /// A configuration in this way, that compares slots with their images and verifies Cranelift's input.
    pub fn config(&self) -> Config {
        let mut config = Config::new();
        features::configure_instar(&mut config);
        config.paranoid(true).cranelift_debug_verifier(true);
        (self.configure)(&mut config);
        config
    }
}

/// An engine for each mode, made when it is first wanted.
pub struct Engines([OnceLock<Engine>; COUNT]);

impl Engines {
    pub const fn new() -> Self {
        Engines([const { OnceLock::new() }; COUNT])
    }

    /// The engine of a mode; `refine` completes its configuration.
    pub fn of(&'static self, mode: &Mode, refine: fn(&mut Config) -> &mut Config) -> &'static Engine {
        let index = MODES.iter().position(|other| other.name == mode.name).expect("one of the list");
        self.0[index].get_or_init(|| {
            let mut config = mode.config();
            refine(&mut config);
            Engine::new(&config).expect("the configuration is good")
        })
    }
}
