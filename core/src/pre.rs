//! [`InstancePre`]: a module with all imports resolved and checked; what is instantiated millions of times.

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::artifact::image::segment_offset;
use crate::artifact::info::{EntityIndex, FuncType, ModuleInfo};
use crate::artifact::layout::{VmFuncRef, VmMemory, WASM_PAGE_BYTES};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result, TrapCode, bail, error};
use crate::func::check_raw;
use crate::image::InstanceImage;
use crate::instance::Instance;
use crate::module::Module;
use crate::owned::OwnedInstance;
use crate::pool::cell::StoreCell;
use crate::pool::slot::SlotRecipe;
use crate::pool::warm::{Lease, PoolHandle};
use crate::shared::SharedInstance;
use crate::store::AsContextMut;
use crate::val::{WasmList, check_typed};
use crate::vm::builtins::write_elements;
use crate::vm::instance::{ImportValue, InstanceLimits, VmInstance};
use crate::vm::limiter::ResourceLimiter;
use crate::vm::memory;

/// A module with all imports resolved and checked.
///
/// Cheap to clone, shared by all threads. When its imports are host functions, constant globals of numbers, and shared
/// memories only, instances come from warm slots: an instance costs little more than the calls into it. Not when the module
/// defines a shared memory: each instance makes one anew.
///
/// The values of constant globals are part of it, and so are segments whose places depend on them.
pub struct InstancePre<T: 'static> {
    inner: Arc<Inner>,
    _data: PhantomData<fn(T)>,
}

struct Inner {
    pool: PoolHandle,
    module: Module,
    image: Arc<InstanceImage>,
    /// The store that imports belong to, if any do: it is the only one to instantiate in.
    store: Option<u64>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Abandoned instances keep their engine alive, so that they must not outlive the last chance to be closed.
        if self.module.engine().pool().pool_closes() {
            SharedInstance::<()>::close_abandoned(self.module.engine());
        }
    }
}

impl<T: 'static> Clone for InstancePre<T> {
    fn clone(&self) -> Self {
        InstancePre { inner: self.inner.clone(), _data: PhantomData }
    }
}

