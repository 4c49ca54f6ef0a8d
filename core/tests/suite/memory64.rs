//! Memories and tables with 64-bit addresses: sizes that no 32 bits hold, limits, and how they mix with 32-bit ones.

use instar::{Engine, ErrorKind, Linker, Memory, MemoryType, Module, RefType, Store, Table, TableType, TrapCode, Val};

use crate::kit::{self, MODES, fails, pre, traps};

const WIDE: MemoryType = MemoryType { memory64: true, ..MemoryType::new(1, None) };

#[test]
fn sizes_have_64_bits_and_growth_that_fails_is_minus_one() {
    for mode in MODES {
        let engine = mode.engine_with(|c| {
            c.max_memory_pages(9).max_instances(1);
        });
        let pre = pre(
            &engine,
            r#"(module (memory (export "memory") i64 2 100)
              (func (export "size") (result i64) (memory.size))
              (func (export "grow") (param i64) (result i64) (memory.grow (local.get 0))))"#,
        );
        let size = pre.export::<(), u64>("size").unwrap();
        let grow = pre.export::<u64, i64>("grow").unwrap();
        for _ in 0..2 {
            let mut instance = pre.fresh(()).unwrap();
            assert_eq!(instance.call(&size, ()).unwrap(), 2);
            for by in [8, 1 << 32, 1 << 48, 1 << 63, u64::MAX, u64::MAX - 1] {
                assert_eq!(instance.call(&grow, by).unwrap(), -1, "{}: by {by}", mode.name);
            }
            assert_eq!(instance.call(&grow, 7).unwrap(), 2);
            assert_eq!(instance.call(&size, ()).unwrap(), 9);
        }
    }
}

/// Nothing is compared byte by byte here: these memories have gigabytes.
fn vast(mode: &kit::Mode) -> Engine {
    mode.engine_with(|c| {
        c.paranoid(false).max_memory_pages(70_000).max_instances(1);
    })
}

#[test]
fn what_lies_beyond_4_gib_works_and_is_undone() {
    const END: u64 = 65_600 * 65_536;
    // Not all modes, for it takes long: the memory moves when it grows.
    for mode in ["default", "signals-off", "dirty-off"].map(kit::mode) {
        let pre = pre(
            &vast(&mode),
            r#"(module (memory (export "memory") i64 65599 65600)
              (data (i64.const 0x1_0000_0100) "far away")
              (func (export "load") (param i64) (result i64) (i64.load (local.get 0)))
              (func (export "far") (param i64) (result i64) (i64.load offset=0x1_0000_0000 (local.get 0)))
              (func (export "store") (param i64) (i64.store offset=16 (local.get 0) (i64.const -1)))
              (func (export "fill") (memory.fill (i64.const 0xffff_fff0) (i32.const 7) (i64.const 0x30)))
              (func (export "copy") (memory.copy (i64.const 0x1_0000_0200) (i64.const 0x1_0000_0100) (i64.const 8)))
              (func (export "grow") (result i64) (memory.grow (i64.const 1))))"#,
        );
        let memory = pre.memory("memory").unwrap();
        let load = pre.export::<u64, u64>("load").unwrap();
        let far = pre.export::<u64, u64>("far").unwrap();
        let store = pre.export::<u64, ()>("store").unwrap();
        let word = u64::from_le_bytes(*b"far away");
        for _ in 0..2 {
            let mut instance = pre.fresh(()).unwrap();
            assert_eq!(instance.call(&load, 0x1_0000_0100).unwrap(), word, "{}", mode.name);
            assert_eq!(instance.call(&far, 0x100).unwrap(), word);
            assert_eq!(instance.call(&load, 0x1_0000_0200).unwrap(), 0, "{}", mode.name);
            assert_eq!(instance.call(&load, 0xffff_fff8).unwrap(), 0, "{}", mode.name);
            traps(instance.call(&load, END - 65_536 - 7), TrapCode::MemoryOutOfBounds);
            traps(instance.call(&far, u64::MAX), TrapCode::MemoryOutOfBounds);
            instance.call(&pre.export::<(), ()>("fill").unwrap(), ()).unwrap();
            assert_eq!(instance.call(&load, 0xffff_fffc).unwrap(), 0x0707_0707_0707_0707);
            instance.call(&pre.export::<(), ()>("copy").unwrap(), ()).unwrap();
            assert_eq!(instance.call(&load, 0x1_0000_0200).unwrap(), word);
            // By now some pages are dirty; a memory that moves takes them along.
            assert_eq!(instance.call(&pre.export::<(), i64>("grow").unwrap(), ()).unwrap(), 65_599);
            assert_eq!(instance.call(&load, 0x1_0000_0200).unwrap(), word, "{}", mode.name);
            instance.call(&store, END - 24).unwrap();
            traps(instance.call(&store, END - 23), TrapCode::MemoryOutOfBounds);
            let mut byte = [0];
            instance.memory_read(&memory, END - 1, &mut byte).unwrap();
            assert_eq!(byte, [0xff]);
            fails(instance.memory_write(&memory, END - 1, &[1, 2]), ErrorKind::OutOfBounds);
            instance.memory_write(&memory, 0x1_0000_0100, b"WRITTEN!").unwrap();
            drop(instance);
        }
        let mut next = pre.fresh(()).unwrap();
        assert_eq!(next.call(&pre.export::<(), i64>("grow").unwrap(), ()).unwrap(), 65_599);
        assert_eq!(next.call(&load, END - 8).unwrap(), 0, "{}: a grown page is zero", mode.name);
    }
}

