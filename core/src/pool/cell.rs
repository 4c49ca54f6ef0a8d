//! The fixed part of a store.
//!
//! Cells are recycled and freed only with their engine, so a handle that outlived its store can always look: the id in
//! the cell is another one, or 0. Ids are never reused.
//!
//! States of a cell: `free` (id 0, in the engine's list or in an idle slot) → `open` (an id, owned by a `Store` or an
//! `OwnedInstance`) → `free`. While open and shared between threads it is claimed for each use.

use std::any::Any;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};

use super::thread;
use super::warm::Lease;
use crate::artifact::layout::{VmFuncRef, VmStore};
use crate::backtrace::WasmBacktrace;
use crate::error::{Error, Result, TrapCode, error};
use crate::vm::instance::VmInstance;
use crate::vm::limiter::{LimiterHook, Question, ResourceLimiter};
use crate::vm::{entry, unwind};

/// Why a host function did not return.
pub enum Failure {
    Error(Error),
    Panic(Box<dyn Any + Send>),
}

/// Calls a function with the limiter that belongs to host data at an address.
pub type Limiter = Box<dyn Fn(*mut u8, &mut dyn FnMut(&mut dyn ResourceLimiter)) + Send + Sync>;

/// What a store with a limiter shows the layer below.
static HOOK: LimiterHook = LimiterHook { ask };

/// Asks the limiter of the cell behind `store`; a refusal by error or panic is recorded in the cell.
///
/// # Safety
///
/// The cell is open and used by this thread.
unsafe fn ask(store: *mut VmStore, question: Question<'_>) -> Option<bool> {
    // SAFETY: the caller vouches for the cell. The limiter gets the host data alone, which no reference into the cell
    // overlaps.
    let (cell, data) = unsafe {
        let cell = &mut *StoreCell::from_vm(store);
        let data = cell.data.value;
        (cell, data)
    };
    let limiter = cell.limiter.as_ref()?;
    let mut answer = Ok(true);
    let asked = catch_unwind(AssertUnwindSafe(|| limiter(data, &mut |limiter| answer = question(limiter))));
    cell.failure = match (asked, answer) {
        (Ok(()), Ok(answer)) => return Some(answer),
        (Ok(()), Err(error)) => Some(Failure::Error(error)),
        (Err(panic), _) => Some(Failure::Panic(panic)),
    };
    None
}

/// What is the same for all cells of an engine.
#[derive(Clone, Copy, Debug)]
pub struct CellSettings {
    /// Bytes of stack for guests.
    pub max_wasm_stack: usize,
    /// Whether errors get the frames that were abandoned.
    pub backtraces: bool,
}

/// The fixed part of a store. Compiled code sees its first field.
#[repr(C)]
pub struct StoreCell {
    vm: VmStore,
    /// `id << 1 | claimed`, or 0 when free. One word, so that a stale handle can never disturb the next owner.
    state: AtomicU64,
    settings: CellSettings,
    /// Whether no call is let in any more.
    poisoned: bool,
    /// The engine's public part; this layer never looks inside.
    engine: Weak<dyn Any + Send + Sync>,
    failure: Option<Failure>,
    limiter: Option<Limiter>,
    data: DataCell,
    /// Objects behind externrefs; an externref is an index plus one.
    externs: Vec<Box<dyn Any + Send + Sync>>,
    /// Instances other than the one that stands alone; they go back when the store closes.
    leases: Vec<Lease>,
    /// The slot that stands alone with this cell while it is open and shared.
    pub shared_slot: Option<Lease>,
}

// SAFETY: raw pointers inside point to the cell itself or to instances that it owns; a cell is used by one thread at a
// time: through `&mut Store`, or claimed.
unsafe impl Send for StoreCell {}
// SAFETY: through `&StoreCell` only the atomics are used.
unsafe impl Sync for StoreCell {}

impl StoreCell {
    /// A free cell.
    pub fn new(settings: CellSettings, engine: Weak<dyn Any + Send + Sync>) -> Box<Self> {
        Box::new(StoreCell {
            vm: VmStore { stack_limit: entry::NOT_ENTERED, limiter: std::ptr::null() },
            state: AtomicU64::new(0),
            settings,
            poisoned: false,
            engine,
            failure: None,
            limiter: None,
            data: DataCell::empty(),
            externs: Vec::new(),
            leases: Vec::new(),
            shared_slot: None,
        })
    }

    /// Opens a free cell with host data.
    #[inline]
    pub fn open<T>(&mut self, data: T) {
        debug_assert_eq!(self.id(), 0, "only free cells are opened");
        self.data.put(data);
        self.state.store(thread::next_store_id() << 1, Ordering::Release);
    }

