//! Tenants that do one thing after the other to their instances, through every door that a host has, with a module of the
//! [`menu`](crate::menu); and what the next tenant looks at.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;

use instar::{
    Caller, Engine, Error, ExportMemory, Extern, ExternRef, Func, Instance, InstancePre, Linker, Memory, Module,
    Result, SharedInstance, Store, V128, Val,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::kit::Use;
use crate::menu::{ELEMENTS, ENDINGS, FUNCTIONS, GLOBALS, MEMORIES, Menu, TABLES};

/// Where in a memory.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    At(u64),
    /// So many bytes before the end that the memory has now.
    BeforeEnd(u64),
}

#[derive(Clone, Debug)]
pub enum Op {
    /// A function of the menu, and how it ends.
    Menu {
        which: u32,
        place: Place,
        value: u64,
        end: u32,
    },
    /// The same, called by a host function that the guest has called.
    Nested {
        which: u32,
        place: Place,
        value: u64,
        end: u32,
    },
    /// A host function writes through its caller.
    Caller {
        memory: usize,
        place: Place,
        len: u32,
        how: u32,
        end: u32,
    },
    /// The host writes to a memory: by `write`, `slice_mut`, or `slice_mut_and_store`.
    Write {
        memory: usize,
        place: Place,
        len: u32,
        how: u32,
    },
    Grow {
        memory: usize,
        pages: u64,
    },
    Bytes(u32),
    SetGlobal(usize, u64),
    SetTable {
        table: usize,
        at: u64,
        function: usize,
    },
    GrowTable {
        table: usize,
        by: u64,
    },
    /// The system is asked to take the pages of all memories out of memory.
    PageOut,
}

/// Who does it.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// An instance that stands alone.
    Owned,
    /// An instance in a store, which reaches everything.
    Stored,
    /// A shared instance: each operation is a claim of its own; closed, abandoned or closed by its raw handle.
    Shared(u8),
    /// Each operation is a tenant of its own.
    Calls,
}

#[derive(Clone, Debug)]
pub struct Tenant {
    pub way: Way,
    pub ops: Vec<Op>,
}

/// The menu, made once.
pub fn menu() -> &'static Menu {
    static MENU: OnceLock<Menu> = OnceLock::new();
    MENU.get_or_init(Menu::new)
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        4 => (0u64..512, 0u64..40).prop_map(|(line, at)| Place::At((line * 256 + at).saturating_sub(20))),
        3 => (0u64..35, 0u64..40).prop_map(|(page, at)| Place::At((page * 4096 + at).saturating_sub(20))),
        2 => (0u64..40_000).prop_map(|at| Place::At(at * 8)),
        2 => (0u64..9000).prop_map(Place::At),
        3 => (0u64..40).prop_map(Place::BeforeEnd),
        1 => (0u64..700).prop_map(Place::BeforeEnd),
        1 => any::<u32>().prop_map(|at| Place::At(u64::from(at) | 0x8000_0000)),
    ]
}

fn length() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0u32..20, 4 => 240u32..280, 1 => 4000u32..4200, 1 => 0u32..9000]
}

/// Any function of the menu, those with few forms as often as those with many.
fn which() -> impl Strategy<Value = u32> {
    let kinds =
        [" i", " f", " v128", "atomic", "memory.fill", "memory.copy", "memory.init", "memory.grow", "table", "global"];
    let kinds: Vec<Vec<u32>> = kinds.iter().map(|text| menu().matching(text)).collect();
    let all = menu().names.len() as u32;
    (0..kinds.len() + 1, any::<prop::sample::Index>()).prop_map(move |(kind, index)| match kinds.get(kind) {
        Some(list) => list[index.index(list.len())],
        None => index.index(all as usize) as u32,
    })
}

