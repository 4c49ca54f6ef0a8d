//! The structures that compiled code and the runtime both read and write.
//!
//! Everything here is `#[repr(C)]` and every offset used by the compiler comes from `offset_of!`, so a field is
//! described once. The variable part of an instance's context is laid out by [`ContextLayout`]:
//!
//! ```text
//!  VmContext ──► +-------------------------------+ 0
//!                | header (VmContext)            |
//!                | function imports              | VmFunctionImport × n      template, never written by wasm
//!                | memories' places              | *mut VmMemory × n         imported, then defined ones
//!                | table imports                 | *mut VmTable × n
//!                | global imports                | *mut VmGlobal × n
//!                | memories                      | VmMemory × n              unused where the memory is shared
//!                | tables                        | VmTable × n
//!                | constant globals              | VmGlobal × n              template, never written by wasm
//!                | mutable globals               | VmGlobal × n              one block: reset is one memcpy
//!                | marks of mutable globals      | u8 × n / 64               only of many globals
//!                | function references           | VmFuncRef × n             for every function that can escape
//!                | host import contexts          | VmHostContext × n
//!                +-------------------------------+ ContextLayout::size
//! ```
//!
//! Invariant: a warm slot keeps its context at the same address, so pointers from one part of it to another, and
//! from table elements into it, stay good from one tenant to the next.
//!
//! Invariant: nothing in a context owns anything. Deliberately absent: reference counts, host data, locks.

use std::ffi::c_void;
use std::mem::{offset_of, size_of};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::info::ModuleInfo;

/// Bytes of linear memory covered by one byte of a memory's dirty map, as a power of two.
pub const DIRTY_LINE_SHIFT: u32 = 8;
/// Bytes of linear memory covered by one byte of a memory's dirty map.
pub const DIRTY_LINE_BYTES: usize = 1 << DIRTY_LINE_SHIFT;
/// A mark covers this many bytes from the marked address on, so a reset restores `DIRTY_SPILL_BYTES - 1` bytes beyond
/// the end of each dirty line.
pub const DIRTY_SPILL_BYTES: usize = 16;
/// Elements of a table that share a mark, as a power of two.
pub const TABLE_CHUNK_SHIFT: u32 = 5;
/// Elements of a table that share a mark.
pub const TABLE_CHUNK: usize = 1 << TABLE_CHUNK_SHIFT;
/// Globals that share a mark, where they have marks.
const GLOBAL_CHUNK: u32 = 64;
/// Mutable globals from which on those that only the module itself can write have marks: fewer are copied faster than looked
/// at.
const MARKED_GLOBALS_MIN: u32 = 128;
/// Size of one WebAssembly page in bytes.
pub const WASM_PAGE_BYTES: u64 = 65_536;
/// Largest size of a 32-bit memory in bytes.
pub const MEMORY32_MAX_BYTES: u64 = 1 << 32;
/// Distance from the first byte of a memory's dirty map to the first byte of the memory, for memories whose plan says
/// `DirtyMap::Below`: one map byte for each line of a 4 GiB memory.
pub const DIRTY_MAP_BYTES: usize = (MEMORY32_MAX_BYTES >> DIRTY_LINE_SHIFT) as usize;

/// What every entry trampoline looks like: `(function reference, slots) -> 0 or a trap code`.
///
/// Parameters are read from `slots` and results are written to it, one 8-byte slot each and two for a vector, its low half
/// first: integers and floats as their bits in the low end (zeroes above them in what compiled code writes, anything in what
/// it reads), `funcref` as a `*const VmFuncRef` or 0, `externref` as an arena index plus one or 0.
pub type EntryFn = unsafe extern "C" fn(callee: *const VmFuncRef, slots: *mut u64) -> u32;

/// What the runtime puts behind an imported host function: `(host context, slots) -> 0`, or nonzero when a trap or an
/// error has been recorded in the store and the wasm frames up to the innermost entry are to be abandoned.
pub type HostFn = unsafe extern "C" fn(context: *mut VmHostContext, slots: *mut u64) -> u32;

/// What a host function that takes its parameters in registers returns, in two registers. It brings the address of
/// [`VmBuiltins::raise`] itself when it fails, so that the trampoline need not keep anything across the call.
///
/// Such a function is `extern "C" fn(context: *mut VmHostContext, parameters…) -> DirectResult`, each parameter of the C
/// type of its width. Which types can be called that way says [`FuncType::is_direct`](super::info::FuncType::is_direct).
#[repr(C)]
pub struct DirectResult {
    /// The bits of the result, if the type has one. After a failure the address of [`VmBuiltins::raise`].
    pub bits: u64,
    /// 0, or a trap code as [`HostFn`] returns it.
    pub trap: u64,
}

