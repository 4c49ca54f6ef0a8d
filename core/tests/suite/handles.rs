//! Handles that outlived their store, or belong to another, or to another module: always an error, never another tenant.

use instar::{
    AsContext, AsContextMut, Error, ErrorKind, Extern, ExternRef, Func, Global, GlobalType, Instance, Linker, Memory,
    MemoryType, RefType, Store, StoreContext, StoreContextMut, Table, TableType, Val, ValType,
};

use crate::kit::{fails, module, one_slot, paranoid, pre};

const ALL_KINDS: &str = r#"(module (memory (export "memory") 1) (table (export "table") 2 funcref)
  (global (export "global") (mut i32) (i32.const 5))
  (func (export "func") (param externref funcref) (result i32) (i32.const 7))
  (func (export "number") (result i32) (i32.const 7)))"#;

#[derive(Clone, Copy)]
struct Handles {
    instance: Instance,
    func: Func,
    number: Func,
    typed: instar::TypedFunc<(), i32>,
    memory: Memory,
    table: Table,
    global: Global,
    object: ExternRef,
    made: Func,
}

fn handles(store: &mut Store<()>) -> Handles {
    let instance = pre(store.engine(), ALL_KINDS).instantiate(&mut *store).unwrap();
    Handles {
        instance,
        func: instance.func(&mut *store, "func").unwrap(),
        number: instance.func(&mut *store, "number").unwrap(),
        typed: instance.typed_func(&mut *store, "number").unwrap(),
        memory: instance.memory(&mut *store, "memory").unwrap(),
        table: instance.table(&mut *store, "table").unwrap(),
        global: instance.global(&mut *store, "global").unwrap(),
        object: ExternRef::new(&mut *store, "object"),
        made: Func::wrap(&mut *store, || 3i32).unwrap(),
    }
}

/// Every use of `h` with `store` is refused; `own` are good handles of that store.
fn all_refused(h: &Handles, store: &mut Store<()>, own: &Handles) {
    let stale = |result: Result<(), Error>| {
        let error = fails(result, ErrorKind::StaleHandle);
        assert!(error.message().contains("another store"), "{error}");
    };
    let mut out = [Val::I32(0)];
    stale(h.number.call(&mut *store, &[], &mut out));
    stale(h.made.call(&mut *store, &[], &mut out));
    stale(h.number.ty(&*store).map(drop));
    stale(h.number.typed::<(), i32>(&*store).map(drop));
    stale(h.typed.call(&mut *store, ()).map(drop));
    stale(h.memory.size(&*store).map(drop));
    stale(h.memory.data_size(&*store).map(drop));
    stale(h.memory.read(&*store, 0, &mut [0]));
    stale(h.memory.write(&mut *store, 0, &[1]));
    stale(h.memory.grow(&mut *store, 0).map(drop));
    stale(h.table.size(&*store).map(drop));
    stale(h.table.ty(&*store).map(drop));
    stale(h.table.get(&*store, 0).map(drop));
    stale(h.table.set(&mut *store, 0, Val::FuncRef(None)));
    stale(h.table.grow(&mut *store, 1, Val::FuncRef(None)).map(drop));
    stale(h.global.get(&*store).map(drop));
    stale(h.global.set(&mut *store, Val::I32(1)));
    stale(h.object.data(&*store).map(drop));
    stale(h.instance.exports(&mut *store).map(drop));
    stale(h.instance.typed_func::<(), i32>(&mut *store, "number").map(drop));
    assert!(h.instance.export(&mut *store, "number").is_none());
    assert!(h.instance.func(&mut *store, "number").is_none());
    assert!(h.instance.memory(&mut *store, "memory").is_none());

    // As values.
    let extern_null = Val::ExternRef(None);
    stale(own.func.call(&mut *store, &[Val::ExternRef(Some(h.object)), Val::FuncRef(None)], &mut out));
    stale(own.func.call(&mut *store, &[extern_null, Val::FuncRef(Some(h.func))], &mut out));
    stale(own.table.set(&mut *store, 0, h.func.into()));
    stale(own.table.grow(&mut *store, 1, h.func.into()).map(drop));
    let ty = TableType::new(RefType::FUNCREF, 1, None);
    stale(Table::new(&mut *store, ty, h.func.into()).map(drop));
    let ty = GlobalType { content: ValType::FUNCREF, mutable: true };
    stale(Global::new(&mut *store, ty, h.func.into()).map(drop));

    // As definitions.
    let engine = store.engine().clone();
    let mut linker = Linker::<()>::new(&engine);
    let items: [Extern; 5] = [h.func.into(), h.memory.into(), h.table.into(), h.global.into(), h.made.into()];
    for item in items {
        stale(linker.define(&mut *store, "a", "b", item).map(drop));
    }
    stale(linker.instance(&mut *store, "a", h.instance).map(drop));

    // The store itself is unharmed.
    own.number.call(&mut *store, &[], &mut out).unwrap();
    assert!(matches!(out, [Val::I32(7)]));
    assert_eq!(own.table.size(&*store).unwrap(), 2);
}

