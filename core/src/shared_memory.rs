//! [`SharedMemory`]: a linear memory that belongs to no store; any thread of its engine may use it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::artifact::info::MemoryType;
use crate::artifact::layout::{MEMORY32_MAX_BYTES, VmMemory};
use crate::config::Features;
use crate::engine::Engine;
use crate::error::{Error, Result, TrapCode, bail, error};
use crate::memory::{cannot_grow, out_of_bounds};
use crate::vm::instance::ImportValue;
use crate::vm::limiter::Growth;
use crate::vm::memory as vm;
use crate::vm::parking::WaitResult;
use crate::vm::shared::{self, Expected, SharedRecord};

/// A linear memory that threads share: instances of any store of its engine can import it, all at the same time.
///
/// Clones are the same memory. It exists as long as a clone does, or an instance or
/// [`InstancePre`](crate::InstancePre) that defines or imports it. It is never reset: what one instance writes, all others
/// see, later ones too.
///
/// ```
/// use instar::{Engine, Linker, MemoryType, Module, SharedMemory, Store};
///
/// # fn main() -> instar::Result<()> {
/// let engine = Engine::default();
/// let module = Module::new(&engine, r#"
///     (module
///       (import "env" "memory" (memory 1 10 shared))
///       (func (export "count") (result i32) (i32.atomic.rmw.add (i32.const 8) (i32.const 1))))
/// "#)?;
/// let memory = SharedMemory::new(&engine, MemoryType::shared(1, 10))?;
/// let mut linker = Linker::<()>::new(&engine);
/// linker.define(&mut Store::new(&engine, ()), "env", "memory", memory.clone())?;
/// let pre = linker.instantiate_pre(&module)?;
/// let count = pre.export::<(), u32>("count")?;
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| pre.call((), &count, ()));
///     }
/// });
/// let mut counted = [0; 4];
/// memory.read(8, &mut counted)?;
/// assert_eq!(u32::from_le_bytes(counted), 4);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SharedMemory {
    engine: Engine,
    record: Arc<SharedRecord>,
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory").field("ty", &self.ty()).finish_non_exhaustive()
    }
}

impl SharedMemory {
    /// Makes a memory of zeroes. Address space for its maximum, or for the engine's `max_memory_pages` if that is less, is
    /// reserved at once.
    ///
    /// # Errors
    ///
    /// `Type` when the type is not shared, has no maximum, or is impossible; `Unsupported` when it needs a feature that is
    /// switched off; `Limit` when its minimum is beyond the engine's limit; `Os` when there is no address space or memory.
    pub fn new(engine: &Engine, ty: MemoryType) -> Result<Self> {
        check(engine, &ty)?;
        let limits = engine.limits();
        let record = SharedRecord::new(ty, limits.memories, limits.memory_bytes)?;
        Ok(SharedMemory { engine: engine.clone(), record })
    }

    /// # Safety
    ///
    /// The definition is that of a shared memory which an instance of the engine holds.
    pub(crate) unsafe fn from_definition(definition: *mut VmMemory, engine: Engine) -> Self {
        // SAFETY: passed on.
        SharedMemory { engine, record: unsafe { SharedRecord::from_definition(definition) } }
    }

    fn definition(&self) -> &VmMemory {
        self.record.definition()
    }

    pub(crate) fn import(&self) -> ImportValue {
        ImportValue::Memory(self.record.as_definition())
    }

    /// What an import has to hold.
    pub(crate) fn record(&self) -> &Arc<SharedRecord> {
        &self.record
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The type, with the current size as its minimum.
    pub fn ty(&self) -> MemoryType {
        let ty = self.record.memory().ty();
        MemoryType { minimum: self.data_size() as u64 / ty.page_size(), ..ty }
    }

    /// Size in the memory's pages: of 64 KiB, unless its type says otherwise. It only ever grows.
    pub fn size(&self) -> u64 {
        self.ty().minimum
    }

    /// Size of the memory's pages in bytes.
    pub fn page_size(&self) -> u64 {
        self.record.memory().ty().page_size()
    }

    /// Size in bytes. It only ever grows.
    pub fn data_size(&self) -> usize {
        self.definition().length()
    }

    /// Copies bytes out. What others write meanwhile is seen in part, or not; each byte on its own is one that was there.
    ///
    /// # Errors
    ///
    /// `OutOfBounds`, with the address, the length and the size of the memory.
    pub fn read(&self, address: u64, into: &mut [u8]) -> Result<()> {
        // SAFETY: the memory is alive and shared.
        unsafe { vm::read(self.definition(), address, into) }
            .ok_or_else(|| out_of_bounds("read", address, into.len(), self.definition()))
    }

    /// Copies bytes in. Others may see a part of them before the rest.
    ///
    /// # Errors
    ///
    /// `OutOfBounds`, with the address, the length and the size of the memory; nothing is written then.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<()> {
        // SAFETY: the memory is alive and shared.
        unsafe { vm::write(self.definition(), address, bytes) }
            .ok_or_else(|| out_of_bounds("write", address, bytes.len(), self.definition()))
    }