/// The part of a store that compiled code reads.
#[repr(C)]
pub struct VmStore {
    /// Lowest stack address that wasm frames may reach; checked in every prologue.
    pub stack_limit: usize,
    /// The runtime's own hook for limits on growth, or null; compiled code never looks inside.
    pub limiter: *const c_void,
}

/// Start of every instance's context. Compiled code gets its address as the first, hidden parameter.
#[repr(C)]
pub struct VmContext {
    /// The store that owns the instance now. Written when a slot is acquired.
    pub store: *mut VmStore,
    /// Functions of the runtime that compiled code calls. One table for the whole process.
    pub builtins: *const VmBuiltins,
    /// Engine-wide ids of the module's types, indexed by the module's own type index.
    pub type_ids: *const u32,
    /// The runtime's own record of the instance; compiled code never looks inside.
    pub instance: *mut c_void,
}

/// An imported function: how to call it and the context it is called with.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct VmFunctionImport {
    /// Code with the wasm calling convention `(context, parameters…) -> results`.
    pub code: *const u8,
    /// First parameter: a `VmContext` for wasm functions, a `VmHostContext` for host functions.
    pub context: *mut c_void,
}

/// A linear memory, defined or host-made. How it is accessed is in its `MemoryPlan`.
#[repr(C)]
pub struct VmMemory {
    /// First byte of the memory. Changes only when the memory grows, and only if its plan says that it moves.
    pub base: *mut u8,
    /// Current size in bytes. Other threads may grow a memory that is shared; it never shrinks then.
    pub length: AtomicUsize,
    /// The runtime's own record of the memory; compiled code never looks inside.
    pub owner: *mut c_void,
    /// First byte of the dirty map, one byte for each line; null when writes are not tracked. Changes with the base.
    pub map: *mut u8,
}

impl VmMemory {
    /// Current size in bytes. All of it is accessible to whoever has seen it.
    #[inline(always)]
    pub fn length(&self) -> usize {
        self.length.load(Ordering::Acquire)
    }

    #[inline(always)]
    pub fn set_length(&self, bytes: usize) {
        self.length.store(bytes, Ordering::Release);
    }
}

/// A table of `funcref` (`*const VmFuncRef` or 0) or `externref` (arena index plus one, or 0), 8 bytes each.
#[repr(C)]
pub struct VmTable {
    /// First element. Changes only when the table grows.
    pub base: *mut u64,
    /// Current number of elements.
    pub length: usize,
    /// Set to 1 by everything that writes an element or grows the table.
    pub dirty: u32,
    /// A byte for each [`TABLE_CHUNK`] elements, set to 1 by everything that writes one of them. Changes with the base.
    pub marks: *mut u8,
    /// The runtime's own record of the table; compiled code never looks inside.
    pub owner: *mut c_void,
}

/// A global: the value's bits in the low end.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug)]
pub struct VmGlobal {
    pub bits: [u64; 2],
}

/// What a non-null `funcref` points to.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct VmFuncRef {
    /// Code with the wasm calling convention `(context, parameters…) -> results`.
    pub code: *const u8,
    /// First parameter for `code`.
    pub context: *mut c_void,
    /// Entry trampoline of the function's type.
    pub entry: *const u8,
    /// Engine-wide type id.
    pub type_id: u32,
}

/// The context an imported host function is called with.
#[repr(C)]
pub struct VmHostContext {
    /// Called by the wasm-to-host trampoline: a [`HostFn`], or the function that returns a [`DirectResult`] when the
    /// import's code is the trampoline for those.
    pub func: *const c_void,
    /// The runtime's record of the host function.
    pub data: *const c_void,
    /// The instance that imports the function.
    pub caller: *mut VmContext,
}

/// What a `grow` builtin returns when the guest's call is to end: the caller raises
/// [`HostError`](crate::error::TrapCode::HostError).
pub const GROW_STOPPED: u64 = u64::MAX - 1;

