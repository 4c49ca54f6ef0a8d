//! [`Store`]: owns instances and host data; used by one thread at a time, by any thread.

use std::marker::PhantomData;
use std::ptr::NonNull;

use crate::engine::Engine;
use crate::error::{Result, bail};
use crate::pool::cell::{Limiter, StoreCell};
use crate::vm::limiter::ResourceLimiter;

/// Instances and the host data that belongs to them.
///
/// Instances made in a store can share functions, memories, tables and globals; they all go back to their pools when the
/// store is dropped. Handles ([`Instance`](crate::Instance), [`Func`](crate::Func), …) are small copies that name the
/// store they belong to; used with another store they give an error.
pub struct Store<T: 'static> {
    cell: NonNull<StoreCell>,
    engine: Engine,
    _data: PhantomData<T>,
}

// SAFETY: a store owns its cell and everything in it; nothing depends on the thread. The host data moves with it.
unsafe impl<T: Send> Send for Store<T> {}
// SAFETY: `&Store` gives `&T` and reads of instances, which `&mut` alone changes.
unsafe impl<T: Sync> Sync for Store<T> {}

impl<T: 'static> Store<T> {
    /// An empty store.
    pub fn new(engine: &Engine, data: T) -> Self {
        let mut cell = engine.pool().acquire_cell();
        // SAFETY: the cell was free and is ours until it is released.
        unsafe { cell.as_mut() }.open(data);
        Store { cell, engine: engine.clone(), _data: PhantomData }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The host data.
    pub fn data(&self) -> &T {
        // SAFETY: opened with a `T`.
        unsafe { &*self.cell.as_ref().data::<T>() }
    }

    /// The host data.
    pub fn data_mut(&mut self) -> &mut T {
        // SAFETY: opened with a `T`.
        unsafe { &mut *self.cell.as_ref().data::<T>() }
    }

    /// Lets part of the host data decide what the store's instances may have: asked when an instance is made in the store
    /// and when a memory or table grows.
    pub fn limiter(&mut self, limiter: impl (Fn(&mut T) -> &mut dyn ResourceLimiter) + Send + Sync + 'static) {
        let limiter: Limiter = Box::new(move |data, ask| {
            // SAFETY: the cell passes its own host data, a `T`, while its store is borrowed exclusively.
            ask(limiter(unsafe { &mut *data.cast::<T>() }))
        });
        // SAFETY: the cell is ours.
        unsafe { self.cell.as_mut() }.set_limiter(limiter);
    }

    /// Drops all instances and gives the host data back.
    pub fn into_data(mut self) -> T {
        // SAFETY: opened with a `T`; the store is dropped right after.
        unsafe { self.cell.as_mut().take_data() }
    }
}

impl<T: 'static> Drop for Store<T> {
    fn drop(&mut self) {
        // SAFETY: the cell is ours until it is released.
        unsafe { self.cell.as_mut() }.close();
        self.engine.pool().release_cell(self.cell);
    }
}

/// A store without its type: what handles need.
pub struct StoreOpaque {
    cell: NonNull<StoreCell>,
}

impl StoreOpaque {
    pub(crate) fn cell(&self) -> &StoreCell {
        // SAFETY: whoever made this has the store and keeps it for its life.
        unsafe { self.cell.as_ref() }
    }

    pub(crate) fn cell_mut(&mut self) -> &mut StoreCell {
        // SAFETY: made from `&mut`, see `StoreContextMut`.
        unsafe { self.cell.as_mut() }
    }

    pub(crate) fn cell_ptr(&self) -> *mut StoreCell {
        self.cell.as_ptr()
    }

    pub(crate) fn id(&self) -> u64 {
        self.cell().id()
    }

    /// Checks that a handle belongs to this store.
    pub(crate) fn check(&self, id: u64, what: &str) -> Result<()> {
        if id != self.id() {
            bail!(StaleHandle, "the {what} belongs to another store, or to one that was dropped");
        }
        Ok(())
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine::from_cell(self.cell())
    }
}

