//! Instances of the guests in both runtimes behind one face, for work that lasts so long that the face costs nothing.

use crate::AnyResult;
use crate::stubs::{self, Exit, Host};

/// Choices that change the code that a runtime makes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Instar with stores to memory that are marked.
    Instar,
    /// Instar with plain stores.
    InstarPlain,
    Wasmtime,
}

const NO_MEMORY: &str = "the guest exports no memory";

/// An instance.
pub trait Guest {
    /// Calls an export that takes i32s and gives one i32 or i64, or nothing.
    fn call(&mut self, name: &str, params: &[i32]) -> AnyResult<i64>;
    fn read(&mut self, address: u32, len: u32) -> AnyResult<Vec<u8>>;
    fn write(&mut self, address: u32, bytes: &[u8]) -> AnyResult<()>;
    fn host(&mut self) -> &mut Host;
}

/// A module, and all that it takes to make instances of it.
pub trait Program {
    fn instantiate(&self) -> AnyResult<Box<dyn Guest>>;
}

/// An engine: what compiles and loads.
pub trait Runtime {
    fn compile(&self, wasm: &[u8]) -> AnyResult<Box<dyn Program>>;
    /// The artifact of a module, and what loads it.
    fn artifact(&self, wasm: &[u8]) -> AnyResult<(Vec<u8>, Loader)>;
}

/// From a file that holds the artifact to the answer of the module's [probe](crate::probe). All that does not depend on the
/// file, such as the linker, is made before.
pub type Loader = Box<dyn Fn(&std::path::Path) -> AnyResult<i64>>;

/// An engine of a runtime.
pub fn runtime(side: Side) -> AnyResult<Box<dyn Runtime>> {
    Ok(match side {
        Side::Instar => Box::new(instar_guest::engine(true)?),
        Side::InstarPlain => Box::new(instar_guest::engine(false)?),
        Side::Wasmtime => Box::new(wasmtime_guest::engine()?),
    })
}

/// Runs a WASI command in a new instance, and gives what it printed.
pub fn run_command(guest: &mut dyn Guest, input: &str) -> AnyResult<Vec<u8>> {
    guest.host().input = input.as_bytes().to_vec();
    let result = guest.call("_start", &[]);
    let host = guest.host();
    let output = std::mem::take(&mut host.output);
    match (result, host.exit_code) {
        (Ok(_), None) | (_, Some(0)) => Ok(output),
        (_, Some(code)) => Err(format!("exit code {code}: {}", String::from_utf8_lossy(&output)).into()),
        (Err(error), None) => Err(error),
    }
}

pub mod instar_guest {
    use instar::{Caller, Config, Engine, Error, Instance, Linker, Memory, Module, Store, Val};

    use super::*;

    pub fn engine(marked: bool) -> AnyResult<Engine> {
        let mut config = Config::new();
        config.dirty_tracking(if marked { instar::DirtyTracking::Lines } else { instar::DirtyTracking::Off });
        Ok(Engine::new(&config)?)
    }

    impl Runtime for Engine {
        fn compile(&self, wasm: &[u8]) -> AnyResult<Box<dyn Program>> {
            Ok(Box::new(Module::new(self, wasm)?))
        }

        fn artifact(&self, wasm: &[u8]) -> AnyResult<(Vec<u8>, Loader)> {
            let module = Module::new(self, wasm)?;
            let (engine, linker) = (self.clone(), linker(&module)?);
            let loader = move |path: &std::path::Path| {
                // SAFETY: the file holds what `serialize` has made, and nothing changes it.
                let module = unsafe { Module::deserialize_file(&engine, path)? };
                let mut store = Store::new(&engine, Host::default());
                let instance = linker.instantiate(&mut store, &module)?;
                let probe = instance.typed_func::<(), i32>(&mut store, crate::probe::EXPORT)?;
                Ok(i64::from(probe.call(&mut store, ())?))
            };
            Ok((module.serialize()?, Box::new(loader)))
        }
    }

    struct Live {
        store: Store<Host>,
        instance: Instance,
        memory: Option<Memory>,
    }

    impl Program for Module {
        fn instantiate(&self) -> AnyResult<Box<dyn Guest>> {
            let linker = linker(self)?;
            let mut store = Store::new(self.engine(), Host::default());
            let instance = linker.instantiate(&mut store, self)?;
            let memory = instance.memory(&mut store, "memory");
            Ok(Box::new(Live { store, instance, memory }))
        }
    }

    pub fn linker(module: &Module) -> AnyResult<Linker<Host>> {
        let mut linker = Linker::new(module.engine());
        linker.allow_shadowing(true);
        for import in module.imports() {
            let instar::ExternType::Func(ty) = import.ty else { return Err("an import is no function".into()) };
            linker.func_new(import.module, import.name, ty, |_, _, results| {
                results.fill(Val::I32(stubs::NOSYS));
                Ok(())
            })?;
        }
        stubs::define!(linker, Caller, read, write, Error::host(Exit));
        Ok(linker)
    }

    fn read(caller: &mut Caller<'_, Host>, at: u32, into: &mut [u8]) -> Option<()> {
        caller.memory("memory")?.read(&*caller, u64::from(at), into).ok()
    }

    fn write(caller: &mut Caller<'_, Host>, at: u32, bytes: &[u8]) -> Option<()> {
        caller.memory("memory")?.write(&mut *caller, u64::from(at), bytes).ok()
    }