/// Functions of the runtime that compiled code calls through the context, all with the platform's C convention.
///
/// `index` parameters are the module's own index spaces. Those that return `u32` return 0 or a trap code, with which the
/// caller raises; `grow` functions return the old size, -1 as the spec says, or [`GROW_STOPPED`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct VmBuiltins {
    /// Abandons all wasm frames up to the innermost entry, which then returns `code`. Does not return.
    pub raise: unsafe extern "C" fn(context: *mut VmContext, code: u32),
    pub memory_grow: unsafe extern "C" fn(context: *mut VmContext, memory: u32, delta_pages: u64) -> u64,
    pub memory_copy: unsafe extern "C" fn(
        context: *mut VmContext,
        dst_memory: u32,
        src_memory: u32,
        dst: u64,
        src: u64,
        len: u64,
    ) -> u32,
    pub memory_fill: unsafe extern "C" fn(context: *mut VmContext, memory: u32, dst: u64, byte: u32, len: u64) -> u32,
    pub memory_init:
        unsafe extern "C" fn(context: *mut VmContext, memory: u32, segment: u32, dst: u64, src: u32, len: u32) -> u32,
    pub data_drop: unsafe extern "C" fn(context: *mut VmContext, segment: u32),
    /// Of these three, the low half of what they return is the result, and the high half 0 or a trap code. An access is at
    /// `index + offset`; a timeout is in nanoseconds, and endless if it is negative as a signed number.
    pub memory_atomic_notify:
        unsafe extern "C" fn(context: *mut VmContext, memory: u32, index: u64, offset: u64, count: u32) -> u64,
    pub memory_atomic_wait32: unsafe extern "C" fn(
        context: *mut VmContext,
        memory: u32,
        index: u64,
        offset: u64,
        expected: u32,
        timeout: i64,
    ) -> u64,
    pub memory_atomic_wait64: unsafe extern "C" fn(
        context: *mut VmContext,
        memory: u32,
        index: u64,
        offset: u64,
        expected: u64,
        timeout: i64,
    ) -> u64,
    pub table_grow: unsafe extern "C" fn(context: *mut VmContext, table: u32, delta: u64, init: u64) -> u64,
    pub table_fill: unsafe extern "C" fn(context: *mut VmContext, table: u32, dst: u64, value: u64, len: u64) -> u32,
    pub table_copy: unsafe extern "C" fn(
        context: *mut VmContext,
        dst_table: u32,
        src_table: u32,
        dst: u64,
        src: u64,
        len: u64,
    ) -> u32,
    pub table_init:
        unsafe extern "C" fn(context: *mut VmContext, table: u32, segment: u32, dst: u64, src: u32, len: u32) -> u32,
    pub elem_drop: unsafe extern "C" fn(context: *mut VmContext, segment: u32),
}

/// Byte offsets of the parts of one module's contexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextLayout {
    function_imports: u32,
    memory_pointers: u32,
    table_imports: u32,
    global_imports: u32,
    memories: u32,
    tables: u32,
    constant_globals: u32,
    mutable_globals: u32,
    global_marks: u32,
    func_refs: u32,
    host_contexts: u32,
    /// Size of the whole context in bytes; a multiple of 16.
    pub size: u32,
    /// Number of mutable globals that the module defines.
    pub mutable_global_count: u32,
    /// Number of those, the first ones, that have no marks.
    pub unmarked_global_count: u32,
}

impl ContextLayout {
    /// Lays out the contexts of the module that `info` describes. `info`'s counts are bounded by the validator, so the
    /// sum fits `u32`.
    pub fn new(info: &ModuleInfo) -> Self {
        let mut at = size_of::<VmContext>();
        let mut part = |count: usize, size: usize, align: usize| -> u32 {
            at = at.next_multiple_of(align);
            let start = at;
            at += count * size;
            u32::try_from(start).expect("context offsets fit u32")
        };
        let mutable = info.defined_globals().filter(|g| g.mutable).count();
        let constant = info.defined_globals().count() - mutable;
        let function_imports = part(info.imported_functions as usize, size_of::<VmFunctionImport>(), 8);
        let memory_pointers = part(info.memories.len(), 8, 8);
        let table_imports = part(info.imported_tables as usize, 8, 8);
        let global_imports = part(info.imported_globals as usize, 8, 8);
        let memories = part(info.memories.len() - info.imported_memories as usize, size_of::<VmMemory>(), 8);
        let tables = part(info.tables.len() - info.imported_tables as usize, size_of::<VmTable>(), 8);
        let constant_globals = part(constant, size_of::<VmGlobal>(), 16);
        let mutable_globals = part(mutable, size_of::<VmGlobal>(), 16);
        let mutable = mutable as u32;
        let unmarked = if mutable < MARKED_GLOBALS_MIN { mutable } else { info.public_global_count() as u32 };
        let global_marks = part((mutable - unmarked).div_ceil(GLOBAL_CHUNK * 8) as usize, 8, 8);
        let func_refs = part(info.escaped_functions.len(), size_of::<VmFuncRef>(), 8);
        let host_contexts = part(info.imported_functions as usize, size_of::<VmHostContext>(), 8);
        let size = part(0, 0, 16);
        ContextLayout {
            function_imports,
            memory_pointers,
            table_imports,
            global_imports,
            memories,
            tables,
            constant_globals,
            mutable_globals,
            global_marks,
            func_refs,
            host_contexts,
            size,
            mutable_global_count: mutable,
            unmarked_global_count: unmarked,
        }
    }

