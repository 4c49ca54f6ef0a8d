//! How Wasmtime does a case, by its fastest documented way: the pooling allocator, copy-on-write images, `InstancePre`,
//! exports looked up once per module, typed functions whose type was checked once.

use std::sync::Arc;

use wasmtime::{
    Config, Enabled, Engine, FuncType, Instance, InstanceAllocationStrategy, InstancePre, Linker, Module, ModuleExport,
    PoolingAllocationConfig, Store, TypedFunc, Val, ValType, WasmParams, WasmResults,
};

use crate::AnyResult;
use crate::cases::{Case, IMPORTS, Source, Work, import_parameters};
use crate::guest::wasmtime_guest;
use crate::measure::{Run, Side};
use crate::requests::{self, ANSWER_BYTES};
use crate::stubs::Host;

const NO_TRAP: &str = "the guest does not trap";
const FREE_SLOT: &str = "there is a free slot";

/// What each store holds.
type HostData = u64;
type RunFunc = TypedFunc<(i32, i32), i32>;

/// Bytes of a memory and of a table that the best pool keeps and copies back rather than unmaps.
const KEEP_RESIDENT_BYTES: usize = 1 << 20;

/// An engine with the default pool or with its best setting. `large`: with limits for the largest modules of the cases.
fn engine(best: bool, large: bool) -> AnyResult<Engine> {
    let mut pool = PoolingAllocationConfig::default();
    if best {
        pool.pagemap_scan(if PoolingAllocationConfig::is_pagemap_scan_available() {
            Enabled::Yes
        } else {
            Enabled::No
        });
        pool.linear_memory_keep_resident(KEEP_RESIDENT_BYTES);
        pool.table_keep_resident(KEEP_RESIDENT_BYTES);
    }
    if large {
        pool.table_elements(200_000);
        pool.max_core_instance_size(16 << 20);
    }
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Ok(Engine::new(&config)?)
}

/// The case with the default pool, or with its best setting.
pub fn prepare(case: &Case, wasm: &[u8], best: bool) -> AnyResult<Side> {
    // A pool's limits belong to its setting, so they are raised only where a module does not fit.
    let compile = |large| -> AnyResult<_> {
        let engine = engine(best, large)?;
        let module = Module::new(&engine, wasm)?;
        Ok((engine, module))
    };
    let (engine, module) = compile(false).or_else(|_| compile(true))?;
    match case.module {
        Source::Wat(_) => exports(case, engine, &module),
        Source::Lua | Source::Sqlite => program(case, engine, &module),
    }
}

fn exports(case: &Case, engine: Engine, module: &Module) -> AnyResult<Side> {
    let pre = linker(&engine)?.instantiate_pre(module)?;
    let export = module.get_export_index("run").ok_or("no export `run`")?;
    // The only check of the function's type: Instar's token is checked once too.
    let mut store = Store::new(&engine, 0);
    pre.instantiate(&mut store)?.get_typed_func::<(i32, i32), i32>(&mut store, "run")?;
    drop(store);
    let keep = {
        let (engine, pre, params) = (engine.clone(), pre.clone(), case.operation.params);
        move || -> AnyResult<Box<dyn std::any::Any>> {
            let mut store = Store::new(&engine, 0);
            let instance = pre.instantiate(&mut store)?;
            let run: RunFunc = instance.get_typed_func(&mut store, "run")?;
            run.call(&mut store, params)?;
            Ok(Box::new(store))
        }
    };
    let live = {
        let (engine, pre, work) = (engine.clone(), pre.clone(), case.work);
        move || live(&engine, &pre, work)
    };
    let fresh = move || -> AnyResult<Run> {
        let (engine, pre) = (engine.clone(), pre.clone());
        Ok(Box::new(move |params, times| {
            let mut sum = 0u32;
            for data in 0..times {
                let mut store = Store::new(&engine, data);
                let instance = pre.instantiate(&mut store).expect(FREE_SLOT);
                let run: RunFunc = func(&mut store, &instance, &export);
                sum = sum.wrapping_add(run.call(&mut store, params).expect(NO_TRAP) as u32);
            }
            sum
        }))
    };
    Ok(Side { fresh: Box::new(fresh), live: Box::new(live), keep: Box::new(keep) })
}

