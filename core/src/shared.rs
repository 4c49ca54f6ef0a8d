//! [`SharedInstance`]: for bindings, where a handle may be kept too long or used from two threads.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::time::Duration;

use crate::engine::Engine;
use crate::error::{ErrorKind, Result, error};
use crate::owned::OwnedInstance;
use crate::pool::cell::StoreCell;
use crate::pre::{BytesFunc, ExportFunc, ExportMemory, InstancePre, TypedExport};
use crate::val::WasmList;

/// An instance whose every use is checked: whether it is still open, and whether somebody else uses it now.
///
/// Dropping it without [`SharedInstance::close`] leaves it to be closed by the next instantiation in the engine, because
/// a finalizer must neither wait nor run anybody's code. When the engine's last [`InstancePre`] goes, what was left is
/// closed there; what is dropped after it is closed by a thread that Instar starts for it, so that neither the engine nor the
/// host data leaks and the data is not dropped where the finalizer runs.
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
        let (cell, id) = park(instance);
        SharedInstance { cell, id, engine: engine.clone(), _data: PhantomData }
    }

    /// The two numbers of an instance that is shared from now on.
    pub(crate) fn open_raw(instance: OwnedInstance<T>) -> (u64, u64) {
        let (cell, id) = park(instance);
        (cell.as_ptr() as u64, id)
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
        if let Ok(cell) = raw_cell(cell) {
            // SAFETY: the caller vouches for the cell.
            unsafe { abandon(engine, cell, id) };
        }
    }
}

impl<T: 'static> SharedInstance<T> {
    /// Closes what finalizers have left.
    #[inline]
    pub(crate) fn close_abandoned(engine: &Engine) {
        if engine.pool().has_abandoned() {
            close_all(engine);
        }
    }

    /// Closes what finalizers have left, as the engine's last InstancePre goes.
    pub(crate) fn close_last(engine: &Engine) {
        Self::close_abandoned(engine);
        if engine.pool().has_abandoned() {
            // Some are in use.
            reap(engine);
        }
    }
}

impl<T: 'static> Drop for SharedInstance<T> {
    fn drop(&mut self) {
        // SAFETY: the engine is alive.
        unsafe { abandon(&self.engine, self.cell, self.id) };
    }
}

/// Leaves an instance to be closed by somebody else.
///
/// # Safety
///
/// The cell is one of the engine.
unsafe fn abandon(engine: &Engine, cell: NonNull<StoreCell>, id: u64) {
    // SAFETY: cells live as long as the engine.
    let closed = unsafe { cell.as_ref() }.id() != id;
    if !closed && engine.pool().abandon(cell, id) {
        reap(engine);
    }
}

/// What was taken to be closed. What is left when somebody's destructor panics goes back.
struct Abandoned<'a> {
    engine: &'a Engine,
    list: Vec<(NonNull<StoreCell>, u64)>,
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        for (cell, id) in self.list.drain(..) {
            self.engine.pool().abandon_again(cell, id);
        }
    }
}

#[cold]
fn close_all(engine: &Engine) {
    let mut abandoned = Abandoned { engine, list: engine.pool().take_abandoned() };
    let mut busy = Abandoned { engine, list: Vec::new() };
    while let Some((cell, id)) = abandoned.list.pop() {
        // SAFETY: cells live as long as the engine. Stale ones are closed already.
        if unsafe { close(cell, id) }.is_err() {
            busy.list.push((cell, id));
        }
    }
}

/// Has a thread close what was abandoned, as nobody is left to instantiate. It ends when there is nothing more to close.
#[cold]
fn reap(engine: &Engine) {
    if !engine.pool().start_reaping() {
        return;
    }
    let held = engine.clone();
    let thread = std::thread::Builder::new().name("instar-reaper".to_string());
    if thread.spawn(move || close_until_done(&held)).is_err() {
        // What is there waits for the next one that is abandoned, or for the next InstancePre of the engine.
        engine.pool().stop_reaping();
    }
}

fn close_until_done(engine: &Engine) {
    let mut pause = Duration::from_micros(100);
    loop {
        // A panic of somebody's destructor has been reported by the panic hook, and the rest is closed in the next round.
        let _ = catch_unwind(AssertUnwindSafe(|| SharedInstance::<()>::close_abandoned(engine)));
        if engine.pool().has_abandoned() {
            // Some are in use.
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
            continue;
        }
        engine.pool().stop_reaping();
        // One that was abandoned since then has found this thread, or makes another.
        if !engine.pool().has_abandoned() || !engine.pool().start_reaping() {
            return;
        }
    }
}

/// Leaves an instance in its cell, to be claimed for each use.
fn park<T: 'static>(instance: OwnedInstance<T>) -> (NonNull<StoreCell>, u64) {
    let cell = instance.park();
    // SAFETY: the cell lives as long as the engine, which its open slot keeps alive.
    let open = unsafe { cell.as_ref() };
    open.set_shared();
    (cell, open.id())
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

/// What changes the instance. There is no `&mut OwnedInstance`: two that were swapped would end in each other's cells.
impl<T: 'static> Claim<'_, T> {
    /// The host data.
    pub fn data_mut(&mut self) -> &mut T {
        self.instance.data_mut()
    }

    /// See [`OwnedInstance::reset`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn reset(&mut self) -> Result<()> {
        self.instance.reset()
    }

    /// See [`OwnedInstance::call`].
    ///
    /// # Errors
    ///
    /// As there; so for the other methods.
    #[inline]
    pub fn call<P: WasmList, R: WasmList>(&mut self, func: &TypedExport<P, R>, params: P) -> Result<R> {
        self.instance.call(func, params)
    }

    /// See [`OwnedInstance::call_raw`].
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn call_raw(&mut self, func: &ExportFunc, slots: &mut [u64]) -> Result<()> {
        self.instance.call_raw(func, slots)
    }

    /// See [`OwnedInstance::call_bytes`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn call_bytes(&mut self, func: &BytesFunc, input: &[u8]) -> Result<Vec<u8>> {
        self.instance.call_bytes(func, input)
    }

    /// See [`OwnedInstance::memory_write`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn memory_write(&mut self, memory: &ExportMemory, address: u64, bytes: &[u8]) -> Result<()> {
        self.instance.memory_write(memory, address, bytes)
    }

    /// See [`OwnedInstance::memory_grow`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn memory_grow(&mut self, memory: &ExportMemory, pages: u64) -> Result<u64> {
        self.instance.memory_grow(memory, pages)
    }
}

/// What only looks: host data, sizes, reads.
impl<T: 'static> Deref for Claim<'_, T> {
    type Target = OwnedInstance<T>;
    fn deref(&self) -> &OwnedInstance<T> {
        &self.instance
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
