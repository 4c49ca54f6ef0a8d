//! Engines.

use crate::errors::{ignore, report};
use crate::raw::Out;
use crate::table::{Kind, Table};
use instar::{Config, Engine, Error, ErrorKind, Result};

pub(crate) static ENGINES: Table<Engine> = Table::new(Kind::Engine);

const PARANOID: u64 = 1;
const DEBUG_VERIFIER: u64 = 2;

/// A new engine; 0 = the default of a limit.
#[uniffi::export]
pub fn engine_new(
    max_instances: u64,
    max_memory_pages: u64,
    max_table_elements: u64,
    max_wasm_stack: u64,
    flags: u64,
    out_engine: u64,
) -> u64 {
    report(|| {
        let out = Out::new("out_engine", out_engine)?;
        let mut config = Config::new();
        if max_instances != 0 {
            config.max_instances(to_usize("max_instances", max_instances)?);
        }
        if max_memory_pages != 0 {
            config.max_memory_pages(max_memory_pages);
        }
        if max_table_elements != 0 {
            config.max_table_elements(max_table_elements);
        }
        if max_wasm_stack != 0 {
            config.max_wasm_stack(to_usize("max_wasm_stack", max_wasm_stack)?);
        }
        if flags & !(PARANOID | DEBUG_VERIFIER) != 0 {
            return Err(Error::new(
                ErrorKind::Config,
                format!("flags are {flags:#x}; only bits 0 and 1 have a meaning"),
            ));
        }
        config.paranoid(flags & PARANOID != 0).cranelift_debug_verifier(flags & DEBUG_VERIFIER != 0);
        out.write(ENGINES.insert(Engine::new(&config)?)?);
        Ok(())
    })
}

fn to_usize(what: &str, value: u64) -> Result<usize> {
    usize::try_from(value)
        .map_err(|_| Error::new(ErrorKind::Config, format!("{what} is {value}; that is beyond the address space")))
}

#[uniffi::export]
pub fn engine_free(engine: u64) {
    ignore(|| {
        ENGINES.free(engine);
    });
}

/// How many instances are alive.
#[uniffi::export]
pub fn engine_live_instances(engine: u64, out_count: u64) -> u64 {
    report(|| {
        let out = Out::new("out_count", out_count)?;
        ENGINES.with(engine, |engine| {
            out.write(engine.live_instances() as u64);
            Ok(())
        })
    })
}
