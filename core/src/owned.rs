//! [`OwnedInstance`]: an instance that owns its store.

use std::marker::PhantomData;
use std::ptr::NonNull;

use crate::error::{Result, bail, error};
use crate::func::call_typed;
use crate::image::InstanceImage;
use crate::memory::out_of_bounds;
use crate::pool::cell::StoreCell;
use crate::pool::warm::Lease;
use crate::pre::{BytesFunc, ExportFunc, ExportMemory, TypedExport, initialise, reset};
use crate::val::WasmList;
use crate::vm::memory;

/// An instance that owns its store. Dropping it undoes everything it did and gives its slot to the next one.
pub struct OwnedInstance<T: 'static> {
    lease: Option<Lease>,
    cell: NonNull<StoreCell>,
    _data: PhantomData<T>,
}

// SAFETY: everything belongs to the instance; nothing depends on the thread. The host data moves with it.
unsafe impl<T: Send> Send for OwnedInstance<T> {}
// SAFETY: `&OwnedInstance` gives `&T` and reads of the instance, which `&mut` alone changes.
unsafe impl<T: Sync> Sync for OwnedInstance<T> {}

impl<T: 'static> OwnedInstance<T> {
    /// Opens the slot's own store and starts the instance.
    #[inline]
    pub(crate) fn start(mut lease: Lease, data: T, image: &InstanceImage) -> Result<Self> {
        let mut cell = lease.slot_mut().own_cell();
        // SAFETY: the cell is the slot's own and free.
        unsafe { cell.as_mut() }.open(data);
        let mut owned = OwnedInstance { lease: Some(lease), cell, _data: PhantomData };
        let instance = NonNull::from(&mut *owned.lease_mut().slot_mut().instance);
        // SAFETY: the instance was handed to the cell by `own_cell`; nobody else has either.
        unsafe { initialise(cell.as_ptr(), instance, image)? };
        Ok(owned)
    }

    fn lease(&self) -> &Lease {
        self.lease.as_ref().expect("taken apart only at the end")
    }

    fn lease_mut(&mut self) -> &mut Lease {
        self.lease.as_mut().expect("taken apart only at the end")
    }

    /// Parks the lease in the cell, for a shared instance.
    pub(crate) fn park(mut self) -> NonNull<StoreCell> {
        let lease = self.lease.take();
        let mut cell = self.cell;
        std::mem::forget(self);
        // SAFETY: the cell is open and ours.
        unsafe { cell.as_mut() }.shared_slot = lease;
        cell
    }

    /// The instance parked in a cell, if one is.
    ///
    /// # Safety
    ///
    /// The cell is open with a `T` and claimed by this thread.
    pub(crate) unsafe fn unpark(mut cell: NonNull<StoreCell>) -> Option<Self> {
        // SAFETY: claimed by this thread.
        let lease = unsafe { cell.as_mut() }.shared_slot.take()?;
        Some(OwnedInstance { lease: Some(lease), cell, _data: PhantomData })
    }

    /// The host data.
    pub fn data(&self) -> &T {
        // SAFETY: opened with a `T`.
        unsafe { &*self.cell.as_ref().data::<T>() }
    }

    /// The host data.
    pub fn data_mut(&mut self) -> &mut T {
        // SAFETY: opened with a `T`, and borrowed exclusively.
        unsafe { &mut *self.cell.as_ref().data::<T>() }
    }

    /// Undoes everything the instance did, as if it were made anew: memories and tables with their sizes, globals, dropped
    /// segments. Then segments that the image cannot hold are applied and the start function runs. The host data stays as it
    /// is; so do objects behind `externref`s, until the instance is dropped. Exports that were found before are still good.
    ///
    /// ```
    /// use instar::{Engine, Linker, Module};
    ///
    /// let engine = Engine::default();
    /// let module = Module::new(&engine, r#"(module (global $n (mut i32) (i32.const 0))
    ///     (func (export "count") (result i32)
    ///       (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))"#)?;
    /// let pre = Linker::new(&engine).instantiate_pre(&module)?;
    /// let count = pre.typed::<(), i32>("count")?;
    /// let mut instance = pre.fresh(())?;
    /// assert_eq!((instance.call(&count, ())?, instance.call(&count, ())?), (1, 2));
    /// instance.reset()?;
    /// assert_eq!(instance.call(&count, ())?, 1);
    /// # Ok::<(), instar::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `Os`; what the start function or a segment fails with. From then on every call is a `Poisoned` error. `Poisoned` after
    /// that.
    pub fn reset(&mut self) -> Result<()> {
        let lease = std::ptr::from_mut(self.lease_mut());
        // SAFETY: store and instance are this one's own, and borrowed exclusively.
        unsafe { reset(self.cell.as_ptr(), lease) }
    }

    /// Calls an export.
    ///
    /// # Errors
    ///
    /// `Trap`; a host function's own error; `Type` when the export belongs to another module.
    #[inline]
    pub fn call<P: WasmList, R: WasmList>(&mut self, func: &TypedExport<P, R>, params: P) -> Result<R> {
        let reference = func.reference(&self.lease().slot().instance)?;
        // SAFETY: the reference is that of this instance; its type was checked when the token was made.
        unsafe { call_typed(self.cell.as_ptr(), reference, params) }
    }

    /// Calls an export on raw slots of 8 bytes: parameters in, results out. Integers and floats are their bits in the low
    /// end; a vector takes two slots, its low half first.
    ///
    /// # Errors
    ///
    /// As for [`OwnedInstance::call`]; `Type` when there are fewer slots than parameters or results, or when one of them is
    /// a reference.
    #[inline]
    pub fn call_raw(&mut self, func: &ExportFunc, slots: &mut [u64]) -> Result<()> {
        func.check_raw(slots.len())?;
        let reference = func.reference(&self.lease().slot().instance)?;
        // SAFETY: the reference is that of this instance; there are slots enough, and any bits are good numbers.
        unsafe { StoreCell::call(self.cell.as_ptr(), reference, slots.as_mut_ptr()) }
    }

    /// Bytes in, bytes out.
    ///
    /// # Errors
    ///
    /// As for [`OwnedInstance::call`]; `GuestProtocol` when what the guest answers does not lie in its memory; `Limit` when
    /// the input has 4 GiB or more.
    pub fn call_bytes(&mut self, func: &BytesFunc, input: &[u8]) -> Result<Vec<u8>> {
        let len = u32::try_from(input.len())
            .map_err(|_| error!(Limit, "an input of {} bytes does not fit a 32-bit memory", input.len()))?;
        let at = self.call(&func.alloc, len)?;
        self.memory_write(&func.memory, u64::from(at), input).map_err(|e| {
            error!(GuestProtocol, "alloc({len}) answered {at}, where {len} bytes do not fit: {}", e.message())
        })?;
        let answer = self.call(&func.func, (at, len))?;
        let (at, len) = (answer >> 32, answer & 0xffff_ffff);
        let size = self.memory_size(&func.memory)?;
        if at + len > size {
            bail!(GuestProtocol, "the guest answered with {len} bytes at {at}, but its memory has {size} bytes");
        }
        let mut output = vec![0; len as usize];
        self.memory_read(&func.memory, at, &mut output)?;
        Ok(output)
    }

    /// Size of a memory in bytes.
    ///
    /// # Errors
    ///
    /// `Type` when the export belongs to another module. So do the other methods.
    pub fn memory_size(&self, memory: &ExportMemory) -> Result<u64> {
        let definition = memory.definition(&self.lease().slot().instance)?;
        // SAFETY: the memory is alive with the instance.
        Ok(unsafe { (*definition).length() } as u64)
    }

    /// Copies bytes out of a memory.
    ///
    /// # Errors
    ///
    /// `OutOfBounds`, with the address, the length and the size of the memory.
    pub fn memory_read(&self, memory: &ExportMemory, address: u64, into: &mut [u8]) -> Result<()> {
        let definition = memory.definition(&self.lease().slot().instance)?;
        // SAFETY: the memory is alive with the instance, which is borrowed.
        let definition = unsafe { &*definition };
        // SAFETY: as above; nobody writes it.
        unsafe { memory::read(definition, address, into) }
            .ok_or_else(|| out_of_bounds("read", address, into.len(), definition))
    }

    /// Copies bytes into a memory.
    ///
    /// # Errors
    ///
    /// `OutOfBounds`; nothing is written then.
    pub fn memory_write(&mut self, memory: &ExportMemory, address: u64, bytes: &[u8]) -> Result<()> {
        let definition = memory.definition(&self.lease().slot().instance)?;
        // SAFETY: the memory is alive with the instance, which is borrowed exclusively.
        let definition = unsafe { &*definition };
        // SAFETY: as above.
        unsafe { memory::write(definition, address, bytes) }
            .ok_or_else(|| out_of_bounds("write", address, bytes.len(), definition))
    }

    /// Grows a memory by `pages` of its own size (64 KiB, unless its type says otherwise); gives the old size in pages.
    ///
    /// # Errors
    ///
    /// `Limit`; nothing changes then.
    pub fn memory_grow(&mut self, memory: &ExportMemory, pages: u64) -> Result<u64> {
        let definition = memory.definition(&self.lease().slot().instance)?;
        // SAFETY: the memory is alive with the instance, which is borrowed exclusively.
        unsafe { crate::memory::grow(self.cell.as_ptr(), definition, pages) }
    }
}

impl<T: 'static> Drop for OwnedInstance<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the cell is this instance's own. It is free before the slot goes back.
        unsafe { self.cell.as_mut() }.close();
        self.lease = None;
    }
}
