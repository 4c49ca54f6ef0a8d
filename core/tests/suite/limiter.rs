//! Limits of single stores: a limiter decides what instances and growth it allows, and its errors and panics reach whoever
//! called the guest.

use std::panic::{AssertUnwindSafe, catch_unwind};

use instar::{
    ErrorKind, Linker, Memory, MemoryType, RefType, ResourceLimiter, Result, Store, StoreLimits, StoreLimitsBuilder,
    Table, TableType, Val,
};

use crate::kit::{fails, module, paranoid, pre};

const GROWER: &str = r#"(module (memory (export "memory") 1) (table (export "table") 2 funcref)
  (func (export "memory_grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "table_grow") (param i32) (result i32) (table.grow (ref.null func) (local.get 0)))
  (func (export "twice") (param i32) (result i32)
    (drop (memory.grow (local.get 0))) (memory.grow (local.get 0)))
  (func (export "size") (result i32) (memory.size)))"#;

fn limited(limits: StoreLimits) -> Store<StoreLimits> {
    let mut store = Store::new(&paranoid(), limits);
    store.limiter(|limits| limits);
    store
}

fn call(store: &mut Store<StoreLimits>, instance: instar::Instance, name: &str, argument: i32) -> Result<i32> {
    let func = instance.typed_func::<i32, i32>(&mut *store, name)?;
    func.call(store, argument)
}

fn instantiate<T: 'static>(store: &mut Store<T>, text: &str) -> Result<instar::Instance> {
    let engine = store.engine().clone();
    Linker::new(&engine).instantiate(store, &module(&engine, text))
}

#[test]
fn growth_beyond_the_stores_limit_gives_minus_one_and_the_guest_goes_on() {
    let mut store = limited(StoreLimitsBuilder::new().memory_size(3 << 16).table_elements(5).build());
    let instance = instantiate(&mut store, GROWER).unwrap();
    assert_eq!(call(&mut store, instance, "memory_grow", 1).unwrap(), 1);
    assert_eq!(call(&mut store, instance, "memory_grow", 2).unwrap(), -1);
    assert_eq!(call(&mut store, instance, "memory_grow", 1).unwrap(), 2);
    assert_eq!(call(&mut store, instance, "memory_grow", 1).unwrap(), -1);
    assert_eq!(call(&mut store, instance, "memory_grow", -1).unwrap(), -1);
    assert_eq!(call(&mut store, instance, "table_grow", 4).unwrap(), -1);
    assert_eq!(call(&mut store, instance, "table_grow", 3).unwrap(), 2);
    let memory = instance.memory(&mut store, "memory").unwrap();
    fails(memory.grow(&mut store, 1), ErrorKind::Limit);
    let table = instance.table(&mut store, "table").unwrap();
    fails(table.grow(&mut store, 1, Val::FuncRef(None)), ErrorKind::Limit);
    assert_eq!(memory.size(&store).unwrap(), 3);
}

#[test]
fn growth_that_fails_can_end_the_call_with_the_reason() {
    let mut store = limited(StoreLimitsBuilder::new().memory_size(2 << 16).trap_on_grow_failure(true).build());
    let instance = instantiate(&mut store, GROWER).unwrap();
    let error = fails(call(&mut store, instance, "twice", 1), ErrorKind::Limit);
    assert!(error.message().contains("131072 bytes cannot grow to 196608"), "{error}");
    // The engine's own limit counts too.
    let error = fails(call(&mut store, instance, "table_grow", 2_000_000), ErrorKind::Limit);
    assert!(error.message().contains("a table of 2 elements cannot grow to 2000002"), "{error}");
    let memory = instance.memory(&mut store, "memory").unwrap();
    fails(memory.grow(&mut store, 1), ErrorKind::Limit);
    let size = instance.typed_func::<(), i32>(&mut store, "size").unwrap();
    assert_eq!(size.call(&mut store, ()).unwrap(), 2, "the store goes on");
}

