//! Isolation as a property: whatever a tenant did, the next instance in its slot equals the image.
//!
//! The engine of the property is not paranoid, so that a difference is seen from outside, as a tenant would see it, and
//! shrinks; the same program then runs on a paranoid engine, which also compares what no tenant can see.

use instar::{AsContextMut, Caller, Engine, ExternRef, InstancePre, Linker, Store, Val};
use proptest::prelude::*;

use crate::kit;
use crate::program::{Action, FUNCREFS, Program, passive, program};

const PAGE: u64 = 65_536;

fn prepare(engine: &Engine, text: &str) -> InstancePre<()> {
    let mut linker = Linker::new(engine);
    linker
        .func_wrap("host", "write", |mut caller: Caller<'_, ()>, to: u32, len: u32, byte: u32| {
            let memory = caller.memory("memory").expect("the module exports its memory");
            // Out of bounds, nothing is written.
            let _ = memory.write(&mut caller, u64::from(to), &vec![byte as u8; len as usize]);
        })
        .expect("the name is free");
    linker.instantiate_pre(&kit::module(engine, text)).expect("all imports are defined")
}

/// What a tenant with an instance of its own does.
fn act_alone(program: &Program, pre: &InstancePre<()>, actions: &[Action]) {
    let mut instance = pre.fresh(()).expect("the one slot is free");
    let memory = pre.memory("memory").unwrap();
    let echo = pre.bytes_func("echo").unwrap();
    for action in actions {
        match action {
            Action::Call { function, arguments } => {
                let function = pre.export::<(u32, u32, u32), ()>(&format!("f{function}")).unwrap();
                let [a, b, c] = *arguments;
                // Traps are part of the game.
                let _ = instance.call(&function, (program.address(a), program.address(b), c));
            }
            Action::Write { place, len, byte } => {
                let at = u64::from(program.address(*place));
                let _ = instance.memory_write(&memory, at, &vec![*byte; *len as usize]);
            }
            Action::Grow(pages) => drop(instance.memory_grow(&memory, u64::from(*pages))),
            Action::Bytes(len) => drop(instance.call_bytes(&echo, &vec![0xab; *len as usize])),
            Action::SetGlobals(_) | Action::SetTable(_) | Action::GrowTable(_) => {}
        }
    }
}

/// What a tenant in a store does, who reaches tables and globals too.
fn act_in_store(program: &Program, pre: &InstancePre<()>, actions: &[Action]) {
    let mut store = Store::new(pre.engine(), ());
    let instance = pre.instantiate(&mut store).expect("the one slot is free");
    let memory = instance.memory(&mut store, "memory").unwrap();
    let object = ExternRef::new(&mut store, "an object");
    let objects = instance.table(&mut store, "t1").unwrap();
    objects.set(&mut store, 0, Val::ExternRef(Some(object))).unwrap();
    for action in actions {
        match action {
            Action::Call { function, arguments } => {
                let function = instance.func(&mut store, &format!("f{function}")).unwrap();
                let [a, b, c] = *arguments;
                let arguments = [Val::from(program.address(a)), Val::from(program.address(b)), Val::from(c)];
                let _ = function.call(&mut store, &arguments, &mut []);
            }
            Action::Write { place, len, byte } => {
                let at = u64::from(program.address(*place));
                let _ = memory.write(&mut store, at, &vec![*byte; *len as usize]);
            }
            Action::Grow(pages) => drop(memory.grow(&mut store, u64::from(*pages))),
            Action::SetGlobals(bits) => {
                let set = |store: &mut Store<()>, name: &str, value: Val| {
                    let global = instance.global(&mut *store, name).unwrap();
                    global.set(store, value).unwrap();
                };
                set(&mut store, "g0", Val::I32(program.address(*bits as u32) as i32));
                set(&mut store, "g1", Val::I64(*bits as i64));
                set(&mut store, "g2", Val::F32(*bits as u32));
                set(&mut store, "g3", Val::F64(*bits));
                set(&mut store, "g4", Val::FuncRef(None));
                set(&mut store, "g5", Val::ExternRef(Some(object)));
            }
            Action::SetTable(at) => {
                let function = instance.func(&mut store, "f0").unwrap();
                let table = instance.table(&mut store, "t0").unwrap();
                let _ = table.set(&mut store, u64::from(*at), function.into());
            }
            Action::GrowTable(by) => {
                let table = instance.table(&mut store, "t1").unwrap();
                table.grow(&mut store, u64::from(*by), Val::ExternRef(Some(object))).unwrap();
            }
            Action::Bytes(_) => {}
        }
    }
}

