//! Host-made functions, memories, tables and globals: each is the only export of a tiny module that is made here.
//!
//! So everything that belongs to a store is part of an instance, and there is one way to own, reset and import it.
//!
//! All of it takes a [`StoreContextMut`], which is one store: an [`AsContextMut`](crate::AsContextMut) of the host's may be
//! another one whenever it is asked.

use std::any::Any;
use std::sync::Arc;

use crate::artifact::info::{GlobalType, HeapType, MemoryType, RefType, TableType, ValType};
use crate::artifact::layout::VmGlobal;
use crate::engine::Engine;
use crate::error::{Result, bail, error};
use crate::externs::Extern;
use crate::func::Func;
use crate::global::Global;
use crate::host::HostFunc;
use crate::memory::Memory;
use crate::module::Module;
use crate::pre::InstancePre;
use crate::store::StoreContextMut;
use crate::table::Table;
use crate::vm::instance::ImportValue;

/// A function of the store.
pub(crate) fn func<T: 'static>(store: &mut StoreContextMut<'_, T>, func: HostFunc) -> Result<Func> {
    let import = func.import();
    let engine = store.engine();
    let id = engine.type_id(func.ty())?;
    let mut encoder = Encoder::new(&engine, [id])?;
    let mut one = import_header(0x00);
    leb(&mut one, encoder.index(id)?);
    encoder.section(2, one);
    match make(store, encoder.export(0x00), vec![import], Box::new(func), None)? {
        Extern::Func(func) => Ok(func),
        _ => bail!(Bug, "a synthetic module exports something else"),
    }
}

/// A memory of the store.
pub(crate) fn memory<T: 'static>(store: &mut StoreContextMut<'_, T>, ty: MemoryType) -> Result<Memory> {
    let mut encoder = Encoder::new(&store.engine(), [])?;
    if ty.shared {
        bail!(Unsupported, "a shared memory belongs to no store: use SharedMemory::new");
    }
    if !matches!(ty.page_size_log2, 0 | 16) {
        bail!(Unsupported, "host-made memories whose pages have neither 1 nor 65536 bytes");
    }
    let mut memory = [vec![1], limits(ty.minimum, ty.maximum, ty.memory64)].concat();
    if ty.page_size_log2 != 16 {
        memory[1] |= 8;
        memory.push(ty.page_size_log2);
    }
    encoder.section(5, memory);
    match make(store, encoder.export(0x02), Vec::new(), Box::new(()), None)? {
        Extern::Memory(memory) => Ok(memory),
        _ => bail!(Bug, "a synthetic module exports something else"),
    }
}

/// A table of the store: of nulls, or of `init` when its elements are never null.
pub(crate) fn table<T: 'static>(store: &mut StoreContextMut<'_, T>, ty: TableType, init: u64) -> Result<Table> {
    let content = ValType::Ref(ty.element);
    let mut encoder = Encoder::new(&store.engine(), content.concrete())?;
    let (mut imports, mut keeps, mut owner) = (Vec::new(), None, None);
    let declared = [encoder.val_type(content)?, limits(ty.minimum, ty.maximum, ty.table64)].concat();
    if ty.element.nullable {
        encoder.section(4, [vec![1], declared].concat());
    } else {
        // The first value comes in an imported constant global.
        let init = Arc::new(VmGlobal { bits: [init, 0] });
        encoder.section(2, [import_header(0x03), encoder.val_type(content)?, vec![0]].concat());
        encoder.section(4, [vec![1, 0x40, 0], declared, vec![0x23, 0, 0x0b]].concat());
        imports.push(ImportValue::Global(Arc::as_ptr(&init).cast_mut(), GlobalType { content, mutable: false }));
        keeps = Some(init);
        owner = Some(store.opaque().id());
    }
    match make(store, encoder.export(0x01), imports, Box::new(keeps), owner)? {
        Extern::Table(table) => Ok(table),
        _ => bail!(Bug, "a synthetic module exports something else"),
    }
}

/// A zero global of the store; of a type that is never null it is to be written before it is used.
pub(crate) fn global<T: 'static>(store: &mut StoreContextMut<'_, T>, ty: GlobalType) -> Result<Global> {
    // Inside, references may be null.
    let content = match ty.content {
        ValType::Ref(reference) => ValType::Ref(RefType { nullable: true, ..reference }),
        number => number,
    };
    let mut encoder = Encoder::new(&store.engine(), content.concrete())?;
    let zero = match content {
        ValType::I32 => vec![0x41, 0],
        ValType::I64 => vec![0x42, 0],
        ValType::F32 => vec![0x43, 0, 0, 0, 0],
        ValType::F64 => vec![0x44, 0, 0, 0, 0, 0, 0, 0, 0],
        ValType::V128 => [&[0xfd, 12][..], &[0; 16]].concat(),
        ValType::Ref(reference) => [vec![0xd0], encoder.heap_type(reference.heap)?].concat(),
    };
    // Always mutable inside, so that its value is reset with the slot; the handle has the type that was asked for.
    encoder.section(6, [vec![1], encoder.val_type(content)?, vec![1], zero, vec![0x0b]].concat());
    match make(store, encoder.export(0x03), Vec::new(), Box::new(()), None)? {
        // SAFETY: the global is that of an instance of this store; only mutability and null differ.
        Extern::Global(global) => Ok(unsafe {
            let definition = global.raw(store.opaque())?;
            Global::from_definition(definition, ty, store.opaque())
        }),
        _ => bail!(Bug, "a synthetic module exports something else"),
    }
}

