//! Memories with pages of one byte: any length, growth by bytes, and none of it left behind.

use instar::{Config, Engine, ErrorKind, Memory, MemoryType, Module, Store, TrapCode};

use crate::kit::{MODES, Mode, fails, pre, traps};

const BYTES: MemoryType = MemoryType { page_size_log2: 0, ..MemoryType::new(0, None) };

fn engine(mode: &Mode) -> Engine {
    mode.engine_with(|c| {
        c.wasm_custom_page_sizes(true).max_instances(1);
    })
}

const GROWING: &str = r#"(module (memory (export "memory") 5 70000 (pagesize 1)) (data (i32.const 1) "abcd")
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "size") (result i32) (memory.size))
  (func (export "fill") (memory.fill (i32.const 0) (i32.const 0xff) (memory.size)))
  (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0))))"#;

#[test]
fn a_memory_grows_byte_by_byte() {
    for mode in MODES {
        let pre = pre(&engine(mode), GROWING);
        let grow = pre.export::<u32, i32>("grow").unwrap();
        let size = pre.export::<(), u32>("size").unwrap();
        let load = pre.export::<u32, u32>("load").unwrap();
        let fill = pre.export::<(), ()>("fill").unwrap();
        // Twice: what the first tenant wrote lies on the same host page as what the second grows into.
        for _ in 0..2 {
            let mut instance = pre.fresh(()).unwrap();
            assert_eq!(instance.call(&load, 4).unwrap(), u32::from(b'd'), "{}", mode.name);
            let mut length = 5;
            for by in [1, 1, 250, 1, 0, 3838, 1, 4096, 7, 57_000] {
                traps(instance.call(&load, length), TrapCode::MemoryOutOfBounds);
                let last = instance.call(&load, length - 1).unwrap();
                assert_eq!(instance.call(&grow, by).unwrap(), length as i32, "{}", mode.name);
                // Also when the memory has moved in the middle of a page.
                assert_eq!(instance.call(&load, length - 1).unwrap(), last, "{}: {length} and {by}", mode.name);
                for at in length..(length + by).min(length + 5000) {
                    assert_eq!(instance.call(&load, at).unwrap(), 0, "{}: byte {at}", mode.name);
                }
                length += by;
                assert_eq!(instance.call(&size, ()).unwrap(), length);
                instance.call(&fill, ()).unwrap();
                assert_eq!(instance.call(&load, length - 1).unwrap(), 0xff);
            }
            assert_eq!(instance.call(&grow, 70_001 - length).unwrap(), -1);
            assert_eq!(instance.call(&grow, u32::MAX).unwrap(), -1);
            assert_eq!(instance.call(&grow, 70_000 - length).unwrap(), length as i32);
            drop(instance);
            assert_eq!(pre.call((), &size, ()).unwrap(), 5);
        }
    }
}

#[test]
fn the_host_sees_pages_of_the_memorys_own_size() {
    for mode in MODES {
        let mut store = Store::new(&engine(mode), ());
        let ty = MemoryType { minimum: 300, maximum: Some(1000), ..BYTES };
        let memory = Memory::new(&mut store, ty).unwrap();
        assert_eq!(memory.page_size(&store).unwrap(), 1);
        assert_eq!((memory.size(&store).unwrap(), memory.data_size(&store).unwrap()), (300, 300));
        assert_eq!(memory.grow(&mut store, 33).unwrap(), 300);
        assert_eq!(memory.ty(&store).unwrap(), MemoryType { minimum: 333, ..ty });
        memory.write(&mut store, 330, &[1, 2, 3]).unwrap();
        fails(memory.write(&mut store, 331, &[1, 2, 3]), ErrorKind::OutOfBounds);
        let error = fails(memory.grow(&mut store, 668), ErrorKind::Limit);
        assert!(error.message().contains("333 pages"), "{error}");
        fails(memory.grow(&mut store, u64::MAX), ErrorKind::Limit);
        assert_eq!(memory.grow(&mut store, 667).unwrap(), 333);
    }
}

#[test]
fn all_of_a_32_bit_memory_of_bytes_can_be_used_but_the_last() {
    let engine = crate::kit::engine(|c| {
        c.wasm_custom_page_sizes(true).paranoid(false);
    });
    let pre = pre(
        &engine,
        r#"(module (memory 0 (pagesize 1)) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
          (func (export "store") (param i32) (i32.store8 (local.get 0) (i32.const 1))))"#,
    );
    let grow = pre.export::<u32, u32>("grow").unwrap();
    let store = pre.export::<u32, ()>("store").unwrap();
    let mut instance = pre.fresh(()).unwrap();
    assert_eq!(instance.call(&grow, u32::MAX).unwrap(), 0);
    instance.call(&store, u32::MAX - 1).unwrap();
    traps(instance.call(&store, u32::MAX), TrapCode::MemoryOutOfBounds);
    assert_eq!(instance.call(&grow, 1).unwrap(), u32::MAX);
}

#[test]
fn page_sizes_are_part_of_the_type_and_need_their_switch() {
    let off = Engine::new(&Config::new()).unwrap();
    assert!(Module::new(&off, "(module (memory 1 (pagesize 1)))").is_err());
    let engine = engine(&MODES[0]);
    let mut store = Store::new(&engine, ());
    assert!(Memory::new(&mut store, MemoryType { page_size_log2: 3, ..BYTES }).is_err());
    let mut linker = instar::Linker::new(&engine);
    let bytes = Memory::new(&mut store, MemoryType { minimum: 70_000, ..BYTES }).unwrap();
    linker.define(&mut store, "m", "bytes", bytes).unwrap();
    let wrong = Module::new(&engine, r#"(module (import "m" "bytes" (memory 1)))"#).unwrap();
    let error = fails(linker.instantiate(&mut store, &wrong), ErrorKind::Link);
    assert!(error.message().contains("pages of 1 bytes"), "{error}");
}
