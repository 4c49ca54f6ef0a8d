//! [`SharedInstance`]: for bindings, where a handle may be kept too long or used from two threads.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use crate::engine::Engine;
use crate::error::{ErrorKind, Result, error};
use crate::owned::OwnedInstance;
use crate::pool::cell::StoreCell;
use crate::pre::InstancePre;

/// An instance whose every use is checked: whether it is still open, and whether somebody else uses it now.
///
/// Dropping it without [`SharedInstance::close`] leaves it to be closed by the next instantiation in the engine, because
/// a finalizer must neither wait nor run anybody's code. When the engine's last [`InstancePre`] goes, what was left is
/// closed, and what is dropped after it is closed at once.
pub struct SharedInstance<T: 'static> {
    cell: NonNull<StoreCell>,
    id: u64,
    engine: Engine,
    _data: PhantomData<T>,
}

// SAFETY: every use claims the cell, and the host data is Send.
unsafe impl<T: Send> Send for SharedInstance<T> {}
// SAFETY: as for Send: two threads never get the data at a time.
unsafe impl<T: Send> Sync for SharedInstance<T> {}

impl<T: Send + 'static> SharedInstance<T> {
    pub(crate) fn new(instance: OwnedInstance<T>, engine: &Engine) -> Self {
        let cell = instance.park();
        // SAFETY: the cell lives as long as the engine.
        let id = unsafe { cell.as_ref() }.id();
        SharedInstance { cell, id, engine: engine.clone(), _data: PhantomData }
    }

    /// Takes the instance for this thread until the claim is dropped.
    ///
    /// # Errors
    ///
    /// `Busy` when it is in use, `StaleHandle` when it was closed.
    #[inline]
    pub fn enter(&self) -> Result<Claim<'_, T>> {
        // SAFETY: the engine is alive; the cell was opened with a `T` for this id.
        unsafe { claim(self.cell, self.id) }
    }

    /// Undoes everything the instance did, as [`OwnedInstance::reset`]: the handle and the host data stay good.
    ///
    /// # Errors
    ///
    /// As there; `Busy` when the instance is in use, `StaleHandle` when it was closed.
    pub fn reset(&self) -> Result<()> {
        self.enter()?.reset()
    }

    /// Undoes everything the instance did and gives its slot back. Closing it again does nothing.
    ///
    /// # Errors
    ///
    /// `Busy` when it is in use.
    pub fn close(&self) -> Result<()> {
        // SAFETY: as in `enter`.
        unsafe { close(self.cell, self.id) }
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        // SAFETY: the engine is alive.
        unsafe { self.cell.as_ref() }.id() != self.id
    }

    /// The handle as two numbers: the address of its cell, good as long as the engine lives, and its id, never reused.
    /// The instance is not closed.
    pub fn into_raw(self) -> (u64, u64) {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: the engine is dropped once, and `this` not at all.
        unsafe { std::ptr::drop_in_place(&mut this.engine) };
        (this.cell.as_ptr() as u64, this.id)
    }

    /// [`SharedInstance::enter`] for the two numbers of [`SharedInstance::into_raw`].
    ///
    /// # Errors
    ///
    /// As for `enter`; `StaleHandle` too when the instance was not made by `pre`.
    ///
    /// # Safety
    ///
    /// `cell` comes from `into_raw` of an instance of `pre`'s engine, which is alive.
    #[inline]
    pub unsafe fn enter_raw(pre: &InstancePre<T>, cell: u64, id: u64) -> Result<Claim<'_, T>> {
        let cell = raw_cell(cell)?;
        // SAFETY: the caller vouches for the cell; whose instance it holds is checked before its data is touched.
        unsafe {
            cell.as_ref().claim(id)?;
            let parked = cell.as_ref().shared_slot.as_ref();
            if !parked.is_some_and(|lease| pre.owns(lease)) {
                cell.as_ref().unclaim();
                return Err(error!(StaleHandle, "the instance was made by another InstancePre"));
            }
            Claim::unparked(cell)
        }
    }

    /// [`SharedInstance::close`] for the two numbers of [`SharedInstance::into_raw`].
    ///
    /// # Errors
    ///
    /// `Busy` when it is in use.
    ///
    /// # Safety
    ///
    /// As for [`SharedInstance::enter_raw`].
    pub unsafe fn close_raw(cell: u64, id: u64) -> Result<()> {
        // SAFETY: passed on.
        unsafe { close(raw_cell(cell)?, id) }
    }

    /// Leaves the instance to be closed by the next instantiation in the engine. For finalizers: never waits, runs nobody's code.
    ///
    /// # Safety
    ///
    /// As for [`SharedInstance::enter_raw`], and `engine` is the instance's.
    pub unsafe fn abandon_raw(engine: &Engine, cell: u64, id: u64) {
        if let Ok(cell) = raw_cell(cell)
            && engine.pool().abandon(cell, id)
        {
            Self::close_abandoned(engine);
        }
    }
}