fn op() -> impl Strategy<Value = Op> {
    let end = || prop_oneof![6 => Just(0), 1 => 0..ENDINGS];
    let memory = || 0..MEMORIES.len();
    prop_oneof![
        12 => (which(), place(), any::<u64>(), end())
            .prop_map(|(which, place, value, end)| Op::Menu { which, place, value, end }),
        1 => (which(), place(), any::<u64>(), end())
            .prop_map(|(which, place, value, end)| Op::Nested { which, place, value, end }),
        2 => (memory(), place(), length(), 0u32..3, end())
            .prop_map(|(memory, place, len, how, end)| Op::Caller { memory, place, len, how, end }),
        3 => (memory(), place(), length(), 0u32..3)
            .prop_map(|(memory, place, len, how)| Op::Write { memory, place, len, how }),
        2 => (memory(), 0u64..4).prop_map(|(memory, pages)| Op::Grow { memory, pages }),
        1 => (0u32..6000).prop_map(Op::Bytes),
        1 => (0..GLOBALS.len(), any::<u64>()).prop_map(|(global, bits)| Op::SetGlobal(global, bits)),
        1 => (0..TABLES.len(), 0u64..8, 0..FUNCTIONS)
            .prop_map(|(table, at, function)| Op::SetTable { table, at, function }),
        1 => (0..TABLES.len(), 0u64..4).prop_map(|(table, by)| Op::GrowTable { table, by }),
        1 => Just(Op::PageOut),
    ]
}

pub fn tenants() -> impl Strategy<Value = Vec<Tenant>> {
    let way = prop_oneof![
        2 => Just(Way::Owned),
        3 => Just(Way::Stored),
        1 => (0u8..3).prop_map(Way::Shared),
        2 => Just(Way::Calls),
    ];
    vec((way, vec(op(), 1..7)).prop_map(|(way, ops)| Tenant { way, ops }), 1..5)
}

/// Writes of all three kinds; out of bounds, nothing is written.
fn write(memory: Memory, mut store: impl instar::AsContextMut, at: u64, len: u32, how: u32) {
    let len = u64::from(len);
    match how {
        0 => drop(memory.write(&mut store, at, &vec![0xa5; len as usize])),
        1 => drop(memory.slice_mut(&mut store, at..at.saturating_add(len)).map(|bytes| bytes.fill(0xa6))),
        _ => drop(memory.slice_mut_and_store(&mut store, at..at.saturating_add(len)).map(|(b, _)| b.fill(0xa7))),
    }
}

/// Host functions that write, stop, and call back.
pub fn hosts(engine: &Engine) -> Linker<()> {
    let mut linker = Linker::<()>::new(engine);
    linker
        .func_wrap("host", "write", |mut caller: Caller<'_, ()>, memory: u32, at: u64, len: u32, how: u32| {
            let memory = caller.memory(MEMORIES[memory as usize].name).expect("all are exported");
            write(memory, &mut caller, at, len, how);
        })
        .unwrap()
        .func_wrap("host", "end", |mut caller: Caller<'_, ()>, how: u32| -> Result<()> {
            write(caller.memory("memory").expect("exported"), &mut caller, 510, 4, 0);
            match how {
                1 => Err(Error::host("it must not be")),
                // Without a message.
                _ => resume_unwind(Box::new("a panic of a host function")),
            }
        })
        .unwrap()
        .func_wrap("host", "call", |mut caller: Caller<'_, ()>, which: u32, at: u64, v: u64, end: u32| {
            let then = caller.func("then").expect("exported");
            let arguments = [Val::from(which), Val::from(at), Val::from(v), Val::from(end)];
            // Half of the host functions pass on that the inner call failed.
            match then.call(&mut caller, &arguments, &mut []) {
                Err(error) if v & 1 == 0 => Err(error),
                _ => Ok(()),
            }
        })
        .unwrap();
    linker
}

/// Pres of the menu's module, and tokens for it.
pub struct Subject {
    pub pre: InstancePre<()>,
    memories: Vec<ExportMemory>,
}

impl Subject {
    pub fn new(engine: &Engine, module: &Module) -> Self {
        let pre = hosts(engine).instantiate_pre(module).expect("all imports are defined");
        let memories = MEMORIES.iter().map(|m| pre.memory(m.name).unwrap()).collect();
        Subject { pre, memories }
    }

