//! Compile, link, describe: napi-rs functions over `External`s. Errors carry [`crate::failure::encode`]d text.

use std::ptr;
use std::sync::Arc;

use instar::{Config, Engine, Error, ErrorKind, ExternType, InstancePre, Linker, Module, Result};
use napi::bindgen_prelude::{ArrayBuffer, AsyncTask, External, Function, JsValue, Uint8Array, Unknown};
use napi::{Env, ScopedTask, sys};
use napi_derive::napi;

use crate::failure::{guard, to_napi};
use crate::frames::Frames;
use crate::host::{self, CallerCall, CallerMemory};
use crate::hot::{
    self, Abandon, Call, CallBytes, CallBytesFresh, CallFresh, Close, InstanceMemory, Instantiate, TakeOutput, check,
};
use crate::signature;
use crate::slots::{BUFFER_BYTES, Slots};
use crate::state::State;
use crate::ticket::Ticket;

fn cold<R>(body: impl FnOnce() -> Result<R>) -> napi::Result<R> {
    guard(body).map_err(|error| to_napi(&error))
}

/// Called once per environment: `buffer` has `layout().bufferBytes` bytes, `dispatch` runs host functions.
#[napi]
pub fn attach(env: Env, buffer: ArrayBuffer, dispatch: Function<(), ()>) -> napi::Result<External<Arc<State>>> {
    let (mut words, mut len) = (ptr::null_mut(), 0);
    // SAFETY: a live handle and plain out pointers.
    let status = unsafe { sys::napi_get_arraybuffer_info(env.raw(), buffer.raw(), &mut words, &mut len) };
    check(status, "napi_get_arraybuffer_info")?;
    if len != BUFFER_BYTES || !words.cast::<u64>().is_aligned() {
        return Err(napi::Error::from_reason("attach: the buffer has the wrong size or alignment"));
    }
    let (mut keep, mut dispatcher) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: a live handle. The reference is never deleted, so the buffer lives as long as the environment.
    let status = unsafe { sys::napi_create_reference(env.raw(), buffer.raw(), 1, &mut keep) };
    check(status, "napi_create_reference")?;
    // SAFETY: as above.
    let status = unsafe { sys::napi_create_reference(env.raw(), dispatch.raw(), 1, &mut dispatcher) };
    check(status, "napi_create_reference")?;
    // SAFETY: big enough (checked); referenced for ever; lib/runtime.js keeps the buffer to itself, so nobody detaches it,
    // and JavaScript does not run while native code does.
    let slots = unsafe { Slots::new(words.cast()) };
    // SAFETY: `env` is the running environment; the reference was made for it.
    let frames = unsafe { Frames::new(env.raw(), dispatcher) };
    // SAFETY: this is its thread, and JavaScript cannot hand an `External` to another.
    Ok(External::new(Arc::new(unsafe { State::new(frames, slots) })))
}

/// The encoded text of the last failure of a hot function.
#[napi]
pub fn take_error(state: &External<Arc<State>>) -> Option<String> {
    state.take_error()
}

/// The exception that came out of `dispatch` itself.
#[napi]
pub fn take_escaped(env: Env, state: &External<Arc<State>>) -> Option<Unknown<'static>> {
    let raw = state.take_escaped()?;
    // SAFETY: a handle in the scope of this call; napi-rs returns it before the scope ends.
    Some(unsafe { Unknown::from_raw_unchecked(env.raw(), raw) })
}

/// The one hot function: runs the operation that the slots select.
#[napi]
pub fn runner(env: Env, state: &External<Arc<State>>) -> napi::Result<Unknown<'static>> {
    let raw = hot::runner(env.raw(), Arc::clone(state))?;
    // SAFETY: a handle that Node just gave us; napi-rs returns it before the call's scope ends.
    Ok(unsafe { Unknown::from_raw_unchecked(env.raw(), raw) })
}

/// The number of an operation, for ENTRY. Good as long as its ticket is held.
#[napi]
pub fn ticket_number(ticket: &External<Ticket>) -> u32 {
    ticket.number()
}

/// The operation that copies a long output of a bytes call.
#[napi]
pub fn take_output(state: &External<Arc<State>>) -> External<Ticket> {
    External::new(Ticket::new(Arc::clone(state), TakeOutput))
}

/// Limits; absent means the default.
#[napi]
pub fn engine_new(
    max_instances: Option<f64>,
    max_memory_pages: Option<f64>,
    max_wasm_stack: Option<f64>,
) -> napi::Result<External<Engine>> {
    cold(|| {
        let mut config = Config::new();
        if let Some(count) = max_instances {
            config.max_instances(count as usize);
        }
        if let Some(pages) = max_memory_pages {
            config.max_memory_pages(pages as u64);
        }
        if let Some(bytes) = max_wasm_stack {
            config.max_wasm_stack(bytes as usize);
        }
        Ok(External::new(Engine::new(&config)?))
    })
}

#[napi]
pub fn engine_live_instances(engine: &External<Engine>) -> f64 {
    engine.live_instances() as f64
}

