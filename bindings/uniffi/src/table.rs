//! [`Table`]: handles that are safe to get wrong.
//!
//! ```text
//!   63     60 59            32 31             0
//!  +---------+----------------+----------------+
//!  |  kind   |   generation   |     index      |     0 is no handle
//!  +---------+----------------+----------------+
//! ```
//!
//! Operations: `insert`, `with` (borrow for the length of a closure), `free`.
//!
//! * Slots live in chunks that are never given back, so a lookup is two loads and a compare, whatever else happens.
//! * `with` announces the handle in its thread's [reader](crate::readers) before it checks the generation, and `free` changes the state before
//!   it looks at the readers. So one of the two sees the other: a value is dropped only when nobody uses it, and a borrow writes
//!   nothing that other threads write.
//! * A value that is in use when it is freed becomes `DYING`: no new borrow succeeds, and the last user drops it.
//!
//! Invariant: `value` is initialised exactly while the state is `LIVE` or `DYING`.

use crate::readers;
use instar::{Error, ErrorKind, Result};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a handle stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Engine = 1,
    Module = 2,
    Linker = 3,
    Pre = 4,
    Func = 5,
    BytesFunc = 6,
    Memory = 7,
    Error = 8,
}

impl Kind {
    fn noun(number: u64) -> &'static str {
        match number {
            1 => "engine",
            2 => "module",
            3 => "linker",
            4 => "pre",
            5 => "func",
            6 => "bytes_func",
            7 => "memory",
            8 => "error",
            _ => "unknown",
        }
    }
}

const GENERATION_BITS: u32 = 28;
const LAST_GENERATION: u32 = (1 << GENERATION_BITS) - 1;

// The state of a slot is its generation and one of these. FREE -> LIVE (insert), LIVE -> DYING (free), DYING -> FREE with the
// next generation (when nobody uses it).
const FREE: u32 = 0;
const LIVE: u32 = 1;
const DYING: u32 = 2;

const fn state(generation: u32, status: u32) -> u32 {
    generation << 2 | status
}

struct Slot<T> {
    state: AtomicU32,
    value: UnsafeCell<MaybeUninit<T>>,
}

/// Chunk `k` has `FIRST_CHUNK << k` slots.
const FIRST_CHUNK: u64 = 64;
const CHUNKS: usize = 26;

/// All objects of one kind. There is one table per kind: readers know handles only.
pub struct Table<T> {
    kind: Kind,
    chunks: [AtomicPtr<Slot<T>>; CHUNKS],
    allocator: Mutex<Allocator>,
}

struct Allocator {
    next_index: u32,
    free: Vec<u32>,
    /// Handles freed while somebody used them.
    dying: Vec<u64>,
}

// SAFETY: a `Table` owns its values and hands out `&T` to all threads, as a `Mutex<Vec<Arc<T>>>` would.
unsafe impl<T: Send + Sync> Send for Table<T> {}
// SAFETY: as above; `value` is written only by the thread that took the slot from the allocator or made it DYING and found it unused.
unsafe impl<T: Send + Sync> Sync for Table<T> {}

