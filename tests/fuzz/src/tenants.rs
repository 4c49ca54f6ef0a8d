//! The target `tenants`: whoever comes next in a slot finds what a first tenant in an engine of its own finds.
//!
//! The engine of the slot is paranoid and has room for one instance. What a tenant does follows from a number, so it can
//! be done in both engines.

use instar::{Claim, Engine, ExportFunc, ExportMemory, InstancePre, Module, OwnedInstance};

use crate::case::{Case, Verdict};
use crate::diff::functions;
use crate::generate::{self, Imports};
use crate::host::{Answers, Stop, Value, View};
use crate::instar_side::{self, Side, stop};
use crate::mode::Mode;
use crate::random::Random;

/// What a tenant saw: how each call ended, and the instance before and after.
#[derive(PartialEq, Eq, Debug)]
struct Report {
    start: Option<Stop>,
    calls: Vec<(String, Result<Vec<Value>, Stop>)>,
    views: Vec<View>,
}

impl Report {
    fn difference(&self, other: &Report) -> Option<String> {
        if self.start != other.start {
            return Some(format!("the start gives {:?}, and {:?}", self.start, other.start));
        }
        if let Some(view) = self.views.iter().zip(&other.views).find_map(|(a, b)| a.difference(b)) {
            return Some(view);
        }
        self.calls
            .iter()
            .zip(&other.calls)
            .find(|(a, b)| a != b)
            .map(|(a, b)| format!("`{}` gives {:?}, and {:?}", a.0, a.1, b.1))
            .or_else(|| (self != other).then(|| "different numbers of things".to_owned()))
    }
}

fn engine(mode: &Mode, paranoid: bool) -> Engine {
    let mut config = mode.config();
    config.paranoid(paranoid).max_instances(1).max_wasm_stack(16 << 20);
    Engine::new(&config).expect("the configuration is good")
}

fn prepare(engine: &Engine, wasm: &[u8]) -> Result<(Module, InstancePre<Answers>), String> {
    let module = Module::new(engine, wasm).map_err(|e| format!("Instar refuses it: {e:?}"))?;
    let pre = instar_side::functions(engine, &module).instantiate_pre(&module);
    Ok((module, pre.map_err(|e| format!("not linked: {e:?}"))?))
}

pub fn run(case: &mut Case<'_>) -> Verdict {
    let mode = Mode::any(&mut case.random);
    case.count(mode.name);
    in_mode(case, mode).map_err(|e| format!("{}: {e}", mode.name))
}

fn in_mode(case: &mut Case<'_>, mode: &Mode) -> Verdict {
    let imports = *case.random.pick(&[Imports::None, Imports::Functions]);
    let Some(wasm) = generate::terminating(&mut case.random, imports) else {
        case.count("without a module");
        return Ok(());
    };
    case.keep(&wasm);
    let (module, pre) = prepare(&engine(mode, true), &wasm)?;
    case.count("modules");
    for _ in 0..3 {
        let first = case.random.next();
        match case.random.below(3) {
            0 => drop(in_store(&pre, &module, first, true)?),
            1 => alone(case, &pre, &module, first)?,
            _ => shared(case, &pre, &module, first)?,
        }
        let second = case.random.next();
        let found = in_store(&pre, &module, second, false)?;
        // An engine that nobody used before.
        let (fresh_module, fresh) = prepare(&engine(mode, false), &wasm)?;
        let expected = in_store(&fresh, &fresh_module, second, false)?;
        if let Some(difference) = found.difference(&expected) {
            return Err(format!("after tenant {first:#x}, tenant {second:#x} finds: {difference} (here, alone)"));
        }
        case.count("tenants compared");
        let returned = found.calls.iter().filter(|c| c.1.is_ok()).count() as u64;
        *case.counts.entry("calls that return").or_default() += returned;
        *case.counts.entry("calls that stop").or_default() += found.calls.len() as u64 - returned;
    }
    Ok(())
}

fn arguments(random: &mut Random, ty: &instar::FuncType) -> Vec<Value> {
    ty.params().iter().map(|&t| Value::any(random, instar_side::type_of(t))).collect()
}

/// A tenant in a store, who reaches everything. One that meddles also writes from the host.
fn in_store(pre: &InstancePre<Answers>, module: &Module, number: u64, meddles: bool) -> Result<Report, String> {
    let mut random = Random::new(number);
    let mut report = Report { start: None, calls: Vec::new(), views: Vec::new() };
    let mut side = match Side::of(pre)? {
        Ok(side) => side,
        Err(stop) => {
            report.start = Some(stop);
            return Ok(report);
        }
    };
    let look = |side: &mut Side, report: &mut Report| -> Result<(), String> {
        report.views.push(side.view().map_err(|e| format!("{e:?}"))?);
        Ok(())
    };
    look(&mut side, &mut report)?;
    let functions = functions(module);
    for _ in 0..2 {
        for (name, ty) in &functions {
            if meddles && random.once_in(3) {
                side.meddle(&mut random).map_err(|e| format!("{e:?}"))?;
            }
            if random.once_in(4) {
                continue;
            }
            let arguments = arguments(&mut random, ty);
            report.calls.push((name.clone(), side.call(name, &arguments)?));
        }
    }
    look(&mut side, &mut report)?;
    Ok(report)
}

