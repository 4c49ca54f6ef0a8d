//! A fresh instance for each operation: every tracking mode of Instar beside Wasmtime's default pool and its best setting, on
//! one thread and on two.
//!
//! For a program that works, such as Lua, what counts is the overhead: what an operation in a fresh instance takes longer
//! than one in a live instance of the same side does in the same turn. The guest's own slow-down where stores are marked is
//! what a live operation takes longer than with plain code; it is shown beside each figure.

use crate::AnyResult;
use crate::cases::{Case, Operation};
use crate::counts;
use crate::measure::{self, Contender, Run, Samples, Side, pure_loop};
use crate::modes::{MODES, Mode, PLAIN};
use crate::report::{Entry, Group};
use crate::{instar_side, wasmtime_side};

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Instar(&'static str),
    DefaultPool,
    BestPool,
    /// A loop that computes and uses no runtime.
    Pure,
}

impl Who {
    pub const PEERS: [Who; 2] = [Who::DefaultPool, Who::BestPool];

    /// As the report calls a peer.
    pub fn peer_name(self) -> &'static str {
        match self {
            Who::DefaultPool => "Wasmtime (default pool)",
            Who::BestPool => "Wasmtime (best pool)",
            Who::Instar(_) | Who::Pure => "a pure loop",
        }
    }

    /// From the command line: `default`, `best`, a mode, or `instar` for the default mode.
    pub fn named(name: &str) -> AnyResult<Self> {
        Ok(match name {
            "default" => Who::DefaultPool,
            "best" => Who::BestPool,
            "instar" => Who::Instar(Mode::default().name),
            _ => match Mode::named(name) {
                Some(mode) => Who::Instar(mode.name),
                None => {
                    let modes: Vec<&str> = MODES.iter().map(|m| m.name).collect();
                    let modes = modes.join(", ");
                    return Err(format!("the side {name:?} is none of instar, default, best, {modes}").into());
                }
            },
        })
    }

    pub fn argument(self) -> &'static str {
        match self {
            Who::Instar(mode) => mode,
            Who::DefaultPool => "default",
            Who::BestPool | Who::Pure => "best",
        }
    }
}

/// A side of a case; `None` when engines refuse the mode.
pub fn side(case: &Case, who: Who) -> AnyResult<Option<Side>> {
    let wasm = case.module.wasm()?;
    match who {
        Who::Instar(mode) => instar_side::prepare(case, &wasm, Mode::named(mode).expect("a mode")),
        Who::DefaultPool => wasmtime_side::prepare(case, &wasm, false).map(Some),
        Who::BestPool => wasmtime_side::prepare(case, &wasm, true).map(Some),
        Who::Pure => Ok(None),
    }
}

/// What a contender does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Fresh,
    Live,
}

/// The contenders' figures by what they are.
struct Figures(Vec<(Key, Vec<f64>)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    who: Who,
    kind: Kind,
    threads: u32,
}

impl Figures {
    /// Whoever it was takes part.
    fn has(&self, who: Who) -> bool {
        self.0.iter().any(|(key, _)| key.who == who)
    }

    fn of(&self, who: Who, kind: Kind, threads: u32) -> Option<&[f64]> {
        let wanted = Key { who, kind, threads };
        self.0.iter().find(|(key, _)| *key == wanted).map(|(_, values)| values.as_slice())
    }

    fn fresh(&self, who: Who, threads: u32) -> Option<Samples> {
        Some(Samples::new(self.of(who, Kind::Fresh, threads)?.to_vec()))
    }

    /// What a fresh operation takes longer than the live one of the same turn; nothing where noise hides it.
    fn overhead(&self, who: Who, threads: u32) -> Option<Samples> {
        let (fresh, live) = (self.of(who, Kind::Fresh, threads)?, self.of(who, Kind::Live, threads)?);
        Some(Samples::new(fresh.iter().zip(live).map(|(fresh, live)| (fresh - live).max(0.0)).collect()))
    }

    /// How many times as long as with plain code the guest's own work takes in a mode.
    fn slow_down(&self, who: Who) -> Option<f64> {
        let live = |who| Some(Samples::new(self.of(who, Kind::Live, 1)?.to_vec()).median());
        Some(live(who)? / live(Who::Instar(PLAIN))?)
    }
}

