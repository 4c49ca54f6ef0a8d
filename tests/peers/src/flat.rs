//! What must not depend on how large a module is, or on how many instances live: each size beside the smallest, in turns.

use crate::AnyResult;
use crate::cases::{Case, Operation, Source, Targets, Work};
use crate::fresh::{Who, side};
use crate::measure::{self, Contender, Samples, Side};
use crate::modes::Mode;
use crate::report::{Entry, Group};

const MODULES_TARGET: f64 = 1.10;
const INSTANCES_TARGET: f64 = 1.25;

/// Sizes of modules: functions, elements of a table.
const MODULES: &[(usize, usize)] = &[(10, 0), (1_000, 0), (30_000, 0), (10, 100_000)];
/// How many instances live, with the one that is measured.
const INSTANCES: &[usize] = &[1, 100, 10_000];

/// Both series.
pub fn compare(only: Option<&str>, repetitions: usize) -> AnyResult<Vec<Entry>> {
    let mut entries = Vec::new();
    if only.is_none_or(|text| "modules".contains(text)) {
        entries.extend(modules(repetitions)?);
    }
    if only.is_none_or(|text| "instances".contains(text)) {
        entries.extend(instances(repetitions)?);
    }
    Ok(entries)
}

fn modules(repetitions: usize) -> AnyResult<Vec<Entry>> {
    println!("Modules of different sizes, ns (and of the fastest batch):");
    let cases: Vec<Case> = MODULES.iter().map(|&(functions, elements)| sized(functions, elements)).collect();
    let default = Who::Instar(Mode::default().name);
    let mut contenders = Vec::new();
    for case in &cases {
        for who in [default, Who::BestPool] {
            let side = side(case, who)?.ok_or("engines refuse the default mode")?;
            contenders.push(Contender::new(case.name.clone(), case.operation, None, (side.fresh)()?));
        }
    }
    let samples: Vec<Samples> = measure::in_turns(&mut contenders, repetitions).into_iter().map(Samples::new).collect();
    let mut entries = Vec::new();
    for (case, pair) in cases.iter().zip(samples.chunks(2)) {
        let entry = |peer: &Samples, name, target| Entry {
            target,
            mode: Some(Mode::default().name),
            ..Entry::new(Group::Flat, case.name.clone(), pair[0].clone(), peer.clone(), name, "ns")
        };
        let largest = case.name != cases[0].name;
        entries.push(entry(&samples[0], "Instar, 10 functions", largest.then_some(MODULES_TARGET)));
        entries.push(entry(&pair[1], Who::BestPool.peer_name(), None));
    }
    entries.iter().for_each(Entry::print_ns);
    println!();
    Ok(entries)
}

fn instances(repetitions: usize) -> AnyResult<Vec<Entry>> {
    println!("Live instances of the same module, with the measured one, ns (and of the fastest batch):");
    let case = crate::cases::one_page_written();
    let who = Who::Instar(Mode::default().name);
    // An engine each, so that each has its own slots.
    let sides: Vec<Side> = INSTANCES
        .iter()
        .map(|_| side(&case, who)?.ok_or_else(|| "engines refuse the default mode".into()))
        .collect::<AnyResult<_>>()?;
    let mut alive = Vec::new();
    let mut contenders = Vec::new();
    for (side, &count) in sides.iter().zip(INSTANCES) {
        for _ in 1..count {
            alive.push((side.keep)()?);
        }
        contenders.push(Contender::new(format!("{count} live"), case.operation, case.peek, (side.fresh)()?));
    }
    let samples: Vec<Samples> = measure::in_turns(&mut contenders, repetitions).into_iter().map(Samples::new).collect();
    let mut entries = Vec::new();
    for (&count, own) in INSTANCES.iter().zip(&samples).skip(1) {
        entries.push(Entry {
            mode: Some(Mode::default().name),
            target: Some(INSTANCES_TARGET),
            ..Entry::new(
                Group::Flat,
                format!("{}, {count} live instances", case.name),
                own.clone(),
                samples[0].clone(),
                "Instar, 1 live instance",
                "ns",
            )
        });
    }
    entries.iter().for_each(Entry::print_ns);
    println!();
    Ok(entries)
}

/// A module with so many functions, all of them exported, or with a table of so many elements.
fn sized(functions: usize, elements: usize) -> Case {
    let mut text = String::from("(module (func (export \"run\") (param i32 i32) (result i32) local.get 0)\n");
    for index in 1..functions {
        text += &format!(
            "(func $f{index} (export \"f{index}\") (param i32) (result i32) (i32.add (local.get 0) (i32.const {index})))\n"
        );
    }
    if elements > 0 {
        text += &format!("(table {elements} funcref) (elem (i32.const 0) func");
        for index in 0..elements {
            text += &format!(" $f{}", 1 + index % (functions - 1));
        }
        text += ")\n";
    }
    text += ")";
    let name = if elements > 0 { format!("{elements} table elements") } else { format!("{functions} functions") };
    Case {
        name: format!("module of {name}"),
        stands_for: "a large program as a plugin",
        module: Source::Wat(text),
        work: Work::Fresh,
        operation: Operation { params: (7, 0), answer: 7 },
        peek: None,
        targets: Targets::default(),
        repeats: true,
        grows: false,
    }
}