/// An exported function, whose type was checked before.
fn func<T: 'static, P: WasmParams, R: WasmResults>(
    store: &mut Store<T>,
    instance: &Instance,
    export: &ModuleExport,
) -> TypedFunc<P, R> {
    let func = instance.get_module_export(&mut *store, export).and_then(|e| e.into_func());
    // SAFETY: callers have checked the type of this export in an instance of the same module; it is the same in all.
    unsafe { TypedFunc::new_unchecked(&*store, func.expect("the export is a function")) }
}

/// Calls into or out of an instance that stays.
fn live(engine: &Engine, pre: &InstancePre<HostData>, work: Work) -> AnyResult<Run> {
    let mut store = Store::new(engine, 0);
    let instance = pre.instantiate(&mut store)?;
    let run: RunFunc = instance.get_typed_func(&mut store, "run")?;
    Ok(match work {
        Work::UntypedCall => {
            let func = *run.func();
            Box::new(move |params, times| {
                let mut sum = 0u32;
                for _ in 0..times {
                    let mut results = [Val::I32(0)];
                    func.call(&mut store, &[Val::I32(params.0), Val::I32(params.1)], &mut results).expect(NO_TRAP);
                    let [Val::I32(answer)] = results else { panic!("not an i32: {results:?}") };
                    sum = sum.wrapping_add(answer as u32);
                }
                sum
            })
        }
        Work::Callback => {
            Box::new(move |params, times| run.call(&mut store, (times as i32, params.1)).expect(NO_TRAP) as u32)
        }
        Work::Call | Work::Fresh => Box::new(move |params, times| {
            let mut sum = 0u32;
            for _ in 0..times {
                sum = sum.wrapping_add(run.call(&mut store, params).expect(NO_TRAP) as u32);
            }
            sum
        }),
    })
}

fn linker(engine: &Engine) -> AnyResult<Linker<HostData>> {
    let mut linker = Linker::new(engine);
    linker.func_wrap("env", "add", |a: i32, b: i32| a.wrapping_add(b))?;
    for index in 0..IMPORTS {
        let parameters = import_parameters(index).map(|wide| if wide { ValType::I64 } else { ValType::I32 });
        linker.func_new("env", &format!("f{index}"), FuncType::new(engine, parameters, []), |_, _, _| Ok(()))?;
    }
    Ok(linker)
}

/// A program's exports, as far as a [request](requests) needs them.
enum Exports {
    Lua { alloc: ModuleExport, run: ModuleExport, memory: ModuleExport },
    Sqlite { steps: [ModuleExport; 4], insert: ModuleExport, select: ModuleExport },
}

impl Exports {
    fn new(case: &Case, engine: &Engine, module: &Module, pre: &InstancePre<Host>) -> AnyResult<Self> {
        let mut store = Store::new(engine, Host::default());
        let instance = pre.instantiate(&mut store)?;
        let store = &mut store;
        let export = |name: &str| module.get_export_index(name).ok_or_else(|| format!("no export `{name}`"));
        Ok(match case.module {
            Source::Sqlite => {
                for step in ["open", "create", "close", "shut_down"] {
                    instance.get_typed_func::<(), i32>(&mut *store, step)?;
                }
                instance.get_typed_func::<u32, i32>(&mut *store, "insert")?;
                instance.get_typed_func::<u32, i64>(&mut *store, "select")?;
                Exports::Sqlite {
                    steps: [export("open")?, export("create")?, export("close")?, export("shut_down")?],
                    insert: export("insert")?,
                    select: export("select")?,
                }
            }
            _ => {
                instance.get_typed_func::<u32, u32>(&mut *store, "alloc")?;
                instance.get_typed_func::<(u32, u32), u64>(&mut *store, "run")?;
                Exports::Lua { alloc: export("alloc")?, run: export("run")?, memory: export("memory")? }
            }
        })
    }

