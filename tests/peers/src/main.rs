//! `bench-core`: Instar beside Wasmtime in one process, on the same wasm, in turns.
//!
//! ```text
//! bench-core                          every case; a table, and target/bench/core.json
//! bench-core --only TEXT              cases whose name contains TEXT; writes no file
//! bench-core --repetitions N          samples a figure (default 15, at least 9)
//! bench-core --loop SIDE TEXT SECONDS one side of one case again and again, for `perf record`; SIDE: instar, default, best;
//!                                     or TEXT `run GUEST`, `compile GUEST`; SIDE: instar, plain, wasmtime
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | [`cases`] | what is measured, which real use it stands for, and its target |
//! | [`programs`] | the guests of tests/guests: running, compiling, loading, sizes |
//! | [`guest`], [`stubs`] | their instances in both runtimes, and the little of WASI that they get |
//! | [`probe`] | an export that is added to a module, for the first call after a load |
//! | [`instar_side`], [`wasmtime_side`] | how each runtime does it, by the fastest way that it documents |
//! | [`measure`] | batches, turns, medians |
//! | [`report`] | the table and the JSON |

mod cases;
mod guest;
mod instar_side;
mod measure;
mod probe;
mod programs;
mod report;
mod stubs;
mod wasmtime_side;

use std::path::Path;
use std::time::{Duration, Instant};

use cases::{Case, Work};
use measure::Contender;
use report::Entry;

/// The version in Cargo.toml's requirement, which is exact.
const WASMTIME_VERSION: &str = "48.0.8";

type AnyResult<T> = Result<T, Box<dyn std::error::Error>>;

/// What the command line asks for.
struct Request {
    only: Option<String>,
    repetitions: usize,
    side: Option<(String, Duration)>,
}

fn request() -> AnyResult<Request> {
    const USAGE: &str = "usage: bench-core [--only TEXT] [--repetitions N] [--loop instar|default|best TEXT SECONDS]";
    let mut request = Request { only: None, repetitions: 15, side: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut next = || arguments.next().ok_or(USAGE);
        match argument.as_str() {
            "--only" => request.only = Some(next()?),
            "--repetitions" => request.repetitions = next()?.parse::<usize>()?.max(9),
            "--loop" => {
                let side = next()?;
                request.only = Some(next()?);
                request.side = Some((side, Duration::from_secs_f64(next()?.parse()?)));
            }
            _ => return Err(USAGE.into()),
        }
    }
    Ok(request)
}

fn main() -> AnyResult<()> {
    let request = request()?;
    let wanted = |case: &Case| request.only.as_ref().is_none_or(|text| case.name.contains(text.as_str()));
    let cases: Vec<Case> = cases::all().into_iter().filter(wanted).collect();
    rayon::ThreadPoolBuilder::new().num_threads(programs::THREADS).build_global()?;
    if let Some((side, time)) = &request.side {
        return match (cases.first(), request.only.as_deref()) {
            (Some(case), _) => run_one_side(side, case, *time),
            (None, what) => programs::run_one_side(guest_side(side)?, what.unwrap_or_default(), *time),
        };
    }
    let mut entries = Vec::new();
    for case in &cases {
        entries.extend(compare(case, request.repetitions)?);
        report::print_rows(&entries, case);
    }
    entries.extend(program_entries(request.only.as_deref(), request.repetitions)?);
    if entries.is_empty() {
        return Err(format!("no case contains {:?}", request.only.unwrap_or_default()).into());
    }
    if request.only.is_none() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench/core.json");
        report::write_json(&entries, &path)?;
    }
    Ok(())
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

/// Measures all sides of a case in turns.
fn compare(case: &Case, repetitions: usize) -> AnyResult<Vec<Entry>> {
    let wasm = wat::parse_str(&case.wat)?;
    // Calls into a live instance do not touch the pool, so one configuration of Wasmtime is enough there.
    let pools: &[(&str, bool)] = match case.work {
        Work::Fresh => &[("Wasmtime (default pool)", false), ("Wasmtime (best pool)", true)],
        Work::Call | Work::UntypedCall | Work::Callback => &[("Wasmtime (best pool)", true)],
    };
    let mut contenders = vec![Contender::new("Instar", case, instar_side::prepare(case, &wasm)?)];
    for &(name, best) in pools {
        contenders.push(Contender::new(name, case, wasmtime_side::prepare(case, &wasm, best)?));
    }
    let samples = measure::in_turns(&mut contenders, repetitions);
    let (instar, peers) = samples.split_first().expect("Instar is the first contender");
    let entry = |(peer, &(peer_name, best)): (&measure::Samples, &(&'static str, bool))| Entry {
        case: case.name.clone(),
        instar: instar.clone(),
        peer: peer.clone(),
        peer_name,
        // A target is against the best that the peer can do.
        target: case.target.filter(|_| best),
        unit: "ns",
    };
    Ok(peers.iter().zip(pools).map(entry).collect())
}

/// Runs one side alone, for a profiler.
fn run_one_side(side: &str, case: &Case, time: Duration) -> AnyResult<()> {
    let wasm = wat::parse_str(&case.wat)?;
    let mut run = match side {
        "instar" => instar_side::prepare(case, &wasm)?,
        "default" => wasmtime_side::prepare(case, &wasm, false)?,
        "best" => wasmtime_side::prepare(case, &wasm, true)?,
        _ => return Err(format!("the side {side:?} is none of instar, default, best").into()),
    };
    let start = Instant::now();
    let mut operations = 0u64;
    while start.elapsed() < time {
        std::hint::black_box(run(case.operation.params, 1000));
        operations += 1000;
    }
    let each = start.elapsed().as_secs_f64() * 1e9 / operations as f64;
    println!("{side}, {}: {operations} operations, {each:.1} ns each", case.name);
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
