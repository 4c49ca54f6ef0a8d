//! Linking: what instances of one store share, and what an import that does not fit is told.

use instar::{
    Caller, Error, ErrorKind, Extern, ExternType, Func, FuncType, Global, GlobalType, Linker, Memory, MemoryType,
    RefType, Store, Table, TableType, TrapCode, Val, ValType,
};

use crate::kit::{fails, module, paranoid, pre, traps};

const PAGES_1: MemoryType = MemoryType::new(1, None);

#[test]
fn two_instances_share_the_memory_table_and_global_that_one_exports() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let exporter = pre(
        &engine,
        r#"(module (memory (export "memory") 1 4) (table (export "table") 4 funcref)
          (global (export "global") (mut i64) (i64.const 5))
          (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
          (func (export "size") (result i32) (memory.size))
          (func (export "get") (result i64) (global.get 0))
          (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0))))"#,
    )
    .instantiate(&mut store)
    .unwrap();
    let mut linker = Linker::new(&engine);
    linker.instance(&mut store, "a", exporter).unwrap();
    let importer = module(
        &engine,
        r#"(module (import "a" "memory" (memory 1)) (import "a" "table" (table 1 funcref))
          (import "a" "global" (global $g (mut i64))) (import "a" "load" (func $load (param i32) (result i32)))
          (global $own (mut i32) (i32.const 1000)) (elem (i32.const 1) func $f)
          (data (i32.const 40) "\2a")
          (func $f (result i32) (global.set $own (i32.add (global.get $own) (i32.const 1))) (global.get $own))
          (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
          (func (export "grow") (result i32) (memory.grow (i32.const 1)))
          (func (export "set") (global.set $g (i64.add (global.get $g) (i64.const 1))))
          (func (export "through") (param i32) (result i32) (call $load (local.get 0))))"#,
    );
    let user = linker.instantiate(&mut store, &importer).unwrap();
    let load = exporter.typed_func::<u32, u32>(&mut store, "load").unwrap();
    let through = user.typed_func::<u32, u32>(&mut store, "through").unwrap();
    assert_eq!(load.call(&mut store, 40).unwrap(), 42);
    user.typed_func::<(u32, u32), ()>(&mut store, "store").unwrap().call(&mut store, (100, 77)).unwrap();
    assert_eq!(load.call(&mut store, 100).unwrap(), 77);
    assert_eq!(through.call(&mut store, 100).unwrap(), 77);
    user.typed_func::<(), ()>(&mut store, "set").unwrap().call(&mut store, ()).unwrap();
    assert_eq!(exporter.typed_func::<(), i64>(&mut store, "get").unwrap().call(&mut store, ()).unwrap(), 6);
    assert_eq!(user.typed_func::<(), i32>(&mut store, "grow").unwrap().call(&mut store, ()).unwrap(), 1);
    assert_eq!(exporter.typed_func::<(), i32>(&mut store, "size").unwrap().call(&mut store, ()).unwrap(), 2);
    assert_eq!(load.call(&mut store, 131_068).unwrap(), 0);
    // A function of the importer, called by the exporter through the table, works on the importer's globals.
    let call = exporter.typed_func::<u32, i32>(&mut store, "call").unwrap();
    assert_eq!(call.call(&mut store, 1).unwrap(), 1001);
    assert_eq!(call.call(&mut store, 1).unwrap(), 1002);
    traps(call.call(&mut store, 0), TrapCode::UninitializedElement);
}

