//! `bench-core`: Instar beside Wasmtime in one process, on the same wasm, in turns.
//!
//! ```text
//! bench-core                          every case; a table, and target/bench/core.json
//! bench-core --only TEXT              cases whose name contains TEXT; writes no file
//! bench-core --only TEXT --update     and puts their figures into core.json, instead of those that are there
//! bench-core --quick                  only times: no single operations, faults, system calls, sizes
//! bench-core --repetitions N          samples a figure (default 15, at least 9)
//! bench-core --loop SIDE TEXT SECONDS one side of one case again and again, for `perf record`; SIDE: default, best, a tracking
//!                                     mode, or instar for the default one; `live` before SIDE: in a live instance;
//!                                     or TEXT `run GUEST`, `compile GUEST`; SIDE: instar, plain, wasmtime
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | [`cases`] | what is measured, which real use it stands for, and its target |
//! | [`modes`] | Instar's tracking modes |
//! | [`fresh`] | a fresh instance an operation, one thread and two |
//! | [`calls`] | calls into and out of a live instance |
//! | [`flat`] | what must not depend on the size of a module or on how many instances live |
//! | [`counts`], [`singles`], [`space`] | page faults and system calls; percentiles of single operations; memory of instances |
//! | [`programs`] | the guests of tests/guests: running, compiling, loading, sizes |
//! | [`guest`], [`stubs`] | their instances in both runtimes, and the little of WASI that they get |
//! | [`probe`] | an export that is added to a module, for the first call after a load |
//! | [`requests`] | what Lua and SQLite are asked to do as plugins |
//! | [`instar_side`], [`wasmtime_side`] | how each runtime does it, by the fastest way that it documents |
//! | [`measure`] | batches, turns, medians |
//! | [`report`] | the table and the JSON |

mod calls;
mod cases;
mod counts;
mod flat;
mod fresh;
mod guest;
mod instar_side;
mod measure;
mod modes;
mod probe;
mod programs;
mod report;
mod requests;
mod singles;
mod space;
mod stubs;
mod wasmtime_side;

use std::path::Path;
use std::time::{Duration, Instant};

use cases::{Case, Work};
use fresh::{Extent, Who};
use report::Entry;

/// The version in Cargo.toml's requirement, which is exact.
const WASMTIME_VERSION: &str = "48.0.8";

type AnyResult<T> = Result<T, Box<dyn std::error::Error>>;

/// What the command line asks for.
struct Request {
    only: Option<String>,
    extent: Extent,
    update: bool,
    work: Asked,
}

enum Asked {
    Compare,
    /// One side alone.
    Loop {
        side: String,
        live: bool,
        time: Duration,
    },
    /// What this program asks of itself.
    Traced {
        side: String,
    },
    Held {
        side: String,
        count: usize,
    },
}

fn request() -> AnyResult<Request> {
    const USAGE: &str =
        "usage: bench-core [--only TEXT [--update]] [--quick] [--repetitions N] [--loop [live] SIDE TEXT SECONDS]";
    let extent = Extent { repetitions: 15, quick: false };
    let mut request = Request { only: None, extent, update: false, work: Asked::Compare };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut next = || arguments.next().ok_or(USAGE);
        match argument.as_str() {
            "--only" => request.only = Some(next()?),
            "--update" => request.update = true,
            "--quick" => request.extent.quick = true,
            "--repetitions" => request.extent.repetitions = next()?.parse::<usize>()?.max(9),
            "--loop" => {
                let first = next()?;
                let live = first == "live";
                let side = if live { next()? } else { first };
                request.only = Some(next()?);
                let time = Duration::from_secs_f64(next()?.parse()?);
                request.work = Asked::Loop { side, live, time };
            }
            "--traced" => {
                request.work = Asked::Traced { side: next()? };
                request.only = Some(next()?);
            }
            "--held" => {
                request.work = Asked::Held { side: next()?, count: next()?.parse()? };
                request.only = Some(next()?);
            }
            _ => return Err(USAGE.into()),
        }
    }
    Ok(request)
}

