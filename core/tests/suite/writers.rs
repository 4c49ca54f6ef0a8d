//! Isolation as a property of every writer: after any sequence of writes by guests and hosts the next instance equals its
//! image.
//!
//! `random` generates code, so that the compiler's decisions vary; here the code is fixed (see [`menu`](crate::menu)) and
//! what varies is what is called, by whom and in which order. Each sequence runs on an engine that is not paranoid first, so
//! that a difference is seen as a tenant would see it, and shrinks; and then on a paranoid one.

use instar::{DirtyTracking, Engine, ExternRef, Instance, Linker, Module, ModuleOptions, Store, Val};
use proptest::prelude::*;

use crate::kit;
use crate::menu::{GLOBALS, MEMORIES, TABLES, owner_text};
use crate::tenants::{
    Op, Place, Subject, Tenant, Way, act_in_store, equals_its_image, has_nothing_hidden, hosts, menu, tenants,
};

/// One tenant after the other through one slot, and each time a look at what the next one finds.
fn run(subject: &Subject, tenants: &[Tenant]) -> std::result::Result<(), TestCaseError> {
    for (i, tenant) in tenants.iter().enumerate() {
        subject.tenant(tenant);
        let mut store = Store::new(subject.pre.engine(), ());
        let instance = subject.pre.instantiate(&mut store).expect("the one slot is free");
        equals_its_image(&mut store, instance)?;
        if i % 2 == 1 || i + 1 == tenants.len() {
            has_nothing_hidden(&mut store, instance)?;
        }
    }
    Ok(())
}