#[test]
fn memories_tables_and_globals_made_by_the_host_are_what_a_guest_uses() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let memory = Memory::new(&mut store, MemoryType::new(1, Some(2))).unwrap();
    let ty = TableType::new(RefType::EXTERNREF, 2, Some(3));
    let table = Table::new(&mut store, ty, Val::ExternRef(None)).unwrap();
    let mutable = |content| GlobalType { content, mutable: true };
    let global = Global::new(&mut store, mutable(ValType::F64), Val::from(1.5)).unwrap();
    let constant = GlobalType { content: ValType::I64, mutable: false };
    let constant = Global::new(&mut store, constant, Val::I64(-9)).unwrap();
    let mut linker = Linker::new(&engine);
    linker
        .define(&mut store, "h", "memory", memory)
        .unwrap()
        .define(&mut store, "h", "table", table)
        .unwrap()
        .define(&mut store, "h", "global", global)
        .unwrap()
        .define(&mut store, "h", "constant", constant)
        .unwrap();
    let text = r#"(module (import "h" "memory" (memory 1 2)) (import "h" "table" (table 2 3 externref))
      (import "h" "global" (global $g (mut f64))) (import "h" "constant" (global $c i64))
      (func (export "go") (param externref) (result i64)
        (i64.store (i32.const 250) (i64.const -1))
        (drop (memory.grow (i32.const 1))) (i32.store8 (i32.const 131071) (i32.const 5))
        (table.set (i32.const 1) (local.get 0)) (drop (table.grow (local.get 0) (i32.const 1)))
        (global.set $g (f64.mul (global.get $g) (f64.const 2))) (global.get $c)))"#;
    let instance = linker.instantiate(&mut store, &module(&engine, text)).unwrap();
    let object = instar::ExternRef::new(&mut store, 1u8);
    let mut out = [Val::I64(0)];
    let go = instance.func(&mut store, "go").unwrap();
    go.call(&mut store, &[Val::ExternRef(Some(object))], &mut out).unwrap();
    assert!(matches!(out, [Val::I64(-9)]));
    assert!(matches!(global.get(&store).unwrap(), Val::F64(bits) if bits == 3f64.to_bits()));
    let mut bytes = [0; 8];
    memory.read(&store, 250, &mut bytes).unwrap();
    assert_eq!(bytes, [0xff; 8]);
    memory.read(&store, 131_064, &mut bytes).unwrap();
    assert_eq!(bytes, [0, 0, 0, 0, 0, 0, 0, 5]);
    assert_eq!(memory.size(&store).unwrap(), 2);
    fails(memory.grow(&mut store, 1), ErrorKind::Limit);
    assert_eq!(table.size(&store).unwrap(), 3);
    for i in 1..3 {
        assert!(matches!(table.get(&store, i).unwrap(), Some(Val::ExternRef(Some(o))) if o == object));
    }
    assert!(table.get(&store, 3).unwrap().is_none());
    fails(table.set(&mut store, 3, Val::ExternRef(None)), ErrorKind::OutOfBounds);
    fails(table.set(&mut store, 0, Val::FuncRef(None)), ErrorKind::Type);
    fails(table.grow(&mut store, 1, Val::ExternRef(None)), ErrorKind::Limit);
    fails(constant.set(&mut store, Val::I64(1)), ErrorKind::Type);
    fails(global.set(&mut store, Val::I64(1)), ErrorKind::Type);
    fails(Global::new(&mut store, mutable(ValType::I32), Val::I64(1)), ErrorKind::Type);
    fails(Table::new(&mut store, ty, Val::FuncRef(None)), ErrorKind::Type);
    fails(memory.write(&mut store, 131_070, &[0; 3]), ErrorKind::OutOfBounds);
    fails(memory.read(&store, u64::MAX, &mut [0]), ErrorKind::OutOfBounds);
}

#[test]
fn host_made_things_are_fresh_in_the_next_store() {
    let engine = paranoid();
    for _ in 0..3 {
        let mut store = Store::new(&engine, ());
        let memory = Memory::new(&mut store, PAGES_1).unwrap();
        let mut bytes = [9; 300];
        memory.read(&store, 1000, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 300]);
        memory.write(&mut store, 1000, &[7; 300]).unwrap();
        memory.grow(&mut store, 1).unwrap();
        let ty = TableType::new(RefType::FUNCREF, 3, None);
        let table = Table::new(&mut store, ty, Val::FuncRef(None)).unwrap();
        assert_eq!(table.size(&store).unwrap(), 3);
        let func = Func::wrap(&mut store, || 1i32).unwrap();
        table.grow(&mut store, 5, func.into()).unwrap();
        let ty = GlobalType { content: ValType::I32, mutable: true };
        let global = Global::new(&mut store, ty, Val::I32(5)).unwrap();
        global.set(&mut store, Val::I32(6)).unwrap();
    }
}

