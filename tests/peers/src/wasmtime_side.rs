//! How Wasmtime does a case, by its fastest documented way: the pooling allocator, copy-on-write images, `InstancePre`,
//! exports looked up once per module, typed functions whose type was checked once.

use wasmtime::{
    Config, Enabled, Engine, FuncType, InstanceAllocationStrategy, InstancePre, Linker, Module,
    PoolingAllocationConfig, Store, TypedFunc, Val, ValType,
};

use crate::AnyResult;
use crate::cases::{Case, IMPORTS, Work, import_parameters};
use crate::measure::Run;

/// What each store holds.
type HostData = u64;
type RunFunc = TypedFunc<(i32, i32), i32>;

/// Bytes of a memory and of a table that the best pool keeps and copies back rather than unmaps.
const KEEP_RESIDENT_BYTES: usize = 1 << 20;

fn engine(best: bool) -> AnyResult<Engine> {
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
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Ok(Engine::new(&config)?)
}

/// The case's batch function.
pub fn prepare(case: &Case, wasm: &[u8], best: bool) -> AnyResult<Run> {
    let engine = engine(best)?;
    let module = Module::new(&engine, wasm)?;
    let pre = linker(&engine)?.instantiate_pre(&module)?;
    match case.work {
        Work::Fresh => fresh(engine, &module, pre),
        work => live(&engine, &pre, work),
    }
}

/// Create, call, drop.
fn fresh(engine: Engine, module: &Module, pre: InstancePre<HostData>) -> AnyResult<Run> {
    let export = module.get_export_index("run").ok_or("no export `run`")?;
    // The only check of the function's type: Instar's token is checked once too.
    let mut store = Store::new(&engine, 0);
    pre.instantiate(&mut store)?.get_typed_func::<(i32, i32), i32>(&mut store, "run")?;
    drop(store);
    Ok(Box::new(move |params, times| {
        let mut sum = 0u32;
        for data in 0..times {
            let mut store = Store::new(&engine, data);
            let instance = pre.instantiate(&mut store).expect("there is a free slot");
            let func = instance.get_module_export(&mut store, &export).and_then(|e| e.into_func());
            let func = func.expect("`run` is a function");
            // SAFETY: the type of this export was checked above; it is the same in all instances of the module.
            let run: RunFunc = unsafe { TypedFunc::new_unchecked(&store, func) };
            sum = sum.wrapping_add(run.call(&mut store, params).expect("the guest does not trap") as u32);
        }
        sum
    }))
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
                    func.call(&mut store, &[Val::I32(params.0), Val::I32(params.1)], &mut results)
                        .expect("the guest does not trap");
                    let [Val::I32(answer)] = results else { panic!("not an i32: {results:?}") };
                    sum = sum.wrapping_add(answer as u32);
                }
                sum
            })
        }
        Work::Callback => Box::new(move |params, times| {
            run.call(&mut store, (times as i32, params.1)).expect("the guest does not trap") as u32
        }),
        Work::Call | Work::Fresh => Box::new(move |params, times| {
            let mut sum = 0u32;
            for _ in 0..times {
                sum = sum.wrapping_add(run.call(&mut store, params).expect("the guest does not trap") as u32);
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
