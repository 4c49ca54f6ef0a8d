//! What a module does, and what it leaves behind, is the same in every mode: the tests of other modules run again in
//! each, in a process of their own whose [`kit`](crate::kit) makes engines of that mode.

use std::process::Command;

use crate::kit::{self, MODES};

/// Modules of tests that depend on how memories, tables, traps and slots work.
const MODULES: [&str; 7] =
    ["isolation::", "segments::", "images::segments", "images::memories", "linking::", "traps::every_trap", "stack::"];

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
fn with_pages_that_were_touched() {
    run_in(&["touched", "touched-reservation-0"]);
}

#[test]
fn with_pages_that_the_system_knows() {
    run_in(&["pages", "pages-signals-off"]);
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

/// Writable mappings of images in this process: those of instances.
fn image_mappings() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux tells");
    maps.lines().filter(|line| line.contains("memfd:instar") && line.contains(" rw-p ")).count()
}

#[test]
fn an_instance_on_demand_gives_its_mappings_up_when_it_goes() {
    kit::alone("modes::an_instance_on_demand_gives_its_mappings_up_when_it_goes", || {
        let text = "(module (memory 1) (data (i32.const 0) \"x\") (func (export \"f\")))";
        for (mode, kept) in [("on-demand", 0), ("default", 1)] {
            let engine = kit::mode(mode).engine();
            let pre = kit::pre(&engine, text);
            let before = image_mappings();
            let instances: Vec<_> = (0..3).map(|_| pre.fresh(()).unwrap()).collect();
            assert_eq!((image_mappings(), engine.live_instances()), (before + 3, 3), "{mode}");
            drop(instances);
            assert_eq!((image_mappings(), engine.live_instances()), (before + 3 * kept, 0), "{mode}");
        }
    });
}

#[test]
fn instances_on_demand_are_counted_like_those_in_slots() {
    let engine = kit::mode("on-demand").engine_with(|c| {
        c.max_instances(2);
    });
    let pre = kit::pre(&engine, "(module (memory 1))");
    for _ in 0..5 {
        let both = [pre.fresh(()).unwrap(), pre.fresh(()).unwrap()];
        kit::fails(pre.fresh(()).map(drop), instar::ErrorKind::PoolExhausted);
        drop(both);
    }
}