impl<T: 'static> InstancePre<T> {
    /// A module with one value per import, in order, that match its declared imports. `keeps` owns the host functions
    /// and constant globals among them; `store` is the store that the others belong to. `once`: for one instance.
    pub(crate) fn new(
        module: &Module,
        imports: Box<[ImportValue]>,
        keeps: Box<dyn std::any::Any + Send + Sync>,
        store: Option<u64>,
        once: bool,
    ) -> Result<Self> {
        let engine = module.engine();
        check_limits(module.info(), engine.limits())?;
        let loaded = module.loaded();
        let image = {
            let globals = constants(&imports);
            // What belongs to a store is instantiated once, or at least not in warm slots.
            let once = once || store.is_some();
            loaded.image.resolve(module.info(), |index| *globals.get(index as usize)?, once)
        };
        let recipe = SlotRecipe {
            module: loaded.vm.clone(),
            image: image.clone(),
            imports,
            limits: engine.limits(),
            keeps: Box::new((keeps, module.clone())),
            paranoid: engine.config().is_paranoid(),
        };
        // Others may hold a shared memory that an instance has made: the next one needs another.
        let keeps_slots = store.is_none() && engine.config().keeps_slots() && !defines_shared_memory(module.info());
        let pool = PoolHandle::new(recipe, engine.pool().clone(), keeps_slots);
        Ok(InstancePre { inner: Arc::new(Inner { pool, module: module.clone(), image, store }), _data: PhantomData })
    }

    /// The module.
    pub fn module(&self) -> &Module {
        &self.inner.module
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        self.inner.module.engine()
    }

    /// Makes an instance in a store; it goes back when the store is dropped.
    ///
    /// # Errors
    ///
    /// `PoolExhausted` when the engine's instances are all in use; `Trap` or a host function's own error when the start
    /// function or an active segment fails; `Os`; `Link` when an import belongs to another store.
    pub fn instantiate(&self, mut store: impl AsContextMut<Data = T>) -> Result<Instance> {
        let mut context = store.as_context_mut();
        let store = context.opaque();
        if let Some(id) = self.inner.store
            && id != store.id()
        {
            bail!(Link, "an import belongs to another store than the one to instantiate in");
        }
        if !Engine::same(&store.engine(), self.engine()) {
            bail!(Link, "the module and the store belong to different engines");
        }
        ask_limiter(store.cell_mut(), self.module().info())?;
        let mut lease = self.acquire()?;
        let instance = &mut lease.slot_mut().instance;
        instance.set_store(store.cell_mut().vm());
        let instance = NonNull::from(&mut **instance);
        // From here on the store keeps the instance, at its address, even if it fails below.
        store.cell_mut().adopt(lease);
        // SAFETY: the store is borrowed exclusively and owns the instance.
        unsafe { initialise(store.cell_ptr(), instance, self.image())? };
        Ok(Instance::new(instance, store))
    }

    /// Makes an instance that owns its store.
    ///
    /// # Errors
    ///
    /// As for [`InstancePre::instantiate`].
    #[inline]
    pub fn fresh(&self, data: T) -> Result<OwnedInstance<T>> {
        if self.inner.store.is_some() {
            bail!(Link, "an import belongs to a store; instantiate in that store");
        }
        OwnedInstance::start(self.acquire()?, data, self.image())
    }

    #[inline]
    fn acquire(&self) -> Result<Lease> {
        match self.inner.pool.acquire() {
            Err(error) if error.kind() == ErrorKind::PoolExhausted => {
                // Finalizers may have left instances to be closed.
                SharedInstance::<T>::close_abandoned(self.engine());
                self.inner.pool.acquire()
            }
            result => result,
        }
    }

    /// Makes an instance that may be kept too long and used from several threads: every use is checked. For bindings.
    ///
    /// # Errors
    ///
    /// As for [`InstancePre::instantiate`].
    pub fn shared(&self, data: T) -> Result<SharedInstance<T>>
    where
        T: Send,
    {
        SharedInstance::<T>::close_abandoned(self.engine());
        Ok(SharedInstance::new(self.fresh(data)?, self.engine()))
    }

    fn image(&self) -> &InstanceImage {
        &self.inner.image
    }

    /// Whether a live slot came from this InstancePre.
    pub(crate) fn owns(&self, lease: &Lease) -> bool {
        self.inner.pool.owns(lease)
    }

    /// An exported function, to be called in any instance of this module. Needs no look-up later.
    ///
    /// # Errors
    ///
    /// `MissingExport`, naming the functions there are.
    pub fn func(&self, name: &str) -> Result<ExportFunc> {
        let info = self.module().info();
        match info.export(name) {
            Some(EntityIndex::Func(index)) => {
                let place = info
                    .escaped_index(index)
                    .ok_or_else(|| error!(Bug, "exported function {index} has no reference"))?;
                let offset = self.module().loaded().vm.layout.func_ref(place);
                let ty = info.func_type(index);
                let raw_slots = (!ty.has_references()).then_some(ty.slots() as u32);
                Ok(ExportFunc { module: self.module().clone(), index, offset, raw_slots })
            }
            _ => Err(missing_function(info, name)),
        }
    }

    /// An exported function whose type is known to Rust.
    ///
    /// # Errors
    ///
    /// `MissingExport`; `Type`, with both types.
    pub fn export<P: WasmList, R: WasmList>(&self, name: &str) -> Result<TypedExport<P, R>> {
        let func = self.func(name)?;
        check_typed::<P, R>(self.engine(), &format!("`{name}`"), func.ty())?;
        Ok(TypedExport { func, _types: PhantomData })
    }

    /// An exported memory, to be used in any instance of this module.
    ///
    /// # Errors
    ///
    /// `MissingExport`, naming the memories there are.
    pub fn memory(&self, name: &str) -> Result<ExportMemory> {
        let info = self.module().info();
        match info.export(name) {
            Some(EntityIndex::Memory(index)) => Ok(ExportMemory { module: self.module().clone(), index }),
            _ => Err(missing(info, name, "memory", |e| matches!(e, EntityIndex::Memory(_)))),
        }
    }

    /// An exported function of the bytes convention: `name(ptr: i32, len: i32) -> i64`, beside exports `memory` and
    /// `alloc(len: i32) -> i32`.
    ///
    /// # Errors
    ///
    /// `MissingExport` or `Type`, naming what the convention asks for.
    pub fn bytes_func(&self, name: &str) -> Result<BytesFunc> {
        let hint = |e: Error| {
            e.context("the bytes convention needs exports `memory`, `alloc(i32) -> i32` and `f(i32, i32) -> i64`")
        };
        Ok(BytesFunc {
            func: self.export(name).map_err(hint)?,
            alloc: self.export("alloc").map_err(hint)?,
            memory: self.memory("memory").map_err(hint)?,
        })
    }

    /// A fresh instance, one call, and everything undone.
    ///
    /// # Errors
    ///
    /// As for [`InstancePre::instantiate`] and the call.
    #[inline]
    pub fn call<P: WasmList, R: WasmList>(&self, data: T, func: &TypedExport<P, R>, params: P) -> Result<R> {
        self.fresh(data)?.call(func, params)
    }

    /// A fresh instance, one call on raw slots, and everything undone. See [`OwnedInstance::call_raw`].
    ///
    /// # Errors
    ///
    /// As for [`InstancePre::call`]; `Type` when there are too few slots.
    pub fn call_raw(&self, data: T, func: &ExportFunc, slots: &mut [u64]) -> Result<()> {
        self.fresh(data)?.call_raw(func, slots)
    }

    /// A fresh instance, bytes in, bytes out, and everything undone.
    ///
    /// # Errors
    ///
    /// As for [`InstancePre::call`]; `GuestProtocol` when the guest's answer is not within its memory.
    pub fn call_bytes(&self, data: T, func: &BytesFunc, input: &[u8]) -> Result<Vec<u8>> {
        self.fresh(data)?.call_bytes(func, input)
    }
}

