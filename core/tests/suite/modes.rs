//! What a module does, and what it leaves behind, is the same in every mode: the tests of other modules run again in
//! each, in a process of their own whose [`kit`](crate::kit) makes engines of that mode.

use std::process::Command;

use crate::kit::MODES;

/// Modules of tests that depend on how memories, tables, traps and slots work.
const MODULES: [&str; 5] = ["isolation::", "segments::", "linking::", "traps::every_trap", "stack::"];

fn run_in(names: &[&str]) {
    for name in names {
        assert!(MODES.iter().any(|m| m.name == *name), "no mode `{name}`");
        let output = Command::new(std::env::current_exe().expect("the test binary has a path"))
            .args(MODULES)
            .env("INSTAR_TEST_MODE", name)
            .output()
            .expect("the test binary can be started again");
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "mode {name}: {}\n{text}", output.status);
        assert!(!text.contains("running 0 tests"), "{text}");
    }
}

#[test]
fn without_signals() {
    run_in(&["signals-off", "opt-none-signals-off"]);
}

#[test]
fn with_small_reservations() {
    run_in(&["reservation-0", "guard-0-reservation-0"]);
}

#[test]
fn without_dirty_tracking() {
    run_in(&["dirty-off", "dirty-off-reservation-0"]);
}

#[test]
fn on_demand() {
    run_in(&["on-demand"]);
}

#[test]
fn at_every_level_of_optimisation() {
    run_in(&["opt-none", "opt-size"]);
}