#[test]
fn a_minimum_that_no_machine_has_is_an_error_when_it_is_wanted() {
    let engine = kit::paranoid();
    for minimum in ["65537", "0x1000000", "0x1000000000000"] {
        let module = kit::module(&engine, format!("(module (memory i64 {minimum}) (data (i64.const 0) \"x\"))"));
        let error = fails(Linker::<()>::new(&engine).instantiate_pre(&module), ErrorKind::Limit);
        assert!(error.message().contains("max_memory_pages"), "{error}");
    }
    let mut store = Store::new(&engine, ());
    for minimum in [65_537, 1 << 48, u64::MAX] {
        assert!(Memory::new(&mut store, MemoryType { minimum, ..WIDE }).is_err());
    }
}

#[test]
fn segments_and_host_made_memories_take_64_bit_offsets() {
    for mode in MODES {
        let engine = mode.engine();
        let mut store = Store::new(&engine, ());
        let memory = Memory::new(&mut store, MemoryType { minimum: 2, ..WIDE }).unwrap();
        assert!(memory.ty(&store).unwrap().memory64);
        let mut linker = Linker::new(&engine);
        linker.define(&mut store, "m", "memory", memory).unwrap();
        let text = |offset: &str| {
            format!(
                r#"(module (import "m" "memory" (memory i64 1)) (data $p "passive") (data (i64.const {offset}) "active")
                  (func (export "init") (param i64) (memory.init $p (local.get 0) (i32.const 1) (i32.const 3))))"#
            )
        };
        let user = linker.instantiate(&mut store, &kit::module(&engine, text("131066"))).unwrap();
        let init = user.typed_func::<u64, ()>(&mut store, "init").unwrap();
        init.call(&mut store, 9).unwrap();
        for at in [131_070, 1 << 32, u64::MAX] {
            traps(init.call(&mut store, at), TrapCode::MemoryOutOfBounds);
        }
        let mut bytes = [0; 6];
        memory.read(&store, 131_066, &mut bytes).unwrap();
        assert_eq!(&bytes, b"active");
        memory.read(&store, 7, &mut bytes).unwrap();
        assert_eq!(&bytes, b"\0\0ass\0");
        // As 32 bits these would be good.
        for offset in ["0x1_0000_0000", "0xffff_ffff_ffff_ffff"] {
            let module = kit::module(&engine, text(offset));
            traps(linker.instantiate(&mut store, &module), TrapCode::MemoryOutOfBounds);
        }
    }
}

#[test]
fn widths_must_agree_when_linking() {
    let engine = kit::paranoid();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    let null = Val::FuncRef(None);
    let wide_table = TableType { table64: true, ..TableType::new(RefType::FUNCREF, 1, None) };
    let items: [(&str, instar::Extern); 4] = [
        ("m32", Memory::new(&mut store, MemoryType::new(1, None)).unwrap().into()),
        ("m64", Memory::new(&mut store, WIDE).unwrap().into()),
        ("t32", Table::new(&mut store, TableType::new(RefType::FUNCREF, 1, None), null).unwrap().into()),
        ("t64", Table::new(&mut store, wide_table, null).unwrap().into()),
    ];
    for (name, item) in items {
        linker.define(&mut store, "m", name, item).unwrap();
    }
    let mut link = |name: &str, ty: &str| {
        let module = Module::new(&engine, format!("(module (import \"m\" \"{name}\" ({ty})))")).unwrap();
        linker.instantiate(&mut store, &module).map(drop)
    };
    link("m32", "memory 1").unwrap();
    link("m64", "memory i64 1").unwrap();
    link("t32", "table 1 funcref").unwrap();
    link("t64", "table i64 1 funcref").unwrap();
    for (name, ty) in
        [("m32", "memory i64 1"), ("m64", "memory 1"), ("t32", "table i64 1 funcref"), ("t64", "table 1 funcref")]
    {
        let error = fails(link(name, ty), ErrorKind::Link);
        assert!(error.message().contains("64-bit"), "{error}");
    }
}

