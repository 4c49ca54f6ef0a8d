//! Segments and start functions: the order of things, and what is there when one of them traps.

use instar::{
    Global, GlobalType, Linker, Memory, MemoryType, RefType, Store, Table, TableType, TrapCode, Val, ValType,
};

use crate::kit::{self, module, one_slot, paranoid, pre, traps};

#[test]
fn later_segments_overwrite_earlier_ones_wherever_their_offsets_come_from() {
    let engine = one_slot();
    let pre = pre(
        &engine,
        r#"(module (memory (export "memory") 1)
          (data (i32.const 10) "aaaaaaaaaa") (data (i32.add (i32.const 5) (i32.const 7)) "bbbbbb")
          (data (i32.const 14) "cc") (data (i32.mul (i32.const 3) (i32.const 5)) "d") (data (i32.const 300) ""))"#,
    );
    let memory = pre.memory("memory").unwrap();
    for _ in 0..3 {
        let mut instance = pre.fresh(()).unwrap();
        let mut bytes = [0; 10];
        instance.memory_read(&memory, 10, &mut bytes).unwrap();
        assert_eq!(&bytes, b"aabbcdbbaa");
        instance.memory_write(&memory, 8, &[9; 20]).unwrap();
    }
}

#[test]
fn segments_at_the_very_end_fit_and_one_byte_further_trap() {
    let engine = one_slot();
    for (offset, fits) in [("65533", true), ("65534", false), ("65536", false), ("-1", false)] {
        for offset in [format!("(i32.const {offset})"), format!("(i32.add (i32.const {offset}) (i32.const 0))")] {
            let pre = pre(&engine, format!("(module (memory 1) (data {offset} \"abc\"))"));
            match fits {
                true => drop(pre.fresh(()).unwrap()),
                false => traps(pre.fresh(()).map(drop), TrapCode::MemoryOutOfBounds),
            }
        }
    }
    // An empty segment fits at the end, and no further.
    for (offset, fits) in [(65_536, true), (65_537, false)] {
        let pre = pre(&engine, format!("(module (memory 1) (data (i32.const {offset}) \"\"))"));
        match fits {
            true => drop(pre.fresh(()).unwrap()),
            false => traps(pre.fresh(()).map(drop), TrapCode::MemoryOutOfBounds),
        }
    }
    let nothing = pre(&engine, "(module (memory 0) (data (i32.const 0) \"a\"))");
    traps(nothing.fresh(()).map(drop), TrapCode::MemoryOutOfBounds);
    let table = pre(&engine, "(module (table 2 funcref) (func $f) (elem (i32.const 1) func $f $f))");
    traps(table.fresh(()).map(drop), TrapCode::TableOutOfBounds);
}

#[test]
fn segments_before_one_that_traps_are_applied_and_those_after_it_are_not() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let memory = Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
    let ty = TableType::new(RefType::FUNCREF, 4, None);
    let table = Table::new(&mut store, ty, Val::FuncRef(None)).unwrap();
    let mut linker = Linker::new(&engine);
    linker.define(&mut store, "m", "memory", memory).unwrap().define(&mut store, "m", "table", table).unwrap();
    let data = module(
        &engine,
        r#"(module (import "m" "memory" (memory 1)) (import "m" "table" (table 4 funcref)) (func $f)
          (elem (i32.const 0) func $f)
          (data (i32.const 0) "first") (data (i32.const 65535) "xy") (data (i32.const 100) "third"))"#,
    );
    traps(linker.instantiate(&mut store, &data).map(drop), TrapCode::MemoryOutOfBounds);
    let mut bytes = [0; 5];
    memory.read(&store, 0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"first");
    memory.read(&store, 100, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 5], "a segment after the one that trapped");
    memory.read(&store, 65_535, &mut bytes[..1]).unwrap();
    assert_eq!(bytes[0], 0, "a segment that traps writes nothing");
    assert!(matches!(table.get(&store, 0).unwrap(), Some(Val::FuncRef(Some(_)))), "elements come first");

    let elements = module(
        &engine,
        r#"(module (import "m" "memory" (memory 1)) (import "m" "table" (table 4 funcref)) (func $f)
          (elem (i32.const 1) func $f) (elem (i32.const 3) func $f $f) (elem (i32.const 2) func $f)
          (data (i32.const 200) "never"))"#,
    );
    traps(linker.instantiate(&mut store, &elements).map(drop), TrapCode::TableOutOfBounds);
    let is_null = |store: &Store<()>, i| matches!(table.get(store, i).unwrap(), Some(Val::FuncRef(None)));
    assert!(!is_null(&store, 1) && is_null(&store, 2) && is_null(&store, 3));
    memory.read(&store, 200, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 5], "data comes after elements");
}

