//! [`Memory`]: linear memories of a store.

use std::ops::Range;
use std::ptr::NonNull;

use crate::artifact::info::MemoryType;
use crate::artifact::layout::VmMemory;
use crate::error::{Result, bail, error};
use crate::pool::cell::StoreCell;
use crate::store::{AsContext, AsContextMut, StoreOpaque};
use crate::synthetic;
use crate::vm::limiter::Growth;
use crate::vm::memory as vm;

/// A linear memory of a store. A small handle: copy it freely.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    store: u64,
    definition: NonNull<VmMemory>,
}

// SAFETY: the pointer is followed only after the store id was compared with that of a store the caller has.
unsafe impl Send for Memory {}
// SAFETY: as for Send.
unsafe impl Sync for Memory {}

impl Memory {
    /// Makes a memory in the store.
    ///
    /// # Errors
    ///
    /// `Unsupported` when the type is shared: see [`SharedMemory::new`](crate::SharedMemory::new). `InvalidModule` when the
    /// type is impossible; `PoolExhausted` or `Os`: a host-made memory takes a slot.
    pub fn new(mut store: impl AsContextMut, ty: MemoryType) -> Result<Self> {
        synthetic::memory(&mut store.as_context_mut(), ty)
    }

    /// # Safety
    ///
    /// The definition belongs to an instance of `store`.
    pub(crate) unsafe fn from_definition(definition: *mut VmMemory, store: &StoreOpaque) -> Self {
        Memory { store: store.id(), definition: NonNull::new(definition).expect("definitions lie in contexts") }
    }

    pub(crate) fn definition(&self, store: &StoreOpaque) -> Result<&VmMemory> {
        store.check(self.store, "memory")?;
        // SAFETY: the definition belongs to an instance of this store.
        Ok(unsafe { self.definition.as_ref() })
    }

    pub(crate) fn raw(&self, store: &StoreOpaque) -> Result<*mut VmMemory> {
        store.check(self.store, "memory")?;
        Ok(self.definition.as_ptr())
    }

    pub(crate) fn current_type(&self, store: &StoreOpaque) -> Result<MemoryType> {
        let definition = self.definition(store)?;
        // SAFETY: the memory is alive with its store.
        let ty = unsafe { vm::owner(definition) }.ty();
        Ok(MemoryType { minimum: definition.length() as u64 / ty.page_size(), ..ty })
    }

    /// The type, with the current size as its minimum.
    ///
    /// # Errors
    ///
    /// `StaleHandle` when the memory belongs to another store. So do all other methods.
    pub fn ty(&self, store: impl AsContext) -> Result<MemoryType> {
        self.current_type(store.as_context().opaque())
    }

    /// Size in the memory's pages: of 64 KiB, unless its type says otherwise.
    pub fn size(&self, store: impl AsContext) -> Result<u64> {
        Ok(self.ty(store)?.minimum)
    }

    /// Size of the memory's pages in bytes.
    pub fn page_size(&self, store: impl AsContext) -> Result<u64> {
        Ok(self.ty(store)?.page_size())
    }

    /// Size in bytes.
    pub fn data_size(&self, store: impl AsContext) -> Result<usize> {
        Ok(self.definition(store.as_context().opaque())?.length())
    }