#[test]
fn tables_with_64_bit_indices_do_what_others_do_and_keep_their_bounds() {
    for mode in MODES {
        let engine = mode.engine_with(|c| {
            c.max_table_elements(50).max_instances(1);
        });
        let pre = pre(
            &engine,
            r#"(module (table $t (export "t") i64 4 funcref) (table $n 4 funcref) (type $r (func (result i32)))
              (elem (table $t) (i64.const 1) func $a $b) (elem (table $n) (i32.const 0) func $b) (elem $e func $b $a)
              (func $a (result i32) (i32.const 10)) (func $b (result i32) (i32.const 20))
              (func (export "call") (param i64) (result i32) (call_indirect $t (type $r) (local.get 0)))
              (func (export "null") (param i64) (result i32) (ref.is_null (table.get $t (local.get 0))))
              (func (export "set") (param i64) (table.set $t (local.get 0) (ref.func $a)))
              (func (export "size") (result i64) (table.size $t))
              (func (export "grow") (param i64) (result i64) (table.grow $t (ref.func $b) (local.get 0)))
              (func (export "fill") (param i64 i64) (table.fill $t (local.get 0) (ref.func $a) (local.get 1)))
              (func (export "narrow to wide") (param i64) (table.copy $t $n (local.get 0) (i32.const 0) (i32.const 2)))
              (func (export "wide to narrow") (param i64) (table.copy $n $t (i32.const 0) (local.get 0) (i32.const 2)))
              (func (export "wide to wide") (param i64 i64) (table.copy $t $t (i64.const 0) (local.get 0) (local.get 1)))
              (func (export "init") (param i64) (table.init $t $e (local.get 0) (i32.const 0) (i32.const 2))))"#,
        );
        let call = pre.export::<u64, i32>("call").unwrap();
        let unary = |name: &str| pre.export::<u64, ()>(name).unwrap();
        let binary = |name: &str| pre.export::<(u64, u64), ()>(name).unwrap();
        for _ in 0..2 {
            let mut instance = pre.fresh(()).unwrap();
            let outside = [4, 1 << 32, (1 << 32) + 1, 1 << 61, 1 << 63, u64::MAX];
            assert_eq!((instance.call(&call, 1).unwrap(), instance.call(&call, 2).unwrap()), (10, 20));
            traps(instance.call(&call, 0), TrapCode::UninitializedElement);
            for at in outside {
                traps(instance.call(&call, at), TrapCode::UndefinedElement);
                traps(instance.call(&pre.export::<u64, i32>("null").unwrap(), at), TrapCode::TableOutOfBounds);
                for name in ["set", "narrow to wide", "wide to narrow", "init"] {
                    traps(instance.call(&unary(name), at), TrapCode::TableOutOfBounds);
                }
                traps(instance.call(&binary("fill"), (at, 1)), TrapCode::TableOutOfBounds);
                traps(instance.call(&binary("fill"), (1, at)), TrapCode::TableOutOfBounds);
                traps(instance.call(&binary("wide to wide"), (1, at)), TrapCode::TableOutOfBounds);
            }
            let grow = pre.export::<u64, i64>("grow").unwrap();
            for by in [47, 1 << 32, 1 << 61, u64::MAX, u64::MAX - 3] {
                assert_eq!(instance.call(&grow, by).unwrap(), -1, "{}", mode.name);
            }
            assert_eq!(instance.call(&grow, 3).unwrap(), 4);
            assert_eq!(instance.call(&pre.export::<(), i64>("size").unwrap(), ()).unwrap(), 7);
            assert_eq!(instance.call(&call, 6).unwrap(), 20);
            instance.call(&unary("set"), 6).unwrap();
            assert_eq!(instance.call(&call, 6).unwrap(), 10);
            instance.call(&unary("init"), 5).unwrap();
            assert_eq!((instance.call(&call, 5).unwrap(), instance.call(&call, 6).unwrap()), (20, 10));
            instance.call(&binary("fill"), (0, 7)).unwrap();
            assert_eq!(instance.call(&call, 0).unwrap(), 10);
            instance.call(&unary("narrow to wide"), 3).unwrap();
            assert_eq!(instance.call(&call, 3).unwrap(), 20);
            traps(instance.call(&call, 4), TrapCode::UninitializedElement);
            instance.call(&unary("wide to narrow"), 2).unwrap();
            instance.call(&binary("wide to wide"), (3, 1)).unwrap();
            assert_eq!(instance.call(&call, 0).unwrap(), 20);
        }
    }
}