/// What linking `wanted` with `given` says.
fn mismatch(wanted: &str, given: impl Fn(&mut Store<()>) -> Extern) -> Error {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let item = given(&mut store);
    let mut linker = Linker::new(&engine);
    linker.define(&mut store, "some", "thing", item).unwrap();
    let importing = module(&engine, format!("(module (import \"some\" \"thing\" {wanted}))"));
    fails(linker.instantiate(&mut store, &importing), ErrorKind::Link)
}

#[test]
fn an_import_of_another_type_names_itself_and_both_types() {
    let memory = |minimum, maximum| {
        move |store: &mut Store<()>| Memory::new(store, MemoryType::new(minimum, maximum)).unwrap().into()
    };
    let table = |element, minimum, maximum| {
        move |store: &mut Store<()>| {
            let null = Val::default_for(ValType::Ref(element));
            Table::new(store, TableType::new(element, minimum, maximum), null).unwrap().into()
        }
    };
    let global = |content, mutable| {
        move |store: &mut Store<()>| {
            Global::new(store, GlobalType { content, mutable }, Val::default_for(content)).unwrap().into()
        }
    };
    let func = |store: &mut Store<()>| Func::wrap(store, |_: i32| 0i64).unwrap().into();
    let says = |error: Error, words: [&str; 2]| {
        for word in words.iter().chain(&["`some.thing`"]) {
            assert!(error.message().contains(word), "`{error}` lacks `{word}`");
        }
    };
    says(mismatch("(func (param i64))", func), ["(i64) -> ()", "(i32) -> (i64)"]);
    says(mismatch("(memory 1)", func), ["memory of at least 1 pages", "function (i32) -> (i64)"]);
    says(mismatch("(memory 2)", memory(1, None)), ["at least 2 pages", "at least 1 pages"]);
    says(mismatch("(memory 1 3)", memory(1, None)), ["1 to 3 pages", "at least 1 pages"]);
    says(mismatch("(memory 1 3)", memory(1, Some(4))), ["1 to 3 pages", "1 to 4 pages"]);
    says(mismatch("(table 1 funcref)", memory(1, None)), ["table of at least 1 elements funcref", "memory of"]);
    says(mismatch("(table 3 funcref)", table(RefType::FUNCREF, 2, None)), ["at least 3", "at least 2"]);
    says(mismatch("(table 1 2 funcref)", table(RefType::FUNCREF, 1, Some(3))), ["1 to 2", "1 to 3"]);
    says(mismatch("(table 1 externref)", table(RefType::FUNCREF, 1, None)), ["externref", "funcref"]);
    says(mismatch("(global i32)", global(ValType::I64, false)), ["constant global i32", "constant global i64"]);
    says(mismatch("(global i32)", global(ValType::I32, true)), ["constant global i32", "mutable global i32"]);
    says(mismatch("(global (mut i32))", global(ValType::I32, false)), ["mutable global i32", "constant global i32"]);
    says(mismatch("(func)", global(ValType::I32, false)), ["function () -> ()", "constant global i32"]);
}

#[test]
fn an_import_that_is_missing_names_itself_and_its_type() {
    let engine = paranoid();
    let linker = Linker::<()>::new(&engine);
    for (import, words) in [
        ("(func (param i32 f64) (result i64))", "function (i32, f64) -> (i64)"),
        ("(memory 1 2)", "memory of 1 to 2 pages"),
        ("(table 5 externref)", "table of at least 5 elements externref"),
        ("(global (mut f32))", "mutable global f32"),
    ] {
        let importing = module(&engine, format!("(module (import \"some\" \"thing\" {import}))"));
        let error = fails(linker.instantiate_pre(&importing), ErrorKind::Link);
        assert!(error.message().contains("`some.thing`") && error.message().contains(words), "{error}");
    }
}

