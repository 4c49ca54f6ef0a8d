//! The runtime's record of an instance, and typed access to its context.
//!
//! ```text
//!   Box<VmInstance> ──context──► VmContext + variable part (see artifact::layout)
//!          ▲                         │
//!          └──────instance───────────┘
//! ```
//!
//! Invariant: a `VmInstance` and everything it points to keep their addresses from creation to drop.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;

use super::builtins::BUILTINS;
use super::memory;
use super::module::VmModule;
use super::shared::InstanceMemory;
use super::table::TableStorage;
use crate::artifact::info::{ConstOp, GlobalType, SegmentMode};
use crate::artifact::layout::{
    HostFn, VmContext, VmFuncRef, VmFunctionImport, VmGlobal, VmHostContext, VmMemory, VmStore, VmTable,
};
use crate::artifact::plan::MemorySettings;
use crate::error::Result;
use crate::sys::mmap;

/// The code of a host function.
#[derive(Clone, Copy, Debug)]
pub enum HostCode {
    Slots(HostFn),
    /// Takes its parameters in registers and returns a [`DirectResult`](crate::artifact::layout::DirectResult).
    Direct(*const c_void),
}

/// What an imported entity is replaced with.
#[derive(Clone, Copy, Debug)]
pub enum ImportValue {
    /// A host function, called through the importing module's own trampoline.
    Host {
        func: HostCode,
        data: *const c_void,
    },
    /// A function of another instance.
    Function(VmFunctionImport),
    Memory(*mut VmMemory),
    Table(*mut VmTable),
    /// With the type it was made with, which may say more than the importing module asks for.
    Global(*mut VmGlobal, GlobalType),
}

/// Limits of the engine that apply to each instance.
#[derive(Clone, Copy, Debug)]
pub struct InstanceLimits {
    pub memory_bytes: u64,
    pub table_elements: u64,
    /// How memories are laid out.
    pub memories: MemorySettings,
}

/// An instance: its context and what the runtime needs beside it.
#[derive(Debug)]
pub struct VmInstance {
    context: NonNull<VmContext>,
    module: Arc<VmModule>,
    memories: Box<[InstanceMemory]>,
    tables: Box<[TableStorage]>,
    /// Types of the imported globals, in order.
    imported_globals: Vec<GlobalType>,
    dropped_data: Box<[bool]>,
    dropped_elements: Box<[bool]>,
    segments_dirty: bool,
}

// SAFETY: an instance is used by one thread at a time (its store's rule). Everything it points to is its own, or belongs
// to the module or to instances of the same store.
unsafe impl Send for VmInstance {}
// SAFETY: `&VmInstance` gives out raw pointers and immutable parts only.
unsafe impl Sync for VmInstance {}

/// Where the function references of an instance lie.
#[derive(Clone, Copy, Debug)]
pub struct References {
    first: u64,
    count: u32,
}

impl References {
    /// The bits of a table's element that is the reference at position `place` of the escaped functions, or null beyond
    /// their end.
    #[inline]
    pub fn element(self, place: u32) -> u64 {
        if place < self.count { self.first + u64::from(place) * size_of::<VmFuncRef>() as u64 } else { 0 }
    }
}

impl VmInstance {
    /// Makes an instance in the state before any active segment is applied and before `start`: imports, function
    /// references, globals, empty tables and zeroed memories.
    ///
    /// # Safety
    ///
    /// `imports` has one value per import, of the right kind and type, and what they point to outlives the instance.
    pub unsafe fn new(module: Arc<VmModule>, imports: &[ImportValue], limits: InstanceLimits) -> Result<Box<Self>> {
        let info = &module.info;
        let memories = info.memories[info.imported_memories as usize..]
            .iter()
            .map(|&ty| InstanceMemory::new(ty, limits.memories, module.tracking, limits.memory_bytes))
            .collect::<Result<Box<[_]>>>()?;
        let tables = info.tables[info.imported_tables as usize..]
            .iter()
            .map(|decl| TableStorage::new(decl.ty, limits.table_elements))
            .collect::<Result<Box<[_]>>>()?;
        let dropped_data = vec![false; info.data_segments.len()].into();
        let dropped_elements = vec![false; info.element_segments.len()].into();
        let layout = context_layout(&module);
        // SAFETY: the layout has a size of at least the header's.
        let context = unsafe { alloc_zeroed(layout) }.cast::<VmContext>();
        let Some(context) = NonNull::new(context) else { handle_alloc_error(layout) };
        let mut instance = Box::new(VmInstance {
            context,
            module,
            memories,
            tables,
            imported_globals: Vec::new(),
            dropped_data,
            dropped_elements,
            segments_dirty: false,
        });
        instance.reset_segments();
        let record = std::ptr::from_mut(&mut *instance).cast::<c_void>();
        // SAFETY: the context was allocated with room for its header.
        unsafe {
            context.write(VmContext {
                store: std::ptr::null_mut(),
                builtins: &BUILTINS,
                type_ids: instance.module.type_ids.as_ptr(),
                instance: record,
            });
        }
        instance.fill_imports(imports)?;
        instance.fill_function_references()?;
        instance.place_memories();
        for i in 0..instance.tables.len() {
            let definition = instance.tables[i].definition();
            // SAFETY: the place belongs to this context.
            unsafe { instance.part::<VmTable>(instance.module.layout.defined_table(i as u32)).write(definition) };
        }
        instance.evaluate_globals();
        Ok(instance)
    }

