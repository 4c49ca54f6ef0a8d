//! Host-made functions, memories, tables and globals: each is the only export of a tiny module that is made here.
//!
//! So everything that belongs to a store is part of an instance, and there is one way to own, reset and import it.

use std::sync::Arc;

use crate::artifact::info::{FuncType, GlobalType, MemoryType, TableType, ValType};
use crate::error::{Result, bail};
use crate::externs::Extern;
use crate::func::Func;
use crate::global::Global;
use crate::host::HostFunc;
use crate::memory::Memory;
use crate::module::Module;
use crate::pre::InstancePre;
use crate::store::AsContextMut;
use crate::table::Table;
use crate::vm::instance::ImportValue;

/// A function of the store.
pub(crate) fn func<T: 'static>(store: impl AsContextMut<Data = T>, func: HostFunc) -> Result<Func> {
    let func = Arc::new(func);
    let import = func.import();
    let mut encoder = Encoder::new();
    encoder.section(1, func_type(func.ty())?);
    // One import, with empty names, of function type 0.
    encoder.section(2, vec![1, 0, 0, 0x00, 0]);
    match make(store, encoder.export(0x00), vec![import], vec![func])? {
        Extern::Func(func) => Ok(func),
        _ => bail!(Bug, "a synthetic module exports something else"),
    }
}

/// A memory of the store.
pub(crate) fn memory<T: 'static>(store: impl AsContextMut<Data = T>, ty: MemoryType) -> Result<Memory> {
    let mut encoder = Encoder::new();
    if ty.shared || !matches!(ty.page_size_log2, 0 | 16) {
        bail!(Unsupported, "host-made memories that are shared, or whose pages have neither 1 nor 65536 bytes");
    }
    let mut memory = [vec![1], limits(ty.minimum, ty.maximum, ty.memory64)].concat();
    if ty.page_size_log2 != 16 {
        memory[1] |= 8;
        memory.push(ty.page_size_log2);
    }
    encoder.section(5, memory);
    match make(store, encoder.export(0x02), Vec::new(), Vec::new())? {
        Extern::Memory(memory) => Ok(memory),
        _ => bail!(Bug, "a synthetic module exports something else"),
    }
}

/// A table of nulls of the store.
pub(crate) fn table<T: 'static>(store: impl AsContextMut<Data = T>, ty: TableType) -> Result<Table> {
    let mut encoder = Encoder::new();
    encoder.section(
        4,
        [vec![1, val_type(ValType::Ref(ty.element))?], limits(ty.minimum, ty.maximum, ty.table64)].concat(),
    );
    match make(store, encoder.export(0x01), Vec::new(), Vec::new())? {
        Extern::Table(table) => Ok(table),
        _ => bail!(Bug, "a synthetic module exports something else"),
    }
}

/// A zero global of the store.
pub(crate) fn global<T: 'static>(mut store: impl AsContextMut<Data = T>, ty: GlobalType) -> Result<Global> {
    let zero = match ty.content {
        ValType::I32 => vec![0x41, 0],
        ValType::I64 => vec![0x42, 0],
        ValType::F32 => vec![0x43, 0, 0, 0, 0],
        ValType::F64 => vec![0x44, 0, 0, 0, 0, 0, 0, 0, 0],
        ValType::V128 => [&[0xfd, 12][..], &[0; 16]].concat(),
        ValType::Ref(_) => vec![0xd0, val_type(ty.content)?],
    };
    let mut encoder = Encoder::new();
    // Always mutable inside, so that its value is reset with the slot; the handle has the type that was asked for.
    encoder.section(6, [vec![1, val_type(ty.content)?, 1], zero, vec![0x0b]].concat());
    match make(&mut store, encoder.export(0x03), Vec::new(), Vec::new())? {
        // SAFETY: the global is that of an instance of this store; only mutability differs.
        Extern::Global(global) => Ok(unsafe {
            let mut context = store.as_context_mut();
            let definition = global.raw(context.opaque())?;
            Global::from_definition(definition, ty, context.opaque())
        }),
        _ => bail!(Bug, "a synthetic module exports something else"),
    }
}

fn make<T: 'static>(
    mut store: impl AsContextMut<Data = T>,
    wasm: Vec<u8>,
    imports: Vec<ImportValue>,
    keeps: Vec<Arc<HostFunc>>,
) -> Result<Extern> {
    let engine = store.as_context_mut().engine();
    let module = Module::synthetic(&engine, wasm)?;
    let pre = InstancePre::<T>::new(&module, imports.into(), Box::new(keeps), None)?;
    let instance = pre.instantiate(&mut store)?;
    match instance.export(&mut store, "") {
        Some(item) => Ok(item),
        None => bail!(Bug, "a synthetic module exports nothing"),
    }
}

/// Writes a module, section by section.
struct Encoder(Vec<u8>);

impl Encoder {
    fn new() -> Self {
        Encoder(b"\0asm\x01\0\0\0".to_vec())
    }

    fn section(&mut self, id: u8, contents: Vec<u8>) {
        self.0.push(id);
        leb(&mut self.0, contents.len() as u64);
        self.0.extend(contents);
    }

    /// Exports entity 0 of a kind under the empty name, and ends the module.
    fn export(mut self, kind: u8) -> Vec<u8> {
        self.section(7, vec![1, 0, kind, 0]);
        self.0
    }
}

fn leb(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

fn limits(minimum: u64, maximum: Option<u64>, wide: bool) -> Vec<u8> {
    let mut out = vec![u8::from(maximum.is_some()) | u8::from(wide) << 2];
    leb(&mut out, minimum);
    if let Some(maximum) = maximum {
        leb(&mut out, maximum);
    }
    out
}

fn val_type(ty: ValType) -> Result<u8> {
    Ok(match ty {
        ValType::I32 => 0x7f,
        ValType::I64 => 0x7e,
        ValType::F32 => 0x7d,
        ValType::F64 => 0x7c,
        ValType::V128 => 0x7b,
        ValType::FUNCREF => 0x70,
        ValType::EXTERNREF => 0x6f,
        other => bail!(Unsupported, "host-made entities of type {other}"),
    })
}

fn func_type(ty: &FuncType) -> Result<Vec<u8>> {
    let mut out = vec![1, 0x60];
    for list in [ty.params(), ty.results()] {
        leb(&mut out, list.len() as u64);
        for &ty in list {
            out.push(val_type(ty)?);
        }
    }
    Ok(out)
}