    /// Grows by `pages` of the memory's own size; gives the old size in pages. Limiters of stores are not asked.
    ///
    /// # Errors
    ///
    /// `Limit` when the type's or the engine's maximum forbids it, or there is no memory; nothing changes then.
    pub fn grow(&self, pages: u64) -> Result<u64> {
        // SAFETY: the memory is alive and shared; there is no store.
        match unsafe { vm::grow(std::ptr::null_mut(), self.record.as_definition(), pages) } {
            Growth::Done(old) => Ok(old),
            // SAFETY: the memory is alive.
            Growth::Failed | Growth::Stopped => Err(unsafe { cannot_grow(self.definition(), pages) }),
        }
    }

    /// Wakes up to `count` threads that wait at `address`, guests or hosts, those that came first; says how many.
    ///
    /// # Errors
    ///
    /// `Trap` with `UnalignedAtomic` when the address is not a multiple of 4; `OutOfBounds`.
    pub fn atomic_notify(&self, address: u64, count: u32) -> Result<u32> {
        // SAFETY: the memory is alive.
        unsafe { shared::notify(self.definition(), address, 0, count) }
            .map_err(|code| self.refused("atomic notify", address, 4, code))
    }

    /// If the 4 bytes at `address` are `expected`, in little-endian order, waits there until notified, but no longer than
    /// `timeout`. Never wakes up for no reason.
    ///
    /// # Errors
    ///
    /// `Trap` with `UnalignedAtomic` when the address is not a multiple of 4; `OutOfBounds`.
    pub fn atomic_wait32(&self, address: u64, expected: u32, timeout: Option<Duration>) -> Result<WaitResult> {
        // SAFETY: the memory is alive, and stays so.
        unsafe { shared::wait(self.definition(), address, 0, Expected::Bits32(expected), timeout) }
            .map_err(|code| self.refused("atomic wait", address, 4, code))
    }

    /// As [`SharedMemory::atomic_wait32`], for 8 bytes.
    ///
    /// # Errors
    ///
    /// `Trap` with `UnalignedAtomic` when the address is not a multiple of 8; `OutOfBounds`.
    pub fn atomic_wait64(&self, address: u64, expected: u64, timeout: Option<Duration>) -> Result<WaitResult> {
        // SAFETY: the memory is alive, and stays so.
        unsafe { shared::wait(self.definition(), address, 0, Expected::Bits64(expected), timeout) }
            .map_err(|code| self.refused("atomic wait", address, 8, code))
    }

    fn refused(&self, what: &str, address: u64, size: usize, code: TrapCode) -> Error {
        match code {
            TrapCode::MemoryOutOfBounds => out_of_bounds(what, address, size, self.definition()),
            code => Error::trap(code).context(format_args!("{what} of {size} bytes at address {address}")),
        }
    }
}

/// Whether there can be a shared memory of a type in an engine.
fn check(engine: &Engine, ty: &MemoryType) -> Result<()> {
    let features = engine.config().tunables().features;
    if !ty.shared {
        bail!(
            Type,
            "a SharedMemory needs a type that is shared: see MemoryType::shared, or Memory::new for one that is not"
        );
    }
    for (needed, feature, name) in [
        (true, Features::THREADS, "wasm_threads"),
        (ty.memory64, Features::MEMORY64, "wasm_memory64"),
        (ty.page_size_log2 != 16, Features::CUSTOM_PAGE_SIZES, "wasm_custom_page_sizes"),
    ] {
        if needed && !features.contains(feature) {
            bail!(Unsupported, "the shared memory needs Config::{name}, which is off");
        }
    }
    if !matches!(ty.page_size_log2, 0 | 16) {
        bail!(Type, "pages have 1 or 65536 bytes, not 2^{}", ty.page_size_log2);
    }
    let Some(maximum) = ty.maximum else {
        bail!(Type, "a shared memory needs a maximum");
    };
    if ty.minimum > maximum {
        bail!(Type, "a memory of at least {} pages cannot have at most {maximum}", ty.minimum);
    }
    let most = match (ty.memory64, ty.page_size_log2) {
        // The specification's limits.
        (true, 0) => u64::MAX,
        (true, _) => 1 << 48,
        (false, 0) => MEMORY32_MAX_BYTES - 1,
        (false, _) => MEMORY32_MAX_BYTES >> 16,
    };
    if maximum > most {
        return Err(error!(
            Type,
            "a maximum of {maximum} pages is beyond {most}, the most that a memory of the type may have"
        ));
    }
    Ok(())
}