#[test]
fn the_current_size_of_a_memory_or_table_counts_for_matching() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let memory = Memory::new(&mut store, MemoryType::new(1, Some(5))).unwrap();
    let ty = TableType::new(RefType::FUNCREF, 0, Some(9));
    let table = Table::new(&mut store, ty, Val::FuncRef(None)).unwrap();
    let mut linker = Linker::new(&engine);
    linker.define(&mut store, "m", "m", memory).unwrap().define(&mut store, "m", "t", table).unwrap();
    let importing =
        module(&engine, "(module (import \"m\" \"m\" (memory 3 5)) (import \"m\" \"t\" (table 2 10 funcref)))");
    fails(linker.instantiate(&mut store, &importing), ErrorKind::Link);
    memory.grow(&mut store, 2).unwrap();
    fails(linker.instantiate(&mut store, &importing), ErrorKind::Link);
    table.grow(&mut store, 2, Val::FuncRef(None)).unwrap();
    linker.instantiate(&mut store, &importing).unwrap();
}

#[test]
fn a_name_is_defined_once_unless_shadowing_is_allowed() {
    let engine = paranoid();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("m", "f", || 1i32).unwrap();
    let error = fails(linker.func_wrap("m", "f", || 2i32).map(drop), ErrorKind::Link);
    assert!(error.message().contains("`m.f`"), "{error}");
    let text = "(module (import \"m\" \"f\" (func $f (result i32))) (func (export \"g\") (result i32) (call $f)))";
    let importing = module(&engine, text);
    let old = linker.instantiate_pre(&importing).unwrap();
    linker.allow_shadowing(true).func_wrap("m", "f", || 2i32).unwrap();
    let new = linker.instantiate_pre(&importing).unwrap();
    let g = old.export::<(), i32>("g").unwrap();
    assert_eq!((old.call((), &g, ()).unwrap(), new.call((), &g, ()).unwrap()), (1, 2));
}

#[test]
fn imports_can_be_exported_again_and_stay_the_same_thing() {
    let engine = paranoid();
    let mut store = Store::new(&engine, 40u32);
    let mut linker = Linker::new(&engine);
    linker.func_wrap("h", "data", |caller: Caller<'_, u32>, n: u32| *caller.data() + n).unwrap();
    let memory = Memory::new(&mut store, PAGES_1).unwrap();
    linker.define(&mut store, "h", "memory", memory).unwrap();
    let text = r#"(module (import "h" "data" (func $d (param i32) (result i32))) (import "h" "memory" (memory 1))
      (export "data" (func $d)) (export "memory" (memory 0)))"#;
    let first = linker.instantiate(&mut store, &module(&engine, text)).unwrap();
    let mut second_linker = Linker::new(&engine);
    second_linker.instance(&mut store, "h", first).unwrap();
    let second = second_linker.instantiate(&mut store, &module(&engine, text)).unwrap();
    let data = second.typed_func::<u32, u32>(&mut store, "data").unwrap();
    assert_eq!(data.call(&mut store, 2).unwrap(), 42);
    second.memory(&mut store, "memory").unwrap().write(&mut store, 5, b"x").unwrap();
    let mut bytes = [0];
    memory.read(&store, 5, &mut bytes).unwrap();
    assert_eq!(&bytes, b"x");
}

#[test]
fn a_caller_sees_the_instance_that_imports_not_the_one_that_calls_through_it() {
    // The host function belongs to `inner`, which exports it; `outer` calls it through its own import.
    let engine = paranoid();
    let mut store = Store::new(&engine, Vec::<u8>::new());
    let mut linker = Linker::new(&engine);
    linker
        .func_wrap("h", "peek", |mut caller: Caller<'_, Vec<u8>>| {
            let memory = caller.default_memory().expect("a memory");
            let mut byte = [0];
            memory.read(&caller, 0, &mut byte).unwrap();
            caller.data_mut().push(byte[0]);
        })
        .unwrap();
    let inner = r#"(module (import "h" "peek" (func $p)) (memory 1) (data (i32.const 0) "I")
      (func (export "call") (call $p)) (export "peek" (func $p)))"#;
    let inner = linker.instantiate(&mut store, &module(&engine, inner)).unwrap();
    linker.instance(&mut store, "inner", inner).unwrap();
    let outer = r#"(module (import "inner" "call" (func $c)) (import "inner" "peek" (func $p)) (memory 1)
      (data (i32.const 0) "O") (func (export "go") (call $c) (call $p)))"#;
    let outer = linker.instantiate(&mut store, &module(&engine, outer)).unwrap();
    outer.func(&mut store, "go").unwrap().call(&mut store, &[], &mut []).unwrap();
    assert_eq!(store.data(), b"II");
}

