//! The guests of tests/guests: how long they run, how long they take to compile and to load, and how large their artifacts are.
//!
//! What lasts milliseconds is measured here, all sides in turns, in processor time; compiling and loading by the clock on the
//! wall, as they use several threads. Every answer is compared with that of Wasmtime.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::AnyResult;
use crate::guest::{Guest, Program, Side, run_command, runtime};
use crate::measure::{Samples, processor_time, processor_time_of_process};
use crate::probe;
use crate::report::{Entry, Group};

/// Threads that both runtimes compile with.
pub const THREADS: usize = 2;

/// Highest ratio of each running time, and of their geometric mean.
const RUNNING_TARGET: f64 = 1.10;
const RUNNING_MEAN_TARGET: f64 = 1.02;
const COMPILE_TARGET: f64 = 1.00;
const LOAD_TARGET: f64 = 0.20;
const SIZE_TARGET: f64 = 1.00;
/// Highest cost of marking stores, beside plain ones: in running time (geometric mean), compile time and size.
const MARKS_RUNNING_TARGET: f64 = 1.03;
const MARKS_COMPILE_TARGET: f64 = 1.15;
const MARKS_SIZE_TARGET: f64 = 1.15;

/// What a guest is asked to do; an operation lasts some milliseconds at least.
enum Work {
    /// `run(n)` of a kernel, in an instance that stays.
    Kernel(i32),
    /// A script, in a fresh state of an interpreter that stays.
    Script(&'static str),
    /// A new database, so many rows inserted and read back, in an instance that stays.
    Rows(i32),
    /// A WASI command with this input; making its instance is not counted.
    Command(&'static str),
}

/// A guest, and what it is asked to do.
struct Subject {
    name: &'static str,
    work: Work,
}

const fn subject(name: &'static str, work: Work) -> Subject {
    Subject { name, work }
}

const SUBJECTS: &[Subject] = &[
    subject("fib", Work::Kernel(27)),
    subject("sieve", Work::Kernel(1_000_000)),
    subject("matrix", Work::Kernel(120)),
    subject("sha256", Work::Kernel(10_000)),
    subject("json_parse", Work::Kernel(2_000)),
    subject("mandelbrot", Work::Kernel(120)),
    subject("lua", Work::Script(include_str!("../../guests/cases/lua/programs.lua"))),
    subject("sqlite", Work::Rows(2_000)),
    subject("go", Work::Command("1\n")),
    Subject { name: "simd", work: Work::Command("1\n") },
];

/// What is compiled, besides the kernels, which are too small.
const COMPILED: &[&str] = &["lua", "sqlite", "simd", "go", "big"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guests")
}

/// The bytes of a guest.
pub fn wasm(name: &str) -> AnyResult<Vec<u8>> {
    let path = folder().join(format!("{name}.wasm"));
    std::fs::read(&path).map_err(|e| format!("{}: {e}; run tests/guests/build.sh \"\" all", path.display()).into())
}

/// One side's way to do an operation: does it once, and gives a checksum of what came out and the processor time.
type Operation = Box<dyn FnMut() -> AnyResult<(u64, Duration)>>;

fn timed<T>(operation: impl FnOnce() -> AnyResult<T>) -> AnyResult<(T, Duration)> {
    let start = processor_time();
    let answer = operation()?;
    Ok((answer, processor_time() - start))
}

fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, &b| (sum ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

fn operation(side: Side, subject: &Subject) -> AnyResult<Operation> {
    let program = runtime(side)?.compile(&wasm(subject.name)?)?;
    Ok(match subject.work {
        Work::Kernel(n) => {
            let mut guest = program.instantiate()?;
            Box::new(move || timed(|| Ok(guest.call("run", &[n])? as u64)))
        }
        Work::Script(script) => {
            // The library that prints without a system is the basic one.
            let script = format!("local io = {{write = function(...) print(...) end}}\n{script}");
            let mut guest = program.instantiate()?;
            let at = guest.call("alloc", &[script.len() as i32])? as i32;
            guest.write(at as u32, script.as_bytes())?;
            Box::new(move || {
                let (answer, time) = timed(|| Ok(guest.call("run", &[at, script.len() as i32])? as u64))?;
                Ok((checksum(&guest.read((answer >> 32) as u32, answer as u32)?), time))
            })
        }
        Work::Rows(rows) => {
            let mut guest = program.instantiate()?;
            Box::new(move || timed(|| insert_and_select(&mut *guest, rows)))
        }
        Work::Command(input) => Box::new(move || {
            let mut guest = program.instantiate()?;
            let (output, time) = timed(|| run_command(&mut *guest, input))?;
            Ok((checksum(&output), time))
        }),
    })
}

fn insert_and_select(guest: &mut dyn Guest, rows: i32) -> AnyResult<u64> {
    for (name, params) in [("open", &[][..]), ("create", &[]), ("insert", &[rows])] {
        let code = guest.call(name, params)?;
        if code != 0 {
            return Err(format!("{name}: SQLite's code {code}").into());
        }
    }
    let answer = guest.call("select", &[rows])?;
    guest.call("close", &[])?;
    Ok(answer as u64)
}

/// Does every side's work in turns, so often that a batch lasts a while; nanoseconds an operation.
fn in_turns(
    sides: &mut [Box<dyn FnMut() -> AnyResult<Duration> + '_>],
    repetitions: usize,
    batch: Duration,
) -> AnyResult<Vec<Samples>> {
    let mut times = Vec::new();
    for side in sides.iter_mut() {
        side()?;
        times.push((batch.as_secs_f64() / side()?.as_secs_f64()).ceil().max(1.0) as u32);
    }
    let mut samples = vec![Vec::new(); sides.len()];
    for turn in 0..repetitions {
        for place in 0..sides.len() {
            let index = (turn + place) % sides.len();
            let mut total = Duration::ZERO;
            for _ in 0..times[index] {
                total += sides[index]()?;
            }
            samples[index].push(total.as_secs_f64() * 1e9 / f64::from(times[index]));
        }
    }
    Ok(samples.into_iter().map(Samples::new).collect())
}

/// The sides of Instar, with how the report names them and whether its targets apply.
fn instar_sides() -> Vec<(Side, &'static str, bool)> {
    vec![(Side::InstarPlain, ", plain stores", true), (Side::Instar, ", marked stores", false)]
}

fn entry(case: String, instar: Samples, peer: Samples, unit: &'static str, target: Option<f64>) -> Entry {
    Entry { target, ..Entry::new(Group::Guests, case, instar, peer, "Wasmtime", unit) }
}

/// Marked stores beside plain ones.
fn marks(case: String, marked: Samples, plain: Samples, unit: &'static str, target: f64) -> Entry {
    Entry { target: Some(target), ..Entry::new(Group::Guests, case, marked, plain, "Instar, plain stores", unit) }
}

/// How long the guests run, and the geometric means.
pub fn running(only: Option<&str>, repetitions: usize) -> AnyResult<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    let sides = instar_sides();
    for subject in SUBJECTS.iter() {
        if only.is_some_and(|text| !format!("run {}", subject.name).contains(text)) {
            continue;
        }
        let mut operations = vec![operation(Side::Wasmtime, subject)?];
        for &(side, ..) in &sides {
            operations.push(operation(side, subject)?);
        }
        let (expected, _) = operations[0]()?;
        let mut turns: Vec<Box<dyn FnMut() -> AnyResult<Duration>>> = Vec::new();
        for mut operation in operations {
            let name = subject.name;
            turns.push(Box::new(move || {
                let (answer, time) = operation()?;
                if answer != expected {
                    return Err(format!("{name}: the answers differ: {answer:#x} and {expected:#x}").into());
                }
                Ok(time)
            }));
        }
        let mut samples = in_turns(&mut turns, repetitions, Duration::from_millis(20))?.into_iter();
        let peer = samples.next().expect("Wasmtime comes first");
        for (instar, &(_, text, judged)) in samples.zip(&sides) {
            let target = judged.then_some(RUNNING_TARGET);
            entries.push(entry(format!("run {}{text}", subject.name), instar, peer.clone(), "ns", target));
            entries.last().expect("pushed").print();
        }
    }
    if entries.len() == SUBJECTS.len() * sides.len() {
        let mut means = Vec::new();
        for (_, text, judged) in sides {
            let of_side: Vec<&Entry> = entries.iter().filter(|e| e.case.ends_with(text)).collect();
            let mean = |value: &dyn Fn(&Entry) -> f64| {
                (of_side.iter().map(|e| value(e).ln()).sum::<f64>() / of_side.len() as f64).exp()
            };
            let (instar, peer) = (mean(&|e| e.instar.median()), mean(&|e| e.peer.median()));
            let target = judged.then_some(RUNNING_MEAN_TARGET);
            let name = format!("run, geometric mean{text}");
            let mean = entry(name, Samples::new(vec![instar]), Samples::new(vec![peer]), "ns", target);
            mean.print();
            means.push(mean.instar.clone());
            entries.push(mean);
        }
        let [plain, marked] = means.try_into().ok().expect("two sides");
        let name = "run, geometric mean, marked beside plain stores".to_string();
        entries.push(marks(name, marked, plain, "ns", MARKS_RUNNING_TARGET));
        entries.last().expect("pushed").print();
    }
    Ok(entries)
}

/// How long `Module::new` takes: by the clock on the wall, which the target is for, and in processor time of all threads,
/// which other programs on the machine disturb less.
pub fn compiling(only: Option<&str>, repetitions: usize) -> AnyResult<Vec<Entry>> {
    let mut entries = Vec::new();
    let sides = instar_sides();
    for &name in COMPILED {
        if only.is_some_and(|text| !format!("compile {name}").contains(text)) {
            continue;
        }
        let bytes = wasm(name)?;
        let runtimes = [Side::Wasmtime].into_iter().chain(sides.iter().map(|s| s.0)).map(runtime);
        let runtimes = runtimes.collect::<AnyResult<Vec<_>>>()?;
        // Large modules take seconds, and their medians few samples.
        let repetitions = if bytes.len() > 1 << 20 { repetitions.div_ceil(5) } else { repetitions };
        let mut samples = vec![(Vec::new(), Vec::new()); runtimes.len()];
        for turn in 0..=repetitions {
            for place in 0..runtimes.len() {
                let index = (turn + place) % runtimes.len();
                let (start, used) = (Instant::now(), processor_time_of_process());
                let program = runtimes[index].compile(&bytes)?;
                let times = (start.elapsed(), processor_time_of_process() - used);
                drop(program);
                // The first turn warms up.
                if turn > 0 {
                    samples[index].0.push(times.0.as_secs_f64() * 1e9);
                    samples[index].1.push(times.1.as_secs_f64() * 1e9);
                }
            }
        }
        let mut samples = samples.into_iter().map(|(wall, used)| (Samples::new(wall), Samples::new(used)));
        let peer = samples.next().expect("Wasmtime comes first");
        let mut used_by_side = Vec::new();
        for (instar, &(_, text, judged)) in samples.zip(&sides) {
            used_by_side.push(instar.1.clone());
            let name = format!("compile {name}, {} KB", bytes.len() / 1000);
            let target = judged.then_some(COMPILE_TARGET);
            let used = format!("{name}, processor time{text}");
            entries.push(entry(format!("{name}{text}"), instar.0, peer.0.clone(), "ns", target));
            entries.push(entry(used, instar.1, peer.1.clone(), "ns", None));
            entries[entries.len() - 2..].iter().for_each(Entry::print);
        }
        let [plain, marked] = used_by_side.try_into().ok().expect("two sides");
        let name = format!("compile {name}, processor time, marked beside plain stores");
        entries.push(marks(name, marked, plain, "ns", MARKS_COMPILE_TARGET));
        entries.last().expect("pushed").print();
    }
    Ok(entries)
}

/// How large artifacts are, and how long it takes from a file with one to the answer of a first call.
pub fn loading(only: Option<&str>, repetitions: usize) -> AnyResult<Vec<Entry>> {
    let mut entries = Vec::new();
    let scratch = std::env::temp_dir().join(format!("instar-bench-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let result = COMPILED.iter().try_for_each(|name| {
        if only.is_some_and(|text| !format!("load {name}").contains(text)) {
            return Ok(());
        }
        load_one(name, &scratch, repetitions, &mut entries)
    });
    std::fs::remove_dir_all(&scratch)?;
    result.map(|()| entries)
}

fn load_one(name: &str, scratch: &Path, repetitions: usize, entries: &mut Vec<Entry>) -> AnyResult<()> {
    let bytes = probe::add(&wasm(name)?)?;
    let mut sizes = Vec::new();
    let mut timed: Vec<Box<dyn FnMut() -> AnyResult<Duration>>> = Vec::new();
    for (number, side) in [Side::Wasmtime, Side::InstarPlain].into_iter().enumerate() {
        let runtime = runtime(side)?;
        let (artifact, loader) = runtime.artifact(&bytes)?;
        sizes.push(Samples::new(vec![artifact.len() as f64]));
        let path = scratch.join(format!("{name}-{number}.cwasm"));
        std::fs::write(&path, artifact)?;
        timed.push(Box::new(move || {
            let start = Instant::now();
            let answer = loader(&path)?;
            let time = start.elapsed();
            if answer != probe::ANSWER {
                return Err(format!("the probe answers {answer}").into());
            }
            Ok(time)
        }));
    }
    let [peer_size, size] = sizes.try_into().ok().expect("two sides");
    let text = format!("{:.1} MB", peer_size.median() / 1e6);
    let marked = Samples::new(vec![runtime(Side::Instar)?.artifact(&bytes)?.0.len() as f64]);
    let name_of_marks = format!("artifact of {name}, marked beside plain stores");
    entries.push(marks(name_of_marks, marked, size.clone(), "B", MARKS_SIZE_TARGET));
    entries.last().expect("pushed").print();
    entries.push(entry(format!("artifact of {name}"), size, peer_size, "B", Some(SIZE_TARGET)));
    entries.last().expect("pushed").print();
    let [peer, instar] =
        in_turns(&mut timed, repetitions, Duration::from_millis(20))?.try_into().ok().expect("two sides");
    entries.push(entry(format!("load {name}, {text}, and call"), instar, peer, "ns", Some(LOAD_TARGET)));
    entries.last().expect("pushed").print();
    Ok(())
}

/// A file that is removed with the value.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // Nothing depends on it.
        _ = std::fs::remove_file(&self.0);
    }
}

/// Does one side's part of one measurement for a while, for a profiler.
pub fn run_one_side(side: Side, what: &str, time: Duration) -> AnyResult<()> {
    let (verb, name) = what.split_once(' ').ok_or("say what, for instance `run lua` or `compile go`")?;
    let mut operation: Operation = match verb {
        "run" => {
            let subject = SUBJECTS.iter().find(|s| s.name == name).ok_or_else(|| format!("no guest {name}"))?;
            operation(side, subject)?
        }
        "compile" => {
            let (runtime, bytes) = (runtime(side)?, wasm(name)?);
            Box::new(move || timed(|| runtime.compile(&bytes).map(|_: Box<dyn Program>| 0)))
        }
        "load" => {
            let (artifact, loader) = runtime(side)?.artifact(&probe::add(&wasm(name)?)?)?;
            let file = Temporary(std::env::temp_dir().join(format!("instar-bench-{}.cwasm", std::process::id())));
            std::fs::write(&file.0, artifact)?;
            Box::new(move || timed(|| Ok(loader(&file.0)? as u64)))
        }
        _ => return Err(format!("{verb:?} is neither run, compile nor load").into()),
    };
    let start = Instant::now();
    let (mut count, mut used) = (0u32, Duration::ZERO);
    while count == 0 || start.elapsed() < time {
        used += operation()?.1;
        count += 1;
    }
    let each = |time: Duration| time.as_secs_f64() * 1e3 / f64::from(count);
    println!("{what}: {count} operations, {:.3} ms each, {:.3} ms of them counted", each(start.elapsed()), each(used));
    Ok(())
}
