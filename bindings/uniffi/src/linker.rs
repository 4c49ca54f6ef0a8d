//! Linkers and the host functions of the foreign language.

use crate::caller;
use crate::engine::ENGINES;
use crate::errors::{FIRST_HOST_TOKEN, HostToken, ignore, report};
use crate::module::MODULES;
use crate::pre;
use crate::raw::{self, Out};
use crate::signature;
use crate::table::{Kind, Table};
use instar::{Caller, Error, ErrorKind, Linker, Result, TrapCode};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) static LINKERS: Table<Mutex<Linker<u64>>> = Table::new(Kind::Linker);

fn lock(linker: &Mutex<Linker<u64>>) -> MutexGuard<'_, Linker<u64>> {
    linker.lock().unwrap_or_else(PoisonError::into_inner)
}

type Callback = extern "C" fn(context: u64, caller: u64, slots: *mut u64, n: u32) -> u64;
type Release = extern "C" fn(context: u64);

/// A function of the foreign language. Its context is released when nothing can call it any more.
struct HostFunction {
    callback: Callback,
    context: u64,
    release: Option<Release>,
}

impl HostFunction {
    fn call(&self, caller: Caller<'_, u64>, slots: &mut [u64]) -> Result<()> {
        let result = caller::lend(caller, |handle| {
            (self.callback)(self.context, handle, slots.as_mut_ptr(), slots.len() as u32)
        });
        match result {
            0 => Ok(()),
            token if token >= FIRST_HOST_TOKEN => Err(Error::host(HostToken(token))),
            code => Err(match TrapCode::from_code(code as u32) {
                Some(TrapCode::HostError) | None => {
                    Error::new(ErrorKind::Bug, format!("a host function returned {code}, which is no trap code"))
                }
                Some(trap) => Error::trap(trap),
            }),
        }
    }
}

impl Drop for HostFunction {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            release(self.context);
        }
    }
}

/// A new linker.
#[uniffi::export]
pub fn linker_new(engine: u64, out_linker: u64) -> u64 {
    report(|| {
        let out = Out::new("out_linker", out_linker)?;
        let linker = ENGINES.with(engine, |engine| Ok(Linker::new(engine)))?;
        out.write(LINKERS.insert(Mutex::new(linker))?);
        Ok(())
    })
}

#[uniffi::export]
pub fn linker_free(linker: u64) {
    ignore(|| {
        LINKERS.free(linker);
    });
}

/// Whether a later definition of a name replaces the earlier one.
#[uniffi::export]
pub fn linker_allow_shadowing(linker: u64, on: u64) -> u64 {
    report(|| {
        LINKERS.with(linker, |linker| {
            lock(linker).allow_shadowing(on != 0);
            Ok(())
        })
    })
}

/// Defines a host function.
#[uniffi::export]
#[allow(clippy::too_many_arguments, reason = "a C ABI without structs")]
pub fn linker_func(
    linker: u64,
    module_ptr: u64,
    module_len: u64,
    name_ptr: u64,
    name_len: u64,
    sig_ptr: u64,
    sig_len: u64,
    callback: u64,
    context: u64,
    release: u64,
) -> u64 {
    report(|| {
        let release = (release != 0).then(|| {
            // SAFETY: the header asks for an InstarRelease or 0; not 0.
            unsafe { std::mem::transmute::<*const (), Release>(release as *const ()) }
        });
        if callback == 0 {
            if let Some(release) = release {
                release(context);
            }
            return Err(Error::new(ErrorKind::Type, "callback is null"));
        }
        // SAFETY: the header asks for an InstarHostFunction; not null.
        let callback = unsafe { std::mem::transmute::<*const (), Callback>(callback as *const ()) };
        // From here on its drop releases the context, however this ends.
        let function = HostFunction { callback, context, release };
        let module = raw::text("module", module_ptr, module_len)?;
        let name = raw::text("name", name_ptr, name_len)?;
        let ty = signature::parse(raw::text("sig", sig_ptr, sig_len)?)?;
        signature::check_host(module, name, &ty)?;
        LINKERS.with(linker, |linker| {
            lock(linker).func_raw(module, name, ty, move |caller, slots| function.call(caller, slots))?;
            Ok(())
        })
    })
}

/// Resolves and checks all imports of a module.
#[uniffi::export]
pub fn linker_instantiate_pre(linker: u64, module: u64, out_pre: u64) -> u64 {
    report(|| {
        let out = Out::new("out_pre", out_pre)?;
        let pre = LINKERS.with(linker, |linker| MODULES.with(module, |module| lock(linker).instantiate_pre(module)))?;
        out.write(pre::register(pre)?);
        Ok(())
    })
}