/// Values of the imported globals that are constant numbers of at most 64 bits, by index.
fn constants(imports: &[ImportValue]) -> Vec<Option<u64>> {
    let value = |import: &ImportValue| match *import {
        ImportValue::Global(global, ty) => {
            let constant = !ty.mutable && !ty.content.is_reference() && ty.content.slots() == 1;
            // SAFETY: whoever made the import vouches for it; nobody writes a constant.
            Some(constant.then(|| unsafe { (*global).bits[0] }))
        }
        _ => None,
    };
    imports.iter().filter_map(value).collect()
}

fn defines_shared_memory(info: &ModuleInfo) -> bool {
    info.memories[info.imported_memories as usize..].iter().any(|ty| ty.shared)
}

/// Checks what a module's memories and tables need at once against the engine's limits.
fn check_limits(info: &ModuleInfo, limits: InstanceLimits) -> Result<()> {
    for (i, ty) in info.memories.iter().enumerate().skip(info.imported_memories as usize) {
        if ty.minimum_bytes() > limits.memory_bytes {
            let (need, limit) = (ty.minimum, limits.memory_bytes / WASM_PAGE_BYTES);
            match ty.page_size() {
                WASM_PAGE_BYTES => {
                    bail!(Limit, "memory {i} starts with {need} pages, but max_memory_pages is {limit}")
                }
                size => bail!(
                    Limit,
                    "memory {i} starts with {need} pages of {size} bytes, but max_memory_pages is {limit} (pages of 65536 bytes)"
                ),
            }
        }
    }
    for (i, table) in info.tables.iter().enumerate().skip(info.imported_tables as usize) {
        if table.ty.minimum > limits.table_elements {
            let (need, limit) = (table.ty.minimum, limits.table_elements);
            bail!(Limit, "table {i} starts with {need} elements, but max_table_elements is {limit}");
        }
    }
    Ok(())
}

