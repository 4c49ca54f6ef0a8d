//! Images: segments wherever their places come from, in whatever way slots get them, against a model that applies them one
//! by one as the specification says.

use std::fmt::Write;
use std::process::Command;
use std::sync::Arc;

use instar::{
    Engine, ErrorKind, Extern, Global, GlobalType, Instance, InstancePre, Linker, Memory, MemoryType, Module, RefType,
    Store, Table, TableType, TrapCode, Val, ValType,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::kit::{self, fails, module, one_slot, traps};

const PAGE: usize = 65_536;
const ELEMENTS: usize = 150;
const FUNCTIONS: usize = 3;
const CONSTANTS: usize = 3;

/// Where a segment goes: a number, and the imported constant that is added to it.
#[derive(Clone, Debug)]
struct Offset {
    number: u32,
    constant: Option<usize>,
}

#[derive(Clone, Debug)]
struct Data {
    /// 0 is the imported memory, if there is one.
    memory: usize,
    offset: Offset,
    bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Elements {
    table: usize,
    offset: Offset,
    /// Numbers of functions, or null.
    functions: Vec<Option<usize>>,
    expressions: bool,
}

#[derive(Clone, Debug)]
struct Case {
    imports_memory: bool,
    imports_table: bool,
    constants: Vec<u32>,
    data: Vec<Data>,
    elements: Vec<Elements>,
}

fn offset(end: u32) -> impl Strategy<Value = Offset> {
    // Most fit; near the end, some do not.
    let number = prop_oneof![8 => 0..end / 2, 2 => end - 20..end, 1 => Just(u32::MAX)];
    (number, prop::option::of(0..CONSTANTS)).prop_map(|(number, constant)| Offset { number, constant })
}

fn case() -> impl Strategy<Value = Case> {
    let bytes = prop_oneof![vec(any::<u8>(), 0..12), (any::<u8>(), 4000..9000usize).prop_map(|(b, n)| vec![b; n])];
    let data =
        (0..2usize, offset(PAGE as u32), bytes).prop_map(|(memory, offset, bytes)| Data { memory, offset, bytes });
    let functions = vec(prop::option::weighted(0.8, 0..FUNCTIONS), 0..9);
    let elements = (0..2usize, offset(ELEMENTS as u32), functions, any::<bool>())
        .prop_map(|(table, offset, functions, expressions)| Elements { table, offset, functions, expressions });
    let constants = vec(prop_oneof![4 => 0..40u32, 2 => 0..8000u32, 1 => Just(u32::MAX - 3)], CONSTANTS);
    (any::<bool>(), any::<bool>(), constants, vec(data, 0..7), vec(elements, 0..5)).prop_map(
        |(imports_memory, imports_table, constants, data, elements)| Case {
            imports_memory,
            imports_table,
            constants,
            data,
            elements,
        },
    )
}

/// What two memories and two tables hold.
#[derive(Clone, PartialEq)]
struct State {
    memories: [Vec<u8>; 2],
    tables: [Vec<Option<usize>>; 2],
}

impl Case {
    fn at(&self, offset: &Offset) -> usize {
        let constant = offset.constant.map_or(0, |i| self.constants[i]);
        offset.number.wrapping_add(constant) as usize
    }

    fn text(&self) -> String {
        let mut text = "(module (type $t (func (param i32) (result i32)))\n".to_string();
        for i in 0..CONSTANTS {
            writeln!(text, "(import \"c\" \"{i}\" (global $c{i} i32))").unwrap();
        }
        let (memory, table) = ("(memory $m0 1 9)", format!("(table $t0 {ELEMENTS} 200 funcref)"));
        if self.imports_memory {
            writeln!(text, "(import \"m\" \"memory\" {memory})").unwrap();
        }
        if self.imports_table {
            writeln!(text, "(import \"m\" \"table\" {table})").unwrap();
        }
        if !self.imports_memory {
            text.push_str("(memory $m0 (export \"m0\") 1 9)");
        }
        if !self.imports_table {
            writeln!(text, "(table $t0 (export \"t0\") {ELEMENTS} 200 funcref)").unwrap();
        }
        writeln!(text, "(memory $m1 (export \"m1\") 1) (table $t1 (export \"t1\") {ELEMENTS} 900 funcref)").unwrap();
        for data in &self.data {
            let bytes: String = data.bytes.iter().map(|b| format!("\\{b:02x}")).collect();
            writeln!(text, "(data (memory $m{}) {} \"{bytes}\")", data.memory, expression(&data.offset)).unwrap();
        }
        for segment in &self.elements {
            write!(text, "(elem (table $t{}) {} ", segment.table, expression(&segment.offset)).unwrap();
            // The text format has no nulls but in expressions.
            let functions = segment.functions.iter();
            match segment.expressions || segment.functions.contains(&None) {
                true => {
                    let item = |f: &Option<usize>| f.map_or("(ref.null func)".into(), |f| format!("(ref.func $f{f})"));
                    writeln!(text, "funcref {})", functions.map(item).collect::<String>()).unwrap();
                }
                false => {
                    let items: String = functions.map(|f| format!("$f{} ", f.unwrap_or(0))).collect();
                    writeln!(text, "func {items})").unwrap();
                }
            }
        }
        // Each function says its number, or looks at what the instance defines itself.
        for i in 0..FUNCTIONS {
            writeln!(
                text,
                "(func $f{i} (export \"f{i}\") (param $what i32) (result i32) (local $at i32) (local $hash i32)
                  (if (i32.eqz (local.get $what)) (then (return (i32.const {i}))))
                  (if (i32.eq (local.get $what) (i32.const 1)) (then (loop $next
                    (local.set $hash (i32.add (i32.mul (local.get $hash) (i32.const 31))
                      (i32.load8_u $m1 (local.get $at))))
                    (local.set $at (i32.add (local.get $at) (i32.const 1)))
                    (br_if $next (i32.lt_u (local.get $at) (i32.const {PAGE}))))))
                  (if (i32.eq (local.get $what) (i32.const 2)) (then (loop $next
                    (local.set $hash (i32.add (i32.mul (local.get $hash) (i32.const 31))
                      (ref.is_null (table.get $t1 (local.get $at)))))
                    (local.set $at (i32.add (local.get $at) (i32.const 1)))
                    (br_if $next (i32.lt_u (local.get $at) (i32.const {ELEMENTS}))))))
                  (local.get $hash))"
            )
            .unwrap();
        }
        text.push_str(
            "(func (export \"dirty\") (param $at i32) (param $place i32)
              (i64.store $m0 (local.get $at) (i64.const -1)) (i64.store $m1 (local.get $at) (i64.const -1))
              (table.set $t0 (local.get $place) (ref.func $f1)) (table.set $t1 (local.get $place) (ref.null func))
              (table.fill $t1 (local.get $place) (ref.func $f2) (i32.const 3))
              (drop (memory.grow $m1 (i32.const 1))) (drop (table.grow $t1 (ref.func $f0) (i32.const 90))))",
        );
        text.push(')');
        text
    }

    /// What is there in the end, and the trap if there is one.
    fn model(&self) -> (State, Option<TrapCode>) {
        let zero = || vec![0; PAGE];
        let null = || vec![None; ELEMENTS];
        let mut state = State { memories: [zero(), zero()], tables: [null(), null()] };
        for segment in &self.elements {
            let at = self.at(&segment.offset);
            let Some(place) = state.tables[segment.table].get_mut(at..).filter(|t| segment.functions.len() <= t.len())
            else {
                return (state, Some(TrapCode::TableOutOfBounds));
            };
            place[..segment.functions.len()].copy_from_slice(&segment.functions);
        }
        for data in &self.data {
            let at = self.at(&data.offset);
            let Some(place) = state.memories[data.memory].get_mut(at..).filter(|m| data.bytes.len() <= m.len()) else {
                return (state, Some(TrapCode::MemoryOutOfBounds));
            };
            place[..data.bytes.len()].copy_from_slice(&data.bytes);
        }
        (state, None)
    }

    fn linker(&self, engine: &Engine) -> Linker<()> {
        let mut linker = Linker::new(engine);
        for (i, &value) in self.constants.iter().enumerate() {
            linker.define_constant("c", &i.to_string(), value).unwrap();
        }
        linker
    }
}