    impl Guest for Live {
        fn call(&mut self, name: &str, params: &[i32]) -> AnyResult<i64> {
            let func = self.instance.func(&mut self.store, name).ok_or_else(|| format!("no export {name}"))?;
            let mut results = vec![Val::I32(0); func.ty(&self.store)?.results().len()];
            let params: Vec<Val> = params.iter().map(|&p| Val::I32(p)).collect();
            func.call(&mut self.store, &params, &mut results)?;
            Ok(match results[..] {
                [] => 0,
                [Val::I32(answer)] => i64::from(answer),
                [Val::I64(answer)] => answer,
                _ => return Err(format!("{name} gives {results:?}").into()),
            })
        }

        fn read(&mut self, address: u32, len: u32) -> AnyResult<Vec<u8>> {
            let mut bytes = vec![0; len as usize];
            self.memory.ok_or(NO_MEMORY)?.read(&self.store, u64::from(address), &mut bytes)?;
            Ok(bytes)
        }

        fn write(&mut self, address: u32, bytes: &[u8]) -> AnyResult<()> {
            Ok(self.memory.ok_or(NO_MEMORY)?.write(&mut self.store, u64::from(address), bytes)?)
        }

        fn host(&mut self) -> &mut Host {
            self.store.data_mut()
        }
    }
}

pub mod wasmtime_guest {
    use wasmtime::{Caller, Config, Engine, Error, Extern, ExternType, Instance, Linker, Memory, Module, Store, Val};

    use super::*;

    /// The configuration that Wasmtime calls its default, which is also its fastest code.
    pub fn engine() -> AnyResult<Engine> {
        Ok(Engine::new(&Config::new())?)
    }

    impl Runtime for Engine {
        fn compile(&self, wasm: &[u8]) -> AnyResult<Box<dyn Program>> {
            Ok(Box::new(Module::new(self, wasm)?))
        }

        fn artifact(&self, wasm: &[u8]) -> AnyResult<(Vec<u8>, Loader)> {
            let module = Module::new(self, wasm)?;
            let (engine, linker) = (self.clone(), linker(&module)?);
            let loader = move |path: &std::path::Path| {
                // SAFETY: the file holds what `serialize` has made, and nothing changes it.
                let module = unsafe { Module::deserialize_file(&engine, path)? };
                let mut store = Store::new(&engine, Host::default());
                let instance = linker.instantiate(&mut store, &module)?;
                let probe = instance.get_typed_func::<(), i32>(&mut store, crate::probe::EXPORT)?;
                Ok(i64::from(probe.call(&mut store, ())?))
            };
            Ok((module.serialize()?, Box::new(loader)))
        }
    }

    struct Live {
        store: Store<Host>,
        instance: Instance,
        memory: Option<Memory>,
    }

    impl Program for Module {
        fn instantiate(&self) -> AnyResult<Box<dyn Guest>> {
            let linker = linker(self)?;
            let mut store = Store::new(self.engine(), Host::default());
            let instance = linker.instantiate(&mut store, self)?;
            let memory = instance.get_memory(&mut store, "memory");
            Ok(Box::new(Live { store, instance, memory }))
        }
    }

    pub fn linker(module: &Module) -> AnyResult<Linker<Host>> {
        let mut linker = Linker::new(module.engine());
        linker.allow_shadowing(true);
        for import in module.imports() {
            let ExternType::Func(ty) = import.ty() else { return Err("an import is no function".into()) };
            linker.func_new(import.module(), import.name(), ty, |_, _, results| {
                results.fill(Val::I32(stubs::NOSYS));
                Ok(())
            })?;
        }
        stubs::define!(linker, Caller, read, write, Error::from(Exit));
        Ok(linker)
    }

    fn memory(caller: &mut Caller<'_, Host>) -> Option<Memory> {
        caller.get_export("memory").and_then(Extern::into_memory)
    }

    fn read(caller: &mut Caller<'_, Host>, at: u32, into: &mut [u8]) -> Option<()> {
        memory(caller)?.read(&*caller, at as usize, into).ok()
    }

    fn write(caller: &mut Caller<'_, Host>, at: u32, bytes: &[u8]) -> Option<()> {
        memory(caller)?.write(&mut *caller, at as usize, bytes).ok()
    }

    impl Guest for Live {
        fn call(&mut self, name: &str, params: &[i32]) -> AnyResult<i64> {
            let func = self.instance.get_func(&mut self.store, name).ok_or_else(|| format!("no export {name}"))?;
            let mut results = vec![Val::I32(0); func.ty(&self.store).results().len()];
            let params: Vec<Val> = params.iter().map(|&p| Val::I32(p)).collect();
            func.call(&mut self.store, &params, &mut results)?;
            Ok(match results[..] {
                [] => 0,
                [Val::I32(answer)] => i64::from(answer),
                [Val::I64(answer)] => answer,
                _ => return Err(format!("{name} gives {results:?}").into()),
            })
        }

        fn read(&mut self, address: u32, len: u32) -> AnyResult<Vec<u8>> {
            let mut bytes = vec![0; len as usize];
            self.memory.ok_or(NO_MEMORY)?.read(&self.store, address as usize, &mut bytes)?;
            Ok(bytes)
        }

        fn write(&mut self, address: u32, bytes: &[u8]) -> AnyResult<()> {
            Ok(self.memory.ok_or(NO_MEMORY)?.write(&mut self.store, address as usize, bytes)?)
        }

        fn host(&mut self) -> &mut Host {
            self.store.data_mut()
        }
    }
}