/// Asks the store's limiter for everything that an instance brings with it.
fn ask_limiter(cell: &mut StoreCell, info: &ModuleInfo) -> Result<()> {
    if !cell.is_limited() {
        return Ok(());
    }
    let memories = &info.memories[info.imported_memories as usize..];
    let tables = &info.tables[info.imported_tables as usize..];
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let counts = cell.leases().iter().fold((1, memories.len(), tables.len()), |(i, m, t), lease| {
        let instance = &lease.slot().instance;
        (i + 1, m + instance.memories().len(), t + instance.table_count())
    });
    type Count = fn(&dyn ResourceLimiter) -> usize;
    let limits: [(&str, usize, Count); 3] = [
        ("instances", counts.0, |l| l.instances()),
        ("memories", counts.1, |l| l.memories()),
        ("tables", counts.2, |l| l.tables()),
    ];
    for (kind, count, limit) in limits {
        cell.ask_limiter(&mut |limiter| Ok(count <= limit(limiter)), || {
            error!(Limit, "the store would have {count} {kind}, which its limiter forbids")
        })?;
    }
    for (i, ty) in memories.iter().enumerate() {
        let bytes = |pages: u64| size(pages.saturating_mul(ty.page_size()));
        cell.ask_limiter(&mut |limiter| limiter.memory_growing(0, bytes(ty.minimum), ty.maximum.map(bytes)), || {
            error!(Limit, "memory {i} starts with {} bytes, which the store's limiter forbids", bytes(ty.minimum))
        })?;
    }
    for (i, table) in tables.iter().enumerate() {
        let ty = table.ty;
        cell.ask_limiter(&mut |limiter| limiter.table_growing(0, size(ty.minimum), ty.maximum.map(size)), || {
            error!(Limit, "table {i} starts with {} elements, which the store's limiter forbids", ty.minimum)
        })?;
    }
    Ok(())
}

/// Applies what the image could not hold, and runs the start function.
///
/// # Safety
///
/// The instance belongs to the open store of `cell`, which this thread has to itself.
#[inline]
pub(crate) unsafe fn initialise(
    cell: *mut StoreCell,
    instance: NonNull<VmInstance>,
    image: &InstanceImage,
) -> Result<()> {
    if image.dynamic_elements().len() + image.dynamic_data().len() > 0 {
        // SAFETY: passed on.
        unsafe { apply_segments(instance.as_ref(), image)? };
    }
    // SAFETY: the instance is alive; the reference to it ends before it runs.
    let start = unsafe { instance.as_ref() };
    if let Some(index) = start.module().info.start {
        let reference = start.func_ref(index).ok_or_else(|| error!(Bug, "the start function has no reference"))?;
        // SAFETY: the instance belongs to the store; start functions have no parameters and no results.
        unsafe { StoreCell::call(cell, reference, NonNull::dangling().as_ptr())? };
    }
    Ok(())
}

/// Undoes everything that an instance did, and starts it again. If that fails, the store lets no call in any more.
///
/// # Errors
///
/// `Busy` while a call into the store is going on; `Unsupported` when the instance defines a shared memory; `Poisoned` when
/// an earlier reset failed. Nothing has happened then. `Os`; what segments and the start function fail with.
///
/// # Panics
///
/// With the panic of a host function that the start function calls.
///
/// # Safety
///
/// The store of `cell` is open, and this thread has it to itself; `lease` is its lease of the instance.
pub(crate) unsafe fn reset(cell: *mut StoreCell, lease: *mut Lease) -> Result<()> {
    struct Poison(*mut StoreCell);
    impl Drop for Poison {
        fn drop(&mut self) {
            // SAFETY: the cell is still this thread's, and nobody else has a reference to it.
            unsafe { (*self.0).set_poisoned(true) };
        }
    }
    // SAFETY: passed on.
    unsafe {
        if (*cell).is_entered() {
            bail!(Busy, "an instance cannot be reset while a call into its store is going on");
        }
        (*cell).check_sound()?;
    }
    let poison = Poison(cell);
    // SAFETY: passed on. The reference ends before anything runs.
    let (instance, image) = unsafe {
        let lease = &mut *lease;
        if let Err(error) = lease.reset() {
            if !lease.slot().is_broken() {
                std::mem::forget(poison);
            }
            return Err(error);
        }
        (NonNull::from(&mut *lease.slot_mut().instance), lease.image())
    };
    // SAFETY: the instance belongs to the store.
    unsafe { initialise(cell, instance, image)? };
    std::mem::forget(poison);
    Ok(())
}