fn expression(offset: &Offset) -> String {
    match offset.constant {
        None => format!("(i32.const {})", offset.number),
        Some(i) if offset.number == 0 => format!("(global.get $c{i})"),
        Some(i) => format!("(offset (i32.add (global.get $c{i}) (i32.const {})))", offset.number),
    }
}

fn hash(values: impl Iterator<Item = u32>) -> u32 {
    values.fold(0u32, |hash, value| hash.wrapping_mul(31).wrapping_add(value))
}

fn table_state(store: &mut Store<()>, table: Table) -> Vec<Option<usize>> {
    let element = |at| match table.get(&*store, at).unwrap() {
        Some(Val::FuncRef(func)) => func,
        other => panic!("{other:?}"),
    };
    let functions: Vec<_> = (0..table.size(&*store).unwrap()).map(element).collect();
    let mut number = |func: instar::Func| func.typed::<u32, u32>(&*store).unwrap().call(&mut *store, 0).unwrap();
    functions.into_iter().map(|func| func.map(|func| number(func) as usize)).collect()
}

fn check(
    store: &mut Store<()>,
    expected: &State,
    memories: [Memory; 2],
    tables: [Table; 2],
) -> Result<(), TestCaseError> {
    for (i, memory) in memories.into_iter().enumerate() {
        let mut bytes = vec![0xee; memory.data_size(&*store).unwrap()];
        memory.read(&*store, 0, &mut bytes).unwrap();
        prop_assert!(bytes == expected.memories[i], "memory {i}");
    }
    for (i, table) in tables.into_iter().enumerate() {
        prop_assert_eq!(&table_state(store, table), &expected.tables[i], "table {}", i);
    }
    Ok(())
}