    /// What one operation does to an instance that stands alone.
    fn act<I: Use<()>>(&self, instance: &mut I, op: &Op) {
        let resolve = |instance: &I, memory: usize, place: Place| match place {
            Place::At(at) => at,
            Place::BeforeEnd(back) => instance.memory_size(&self.memories[memory]).unwrap().saturating_sub(back),
        };
        let pre = &self.pre;
        match *op {
            Op::Menu { which, place, value, end } => {
                let at = resolve(instance, memory_of(which), place);
                if value & 2 == 0 {
                    let then = pre.export::<(u32, u64, u64, u32), ()>("then").unwrap();
                    let _ = instance.call(&then, (which, at, value, end));
                } else {
                    let then = pre.func("then").unwrap();
                    let _ = instance.call_raw(&then, &mut [u64::from(which), at, value, u64::from(end)]);
                }
            }
            Op::Nested { which, place, value, end } => {
                let at = resolve(instance, memory_of(which), place);
                let nested = pre.export::<(u32, u64, u64, u32), ()>("nested").unwrap();
                let _ = instance.call(&nested, (which, at, value, end));
            }
            Op::Caller { memory, place, len, how, end } => {
                let at = resolve(instance, memory, place);
                let write = pre.export::<(u32, u64, u32, u32, u32), ()>("host write").unwrap();
                let _ = instance.call(&write, (memory as u32, at, len, how, end));
            }
            Op::Write { memory, place, len, .. } => {
                let at = resolve(instance, memory, place);
                let _ = instance.memory_write(&self.memories[memory], at, &vec![0xa8; len as usize]);
            }
            Op::Grow { memory, pages } => {
                let pages = if MEMORIES[memory].page == 1 { pages * 1300 } else { pages };
                let _ = instance.memory_grow(&self.memories[memory], pages);
            }
            Op::Bytes(len) => {
                let echo = pre.bytes_func("echo").unwrap();
                let _ = instance.call_bytes(&echo, &vec![0xa9; len as usize]);
            }
            // An instance alone does not show its tables and globals.
            Op::SetGlobal(..) | Op::SetTable { .. } | Op::GrowTable { .. } | Op::PageOut => {}
        }
    }

    /// All that a tenant does, until its instance is gone.
    pub fn tenant(&self, tenant: &Tenant) {
        let ops = tenant.ops.iter();
        match tenant.way {
            Way::Owned => {
                let mut instance = self.pre.fresh(()).expect("the one slot is free");
                ops.for_each(|op| catching(|| self.act(&mut instance, op)));
            }
            Way::Calls => ops.for_each(|op| {
                let mut instance = self.pre.fresh(()).expect("the one slot is free");
                catching(|| self.act(&mut instance, op));
            }),
            Way::Shared(end) => {
                let shared = self.pre.shared(()).expect("the one slot is free");
                ops.for_each(|op| catching(|| self.act(&mut shared.enter().expect("nobody else uses it"), op)));
                match end {
                    0 => shared.close().expect("nobody uses it"),
                    1 => drop(shared),
                    _ => {
                        let (cell, id) = shared.into_raw();
                        // SAFETY: the engine is alive.
                        unsafe { SharedInstance::<()>::close_raw(cell, id) }.expect("nobody uses it");
                        // SAFETY: as above. It is stale by now.
                        assert!(unsafe { SharedInstance::enter_raw(&self.pre, cell, id) }.is_err());
                    }
                }
            }
            Way::Stored => {
                let mut store = Store::new(self.pre.engine(), ());
                let instance = self.pre.instantiate(&mut store).expect("the one slot is free");
                act_in_store(&mut store, instance, &tenant.ops);
            }
        }
    }
}

/// The memory that a function of the menu writes to; functions that write to none are given the first.
fn memory_of(which: u32) -> usize {
    let name = &menu().names[which as usize];
    MEMORIES.iter().position(|m| name.starts_with(m.name)).unwrap_or(0)
}

/// Panics of host functions reach the caller. Others are the test's own.
fn catching(body: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(body))
        && panic.downcast_ref::<&str>() != Some(&"a panic of a host function")
    {
        resume_unwind(panic);
    }
}

