//! What a module says about itself.

use instar::{Engine, GlobalType, MemoryType, ValType};

use crate::kit;

#[test]
fn a_summary_counts_what_the_module_declares() {
    let engine = Engine::default();
    let module = kit::module(
        &engine,
        r#"(module
            (import "env" "f" (func (param i32)))
            (import "env" "g" (global i64))
            (memory 3 7)
            (table 4 funcref)
            (global (mut f32) (f32.const 0))
            (data (i32.const 10) "0123456789")
            (data (i32.const 131072) "abc")
            (data "passive")
            (elem (i32.const 0) func $a $b)
            (func $a) (func $b (param i32) (result i32) local.get 0)
            (func $main nop)
            (start $main))"#,
    );
    let summary = module.summary();
    assert_eq!((summary.imported_functions, summary.defined_functions), (1, 3));
    assert_eq!(summary.memories, [MemoryType::new(3, Some(7))]);
    assert_eq!(summary.imported_memories, 0);
    assert_eq!((summary.tables.len(), summary.imported_tables), (1, 0));
    assert_eq!(
        summary.globals,
        [GlobalType { content: ValType::I64, mutable: false }, GlobalType { content: ValType::F32, mutable: true }]
    );
    assert_eq!(summary.imported_globals, 1);
    assert_eq!(summary.start, Some(3));
    assert_eq!((summary.data_segments, summary.data_bytes), (1, 7));
    // What is in the image is not kept twice.
    assert_eq!((summary.element_segments, summary.elements), (1, 2));
    // Two places, far apart: a page of the host each.
    assert_eq!(summary.image_bytes % 2, 0);
    assert!((2..=2 * 65_536).contains(&summary.image_bytes), "{}", summary.image_bytes);
    assert!(summary.code_bytes > 0);
}

#[test]
fn an_empty_module_has_nothing() {
    let summary = kit::module(&Engine::default(), "(module (memory 1))").summary();
    assert_eq!((summary.defined_functions, summary.code_bytes), (0, 0));
    assert_eq!((summary.data_bytes, summary.image_bytes), (0, 0));
    assert_eq!(summary.start, None);
}
