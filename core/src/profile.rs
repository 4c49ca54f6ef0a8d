//! What `perf` reads about code that lies in no file: names and places ([perf map]) or the code too ([jitdump]).
//!
//! Both files belong to the process, whatever number of engines it has; other runtimes in it write to the same perf map. A
//! process that was forked writes files of its own.
//!
//! [perf map]: https://github.com/torvalds/linux/blob/master/tools/perf/Documentation/jit-interface.txt
//! [jitdump]: https://github.com/torvalds/linux/blob/master/tools/perf/Documentation/jitdump-specification.txt

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use crate::config::ProfilingStrategy;
use crate::error::{Result, error};
use crate::sys::profile;
use crate::vm::module::VmModule;

/// A file of the process with this number.
struct Output {
    process: u32,
    file: File,
    /// Functions written so far.
    functions: u64,
}

static PERF_MAP: Mutex<Option<Output>> = Mutex::new(None);
static JIT_DUMP: Mutex<Option<Output>> = Mutex::new(None);

/// Opens the file of a strategy, if this process has not done so.
///
/// # Errors
///
/// `Os` when it cannot be written.
pub fn start(strategy: ProfilingStrategy) -> Result<()> {
    match strategy {
        ProfilingStrategy::None => Ok(()),
        ProfilingStrategy::PerfMap => with(&PERF_MAP, open_perf_map, |_| Ok(())),
        ProfilingStrategy::JitDump => with(&JIT_DUMP, open_jit_dump, |_| Ok(())),
    }
}

/// Tells of the code of a module that was loaded just now.
///
/// # Errors
///
/// `Os` when the file cannot be written.
pub fn loaded(strategy: ProfilingStrategy, module: &VmModule) -> Result<()> {
    match strategy {
        ProfilingStrategy::None => Ok(()),
        ProfilingStrategy::PerfMap => {
            with(&PERF_MAP, open_perf_map, |output| output.append(perf_map(module).as_bytes()))
        }
        ProfilingStrategy::JitDump => with(&JIT_DUMP, open_jit_dump, |output| {
            let records = jit_dump(module, output.process, &mut output.functions);
            output.append(&records)
        }),
    }
}

/// Uses the output of this process, which is opened if need be.
fn with(
    output: &Mutex<Option<Output>>,
    open: fn(u32) -> Result<File>,
    use_it: impl FnOnce(&mut Output) -> Result<()>,
) -> Result<()> {
    let mut output: MutexGuard<'_, _> = output.lock().unwrap_or_else(|e| e.into_inner());
    let process = std::process::id();
    if output.as_ref().is_none_or(|output| output.process != process) {
        *output = Some(Output { process, file: open(process)?, functions: 0 });
    }
    use_it(output.as_mut().expect("opened above"))
}

impl Output {
    /// In one piece, so that readers and other writers see whole records.
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| error!(Os, "cannot write for the profiler: {e}"))
    }
}

fn open_perf_map(process: u32) -> Result<File> {
    // The one place where perf looks, whatever TMPDIR says.
    profile::open(&PathBuf::from(format!("/tmp/perf-{process}.map")), true)
}

/// A line for each function and trampoline: start, length (both hexadecimal) and name.
fn perf_map(module: &VmModule) -> String {
    let mut lines = String::new();
    for (name, range) in module.symbols() {
        let start = module.text().as_ptr().addr() + range.start as usize;
        // Writing to a string does not fail.
        _ = writeln!(lines, "{start:x} {:x} {}", range.len, symbol(module, name));
    }
    lines
}

/// A function's name with its module's, in one line.
fn symbol(module: &VmModule, name: &str) -> String {
    let module = module.info.name.as_deref().unwrap_or("<unknown>");
    format!("{module}!{name}").replace(|c: char| c.is_control(), "?")
}

const JIT_DUMP_MAGIC: u32 = 0x4a69_5444;
const JIT_DUMP_VERSION: u32 = 1;
const JIT_DUMP_HEADER_BYTES: u32 = 40;
const JIT_CODE_LOAD: u32 = 0;
const JIT_CODE_LOAD_BYTES: usize = 56;
/// ELF's number of the machine.
const MACHINE: u32 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };

fn open_jit_dump(process: u32) -> Result<File> {
    let mut file = profile::open(&PathBuf::from(format!("jit-{process}.dump")), false)?;
    let mut header = Vec::new();
    for word in [JIT_DUMP_MAGIC, JIT_DUMP_VERSION, JIT_DUMP_HEADER_BYTES, MACHINE, 0, process] {
        header.extend(word.to_le_bytes());
    }
    // Flags: none; times are those of the monotonic clock.
    header.extend([profile::monotonic_ns(), 0].map(u64::to_le_bytes).concat());
    file.write_all(&header).map_err(|e| error!(Os, "cannot write jit-{process}.dump: {e}"))?;
    profile::show(&file)?;
    Ok(file)
}

/// A record for each function and trampoline: where it is, its name and its code.
fn jit_dump(module: &VmModule, process: u32, functions: &mut u64) -> Vec<u8> {
    let (now, thread, text) = (profile::monotonic_ns(), profile::thread_id(), module.text());
    let mut records = Vec::with_capacity(text.len());
    for (name, range) in module.symbols() {
        let name = symbol(module, name);
        let code = &text[range.start as usize..][..range.len as usize];
        let address = code.as_ptr().addr() as u64;
        let total = JIT_CODE_LOAD_BYTES + name.len() + 1 + code.len();
        // Code is smaller than 2 GiB, and so is a name.
        records.extend([JIT_CODE_LOAD, total as u32].map(u32::to_le_bytes).concat());
        records.extend(now.to_le_bytes());
        records.extend([process, thread].map(u32::to_le_bytes).concat());
        records.extend([address, address, code.len() as u64, *functions].map(u64::to_le_bytes).concat());
        records.extend_from_slice(name.as_bytes());
        records.push(0);
        records.extend_from_slice(code);
        *functions += 1;
    }
    records
}
