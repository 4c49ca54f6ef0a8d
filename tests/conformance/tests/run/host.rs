//! The menu of host functions, see README.md. They use each way that a [`Linker`] has to define a function.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use instar::{Caller, Error, ErrorKind, FuncType, Linker, Result, SharedInstance, TrapCode, Val};
use instar_conformance::case::{Import, Value};

use crate::value;

/// How long either side of `two_threads` waits for the other.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What an instance of a case carries.
#[derive(Clone)]
pub struct Data {
    /// The number given at instantiation.
    pub number: i64,
    pub shared: Arc<Shared>,
}

/// What the instances of a case share.
#[derive(Default)]
pub struct Shared {
    pub recorded: Mutex<Vec<Value>>,
    /// All instances by name, closed ones too.
    pub instances: Mutex<HashMap<String, Arc<SharedInstance<Data>>>>,
    /// Present while `two_threads` waits for a guest to call `block`.
    pub gate: Mutex<Option<Gate>>,
}

/// The inner side of `two_threads`.
pub struct Gate {
    pub entered: Sender<()>,
    pub release: Receiver<()>,
}

/// The runner's own exception.
#[derive(Debug)]
pub struct Boom(pub String);

impl std::fmt::Display for Boom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Boom {}

fn boom() -> Error {
    Error::host(Boom("boom".to_string()))
}

/// Defines one function of the menu.
pub fn define(linker: &mut Linker<Data>, module: &str, name: &str, import: &Import) -> Result<()> {
    let ty = value::signature(&import.sig);
    let (what, detail) = import.host.split_once(':').unwrap_or((&import.host, ""));
    let detail = detail.to_string();
    let fixed = match what {
        "add" => Some("ii:i"),
        "data" | "close" | "block" => Some(":i"),
        "read_mem" => Some("ii:i"),
        "write_mem" => Some("iii:"),
        _ => None,
    };
    if let Some(fixed) = fixed {
        assert_eq!(import.sig, fixed, "{what} has this type only");
    }
    match what {
        "record" => linker.func_new(module, name, ty, |caller, args, _| {
            caller.data().shared.recorded.lock().unwrap().extend(args.iter().map(value::from_val));
            Ok(())
        })?,
        "add" => linker.func_wrap(module, name, |a: i32, b: i32| a.wrapping_add(b))?,
        "echo" => linker.func_new(module, name, ty, |_, args, results| {
            results.copy_from_slice(args);
            Ok(())
        })?,
        "data" => linker.func_wrap(module, name, |caller: Caller<'_, Data>| caller.data().number as i32)?,
        "throw" => linker.func_raw(module, name, ty, |_, _| Err(boom()))?,
        "trap" => {
            let code = trap_code(&detail);
            linker.func_raw(module, name, ty, move |_, _| Err(Error::trap(code)))?
        }
        "reenter" => linker.func_new(module, name, ty, move |mut caller, args, results| {
            call_export(&mut caller, &detail, args, results)
        })?,
        "catch" => define_catch(linker, module, name, ty, detail)?,
        "read_mem" => linker.func_wrap(module, name, read_memory)?,
        "write_mem" => linker.func_wrap(module, name, write_memory)?,
        "close" => linker.func_wrap(module, name, move |caller: Caller<'_, Data>| {
            let instance = caller.data().shared.instances.lock().unwrap().get(&detail).cloned();
            match instance.expect("close names an instance").close() {
                Ok(()) => 0,
                Err(error) => error.kind().code(),
            }
        })?,
        "block" => linker.func_wrap(module, name, block)?,
        _ => panic!("{what:?} is not on the menu"),
    };
    Ok(())
}

fn define_catch<'a>(
    linker: &'a mut Linker<Data>,
    module: &str,
    name: &str,
    ty: FuncType,
    export: String,
) -> Result<&'a mut Linker<Data>> {
    linker.func_new(module, name, ty, move |mut caller, args, results| {
        // The results of the export are not wanted; there is at most one.
        let mut ignored = [Val::I32(0)];
        let code = match call_export(&mut caller, &export, args, &mut ignored) {
            Ok(()) => 0,
            Err(error) => match error.trap_code() {
                Some(code) => code.code(),
                None if error.downcast_ref::<Boom>().is_some() => 100,
                None => 200 + error.kind().code(),
            },
        };
        results[0] = Val::I32(code as i32);
        Ok(())
    })
}

fn call_export(caller: &mut Caller<'_, Data>, name: &str, args: &[Val], results: &mut [Val]) -> Result<()> {
    match caller.func(name) {
        Some(func) => func.call(caller, args, results),
        None => Err(Error::new(ErrorKind::MissingExport, format!("the caller exports no function {name:?}"))),
    }
}

fn read_memory(caller: Caller<'_, Data>, at: u32, length: u32) -> Result<u32> {
    let mut caller = caller;
    let memory = caller.memory("memory").expect("the guest exports a memory");
    // Out of bounds is refused below; no guest makes the host allocate 4 GiB first.
    let mut bytes = vec![0; length.min(1 << 20) as usize];
    memory.read(&caller, u64::from(at), &mut bytes)?;
    Ok(bytes.iter().fold(0, |sum: u32, &byte| sum.wrapping_add(u32::from(byte))))
}

fn write_memory(caller: Caller<'_, Data>, at: u32, length: u32, byte: u32) -> Result<()> {
    let mut caller = caller;
    let memory = caller.memory("memory").expect("the guest exports a memory");
    memory.write(&mut caller, u64::from(at), &vec![byte as u8; length.min(1 << 20) as usize])
}

fn block(caller: Caller<'_, Data>) -> Result<i32> {
    let Some(gate) = caller.data().shared.gate.lock().unwrap().take() else { return Ok(0) };
    gate.entered.send(()).map_err(|error| Error::host(Boom(error.to_string())))?;
    gate.release.recv_timeout(PATIENCE).map_err(|error| Error::host(Boom(format!("release: {error}"))))?;
    Ok(1)
}

/// The trap code of this name.
fn trap_code(name: &str) -> TrapCode {
    let code = TrapCode::ALL.iter().find(|code| code.name() == name);
    *code.unwrap_or_else(|| panic!("there is no trap code {name:?}"))
}
