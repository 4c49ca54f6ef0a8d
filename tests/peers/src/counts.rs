//! What operations ask of the kernel: page faults, by the kernel's own count for this thread, and system calls, by `strace` on
//! a process that does nothing else; both in steady state, after as many operations that are not counted.

use std::process::{Command, Stdio};

use crate::AnyResult;
use crate::cases::{Case, Operation};
use crate::fresh::{Who, side};
use crate::measure::{Contender, Run, Samples};
use crate::modes::Mode;
use crate::report::{Entry, Group};
use crate::singles::{self, Percentiles};

/// Operations whose system calls are counted.
const TRACED: u64 = 500;

/// What the kernel did for one side, for each operation.
struct Counts {
    who: Who,
    faults: f64,
    /// `None` without `strace`.
    system_calls: Option<f64>,
    singles: Option<Percentiles>,
}

/// Counts for every side, and times single operations of Instar's default and Wasmtime's best.
pub fn compare(case: &Case, operation: Operation, sides: Vec<(Who, Contender)>) -> AnyResult<Vec<Entry>> {
    let mut counts = Vec::new();
    for (who, contender) in sides {
        let (times, mut run) = contender.into_parts();
        let timed = matches!(who, Who::BestPool) || who == Who::Instar(Mode::default().name);
        counts.push(Counts {
            who,
            faults: faults(&mut run, operation, times),
            system_calls: system_calls(case, who)?,
            singles: timed.then(|| singles::measure(&mut run, operation)),
        });
    }
    print(&counts);
    let mut entries = Vec::new();
    for own in &counts {
        let Who::Instar(name) = own.who else { continue };
        let mode = Mode::named(name).expect("a mode");
        for peer in counts.iter().filter(|peer| Who::PEERS.contains(&peer.who)) {
            let entry = |what: &str, instar: f64, peer_value: f64, unit| Entry {
                mode: Some(mode.name),
                is_default: mode.is_default(),
                ..Entry::new(
                    if unit == "ns" { Group::Singles } else { Group::Counts },
                    format!("{}: {what}", case.name),
                    Samples::new(vec![instar]),
                    Samples::new(vec![peer_value]),
                    peer.who.peer_name(),
                    unit,
                )
            };
            // None at all, wherever the guest does not grow.
            let target = (mode.is_default() && !case.grows && peer.who == Who::BestPool).then_some(0.0);
            let faults = entry("page faults of an operation", own.faults, peer.faults, "faults");
            entries.push(Entry { target, ..faults });
            if let (Some(instar), Some(peer)) = (own.system_calls, peer.system_calls) {
                entries.push(Entry { target, ..entry("system calls of an operation", instar, peer, "syscalls") });
            }
            if let (Some(instar), Some(peer)) = (&own.singles, &peer.singles) {
                for ((what, instar), (_, peer)) in instar.named().into_iter().zip(peer.named()) {
                    entries.push(entry(&format!("{what} of single operations"), instar, peer, "ns"));
                }
            }
        }
    }
    Ok(entries)
}

fn print(counts: &[Counts]) {
    for count in counts {
        let name = match count.who {
            Who::Instar(mode) => format!("Instar {mode}"),
            who => who.peer_name().to_string(),
        };
        let calls = count.system_calls.map_or("–".to_string(), |calls| format!("{calls:.2}"));
        let singles = count.singles.as_ref().map_or(String::new(), |p| format!("; p50 / p99 / p99.9 {p}"));
        println!("  {name:<24} {:>8.2} faults {calls:>8} system calls{singles}", count.faults);
    }
}

/// Page faults of an operation, after as many that are not counted.
fn faults(run: &mut Run, operation: Operation, times: u64) -> f64 {
    run(operation.params, times);
    let before = faults_of_thread();
    run(operation.params, times);
    (faults_of_thread() - before) as f64 / times as f64
}

/// Page faults of this thread so far.
fn faults_of_thread() -> i64 {
    // SAFETY: a record of numbers, for which zeros are values.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the record is ours.
    let status = unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) };
    assert_eq!(status, 0, "no count of page faults: {}", std::io::Error::last_os_error());
    usage.ru_minflt + usage.ru_majflt
}

/// An argument that no process group has, and that is found in a trace.
const MARK: libc::pid_t = 0x494e_5354;

/// System calls of an operation: this program starts itself under `strace`, and the calls between two marks are counted.
fn system_calls(case: &Case, who: Who) -> AnyResult<Option<f64>> {
    let trace = std::env::temp_dir().join(format!("instar-bench-trace-{}", std::process::id()));
    let status = Command::new("strace")
        .args(["-f", "-qq", "-e", "signal=none", "-o"])
        .arg(&trace)
        .arg(std::env::current_exe()?)
        .args(["--traced", who.argument(), &case.name])
        .stdout(Stdio::null())
        .status();
    let status = match status {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    if !status.success() {
        // Where tracing is forbidden, strace says so itself.
        return Ok(None);
    }
    let text = std::fs::read_to_string(&trace)?;
    std::fs::remove_file(&trace)?;
    Ok(Some(between_marks(&text)? as f64 / TRACED as f64))
}

/// System calls of the marking thread between the marks of a trace.
fn between_marks(trace: &str) -> AnyResult<usize> {
    // Another thread may have been between a call and its return.
    let mark = format!("getpgid({MARK}");
    let mut marks = trace.lines().enumerate().filter(|(_, line)| line.contains(&mark));
    let (Some((first, line)), Some((last, _))) = (marks.next(), marks.next()) else {
        return Err("the trace lacks its marks".into());
    };
    let thread = line.split_whitespace().next().ok_or("a line of the trace is empty")?;
    let of_thread = |line: &&str| line.split_whitespace().next() == Some(thread) && !line.contains(" resumed>");
    Ok(trace.lines().take(last).skip(first + 1).filter(of_thread).count())
}

/// The traced process: operations between marks.
pub fn run_traced(case: &Case, who: Who) -> AnyResult<()> {
    let side = side(case, who)?.ok_or("engines refuse this mode")?;
    let mut run = (side.fresh)()?;
    run(case.operation.params, TRACED);
    mark();
    run(case.operation.params, TRACED);
    mark();
    Ok(())
}

fn mark() {
    // SAFETY: takes a number and gives one.
    unsafe { libc::getpgid(MARK) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_of_the_thread_between_the_marks_count() {
        let mark = format!("7 getpgid({MARK}) = -1 ESRCH");
        let trace = format!(
            "7 brk(0)\n{mark}\n7 madvise(1)\n8 read(3 <unfinished ...>\n7 write(1)\n8 <... read resumed>\n{mark}\n7 exit(0)"
        );
        assert_eq!(between_marks(&trace).unwrap(), 2);
        assert!(between_marks("7 brk(0)").is_err());
    }

    #[test]
    fn faults_of_new_pages_are_counted() {
        let mut run: Run = Box::new(|_, times| {
            let pages = vec![1u8; times as usize * 4096 * 64];
            u32::from(std::hint::black_box(&pages)[7])
        });
        assert!(faults(&mut run, Operation { params: (0, 0), answer: 1 }, 100) >= 1.0);
    }
}