/// A tenant with an instance of its own, through the checked raw calls that bindings use.
fn alone(case: &mut Case<'_>, pre: &InstancePre<Answers>, module: &Module, number: u64) -> Result<(), String> {
    let mut random = Random::new(number);
    let mut instance = match pre.fresh(Answers::default()) {
        Ok(instance) => instance,
        Err(error) => return stop(error).map(drop),
    };
    busy(case, pre, module, &mut random, &mut instance)
}

/// A tenant with an instance that it claims for each of its turns, and leaves behind as bindings do.
fn shared(case: &mut Case<'_>, pre: &InstancePre<Answers>, module: &Module, number: u64) -> Result<(), String> {
    let mut random = Random::new(number);
    let shared = match pre.shared(Answers::default()) {
        Ok(shared) => shared,
        Err(error) => return stop(error).map(drop),
    };
    for _ in 0..2 {
        let mut claim = shared.enter().map_err(|e| format!("{e:?}"))?;
        busy(case, pre, module, &mut random, &mut claim)?;
    }
    shared.close().map_err(|e| format!("{e:?}"))
}

/// What owned and claimed instances have in common.
trait Raw {
    fn size(&self, memory: &ExportMemory) -> instar::Result<u64>;
    fn grow(&mut self, memory: &ExportMemory, pages: u64) -> instar::Result<u64>;
    fn write(&mut self, memory: &ExportMemory, address: u64, bytes: &[u8]) -> instar::Result<()>;
    fn call(&mut self, func: &ExportFunc, slots: &mut [u64]) -> instar::Result<()>;
}

macro_rules! raw {
    ($ty:ty) => {
        impl Raw for $ty {
            fn size(&self, memory: &ExportMemory) -> instar::Result<u64> {
                self.memory_size(memory)
            }

            fn grow(&mut self, memory: &ExportMemory, pages: u64) -> instar::Result<u64> {
                self.memory_grow(memory, pages)
            }

            fn write(&mut self, memory: &ExportMemory, address: u64, bytes: &[u8]) -> instar::Result<()> {
                self.memory_write(memory, address, bytes)
            }

            fn call(&mut self, func: &ExportFunc, slots: &mut [u64]) -> instar::Result<()> {
                self.call_raw(func, slots)
            }
        }
    };
}

raw!(OwnedInstance<Answers>);
raw!(Claim<'_, Answers>);

/// Calls all that can be called on raw slots, with writes and growth by the host in between.
fn busy(
    case: &mut Case<'_>,
    pre: &InstancePre<Answers>,
    module: &Module,
    random: &mut Random,
    instance: &mut impl Raw,
) -> Result<(), String> {
    let memories = module.exports().filter(|e| matches!(e.ty, instar::ExternType::Memory(_)));
    let memories = memories.map(|e| pre.memory(e.name)).collect::<Result<Vec<_>, _>>().map_err(|e| format!("{e:?}"))?;
    let mut meddle = |random: &mut Random, instance: &mut dyn Raw| -> instar::Result<()> {
        for memory in &memories {
            if random.once_in(3) {
                let _ = instance.grow(memory, random.below(3) as u64);
            }
            let size = instance.size(memory)? as usize;
            let len = random.below(size.min(5000) + 1);
            let at = if random.once_in(3) { size - len } else { random.below(size - len + 1) };
            instance.write(memory, at as u64, &random.bytes(len))?;
            case.count("writes by the host");
        }
        Ok(())
    };
    let mut calls = 0;
    for (name, ty) in functions(module) {
        let func = pre.func(&name).map_err(|e| format!("{e:?}"))?;
        if ty.has_references() {
            continue;
        }
        if random.once_in(3) {
            meddle(random, instance).map_err(|e| format!("{e:?}"))?;
        }
        let mut slots: Vec<u64> = (0..ty.slots()).map(|_| random.bits()).collect();
        if let Err(error) = instance.call(&func, &mut slots) {
            stop(error)?;
        }
        calls += 1;
    }
    meddle(random, instance).map_err(|e| format!("{e:?}"))?;
    *case.counts.entry("raw calls").or_default() += calls;
    Ok(())
}