    /// Closes the cell: handles become stale, other instances go back to their pools, host data is dropped.
    #[inline]
    pub fn close(&mut self) {
        self.state.store(0, Ordering::Release);
        if !self.leases.is_empty() {
            self.leases.clear();
        }
        if !self.externs.is_empty() {
            self.externs.clear();
        }
        self.failure = None;
        self.poisoned = false;
        if self.limiter.is_some() {
            self.limiter = None;
            self.vm.limiter = std::ptr::null();
        }
        self.data.clear();
    }

    /// Sets the limiter.
    pub fn set_limiter(&mut self, limiter: Limiter) {
        self.limiter = Some(limiter);
        self.vm.limiter = (&raw const HOOK).cast();
    }

    /// Asks the limiter, if there is one, whether something may be made.
    ///
    /// # Errors
    ///
    /// The limiter's own, or `Limit` with what `refused` says.
    ///
    /// # Panics
    ///
    /// With the limiter's own panic.
    pub fn ask_limiter(&mut self, question: Question<'_>, refused: impl FnOnce() -> Error) -> Result<()> {
        if self.limiter.is_none() {
            return Ok(());
        }
        // SAFETY: the cell is open and borrowed exclusively.
        match unsafe { ask(self.vm(), question) } {
            Some(true) => Ok(()),
            Some(false) => Err(refused()),
            None => Err(self.take_stop()),
        }
    }

    /// Whether there is a limiter.
    pub fn is_limited(&self) -> bool {
        self.limiter.is_some()
    }

    /// Whether a call into the store is going on.
    pub fn is_entered(&self) -> bool {
        self.vm.stack_limit != entry::NOT_ENTERED
    }

    /// Lets no call in from here on, or lets calls in again.
    pub fn set_poisoned(&mut self, poisoned: bool) {
        self.poisoned = poisoned;
    }

    /// Checks that calls are let in.
    ///
    /// # Errors
    ///
    /// `Poisoned`.
    #[inline]
    pub fn check_sound(&self) -> Result<()> {
        if self.poisoned { Err(is_poisoned()) } else { Ok(()) }
    }

    /// The store's lease of an instance.
    pub fn lease_of(&mut self, instance: NonNull<VmInstance>) -> Option<&mut Lease> {
        self.leases.iter_mut().find(|lease| std::ptr::eq(&*lease.slot().instance, instance.as_ptr()))
    }

    /// Instances of the store.
    pub fn leases(&self) -> &[Lease] {
        &self.leases
    }

    /// The error with which the limiter answered.
    ///
    /// # Panics
    ///
    /// With the limiter's own panic.
    pub fn take_stop(&mut self) -> Error {
        self.take_failure(TrapCode::HostError.code())
    }

    /// Takes the host data out before [`StoreCell::close`].
    ///
    /// # Safety
    ///
    /// The cell was opened with a `T`.
    pub unsafe fn take_data<T>(&mut self) -> T {
        // SAFETY: passed on.
        unsafe { self.data.take() }
    }

    /// The host data.
    ///
    /// # Safety
    ///
    /// The cell was opened with a `T`.
    pub unsafe fn data<T>(&self) -> *mut T {
        debug_assert!(!self.data.value.is_null());
        self.data.value.cast()
    }

    /// The id of the store that the cell is open for, or 0.
    pub fn id(&self) -> u64 {
        self.state.load(Ordering::Acquire) >> 1
    }

    /// What compiled code sees.
    pub fn vm(&mut self) -> *mut VmStore {
        std::ptr::from_mut(self).cast()
    }

    /// The cell behind what compiled code sees.
    ///
    /// # Safety
    ///
    /// `vm` comes from [`StoreCell::vm`].
    pub unsafe fn from_vm(vm: *mut VmStore) -> *mut StoreCell {
        vm.cast()
    }

    /// Takes the cell for this thread if it is open for `id`; pair with [`StoreCell::unclaim`].
    ///
    /// # Errors
    ///
    /// `Busy` when it is claimed; `StaleHandle` when it is not open for `id` any more.
    #[inline]
    pub fn claim(&self, id: u64) -> Result<()> {
        // Free cells have an id of 0, and nobody may hold them back from their owner.
        if id == 0 {
            return Err(not_claimed(false));
        }
        match self.state.compare_exchange(id << 1, id << 1 | 1, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            Err(now) => Err(not_claimed(now >> 1 == id)),
        }
    }

    /// Gives a claimed cell back. Not after it was closed.
    #[inline]
    pub fn unclaim(&self) {
        let state = self.state.load(Ordering::Relaxed);
        debug_assert_eq!(state & 1, 1, "only claimed cells are given back");
        self.state.store(state & !1, Ordering::Release);
    }

    /// The engine's public part.
    pub fn engine(&self) -> &Weak<dyn Any + Send + Sync> {
        &self.engine
    }

    /// Keeps an instance until the store closes.
    pub fn adopt(&mut self, lease: Lease) {
        self.leases.push(lease);
    }

    /// Records why a host function did not return. Returns the code with which wasm is abandoned.
    pub fn fail(&mut self, failure: Failure) -> u32 {
        self.failure = Some(failure);
        TrapCode::HostError.code()
    }

