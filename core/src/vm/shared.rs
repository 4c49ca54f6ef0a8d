//! Memories that threads share: one record for all stores, held by an [`Arc`] each.
//!
//! ```text
//!   store A: context ──┐                         ┌── store B: context
//!   SharedMemory ──────┴─► Arc<SharedRecord> ◄───┘     definition | LinearMemory with its parking lot
//! ```
//!
//! Instances reach it by pointer, those that define it too. It is freed with whoever holds it last.

use std::cell::UnsafeCell;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::memory::{self, LinearMemory};
use super::parking::WaitResult;
use crate::artifact::info::MemoryType;
use crate::artifact::layout::VmMemory;
use crate::artifact::plan::MemorySettings;
use crate::config::DirtyTracking;
use crate::error::{Result, TrapCode};

/// A shared memory. Lives in an [`Arc`] only.
#[derive(Debug)]
#[repr(C)]
pub struct SharedRecord {
    /// Written once, when the record is made; of it, the length alone changes. First, so that it has the record's address.
    definition: UnsafeCell<VmMemory>,
    memory: LinearMemory,
}

// SAFETY: the definition is constant but for its length, which is atomic. Its pointers are to the record itself and to
// address space that it owns, whose bytes are only touched as `sys::racy` does.
unsafe impl Send for SharedRecord {}
// SAFETY: as for Send.
unsafe impl Sync for SharedRecord {}

impl SharedRecord {
    /// A memory of type `ty`, which is shared, with its minimum of zeroes.
    ///
    /// # Errors
    ///
    /// As for [`LinearMemory::new`].
    pub fn new(ty: MemoryType, settings: MemorySettings, limit_bytes: u64) -> Result<Arc<Self>> {
        debug_assert!(ty.shared);
        let memory = LinearMemory::new(ty, settings, DirtyTracking::Off, limit_bytes)?;
        let (length, null) = (AtomicUsize::new(0), ptr::null_mut());
        let nowhere = VmMemory { base: ptr::null_mut(), length, owner: null, map: ptr::null_mut() };
        let record = Arc::new(SharedRecord { definition: UnsafeCell::new(nowhere), memory });
        // SAFETY: nobody else has the record yet. It stays where it is.
        unsafe { *record.definition.get() = record.memory.fresh_definition() };
        Ok(record)
    }

    /// What instances point to. Good as long as the record is held.
    pub fn as_definition(self: &Arc<Self>) -> *mut VmMemory {
        Arc::as_ptr(self).cast::<VmMemory>().cast_mut()
    }

    /// The record behind a definition.
    ///
    /// # Safety
    ///
    /// The definition is one of [`SharedRecord::as_definition`], of a record that is held by somebody now.
    pub unsafe fn from_definition(definition: *mut VmMemory) -> Arc<Self> {
        let record = definition.cast::<SharedRecord>().cast_const();
        // SAFETY: records live in an Arc only, and start with their definition.
        unsafe {
            Arc::increment_strong_count(record);
            Arc::from_raw(record)
        }
    }

    /// The definition.
    pub fn definition(&self) -> &VmMemory {
        // SAFETY: written once, before anybody had the record.
        unsafe { &*self.definition.get() }
    }

    /// The memory itself.
    pub fn memory(&self) -> &LinearMemory {
        &self.memory
    }
}

/// A memory that an instance defines.
#[allow(clippy::large_enum_variant, reason = "nearly all memories are of the large kind, and are made one by one")]
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are the large one, which a reset reaches without another pointer"
)]
pub enum InstanceMemory {
    /// Its definition lies in the instance's context.
    Own(LinearMemory),
    Shared(Arc<SharedRecord>),
}

impl InstanceMemory {
    /// A fresh memory. `tracking` is of no use to a shared one, which is never reset.
    ///
    /// # Errors
    ///
    /// As for [`LinearMemory::new`].
    pub fn new(ty: MemoryType, settings: MemorySettings, tracking: DirtyTracking, limit_bytes: u64) -> Result<Self> {
        Ok(match ty.shared {
            false => InstanceMemory::Own(LinearMemory::new(ty, settings, tracking, limit_bytes)?),
            true => InstanceMemory::Shared(SharedRecord::new(ty, settings, limit_bytes)?),
        })
    }

    /// The memory.
    #[inline]
    pub fn linear(&self) -> &LinearMemory {
        match self {
            InstanceMemory::Own(memory) => memory,
            InstanceMemory::Shared(record) => &record.memory,
        }
    }
}

/// Where an atomic access of `size` bytes goes.
fn place(definition: &VmMemory, index: u64, offset: u64, size: u64) -> Result<u64, TrapCode> {
    // A sum that does not fit is beyond all memories; the low bits are right in any case.
    let address = index.wrapping_add(offset);
    if !address.is_multiple_of(size) {
        return Err(TrapCode::UnalignedAtomic);
    }
    let end = index.checked_add(offset).and_then(|address| address.checked_add(size));
    match end {
        Some(end) if end <= definition.length() as u64 => Ok(address),
        _ => Err(TrapCode::MemoryOutOfBounds),
    }
}

/// A value that threads wait for.
#[derive(Clone, Copy, Debug)]
pub enum Expected {
    Bits32(u32),
    Bits64(u64),
}

impl Expected {
    fn size(self) -> u64 {
        match self {
            Expected::Bits32(_) => 4,
            Expected::Bits64(_) => 8,
        }
    }

    /// Whether the value is at an address.
    ///
    /// # Safety
    ///
    /// The address is accessible, aligned, and in a shared memory.
    unsafe fn is_at(self, address: *mut u8) -> bool {
        // SAFETY: passed on. Others touch the place with atomic accesses, or as `sys::racy` does.
        unsafe {
            match self {
                Expected::Bits32(bits) => {
                    u32::from_le(AtomicU32::from_ptr(address.cast()).load(Ordering::SeqCst)) == bits
                }
                Expected::Bits64(bits) => {
                    u64::from_le(AtomicU64::from_ptr(address.cast()).load(Ordering::SeqCst)) == bits
                }
            }
        }
    }
}

/// `memory.atomic.wait`: if `expected` is at `index + offset`, waits there until notified, but no longer than `timeout`.
///
/// # Errors
///
/// The trap, when the address is not aligned or out of bounds or the memory is not shared.
///
/// # Safety
///
/// The definition is that of a live memory, which stays alive.
pub unsafe fn wait(
    definition: &VmMemory,
    index: u64,
    offset: u64,
    expected: Expected,
    timeout: Option<Duration>,
) -> Result<WaitResult, TrapCode> {
    let address = place(definition, index, offset, expected.size())?;
    // SAFETY: passed on.
    let parking = unsafe { memory::owner(definition) }.parking().ok_or(TrapCode::ExpectedSharedMemory)?;
    // An end beyond the clock's is none.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    // SAFETY: the address was checked, and a shared memory neither shrinks nor moves.
    Ok(parking.wait(address, || unsafe { expected.is_at(definition.base.add(address as usize)) }, deadline))
}

/// `memory.atomic.notify`: wakes up to `count` threads that wait at `index + offset`, and says how many. Nobody waits at a
/// memory that is not shared.
///
/// # Errors
///
/// The trap, when the address is not aligned or out of bounds.
///
/// # Safety
///
/// The definition is that of a live memory.
pub unsafe fn notify(definition: &VmMemory, index: u64, offset: u64, count: u32) -> Result<u32, TrapCode> {
    let address = place(definition, index, offset, 4)?;
    // SAFETY: passed on.
    let parking = unsafe { memory::owner(definition) }.parking();
    Ok(parking.map_or(0, |parking| parking.notify(address, count)))
}