/// Operations on an instance in a store.
pub fn act_in_store(store: &mut Store<()>, instance: Instance, ops: &[Op]) {
    let object = ExternRef::new(&mut *store, "an object");
    instance.global(&mut *store, "g6").unwrap().set(&mut *store, Val::ExternRef(Some(object))).unwrap();
    let memories: Vec<Memory> = MEMORIES.iter().map(|m| instance.memory(&mut *store, m.name).unwrap()).collect();
    for op in ops {
        let resolve = |store: &Store<()>, memory: usize, place: Place| match place {
            Place::At(at) => at,
            Place::BeforeEnd(back) => (memories[memory].data_size(store).unwrap() as u64).saturating_sub(back),
        };
        let func = |store: &mut Store<()>, name: &str| instance.func(store, name).unwrap();
        let call = |store: &mut Store<()>, name: &str, arguments: &[Val]| {
            let function: Func = func(store, name);
            catching(|| drop(function.call(&mut *store, arguments, &mut [])));
        };
        match *op {
            Op::Menu { which, place, value, end } | Op::Nested { which, place, value, end } => {
                let at = resolve(store, memory_of(which), place);
                let name = if matches!(op, Op::Menu { .. }) { "then" } else { "nested" };
                call(store, name, &[Val::from(which), Val::from(at), Val::from(value), Val::from(end)]);
            }
            Op::Caller { memory, place, len, how, end } => {
                let at = resolve(store, memory, place);
                let arguments =
                    [Val::from(memory as u32), Val::from(at), Val::from(len), Val::from(how), Val::from(end)];
                call(store, "host write", &arguments);
            }
            Op::Write { memory, place, len, how } => {
                let at = resolve(store, memory, place);
                write(memories[memory], &mut *store, at, len, how);
            }
            Op::Grow { memory, pages } => {
                let pages = if MEMORIES[memory].page == 1 { pages * 1300 } else { pages };
                let _ = memories[memory].grow(&mut *store, pages);
            }
            Op::Bytes(_) => {}
            Op::SetGlobal(global, bits) => {
                let value = match global {
                    0 => Val::I32(bits as i32),
                    1 => Val::I64(bits as i64),
                    2 => Val::F32(bits as u32),
                    3 => Val::F64(bits),
                    4 => Val::V128(V128::from(u128::from(bits) << 40 | 0xff)),
                    5 => Val::FuncRef((bits & 1 == 0).then(|| func(store, "then"))),
                    _ => Val::ExternRef(Some(object)),
                };
                instance.global(&mut *store, GLOBALS[global].0).unwrap().set(&mut *store, value).unwrap();
            }
            Op::SetTable { table, at, function } => {
                let value = item(store, instance, table, function, object);
                let _ = instance.table(&mut *store, TABLES[table].0).unwrap().set(&mut *store, at, value);
            }
            Op::GrowTable { table, by } => {
                let value = item(store, instance, table, 1, object);
                let _ = instance.table(&mut *store, TABLES[table].0).unwrap().grow(&mut *store, by, value);
            }
            Op::PageOut => memories.iter().for_each(|memory| page_out(memory.data(&*store).unwrap())),
        }
    }
}

/// Something for an element of a table.
fn item(store: &mut Store<()>, instance: Instance, table: usize, function: usize, object: ExternRef) -> Val {
    match table {
        1 => Val::ExternRef(Some(object)),
        _ => instance.func(store, &format!("f{function}")).unwrap().into(),
    }
}

/// Asks the system to take pages away: to swap what was written, and to forget what it can read again.
fn page_out(bytes: &[u8]) {
    if !bytes.is_empty() {
        // SAFETY: this changes nothing that is in memory, wherever it is. Where there is nothing to swap to, it does less.
        unsafe { libc::madvise(bytes.as_ptr().cast_mut().cast(), bytes.len(), libc::MADV_PAGEOUT) };
    }
}