#[cold]
unsafe fn apply_segments(instance: &VmInstance, image: &InstanceImage) -> Result<()> {
    let module = instance.module().clone();
    for &i in image.dynamic_elements() {
        let segment = &module.info.element_segments[i as usize];
        if let crate::artifact::info::SegmentMode::Active { target, offset } = &segment.mode {
            let wide = module.info.tables[*target as usize].ty.table64;
            let at = segment_offset(instance.evaluate_word(offset), wide);
            // SAFETY: the instance does not run yet.
            unsafe { write_elements(instance, *target, segment, at, 0, segment.elements.len()) }
                .map_err(Error::trap)?;
        }
    }
    for &i in image.dynamic_data() {
        let segment = &module.info.data_segments[i as usize];
        if let crate::artifact::info::SegmentMode::Active { target, offset } = &segment.mode {
            let wide = module.info.memories[*target as usize].memory64;
            let at = segment_offset(instance.evaluate_word(offset), wide);
            let bytes = &module.info.data[segment.bytes.clone()];
            // SAFETY: the instance does not run yet; the bytes are the module's.
            unsafe { memory::write(&*instance.memory(*target), at, bytes) }
                .ok_or_else(|| Error::trap(TrapCode::MemoryOutOfBounds))?;
        }
    }
    Ok(())
}

/// The error of a function that is not exported.
pub(crate) fn missing_function(info: &ModuleInfo, name: &str) -> Error {
    missing(info, name, "function", |e| matches!(e, EntityIndex::Func(_)))
}

fn missing(info: &ModuleInfo, name: &str, kind: &str, is_kind: fn(EntityIndex) -> bool) -> Error {
    let names: Vec<&str> = info.exports.iter().filter(|e| is_kind(e.entity)).map(|e| e.name.as_str()).take(8).collect();
    let other = info.export(name).map_or(String::new(), |_| format!(" (`{name}` is exported, but is no {kind})"));
    match names.as_slice() {
        [] => error!(MissingExport, "no exported {kind} `{name}`{other}; the module exports no {kind}"),
        names => error!(MissingExport, "no exported {kind} `{name}`{other}; there are: {}", names.join(", ")),
    }
}

/// An exported function of a module, found once.
#[derive(Clone, Debug)]
pub struct ExportFunc {
    module: Module,
    index: u32,
    /// Of its reference in the module's contexts.
    offset: u32,
    /// How many raw slots a call needs; `None` when a parameter or result is a reference.
    raw_slots: Option<u32>,
}

impl ExportFunc {
    /// The function's type.
    pub fn ty(&self) -> &FuncType {
        self.module.info().func_type(self.index)
    }

    /// The reference in an instance of the same module.
    #[inline]
    pub(crate) fn reference(&self, instance: &VmInstance) -> Result<*const VmFuncRef> {
        check_module(&self.module, instance)?;
        Ok(instance.context().cast::<u8>().wrapping_add(self.offset as usize).cast())
    }

    /// Whether a call on `slots` raw slots is one for this function.
    ///
    /// # Errors
    ///
    /// `Type` when there are too few, or when a parameter or result is a reference.
    #[inline]
    pub(crate) fn check_raw(&self, slots: usize) -> Result<()> {
        match self.raw_slots {
            Some(needed) if needed as usize <= slots => Ok(()),
            _ => check_raw(self.module.engine(), self.ty(), slots),
        }
    }
}

#[inline]
fn check_module(module: &Module, instance: &VmInstance) -> Result<()> {
    if module.loaded().vm.id == instance.module().id {
        return Ok(());
    }
    bail!(Type, "the export belongs to another module than the instance")
}

/// An exported function of a module whose type is known to Rust.
#[derive(Debug)]
pub struct TypedExport<P, R> {
    func: ExportFunc,
    _types: PhantomData<fn(P) -> R>,
}

impl<P, R> Clone for TypedExport<P, R> {
    fn clone(&self) -> Self {
        TypedExport { func: self.func.clone(), _types: PhantomData }
    }
}

