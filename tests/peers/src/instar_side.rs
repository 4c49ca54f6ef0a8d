//! How Instar does a case: exports looked up once per `InstancePre`, then `InstancePre::call` or `fresh` per operation.

use std::sync::Arc;

use instar::{
    Engine, ExportMemory, FuncType, InstancePre, Linker, Module, OwnedInstance, Store, TypedExport, Val, ValType,
};

use crate::AnyResult;
use crate::cases::{Case, IMPORTS, Source, Work, import_parameters};
use crate::guest::instar_guest;
use crate::measure::{Run, Side};
use crate::modes::Mode;
use crate::requests::{self, ANSWER_BYTES};
use crate::stubs::Host;

const NO_TRAP: &str = "the guest does not trap";

/// What each store holds.
type HostData = u64;

/// The case in a mode; `None` when engines refuse the mode here.
pub fn prepare(case: &Case, wasm: &[u8], mode: &Mode) -> AnyResult<Option<Side>> {
    let Some(engine) = mode.engine()? else { return Ok(None) };
    let module = Module::new(&engine, wasm)?;
    Ok(Some(match case.module {
        Source::Wat(_) => exports(case, &engine, &module)?,
        Source::Lua | Source::Sqlite => program(case, &module)?,
    }))
}

fn exports(case: &Case, engine: &Engine, module: &Module) -> AnyResult<Side> {
    let pre = linker(engine)?.instantiate_pre(module)?;
    let run = pre.export::<(i32, i32), i32>("run")?;
    let keep = {
        let (pre, run, params) = (pre.clone(), run.clone(), case.operation.params);
        move || -> AnyResult<Box<dyn std::any::Any>> {
            let mut instance = pre.fresh(0)?;
            instance.call(&run, params)?;
            Ok(Box::new(instance))
        }
    };
    let (engine, work) = (engine.clone(), case.work);
    let live = {
        let (pre, run) = (pre.clone(), run.clone());
        move || live(&engine, &pre, &run, work)
    };
    let fresh = move || -> AnyResult<Run> {
        let (pre, run) = (pre.clone(), run.clone());
        Ok(Box::new(move |params, times| {
            let mut sum = 0u32;
            for data in 0..times {
                let answer = pre.call(data, &run, params).expect(NO_TRAP);
                sum = sum.wrapping_add(answer as u32);
            }
            sum
        }))
    };
    Ok(Side { fresh: Box::new(fresh), live: Box::new(live), keep: Box::new(keep) })
}

/// Calls into or out of an instance that stays.
fn live(
    engine: &Engine,
    pre: &InstancePre<HostData>,
    run: &TypedExport<(i32, i32), i32>,
    work: Work,
) -> AnyResult<Run> {
    if let Work::UntypedCall = work {
        return untyped(engine, pre);
    }
    let mut instance = pre.fresh(0)?;
    let run = run.clone();
    Ok(match work {
        Work::Callback => Box::new(move |params, times| {
            let answer = instance.call(&run, (times as i32, params.1)).expect(NO_TRAP);
            answer as u32
        }),
        Work::Fresh | Work::Call | Work::UntypedCall => Box::new(move |params, times| {
            let mut sum = 0u32;
            for _ in 0..times {
                let answer = instance.call(&run, params).expect(NO_TRAP);
                sum = sum.wrapping_add(answer as u32);
            }
            sum
        }),
    })
}

fn untyped(engine: &Engine, pre: &InstancePre<HostData>) -> AnyResult<Run> {
    let mut store = Store::new(engine, 0);
    let instance = pre.instantiate(&mut store)?;
    let func = instance.func(&mut store, "run").ok_or("no export `run`")?;
    Ok(Box::new(move |params, times| {
        let mut sum = 0u32;
        for _ in 0..times {
            let mut results = [Val::I32(0)];
            func.call(&mut store, &[Val::I32(params.0), Val::I32(params.1)], &mut results).expect(NO_TRAP);
            let [Val::I32(answer)] = results else { panic!("not an i32: {results:?}") };
            sum = sum.wrapping_add(answer as u32);
        }
        sum
    }))
}