#[test]
fn an_instance_that_would_exceed_the_stores_limits_is_refused_and_says_which() {
    let mut store = limited(StoreLimitsBuilder::new().memory_size(1 << 16).table_elements(3).build());
    let error = fails(instantiate(&mut store, "(module (memory 2))"), ErrorKind::Limit);
    assert!(error.message().contains("131072 bytes"), "{error}");
    let error = fails(instantiate(&mut store, "(module (table 4 funcref))"), ErrorKind::Limit);
    assert!(error.message().contains("4 elements"), "{error}");
    fails(Memory::new(&mut store, MemoryType::new(2, None)), ErrorKind::Limit);
    instantiate(&mut store, "(module (memory 1) (table 3 funcref))").unwrap();

    let mut store = limited(StoreLimitsBuilder::new().instances(3).memories(2).tables(1).build());
    instantiate(&mut store, "(module (memory 1))").unwrap();
    Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
    let error = fails(instantiate(&mut store, "(module (memory 1))"), ErrorKind::Limit);
    assert!(error.message().contains("3 memories"), "{error}");
    Table::new(&mut store, TableType::new(RefType::FUNCREF, 1, None), Val::FuncRef(None)).unwrap();
    let error = fails(instantiate(&mut store, "(module)"), ErrorKind::Limit);
    assert!(error.message().contains("4 instances"), "{error}");
}

#[test]
fn the_limiter_goes_with_its_store() {
    let engine = paranoid();
    {
        let mut store = Store::new(&engine, StoreLimitsBuilder::new().memory_size(0).build());
        store.limiter(|limits| limits);
        fails(instantiate(&mut store, "(module (memory 1))"), ErrorKind::Limit);
    }
    // The next store gets the same cell.
    let mut store = Store::new(&engine, ());
    instantiate(&mut store, "(module (memory 1))").unwrap();
}

/// Answers as told, and remembers what it was asked.
#[derive(Default)]
struct Witness {
    asked: Vec<(usize, usize, Option<usize>)>,
    failed: usize,
    fail: bool,
    panic: bool,
}

impl ResourceLimiter for Witness {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        self.asked.push((current, desired, maximum));
        assert!(!self.panic, "the limiter panics");
        match self.fail {
            true => Err(instar::Error::host("no more for this tenant")),
            false => Ok(true),
        }
    }

    fn memory_grow_failed(&mut self, _: &instar::Error) -> Result<()> {
        self.failed += 1;
        Ok(())
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> Result<bool> {
        Ok(true)
    }
}

#[test]
fn a_limiters_questions_errors_and_panics_arrive() {
    let engine = paranoid();
    let mut store = Store::new(&engine, Witness::default());
    store.limiter(|witness| witness);
    let pre = Linker::<Witness>::new(&engine)
        .instantiate_pre(&module(
            &engine,
            r#"(module (memory 1 3) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#,
        ))
        .unwrap();
    let instance = pre.instantiate(&mut store).unwrap();
    let grow = instance.typed_func::<i32, i32>(&mut store, "grow").unwrap();
    assert_eq!(grow.call(&mut store, 1).unwrap(), 1);
    assert_eq!(grow.call(&mut store, 5).unwrap(), -1);
    assert_eq!(grow.call(&mut store, -1).unwrap(), -1);
    let page = 1 << 16;
    let most = Some(3 * page);
    assert_eq!(
        store.data().asked,
        [
            (0, page, most),
            (page, 2 * page, most),
            (2 * page, 7 * page, most),
            (2 * page, 2 * page + 0xffff_ffff * page, most)
        ]
    );
    assert_eq!(store.data().failed, 2);

    store.data_mut().fail = true;
    let error = fails(grow.call(&mut store, 1), ErrorKind::Host);
    assert_eq!(error.message(), "no more for this tenant");
    store.data_mut().fail = false;
    store.data_mut().panic = true;
    let panic = catch_unwind(AssertUnwindSafe(|| grow.call(&mut store, 1))).unwrap_err();
    assert!(panic.downcast_ref::<&str>().is_some_and(|text| text.contains("the limiter panics")));
    store.data_mut().panic = false;
    assert_eq!(grow.call(&mut store, 1).unwrap(), 2, "the store goes on");
}

#[test]
fn what_grew_in_a_limited_store_is_undone() {
    let engine = crate::kit::one_slot();
    let pre = pre(&engine, GROWER);
    for _ in 0..3 {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        let grow = instance.typed_func::<i32, i32>(&mut store, "memory_grow").unwrap();
        assert_eq!(grow.call(&mut store, 2).unwrap(), 1);
    }
}