/// The settings that decide how a memory is laid out, bounded and reset, by the names of the kit; and whether the module
/// chooses how it is tracked, rather than the engine.
type Mode = (&'static str, Option<DirtyTracking>);

/// Marks, with bounds of every kind.
const BOUNDS: &[Mode] = &[
    ("default", None),
    ("signals-off", None),
    ("reservation-0", None),
    ("reservation-1m", None),
    ("guard-0-reservation-0", None),
    ("signals-off-reservation-0", None),
];

/// Plain stores, the engine's choice.
const PLAIN: &[Mode] = &[
    ("touched", None),
    ("touched-reservation-0", None),
    ("pages", None),
    ("pages-signals-off", None),
    ("dirty-off", None),
    ("dirty-off-reservation-0", None),
    ("on-demand", None),
];

/// The module's choice.
const CHOSEN: &[Mode] = &[
    ("default", Some(DirtyTracking::Touched)),
    ("default", Some(DirtyTracking::Pages)),
    ("default", Some(DirtyTracking::Off)),
    ("touched", Some(DirtyTracking::Lines)),
];

fn engine(mode: &str, paranoid: bool, instances: usize) -> Engine {
    kit::mode(mode).engine_with(|config| {
        config.max_instances(instances).paranoid(paranoid).wasm_custom_page_sizes(true).cranelift_debug_verifier(false);
    })
}

fn options(tracking: Option<DirtyTracking>) -> ModuleOptions {
    let mut options = ModuleOptions::new();
    tracking.map(|tracking| options.dirty_tracking(tracking));
    options
}

/// A module for this engine; the text is compiled once for all engines that take the artifact.
fn load(engine: &Engine, artifact: &[u8]) -> Module {
    // SAFETY: it was made just now, by this program.
    unsafe { Module::deserialize(engine, artifact) }.expect("an artifact of the same settings")
}

/// Some seconds' worth for all of `ways` together; `PROPTEST_CASES` says how many for each of them.
fn config(cases: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(cases);
    ProptestConfig { cases, max_shrink_iters: 4000, failure_persistence: None, ..ProptestConfig::default() }
}

/// Runs the property in one way.
fn in_way(mode: &str, tracking: Option<DirtyTracking>) {
    let engines = [engine(mode, false, 1), engine(mode, true, 1)];
    let artifact = engines[0].precompile_module_with(&options(tracking), menu().text().as_bytes());
    let artifact = artifact.unwrap_or_else(|e| panic!("{mode}: {e}"));
    let [plain, paranoid] = engines.each_ref().map(|engine| Subject::new(engine, &load(engine, &artifact)));
    let result = proptest::test_runner::TestRunner::new(config(80)).run(&tenants(), |tenants| {
        run(&plain, &tenants)?;
        run(&paranoid, &tenants)
    });
    if let Err(error) = result {
        panic!("{mode}, module {tracking:?}: {error}");
    }
}

#[test]
fn after_any_sequence_of_writes_the_next_instance_equals_its_image() {
    BOUNDS.iter().for_each(|&(mode, tracking)| in_way(mode, tracking));
}

#[test]
fn so_it_does_where_stores_are_plain() {
    PLAIN.iter().for_each(|&(mode, tracking)| in_way(mode, tracking));
}

#[test]
fn so_it_does_where_the_module_chooses_how_it_is_tracked() {
    CHOSEN.iter().for_each(|&(mode, tracking)| in_way(mode, tracking));
}

/// All that an instance shows, as it is now.
fn everything(store: &mut Store<()>, instance: Instance) -> (Vec<Vec<u8>>, Vec<String>) {
    let memories =
        MEMORIES.iter().map(|m| instance.memory(&mut *store, m.name).unwrap().data(&*store).unwrap().to_vec());
    let memories = memories.collect();
    let mut rest = Vec::new();
    for (name, ..) in TABLES {
        let table = instance.table(&mut *store, name).unwrap();
        let size = table.size(&*store).unwrap();
        rest.extend((0..size).map(|at| format!("{name} {:?}", table.get(&*store, at).unwrap())));
    }
    for (name, ..) in GLOBALS {
        rest.push(format!("{name} {:?}", instance.global(&mut *store, name).unwrap().get(&*store).unwrap()));
    }
    (memories, rest)
}

/// So that the properties above mean something: each function of the menu changes something, somewhere.
#[test]
fn each_function_of_the_menu_writes() {
    let engine = engine("default", true, 1);
    let subject = Subject::new(&engine, &Module::new(&engine, menu().text()).unwrap());
    for (which, name) in menu().names.iter().enumerate().filter(|(_, name)| !name.ends_with(".drop")) {
        let mut store = Store::new(&engine, ());
        let instance = subject.pre.instantiate(&mut store).unwrap();
        for at in [0, 5] {
            let object = ExternRef::new(&mut store, at);
            instance.table(&mut store, "t1").unwrap().set(&mut store, at, Val::ExternRef(Some(object))).unwrap();
        }
        // Something in each to copy from, and to change.
        for (i, shape) in MEMORIES.iter().enumerate() {
            let memory = instance.memory(&mut store, shape.name).unwrap();
            memory.grow(&mut store, if shape.page == 1 { 5000 } else { 1 }).unwrap();
            let mut pattern: Vec<u8> = (0..300).map(|at| (at * 3 + i * 50) as u8).collect();
            pattern[40..48].fill(0);
            memory.write(&mut store, 0, &pattern).unwrap();
        }
        let before = everything(&mut store, instance);
        let then = instance.typed_func::<(u32, u64, u64, u32), ()>(&mut store, "then").unwrap();
        let changes = [
            (256, 0x8899_aa0b_0000_0003),
            (1, 0x0101_0101_0101_0101),
            (40, 0x0101_0101_0101_0101),
            (8, 0x7700_0000_0000_0101),
            (2, 2),
        ]
        .into_iter()
        .any(|(at, value)| {
            let _ = then.call(&mut store, (which as u32, at, value, 0));
            everything(&mut store, instance) != before
        });
        assert!(changes, "`{name}` changes nothing");
    }
}

/// Every function of the menu, one tenant each, at the ends of lines, pages and memories.
#[test]
fn each_operator_at_every_edge_leaves_nothing_behind() {
    for (mode, tracking) in [("default", None), ("touched", None), ("pages", None), ("signals-off-reservation-0", None)]
    {
        let engine = engine(mode, true, 1);
        let module = Module::with_options(&engine, &options(tracking), menu().text()).unwrap();
        let subject = Subject::new(&engine, &module);
        for which in 0..menu().names.len() as u32 {
            let places = [0, 1, 241, 248, 252, 255, 256, 4081, 4088, 4095].map(Place::At).into_iter();
            let ends = [1, 2, 3, 4, 7, 8, 9, 15, 16, 17].map(Place::BeforeEnd);
            for place in places.chain(ends) {
                let op = Op::Menu { which, place, value: 0x8899_aabb_ccdd_ee01, end: 0 };
                subject.tenant(&Tenant { way: Way::Calls, ops: vec![op] });
            }
        }
        let mut store = Store::new(&engine, ());
        let instance = subject.pre.instantiate(&mut store).unwrap();
        equals_its_image(&mut store, instance).unwrap_or_else(|e| panic!("{mode}: {e}"));
    }
}

/// The code that writes belongs to another module, of any mode, than the memories.
fn linked(owner_mode: DirtyTracking, writer_mode: DirtyTracking, reservation: u64) {
    let engines = [false, true].map(|paranoid| {
        kit::engine(|config| {
            config.max_instances(2).paranoid(paranoid).memory_reservation(reservation);
            config.wasm_custom_page_sizes(true).cranelift_debug_verifier(false);
        })
    });
    let compile = |mode, text: &str| engines[0].precompile_module_with(&options(Some(mode)), text.as_bytes()).unwrap();
    let (owner, writer) = (compile(owner_mode, &owner_text()), compile(writer_mode, &menu().importing_text()));
    let sides = engines.each_ref().map(|engine| {
        let owner = Linker::<()>::new(engine).instantiate_pre(&load(engine, &owner)).unwrap();
        (owner, load(engine, &writer), hosts(engine))
    });
    let result = proptest::test_runner::TestRunner::new(config(8)).run(&tenants(), |tenants| {
        for (owner, writer, hosts) in &sides {
            for tenant in &tenants {
                let mut store = Store::new(owner.engine(), ());
                let own = owner.instantiate(&mut store).expect("there is room for two");
                let mut linker = hosts.clone();
                linker.instance(&mut store, "o", own).unwrap();
                let instance = linker.instantiate(&mut store, writer).expect("there is room for two");
                act_in_store(&mut store, instance, &tenant.ops);
                drop(store);
                let mut store = Store::new(owner.engine(), ());
                let instance = owner.instantiate(&mut store).expect("there is room for two");
                equals_its_image(&mut store, instance)?;
            }
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("memories {owner_mode:?}, code {writer_mode:?}, reservation {reservation:#x}: {error}");
    }
}

#[test]
fn so_it_does_when_code_of_another_module_wrote() {
    use DirtyTracking::{Lines, Off, Pages, Touched};
    for (owner, writer) in [
        (Lines, Lines),
        (Lines, Touched),
        (Lines, Off),
        (Touched, Lines),
        (Touched, Touched),
        (Touched, Pages),
        (Pages, Lines),
        (Pages, Pages),
        (Off, Lines),
        (Off, Touched),
    ] {
        linked(owner, writer, 4 << 30);
        linked(owner, writer, 0);
    }
}
