//! What does not fit the engine's limits is refused when an InstancePre is made, with the limit, its value, what the module
//! needs, and the setter.

use instar::{Config, Engine, ErrorKind, Linker, Module};

use crate::kit::{self, fails, module, pre};

type Change = fn(&mut Config) -> &mut Config;

/// Asserts that an engine refuses a module with these words, and takes it with `enough`.
#[track_caller]
fn refuses(text: &str, limit: Change, enough: Change, words: &[&str]) {
    let engine = kit::engine(|config| {
        limit(config);
    });
    let error = fails(Linker::<()>::new(&engine).instantiate_pre(&module(&engine, text)), ErrorKind::Limit);
    for word in words {
        assert!(error.message().contains(word), "`{word}` is not in: {error}");
    }
    let engine = kit::engine(|config| {
        enough(config);
    });
    drop(pre(&engine, text).fresh(()).unwrap());
}

#[test]
fn the_number_of_memories_and_tables_is_bounded() {
    let memories = r#"(module (import "spectest" "m" (memory 1)) (memory 1) (memory 1) (memory 1))"#;
    let own = memories.replace(r#"(import "spectest" "m" (memory 1))"#, "");
    refuses(
        &own,
        |c| c.max_memories_per_module(2),
        |c| c.max_memories_per_module(3),
        &["3 memories", "max_memories_per_module is 2"],
    );
    refuses(
        "(module (table 1 funcref) (table 1 funcref))",
        |c| c.max_tables_per_module(1),
        |c| c.max_tables_per_module(2),
        &["2 tables", "max_tables_per_module is 1"],
    );
    refuses("(module (memory 1))", |c| c.max_memories_per_module(0), |c| c, &["1 memories", "is 0"]);
    // What a module imports belongs to somebody else.
    let engine = kit::engine(|c| {
        c.max_memories_per_module(3);
    });
    let mut store = instar::Store::new(&engine, ());
    let memory = instar::Memory::new(&mut store, instar::MemoryType::new(1, None)).unwrap();
    let mut linker = Linker::new(&engine);
    linker.define(&mut store, "spectest", "m", memory).unwrap();
    linker.instantiate(&mut store, &module(&engine, memories)).unwrap();
}

#[test]
fn what_memories_and_tables_start_with_is_bounded_together_as_well_as_each() {
    refuses(
        "(module (memory 3) (memory 4))",
        |c| c.max_memory_pages(6),
        |c| c.max_memory_pages(7),
        &["2 memories", "7 pages together", "max_memory_pages is 6"],
    );
    refuses(
        "(module (memory 1) (memory 9))",
        |c| c.max_memory_pages(6),
        |c| c.max_memory_pages(10),
        &["memory 1", "9 pages", "max_memory_pages is 6"],
    );
    refuses(
        "(module (table 60 funcref) (table 41 externref))",
        |c| c.max_table_elements(100),
        |c| c.max_table_elements(101),
        &["2 tables", "101 elements together", "max_table_elements is 100"],
    );
    // A hundred tables of a million elements are 800 MB for each instance.
    let hundred = format!("(module {})", "(table 1000000 funcref) ".repeat(100));
    let engine = Engine::default();
    let error =
        fails(Linker::<()>::new(&engine).instantiate_pre(&Module::new(&engine, hundred).unwrap()), ErrorKind::Limit);
    assert!(error.message().contains("100 tables") && error.message().contains("100000000 elements"), "{error}");
}

#[test]
fn a_sum_that_no_number_holds_is_refused_too() {
    let pages = 1u64 << 47;
    let text = format!("(module (memory i64 {pages}) (memory i64 {pages}) (memory i64 {pages}))");
    let engine = kit::engine(|c| {
        c.max_memory_pages(1 << 30);
    });
    let Ok(module) = Module::new(&engine, &text) else { return };
    fails(Linker::<()>::new(&engine).instantiate_pre(&module), ErrorKind::Limit);
}

#[test]
fn memories_and_tables_grow_within_one_sum_and_a_growth_that_fails_leaves_the_instance_running() {
    let text = r#"(module
      (memory $a 1) (memory $b 2) (table $t 10 funcref) (table $u 20 externref)
      (func (export "a") (param i32) (result i32) (memory.grow $a (local.get 0)))
      (func (export "b") (param i32) (result i32) (memory.grow $b (local.get 0)))
      (func (export "t") (param i32) (result i32) (table.grow $t (ref.null func) (local.get 0)))
      (func (export "u") (param i32) (result i32) (table.grow $u (ref.null extern) (local.get 0)))
      (func (export "sizes") (result i32 i32 i32 i32)
        (memory.size $a) (memory.size $b) (table.size $t) (table.size $u)))"#;
    for mode in kit::MODES {
        let engine = mode.engine_with(|c| {
            c.max_memory_pages(8).max_table_elements(100).max_instances(1);
        });
        let pre = pre(&engine, text);
        let [a, b, t, u] = ["a", "b", "t", "u"].map(|name| pre.export::<i32, i32>(name).unwrap());
        let sizes = pre.export::<(), (i32, i32, i32, i32)>("sizes").unwrap();
        for _ in 0..3 {
            let mut instance = pre.fresh(()).unwrap();
            assert_eq!(instance.call(&sizes, ()).unwrap(), (1, 2, 10, 20), "{}", mode.name);
            assert_eq!(instance.call(&a, 6).unwrap(), -1, "{}", mode.name);
            assert_eq!(instance.call(&a, 4).unwrap(), 1);
            assert_eq!(instance.call(&b, 2).unwrap(), -1);
            assert_eq!(instance.call(&b, 1).unwrap(), 2);
            assert_eq!(instance.call(&a, 1).unwrap(), -1);
            assert_eq!(instance.call(&b, 0).unwrap(), 3);
            assert_eq!(instance.call(&t, 71).unwrap(), -1);
            assert_eq!(instance.call(&u, 50).unwrap(), 20);
            assert_eq!(instance.call(&t, 21).unwrap(), -1);
            assert_eq!(instance.call(&t, 20).unwrap(), 10);
            assert_eq!(instance.call(&u, 1).unwrap(), -1);
            assert_eq!(instance.call(&sizes, ()).unwrap(), (5, 3, 30, 70));
        }
    }
}