/// What to measure beside times.
#[derive(Clone, Copy)]
pub struct Extent {
    pub repetitions: usize,
    /// Only times of batches.
    pub quick: bool,
}

/// Measures a case with all sides in turns, and prints it.
pub fn compare(case: &Case, extent: Extent) -> AnyResult<Vec<Entry>> {
    let mut operation = case.operation;
    let mut contenders: Vec<Contender> = Vec::new();
    let mut keys = Vec::new();
    let everybody = Who::PEERS.into_iter().chain(MODES.iter().map(|mode| Who::Instar(mode.name)));
    let mut add = |key: Key, operation: Operation, maker: &dyn Fn() -> AnyResult<Run>| -> AnyResult<()> {
        let peek = case.peek.filter(|_| key.kind == Kind::Fresh && key.who != Who::Pure);
        let contender = Contender::new(format!("{key:?}"), operation, peek, maker()?);
        contenders.push(if key.threads == 2 { contender.beside(maker()?) } else { contender });
        keys.push(key);
        Ok(())
    };
    for who in everybody {
        let Some(side) = side(case, who)? else { continue };
        if case.module.is_program() && who == Who::PEERS[0] {
            // All must answer what the first of them does.
            operation.answer = (side.fresh)()?(operation.params, 1);
        }
        let marks = matches!(who, Who::Instar(mode) if Mode::named(mode).is_some_and(|m| m.marks || m.name == PLAIN));
        for threads in [1, 2] {
            add(Key { who, kind: Kind::Fresh, threads }, operation, &side.fresh)?;
            if case.repeats && (case.module.is_program() || (marks && threads == 1)) {
                add(Key { who, kind: Kind::Live, threads }, operation, &side.live)?;
            }
        }
    }
    for threads in [1, 2] {
        let one = Operation { params: (1, 0), answer: 1 };
        add(Key { who: Who::Pure, kind: Kind::Fresh, threads }, one, &|| Ok(pure_loop()))?;
    }
    let values = measure::in_turns(&mut contenders, extent.repetitions);
    let figures = Figures(keys.iter().copied().zip(values).collect());
    let mut entries = times(case, &figures);
    entries.extend(second_thread(case, &figures));
    print(case, &figures, &entries);
    if !extent.quick {
        let alone = keys.iter().zip(contenders).filter(|(key, _)| key.kind == Kind::Fresh && key.threads == 1);
        let alone: Vec<(Who, Contender)> =
            alone.map(|(key, contender)| (key.who, contender)).filter(|(who, _)| *who != Who::Pure).collect();
        entries.extend(counts::compare(case, operation, alone)?);
    }
    println!();
    Ok(entries)
}

/// The figures of a case in every mode beside both pools.
fn times(case: &Case, figures: &Figures) -> Vec<Entry> {
    let mut entries = Vec::new();
    for threads in [1, 2] {
        let mut kinds: Vec<(String, bool)> = vec![(case.name.clone(), false)];
        if case.module.is_program() {
            kinds = vec![(format!("{}: overhead", case.name), true), (format!("{}: in all", case.name), false)];
        }
        for (name, overhead) in kinds {
            let samples = |who| if overhead { figures.overhead(who, threads) } else { figures.fresh(who, threads) };
            let is_judged = threads == 1 && overhead == case.module.is_program();
            for peer_is in Who::PEERS {
                let Some(peer) = samples(peer_is) else { continue };
                let target = match peer_is {
                    Who::DefaultPool => case.targets.default_pool,
                    _ => case.targets.best_pool,
                };
                let modes: Vec<(&Mode, Samples)> =
                    MODES.iter().filter_map(|mode| Some((mode, samples(Who::Instar(mode.name))?))).collect();
                let best = modes.iter().map(|(_, samples)| samples.median()).min_by(f64::total_cmp);
                for (mode, instar) in modes {
                    let judged = is_judged
                        && (Some(instar.median()) == best || (mode.is_default() && case.targets.for_default_mode));
                    entries.push(Entry {
                        mode: Some(mode.name),
                        is_default: mode.is_default(),
                        threads,
                        slow_down: figures.slow_down(Who::Instar(mode.name)),
                        target: target.filter(|_| judged),
                        ..Entry::new(Group::Fresh, name.clone(), instar, peer.clone(), peer_is.peer_name(), "ns")
                    });
                }
            }
        }
    }
    entries
}

