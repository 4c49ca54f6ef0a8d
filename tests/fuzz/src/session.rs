//! Runs cases one after the other, and says how to run a failed one again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::case::{Case, Counts, Verdict};
use crate::random::Random;
use crate::{artifact, diff, module, tenants};

/// What is fuzzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Module,
    Diff,
    Tenants,
    Artifact,
}

impl Target {
    pub const ALL: [Target; 4] = [Target::Module, Target::Diff, Target::Tenants, Target::Artifact];

    pub fn name(self) -> &'static str {
        match self {
            Target::Module => "module",
            Target::Diff => "diff",
            Target::Tenants => "tenants",
            Target::Artifact => "artifact",
        }
    }

    fn body(self) -> fn(&mut Case<'_>) -> Verdict {
        match self {
            Target::Module => module::run,
            Target::Diff => diff::run,
            Target::Tenants => tenants::run,
            Target::Artifact => artifact::run,
        }
    }
}

/// Which seeds.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub start: u64,
    pub seeds: u64,
    pub time: Option<Duration>,
}

/// Cases run on a thread of their own with this much stack, so that guests may use what their engine allows.
const STACK_BYTES: usize = 512 << 20;
/// A case that takes longer than this is a failure.
const SLOW: Duration = Duration::from_secs(60);
/// A session gives up after this many failures.
const MOST_FAILURES: usize = 5;

/// Runs the seeds of a target. Gives the seeds that failed.
pub fn run(target: Target, options: Options) -> Vec<u64> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let session = thread.spawn_scoped(scope, || on_this_thread(target, options)).expect("a thread");
        session.join().expect("cases catch their panics")
    })
}

fn on_this_thread(target: Target, options: Options) -> Vec<u64> {
    let name = target.name();
    let folder = folder();
    let place = folder.join(format!("{name}-{}.running.wasm", std::process::id()));
    let started = Instant::now();
    let mut counts = Counts::new();
    let mut failed = Vec::new();
    let mut done = 0;
    let running = watch(name);
    for seed in options.start.. {
        let over = match options.time {
            Some(time) => started.elapsed() >= time,
            None => done >= options.seeds,
        };
        if over || failed.len() >= MOST_FAILURES {
            break;
        }
        running.store(seed, Ordering::Relaxed);
        let mut case = Case { random: Random::new(seed), counts: &mut counts, place: place.clone() };
        let verdict = match catch_unwind(AssertUnwindSafe(|| target.body()(&mut case))) {
            Ok(verdict) => verdict,
            Err(_) => Err("a panic; its message is above".to_owned()),
        };
        if let Err(message) = verdict {
            report(name, seed, &message, &place, &folder);
            failed.push(seed);
        }
        done += 1;
    }
    running.store(u64::MAX, Ordering::Relaxed);
    let _ = std::fs::remove_file(&place);
    let counts: Vec<String> = counts.iter().map(|(what, n)| format!("{what} {n}")).collect();
    println!("{name}: {done} seeds in {:.1} s: {}", started.elapsed().as_secs_f64(), counts.join(", "));
    failed
}

/// Ends the process when one seed runs for too long.
fn watch(name: &'static str) -> std::sync::Arc<AtomicU64> {
    let running = std::sync::Arc::new(AtomicU64::new(u64::MAX - 1));
    let watched = running.clone();
    std::thread::spawn(move || {
        let (mut last, mut since) = (u64::MAX, Instant::now());
        loop {
            std::thread::sleep(Duration::from_millis(500));
            match watched.load(Ordering::Relaxed) {
                u64::MAX => return,
                seed if seed != last => (last, since) = (seed, Instant::now()),
                seed if since.elapsed() > SLOW => {
                    eprintln!("{name}: seed {seed} runs for more than {SLOW:?}");
                    std::process::abort();
                }
                _ => {}
            }
        }
    });
    running
}

fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    let folder = target.join("fuzz");
    std::fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    folder
}

fn report(name: &str, seed: u64, message: &str, running: &Path, folder: &Path) {
    let kept = folder.join(format!("{name}-{seed}.wasm"));
    let kept = match std::fs::copy(running, &kept) {
        Ok(_) => kept.display().to_string(),
        Err(_) => "none".to_owned(),
    };
    eprintln!("{name}: seed {seed} failed: {message}");
    eprintln!("  module: {kept}");
    eprintln!("  again:  cargo run -p instar-fuzz -- {name} --start {seed} --seeds 1");
}