/// Instances of its own, one after the other in the one slot.
fn run_alone(case: &Case, pre: &InstancePre<()>) -> Result<(), TestCaseError> {
    let (expected, trap) = case.model();
    for round in 0..3u32 {
        let mut store = Store::new(pre.engine(), ());
        let instance = match (pre.instantiate(&mut store), trap) {
            (Ok(instance), None) => instance,
            (Err(error), Some(code)) => {
                prop_assert_eq!(error.trap_code(), Some(code));
                continue;
            }
            (result, _) => return Err(TestCaseError::fail(format!("{result:?} instead of {trap:?}"))),
        };
        let memories = ["m0", "m1"].map(|name| instance.memory(&mut store, name).unwrap());
        let tables = ["t0", "t1"].map(|name| instance.table(&mut store, name).unwrap());
        check(&mut store, &expected, memories, tables)?;
        dirty(&mut store, instance, round);
        memories[0].write(&mut store, 30_000 + u64::from(round) * 64, b"left behind").unwrap();
        tables[0].set(&mut store, 149, Val::FuncRef(None)).unwrap();
    }
    Ok(())
}

fn dirty(store: &mut Store<()>, instance: Instance, round: u32) {
    let dirty = instance.typed_func::<(u32, u32), ()>(&mut *store, "dirty").unwrap();
    dirty.call(store, (round * 4093, round * 63)).unwrap();
}

/// An instance with a memory and a table of the store's.
fn run_in_store(case: &Case, module: &Module) -> Result<(), TestCaseError> {
    let engine = module.engine();
    let (expected, trap) = case.model();
    let mut store = Store::new(engine, ());
    let memory = Memory::new(&mut store, MemoryType::new(1, Some(9))).unwrap();
    let ty = TableType::new(RefType::FUNCREF, ELEMENTS as u64, Some(200));
    let table = Table::new(&mut store, ty, Val::FuncRef(None)).unwrap();
    let mut linker = case.linker(engine);
    linker.define(&mut store, "m", "memory", memory).unwrap().define(&mut store, "m", "table", table).unwrap();
    match (linker.instantiate(&mut store, module), trap) {
        (Ok(instance), None) => {
            let own = ["m0", "m1"].map(|name| instance.memory(&mut store, name));
            let memories = [own[0].unwrap_or(memory), own[1].unwrap()];
            let own = ["t0", "t1"].map(|name| instance.table(&mut store, name));
            let tables = [own[0].unwrap_or(table), own[1].unwrap()];
            check(&mut store, &expected, memories, tables)?;
            dirty(&mut store, instance, 1);
        }
        (Err(error), Some(code)) => {
            prop_assert_eq!(error.trap_code(), Some(code));
            // What went before is there, and only that. What is the instance's own can be seen if a function got out.
            if case.imports_memory {
                let mut bytes = vec![0; PAGE];
                memory.read(&store, 0, &mut bytes).unwrap();
                prop_assert!(bytes == expected.memories[0], "the imported memory after a trap");
            }
            if case.imports_table {
                prop_assert_eq!(&table_state(&mut store, table), &expected.tables[0]);
                let escaped = (0..ELEMENTS as u64).find_map(|i| match table.get(&store, i).unwrap() {
                    Some(Val::FuncRef(func)) => func,
                    _ => None,
                });
                if let Some(func) = escaped {
                    let func = func.typed::<u32, u32>(&store).unwrap();
                    let bytes = hash(expected.memories[1].iter().map(|&b| b.into()));
                    prop_assert_eq!(func.call(&mut store, 1).unwrap(), bytes, "a memory after a trap");
                    let nulls = hash(expected.tables[1].iter().map(|f| f.is_none().into()));
                    prop_assert_eq!(func.call(&mut store, 2).unwrap(), nulls, "a table after a trap");
                }
            }
        }
        (result, _) => return Err(TestCaseError::fail(format!("{result:?} instead of {trap:?}"))),
    }
    Ok(())
}

