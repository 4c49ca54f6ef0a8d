//! [`Extern`]: what can be imported and exported; and the matching of imports.

use crate::artifact::info::{EntityIndex, ExternType, ValType};
use crate::artifact::layout::WASM_PAGE_BYTES;
use crate::engine::Engine;
use crate::error::Result;
use crate::func::Func;
use crate::global::Global;
use crate::memory::Memory;
use crate::shared_memory::SharedMemory;
use crate::store::StoreOpaque;
use crate::table::Table;
use crate::vm::instance::VmInstance;

/// A function, memory, table or global of a store, or a memory that is shared.
#[derive(Clone, Debug)]
pub enum Extern {
    Func(Func),
    Memory(Memory),
    Table(Table),
    Global(Global),
    /// Belongs to no store, but to an engine.
    SharedMemory(SharedMemory),
}

macro_rules! extern_from {
    ($($name:ident),*) => {$(
        impl From<$name> for Extern {
            fn from(item: $name) -> Extern {
                Extern::$name(item)
            }
        }
    )*};
}

extern_from!(Func, Memory, Table, Global, SharedMemory);

impl Extern {
    /// Entity `entity` of an instance of `store`. A function must be an escaped one, as exported ones are.
    pub(crate) fn from_instance(instance: &VmInstance, entity: EntityIndex, store: &StoreOpaque) -> Self {
        match entity {
            EntityIndex::Func(index) => {
                let reference = instance.func_ref(index).expect("exported functions escape");
                // SAFETY: the instance belongs to `store`.
                Extern::Func(unsafe { Func::from_reference(reference, store) })
            }
            EntityIndex::Memory(index) if instance.module().info.memories[index as usize].shared => {
                // SAFETY: the instance belongs to `store`, and holds the memory itself or through what it was made from.
                Extern::SharedMemory(unsafe { SharedMemory::from_definition(instance.memory(index), store.engine()) })
            }
            EntityIndex::Memory(index) => {
                // SAFETY: the instance belongs to `store`.
                Extern::Memory(unsafe { Memory::from_definition(instance.memory(index), store) })
            }
            // SAFETY: the instance belongs to `store`.
            EntityIndex::Table(index) => Extern::Table(unsafe { Table::from_definition(instance.table(index), store) }),
            EntityIndex::Global(index) => {
                let ty = instance.global_type(index);
                // SAFETY: the instance belongs to `store`.
                Extern::Global(unsafe { Global::from_definition(instance.global(index), ty, store) })
            }
        }
    }

    /// The type, with the current size of a memory or table as its minimum.
    pub(crate) fn current_type(&self, store: &StoreOpaque) -> Result<ExternType> {
        Ok(match self {
            Extern::Func(func) => ExternType::Func(Engine::known_type_in(store.cell(), func.type_id(store)?)),
            Extern::Memory(memory) => ExternType::Memory(memory.current_type(store)?),
            Extern::Table(table) => ExternType::Table(table.current_type(store)?),
            Extern::Global(global) => ExternType::Global(global.type_in(store)?),
            Extern::SharedMemory(memory) => ExternType::Memory(memory.ty()),
        })
    }
}

fn limits_match(wanted: (u64, Option<u64>), given: (u64, Option<u64>)) -> bool {
    given.0 >= wanted.0 && wanted.1.is_none_or(|max| given.1.is_some_and(|given| given <= max))
}

/// Whether an entity of type `given` may be imported as `wanted` (spec: external typing, import matching).
pub(crate) fn matches(wanted: &ExternType, given: &ExternType) -> bool {
    match (wanted, given) {
        (ExternType::Func(w), ExternType::Func(g)) => w == g,
        // Whoever may write a global must mean the same type as those who read it.
        (ExternType::Global(w), ExternType::Global(g)) if w.mutable || g.mutable => w == g,
        (ExternType::Global(w), ExternType::Global(g)) => g.content.matches(w.content),
        (ExternType::Memory(w), ExternType::Memory(g)) => {
            (w.memory64, w.shared, w.page_size_log2) == (g.memory64, g.shared, g.page_size_log2)
                && limits_match((w.minimum, w.maximum), (g.minimum, g.maximum))
        }
        (ExternType::Table(w), ExternType::Table(g)) => {
            (w.element, w.table64) == (g.element, g.table64)
                && limits_match((w.minimum, w.maximum), (g.minimum, g.maximum))
        }
        _ => false,
    }
}

/// A type of this engine in words, for error messages.
pub(crate) fn describe(engine: &Engine, ty: &ExternType) -> String {
    let types = engine.types();
    let limits = |min: u64, max: Option<u64>, unit: &str| match max {
        Some(max) => format!("{min} to {max} {unit}"),
        None => format!("at least {min} {unit}"),
    };
    let wide = |wide: bool| if wide { "64-bit " } else { "" };
    match ty {
        ExternType::Func(ty) => format!("function {}", types.show_func(ty)),
        ExternType::Memory(ty) => {
            let unit =
                if ty.page_size() == WASM_PAGE_BYTES { "pages" } else { &format!("pages of {} bytes", ty.page_size()) };
            let shared = if ty.shared { "shared " } else { "" };
            format!("{}{shared}memory of {}", wide(ty.memory64), limits(ty.minimum, ty.maximum, unit))
        }
        ExternType::Table(ty) => {
            let limits = limits(ty.minimum, ty.maximum, "elements");
            format!("{}table of {limits} {}", wide(ty.table64), types.show(ValType::Ref(ty.element)))
        }
        ExternType::Global(ty) => {
            format!("{} global {}", if ty.mutable { "mutable" } else { "constant" }, types.show(ty.content))
        }
    }
}