/// Makes an instance of the module and gives its export. `keeps` owns what the imports point to, `owner` is the store
/// that they belong to if they do.
fn make<T: 'static>(
    store: &mut StoreContextMut<'_, T>,
    wasm: Vec<u8>,
    imports: Vec<ImportValue>,
    keeps: Box<dyn Any + Send + Sync>,
    owner: Option<u64>,
) -> Result<Extern> {
    let engine = store.engine();
    let module = Module::synthetic(&engine, wasm)?;
    let pre = InstancePre::<T>::new(&module, imports.into(), keeps, owner, true)?;
    let instance = pre.instantiate(&mut *store)?;
    match instance.export(store, "") {
        Some(item) => Ok(item),
        None => bail!(Bug, "a synthetic module exports nothing"),
    }
}

/// Writes a module, section by section.
struct Encoder {
    wasm: Vec<u8>,
    /// The engine's ids of the module's types, ascending: the n-th is that of type n.
    types: Vec<u32>,
}

impl Encoder {
    /// Starts with the type section: `roots` and what they mention.
    fn new(engine: &Engine, roots: impl IntoIterator<Item = u32>) -> Result<Self> {
        let registry = engine.types();
        let types = registry.closure(roots);
        registry.check(types.iter().copied())?;
        let mut encoder = Encoder { wasm: b"\0asm\x01\0\0\0".to_vec(), types };
        let mut section = Vec::new();
        leb(&mut section, encoder.types.len() as u64);
        for ty in encoder.types.iter().filter_map(|&id| registry.get(id)) {
            section.push(0x60);
            for list in [ty.params(), ty.results()] {
                leb(&mut section, list.len() as u64);
                for &ty in list {
                    section.extend(encoder.val_type(ty)?);
                }
            }
        }
        if !encoder.types.is_empty() {
            encoder.section(1, section);
        }
        Ok(encoder)
    }

    fn section(&mut self, id: u8, contents: Vec<u8>) {
        self.wasm.push(id);
        leb(&mut self.wasm, contents.len() as u64);
        self.wasm.extend(contents);
    }

    /// Exports entity 0 of a kind under the empty name, and ends the module.
    fn export(mut self, kind: u8) -> Vec<u8> {
        self.section(7, vec![1, 0, kind, 0]);
        self.wasm
    }

    /// The module's index of a type.
    fn index(&self, id: u32) -> Result<u64> {
        let place = self.types.binary_search(&id);
        place.map(|index| index as u64).map_err(|_| error!(Bug, "type {id} is missing in a synthetic module"))
    }

    fn val_type(&self, ty: ValType) -> Result<Vec<u8>> {
        Ok(match ty {
            ValType::I32 => vec![0x7f],
            ValType::I64 => vec![0x7e],
            ValType::F32 => vec![0x7d],
            ValType::F64 => vec![0x7c],
            ValType::V128 => vec![0x7b],
            ValType::FUNCREF => vec![0x70],
            ValType::EXTERNREF => vec![0x6f],
            ValType::Ref(RefType { nullable, heap }) => {
                [vec![if nullable { 0x63 } else { 0x64 }], self.heap_type(heap)?].concat()
            }
        })
    }

    fn heap_type(&self, ty: HeapType) -> Result<Vec<u8>> {
        Ok(match ty {
            HeapType::Func => vec![0x70],
            HeapType::Extern => vec![0x6f],
            HeapType::Concrete(id) => signed_leb(self.index(id)?),
        })
    }
}

/// One import with empty names, of a kind.
fn import_header(kind: u8) -> Vec<u8> {
    vec![1, 0, 0, kind]
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

/// A number that is not negative, as a signed one.
fn signed_leb(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x40 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn limits(minimum: u64, maximum: Option<u64>, wide: bool) -> Vec<u8> {
    let mut out = vec![u8::from(maximum.is_some()) | u8::from(wide) << 2];
    leb(&mut out, minimum);
    if let Some(maximum) = maximum {
        leb(&mut out, maximum);
    }
    out
}
