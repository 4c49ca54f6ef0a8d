//! A Markdown renderer answers requests: every request in an instance that was never used before.
//!
//! `cargo run --release -p instar --example demo [REQUESTS]`, after `tests/guests/build.sh`; 1 000 000 requests by default. One
//! line of JSON comes out. System calls are counted by `strace`, if that is there, in processes of their own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use instar::{BytesFunc, Engine, InstancePre, Linker, Module, Result};

/// Requests of a process whose system calls are counted; another one has twice as many.
const TRACED: usize = 50_000;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let requests = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let engine = Engine::default();
    let server = Server::new(&engine)?;
    if arguments.next().as_deref() == Some("bare") {
        server.serve(requests, |_| {})?;
        return Ok(());
    }
    server.serve(server.documents.len(), |_| {})?;

    // Written once, so that the pages are there.
    let mut times = vec![Duration::MAX; requests];
    let mut places = times.iter_mut();
    let (faults, start) = (page_faults(), Instant::now());
    server.serve(requests, |time| *places.next().expect("a place for each request") = time)?;
    let (seconds, faults) = (start.elapsed().as_secs_f64(), page_faults() - faults);
    times.sort_unstable();
    let percentile = |part: f64| times[((requests - 1) as f64 * part) as usize].as_nanos();

    println!(
        r#"{{"language":"rust","requests":{requests},"seconds":{seconds:.3},"ns_per_request":{:.0},"rate":{:.0},"p50_ns":{},"p99_ns":{},"p999_ns":{},"page_faults":{:.4},"system_calls":{},"secret_gone":{}}}"#,
        seconds * 1e9 / requests as f64,
        requests as f64 / seconds,
        percentile(0.5),
        percentile(0.99),
        percentile(0.999),
        faults as f64 / requests as f64,
        system_calls().map_or("null".to_string(), |calls| format!("{calls:.4}")),
        secret_is_gone(&engine)?,
    );
    Ok(())
}

/// A renderer, and documents with what they must be rendered to.
struct Server {
    markdown: InstancePre<()>,
    render: BytesFunc,
    documents: Vec<(PathBuf, Vec<u8>, Vec<u8>)>,
}

impl Server {
    fn new(engine: &Engine) -> Result<Self> {
        let markdown = prepare(engine, "markdown")?;
        let mut documents = Vec::new();
        for entry in std::fs::read_dir(root().join("tests/guests/markdown/cases"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "md") {
                let (source, html) = (std::fs::read(&path)?, std::fs::read(path.with_extension("html"))?);
                documents.push((path, source, html));
            }
        }
        Ok(Server { render: markdown.bytes_func("render")?, markdown, documents })
    }

    /// Answers requests, the documents in turn, and tells how long each took.
    fn serve(&self, requests: usize, mut tell: impl FnMut(Duration)) -> Result<()> {
        for (path, source, html) in self.documents.iter().cycle().take(requests) {
            let start = Instant::now();
            let answer = self.markdown.call_bytes((), &self.render, source)?;
            tell(start.elapsed());
            assert!(answer == *html, "{} is rendered wrongly", path.display());
        }
        Ok(())
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn prepare(engine: &Engine, guest: &str) -> Result<InstancePre<()>> {
    let module = Module::from_file(engine, root().join(format!("target/guests/{guest}.wasm")))?;
    Linker::new(engine).instantiate_pre(&module)
}

/// Whether what one request leaves behind, which the same instance finds, is not found by the next.
fn secret_is_gone(engine: &Engine) -> Result<bool> {
    let misbehave = prepare(engine, "misbehave")?;
    let leave = misbehave.export::<i32, ()>("leave_secret")?;
    let find = misbehave.export::<(), i32>("find_secret")?;
    {
        let mut first = misbehave.fresh(())?;
        first.call(&leave, 42)?;
        assert!(first.call(&find, ())? > 0, "a secret that was left can be found");
    }
    Ok(misbehave.call((), &find, ())? == 0)
}

/// Page faults of this thread so far.
fn page_faults() -> i64 {
    // SAFETY: a record of numbers, for which zeros are values.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the record is ours.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) };
    usage.ru_minflt + usage.ru_majflt
}

/// System calls of a request: what a process makes more that answers twice as many; `None` without `strace`.
fn system_calls() -> Option<f64> {
    let counts = [TRACED, 2 * TRACED].map(|requests| {
        let output = Command::new("strace")
            .args(["-f", "-c"])
            .arg(std::env::current_exe().ok()?)
            .args([&requests.to_string(), "bare"])
            .output()
            .ok()?;
        let table = String::from_utf8(output.stderr).ok()?;
        // `100.00 seconds usecs/call calls errors total`; there need be no errors.
        let total = table.lines().rfind(|line| line.ends_with(" total"))?;
        total.split_whitespace().nth(3)?.parse::<f64>().ok()
    });
    Some((counts[1]? - counts[0]?) / TRACED as f64)
}