    /// Number of objects behind externrefs, and the object of index `i`.
    pub fn externs(&self) -> &[Box<dyn Any + Send + Sync>] {
        &self.externs
    }

    /// Adds an object for an externref; returns its index.
    pub fn add_extern(&mut self, object: Box<dyn Any + Send + Sync>) -> usize {
        self.externs.push(object);
        self.externs.len() - 1
    }

    /// Calls into an instance of this store.
    ///
    /// # Errors
    ///
    /// `Trap` when the guest trapped; a host function's own error; `Poisoned`.
    ///
    /// # Panics
    ///
    /// With a host function's own panic.
    ///
    /// # Safety
    ///
    /// * `cell` is open and this thread is the one that uses it.
    /// * `callee` belongs to one of its instances.
    /// * `slots` has room for the callee's parameters and results, and holds parameters of its type.
    #[inline]
    pub unsafe fn call(cell: *mut StoreCell, callee: *const VmFuncRef, slots: *mut u64) -> Result<()> {
        // SAFETY: passed on.
        unsafe { (*cell).check_sound()? };
        // SAFETY: passed on. No reference to the cell is alive during the call: host functions make their own.
        let code = unsafe {
            let max = (*cell).settings.max_wasm_stack;
            entry::enter(cell.cast(), max, callee, slots)
        };
        match code {
            0 => Ok(()),
            // SAFETY: the call has returned.
            code => Err(unsafe { &mut *cell }.stopped(code)),
        }
    }

    /// Why the activation that this thread has just abandoned was abandoned, and where.
    #[cold]
    fn stopped(&mut self, code: u32) -> Error {
        let mut error = self.take_failure(code);
        if self.settings.backtraces {
            WasmBacktrace::attach(&mut error, unwind::take_trace());
        }
        error
    }

    #[cold]
    fn take_failure(&mut self, code: u32) -> Error {
        match (unwind::trap_from_entry(code), self.failure.take()) {
            (Some(TrapCode::HostError), Some(Failure::Error(error))) => error,
            (Some(TrapCode::HostError), Some(Failure::Panic(payload))) => std::panic::resume_unwind(payload),
            (Some(trap), _) => Error::trap(trap),
            (None, _) => unreachable!("0 means success"),
        }
    }
}

#[cold]
fn is_poisoned() -> Error {
    error!(Poisoned, "a reset in this store failed half-way, so that no call is let in any more: close (drop) it")
}

#[cold]
fn not_claimed(open: bool) -> Error {
    match open {
        true => error!(
            Busy,
            "the instance is in use, by another thread or by the call that is going on; use one instance per thread, and the caller inside host functions"
        ),
        false => error!(StaleHandle, "the instance was closed; make a new one"),
    }
}

/// Host data of any type: in place when it is small, else in a box.
struct DataCell {
    inline: MaybeUninit<[u64; 4]>,
    /// The value, or null. Points to `inline` or to a box; cells do not move.
    value: *mut u8,
    drop: unsafe fn(*mut u8),
}

impl DataCell {
    fn empty() -> Self {
        DataCell { inline: MaybeUninit::uninit(), value: std::ptr::null_mut(), drop: |_| () }
    }

    const fn fits<T>() -> bool {
        size_of::<T>() <= size_of::<[u64; 4]>() && align_of::<T>() <= align_of::<u64>()
    }

    #[inline]
    fn put<T>(&mut self, value: T) {
        self.clear();
        if Self::fits::<T>() {
            let place = self.inline.as_mut_ptr().cast::<T>();
            // SAFETY: the value fits in size and alignment.
            unsafe { place.write(value) };
            self.value = place.cast();
            self.drop = |place| {
                // SAFETY: called once, with the place of a `T`.
                unsafe { place.cast::<T>().drop_in_place() }
            };
        } else {
            self.value = Box::into_raw(Box::new(value)).cast();
            self.drop = |place| {
                // SAFETY: called once, with the box made above.
                drop(unsafe { Box::from_raw(place.cast::<T>()) });
            };
        }
    }

    #[inline]
    fn clear(&mut self) {
        if !self.value.is_null() {
            let value = std::mem::replace(&mut self.value, std::ptr::null_mut());
            // SAFETY: `drop` is the one for this value, which is forgotten by now.
            unsafe { (self.drop)(value) };
        }
    }

    /// Takes the value out.
    ///
    /// # Safety
    ///
    /// It is there, and a `T`.
    unsafe fn take<T>(&mut self) -> T {
        let value = std::mem::replace(&mut self.value, std::ptr::null_mut());
        assert!(!value.is_null());
        // SAFETY: the caller vouches for the type; the value is forgotten by the cell.
        unsafe {
            match Self::fits::<T>() {
                true => value.cast::<T>().read(),
                false => *Box::from_raw(value.cast::<T>()),
            }
        }
    }
}

impl Drop for DataCell {
    fn drop(&mut self) {
        self.clear();
    }
}
