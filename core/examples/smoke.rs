use instar::*;
fn main() -> Result<()> {
    let mut c = Config::new();
    c.paranoid(std::env::args().nth(1).is_none());
    let engine = Engine::new(&c)?;
    let module = Module::new(
        &engine,
        r#"(module (memory (export "memory") 2) (data (i32.const 100) "hello")
      (global $g (mut i32) (i32.const 5))
      (table 4 funcref) (elem (i32.const 1) $f)
      (func $f (param i32) (result i32) (i32.add (local.get 0) (global.get $g)))
      (func (export "run") (param i32) (result i32)
        (i32.store (i32.const 253) (i32.const -1))
        (i32.store8 (i32.const 100) (i32.const 65))
        (global.set $g (i32.add (global.get $g) (i32.const 1)))
        (call_indirect (param i32) (result i32) (local.get 0) (i32.const 1)))
      (func (export "peek") (param i32) (result i32) (i32.load (local.get 0)))
      (func (export "div") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
      (func $rec (export "rec") (param i32) (result i32) (i32.add (i32.const 1) (call $rec (i32.add (local.get 0) (i32.const 1)))))
      (func (export "bad") (result i32) (call_indirect (result i32) (i32.const 1)))
      (func (export "null") (result i32) (call_indirect (result i32) (i32.const 2)))
      (func (export "undef") (result i32) (call_indirect (result i32) (i32.const 200)))
      (func (export "unr") unreachable)
      (func (export "empty"))
      )"#,
    )?;
    let pre = Linker::<()>::new(&engine).instantiate_pre(&module)?;
    let run = pre.typed::<i32, i32>("run")?;
    let peek = pre.typed::<i32, i32>("peek")?;
    for i in 0..1000 {
        assert_eq!(pre.call((), &run, i)?, i + 6);
        assert_eq!(pre.call((), &peek, 253)?, 0);
        assert_eq!(pre.call((), &peek, 100)?, i32::from_le_bytes(*b"hell"));
    }
    println!("{:?}", pre.call((), &peek, 131072 - 3));
    println!("{:?}", pre.call((), &peek, -1));
    println!("{:?}", pre.call((), &pre.typed::<(i32, i32), i32>("div")?, (1, 0)));
    println!("{:?}", pre.call((), &pre.typed::<(i32, i32), i32>("div")?, (i32::MIN, -1)));
    println!("{:?}", pre.call((), &pre.typed::<i32, i32>("rec")?, 0));
    for n in ["bad", "null", "undef"] {
        println!("{:?}", pre.call((), &pre.typed::<(), i32>(n)?, ()));
    }
    println!("{:?}", pre.call((), &pre.typed::<(), ()>("unr")?, ()));
    println!("{:?}", Module::new(&engine, b"\0asm\x01\0\0\0\x0d").err());
    println!("{:?}", Module::new(&engine, b"hello").err());
    println!("{:?}", pre.typed::<(), ()>("nope").err());
    println!("{:?}", pre.typed::<(), ()>("run").err());
    let empty = pre.typed::<(), ()>("empty")?;
    for _ in 0..3 {
        let t = std::time::Instant::now();
        let n = 1_000_000;
        for _ in 0..n {
            pre.call((), &empty, ())?;
        }
        println!("create+call+drop {:.1} ns", t.elapsed().as_nanos() as f64 / n as f64);
        let t = std::time::Instant::now();
        for i in 0..n {
            pre.call((), &run, i)?;
        }
        println!("create+call+drop with 2 lines written {:.1} ns", t.elapsed().as_nanos() as f64 / n as f64);
        let mut inst = pre.fresh(())?;
        let t = std::time::Instant::now();
        for _ in 0..n {
            inst.call(&empty, ())?;
        }
        println!("call {:.1} ns", t.elapsed().as_nanos() as f64 / n as f64);
    }
    Ok(())
}
