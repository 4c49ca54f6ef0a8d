//! A few dozen seeds of each target, so that the targets themselves stay alive and what they check is checked always.

use instar_fuzz::{Options, Target, run};

fn seeds(target: Target) {
    let failed = run(target, Options { start: 0, seeds: 40, time: None });
    assert!(failed.is_empty(), "seeds {failed:?} failed; the output says how to run them again");
}

#[test]
fn nearly_valid_modules_are_refused_and_valid_ones_accepted() {
    seeds(Target::Module);
}

#[test]
fn another_engine_agrees_on_what_modules_do() {
    seeds(Target::Diff);
}

#[test]
fn damaged_artifacts_are_refused() {
    seeds(Target::Artifact);
}

#[test]
fn tenants_of_one_slot_find_what_they_would_find_alone() {
    seeds(Target::Tenants);
}