#[test]
fn a_module_whose_element_segment_trapped_has_not_applied_its_data() {
    // The function that went into the shared table can look at the memory of the instance that failed.
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let ty = TableType::new(RefType::FUNCREF, 1, None);
    let table = Table::new(&mut store, ty, Val::FuncRef(None)).unwrap();
    let mut linker = Linker::new(&engine);
    linker.define(&mut store, "m", "table", table).unwrap();
    let failing = module(
        &engine,
        r#"(module (import "m" "table" (table 1 funcref)) (memory 1) (data (i32.const 0) "\05")
          (func $peek (result i32) (i32.load8_u (i32.const 0)))
          (elem (i32.const 0) func $peek) (elem (i32.const 1) func $peek))"#,
    );
    traps(linker.instantiate(&mut store, &failing).map(drop), TrapCode::TableOutOfBounds);
    let Some(Val::FuncRef(Some(peek))) = table.get(&store, 0).unwrap() else { panic!("the first segment was applied") };
    let mut out = [Val::I32(9)];
    peek.call(&mut store, &[], &mut out).unwrap();
    assert!(matches!(out, [Val::I32(0)]), "{out:?}: the data segment was applied though an element segment trapped");
}

#[test]
fn offsets_and_elements_may_come_from_imported_globals() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let constant = |content| instar::GlobalType { content, mutable: false };
    let at = instar::Global::new(&mut store, constant(ValType::I32), Val::I32(7)).unwrap();
    let made = instar::Func::wrap(&mut store, || 123i32).unwrap();
    let func = instar::Global::new(&mut store, constant(ValType::FUNCREF), made.into()).unwrap();
    let mut linker = Linker::new(&engine);
    linker.define(&mut store, "m", "at", at).unwrap().define(&mut store, "m", "func", func).unwrap();
    let text = r#"(module (import "m" "at" (global $at i32)) (import "m" "func" (global $func funcref))
      (memory (export "memory") 1) (table (export "table") 10 funcref)
      (global (export "sum") i32 (i32.add (global.get $at) (i32.const 1)))
      (global (export "mutable") (mut i32) (global.get $at)) (global (export "f") funcref (global.get $func))
      (data (i32.const 7) "xxxxxx") (data (global.get $at) "abc") (data (i32.const 8) "B")
      (elem (global.get $at) funcref (global.get $func) (ref.func $g)) (elem (i32.const 8) func $g) (func $g)
      (func (export "call") (result i32) (call_indirect (result i32) (i32.const 7))))"#;
    let instance = linker.instantiate(&mut store, &module(&engine, text)).unwrap();
    let mut bytes = [0; 6];
    instance.memory(&mut store, "memory").unwrap().read(&store, 7, &mut bytes).unwrap();
    assert_eq!(&bytes, b"aBcxxx");
    let sum = instance.global(&mut store, "sum").unwrap();
    assert!(matches!(sum.get(&store).unwrap(), Val::I32(8)));
    let mutable = instance.global(&mut store, "mutable").unwrap();
    assert!(matches!(mutable.get(&store).unwrap(), Val::I32(7)));
    let f = instance.global(&mut store, "f").unwrap();
    assert!(matches!(f.get(&store).unwrap(), Val::FuncRef(Some(g)) if g == made));
    let call = instance.typed_func::<(), i32>(&mut store, "call").unwrap();
    assert_eq!(call.call(&mut store, ()).unwrap(), 123);
}