impl<T: 'static> SharedInstance<T> {
    /// Closes what finalizers have left.
    #[inline]
    pub(crate) fn close_abandoned(engine: &Engine) {
        for (cell, id) in engine.pool().take_abandoned() {
            // SAFETY: cells live as long as the engine. Stale and busy ones are left alone: the former are closed, the
            // latter cannot be abandoned by a collector while they are used.
            let _ = unsafe { close(cell, id) };
        }
    }
}

impl<T: 'static> Drop for SharedInstance<T> {
    fn drop(&mut self) {
        if self.engine.pool().abandon(self.cell, self.id) {
            Self::close_abandoned(&self.engine);
        }
    }
}

fn raw_cell(cell: u64) -> Result<NonNull<StoreCell>> {
    NonNull::new(cell as *mut StoreCell).ok_or_else(|| error!(StaleHandle, "the instance handle is 0"))
}

/// # Safety
///
/// The cell belongs to a living engine; if it is open for `id`, then with a `T`.
#[inline]
unsafe fn claim<'a, T>(cell: NonNull<StoreCell>, id: u64) -> Result<Claim<'a, T>> {
    // SAFETY: passed on.
    unsafe {
        cell.as_ref().claim(id)?;
        Claim::unparked(cell)
    }
}

/// # Safety
///
/// The cell belongs to a living engine.
unsafe fn close(cell: NonNull<StoreCell>, id: u64) -> Result<()> {
    // SAFETY: passed on.
    match unsafe { cell.as_ref() }.claim(id) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::StaleHandle => return Ok(()),
        Err(error) => return Err(error),
    }
    // Dropping closes the cell, with its data whatever its type, and gives the slot back.
    // SAFETY: the cell is claimed; the type of the data does not matter for dropping.
    drop(unsafe { OwnedInstance::<()>::unpark(cell) });
    Ok(())
}

/// A shared instance, taken for this thread.
pub struct Claim<'a, T: 'static> {
    instance: ManuallyDrop<OwnedInstance<T>>,
    _handle: PhantomData<&'a SharedInstance<T>>,
}

impl<T: 'static> Claim<'_, T> {
    /// # Safety
    ///
    /// The cell is open with a `T` and claimed by this thread.
    #[inline]
    unsafe fn unparked(cell: NonNull<StoreCell>) -> Result<Self> {
        // SAFETY: passed on.
        match unsafe { OwnedInstance::unpark(cell) } {
            Some(instance) => Ok(Claim { instance: ManuallyDrop::new(instance), _handle: PhantomData }),
            None => {
                // SAFETY: claimed by this thread.
                unsafe { cell.as_ref() }.unclaim();
                Err(error!(Bug, "an open shared instance without a slot"))
            }
        }
    }
}

impl<T: 'static> Deref for Claim<'_, T> {
    type Target = OwnedInstance<T>;
    fn deref(&self) -> &OwnedInstance<T> {
        &self.instance
    }
}

impl<T: 'static> DerefMut for Claim<'_, T> {
    fn deref_mut(&mut self) -> &mut OwnedInstance<T> {
        &mut self.instance
    }
}

impl<T: 'static> Drop for Claim<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: taken once, here.
        let cell = unsafe { ManuallyDrop::take(&mut self.instance) }.park();
        // SAFETY: claimed by this claim.
        unsafe { cell.as_ref() }.unclaim();
    }
}