    fn fill_imports(&mut self, imports: &[ImportValue]) -> Result<()> {
        let module = self.module.clone();
        let layout = &module.layout;
        let (mut functions, mut memories, mut tables, mut globals) = (0, 0, 0, 0);
        let next = |counter: &mut u32| {
            *counter += 1;
            *counter - 1
        };
        for import in imports {
            // SAFETY (of each write): the places lie in this context, which is being built.
            match *import {
                ImportValue::Host { func, data } => {
                    let index = next(&mut functions);
                    let (func, direct) = match func {
                        HostCode::Slots(func) => (func as *const c_void, false),
                        HostCode::Direct(func) => (func, true),
                    };
                    let code = module.host_call(module.info.functions[index as usize], direct)?;
                    let place = self.part::<VmHostContext>(layout.host_context(index));
                    // SAFETY: see above.
                    unsafe { place.write(VmHostContext { func, data, caller: self.context.as_ptr() }) };
                    let import = VmFunctionImport { code, context: place.cast() };
                    // SAFETY: see above.
                    unsafe { self.part::<VmFunctionImport>(layout.function_import(index)).write(import) };
                }
                ImportValue::Function(function) => {
                    let place = self.part::<VmFunctionImport>(layout.function_import(next(&mut functions)));
                    // SAFETY: see above.
                    unsafe { place.write(function) };
                }
                ImportValue::Memory(memory) => {
                    // SAFETY: an import outlives the instance; the store that it belongs to is this thread's now.
                    unsafe { memory::link(memory, module.tracking)? };
                    let place = self.part::<*mut VmMemory>(layout.memory_pointer(next(&mut memories)));
                    // SAFETY: see above.
                    unsafe { place.write(memory) };
                }
                ImportValue::Table(table) => {
                    let place = self.part::<*mut VmTable>(layout.table_import(next(&mut tables)));
                    // SAFETY: see above.
                    unsafe { place.write(table) };
                }
                ImportValue::Global(global, ty) => {
                    self.imported_globals.push(ty);
                    let place = self.part::<*mut VmGlobal>(layout.global_import(next(&mut globals)));
                    // SAFETY: see above.
                    unsafe { place.write(global) };
                }
            }
        }
        Ok(())
    }

    /// Fills in the definitions of the memories that are the instance's own, and the places of all that it defines.
    fn place_memories(&mut self) {
        let layout = &self.module.layout;
        for (i, memory) in self.memories.iter().enumerate() {
            let place = match memory {
                InstanceMemory::Own(memory) => {
                    let place = self.part::<VmMemory>(layout.defined_memory(i as u32));
                    // SAFETY: the place belongs to this context.
                    unsafe { place.write(memory.fresh_definition()) };
                    place
                }
                InstanceMemory::Shared(record) => record.as_definition(),
            };
            let index = self.module.info.imported_memories + i as u32;
            // SAFETY: the place belongs to this context.
            unsafe { self.part::<*mut VmMemory>(layout.memory_pointer(index)).write(place) };
        }
    }

    /// Thousands of functions may be referred to, each by a few words that depend on its index, its type and the instance.
    fn fill_function_references(&mut self) -> Result<()> {
        let module = self.module.clone();
        let info = &module.info;
        let first = self.part::<VmFuncRef>(module.layout.func_ref(0));
        mmap::populate(first.cast(), info.escaped_functions.len() * size_of::<VmFuncRef>());
        let functions = module.functions();
        // Consecutive functions often have the same type.
        let (mut last_type, mut entry) = (u32::MAX, std::ptr::null());
        for (i, &index) in info.escaped_functions.iter().enumerate() {
            let type_index = functions.type_of(index)?;
            let (code, context) = if index < info.imported_functions {
                // SAFETY: imports were filled before.
                let import = unsafe { *self.part::<VmFunctionImport>(module.layout.function_import(index)) };
                (import.code, import.context)
            } else {
                (functions.code_of(index)?, self.context.as_ptr().cast())
            };
            if type_index != last_type {
                (last_type, entry) = (type_index, module.entry(type_index)?);
            }
            let type_id = module.type_ids[type_index as usize];
            // SAFETY: the layout has room for that many references in this context, which is being built.
            unsafe { first.add(i).write(VmFuncRef { code, context, entry, type_id }) };
        }
        Ok(())
    }