    /// All bytes, to read.
    pub fn data<'a>(&self, store: &'a impl AsContext) -> Result<&'a [u8]> {
        let context = store.as_context();
        let definition = self.definition(context.opaque())?;
        // SAFETY: the store is borrowed for `'a`, so nobody writes the memory or grows it.
        Ok(unsafe { vm::bytes(definition) })
    }

    /// All bytes, to read, and the host data beside them.
    pub fn data_and_store<'a, C: AsContextMut>(&self, store: &'a mut C) -> Result<(&'a [u8], &'a mut C::Data)> {
        let mut context = store.as_context_mut();
        let definition = self.definition(context.opaque())?;
        // SAFETY: the store is borrowed exclusively for `'a`, and nothing but its host data and these bytes is given out.
        let bytes = unsafe { vm::bytes(definition) };
        Ok((bytes, context.into_data_mut()))
    }

    /// The bytes of `range`, to read.
    ///
    /// # Errors
    ///
    /// `OutOfBounds`, with the address, the length and the size of the memory.
    pub fn slice<'a>(&self, store: &'a impl AsContext, range: Range<u64>) -> Result<&'a [u8]> {
        let context = store.as_context();
        let definition = self.definition(context.opaque())?;
        // SAFETY: as in `data`.
        let bytes: &'a [u8] = unsafe { vm::bytes(definition) };
        let part = || bytes.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?);
        part().ok_or_else(|| range_out_of_bounds("slice", &range, definition))
    }

    /// The bytes of `range`, to read and to write. All of them count as written: the next reset restores them, so ask for
    /// what you write and no more. There is no mutable view of a whole memory.
    ///
    /// # Errors
    ///
    /// `OutOfBounds`, with the address, the length and the size of the memory.
    pub fn slice_mut<'a>(&self, store: &'a mut impl AsContextMut, range: Range<u64>) -> Result<&'a mut [u8]> {
        Ok(self.slice_mut_and_store(store, range)?.0)
    }

    /// As [`Memory::slice_mut`], with the host data beside the bytes.
    ///
    /// # Errors
    ///
    /// As for [`Memory::slice_mut`].
    pub fn slice_mut_and_store<'a, C: AsContextMut>(
        &self,
        store: &'a mut C,
        range: Range<u64>,
    ) -> Result<(&'a mut [u8], &'a mut C::Data)> {
        let mut context = store.as_context_mut();
        let definition = self.definition(context.opaque())?;
        // SAFETY: the store is borrowed exclusively for `'a`, and nothing but its host data and these bytes is given out.
        let bytes = unsafe { vm::bytes_mut(definition, &range) };
        let bytes = bytes.ok_or_else(|| range_out_of_bounds("mutable slice", &range, definition))?;
        Ok((bytes, context.into_data_mut()))
    }

    /// The text of `len` bytes at `address`.
    ///
    /// # Errors
    ///
    /// `OutOfBounds`, as for [`Memory::slice`]; `GuestProtocol` when the bytes are not UTF-8, with the place of the first
    /// that is not.
    pub fn read_str<'a>(&self, store: &'a impl AsContext, address: u64, len: u64) -> Result<&'a str> {
        let bytes = self.slice(store, address..address.saturating_add(len))?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(e) => {
                let bad = address + e.valid_up_to() as u64;
                bail!(GuestProtocol, "the {len} bytes at address {address} are not UTF-8: see address {bad}")
            }
        }
    }

    /// Copies bytes out.
    ///
    /// # Errors
    ///
    /// `OutOfBounds`, with the address, the length and the size of the memory.
    pub fn read(&self, store: impl AsContext, address: u64, into: &mut [u8]) -> Result<()> {
        let context = store.as_context();
        let definition = self.definition(context.opaque())?;
        // SAFETY: the store is borrowed, so nobody writes the memory.
        unsafe { vm::read(definition, address, into) }
            .ok_or_else(|| out_of_bounds("read", address, into.len(), definition))
    }

    /// Copies bytes in.
    ///
    /// # Errors
    ///
    /// `OutOfBounds`, with the address, the length and the size of the memory; nothing is written then.
    pub fn write(&self, mut store: impl AsContextMut, address: u64, bytes: &[u8]) -> Result<()> {
        let mut context = store.as_context_mut();
        let definition = self.definition(context.opaque())?;
        // SAFETY: the store is borrowed exclusively.
        unsafe { vm::write(definition, address, bytes) }
            .ok_or_else(|| out_of_bounds("write", address, bytes.len(), definition))
    }

    /// Grows by `pages` of the memory's own size; gives the old size in pages.
    ///
    /// # Errors
    ///
    /// `Limit` when the type's or the engine's maximum forbids it, or there is no memory; nothing changes then.
    pub fn grow(&self, mut store: impl AsContextMut, pages: u64) -> Result<u64> {
        let mut context = store.as_context_mut();
        let store = context.opaque();
        let definition = self.raw(store)?;
        // SAFETY: the store is borrowed exclusively, and so is the memory.
        unsafe { grow(store.cell_ptr(), definition, pages) }
    }
}

/// Grows a memory by `pages`; gives the old size in pages.
///
/// # Safety
///
/// The cell is open and this thread has it to itself; the memory belongs to it.
pub(crate) unsafe fn grow(cell: *mut StoreCell, definition: *mut VmMemory, pages: u64) -> Result<u64> {
    // SAFETY: passed on.
    match unsafe { vm::grow((*cell).vm(), definition, pages) } {
        Growth::Done(old) => Ok(old),
        Growth::Failed => {
            // SAFETY: passed on.
            Err(unsafe { cannot_grow(&*definition, pages) })
        }
        // SAFETY: passed on.
        Growth::Stopped => Err(unsafe { (*cell).take_stop() }),
    }
}

pub(crate) fn out_of_bounds(what: &str, address: u64, len: usize, definition: &VmMemory) -> crate::Error {
    error!(
        OutOfBounds,
        "{what} of {len} bytes at address {address} is out of bounds: the memory has {} bytes",
        definition.length()
    )
}

/// The error of a memory that did not grow by `pages`.
///
/// # Safety
///
/// The definition is that of a live memory.
pub(crate) unsafe fn cannot_grow(definition: &VmMemory, pages: u64) -> crate::Error {
    // SAFETY: passed on.
    let now = definition.length() as u64 / unsafe { vm::owner(definition) }.ty().page_size();
    error!(
        Limit,
        "a memory of {now} pages cannot grow by {pages}: its maximum, max_memory_pages, the store's limiter or the system forbids it"
    )
}

fn range_out_of_bounds(what: &str, range: &Range<u64>, definition: &VmMemory) -> crate::Error {
    error!(
        OutOfBounds,
        "{what} {:#x}..{:#x} is out of bounds: the memory has {:#x} bytes",
        range.start,
        range.end,
        definition.length()
    )
}