#[test]
fn a_thousand_segments_all_over_a_memory_are_all_there() {
    let engine = one_slot();
    let segments: String =
        (0..1000).map(|i| format!("(data (i32.const {}) \"\\{:02x}\")", i * 16_000, i % 255 + 1)).collect();
    let pre = pre(&engine, format!("(module (memory (export \"memory\") 250) {segments})"));
    let memory = pre.memory("memory").unwrap();
    for _ in 0..2 {
        let mut instance = pre.fresh(()).unwrap();
        for i in 0..1000u64 {
            let mut bytes = [9; 3];
            instance.memory_read(&memory, (i * 16_000).max(1) - 1, &mut bytes).unwrap();
            let expected = (i % 255 + 1) as u8;
            assert_eq!(bytes, if i == 0 { [1, 0, 0] } else { [0, expected, 0] });
            instance.memory_write(&memory, i * 16_000, &[0; 400]).unwrap();
        }
    }
}

#[test]
fn declared_and_passive_segments_behave_as_the_specification_says() {
    let engine = one_slot();
    let pre = pre(
        &engine,
        r#"(module (table $t 4 funcref) (table $x 2 externref) (memory 1)
          (elem $declared declare func $f) (elem $passive func $f $f) (elem $active (table $t) (i32.const 0) func $f)
          (elem $null externref (ref.null extern))
          (func $f)
          (func (export "declared") (table.init $t $declared (i32.const 0) (i32.const 0) (i32.const 1)))
          (func (export "declared 0") (table.init $t $declared (i32.const 0) (i32.const 0) (i32.const 0)))
          (func (export "active") (table.init $t $active (i32.const 0) (i32.const 0) (i32.const 1)))
          (func (export "passive") (table.init $t $passive (i32.const 2) (i32.const 0) (i32.const 2)))
          (func (export "null") (table.init $x $null (i32.const 1) (i32.const 0) (i32.const 1)))
          (func (export "call") (param i32) (call_indirect $t (local.get 0))))"#,
    );
    let run = |name: &str| pre.call((), &pre.export::<(), ()>(name).unwrap(), ());
    traps(run("declared"), TrapCode::TableOutOfBounds);
    run("declared 0").unwrap();
    traps(run("active"), TrapCode::TableOutOfBounds);
    run("passive").unwrap();
    run("null").unwrap();
    let call = pre.export::<u32, ()>("call").unwrap();
    pre.call((), &call, 0).unwrap();
    traps(pre.call((), &call, 2), TrapCode::UninitializedElement);
}

#[test]
fn constant_expressions_compute_with_imported_globals() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    let values = [("three", Val::I32(3)), ("minus", Val::I32(-1)), ("large", Val::I64(i64::MAX))];
    for (name, value) in values {
        let global = Global::new(&mut store, GlobalType { content: value.ty(), mutable: false }, value).unwrap();
        linker.define(&mut store, "h", name, global).unwrap();
    }
    let text = r#"(module
      (import "h" "three" (global $three i32)) (import "h" "minus" (global $minus i32))
      (import "h" "large" (global $large i64))
      (memory (export "memory") 1) (table (export "table") 10 funcref)
      (global (export "wrapped") i64 (i64.mul (i64.add (global.get $large) (i64.const 1)) (i64.sub (i64.const 0) (i64.const 3))))
      (global (export "mixed") (mut i32)
        (i32.sub (i32.mul (global.get $three) (i32.add (global.get $three) (i32.const 4))) (global.get $minus)))
      (data (i32.add (i32.mul (global.get $three) (i32.const 100)) (global.get $minus)) "data")
      (elem (offset (i32.sub (i32.const 5) (i32.mul (global.get $minus) (i32.sub (global.get $three) (i32.const 1))))) func $f)
      (func $f))"#;
    let instance = linker.instantiate(&mut store, &module(&engine, text)).unwrap();
    let global = |store: &mut Store<()>, name: &str| instance.global(&mut *store, name).unwrap().get(&*store).unwrap();
    assert!(matches!(global(&mut store, "wrapped"), Val::I64(i64::MIN)));
    assert!(matches!(global(&mut store, "mixed"), Val::I32(22)));
    let mut bytes = [0; 4];
    instance.memory(&mut store, "memory").unwrap().read(&store, 299, &mut bytes).unwrap();
    assert_eq!(&bytes, b"data");
    let table = instance.table(&mut store, "table").unwrap();
    let set: Vec<u64> =
        (0..10).filter(|&i| matches!(table.get(&store, i).unwrap(), Some(Val::FuncRef(Some(_))))).collect();
    assert_eq!(set, [7]);
    let outside = r#"(module (import "h" "minus" (global $minus i32)) (memory 1)
      (data (i32.add (global.get $minus) (i32.const 0)) "x"))"#;
    traps(linker.instantiate(&mut store, &module(&engine, outside)), TrapCode::MemoryOutOfBounds);
}