#[test]
fn handles_of_one_store_do_not_work_with_another() {
    let engine = paranoid();
    let (mut a, mut b) = (Store::new(&engine, ()), Store::new(&engine, ()));
    let (of_a, of_b) = (handles(&mut a), handles(&mut b));
    all_refused(&of_a, &mut b, &of_b);
    all_refused(&of_b, &mut a, &of_a);
}

#[test]
fn handles_of_a_store_of_another_engine_do_not_work() {
    let (one, two) = (paranoid(), paranoid());
    let (mut a, mut b) = (Store::new(&one, ()), Store::new(&two, ()));
    let (of_a, of_b) = (handles(&mut a), handles(&mut b));
    all_refused(&of_a, &mut b, &of_b);
    drop(a);
    drop(one);
    all_refused(&of_a, &mut b, &of_b);
}

#[test]
fn handles_do_not_work_after_their_store_was_dropped_and_its_cell_recycled() {
    let engine = paranoid();
    let mut old = Vec::new();
    for _ in 0..5 {
        let mut store = Store::new(&engine, ());
        let own = handles(&mut store);
        for stale in &old {
            all_refused(stale, &mut store, &own);
        }
        old.push(own);
    }
}

#[test]
fn handles_that_a_host_function_kept_do_not_work_in_the_next_instance_of_the_slot() {
    use std::sync::Mutex;
    static KEPT: Mutex<Option<(Memory, Func)>> = Mutex::new(None);
    let engine = one_slot();
    let mut linker = Linker::<()>::new(&engine);
    linker
        .func_wrap("h", "f", |mut caller: instar::Caller<'_, ()>| {
            let mut kept = KEPT.lock().unwrap();
            if let Some((memory, func)) = *kept {
                fails(memory.read(&caller, 0, &mut [0]), ErrorKind::StaleHandle);
                fails(func.call(&mut caller, &[], &mut []), ErrorKind::StaleHandle);
            }
            *kept = Some((caller.default_memory().unwrap(), caller.func("f").unwrap()));
        })
        .unwrap();
    let text = r#"(module (import "h" "f" (func $f)) (memory 1) (func (export "f") (call $f)))"#;
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    let f = pre.export::<(), ()>("f").unwrap();
    for _ in 0..4 {
        pre.call((), &f, ()).unwrap();
    }
    let mut store = Store::new(&engine, ());
    let instance = pre.instantiate(&mut store).unwrap();
    instance.func(&mut store, "f").unwrap().call(&mut store, &[], &mut []).unwrap();
}

#[test]
fn tokens_of_one_module_do_not_work_with_an_instance_of_another() {
    let engine = paranoid();
    const ECHO: &str = r#"(module (memory (export "memory") 1)
      (func (export "alloc") (param i32) (result i32) (i32.const 0))
      (func (export "f") (param i32 i32) (result i64) (i64.const 0)))"#;
    // The same text, so the same layout: only the module's identity tells them apart.
    let (one, two) = (pre(&engine, ECHO), pre(&engine, ECHO));
    let func = one.func("f").unwrap();
    let typed = one.export::<(u32, u32), u64>("f").unwrap();
    let memory = one.memory("memory").unwrap();
    let bytes = one.bytes_func("f").unwrap();
    let mut instance = two.fresh(()).unwrap();
    let wrong = |result: Result<(), Error>| {
        let error = fails(result, ErrorKind::Type);
        assert!(error.message().contains("another module"), "{error}");
    };
    wrong(instance.call(&typed, (0, 0)).map(drop));
    wrong(instance.call_raw(&func, &mut [0; 2]));
    wrong(instance.call_bytes(&bytes, b"x").map(drop));
    wrong(instance.memory_size(&memory).map(drop));
    wrong(instance.memory_read(&memory, 0, &mut [0]));
    wrong(instance.memory_write(&memory, 0, &[0]));
    wrong(instance.memory_grow(&memory, 0).map(drop));
    drop(instance);
    wrong(two.call((), &typed, (0, 0)).map(drop));
    wrong(two.call_raw((), &func, &mut [0; 2]));
    wrong(two.call_bytes((), &bytes, b"x").map(drop));
    let shared = two.shared(()).unwrap();
    wrong(shared.enter().unwrap().call(&typed, (0, 0)).map(drop));
    shared.close().unwrap();
    assert_eq!(one.call((), &typed, (0, 0)).unwrap(), 0);
}