impl<P, R> TypedExport<P, R> {
    #[inline]
    pub(crate) fn reference(&self, instance: &VmInstance) -> Result<*const VmFuncRef> {
        self.func.reference(instance)
    }
}

/// An exported memory of a module, found once.
#[derive(Clone, Debug)]
pub struct ExportMemory {
    module: Module,
    index: u32,
}

impl ExportMemory {
    pub(crate) fn definition(&self, instance: &VmInstance) -> Result<*mut VmMemory> {
        check_module(&self.module, instance)?;
        Ok(instance.memory(self.index))
    }
}

/// An exported function of the bytes convention, with what it needs beside it.
#[derive(Clone, Debug)]
pub struct BytesFunc {
    pub(crate) func: TypedExport<(u32, u32), u64>,
    pub(crate) alloc: TypedExport<u32, u32>,
    pub(crate) memory: ExportMemory,
}

#[cfg(all(test, feature = "wat"))]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::config::{Config, DirtyTracking};
    use crate::linker::Linker;

    /// A module with as many elements, private mutable globals, and active and passive segments.
    fn large(count: usize) -> String {
        let mut text = "(module (memory 100) (func $f (export \"f\"))".to_string();
        for i in 0..count {
            write!(
                text,
                "(global (mut i64) (i64.const {i})) (data (i32.const {}) \"x{i}\") (data \"passive\")",
                i * 500
            )
            .expect("texts take everything");
        }
        write!(text, "(table {count} funcref) (elem (i32.const 0) func {}))", "$f ".repeat(count)).expect("as above");
        text
    }

    #[test]
    fn what_nobody_has_written_is_not_looked_at_between_two_instances() {
        const COUNT: usize = 10_000;
        // What is changed behind the back of all writers stays: nothing went over it.
        let engine = Engine::new(Config::new().max_instances(1).dirty_tracking(DirtyTracking::Lines)).unwrap();
        let module = Module::new(&engine, large(COUNT)).unwrap();
        let pre = Linker::<()>::new(&engine).instantiate_pre(&module).unwrap();
        let chosen = (COUNT / 2, 0xbad);
        let address = |lease: &Lease| lease.slot().instance.context();
        let mut first = pre.acquire().unwrap();
        let place = address(&first);
        let instance = &mut first.slot_mut().instance;
        instance.table_storage(0).elements_mut()[chosen.0] = chosen.1;
        // SAFETY: the instance is not in use, and has that many mutable globals and that much memory.
        unsafe {
            (*instance.mutable_globals())[chosen.0].bits[0] = chosen.1;
            (*instance.memory(0)).base.add(chosen.0).write(0xba);
        }
        drop(first);
        let mut second = pre.acquire().unwrap();
        assert_eq!(address(&second), place, "the same slot");
        let instance = &mut second.slot_mut().instance;
        assert_eq!(instance.table_storage(0).elements_mut()[chosen.0], chosen.1);
        // SAFETY: as above. Marks as compiled code and the host set them.
        unsafe {
            assert_eq!((*instance.mutable_globals())[chosen.0].bits[0], chosen.1);
            assert_eq!(*(*instance.memory(0)).base.add(chosen.0), 0xba);
            // Of what shares a mark, all is restored.
            crate::vm::table::write(&mut *instance.table(0), chosen.0 as u64, std::iter::once(0)).unwrap();
            (*instance.global_marks())[chosen.0 / 512] = u64::MAX;
            memory::write(&*instance.memory(0), chosen.0 as u64 + 1, b"marks the line").unwrap();
        }
        drop(second);
        let mut third = pre.acquire().unwrap();
        let instance = &mut third.slot_mut().instance;
        assert_ne!(instance.table_storage(0).elements_mut()[chosen.0], chosen.1);
        // SAFETY: as above.
        unsafe {
            assert_eq!((*instance.mutable_globals())[chosen.0].bits[0], chosen.0 as u64);
            assert_eq!((*instance.memory(0)).base.add(chosen.0).cast::<[u8; 3]>().read(), *b"x10");
        }
    }
}