impl<T: Send + Sync + 'static> Table<T> {
    pub const fn new(kind: Kind) -> Self {
        Table {
            kind,
            chunks: [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS],
            allocator: Mutex::new(Allocator { next_index: 0, free: Vec::new(), dying: Vec::new() }),
        }
    }

    /// Stores a value; gives its handle.
    pub fn insert(&self, value: T) -> Result<u64> {
        let index = {
            let mut allocator = self.allocator();
            match allocator.free.pop() {
                Some(index) => index,
                None => self.grow(&mut allocator)?,
            }
        };
        let slot = self.slot(index).expect("an allocated index has a slot");
        let generation = slot.state.load(Ordering::Relaxed) >> 2;
        // SAFETY: the slot is FREE and its index is in nobody else's hands, so nothing reads or writes `value`.
        unsafe { (*slot.value.get()).write(value) };
        slot.state.store(state(generation, LIVE), Ordering::SeqCst);
        Ok((self.kind as u64) << 60 | u64::from(generation) << 32 | u64::from(index))
    }

    /// Borrows the value of a handle for the length of the closure.
    ///
    /// # Errors
    ///
    /// `StaleHandle` if the handle is wrong, of another kind, or freed.
    #[inline]
    pub fn with<R>(&self, handle: u64, use_it: impl FnOnce(&T) -> Result<R>) -> Result<R> {
        let Some(slot) = self.slot_of(handle) else { return Err(self.stale(handle)) };
        let _until_the_end = Borrow { table: self, slot, handle, announced: Some(readers::announce(handle)?) };
        if slot.state.load(Ordering::SeqCst) != state(generation_of(handle), LIVE) {
            return Err(self.stale(handle));
        }
        // SAFETY: the state was LIVE after the handle had been announced, so whoever frees it sees the announcement and leaves the value
        // alone until the announcement ends.
        use_it(unsafe { (*slot.value.get()).assume_init_ref() })
    }

    /// Ends a handle. The value is dropped now, or by its last user. False if the handle was no good.
    pub fn free(&self, handle: u64) -> bool {
        let Some(slot) = self.slot_of(handle) else { return false };
        let generation = generation_of(handle);
        let (live, dying) = (state(generation, LIVE), state(generation, DYING));
        if slot.state.compare_exchange(live, dying, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return false;
        }
        self.allocator().dying.push(handle);
        self.collect();
        true
    }

    /// Drops what is dying and not in use.
    #[cold]
    fn collect(&self) {
        let mut unused = Vec::new();
        self.allocator().dying.retain(|&handle| {
            let in_use = readers::is_announced(handle);
            if !in_use {
                unused.push(handle);
            }
            in_use
        });
        // Outside the lock: a value's drop may free other handles.
        for handle in unused {
            let slot = self.slot_of(handle).expect("a dying handle has a slot");
            // SAFETY: the handle was taken off the dying list by this thread alone, and nobody uses it: no borrow begins in a DYING slot, and
            // those begun before are over.
            unsafe { (*slot.value.get()).assume_init_drop() };
            let generation = generation_of(handle);
            if generation < LAST_GENERATION {
                slot.state.store(state(generation + 1, FREE), Ordering::SeqCst);
                self.allocator().free.push(handle as u32);
            } // else the slot retires: a handle must never come back
        }
    }

    fn grow(&self, allocator: &mut Allocator) -> Result<u32> {
        let index = allocator.next_index;
        let (chunk, offset) = place(index);
        if chunk >= CHUNKS {
            return Err(Error::new(ErrorKind::Limit, format!("too many {} handles", Kind::noun(self.kind as u64))));
        }
        if offset == 0 {
            let slots: Box<[Slot<T>]> = (0..FIRST_CHUNK << chunk)
                .map(|_| Slot { state: AtomicU32::new(state(1, FREE)), value: UnsafeCell::new(MaybeUninit::uninit()) })
                .collect();
            self.chunks[chunk].store(Box::leak(slots).as_mut_ptr(), Ordering::Release);
        }
        allocator.next_index += 1;
        Ok(index)
    }

    #[inline]
    fn slot_of(&self, handle: u64) -> Option<&Slot<T>> {
        if handle >> 60 != self.kind as u64 {
            return None;
        }
        self.slot(handle as u32)
    }

    #[inline]
    fn slot(&self, index: u32) -> Option<&Slot<T>> {
        let (chunk, offset) = place(index);
        let chunk = self.chunks.get(chunk)?.load(Ordering::Acquire);
        if chunk.is_null() {
            return None;
        }
        // SAFETY: `place` gives an offset below the chunk's length.
        let slot = unsafe { chunk.add(offset) };
        // SAFETY: chunks are initialised before they are published and never given back.
        Some(unsafe { &*slot })
    }

    fn allocator(&self) -> MutexGuard<'_, Allocator> {
        self.allocator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cold]
    fn stale(&self, handle: u64) -> Error {
        let noun = Kind::noun(self.kind as u64);
        let message = if handle == 0 {
            format!("no {noun}: the handle is 0")
        } else if handle >> 60 != self.kind as u64 {
            format!("handle {handle:#x} is of kind {}, not {noun}", Kind::noun(handle >> 60))
        } else {
            format!("the {noun} has been closed")
        };
        Error::new(ErrorKind::StaleHandle, message)
    }
}

/// A use of a handle. At its end, if the handle was freed meanwhile, looks whether this was the last use.
struct Borrow<'a, T: Send + Sync + 'static> {
    table: &'a Table<T>,
    slot: &'a Slot<T>,
    handle: u64,
    announced: Option<readers::Announced>,
}

impl<T: Send + Sync + 'static> Drop for Borrow<'_, T> {
    #[inline]
    fn drop(&mut self) {
        drop(self.announced.take());
        // Without a fence `free` may have seen the announcement and this load may still see LIVE. Then the value waits for the next `free` or
        // the next last user: late, never wrong.
        if self.slot.state.load(Ordering::Acquire) != state(generation_of(self.handle), LIVE) {
            self.table.collect();
        }
    }
}