#[test]
fn tokens_outlive_their_pre_and_work_with_another_of_the_same_module() {
    let engine = paranoid();
    let module = module(&engine, "(module (func (export \"f\") (result i32) (i32.const 3)))");
    let linker = Linker::<()>::new(&engine);
    let token = linker.instantiate_pre(&module).unwrap().export::<(), i32>("f").unwrap();
    let pre = linker.instantiate_pre(&module).unwrap();
    drop((module, linker));
    assert_eq!(pre.call((), &token, ()).unwrap(), 3);
    drop((pre, engine));
    assert!(!format!("{:?}", token.clone()).is_empty(), "a token keeps what it names");
}

#[test]
fn modules_pres_and_stores_of_different_engines_do_not_mix() {
    let (one, two) = (paranoid(), paranoid());
    let foreign = module(&one, ALL_KINDS);
    fails(Linker::<()>::new(&two).instantiate_pre(&foreign), ErrorKind::Link);
    let mut store = Store::new(&two, ());
    fails(Linker::new(&two).instantiate(&mut store, &foreign), ErrorKind::Link);
    fails(pre(&one, ALL_KINDS).instantiate(&mut store), ErrorKind::Link);
    let mut linker = Linker::<()>::new(&one);
    let func = Func::wrap(&mut store, || ()).unwrap();
    linker.define(&mut store, "h", "f", func).unwrap();
    let importing = module(&one, "(module (import \"h\" \"f\" (func)))");
    fails(linker.instantiate_pre(&importing), ErrorKind::Link);
    fails(linker.instantiate(&mut store, &importing), ErrorKind::Link);
}

#[test]
fn a_pre_bound_to_a_store_is_for_that_store_only() {
    let engine = paranoid();
    let (mut a, mut b) = (Store::new(&engine, ()), Store::new(&engine, ()));
    let memory = Memory::new(&mut a, MemoryType::new(1, None)).unwrap();
    let mut linker = Linker::new(&engine);
    linker.define(&mut a, "m", "memory", memory).unwrap();
    let importing = module(&engine, "(module (import \"m\" \"memory\" (memory 1)))");
    let error = fails(linker.instantiate_pre(&importing), ErrorKind::Link);
    assert!(error.message().contains("`m.memory`"), "{error}");
    fails(linker.instantiate(&mut b, &importing), ErrorKind::Link);
    linker.instantiate(&mut a, &importing).unwrap();
    drop(a);
    fails(linker.instantiate(&mut b, &importing), ErrorKind::Link);
}

/// Gives one store when it is first asked for its context, and then another.
struct Turncoat {
    first: Option<Store<()>>,
    other: Store<()>,
    spent: Vec<Store<()>>,
}

impl AsContext for Turncoat {
    type Data = ();
    fn as_context(&self) -> StoreContext<'_, ()> {
        self.other.as_context()
    }
}

impl AsContextMut for Turncoat {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, ()> {
        let Some(first) = self.first.take() else { return self.other.as_context_mut() };
        self.spent.push(first);
        self.spent[0].as_context_mut()
    }
}

#[test]
fn no_function_gets_into_a_table_of_another_store() {
    for nullable in [true, false] {
        let engine = paranoid();
        let mut first = Store::new(&engine, ());
        let func = Func::wrap(&mut first, || 3i32).unwrap();
        let mut both = Turncoat { first: Some(first), other: Store::new(&engine, ()), spent: Vec::new() };
        let ty = TableType::new(RefType { nullable, ..RefType::FUNCREF }, 1, None);
        let table = Table::new(&mut both, ty, Val::FuncRef(Some(func))).unwrap();
        fails(table.get(&both.other, 0), ErrorKind::StaleHandle);
        assert!(matches!(table.get(&both.spent[0], 0).unwrap(), Some(Val::FuncRef(Some(found))) if found == func));
    }
}