fn linker(engine: &Engine) -> AnyResult<Linker<HostData>> {
    let mut linker = Linker::new(engine);
    linker.func_wrap("env", "add", |a: i32, b: i32| a.wrapping_add(b))?;
    for index in 0..IMPORTS {
        let parameters = import_parameters(index).map(|wide| if wide { ValType::I64 } else { ValType::I32 });
        linker.func_new("env", &format!("f{index}"), FuncType::new(parameters, []), |_, _, _| Ok(()))?;
    }
    Ok(linker)
}

/// A program's exports, as far as a [request](requests) needs them.
enum Exports {
    Lua { alloc: TypedExport<u32, u32>, run: TypedExport<(u32, u32), u64>, memory: ExportMemory },
    Sqlite { steps: [TypedExport<(), i32>; 4], insert: TypedExport<u32, i32>, select: TypedExport<u32, i64> },
}

impl Exports {
    fn new(case: &Case, pre: &InstancePre<Host>) -> AnyResult<Self> {
        Ok(match case.module {
            Source::Sqlite => Exports::Sqlite {
                steps: [pre.export("open")?, pre.export("create")?, pre.export("close")?, pre.export("shut_down")?],
                insert: pre.export("insert")?,
                select: pre.export("select")?,
            },
            _ => Exports::Lua { alloc: pre.export("alloc")?, run: pre.export("run")?, memory: pre.memory("memory")? },
        })
    }

    /// Serves a request. `room` is where the script lies, if there is room for it already.
    fn serve(&self, instance: &mut OwnedInstance<Host>, room: &mut Option<u32>) -> instar::Result<u32> {
        match self {
            Exports::Lua { alloc, run, memory } => {
                let script = requests::SCRIPT.as_bytes();
                let at = match *room {
                    Some(at) => at,
                    None => *room.insert(instance.call(alloc, script.len() as u32)?),
                };
                instance.memory_write(memory, u64::from(at), script)?;
                let (start, len) = requests::place(instance.call(run, (at, script.len() as u32))?);
                let mut text = [0; ANSWER_BYTES];
                instance.memory_read(memory, u64::from(start), &mut text[..len])?;
                Ok(requests::number(&text[..len]))
            }
            Exports::Sqlite { steps: [open, create, close, shut_down], insert, select } => {
                let mut codes = instance.call(open, ())? | instance.call(create, ())?;
                codes |= instance.call(insert, requests::ROWS)?;
                let rows = instance.call(select, requests::ROWS)?;
                codes |= instance.call(close, ())? | instance.call(shut_down, ())?;
                assert_eq!(codes, 0, "SQLite's calls succeed");
                Ok(rows as u32)
            }
        }
    }
}

fn program(case: &Case, module: &Module) -> AnyResult<Side> {
    let pre = instar_guest::linker(module)?.instantiate_pre(module)?;
    let exports = Arc::new(Exports::new(case, &pre)?);
    let keep = {
        let (pre, exports) = (pre.clone(), exports.clone());
        move || -> AnyResult<Box<dyn std::any::Any>> {
            let mut instance = pre.fresh(Host::default())?;
            exports.serve(&mut instance, &mut None)?;
            Ok(Box::new(instance))
        }
    };
    let live = {
        let (pre, exports) = (pre.clone(), exports.clone());
        move || -> AnyResult<Run> {
            let (mut instance, mut room) = (pre.fresh(Host::default())?, None);
            let exports = exports.clone();
            Ok(Box::new(move |_, times| {
                (0..times).fold(0, |sum, _| sum.wrapping_add(exports.serve(&mut instance, &mut room).expect(NO_TRAP)))
            }))
        }
    };
    let fresh = move || -> AnyResult<Run> {
        let (pre, exports) = (pre.clone(), exports.clone());
        Ok(Box::new(move |_, times| {
            (0..times).fold(0u32, |sum, _| {
                let mut instance = pre.fresh(Host::default()).expect("there is a free slot");
                sum.wrapping_add(exports.serve(&mut instance, &mut None).expect(NO_TRAP))
            })
        }))
    };
    Ok(Side { fresh: Box::new(fresh), live: Box::new(live), keep: Box::new(keep) })
}