fn main() -> AnyResult<()> {
    let request = request()?;
    let only = request.only.as_deref();
    let wanted = |case: &Case| only.is_none_or(|text| case.name.contains(text));
    let cases: Vec<Case> = cases::all().into_iter().filter(wanted).collect();
    rayon::ThreadPoolBuilder::new().num_threads(programs::THREADS).build_global()?;
    // Between this program and itself names are whole.
    let exact = || cases.iter().find(|case| Some(case.name.as_str()) == only).ok_or("no such case");
    match &request.work {
        Asked::Compare => {}
        Asked::Traced { side } => return counts::run_traced(exact()?, Who::named(side)?),
        Asked::Held { side, count } => return space::run_held(exact()?, Who::named(side)?, *count),
        Asked::Loop { side, live, time } => {
            return match (cases.first(), only) {
                (Some(case), _) => run_one_side(Who::named(side)?, *live, case, *time),
                (None, what) => programs::run_one_side(guest_side(side)?, what.unwrap_or_default(), *time),
            };
        }
    }
    let start = Instant::now();
    let entries = compare(&cases, only, request.extent)?;
    if entries.is_empty() {
        return Err(format!("no case contains {:?}", only.unwrap_or_default()).into());
    }
    println!("\n{} s in all", start.elapsed().as_secs());
    if only.is_none() || request.update {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench/core.json");
        report::write_json(&entries, &path, request.update)?;
    }
    Ok(())
}

/// Everything whose name contains `only`.
fn compare(cases: &[Case], only: Option<&str>, extent: Extent) -> AnyResult<Vec<Entry>> {
    let mut entries = Vec::new();
    println!(
        "Create + typed call + drop, ns; the median of the batches. One thread: its processor time. Two threads: the"
    );
    println!(
        "time of each in which it ran or was blocked. Peers: Wasmtime {WASMTIME_VERSION}. guest: how much longer the guest's"
    );
    println!("own work takes than with plain code.");
    println!(
        "Single operations: reading the clock takes {:.0} ns of each, which are not taken off.\n",
        singles::clock_overhead()
    );
    for case in cases.iter().filter(|case| matches!(case.work, Work::Fresh)) {
        entries.extend(fresh::compare(case, extent)?);
    }
    entries.extend(flat::compare(only, extent.repetitions)?);
    if !extent.quick {
        entries.extend(space::compare(cases)?);
    }
    println!("Calls, ns (and of the fastest batch):");
    for case in cases.iter().filter(|case| !matches!(case.work, Work::Fresh)) {
        entries.push(calls::compare(case, extent.repetitions)?);
    }
    entries.extend(program_entries(only, extent.repetitions)?);
    Ok(entries)
}

fn program_entries(only: Option<&str>, repetitions: usize) -> AnyResult<Vec<Entry>> {
    println!(
        "\nGuests: running in processor time; compiling ({} threads) and loading by the clock.",
        programs::THREADS
    );
    let mut entries = programs::running(only, repetitions)?;
    entries.extend(programs::compiling(only, repetitions)?);
    entries.extend(programs::loading(only, repetitions)?);
    Ok(entries)
}

fn guest_side(name: &str) -> AnyResult<guest::Side> {
    Ok(match name {
        "instar" => guest::Side::Instar,
        "plain" => guest::Side::InstarPlain,
        "wasmtime" => guest::Side::Wasmtime,
        _ => return Err(format!("the side {name:?} of a guest is none of instar, plain, wasmtime").into()),
    })
}

/// Runs one side alone, for a profiler.
fn run_one_side(who: Who, live: bool, case: &Case, time: Duration) -> AnyResult<()> {
    let side = fresh::side(case, who)?.ok_or("engines refuse this mode")?;
    let live = live || !matches!(case.work, Work::Fresh);
    let mut run = if live { (side.live)()? } else { (side.fresh)()? };
    let start = Instant::now();
    let mut operations = 0u64;
    while start.elapsed() < time {
        std::hint::black_box(run(case.operation.params, 1000));
        operations += 1000;
    }
    let each = start.elapsed().as_secs_f64() * 1e9 / operations as f64;
    let what = if live { "live" } else { "fresh" };
    println!("{who:?}, {}, {what}: {operations} operations, {each:.1} ns each", case.name);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reported_version_is_the_required_one() {
        let requirement = format!("wasmtime = {{ version = \"={}\"", super::WASMTIME_VERSION);
        assert!(include_str!("../Cargo.toml").contains(&requirement), "Cargo.toml lacks {requirement}");
    }
}
