//! Executable memory, and the registry that finds the code a program counter lies in.
//!
//! Code runs where its artifact is mapped, and its tables are read there too, by signal handlers among others.
//!
//! The registry is read by signal handlers, so readers take no lock: writers publish a new sorted list and free the old
//! one after the last reader has left.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use super::module::VmModule;
use crate::artifact::EntrySite;
use crate::artifact::format::{Artifact, Section};
use crate::artifact::words::Words;
use crate::error::{Result, TrapCode, bail};
use crate::sys::mapped::Bytes;

/// One block of compiled code, executable and registered for as long as the value lives.
#[derive(Debug)]
pub struct CodeMemory {
    text: Bytes,
    tables: Box<CodeTables>,
}

/// What a trap needs to know about a block of code.
#[derive(Debug)]
pub struct CodeTables {
    start: usize,
    end: usize,
    /// Ascending.
    trap_offsets: Words,
    trap_codes: Bytes,
    /// Four numbers for each, ascending by the first.
    entry_sites: Words,
    /// The module that the code belongs to. Signal handlers leave it alone.
    module: OnceLock<Weak<VmModule>>,
}

impl CodeMemory {
    /// Makes the code of an artifact executable where it is, and registers it.
    pub fn new(artifact: &Artifact) -> Result<Self> {
        let text = artifact.section(Section::Text)?;
        if !text.range().start.is_multiple_of(crate::sys::page_size()) && !text.range().is_empty() {
            bail!(Artifact, "the artifact is damaged: its code lies at {:#x}", text.range().start);
        }
        text.owner().make_executable(text.range())?;
        let range = text.as_slice().as_ptr_range();
        let (start, end) = (range.start.addr(), range.end.addr());
        let tables = Box::new(CodeTables {
            start,
            end,
            trap_offsets: artifact.words(Section::TrapOffsets, 1)?,
            trap_codes: artifact.section(Section::TrapCodes)?,
            entry_sites: artifact.words(Section::EntrySites, 4)?,
            module: OnceLock::new(),
        });
        if start < end {
            registry::update(|list| {
                let at = list.partition_point(|r| r.start < start);
                list.insert(at, Region { start, end, tables: &*tables });
            });
        }
        Ok(CodeMemory { text, tables })
    }

    /// Says which module the code belongs to, once.
    pub fn belongs_to(&self, module: &Arc<VmModule>) {
        self.tables.module.get_or_init(|| Arc::downgrade(module));
    }

    /// The code.
    pub fn text(&self) -> &[u8] {
        self.text.as_slice()
    }

    /// Address of the code at `offset`.
    ///
    /// # Errors
    ///
    /// `Artifact` when the code ends before it.
    #[inline]
    pub fn address(&self, offset: u32) -> Result<*const u8> {
        match self.text().get(offset as usize..) {
            Some(code @ [_, ..]) => Ok(code.as_ptr()),
            _ => bail!(Artifact, "the artifact is damaged: code at {offset:#x} of {:#x} bytes", self.text().len()),
        }
    }
}

impl Drop for CodeMemory {
    fn drop(&mut self) {
        registry::update(|list| list.retain(|r| r.start != self.tables.start));
    }
}

impl CodeTables {
    /// Whether `pc` lies in this code.
    pub fn contains(&self, pc: usize) -> bool {
        (self.start..self.end).contains(&pc)
    }

    /// The trap that the instruction at `pc` raises, if it raises one.
    pub fn trap_at(&self, pc: usize) -> Option<TrapCode> {
        let offset = u32::try_from(pc - self.start).ok()?;
        let index = self.trap_offsets.binary_search(&offset).ok()?;
        TrapCode::from_code(u32::from(*self.trap_codes.as_slice().get(index)?))
    }

    /// The entry call that returns to `pc`, with the address of its landing pad.
    pub fn entry_at(&self, pc: usize) -> Option<(EntrySite, usize)> {
        let offset = u32::try_from(pc - self.start).ok()?;
        let (sites, _) = self.entry_sites.as_chunks::<4>();
        let index = sites.binary_search_by_key(&offset, |s| s[0]).ok()?;
        let [return_offset, landing_offset, frame_size, context_offset] = sites[index];
        let landing = self.start + landing_offset as usize;
        (landing < self.end)
            .then_some((EntrySite { return_offset, landing_offset, frame_size, context_offset }, landing))
    }
}

#[derive(Clone, Copy)]
struct Region {
    start: usize,
    end: usize,
    tables: *const CodeTables,
}

mod registry {
    use super::*;

    static LIST: AtomicPtr<Vec<Region>> = AtomicPtr::new(std::ptr::null_mut());
    static READERS: AtomicUsize = AtomicUsize::new(0);
    /// Guards writers against each other; readers never take it.
    static WRITER: Mutex<()> = Mutex::new(());

    pub(super) fn update(change: impl FnOnce(&mut Vec<Region>)) {
        let _writer = WRITER.lock().unwrap_or_else(|e| e.into_inner());
        let old = LIST.load(Ordering::Relaxed);
        let mut list = if old.is_null() {
            Vec::new()
        } else {
            // SAFETY: `old` was published by an earlier update and is freed only by an update, and we hold the lock.
            unsafe { (*old).clone() }
        };
        change(&mut list);
        LIST.store(Box::into_raw(Box::new(list)), Ordering::SeqCst);
        // Readers that came before the store may still look at the old list; those that come after see the new one.
        while READERS.load(Ordering::SeqCst) != 0 {
            std::thread::yield_now();
        }
        if !old.is_null() {
            // SAFETY: made by Box::into_raw in an earlier update; no reader holds it any more.
            drop(unsafe { Box::from_raw(old) });
        }
    }

    /// Looks at the code that `pc` lies in. It stays for as long as `look` runs, which must neither take a lock nor load or
    /// drop code.
    pub(super) fn find<T>(pc: usize, look: impl FnOnce(*const CodeTables) -> T) -> Option<T> {
        READERS.fetch_add(1, Ordering::SeqCst);
        let list = LIST.load(Ordering::SeqCst);
        let found = if list.is_null() {
            None
        } else {
            // SAFETY: the list cannot be freed while READERS is not zero.
            let list = unsafe { &*list };
            let index = list.partition_point(|r| r.start <= pc);
            index.checked_sub(1).map(|i| list[i]).filter(|r| pc < r.end).map(|r| look(r.tables))
        };
        READERS.fetch_sub(1, Ordering::SeqCst);
        found
    }
}

/// The code that `pc` lies in. Takes no lock and allocates nothing.
///
/// # Safety
///
/// The result is good while that code is: the caller knows that an activation of it is on the stack, or that `pc` was
/// interrupted in it.
pub unsafe fn lookup<'a>(pc: usize) -> Option<&'a CodeTables> {
    // SAFETY: the tables live as long as their code, which the caller keeps alive.
    registry::find(pc, |tables| unsafe { &*tables })
}

/// The module whose code `pc` lies in, and the offset of `pc` in it; `None` when there is none (any more). Not for signal
/// handlers.
pub fn module_at(pc: usize) -> Option<(Arc<VmModule>, u32)> {
    registry::find(pc, |tables| {
        // SAFETY: code leaves the registry before its tables are freed, and leaving waits for us.
        let tables = unsafe { &*tables };
        let offset = u32::try_from(pc - tables.start).ok()?;
        Some((tables.module.get()?.upgrade()?, offset))
    })?
}
