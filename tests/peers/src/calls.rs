//! Calls into and out of an instance that stays, beside Wasmtime. They do not touch the pool, so one configuration of each is
//! enough.

use crate::AnyResult;
use crate::cases::Case;
use crate::fresh::{Who, side};
use crate::measure::{self, Contender, Samples};
use crate::modes::Mode;
use crate::report::{Entry, Group};

/// Measures both sides of a case in turns, and prints it.
pub fn compare(case: &Case, repetitions: usize) -> AnyResult<Entry> {
    let mut contenders = Vec::new();
    for who in [Who::Instar(Mode::default().name), Who::BestPool] {
        let side = side(case, who)?.ok_or("engines refuse the default mode")?;
        contenders.push(Contender::new(format!("{who:?}"), case.operation, case.peek, (side.live)()?));
    }
    let samples = measure::in_turns(&mut contenders, repetitions);
    let [instar, peer] = samples.try_into().expect("two sides");
    let entry = Entry::new(
        Group::Calls,
        case.name.clone(),
        Samples::new(instar),
        Samples::new(peer),
        Who::BestPool.peer_name(),
        "ns",
    );
    let entry = Entry { target: case.targets.best_pool, ..entry };
    entry.print_ns();
    Ok(entry)
}