/// A file in the folder for tests, removed in the end.
struct Artifact(std::path::PathBuf);

impl Artifact {
    fn new(name: &str, module: &Module) -> Self {
        let name = format!("images-{}-{name}.cwasm", std::process::id());
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        module.serialize_to_file(&path).unwrap();
        Artifact(path)
    }

    fn load(&self, engine: &Engine) -> Module {
        // SAFETY: the file was made just now, and nobody changes it.
        unsafe { Module::deserialize_file(engine, &self.0) }.unwrap()
    }
}

impl Drop for Artifact {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

fn engines(change: impl Fn(&mut instar::Config)) -> [Engine; 2] {
    [1, 1000].map(|instances| {
        kit::engine(|config| {
            config.max_instances(instances);
            change(config);
        })
    })
}

/// In a slot of its own and in a store, compiled and loaded from a file.
fn run(case: &Case, name: &str, change: impl Fn(&mut instar::Config)) -> Result<(), TestCaseError> {
    let [alone, many] = engines(change);
    let engine = if case.imports_memory || case.imports_table { &many } else { &alone };
    let compiled = module(engine, case.text());
    let artifact = Artifact::new(name, &compiled);
    for module in [compiled, artifact.load(engine)] {
        if case.imports_memory || case.imports_table {
            run_in_store(case, &module)?;
            continue;
        }
        run_alone(case, &case.linker(engine).instantiate_pre(&module).unwrap())?;
        // Another InstancePre of the module has other constants.
        let other = Case { constants: case.constants.iter().map(|c| c.wrapping_add(5)).collect(), ..case.clone() };
        run_alone(&other, &other.linker(engine).instantiate_pre(&module).unwrap())?;
        run_in_store(case, &Module::new(&many, case.text()).unwrap())?;
    }
    Ok(())
}

fn config() -> ProptestConfig {
    // Fewer where there is one run for each mode.
    let usual = if std::env::var_os("INSTAR_TEST_MODE").is_some() { 30 } else { 150 };
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(usual);
    ProptestConfig { cases, max_shrink_iters: 2000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn segments_are_applied_as_the_model_does(case in case()) {
        run(&case, "mapped", |_| {})?;
    }

    #[test]
    fn segments_are_applied_as_the_model_does_when_images_are_copied(case in case()) {
        run(&case, "copied", |config| { config.memory_init_cow(false); })?;
    }

    #[test]
    fn segments_are_applied_as_the_model_does_when_nothing_is_dense(case in case(), memfd in any::<bool>()) {
        run(&case, "sparse", |config| {
            config.memory_guaranteed_dense_image_size(0).force_memory_init_memfd(memfd);
        })?;
    }
}

const AT_BASE: &str = r#"(module (import "env" "base" (global $base i32)) (import "env" "table" (global $table i32))
  (memory (export "memory") 20) (table (export "t") 40 funcref)
  (data (i32.const 0) "known") (data (global.get $base) "at base") (data (i32.const 100) "known too")
  (elem (i32.const 0) func $a) (elem (global.get $table) func $b $b)
  (func $a (result i32) (i32.const 1)) (func $b (result i32) (i32.const 2))
  (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0)))
  (func (export "spoil") (table.set (i32.const 20) (ref.null func)) (table.set (i32.const 0) (ref.func $b))
    (memory.fill (i32.const 0) (i32.const 9) (i32.const 70000))))"#;

fn constants(engine: &Engine, base: u32, table: u32) -> Linker<()> {
    let mut linker = Linker::new(engine);
    linker.define_constant("env", "base", base).unwrap().define_constant("env", "table", table).unwrap();
    linker
}