/// A shared borrow of a store.
pub struct StoreContext<'a, T: 'static> {
    opaque: StoreOpaque,
    _store: PhantomData<&'a Store<T>>,
}

impl<'a, T: 'static> StoreContext<'a, T> {
    pub(crate) fn opaque(&self) -> &StoreOpaque {
        &self.opaque
    }

    pub(crate) fn cell(&self) -> &'a StoreCell {
        // SAFETY: the cell lives as long as the borrow of the store.
        unsafe { self.opaque.cell.as_ref() }
    }

    /// The host data.
    pub fn data(&self) -> &'a T {
        // SAFETY: opened with a `T`, and borrowed for `'a`.
        unsafe { &*self.opaque.cell().data::<T>() }
    }
}

/// An exclusive borrow of a store.
pub struct StoreContextMut<'a, T: 'static> {
    opaque: StoreOpaque,
    _store: PhantomData<&'a mut Store<T>>,
}

impl<'a, T: 'static> StoreContextMut<'a, T> {
    /// A borrow of the store that `cell` is open for.
    ///
    /// # Safety
    ///
    /// The cell is open with a `T`, and this thread has it to itself for `'a`.
    pub(crate) unsafe fn new(cell: NonNull<StoreCell>) -> Self {
        StoreContextMut { opaque: StoreOpaque { cell }, _store: PhantomData }
    }

    pub(crate) fn opaque(&mut self) -> &mut StoreOpaque {
        &mut self.opaque
    }

    /// The host data.
    pub fn data(&self) -> &T {
        // SAFETY: opened with a `T`.
        unsafe { &*self.opaque.cell().data::<T>() }
    }

    /// The host data.
    pub fn data_mut(&mut self) -> &mut T {
        // SAFETY: opened with a `T`, and borrowed exclusively.
        unsafe { &mut *self.opaque.cell().data::<T>() }
    }

    /// The host data, for as long as the store is borrowed.
    pub fn into_data_mut(self) -> &'a mut T {
        // SAFETY: opened with a `T`, and borrowed exclusively for `'a`, which this borrow takes over.
        unsafe { &mut *self.opaque.cell().data::<T>() }
    }

    /// The engine.
    pub fn engine(&self) -> Engine {
        self.opaque.engine()
    }
}

/// Whatever gives read access to a store: a [`Store`], a [`Caller`](crate::Caller), or a reference to one.
pub trait AsContext {
    /// The type of the host data.
    type Data: 'static;
    /// A borrow of the store.
    fn as_context(&self) -> StoreContext<'_, Self::Data>;
}

/// Whatever gives exclusive access to a store.
pub trait AsContextMut: AsContext {
    /// A borrow of the store.
    fn as_context_mut(&mut self) -> StoreContextMut<'_, Self::Data>;
}

impl<T: 'static> AsContext for Store<T> {
    type Data = T;
    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext { opaque: StoreOpaque { cell: self.cell }, _store: PhantomData }
    }
}

impl<T: 'static> AsContextMut for Store<T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut { opaque: StoreOpaque { cell: self.cell }, _store: PhantomData }
    }
}

impl<T: 'static> AsContext for StoreContext<'_, T> {
    type Data = T;
    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext { opaque: StoreOpaque { cell: self.opaque.cell }, _store: PhantomData }
    }
}

impl<T: 'static> AsContext for StoreContextMut<'_, T> {
    type Data = T;
    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext { opaque: StoreOpaque { cell: self.opaque.cell }, _store: PhantomData }
    }
}

impl<T: 'static> AsContextMut for StoreContextMut<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut { opaque: StoreOpaque { cell: self.opaque.cell }, _store: PhantomData }
    }
}

impl<C: AsContext> AsContext for &C {
    type Data = C::Data;
    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}

impl<C: AsContext> AsContext for &mut C {
    type Data = C::Data;
    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}

impl<C: AsContextMut> AsContextMut for &mut C {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, C::Data> {
        C::as_context_mut(self)
    }
}
