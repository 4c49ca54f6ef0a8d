//! The module `spectest` that the scripts of the official suite import from.

use instar::{
    Error, ErrorKind, Extern, FuncType, Global, GlobalType, Linker, Memory, MemoryType, RefType, Result, SharedMemory,
    Store, Table, TableType, Val, ValType,
};

use crate::runner::Runner;
use crate::value::Shown;

/// Functions of `spectest` and their parameters. They give nothing back.
const FUNCTIONS: [(&str, &[ValType]); 7] = [
    ("print", &[]),
    ("print_i32", &[ValType::I32]),
    ("print_i64", &[ValType::I64]),
    ("print_f32", &[ValType::F32]),
    ("print_f64", &[ValType::F64]),
    ("print_i32_f32", &[ValType::I32, ValType::F32]),
    ("print_f64_f64", &[ValType::F64, ValType::F64]),
];

/// A linker with the module, whose memory, table and globals belong to the store.
pub(crate) fn linker(store: &mut Store<()>, runner: &Runner) -> Result<Linker<()>> {
    let mut linker = Linker::new(runner.engine());
    linker.allow_shadowing(true);
    for (name, params) in FUNCTIONS {
        let ty = FuncType::new(params.iter().copied(), []);
        let print = runner.print;
        linker.func_new("spectest", name, ty, move |_, values, _| {
            if print {
                let values: Vec<String> = values.iter().map(|value| Shown(value, None).to_string()).collect();
                println!("{name}: {}", values.join(" "));
            }
            Ok(())
        })?;
    }
    let globals = [
        ("global_i32", ValType::I32, Val::I32(666)),
        ("global_i64", ValType::I64, Val::I64(666)),
        ("global_f32", ValType::F32, Val::F32(666.6_f32.to_bits())),
        ("global_f64", ValType::F64, Val::F64(666.6_f64.to_bits())),
    ];
    for (name, content, value) in globals {
        let global = Global::new(&mut *store, GlobalType { content, mutable: false }, value)?;
        linker.define(&mut *store, "spectest", name, Extern::from(global))?;
    }
    let table = Table::new(&mut *store, TABLE, Val::FuncRef(None))?;
    linker.define(&mut *store, "spectest", "table", table)?;
    let memory = Memory::new(&mut *store, MEMORY)?;
    linker.define(&mut *store, "spectest", "memory", memory)?;
    if let Some(table) = unless_off(Table::new(&mut *store, TableType { table64: true, ..TABLE }, Val::FuncRef(None)))?
    {
        linker.define(&mut *store, "spectest", "table64", table)?;
    }
    if let Some(memory) = unless_off(SharedMemory::new(store.engine(), MemoryType { shared: true, ..MEMORY }))? {
        linker.define(&mut *store, "spectest", "shared_memory", memory)?;
    }
    Ok(linker)
}

const TABLE: TableType = TableType::new(RefType::FUNCREF, 10, Some(20));
const MEMORY: MemoryType = MemoryType::new(1, Some(2));

/// Nothing where the engine has switched the feature off that it needs.
fn unless_off<V>(made: Result<V, Error>) -> Result<Option<V>> {
    match made {
        Ok(item) => Ok(Some(item)),
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Config) => Ok(None),
        Err(error) => Err(error),
    }
}
