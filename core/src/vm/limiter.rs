//! [`ResourceLimiter`]: what a host lets the instances of one store have.

use crate::artifact::layout::{GROW_STOPPED, VmStore};
use crate::error::{Error, Result, error};

/// Decides about the memories, tables and instances of one store, beside the engine's own limits. See
/// [`Store::limiter`](crate::Store::limiter).
pub trait ResourceLimiter {
    /// A memory is about to be made (then `current` is 0) or to grow. Sizes are in bytes; `maximum` is the memory's own, if
    /// it has one.
    ///
    /// With `false`, `memory.grow` gives -1 and making an instance fails. An error ends the guest's call with that error.
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool>;

    /// A memory did not grow: it was denied, or a limit or the system forbids it. An error ends the guest's call with it.
    fn memory_grow_failed(&mut self, error: &Error) -> Result<()> {
        let _ = error;
        Ok(())
    }

    /// A table is about to be made or to grow. Sizes are in elements. Otherwise as
    /// [`memory_growing`](ResourceLimiter::memory_growing).
    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool>;

    /// A table did not grow. As [`memory_grow_failed`](ResourceLimiter::memory_grow_failed).
    fn table_grow_failed(&mut self, error: &Error) -> Result<()> {
        let _ = error;
        Ok(())
    }

    /// Most instances of the store, host-made items included. Default 10 000.
    fn instances(&self) -> usize {
        10_000
    }

    /// Most memories of the store. Default 10 000.
    fn memories(&self) -> usize {
        10_000
    }

    /// Most tables of the store. Default 10 000.
    fn tables(&self) -> usize {
        10_000
    }
}

/// A [`ResourceLimiter`] with fixed limits. Made by [`StoreLimitsBuilder`].
#[derive(Clone, Debug)]
pub struct StoreLimits {
    memory_size: Option<usize>,
    table_elements: Option<usize>,
    instances: usize,
    memories: usize,
    tables: usize,
    trap_on_grow_failure: bool,
}

impl Default for StoreLimits {
    /// No limits but the numbers of instances, memories and tables.
    fn default() -> Self {
        StoreLimits {
            memory_size: None,
            table_elements: None,
            instances: 10_000,
            memories: 10_000,
            tables: 10_000,
            trap_on_grow_failure: false,
        }
    }
}

/// Makes [`StoreLimits`].
#[derive(Clone, Debug, Default)]
pub struct StoreLimitsBuilder(StoreLimits);

impl StoreLimitsBuilder {
    /// No limits but the default ones.
    pub fn new() -> Self {
        Self::default()
    }

    /// Largest size of each memory, in bytes.
    pub fn memory_size(mut self, bytes: usize) -> Self {
        self.0.memory_size = Some(bytes);
        self
    }

    /// Largest number of elements of each table.
    pub fn table_elements(mut self, elements: usize) -> Self {
        self.0.table_elements = Some(elements);
        self
    }

    /// Most instances of the store. Default 10 000.
    pub fn instances(mut self, count: usize) -> Self {
        self.0.instances = count;
        self
    }

    /// Most memories of the store. Default 10 000.
    pub fn memories(mut self, count: usize) -> Self {
        self.0.memories = count;
        self
    }

    /// Most tables of the store. Default 10 000.
    pub fn tables(mut self, count: usize) -> Self {
        self.0.tables = count;
        self
    }

    /// Whether a memory or table that cannot grow ends the guest's call with an error instead of giving it -1. Default no.
    pub fn trap_on_grow_failure(mut self, trap: bool) -> Self {
        self.0.trap_on_grow_failure = trap;
        self
    }

    /// The limits.
    pub fn build(self) -> StoreLimits {
        self.0
    }
}

impl StoreLimits {
    fn failed(&self, error: &Error) -> Result<()> {
        match self.trap_on_grow_failure {
            true => Err(Error::new(error.kind(), error.message())),
            false => Ok(()),
        }
    }
}