#[inline]
fn place(index: u32) -> (usize, usize) {
    let position = u64::from(index) + FIRST_CHUNK;
    let chunk = position.ilog2() - FIRST_CHUNK.ilog2();
    (chunk as usize, (position - (FIRST_CHUNK << chunk)) as usize)
}

#[inline]
fn generation_of(handle: u64) -> u32 {
    (handle >> 32) as u32 & LAST_GENERATION
}

#[cfg(test)]
mod tests {
    // Each test has its own kinds, see `Table`.
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    fn stale<R>(result: Result<R>) -> bool {
        matches!(result, Err(error) if error.kind() == ErrorKind::StaleHandle)
    }

    #[test]
    fn places_are_dense_and_within_their_chunk() {
        let mut expected = (0, 0);
        for index in 0..10_000 {
            assert_eq!(place(index), expected);
            expected.1 += 1;
            if expected.1 == (FIRST_CHUNK as usize) << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
        assert!(place(u32::MAX).0 <= CHUNKS + 1);
    }

    #[test]
    fn a_freed_handle_is_stale_also_after_its_slot_is_used_again() {
        let table = Table::new(Kind::BytesFunc);
        let first = table.insert(1).unwrap();
        assert_eq!(table.with(first, |&value| Ok(value)).unwrap(), 1);
        assert!(table.free(first));
        assert!(!table.free(first));
        let second = table.insert(2).unwrap();
        assert_eq!(first as u32, second as u32, "the slot is used again");
        assert!(stale(table.with(first, |_| Ok(()))));
        assert!(!table.free(first));
        assert_eq!(table.with(second, |&value| Ok(value)).unwrap(), 2);
    }

    #[test]
    fn handles_of_another_kind_and_inventions_are_stale() {
        let table = Table::new(Kind::Engine);
        let other = Table::new(Kind::Module);
        let handle = other.insert(1).unwrap();
        for wrong in [0, 1, handle, u64::MAX, 1 << 60, 1 << 60 | 1 << 32, 1 << 60 | 1 << 32 | 0xffff_ffff] {
            assert!(stale(table.with(wrong, |_: &i32| Ok(()))), "{wrong:#x}");
            assert!(!table.free(wrong), "{wrong:#x}");
        }
    }

    #[test]
    fn freeing_during_a_borrow_drops_at_its_end() {
        let table = Table::new(Kind::Func);
        let value = Arc::new(());
        let handle = table.insert(value.clone()).unwrap();
        table
            .with(handle, |_| {
                table.with(handle, |_| {
                    assert!(table.free(handle));
                    Ok(())
                })?;
                assert_eq!(Arc::strong_count(&value), 2);
                assert!(stale(table.with(handle, |_| Ok(()))));
                Ok(())
            })
            .unwrap();
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn a_panic_ends_the_borrow() {
        let table = Table::new(Kind::Memory);
        let value = Arc::new(());
        let handle = table.insert(value.clone()).unwrap();
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = table.with(handle, |_| -> Result<()> { panic!("on purpose") });
        }));
        assert!(panic.is_err());
        table.free(handle);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn values_are_never_used_after_their_drop_when_threads_race() {
        struct Checked(AtomicUsize);
        impl Drop for Checked {
            fn drop(&mut self) {
                self.0.store(0, Ordering::SeqCst);
            }
        }
        static TABLE: Table<Checked> = Table::new(Kind::Pre);
        let current = AtomicU32::new(0);
        let handles: Vec<u64> = (0..4).map(|_| TABLE.insert(Checked(AtomicUsize::new(7))).unwrap()).collect();
        let handles: Vec<_> = handles.into_iter().map(Mutex::new).collect();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for round in 0..40_000 {
                        let handle = *handles[round % 4].lock().unwrap();
                        let _ = TABLE.with(handle, |value| {
                            assert_eq!(value.0.load(Ordering::SeqCst), 7);
                            std::hint::spin_loop();
                            assert_eq!(value.0.load(Ordering::SeqCst), 7);
                            Ok(())
                        });
                    }
                    current.fetch_add(1, Ordering::SeqCst);
                });
            }
            scope.spawn(|| {
                let mut round = 0;
                while current.load(Ordering::SeqCst) < 3 {
                    let fresh = TABLE.insert(Checked(AtomicUsize::new(7))).unwrap();
                    let old = std::mem::replace(&mut *handles[round % 4].lock().unwrap(), fresh);
                    assert!(TABLE.free(old));
                    round += 1;
                }
            });
        });
    }
}
