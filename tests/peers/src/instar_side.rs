//! How Instar does a case: `InstancePre::export` once, then `InstancePre::call` per operation.

use instar::{Engine, FuncType, InstancePre, Linker, Module, Store, Val, ValType};

use crate::AnyResult;
use crate::cases::{Case, IMPORTS, Work, import_parameters};
use crate::measure::Run;

/// What each store holds.
type HostData = u64;

/// The case's batch function.
pub fn prepare(case: &Case, wasm: &[u8]) -> AnyResult<Run> {
    let engine = Engine::default();
    let module = Module::new(&engine, wasm)?;
    let pre = linker(&engine)?.instantiate_pre(&module)?;
    let run = pre.export::<(i32, i32), i32>("run")?;
    Ok(match case.work {
        Work::Fresh => Box::new(move |params, times| {
            let mut sum = 0u32;
            for data in 0..times {
                let answer = pre.call(data, &run, params).expect("the guest does not trap");
                sum = sum.wrapping_add(answer as u32);
            }
            sum
        }),
        Work::Call => {
            let mut instance = pre.fresh(0)?;
            Box::new(move |params, times| {
                let mut sum = 0u32;
                for _ in 0..times {
                    let answer = instance.call(&run, params).expect("the guest does not trap");
                    sum = sum.wrapping_add(answer as u32);
                }
                sum
            })
        }
        Work::UntypedCall => untyped(&engine, &pre)?,
        Work::Callback => {
            let mut instance = pre.fresh(0)?;
            Box::new(move |params, times| {
                let answer = instance.call(&run, (times as i32, params.1)).expect("the guest does not trap");
                answer as u32
            })
        }
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
            func.call(&mut store, &[Val::I32(params.0), Val::I32(params.1)], &mut results)
                .expect("the guest does not trap");
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