    /// Serves a request. `room` is where the script lies, if there is room for it already.
    fn serve(&self, store: &mut Store<Host>, instance: &Instance, room: &mut Option<u32>) -> wasmtime::Result<u32> {
        match self {
            Exports::Lua { alloc, run, memory } => {
                let script = requests::SCRIPT.as_bytes();
                let at = match *room {
                    Some(at) => at,
                    None => {
                        let alloc: TypedFunc<u32, u32> = func(store, instance, alloc);
                        *room.insert(alloc.call(&mut *store, script.len() as u32)?)
                    }
                };
                let memory = instance.get_module_export(&mut *store, memory).and_then(|e| e.into_memory());
                let memory = memory.expect("the export is a memory");
                memory.write(&mut *store, at as usize, script)?;
                let run: TypedFunc<(u32, u32), u64> = func(store, instance, run);
                let (start, len) = requests::place(run.call(&mut *store, (at, script.len() as u32))?);
                let mut text = [0; ANSWER_BYTES];
                memory.read(&*store, start as usize, &mut text[..len])?;
                Ok(requests::number(&text[..len]))
            }
            Exports::Sqlite { steps, insert, select } => {
                let [open, create, close, shut_down] =
                    steps.each_ref().map(|step| func::<_, (), i32>(store, instance, step));
                let mut codes = open.call(&mut *store, ())? | create.call(&mut *store, ())?;
                codes |= func::<_, u32, i32>(store, instance, insert).call(&mut *store, requests::ROWS)?;
                let rows = func::<_, u32, i64>(store, instance, select).call(&mut *store, requests::ROWS)?;
                codes |= close.call(&mut *store, ())? | shut_down.call(&mut *store, ())?;
                assert_eq!(codes, 0, "SQLite's calls succeed");
                Ok(rows as u32)
            }
        }
    }
}

fn program(case: &Case, engine: Engine, module: &Module) -> AnyResult<Side> {
    let pre = wasmtime_guest::linker(module)?.instantiate_pre(module)?;
    let exports = Arc::new(Exports::new(case, &engine, module, &pre)?);
    let make = move || -> wasmtime::Result<(Store<Host>, Instance)> {
        let mut store = Store::new(&engine, Host::default());
        let instance = pre.instantiate(&mut store)?;
        Ok((store, instance))
    };
    let keep = {
        let (make, exports) = (make.clone(), exports.clone());
        move || -> AnyResult<Box<dyn std::any::Any>> {
            let (mut store, instance) = make()?;
            exports.serve(&mut store, &instance, &mut None)?;
            Ok(Box::new(store))
        }
    };
    let live = {
        let (make, exports) = (make.clone(), exports.clone());
        move || -> AnyResult<Run> {
            let ((mut store, instance), mut room, exports) = (make()?, None, exports.clone());
            Ok(Box::new(move |_, times| {
                (0..times).fold(0u32, |sum, _| {
                    sum.wrapping_add(exports.serve(&mut store, &instance, &mut room).expect(NO_TRAP))
                })
            }))
        }
    };
    let fresh = move || -> AnyResult<Run> {
        let (make, exports) = (make.clone(), exports.clone());
        Ok(Box::new(move |_, times| {
            (0..times).fold(0u32, |sum, _| {
                let (mut store, instance) = make().expect(FREE_SLOT);
                sum.wrapping_add(exports.serve(&mut store, &instance, &mut None).expect(NO_TRAP))
            })
        }))
    };
    Ok(Side { fresh: Box::new(fresh), live: Box::new(live), keep: Box::new(keep) })
}
