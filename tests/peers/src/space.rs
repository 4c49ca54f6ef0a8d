//! Memory that instances take: how much more a process has resident with so many of them alive, and how much of that is left
//! when they have been dropped and their slots are idle. Each side in a process of its own, after one instance that warms up.

use std::process::Command;

use crate::AnyResult;
use crate::cases::{Case, Source, Work};
use crate::fresh::{Who, side};
use crate::measure::Samples;
use crate::modes::{MODES, Mode};
use crate::report::{Entry, Group};

const INSTANCES: usize = 500;

/// Bytes of each instance.
#[derive(Clone, Copy)]
struct Held {
    live: f64,
    idle: f64,
}

/// Cases that show what there is to see: nothing, a memory with a page written, a program.
fn shown(case: &Case) -> bool {
    matches!(case.work, Work::Fresh)
        && (case.name == "empty module" || case.name.contains("1 page written") || case.module == Source::Lua)
}

/// Measures each of the cases that are for this.
pub fn compare(cases: &[Case]) -> AnyResult<Vec<Entry>> {
    let mut entries = Vec::new();
    for case in cases.iter().filter(|case| shown(case)) {
        println!("Memory of each of {INSTANCES} instances, {}: bytes while it lives; of its slot when idle", case.name);
        let mut peers = Vec::new();
        for who in Who::PEERS {
            let held = held(case, who)?.ok_or("Wasmtime has no modes")?;
            println!("  {:<24} {:>10.0} {:>10.0}", who.peer_name(), held.live, held.idle);
            peers.push((who, held));
        }
        for mode in MODES {
            let Some(own) = held(case, Who::Instar(mode.name))? else { continue };
            println!("  {:<24} {:>10.0} {:>10.0}", format!("Instar {}", mode.name), own.live, own.idle);
            for &(peer, held) in &peers {
                entries.push(entry(case, mode, "bytes of a live instance", own.live, held.live, peer));
                entries.push(entry(case, mode, "bytes of an idle slot", own.idle, held.idle, peer));
            }
        }
    }
    println!();
    Ok(entries)
}

fn entry(case: &Case, mode: &'static Mode, what: &str, instar: f64, peer_bytes: f64, peer: Who) -> Entry {
    let name = format!("{}: {what}", case.name);
    let samples = |bytes| Samples::new(vec![bytes]);
    Entry {
        mode: Some(mode.name),
        is_default: mode.is_default(),
        ..Entry::new(Group::Space, name, samples(instar), samples(peer_bytes), peer.peer_name(), "B")
    }
}

/// What a process says that has tried; `None` when engines refuse the mode.
fn held(case: &Case, who: Who) -> AnyResult<Option<Held>> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--held", who.argument(), &INSTANCES.to_string(), &case.name])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        return Err(format!("{who:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let numbers: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    Ok(match numbers[..] {
        [live, idle] => Some(Held { live, idle }),
        _ => None,
    })
}

/// The process that tries: prints the two figures, or nothing when engines refuse the mode.
pub fn run_held(case: &Case, who: Who, count: usize) -> AnyResult<()> {
    let Some(side) = side(case, who)? else { return Ok(()) };
    let mut instances = Vec::with_capacity(count + 1);
    instances.push((side.keep)()?);
    // What compiling has freed would be taken first, and hide what instances take.
    // SAFETY: gives free memory back to the system.
    unsafe { libc::malloc_trim(0) };
    let before = resident_bytes()?;
    for _ in 0..count {
        instances.push((side.keep)()?);
    }
    let live = resident_bytes()? - before;
    instances.truncate(1);
    let idle = resident_bytes()? - before;
    println!("{} {}", live / count as f64, idle.max(0.0) / count as f64);
    Ok(())
}

/// What this process has in memory, by the kernel's exact count, with the tables that map it.
fn resident_bytes() -> AnyResult<f64> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kib = |text: &str, name: &str| -> AnyResult<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or_else(|| format!("no {name}"))?;
        Ok(line.split_whitespace().next().unwrap_or_default().parse()?)
    };
    Ok((kib(&rollup, "Rss:")? + kib(&status, "VmPTE:")?) * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_written_becomes_resident() {
        let before = resident_bytes().unwrap();
        let memory = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(resident_bytes().unwrap() - before > f64::from(60 << 20));
        drop(memory);
    }
}
