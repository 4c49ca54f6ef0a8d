//! Host functions and what they may do with their caller.

use std::sync::Arc;

use instar::{Caller, Error, ErrorKind, FuncType, Linker, Memory, Result};

use crate::hot::{Arguments, Operation, with_slots};
use crate::slots;
use crate::state::State;

/// Links `module.name` to the host function that JavaScript keeps under `index`.
pub fn define(
    linker: &mut Linker<()>,
    state: Arc<State>,
    (module, name): (&str, &str),
    ty: FuncType,
    index: u32,
) -> Result<()> {
    let (params, results) = (ty.params().len(), ty.results().len());
    let call = move |caller: Caller<'_, ()>, values: &mut [u64]| {
        state.slots.write_args(&values[..params]);
        state.call_host(index, caller)?;
        state.slots.read_args(&mut values[..results]);
        Ok(())
    };
    linker.func_raw(module, name, ty, call)?;
    Ok(())
}

/// `caller.memory(name)`: what [`crate::hot::InstanceMemory`] does, for the instance that is calling.
pub struct CallerMemory(pub String);

impl Operation for CallerMemory {
    fn run(&self, state: &State, arguments: &Arguments) -> Result<()> {
        let done = state.with_caller(|caller| {
            let memory = caller.memory(&self.0).ok_or_else(|| missing("memory", &self.0))?;
            operate(&memory, caller, state, arguments)
        });
        done.unwrap_or_else(|| Err(no_caller()))
    }
}

fn operate(memory: &Memory, caller: &mut Caller<'static, ()>, state: &State, arguments: &Arguments) -> Result<()> {
    let (address, len) = (state.slots.size(slots::ADDRESS), state.slots.size(slots::LENGTH));
    match state.slots.int(slots::SELECT) {
        slots::MEMORY_SIZE => state.slots.set_size(slots::LENGTH, memory.data_size(&*caller)? as u64),
        slots::MEMORY_READ => arguments.with_bytes(state, len, |bytes| memory.read(&*caller, address, bytes))?,
        slots::MEMORY_WRITE => arguments.with_bytes(state, len, |bytes| memory.write(&mut *caller, address, bytes))?,
        slots::MEMORY_GROW => state.slots.set_size(slots::LENGTH, memory.grow(&mut *caller, address)?),
        other => return Err(Error::new(ErrorKind::Bug, format!("memory operation {other}"))),
    }
    Ok(())
}

/// `caller.func(name)(…)`: a call back into the instance that is calling.
pub struct CallerCall {
    pub name: String,
    pub slots: usize,
}

impl Operation for CallerCall {
    fn run(&self, state: &State, _: &Arguments) -> Result<()> {
        let done = state.with_caller(|caller| {
            let func = caller.func(&self.name).ok_or_else(|| missing("function", &self.name))?;
            with_slots(state, self.slots, |slots| func.call_raw(&mut *caller, slots))
        });
        done.unwrap_or_else(|| Err(no_caller()))
    }
}

fn missing(what: &str, name: &str) -> Error {
    Error::new(ErrorKind::MissingExport, format!("the calling instance exports no {what} {name:?}"))
}

fn no_caller() -> Error {
    Error::new(ErrorKind::StaleHandle, "a Caller is valid only during the host call that it was given to")
}