/// Compares the next instance with what the module's text says, through everything that a tenant can reach.
fn check(program: &Program, pre: &InstancePre<()>) -> Result<(), TestCaseError> {
    let mut store = Store::new(pre.engine(), ());
    let instance = pre.instantiate(&mut store).expect("the one slot is free");
    let image = &program.image;
    let memory = instance.memory(&mut store, "memory").unwrap();
    prop_assert_eq!(memory.size(&store).unwrap(), u64::from(image.pages));
    let expected = image.memory();
    let mut now = vec![0xee; expected.len()];
    memory.read(&store, 0, &mut now).unwrap();
    let differs = now.iter().zip(&expected).position(|(a, b)| a != b);
    prop_assert_eq!(differs, None, "address of the first byte that differs");

    let func = |store: &mut Store<()>, name: &str| instance.func(store, name).unwrap();
    let load = func(&mut store, "load");
    let beyond = load.call(&mut store, &[Val::from(image.pages * PAGE as u32)], &mut [Val::I32(0)]);
    prop_assert!(beyond.is_err(), "memory beyond the initial size can be read");

    let functions: Vec<_> = (0..4).map(|i| func(&mut store, &format!("f{i}"))).collect();
    let table = instance.table(&mut store, "t0").unwrap();
    let mut elements = [None; FUNCREFS];
    for (i, &f) in image.elements.iter().enumerate() {
        elements[i + 1] = Some(f);
    }
    elements[7] = Some(2);
    prop_assert_eq!(table.size(&store).unwrap(), FUNCREFS as u64);
    for (i, expected) in elements.iter().enumerate() {
        let Some(Val::FuncRef(now)) = table.get(&store, i as u64).unwrap() else { panic!("a table of functions") };
        prop_assert!(now == expected.map(|f| functions[f as usize]), "element {i} of table 0");
    }
    let objects = instance.table(&mut store, "t1").unwrap();
    prop_assert_eq!(objects.size(&store).unwrap(), 6);
    for i in 0..6 {
        let object = objects.get(&store, i).unwrap();
        prop_assert!(matches!(object, Some(Val::ExternRef(None))), "element {i} of table 1 is {object:?}");
    }
    let mut global = |name: &str| instance.global(&mut store, name).unwrap().get(&store).unwrap();
    prop_assert!(matches!(global("g0"), Val::I32(77)), "{:?}", global("g0"));
    prop_assert!(matches!(global("g1"), Val::I64(-5)), "{:?}", global("g1"));
    prop_assert!(matches!(global("g2"), Val::F32(bits) if bits == 1.5f32.to_bits()), "{:?}", global("g2"));
    prop_assert!(matches!(global("g3"), Val::F64(bits) if bits == (-2.5f64).to_bits()), "{:?}", global("g3"));
    prop_assert!(matches!(global("g4"), Val::FuncRef(f) if f == Some(functions[1])), "{:?}", global("g4"));
    prop_assert!(matches!(global("g5"), Val::ExternRef(None)), "{:?}", global("g5"));
    prop_assert!(matches!(global("constant"), Val::I64(99)), "{:?}", global("constant"));

    check_segments(&mut store, &instance)?;
    check_growth(program, &mut store, &memory)
}

/// Passive segments are there again.
fn check_segments(store: &mut Store<()>, instance: &instar::Instance) -> Result<(), TestCaseError> {
    let memory = instance.memory(&mut *store, "memory").unwrap();
    let init = instance.func(&mut *store, "init_data").unwrap();
    for i in 0..2 {
        let expected = passive(i);
        let arguments = [Val::I32(i as i32), Val::I32(0), Val::I32(expected.len() as i32)];
        prop_assert!(init.call(&mut *store, &arguments, &mut []).is_ok(), "data segment {i} is still dropped");
        let mut now = vec![0; expected.len()];
        memory.read(&*store, 0, &mut now).unwrap();
        prop_assert_eq!(now, expected);
    }
    let init = instance.func(&mut *store, "init_elements").unwrap();
    for i in 0..2 {
        prop_assert!(init.call(&mut *store, &[Val::I32(i)], &mut []).is_ok(), "element segment {i} is still dropped");
    }
    Ok(())
}

/// Pages that an earlier tenant grew into are zeroes for the next.
fn check_growth(program: &Program, store: &mut Store<()>, memory: &instar::Memory) -> Result<(), TestCaseError> {
    let more = u64::from(program.image.more_pages.unwrap_or(8));
    let old = memory.grow(store.as_context_mut(), more).unwrap();
    let mut now = vec![0xee; (more * PAGE) as usize];
    memory.read(&*store, old * PAGE, &mut now).unwrap();
    prop_assert!(now.iter().all(|&b| b == 0), "grown pages are not zero");
    Ok(())
}

fn run(program: &Program, engine: &Engine, text: &str) -> Result<(), TestCaseError> {
    let pre = prepare(engine, text);
    check(program, &pre)?;
    for (i, actions) in program.tenants.iter().enumerate() {
        match i % 2 {
            0 => act_alone(program, &pre, actions),
            _ => act_in_store(program, &pre, actions),
        }
        check(program, &pre)?;
    }
    Ok(())
}

/// The cases of a property that is tested for all modes at once: each case has one.
fn config_of_modes() -> ProptestConfig {
    let all = config();
    ProptestConfig { cases: all.cases / 4, ..all }
}

proptest! {
    #![proptest_config(config_of_modes())]

    #[test]
    fn in_every_mode_the_next_instance_equals_its_image(program in program(), mode in 0..kit::MODES.len()) {
        let text = program.text();
        let mode = &kit::MODES[mode];
        let plain = mode.engine_with(|config| { config.max_instances(1).paranoid(false); });
        run(&program, &plain, &text).map_err(|e| TestCaseError::fail(format!("{}: {e}", mode.name)))?;
        run(&program, &mode.engine_with(|config| { config.max_instances(1); }), &text)?;
    }
}

/// Some seconds' worth; `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
    ProptestConfig { cases, max_shrink_iters: 4000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_a_tenant_writes_the_next_instance_equals_its_image(program in program()) {
        let text = program.text();
        let plain = kit::engine(|config| { config.max_instances(1).paranoid(false); });
        run(&program, &plain, &text)?;
        // A paranoid engine ends the process, so that what it ran must be found without shrinking.
        let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("isolation-last-program.txt");
        std::fs::write(&file, format!("{:#?}\n{text}", program.tenants)).unwrap();
        run(&program, &kit::one_slot(), &text)?;
    }
}