#[test]
fn types_of_different_modules_are_one_type_when_they_are_equal() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let one = r#"(module (type (func (param f64))) (type (func (param i32) (result i64)))
      (func (export "f") (type 1) (i64.extend_i32_s (local.get 0))))"#;
    let two = r#"(module (type (func (param i32) (result i64))) (type (func (param i32) (result i32)))
      (import "m" "f" (func $f (type 0))) (table (export "t") 2 funcref) (elem (i32.const 0) func $f)
      (func (export "right") (result i64) (call_indirect (type 0) (i32.const -5) (i32.const 0)))
      (func (export "wrong") (result i32) (call_indirect (type 1) (i32.const -5) (i32.const 0))))"#;
    let first = pre(&engine, one).instantiate(&mut store).unwrap();
    let mut linker = Linker::new(&engine);
    linker.instance(&mut store, "m", first).unwrap();
    let second = linker.instantiate(&mut store, &module(&engine, two)).unwrap();
    let right = second.typed_func::<(), i64>(&mut store, "right").unwrap();
    assert_eq!(right.call(&mut store, ()).unwrap(), -5);
    let wrong = second.typed_func::<(), i32>(&mut store, "wrong").unwrap();
    traps(wrong.call(&mut store, ()), TrapCode::IndirectCallTypeMismatch);
}

#[test]
fn mutual_recursion_between_instances_traps_when_the_stack_ends() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let a = r#"(module (table (export "t") 1 funcref)
      (func (export "f") (param i32) (result i32)
        (if (result i32) (local.get 0)
          (then (i32.add (i32.const 1)
            (call_indirect (param i32) (result i32) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0))))
          (else (i32.const 0)))))"#;
    let b = r#"(module (import "a" "f" (func $f (param i32) (result i32))) (import "a" "t" (table 1 funcref))
      (elem (i32.const 0) func $g) (func $g (param i32) (result i32) (call $f (local.get 0))))"#;
    let first = pre(&engine, a).instantiate(&mut store).unwrap();
    let mut linker = Linker::new(&engine);
    linker.instance(&mut store, "a", first).unwrap();
    linker.instantiate(&mut store, &module(&engine, b)).unwrap();
    let f = first.typed_func::<u32, u32>(&mut store, "f").unwrap();
    assert_eq!(f.call(&mut store, 100).unwrap(), 100);
    traps(f.call(&mut store, u32::MAX), TrapCode::StackOverflow);
    assert_eq!(f.call(&mut store, 100).unwrap(), 100);
}

#[test]
fn imports_and_exports_are_listed_with_their_types_in_order() {
    let engine = paranoid();
    let module = module(
        &engine,
        r#"(module $named (import "a" "f" (func (param i32))) (import "b" "" (memory 1 2))
          (import "a" "t" (table 1 funcref)) (import "c" "g" (global (mut i64)))
          (func $x (export "x") (result f32) (f32.const 0)) (export "again" (func $x)) (export "m" (memory 0)))"#,
    );
    assert_eq!(module.name(), Some("named"));
    let imports: Vec<_> = module.imports().map(|i| (i.module, i.name, i.ty)).collect();
    assert_eq!(
        imports,
        [
            ("a", "f", ExternType::Func(FuncType::new([ValType::I32], []))),
            ("b", "", ExternType::Memory(MemoryType::new(1, Some(2)))),
            ("a", "t", ExternType::Table(TableType::new(RefType::FUNCREF, 1, None))),
            ("c", "g", ExternType::Global(GlobalType { content: ValType::I64, mutable: true })),
        ]
    );
    let names: Vec<_> = module.exports().map(|e| e.name.to_owned()).collect();
    assert_eq!(names, ["x", "again", "m"]);
    assert_eq!(module.export("again"), module.export("x"));
    assert_eq!(module.export("nothing"), None);
}