#[napi]
pub fn module_new(engine: &External<Engine>, bytes: &[u8]) -> napi::Result<External<Module>> {
    cold(|| Ok(External::new(Module::new(engine, bytes)?)))
}

#[napi]
pub fn module_from_file(engine: &External<Engine>, path: String) -> napi::Result<External<Module>> {
    cold(|| Ok(External::new(Module::from_file(engine, path)?)))
}

/// Compiles on a thread of libuv's pool.
pub struct Compile {
    engine: Engine,
    bytes: Vec<u8>,
}

impl<'task> ScopedTask<'task> for Compile {
    type Output = Module;
    type JsValue = Unknown<'task>;

    fn compute(&mut self) -> napi::Result<Module> {
        cold(|| Module::new(&self.engine, &self.bytes))
    }

    fn resolve(&mut self, env: &'task Env, module: Module) -> napi::Result<Unknown<'task>> {
        External::new(module).into_unknown(env)
    }
}

#[napi]
pub fn module_compile(engine: &External<Engine>, bytes: Uint8Array) -> AsyncTask<Compile> {
    AsyncTask::new(Compile { engine: Engine::clone(engine), bytes: bytes.to_vec() })
}

#[napi]
pub fn module_name(module: &External<Module>) -> Option<String> {
    module.name().map(str::to_string)
}

/// An import or export.
#[napi(object)]
pub struct Description {
    /// The module that an import comes from.
    pub module: Option<String>,
    pub name: String,
    pub kind: String,
    /// Of a function.
    pub signature: Option<String>,
}

fn describe(module: Option<&str>, name: &str, ty: &ExternType) -> Description {
    let (kind, signature) = match ty {
        ExternType::Func(ty) => ("function", Some(signature::text(ty))),
        ExternType::Memory(_) => ("memory", None),
        ExternType::Table(_) => ("table", None),
        ExternType::Global(_) => ("global", None),
    };
    Description { module: module.map(str::to_string), name: name.to_string(), kind: kind.to_string(), signature }
}

#[napi]
pub fn module_imports(module: &External<Module>) -> Vec<Description> {
    module.imports().map(|import| describe(Some(import.module), import.name, &import.ty)).collect()
}

#[napi]
pub fn module_exports(module: &External<Module>) -> Vec<Description> {
    module.exports().map(|export| describe(None, export.name, &export.ty)).collect()
}

#[napi]
pub fn linker_new(engine: &External<Engine>) -> External<Linker<()>> {
    External::new(Linker::new(engine))
}

#[napi]
pub fn linker_allow_shadowing(linker: &mut External<Linker<()>>, allow: bool) {
    linker.allow_shadowing(allow);
}

/// Links a host function; `index` is its place in the JavaScript linker's list.
#[napi]
pub fn linker_func(
    state: &External<Arc<State>>,
    linker: &mut External<Linker<()>>,
    module: String,
    name: String,
    signature: String,
    index: u32,
) -> napi::Result<()> {
    cold(|| host::define(linker, Arc::clone(state), (&module, &name), signature::parse(&signature)?, index))
}

#[napi]
pub fn linker_instantiate_pre(
    linker: &External<Linker<()>>,
    module: &External<Module>,
) -> napi::Result<External<InstancePre<()>>> {
    cold(|| Ok(External::new(linker.instantiate_pre(module)?)))
}

/// The operation that does `what` for `pre`; `name` is the export's, empty where there is none.
#[napi]
pub fn pre_operation(
    state: &External<Arc<State>>,
    pre: &External<InstancePre<()>>,
    what: String,
    name: String,
) -> napi::Result<External<Ticket>> {
    cold(|| {
        let pre = InstancePre::clone(pre);
        let state = Arc::clone(state);
        Ok(External::new(match what.as_str() {
            "instantiate" => Ticket::new(state, Instantiate(pre)),
            "close" => Ticket::new(state, Close { _engine: pre.engine().clone() }),
            "abandon" => Ticket::new(state, Abandon(pre.engine().clone())),
            "call" => Ticket::new(state, Call::new(pre, &name)?),
            "callFresh" => Ticket::new(state, CallFresh(Call::new(pre, &name)?)),
            "callBytes" => Ticket::new(state, CallBytes::new(pre, &name)?),
            "callBytesFresh" => Ticket::new(state, CallBytesFresh(CallBytes::new(pre, &name)?)),
            "memory" => Ticket::new(state, InstanceMemory { memory: pre.memory(&name)?, pre }),
            "callerMemory" => Ticket::new(state, CallerMemory(name)),
            "callerCall" => Ticket::new(state, CallerCall { slots: pre.func(&name)?.ty().slots(), name }),
            _ => return Err(Error::new(ErrorKind::Bug, format!("no operation {what:?}"))),
        }))
    })
}

/// What a trap code means, in the specification's words.
#[napi]
pub fn trap_text(code: u32) -> Option<String> {
    instar::TrapCode::from_code(code).map(|code| code.text().to_string())
}
