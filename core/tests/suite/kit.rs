//! What all tests here use.

use std::process::Command;

use instar::{Config, DirtyTracking, InstanceAllocationStrategy, OptLevel};
use instar::{Engine, Error, ErrorKind, InstancePre, Linker, Module, Result, TrapCode};

/// An engine that compares each slot with its image after each reset.
pub fn paranoid() -> Engine {
    engine(|_| {})
}

/// A paranoid engine with other choices.
pub fn engine(change: impl FnOnce(&mut Config)) -> Engine {
    let mut config = Config::new();
    config.paranoid(true).cranelift_debug_verifier(true);
    // The whole suite can be run in any mode: `INSTAR_TEST_MODE=signals-off cargo test --test suite`.
    if let Ok(name) = std::env::var("INSTAR_TEST_MODE") {
        mode(&name).set(&mut config);
    }
    change(&mut config);
    // A way of tracking that does not go with the test's choices gives way.
    Engine::new(&config)
        .or_else(|_| Engine::new(config.dirty_tracking(DirtyTracking::Auto)))
        .expect("the configuration is valid")
}

/// A way in which memories, traps and slots can work.
#[derive(Clone, Copy)]
pub struct Mode {
    pub name: &'static str,
    set: fn(&mut Config) -> &mut Config,
}

impl Mode {
    pub fn set(&self, config: &mut Config) {
        (self.set)(config);
    }

    /// A paranoid engine in this mode.
    pub fn engine(&self) -> Engine {
        self.engine_with(|_| {})
    }

    /// A paranoid engine in this mode, with other choices.
    pub fn engine_with(&self, change: impl FnOnce(&mut Config)) -> Engine {
        engine(|config| {
            self.set(config);
            change(config);
        })
    }
}

/// All modes; what a module does must be the same in each.
pub const MODES: &[Mode] = &[
    Mode { name: "default", set: |c| c },
    Mode { name: "signals-off", set: |c| c.signals_based_traps(false) },
    Mode { name: "reservation-0", set: |c| c.memory_reservation(0) },
    Mode { name: "reservation-1m", set: |c| c.memory_reservation(1 << 20) },
    Mode { name: "guard-0", set: |c| c.memory_guard_size(0) },
    Mode { name: "guard-0-reservation-0", set: |c| c.memory_guard_size(0).memory_reservation(0) },
    Mode { name: "signals-off-reservation-0", set: |c| c.signals_based_traps(false).memory_reservation(0) },
    Mode {
        name: "spectre-off",
        set: |c| c.enable_heap_access_spectre_mitigation(false).enable_table_access_spectre_mitigation(false),
    },
    Mode {
        name: "spectre-off-checked",
        set: |c| {
            c.enable_heap_access_spectre_mitigation(false)
                .enable_table_access_spectre_mitigation(false)
                .memory_reservation(1 << 20)
        },
    },
    Mode {
        name: "spectre-off-signals-off",
        set: |c| {
            c.enable_heap_access_spectre_mitigation(false)
                .enable_table_access_spectre_mitigation(false)
                .signals_based_traps(false)
        },
    },
    Mode { name: "touched", set: |c| c.signals_based_traps(true).dirty_tracking(DirtyTracking::Touched) },
    Mode {
        name: "touched-reservation-0",
        set: |c| c.signals_based_traps(true).dirty_tracking(DirtyTracking::Touched).memory_reservation(0),
    },
    Mode { name: "pages", set: |c| c.dirty_tracking(DirtyTracking::Pages) },
    Mode {
        name: "pages-signals-off",
        set: |c| c.dirty_tracking(DirtyTracking::Pages).signals_based_traps(false).memory_reservation(0),
    },
    Mode { name: "dirty-off", set: |c| c.dirty_tracking(DirtyTracking::Off) },
    Mode { name: "dirty-off-reservation-0", set: |c| c.dirty_tracking(DirtyTracking::Off).memory_reservation(0) },
    Mode { name: "on-demand", set: |c| c.allocation_strategy(InstanceAllocationStrategy::OnDemand) },
    Mode { name: "opt-none", set: |c| c.cranelift_opt_level(OptLevel::None) },
    Mode {
        name: "opt-none-signals-off",
        set: |c| c.cranelift_opt_level(OptLevel::None).signals_based_traps(false).memory_reservation(1 << 20),
    },
    Mode { name: "opt-size", set: |c| c.cranelift_opt_level(OptLevel::SpeedAndSize) },
];

/// The mode of that name.
pub fn mode(name: &str) -> Mode {
    let names = || MODES.iter().map(|m| m.name).collect::<Vec<_>>().join(", ");
    *MODES.iter().find(|m| m.name == name).unwrap_or_else(|| panic!("no mode `{name}`; there are: {}", names()))
}

/// A paranoid engine with room for one instance: whoever comes next gets the same slot.
pub fn one_slot() -> Engine {
    engine(|config| {
        config.max_instances(1);
    })
}

pub fn module(engine: &Engine, text: impl AsRef<str>) -> Module {
    Module::new(engine, text.as_ref().as_bytes()).unwrap_or_else(|e| panic!("{e}:\n{}", text.as_ref()))
}

/// A module without imports, ready to be instantiated.
pub fn pre(engine: &Engine, text: impl AsRef<str>) -> InstancePre<()> {
    Linker::new(engine).instantiate_pre(&module(engine, text)).expect("the module has no imports")
}

/// Asserts that a result is an error of this kind, and gives it back.
#[track_caller]
pub fn fails<T>(result: Result<T>, kind: ErrorKind) -> Error {
    match result {
        Ok(_) => panic!("succeeded; expected {kind:?}"),
        Err(error) => {
            assert_eq!(error.kind(), kind, "{error}");
            error
        }
    }
}

/// Asserts that a result is this trap.
#[track_caller]
pub fn traps<T>(result: Result<T>, code: TrapCode) {
    let error = fails(result, ErrorKind::Trap);
    assert_eq!(error.trap_code(), Some(code), "{error}");
}

const CHILD: &str = "INSTAR_TEST_CHILD";

/// How a child process ended, and what it wrote.
pub struct Ended {
    pub status: std::process::ExitStatus,
    pub output: String,
}

/// Runs `body` in a process of its own: the test binary starts itself again for this one test. `test` is the test's path
/// within the binary. In the parent, says how it ended; in the child, does not return.
pub fn in_child(test: &str, body: impl FnOnce()) -> Ended {
    if std::env::var(CHILD).is_ok_and(|name| name == test) {
        body();
        std::process::exit(0);
    }
    let output = Command::new(std::env::current_exe().expect("the test binary has a path"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, test)
        .output()
        .expect("the test binary can be started again");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("running 1 test"), "`{test}` is not the path of a test:\n{text}");
    Ended { status: output.status, output: text }
}

/// Runs `body` in a process of its own, which must succeed.
#[track_caller]
pub fn alone(test: &str, body: impl FnOnce()) {
    let ended = in_child(test, body);
    assert!(ended.status.success(), "{}:\n{}", ended.status, ended.output);
}

/// A small generator of numbers, for tests whose cases need not shrink.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }
}