    /// Offset of the [`VmFunctionImport`] of imported function `index`.
    pub fn function_import(&self, index: u32) -> u32 {
        self.function_imports + index * size_of::<VmFunctionImport>() as u32
    }

    /// Offset of the pointer to memory `index` of the module's index space.
    pub fn memory_pointer(&self, index: u32) -> u32 {
        self.memory_pointers + index * 8
    }

    /// Offset of the pointer to imported table `index`.
    pub fn table_import(&self, index: u32) -> u32 {
        self.table_imports + index * 8
    }

    /// Offset of the pointer to imported global `index`.
    pub fn global_import(&self, index: u32) -> u32 {
        self.global_imports + index * 8
    }

    /// Offset of the [`VmMemory`] of the `index`-th memory that the module defines, unless that is shared.
    pub fn defined_memory(&self, index: u32) -> u32 {
        self.memories + index * size_of::<VmMemory>() as u32
    }

    /// Offset of the [`VmTable`] of the `index`-th table that the module defines.
    pub fn defined_table(&self, index: u32) -> u32 {
        self.tables + index * size_of::<VmTable>() as u32
    }

    /// Offset of the [`VmGlobal`] at `place` (see [`ModuleInfo::global_places`]).
    pub fn defined_global(&self, place: GlobalPlace) -> u32 {
        match place {
            GlobalPlace::Constant(i) => self.constant_globals + i * size_of::<VmGlobal>() as u32,
            GlobalPlace::Mutable(i) => self.mutable_globals + i * size_of::<VmGlobal>() as u32,
        }
    }

    /// Offset of the block of mutable globals: `mutable_global_count` of [`VmGlobal`].
    pub fn mutable_globals(&self) -> u32 {
        self.mutable_globals
    }

    /// Offset of the marks of mutable globals, eight to a word of `global_mark_words`. See [`ContextLayout::global_mark`].
    pub fn global_marks(&self) -> u32 {
        self.global_marks
    }

    /// How many words of marks of globals there are.
    pub fn global_mark_words(&self) -> usize {
        (self.mutable_global_count - self.unmarked_global_count).div_ceil(GLOBAL_CHUNK * 8) as usize
    }

    /// Offset of the mark that a write of a global sets to 1: a byte that stands for several globals. `None` for one that is
    /// always reset, as others than the module's own code may write it, or there are few.
    pub fn global_mark(&self, place: GlobalPlace) -> Option<u32> {
        match place {
            GlobalPlace::Mutable(i) => {
                Some(self.global_marks + i.checked_sub(self.unmarked_global_count)? / GLOBAL_CHUNK)
            }
            GlobalPlace::Constant(_) => None,
        }
    }

    /// The mutable globals that mark number `mark` stands for.
    pub fn marked_globals(&self, mark: u32) -> Range<usize> {
        let start = (self.unmarked_global_count + mark * GLOBAL_CHUNK).min(self.mutable_global_count);
        start as usize..(start + GLOBAL_CHUNK).min(self.mutable_global_count) as usize
    }

    /// Offset of the [`VmFuncRef`] of escaped function `index` (an index into [`ModuleInfo::escaped_functions`]).
    pub fn func_ref(&self, index: u32) -> u32 {
        self.func_refs + index * size_of::<VmFuncRef>() as u32
    }

    /// Offset of the [`VmHostContext`] of imported function `index`; unused when a wasm function was imported.
    pub fn host_context(&self, index: u32) -> u32 {
        self.host_contexts + index * size_of::<VmHostContext>() as u32
    }
}

/// Where a defined global lies: mutable and constant ones form a block each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GlobalPlace {
    Constant(u32),
    Mutable(u32),
}

const _: () = {
    assert!(offset_of!(VmContext, store) == 0);
    assert!(offset_of!(VmStore, stack_limit) == 0);
    assert!(size_of::<VmGlobal>() == 16);
    assert!(size_of::<usize>() == 8, "Instar needs a 64-bit host");
};