    fn evaluate_globals(&mut self) {
        let module = self.module.clone();
        for (i, &place) in module.global_places.iter().enumerate() {
            let decl = &module.info.globals[module.info.imported_globals as usize + i];
            let bits = decl.init.as_ref().map_or(0, |init| self.evaluate(init));
            let global = self.part::<VmGlobal>(module.layout.defined_global(place));
            // SAFETY: the place lies in this context.
            unsafe { global.write(VmGlobal { bits: [bits as u64, (bits >> 64) as u64] }) };
        }
    }

    /// Value of a constant expression of this module: its bits. All but vectors fit the low half.
    pub fn evaluate(&self, expression: &[ConstOp]) -> u128 {
        let mut stack: Vec<u128> = Vec::with_capacity(2);
        let pop2 = |stack: &mut Vec<u128>| {
            let b = stack.pop().expect("constant expressions are validated");
            let a = stack.pop().expect("constant expressions are validated");
            (a, b)
        };
        for op in expression {
            let value = match *op {
                ConstOp::Bits(bits) => bits.into(),
                ConstOp::Vector(bits) => bits,
                ConstOp::GlobalGet(index) => {
                    // SAFETY: globals that an expression may name are initialised before it is evaluated.
                    let [low, high] = unsafe { (*self.global(index)).bits };
                    u128::from(low) | u128::from(high) << 64
                }
                ConstOp::RefFunc(index) => self.func_ref(index).map_or(0, |f| f as u128),
                ConstOp::I32Add | ConstOp::I32Sub | ConstOp::I32Mul => {
                    let (a, b) = pop2(&mut stack);
                    let (a, b) = (a as u32, b as u32);
                    u128::from(match op {
                        ConstOp::I32Add => a.wrapping_add(b),
                        ConstOp::I32Sub => a.wrapping_sub(b),
                        _ => a.wrapping_mul(b),
                    })
                }
                ConstOp::I64Add | ConstOp::I64Sub | ConstOp::I64Mul => {
                    let (a, b) = pop2(&mut stack);
                    let (a, b) = (a as u64, b as u64);
                    u128::from(match op {
                        ConstOp::I64Add => a.wrapping_add(b),
                        ConstOp::I64Sub => a.wrapping_sub(b),
                        _ => a.wrapping_mul(b),
                    })
                }
            };
            stack.push(value);
        }
        stack.pop().expect("constant expressions leave one value")
    }

    /// Value of a constant expression of this module that is no vector.
    pub fn evaluate_word(&self, expression: &[ConstOp]) -> u64 {
        self.evaluate(expression) as u64
    }

    /// Address of a part of the context.
    fn part<T>(&self, offset: u32) -> *mut T {
        debug_assert!(offset <= self.module.layout.size);
        // SAFETY: offsets come from the layout that the context was allocated with.
        unsafe { self.context.as_ptr().cast::<u8>().add(offset as usize).cast() }
    }

    /// The record behind a context.
    ///
    /// # Safety
    ///
    /// The context is that of a live instance which nobody else uses now.
    pub unsafe fn from_context<'a>(context: *mut VmContext) -> &'a mut VmInstance {
        // SAFETY: `new` put the record's address there.
        unsafe { &mut *(*context).instance.cast::<VmInstance>() }
    }

    /// The context.
    pub fn context(&self) -> *mut VmContext {
        self.context.as_ptr()
    }

    /// The module.
    pub fn module(&self) -> &Arc<VmModule> {
        &self.module
    }

    /// Memories that the instance defines, in order.
    pub fn memories(&self) -> &[InstanceMemory] {
        &self.memories
    }

    /// Number of tables that the instance defines.
    pub fn table_count(&self) -> usize {
        self.tables.len()
    }

    /// Storage of the `index`-th table that the instance defines.
    pub fn table_storage(&mut self, index: usize) -> &mut TableStorage {
        &mut self.tables[index]
    }

    /// Hands the instance to a store, or to none.
    pub fn set_store(&mut self, store: *mut VmStore) {
        // SAFETY: the context lives as long as `self`.
        unsafe { (*self.context.as_ptr()).store = store };
    }