#[test]
fn operations_on_segments_are_undone_wherever_their_bytes_lie() {
    // The active ones lie in the image, in its extents or in a sparse one; the passive ones beside it.
    for dense in [0, 1 << 20] {
        let engine = kit::engine(|config| {
            config.max_instances(1).memory_guaranteed_dense_image_size(dense);
        });
        let pre = pre(
            &engine,
            r#"(module (memory (export "memory") 4) (table $t 20 funcref)
              (data $active (i32.const 8) "active") (data $far (i32.const 200000) "far") (data $passive "passive")
              (elem $in_table (i32.const 3) func $one $one) (elem $kept func $two $two $two)
              (func $one (result i32) (i32.const 1)) (func $two (result i32) (i32.const 2))
              (func (export "init") (param i32 i32 i32)
                (memory.init $passive (local.get 0) (local.get 1) (local.get 2)))
              (func (export "init active") (param i32 i32 i32)
                (memory.init $active (local.get 0) (local.get 1) (local.get 2)))
              (func (export "init far") (param i32 i32 i32)
                (memory.init $far (local.get 0) (local.get 1) (local.get 2)))
              (func (export "drop") (data.drop $passive)) (func (export "drop active") (data.drop $active) (data.drop $far))
              (func (export "init table") (param i32 i32 i32)
                (table.init $t $kept (local.get 0) (local.get 1) (local.get 2)))
              (func (export "init table active") (param i32 i32 i32)
                (table.init $t $in_table (local.get 0) (local.get 1) (local.get 2)))
              (func (export "drop table") (elem.drop $kept)) (func (export "drop table active") (elem.drop $in_table))
              (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0))))"#,
        );
        let (memory, call) = (pre.memory("memory").unwrap(), pre.export::<u32, u32>("call").unwrap());
        for _ in 0..3 {
            let mut instance = pre.fresh(()).unwrap();
            let mut run = |name: &str, arguments: Option<(u32, u32, u32)>| match arguments {
                Some(arguments) => instance.call(&pre.export::<(u32, u32, u32), ()>(name).unwrap(), arguments),
                None => instance.call(&pre.export::<(), ()>(name).unwrap(), ()),
            };
            run("init", Some((70_000, 1, 6))).unwrap();
            run("init", Some((0, 0, 7))).unwrap();
            traps(run("init", Some((0, 1, 7))), TrapCode::MemoryOutOfBounds);
            traps(run("init", Some((4 * 65_536 - 6, 0, 7))), TrapCode::MemoryOutOfBounds);
            // Active segments count as dropped, in an image too.
            for name in ["init active", "init far"] {
                traps(run(name, Some((0, 0, 1))), TrapCode::MemoryOutOfBounds);
                run(name, Some((0, 0, 0))).unwrap();
            }
            run("drop active", None).unwrap();
            run("drop", None).unwrap();
            traps(run("init", Some((0, 0, 1))), TrapCode::MemoryOutOfBounds);
            run("init", Some((4 * 65_536, 0, 0))).unwrap();
            run("init table", Some((10, 1, 2))).unwrap();
            run("init table", Some((4, 0, 1))).unwrap();
            traps(run("init table", Some((18, 0, 3))), TrapCode::TableOutOfBounds);
            traps(run("init table active", Some((0, 0, 1))), TrapCode::TableOutOfBounds);
            run("init table active", Some((20, 0, 0))).unwrap();
            run("drop table active", None).unwrap();
            run("drop table", None).unwrap();
            traps(run("init table", Some((0, 0, 1))), TrapCode::TableOutOfBounds);
            for (at, expected) in [(3, 1), (4, 2), (10, 2), (11, 2)] {
                assert_eq!(instance.call(&call, at).unwrap(), expected);
            }
            traps(instance.call(&call, 12), TrapCode::UninitializedElement);
            for (at, expected) in [(0, "passive\0active"), (69_999, "\0assive\0"), (200_000, "far\0")] {
                let mut bytes = vec![9; expected.len()];
                instance.memory_read(&memory, at, &mut bytes).unwrap();
                assert_eq!(bytes, expected.as_bytes());
            }
        }
    }
}
