//! A Markdown renderer answers requests: every request in an instance that was never used before.
//!
//! `cargo run --release -p instar --example demo [REQUESTS]`, after `tests/guests/build.sh`.

use std::path::Path;
use std::time::Instant;

use instar::{Engine, Linker, Module, Result};

fn main() -> Result<()> {
    let requests: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(200_000);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let engine = Engine::default();
    let linker = Linker::<()>::new(&engine);

    let mut documents = Vec::new();
    for entry in std::fs::read_dir(root.join("tests/guests/markdown/cases"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "md") {
            let (source, html) = (std::fs::read(&path)?, std::fs::read(path.with_extension("html"))?);
            documents.push((path, source, html));
        }
    }
    let markdown = linker.instantiate_pre(&Module::from_file(&engine, root.join("target/guests/markdown.wasm"))?)?;
    let render = markdown.bytes_func("render")?;
    for (path, source, html) in &documents {
        assert!(markdown.call_bytes((), &render, source)? == *html, "{} is rendered wrongly", path.display());
    }
    let start = Instant::now();
    for i in 0..requests {
        let (_, source, html) = &documents[i % documents.len()];
        assert_eq!(markdown.call_bytes((), &render, source)?.len(), html.len());
    }
    let seconds = start.elapsed().as_secs_f64();

    let misbehave = linker.instantiate_pre(&Module::from_file(&engine, root.join("target/guests/misbehave.wasm"))?)?;
    let leave = misbehave.export::<i32, ()>("leave_secret")?;
    let find = misbehave.export::<(), i32>("find_secret")?;
    {
        let mut first = misbehave.fresh(())?;
        first.call(&leave, 42)?;
        assert!(first.call(&find, ())? > 0, "a secret that was left can be found");
    }
    let secret_gone = misbehave.call((), &find, ())? == 0;

    println!(
        r#"{{"language":"rust","requests":{requests},"seconds":{seconds:.3},"ns_per_request":{:.0},"rate":{:.0},"secret_gone":{secret_gone}}}"#,
        seconds * 1e9 / requests as f64,
        requests as f64 / seconds,
    );
    Ok(())
}