    /// Memory `index` of the module's index space.
    pub fn memory(&self, index: u32) -> *mut VmMemory {
        // SAFETY: places are filled in `new`.
        unsafe { *self.part::<*mut VmMemory>(self.module.layout.memory_pointer(index)) }
    }

    /// Table `index` of the module's index space.
    pub fn table(&self, index: u32) -> *mut VmTable {
        let imported = self.module.info.imported_tables;
        if index < imported {
            // SAFETY: imports are filled in `new`.
            unsafe { *self.part::<*mut VmTable>(self.module.layout.table_import(index)) }
        } else {
            self.part(self.module.layout.defined_table(index - imported))
        }
    }

    /// Global `index` of the module's index space.
    pub fn global(&self, index: u32) -> *mut VmGlobal {
        let imported = self.module.info.imported_globals;
        if index < imported {
            // SAFETY: imports are filled in `new`.
            unsafe { *self.part::<*mut VmGlobal>(self.module.layout.global_import(index)) }
        } else {
            self.part(self.module.layout.defined_global(self.module.global_places[(index - imported) as usize]))
        }
    }

    /// Type of global `index` of the module's index space: the one it was made with.
    pub fn global_type(&self, index: u32) -> GlobalType {
        let imported = self.imported_globals.get(index as usize);
        imported.copied().unwrap_or_else(|| self.module.info.globals[index as usize].ty)
    }

    /// Reference to function `index`, which is an escaped one.
    pub fn func_ref(&self, index: u32) -> Option<*const VmFuncRef> {
        let place = self.module.info.escaped_index(index)?;
        Some(self.part::<VmFuncRef>(self.module.layout.func_ref(place)))
    }

    /// Where the function references lie.
    pub fn references(&self) -> References {
        References {
            first: self.part::<VmFuncRef>(self.module.layout.func_ref(0)) as u64,
            count: self.module.info.escaped_functions.len() as u32,
        }
    }

    /// The block of mutable globals.
    pub fn mutable_globals(&self) -> *mut [VmGlobal] {
        let start = self.part::<u8>(0).wrapping_add(self.module.layout.mutable_globals() as usize);
        std::ptr::slice_from_raw_parts_mut(start.cast(), self.module.layout.mutable_global_count as usize)
    }

    /// Marks of mutable globals, see [`ContextLayout::global_mark`](crate::artifact::layout::ContextLayout::global_mark).
    pub fn global_marks(&self) -> *mut [u64] {
        let start = self.part::<u64>(self.module.layout.global_marks());
        std::ptr::slice_from_raw_parts_mut(start, self.module.layout.global_mark_words())
    }

    /// Bytes of data segment `index`; none once it is dropped.
    pub fn data_segment(&self, index: u32) -> &[u8] {
        let info = &self.module.info;
        match info.data_place(index) {
            Some(place) if !self.dropped_data[place] => &info.data[info.data_segments[place].bytes.clone()],
            _ => &[],
        }
    }

    /// Whether element segment `index` was dropped.
    pub fn element_segment_dropped(&self, index: u32) -> bool {
        self.dropped_elements[index as usize]
    }

    pub fn drop_data_segment(&mut self, index: u32) {
        if let Some(place) = self.module.info.data_place(index) {
            self.dropped_data[place] = true;
            self.segments_dirty = true;
        }
    }

    pub fn drop_element_segment(&mut self, index: u32) {
        self.dropped_elements[index as usize] = true;
        self.segments_dirty = true;
    }

    /// Whether a segment was dropped since the last [`VmInstance::reset_segments`].
    pub fn segments_dirty(&self) -> bool {
        self.segments_dirty
    }

    /// Back to which segments a fresh instance has: passive ones live; active and declared ones count as dropped, as
    /// the spec has it once they are applied.
    pub fn reset_segments(&mut self) {
        let info = &self.module.info;
        for (flag, segment) in self.dropped_data.iter_mut().zip(&info.data_segments) {
            *flag = !matches!(segment.mode, SegmentMode::Passive);
        }
        for (flag, segment) in self.dropped_elements.iter_mut().zip(&info.element_segments) {
            *flag = !matches!(segment.mode, SegmentMode::Passive);
        }
        self.segments_dirty = false;
    }
}

fn context_layout(module: &VmModule) -> Layout {
    Layout::from_size_align(module.layout.size as usize, 16).expect("contexts are far smaller than isize::MAX")
}

impl Drop for VmInstance {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with the same layout.
        unsafe { dealloc(self.context.as_ptr().cast(), context_layout(&self.module)) };
    }
}