impl ResourceLimiter for StoreLimits {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        Ok(self.memory_size.is_none_or(|limit| desired <= limit))
    }

    fn memory_grow_failed(&mut self, error: &Error) -> Result<()> {
        self.failed(error)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        Ok(self.table_elements.is_none_or(|limit| desired <= limit))
    }

    fn table_grow_failed(&mut self, error: &Error) -> Result<()> {
        self.failed(error)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn memories(&self) -> usize {
        self.memories
    }

    fn tables(&self) -> usize {
        self.tables
    }
}

/// What is to grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// In bytes.
    Memory,
    /// In elements.
    Table,
}

impl Resource {
    /// Asks a limiter.
    ///
    /// # Errors
    ///
    /// The limiter's own.
    pub fn growing(
        self,
        limiter: &mut dyn ResourceLimiter,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        match self {
            Resource::Memory => limiter.memory_growing(current, desired, maximum),
            Resource::Table => limiter.table_growing(current, desired, maximum),
        }
    }

    /// Tells a limiter that something did not grow.
    ///
    /// # Errors
    ///
    /// The limiter's own.
    pub fn grow_failed(self, limiter: &mut dyn ResourceLimiter, error: &Error) -> Result<()> {
        match self {
            Resource::Memory => limiter.memory_grow_failed(error),
            Resource::Table => limiter.table_grow_failed(error),
        }
    }
}

/// What a store with a limiter puts into [`VmStore::limiter`].
pub struct LimiterHook {
    /// Asks the limiter. `None` when the answer was an error (or a panic), which waits in the store then.
    ///
    /// # Safety
    ///
    /// The store is open and used by this thread.
    pub ask: unsafe fn(store: *mut VmStore, question: Question<'_>) -> Option<bool>,
}

/// Something to ask a limiter.
pub type Question<'a> = &'a mut dyn FnMut(&mut dyn ResourceLimiter) -> Result<bool>;

/// How an attempt to grow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// It grew; this was the size before.
    Done(u64),
    /// It did not, and the guest goes on.
    Failed,
    /// It did not, and the guest's call ends with an error that waits in the store.
    Stopped,
}

impl Growth {
    /// What a `grow` builtin returns.
    pub fn to_builtin(self) -> u64 {
        match self {
            Growth::Done(old) => old,
            Growth::Failed => u64::MAX,
            Growth::Stopped => GROW_STOPPED,
        }
    }
}

/// Grows a memory or table by `attempt`, which gives the old size, if the store's limiter agrees. `sizes` are the current
/// and the wanted size.
///
/// # Safety
///
/// The store is open and used by this thread.
pub unsafe fn grow(
    store: *mut VmStore,
    resource: Resource,
    sizes: (u64, Option<u64>),
    maximum: Option<u64>,
    attempt: impl FnOnce() -> Option<u64>,
) -> Growth {
    // SAFETY: the caller vouches for the store; the hook was put there by it.
    let hook = unsafe { (*store).limiter.cast::<LimiterHook>().as_ref() };
    let Some(hook) = hook else {
        return attempt().map_or(Growth::Failed, Growth::Done);
    };
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let (current, desired) = (size(sizes.0), sizes.1.map_or(usize::MAX, size));
    // SAFETY: passed on.
    let allowed =
        unsafe { (hook.ask)(store, &mut |limiter| resource.growing(limiter, current, desired, maximum.map(size))) };
    let grown = match allowed {
        None => return Growth::Stopped,
        Some(true) => attempt(),
        Some(false) => None,
    };
    if let Some(old) = grown {
        return Growth::Done(old);
    }
    let unit = if resource == Resource::Memory { "bytes" } else { "elements" };
    let why = match allowed {
        Some(false) => "the store's limiter forbids it",
        _ => "its maximum, a limit of the engine or the system forbids it",
    };
    let error = error!(Limit, "a {resource} of {current} {unit} cannot grow to {desired}: {why}");
    // SAFETY: passed on.
    match unsafe { (hook.ask)(store, &mut |limiter| resource.grow_failed(limiter, &error).map(|()| true)) } {
        Some(_) => Growth::Failed,
        None => Growth::Stopped,
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Resource::Memory { "memory" } else { "table" })
    }
}