fn read(pre: &InstancePre<()>, instance: &mut instar::OwnedInstance<()>, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    instance.memory_read(&pre.memory("memory").unwrap(), at, &mut bytes).unwrap();
    bytes
}

#[test]
fn constants_are_part_of_an_instance_pre() {
    let engine = one_slot();
    let module = module(&engine, AT_BASE);
    let pres = [(50, 20), (1 << 20, 30), (3, 0)]
        .map(|(base, table)| (base, table, constants(&engine, base, table).instantiate_pre(&module).unwrap()));
    for _ in 0..2 {
        for (base, table, pre) in &pres {
            for _ in 0..2 {
                let mut instance = pre.fresh(()).unwrap();
                assert_eq!(read(pre, &mut instance, u64::from(*base), 7), b"at base");
                assert_eq!(read(pre, &mut instance, 100, 9), b"known too");
                assert_eq!(read(pre, &mut instance, 0, 3), b"kno");
                let call = pre.export::<u32, u32>("call").unwrap();
                assert_eq!(instance.call(&call, *table).unwrap(), 2);
                assert_eq!(instance.call(&call, table + 1).unwrap(), 2);
                if *table > 0 {
                    assert_eq!(instance.call(&call, 0).unwrap(), 1);
                }
                instance.call(&pre.export::<(), ()>("spoil").unwrap(), ()).unwrap();
            }
        }
    }
    let outside = constants(&engine, 20 * 65_536 - 6, 0).instantiate_pre(&module).unwrap();
    traps(outside.fresh(()).map(drop), TrapCode::MemoryOutOfBounds);
    let outside = constants(&engine, 0, 39).instantiate_pre(&module).unwrap();
    traps(outside.fresh(()).map(drop), TrapCode::TableOutOfBounds);
}

