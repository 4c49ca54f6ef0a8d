use instar::*;
fn main() -> Result<()> {
    let engine = Engine::default();
    let which = std::env::args().nth(1).unwrap();
    let n: u64 = std::env::args().nth(2).unwrap().parse().unwrap();
    let wat = match which.as_str() {
        "empty" => r#"(module (func (export "run")))"#.to_string(),
        _ => format!(
            r#"(module (memory 2) (data (i32.const 0) "{}") (func (export "run") (i32.store (i32.const 4096) (i32.const 7))))"#,
            "x".repeat(65536)
        ),
    };
    let module = Module::new(&engine, wat)?;
    let pre = Linker::<()>::new(&engine).instantiate_pre(&module)?;
    let f = pre.typed::<(), ()>("run")?;
    pre.call((), &f, ())?;
    let mut best = f64::MAX;
    for _ in 0..5 {
        let t = std::time::Instant::now();
        for _ in 0..n {
            pre.call((), &f, ())?;
        }
        best = best.min(t.elapsed().as_nanos() as f64 / n as f64);
    }
    eprintln!("{best:.1} ns");
    Ok(())
}