/// Compares an instance that nobody has used with the module's text, through everything that a tenant can reach.
pub fn equals_its_image(store: &mut Store<()>, instance: Instance) -> std::result::Result<(), TestCaseError> {
    static CONTENTS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let contents = CONTENTS.get_or_init(|| MEMORIES.iter().map(|m| m.contents()).collect());
    for (shape, expected) in MEMORIES.iter().zip(contents) {
        let memory = instance.memory(&mut *store, shape.name).unwrap();
        let now = memory.data(&*store).unwrap();
        prop_assert_eq!(now.len(), expected.len(), "size of {}", shape.name);
        if now != expected {
            let differs = now.iter().zip(expected).position(|(a, b)| a != b);
            prop_assert_eq!(differs, None, "first address of {} that differs", shape.name);
        }
    }
    let functions: Vec<Func> = (0..FUNCTIONS).map(|i| instance.func(&mut *store, &format!("f{i}")).unwrap()).collect();
    for (i, (name, _, size)) in TABLES.into_iter().enumerate() {
        let table = instance.table(&mut *store, name).unwrap();
        prop_assert_eq!(table.size(&*store).unwrap(), size, "size of {}", name);
        for at in 0..size {
            let expected = ELEMENTS.iter().find(|e| (e.0, e.1 as u64) == (i, at)).map(|e| functions[e.2]);
            match table.get(&*store, at).unwrap().expect("below the size") {
                Val::FuncRef(now) => prop_assert!(now == expected, "element {} of {}", at, name),
                Val::ExternRef(now) => prop_assert!(now.is_none(), "element {} of {}", at, name),
                other => panic!("{other:?} in a table"),
            }
        }
    }
    for (i, (name, ..)) in GLOBALS.into_iter().enumerate() {
        let Some(Extern::Global(global)) = instance.export(&mut *store, name) else { panic!("`{name}` is a global") };
        let value = global.get(&*store).unwrap();
        let same = match (i, value) {
            (0, Val::I32(v)) => v == 77,
            (1, Val::I64(v)) => v == -5,
            (2, Val::F32(v)) => v == 1.5f32.to_bits(),
            (3, Val::F64(v)) => v == (-2.5f64).to_bits(),
            (4, Val::V128(v)) => v.as_u128() == 4 << 64 | 3,
            (5, Val::FuncRef(v)) => v == Some(functions[1]),
            (6, Val::ExternRef(v)) => v.is_none(),
            _ => false,
        };
        prop_assert!(same, "{name} is {value:?}");
    }
    Ok(())
}

/// What lies beyond the initial size can neither be read nor was it left there by an earlier tenant, and segments that were
/// dropped are there again. Changes the instance.
pub fn has_nothing_hidden(store: &mut Store<()>, instance: Instance) -> std::result::Result<(), TestCaseError> {
    for (load, shape) in [("load", 0), ("load wide", 2), ("load bytes", 3)] {
        let shape = &MEMORIES[shape];
        let load = instance.typed_func::<u64, u32>(&mut *store, load).unwrap();
        for beyond in [0, 1, 4095, 65_535] {
            let at = shape.minimum_bytes as u64 + beyond;
            prop_assert!(load.call(&mut *store, at).is_err(), "{} can be read at {}", shape.name, at);
        }
    }
    for shape in &MEMORIES {
        let memory = instance.memory(&mut *store, shape.name).unwrap();
        let more = if shape.page == 1 { 8700 } else { 3 };
        memory.grow(&mut *store, more).unwrap();
        let grown = &memory.data(&*store).unwrap()[shape.minimum_bytes..];
        prop_assert_eq!(grown.iter().position(|&b| b != 0), None, "what {} grew into is not zero", shape.name);
    }
    let then = instance.typed_func::<(u32, u64, u64, u32), ()>(&mut *store, "then").unwrap();
    for (segment, value) in [("memory memory.init", 0x44), ("t0 table.init", 3)] {
        let which = menu().matching(segment)[0];
        prop_assert!(then.call(&mut *store, (which, 0, value, 0)).is_ok(), "`{}`: the segment is dropped", segment);
    }
    Ok(())
}