#[test]
fn a_constant_global_of_a_store_ties_nothing_to_it() {
    let engine = kit::paranoid();
    let module = module(&engine, AT_BASE);
    let mut linker = Linker::<()>::new(&engine);
    {
        let mut store = Store::new(&engine, ());
        let ty = GlobalType { content: ValType::I32, mutable: false };
        for (name, value) in [("base", 77), ("table", 11)] {
            let global = Global::new(&mut store, ty, Val::I32(value)).unwrap();
            linker.define(&mut store, "env", name, global).unwrap();
        }
    }
    // The store is gone, and its slots were used again.
    let mut other = Store::new(&engine, ());
    let ty = GlobalType { content: ValType::I32, mutable: true };
    let _others: Vec<_> = (0..4).map(|i| Global::new(&mut other, ty, Val::I32(i)).unwrap()).collect();
    let pre = linker.instantiate_pre(&module).unwrap();
    for _ in 0..2 {
        let mut instance = pre.fresh(()).unwrap();
        assert_eq!(read(&pre, &mut instance, 77, 7), b"at base");
        assert_eq!(instance.call(&pre.export::<u32, u32>("call").unwrap(), 12).unwrap(), 2);
    }
    // Any store will do.
    linker.instantiate(&mut other, &module).unwrap();

    // A mutable global, and a reference, still belong to theirs.
    for (content, mutable, value) in [("(mut i32)", true, Val::I32(1)), ("externref", false, Val::ExternRef(None))] {
        let mut store = Store::new(&engine, ());
        let ty = GlobalType { content: value.ty(), mutable };
        let global = Global::new(&mut store, ty, value).unwrap();
        let mut linker = Linker::new(&engine);
        linker.define(&mut store, "env", "g", global).unwrap();
        let user = kit::module(&engine, format!(r#"(module (import "env" "g" (global {content})))"#));
        fails(linker.instantiate_pre(&user).map(drop), ErrorKind::Link);
    }
}

#[test]
fn constants_of_all_types_are_globals_like_others() {
    let engine = one_slot();
    let vector = u128::MAX / 3 * 2;
    let values = [
        ("i32", Val::from(-7i32)),
        ("i64", Val::from(i64::MIN)),
        ("f32", Val::F32(0x7fa0_0001)),
        ("f64", Val::F64(0xfff4_0000_0000_0001)),
        ("v128", Val::V128(vector.into())),
    ];
    let mut linker = Linker::new(&engine);
    let mut text = "(module ".to_string();
    for (name, value) in values {
        linker.define_constant("k", name, value).unwrap();
        write!(text, r#"(import "k" "{name}" (global ${name} {name}))"#).unwrap();
    }
    for (name, _) in values {
        write!(
            text,
            r#"(export "{name}" (global ${name})) (global (export "{name} copy") {name} (global.get ${name}))"#
        )
        .unwrap();
    }
    text += "(func (export \"get\") (result i64) (global.get $i64)))";
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    for _ in 0..2 {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        for (name, value) in values {
            for name in [name.to_string(), format!("{name} copy")] {
                let global = instance.global(&mut store, &name).unwrap();
                assert_eq!(global.ty(), GlobalType { content: value.ty(), mutable: false });
                assert_eq!(format!("{:?}", global.get(&store).unwrap()), format!("{value:?}"), "{name}");
                fails(global.set(&mut store, value), ErrorKind::Type);
            }
        }
        let get = instance.typed_func::<(), i64>(&mut store, "get").unwrap();
        assert_eq!(get.call(&mut store, ()).unwrap(), i64::MIN);
        // The import that an instance passes on can be imported again.
        let again = instance.export(&mut store, "i32").unwrap();
        assert!(matches!(again, Extern::Global(_)));
        let mut onward = Linker::<()>::new(&engine);
        onward.define(&mut store, "k", "i32", again).unwrap();
    }
    let error = fails(linker.define_constant("k", "i32", 1).map(drop), ErrorKind::Link);
    assert!(error.message().contains("`k.i32` is defined already"), "{error}");
    let error = fails(linker.define_constant("k", "r", Val::FuncRef(None)).map(drop), ErrorKind::Type);
    assert!(error.message().contains("only numbers can be constants"), "{error}");
    let wrong = module(&engine, r#"(module (import "k" "i32" (global (mut i32))))"#);
    let error = fails(linker.instantiate_pre(&wrong).map(drop), ErrorKind::Link);
    assert!(error.message().contains("wants a mutable global i32, it is a constant global i32"), "{error}");
}

/// Writable mappings of this process whose file has `name` in its path.
fn mappings(name: &str) -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux tells");
    maps.lines().filter(|line| line.contains(name) && line.contains(" rw-p ")).count()
}

const KNOWN: &str = r#"(module (memory (export "memory") 4) (data (i32.const 5000) "known")
  (func (export "peek") (param i32) (result i32) (i32.load8_u (local.get 0))))"#;

#[test]
fn images_are_mapped_from_where_the_configuration_says() {
    kit::alone("images::images_are_mapped_from_where_the_configuration_says", || {
        let file = Artifact::new("mapped-from", &module(&kit::paranoid(), KNOWN));
        for (cow, memfd, from_file, from_memory) in
            [(true, false, 1, 0), (true, true, 0, 1), (false, false, 0, 0), (false, true, 0, 0)]
        {
            let engine = kit::engine(|config| {
                config.memory_init_cow(cow).force_memory_init_memfd(memfd);
            });
            let pre = Linker::<()>::new(&engine).instantiate_pre(&file.load(&engine)).unwrap();
            for _ in 0..2 {
                let mut instance = pre.fresh(()).unwrap();
                assert_eq!(read(&pre, &mut instance, 4999, 7), b"\0known\0");
                instance.memory_write(&pre.memory("memory").unwrap(), 4990, &[7; 40]).unwrap();
                assert_eq!(
                    (mappings("mapped-from"), mappings("memfd:instar")),
                    (from_file, from_memory),
                    "{cow} {memfd}"
                );
            }
        }
        // One whose place depends on an import does not keep the others out.
        let engine = kit::paranoid();
        let pre = constants(&engine, 1 << 20, 4).instantiate_pre(&module(&engine, AT_BASE)).unwrap();
        let mut instance = pre.fresh(()).unwrap();
        assert_eq!(read(&pre, &mut instance, 1 << 20, 7), b"at base");
        assert_eq!(mappings("memfd:instar"), 2, "two parts, far from each other");
    });
}

#[test]
fn zeroes_between_segments_are_in_the_artifact_as_far_as_the_configuration_says() {
    let segments: String = (0..40).map(|i| format!("(data (i32.const {}) \"x\")", i * 25_000)).collect();
    let text = format!("(module (memory (export \"memory\") 16) {segments})");
    let sizes: Vec<usize> = [0, 4 << 20]
        .into_iter()
        .map(|bytes| {
            let engine = kit::engine(|config| {
                config.memory_guaranteed_dense_image_size(bytes);
            });
            let module = module(&engine, &text);
            // The artifact of one loads in the other.
            let other = Artifact::new(&format!("dense-{bytes}"), &module).load(&kit::paranoid());
            for module in [&module, &other] {
                let pre = Linker::<()>::new(module.engine()).instantiate_pre(module).unwrap();
                let mut instance = pre.fresh(()).unwrap();
                assert!((0..40).all(|i| read(&pre, &mut instance, i * 25_000, 2) == b"x\0"));
            }
            module.serialize().unwrap().len()
        })
        .collect();
    assert!(sizes[0] < 60_000 && sizes[1] > 160_000, "{sizes:?}");
}

#[test]
fn running_out_of_descriptors_makes_images_copies() {
    const NAME: &str = "images::running_out_of_descriptors_makes_images_copies";
    const CHILD: &str = "INSTAR_TEST_DESCRIPTORS";
    if std::env::var_os(CHILD).is_none() {
        // Fewer descriptors than modules.
        let output = Command::new("sh")
            .args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().expect("the test binary has a path"))
            .args([NAME, "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .output()
            .expect("there is a shell");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("running 1 test"), "{}:\n{text}", output.status);
        return;
    }
    let engine = kit::paranoid();
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let file = Artifact::new("descriptors", &module(&engine, KNOWN));
    let mut kept = Vec::new();
    for i in 0..150 {
        let module = if i % 2 == 0 { file.load(&engine) } else { module(&engine, KNOWN) };
        let pre = Linker::<()>::new(&engine).instantiate_pre(&module).unwrap();
        for _ in 0..2 {
            let mut instance = pre.fresh(()).unwrap();
            assert_eq!(read(&pre, &mut instance, 4999, 7), b"\0known\0");
            instance.memory_write(&pre.memory("memory").unwrap(), 4990, &[7; 40]).unwrap();
        }
        kept.push(pre);
        assert!(descriptors() < 60, "some are left for others");
    }
    assert!(mappings("memfd:instar") > 5 && mappings("descriptors") > 5, "the first ones are mapped");
    // A module without an image of its own needs no descriptor.
    drop(kept);
    let before = descriptors();
    let file = Artifact::new("no-image", &kit::module(&engine, "(module (memory 1) (func (export \"f\")))"));
    let modules: Vec<Module> = (0..100).map(|_| file.load(&engine)).collect();
    assert_eq!(descriptors(), before);
    drop(modules);
}

#[test]
fn whatever_writes_a_table_is_undone_wherever_it_writes() {
    let engine = one_slot();
    // Marks stand for 32 elements each, and lie eight to a word.
    let text = r#"(module (table $t (export "t") 2000 5000 funcref) (table $x (export "x") 1000 externref)
      (table $filled (export "filled") 300 funcref (ref.func $f))
      (elem (table $t) (i32.const 60) func $f $f $f $f $f $f $f $f)
      (elem (table $filled) (i32.const 100) funcref (ref.null func) (ref.func $g))
      (elem $passive func $g $g $g) (func $f (export "f")) (func $g)
      (func (export "set") (param i32) (table.set $t (local.get 0) (ref.func $g))
        (table.set $x (i32.rem_u (local.get 0) (i32.const 1000)) (table.get $x (i32.const 7)))
        (table.set $filled (i32.rem_u (local.get 0) (i32.const 300)) (ref.func $g)))
      (func (export "fill") (param i32) (table.fill $t (local.get 0) (ref.func $g) (i32.const 130)))
      (func (export "copy") (param i32) (table.copy $t $filled (local.get 0) (i32.const 90) (i32.const 20)))
      (func (export "init") (param i32) (table.init $t $passive (local.get 0) (i32.const 0) (i32.const 3)))
      (func (export "grow") (param i32) (drop (table.grow $t (ref.func $g) (local.get 0)))
        (table.set $t (i32.sub (table.size $t) (i32.const 1)) (ref.null func))))"#;
    let pre = kit::pre(&engine, text);
    let functions = ["set", "fill", "copy", "init", "grow"].map(|name| pre.export::<u32, ()>(name).unwrap());
    for at in [0, 1, 31, 32, 59, 60, 63, 64, 67, 68, 127, 128, 511, 512, 513, 1023, 1800, 1870, 1980, 1996, 1999, 2000]
    {
        for function in &functions {
            // Traps are part of the game; the engine compares what is left.
            let _ = pre.call((), function, at);
        }
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        let f = instance.func(&mut store, "f").unwrap();
        let table = instance.table(&mut store, "t").unwrap();
        let objects = instance.table(&mut store, "x").unwrap();
        let object = instar::ExternRef::new(&mut store, at);
        let _ = table.set(&mut store, u64::from(at), f.into());
        objects.set(&mut store, u64::from(at) % 1000, Val::ExternRef(Some(object))).unwrap();
        assert_eq!(table.grow(&mut store, 1000, f.into()).unwrap(), 2000);
        table.set(&mut store, 2999, Val::FuncRef(None)).unwrap();
    }
    let mut store = Store::new(&engine, ());
    let instance = pre.instantiate(&mut store).unwrap();
    for (name, set) in [("t", 60..68), ("filled", 0..300), ("x", 0..0)] {
        let table = instance.table(&mut store, name).unwrap();
        for i in 0..table.size(&store).unwrap() {
            let is_null = matches!(table.get(&store, i).unwrap(), Some(Val::FuncRef(None) | Val::ExternRef(None)));
            assert_eq!(is_null, !set.contains(&i) || (name == "filled" && i == 100), "{name} {i}");
        }
    }
}

#[test]
fn memories_of_all_kinds_have_images() {
    let kinds = [
        ("(memory (export \"memory\") i64 1 5)", "i64"),
        ("(memory (export \"memory\") 70000 99999 (pagesize 1))", "i32"),
        ("(memory (export \"memory\") i64 70000 (pagesize 1))", "i64"),
        ("(memory (export \"memory\") 2 2)", "i32"),
    ];
    for (cow, dense) in [(true, 0), (true, 1 << 20), (false, 0), (false, 1 << 20)] {
        let engine = kit::engine(|config| {
            config.max_instances(1).wasm_custom_page_sizes(true);
            config.memory_init_cow(cow).memory_guaranteed_dense_image_size(dense);
        });
        for (memory, index) in kinds {
            let mut linker = Linker::new(&engine);
            let base = if index == "i64" { Val::I64(60_000) } else { Val::I32(60_000) };
            linker.define_constant("env", "base", base).unwrap();
            let known =
                format!("(module {memory} (data ({index}.const 3) \"start\") (data ({index}.const 64990) \"end\"))");
            let depends = format!(
                "(module (import \"env\" \"base\" (global $base {index})) {memory} (data ({index}.const 3) \"start\")
                   (data (offset ({index}.add (global.get $base) ({index}.const 4990))) \"end\"))"
            );
            for text in [known, depends] {
                let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
                let memory = pre.memory("memory").unwrap();
                for _ in 0..3 {
                    let mut instance = pre.fresh(()).unwrap();
                    assert_eq!(read(&pre, &mut instance, 0, 9), b"\0\0\0start\0");
                    assert_eq!(read(&pre, &mut instance, 64_989, 5), b"\0end\0");
                    instance.memory_write(&memory, 4, &[7; 65_000]).unwrap();
                    let _ = instance.memory_grow(&memory, 1);
                }
            }
        }
    }
}

#[test]
fn a_module_that_can_have_no_image_works() {
    // Each instance makes its shared memory anew; the image is mapped into it.
    let engine = kit::paranoid();
    let mut linker = Linker::new(&engine);
    linker.define_constant("env", "at", 40_000).unwrap();
    let text = r#"(module (import "env" "at" (global $at i32)) (memory (export "memory") 1 1 shared)
      (data (i32.const 3) "abc") (data (global.get $at) "xyz"))"#;
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    for _ in 0..3 {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        let memory = instance.shared_memory(&mut store, "memory").unwrap();
        let mut bytes = [0; 3];
        for (at, expected) in [(3, b"abc"), (40_000, b"xyz")] {
            memory.read(at, &mut bytes).unwrap();
            assert_eq!(&bytes, expected);
            memory.write(at, b"???").unwrap();
        }
    }
}

#[test]
fn several_threads_make_the_first_instances_of_an_image() {
    let engine = kit::paranoid();
    for _ in 0..20 {
        let pre = Arc::new(constants(&engine, 5, 5).instantiate_pre(&module(&engine, AT_BASE)).unwrap());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let pre = pre.clone();
                scope.spawn(move || {
                    let mut instance = pre.fresh(()).unwrap();
                    assert_eq!(read(&pre, &mut instance, 5, 7), b"at base");
                    assert_eq!(instance.call(&pre.export::<u32, u32>("call").unwrap(), 6).unwrap(), 2);
                });
            }
        });
    }
}