/// Lowest part of a pure loop's gain by a second thread that an operation must gain.
const GAIN_TARGET: f64 = 0.95;

/// How many times as long each operation takes when a second thread does the same, beside a loop that only computes.
fn second_thread(case: &Case, figures: &Figures) -> Vec<Entry> {
    let longer = |who| -> Option<Samples> {
        let (alone, together) = (figures.of(who, Kind::Fresh, 1)?, figures.of(who, Kind::Fresh, 2)?);
        Some(Samples::new(together.iter().zip(alone).map(|(together, alone)| together / alone).collect()))
    };
    let Some(pure) = longer(Who::Pure) else { return Vec::new() };
    let entry = |mode: &'static Mode| {
        let instar = longer(Who::Instar(mode.name))?;
        let name = format!("{}: with a second thread", case.name);
        Some(Entry {
            mode: Some(mode.name),
            is_default: mode.is_default(),
            threads: 2,
            target: mode.is_default().then_some(1.0 / GAIN_TARGET),
            ..Entry::new(Group::Threads, name, instar, pure.clone(), "a pure loop", "x")
        })
    };
    MODES.iter().filter_map(entry).collect()
}

/// Prints a case: a line a mode.
fn print(case: &Case, figures: &Figures, entries: &[Entry]) {
    let judged_name = if case.module.is_program() { format!("{}: overhead", case.name) } else { case.name.clone() };
    println!("{judged_name}  ({})", case.stands_for);
    let of = |who, threads| {
        if case.module.is_program() { figures.overhead(who, threads) } else { figures.fresh(who, threads) }
    };
    let ns = |samples: Option<Samples>| samples.map_or("–".to_string(), |s| format!("{:.1}", s.median()));
    let ratio = |instar: &Option<Samples>, peer: &Option<Samples>| match (instar, peer) {
        (Some(instar), Some(peer)) => format!("{:.3}", instar.median() / peer.median()),
        _ => "–".to_string(),
    };
    println!(
        "  {:<24} {:>11} {:>9} {:>9} {:>8} | {:>11} {:>9} {:>9}",
        "", "1 thread ns", "/default", "/best", "guest", "2 threads", "/default", "/best"
    );
    for mode in MODES {
        let who = Who::Instar(mode.name);
        let name = format!("Instar {}{}", mode.name, if mode.is_default() { " (default)" } else { "" });
        if !figures.has(who) {
            println!("  {name:<24} {:>11}", "–");
            continue;
        }
        let mut line = format!("  {name:<24}");
        for threads in [1, 2] {
            let own = of(who, threads);
            line += &format!(
                " {:>11} {:>9} {:>9}",
                ns(own.clone()),
                ratio(&own, &of(Who::DefaultPool, threads)),
                ratio(&own, &of(Who::BestPool, threads))
            );
            if threads == 1 {
                let slow = figures.slow_down(who).map_or(String::new(), |s| format!("{:+.1} %", (s - 1.0) * 100.0));
                line += &format!(" {slow:>8} |");
            }
        }
        println!("{line}");
    }
    for who in Who::PEERS {
        println!("  {:<24} {:>11} {:>27} | {:>11}", who.peer_name(), ns(of(who, 1)), "", ns(of(who, 2)));
    }
    if case.module.is_program() {
        let all = |who| ns(figures.fresh(who, 1));
        println!(
            "  in all: Instar {} {}, Wasmtime {} and {}",
            Mode::default().name,
            all(Who::Instar(Mode::default().name)),
            all(Who::DefaultPool),
            all(Who::BestPool)
        );
    }
    for entry in entries.iter().filter(|e| e.target.is_some()) {
        println!("  {}", entry.verdict_line());
    }
}
