//! The hot sets of an InstancePre: which pages its instances write to, so that only those are writable in its slots.
//!
//! ```text
//!   slot: a fault ──► page is in the slot's runs ──reset──► hot set ──generation──► every slot, when it is acquired or reset
//!   every 512th page that is copied back: has it changed at all? if not, 16 times in a row ──► out of the hot set
//! ```
//!
//! What a reset copies back is what is writable in the slot. Hot pages are joined to at most 16 runs, and each slot has the
//! same: one bulk step makes them writable and resident, so that a page costs a fault once per InstancePre. Pages that only
//! lie between hot ones, or beside one that faulted, are copied too, but not learned unless they have changed.
//!
//! The set is *open* for some resets after a tenant wrote to so many pages that its memory was opened (see
//! [`vm::touched`](crate::vm::touched)): then slots are writable as a whole and rebuilt, at first for a few resets and for
//! more and more if it happens again.
//!
//! Invariant: on the fast path nothing shared is written: a reset reads one number, which changes when a set does.

use std::collections::BTreeMap;
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::reset::rebuild;
use super::{MemoryImage, ResetLog};
use crate::artifact::layout::VmMemory;
use crate::config::DirtyTracking;
use crate::error::{Result, bail};
use crate::sys::{page_size, restore};
use crate::vm::instance::VmInstance;
use crate::vm::memory::{LinearMemory, NOT_PROTECTED};
use crate::vm::module::VmModule;
use crate::vm::runs::Runs;
use crate::vm::touched::{Faults, MAX_PAGES, State, Touched};

/// How many pages are copied back for one that is compared before. To look at one takes as long as to copy three or so.
const SAMPLE_EVERY: usize = 512;

/// How often in a row a page must be found unchanged to leave the set; twice as often each time that it comes back.
const PATIENCE: u16 = 16;
const MAX_PATIENCE: u16 = 1024;

/// For how many resets the set is open, the first time.
const MIN_PERIOD: u32 = 16;
const MAX_PERIOD: u32 = 1 << 16;

/// Up to how many pages the runs may have for one that is hot, before it is better to rebuild; and how many in any case.
const MAX_WASTE: usize = 16;
const MIN_WASTE: usize = 256;

/// The hot sets of all memories that the instances of one InstancePre define.
#[derive(Debug)]
pub struct HotSets {
    /// Changes when one of them does.
    generation: AtomicU64,
    sets: Box<[HotSet]>,
}

#[derive(Debug, Default)]
struct HotSet {
    /// Taken to change it, and by slots that have not seen the change.
    learned: Mutex<Learned>,
    /// Writes to read-only pages so far.
    faults: AtomicU64,
}

#[derive(Debug)]
struct Learned {
    /// Pages that are hot, and some that were.
    pages: BTreeMap<usize, Page>,
    hot: usize,
    /// Hot pages that have been unchanged for as long as it takes.
    cold: usize,
    runs: Runs,
    /// The page that was sampled last.
    cursor: usize,
    /// Resets until slots are closed again.
    open_for: u32,
    /// How long they are open the next time.
    next_period: u32,
}

#[derive(Clone, Copy, Debug)]
struct Page {
    hot: bool,
    /// How often in a row it was found unchanged.
    clean: u16,
    /// How often it must be.
    patience: u16,
}

/// What an InstancePre has learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HotStats {
    /// Pages of all memories that are hot.
    pages: usize,
    /// Pages of all memories that are writable in a slot, and copied back by each reset.
    writable_pages: usize,
    /// Writes to read-only pages, each of which cost a fault.
    faults: u64,
    /// Memories that are writable as a whole, and rebuilt by each reset.
    open_memories: usize,
}

impl HotStats {
    /// Pages of all memories that are hot.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Pages of all memories that are writable in a slot, and copied back by each reset.
    pub fn writable_pages(&self) -> usize {
        self.writable_pages
    }

    /// Writes to read-only pages so far; each cost a fault, or, if the host wrote, a system call.
    pub fn faults(&self) -> u64 {
        self.faults
    }

    /// Memories that are writable as a whole for a time, and rebuilt by each reset.
    pub fn open_memories(&self) -> usize {
        self.open_memories
    }
}

impl Default for Learned {
    fn default() -> Self {
        Learned {
            pages: BTreeMap::new(),
            hot: 0,
            cold: 0,
            runs: Runs::EMPTY,
            cursor: 0,
            open_for: 0,
            next_period: MIN_PERIOD,
        }
    }
}

impl Page {
    fn is_cold(&self) -> bool {
        self.hot && self.clean >= self.patience
    }
}

impl Learned {
    fn hot_pages(&self) -> impl Iterator<Item = usize> + '_ {
        self.pages.iter().filter(|(_, page)| page.hot).map(|(&at, _)| at)
    }

    /// Adds pages. Says whether that changes anything for slots.
    fn insert(&mut self, pages: &[usize]) -> bool {
        if self.open_for > 0 {
            return false;
        }
        let fresh = pages.iter().filter(|&at| self.pages.get(at).is_none_or(|page| !page.hot));
        if self.hot + fresh.count() > MAX_PAGES {
            return self.overflow();
        }
        for &at in pages {
            let page = self.pages.entry(at).or_insert(Page { hot: false, clean: 0, patience: PATIENCE / 2 });
            if !page.hot {
                *page = Page { hot: true, clean: 0, patience: (page.patience * 2).min(MAX_PATIENCE) };
                self.hot += 1;
            }
        }
        let runs = Runs::covering(self.hot_pages());
        if runs.pages() > (self.hot * MAX_WASTE).max(MIN_WASTE) {
            // What is too far away from the others is not learned.
            for at in pages {
                if let Some(page) = self.pages.get_mut(at).filter(|page| page.hot && !self.runs.contain(&(*at..at + 1)))
                {
                    page.hot = false;
                    self.hot -= 1;
                }
            }
            self.forget();
            return self.overflow();
        }
        self.forget();
        std::mem::replace(&mut self.runs, runs) != runs
    }

    /// Opens all slots for a time.
    fn overflow(&mut self) -> bool {
        self.open_for = self.next_period;
        self.next_period = (self.next_period * 2).min(MAX_PERIOD);
        true
    }

    /// An open memory was reset. Says whether that changes anything for slots.
    fn reset_open(&mut self, overflowed: bool) -> bool {
        match self.open_for {
            0 => overflowed && self.overflow(),
            1 => {
                self.open_for = 0;
                true
            }
            _ => {
                self.open_for -= 1;
                false
            }
        }
    }

    /// The next page to be sampled.
    fn next_sample(&mut self) -> Option<usize> {
        let hot = |(&at, page): (&usize, &Page)| page.hot.then_some(at);
        let later = self.pages.range(self.cursor + 1..).find_map(hot);
        self.cursor = later.or_else(|| self.pages.iter().find_map(hot))?;
        Some(self.cursor)
    }

    /// A hot page has changed, or has not, since the last reset. Says whether that changes anything for slots.
    fn sampled(&mut self, at: usize, changed: bool) -> bool {
        let Some(page) = self.pages.get_mut(&at).filter(|page| page.hot) else { return false };
        let was_cold = page.is_cold();
        page.clean = if changed { 0 } else { page.clean.saturating_add(1) };
        self.cold = self.cold + usize::from(page.is_cold()) - usize::from(was_cold);
        // Each change costs every slot some system calls: several pages at a time.
        if self.cold == 0 || self.cold * 8 < self.hot {
            return false;
        }
        self.pages.values_mut().filter(|page| page.is_cold()).for_each(|page| page.hot = false);
        self.hot -= std::mem::take(&mut self.cold);
        let runs = Runs::covering(self.hot_pages());
        std::mem::replace(&mut self.runs, runs) != runs
    }

    /// Keeps what is known of pages that are not hot within bounds.
    fn forget(&mut self) {
        if self.pages.len() > 2 * MAX_PAGES {
            self.pages.retain(|_, page| page.hot);
        }
    }
}

impl HotSet {
    fn lock(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Protects a memory as the set says. Its writable pages must equal their image.
    fn adopt(&self, touched: &Touched) {
        let learned = self.lock();
        let runs = (learned.open_for == 0).then_some(learned.runs);
        drop(learned);
        match runs {
            Some(runs) => touched.close(&runs),
            None => {
                touched.open();
            }
        }
    }

    /// Pages that a tenant may have written and that are not in the set.
    fn candidates(&self, runs: &Runs) -> Vec<usize> {
        let known = self.lock().runs;
        runs.iter().flat_map(|run| known.gaps(run).collect::<Vec<_>>()).flatten().collect()
    }
}

impl HotSets {
    /// Sets for slots of a module, if its writes are tracked so.
    pub fn new(module: &VmModule) -> Option<Arc<Self>> {
        let memories = module.info.memories.len() - module.info.imported_memories as usize;
        (module.tracking == DirtyTracking::Touched && memories > 0).then(|| {
            let sets = (0..memories).map(|_| HotSet::default()).collect();
            Arc::new(HotSets { generation: AtomicU64::new(0), sets })
        })
    }

    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// What was learned so far.
    pub fn stats(&self) -> HotStats {
        self.sets.iter().fold(HotStats::default(), |sum, set| {
            let learned = set.lock();
            HotStats {
                pages: sum.pages + learned.hot,
                writable_pages: sum.writable_pages + learned.runs.pages(),
                faults: sum.faults + set.faults.load(Ordering::Relaxed),
                open_memories: sum.open_memories + usize::from(learned.open_for > 0),
            }
        })
    }
}

/// What a slot knows of the hot sets of its InstancePre.
#[derive(Debug)]
pub struct SlotView {
    sets: Arc<HotSets>,
    /// The generation that its memories have the protections of.
    seen: AtomicU64,
    /// For each memory, pages that were copied back since one was sampled.
    clocks: Box<[AtomicUsize]>,
    /// How often the slot was checked.
    checks: AtomicUsize,
}

impl SlotView {
    /// A view for a new slot, whose memories equal their image and are protected now.
    ///
    /// # Errors
    ///
    /// `Os` when the system refuses.
    pub(super) fn new(sets: &Arc<HotSets>, instance: &VmInstance) -> Result<Self> {
        let view = SlotView {
            sets: sets.clone(),
            seen: AtomicU64::new(0),
            clocks: sets.sets.iter().map(|_| AtomicUsize::new(0)).collect(),
            checks: AtomicUsize::new(0),
        };
        match view.adopt(instance) {
            true => Ok(view),
            false => bail!(Os, "{NOT_PROTECTED}"),
        }
    }

    /// Whether the sets have changed since the slot's memories were protected.
    #[inline]
    pub(super) fn is_outdated(&self) -> bool {
        self.sets.generation.load(Ordering::Acquire) != self.seen.load(Ordering::Relaxed)
    }

    /// Protects the memories as the sets say now. They must equal their image. Says whether they can be used.
    #[cold]
    pub(super) fn adopt(&self, instance: &VmInstance) -> bool {
        // Before the sets are looked at: what changes meanwhile is noticed the next time.
        self.seen.store(self.sets.generation.load(Ordering::Acquire), Ordering::Relaxed);
        for (set, memory) in self.sets.sets.iter().zip(instance.memories()) {
            if let Some(touched) = memory.linear().touched() {
                set.adopt(touched);
            }
        }
        instance.memories().iter().filter_map(|m| m.linear().touched()).all(|t| t.state() != State::Broken)
    }

    /// Whether a check should look at protections too, which is slow.
    pub(super) fn checks_protections(&self) -> bool {
        let number = self.checks.fetch_add(1, Ordering::Relaxed);
        number < 16 || number.is_multiple_of(8)
    }

    /// Brings the bytes of a memory, the `index`-th that the instance defines, back to their image.
    ///
    /// # Errors
    ///
    /// `Os` when the system refuses; the memory must not be used any more then.
    ///
    /// # Safety
    ///
    /// Nobody uses the memory; `definition` is its own.
    #[inline]
    pub(super) unsafe fn reset(
        &self,
        memory: &LinearMemory,
        touched: &Touched,
        definition: &VmMemory,
        image: Option<&MemoryImage>,
        (index, log): (usize, &mut ResetLog),
    ) -> Result<()> {
        if touched.state() != State::Closed {
            return self.reset_open(memory, touched, image, (index, log));
        }
        let clock = self.clocks[index].load(Ordering::Relaxed);
        if clock >= SAMPLE_EVERY || touched.faulted() {
            // SAFETY: passed on.
            unsafe { self.learn(touched, definition, image, index) };
        }
        let (page, committed) = (page_size(), touched.committed());
        let mut copied = 0;
        for run in touched.writable() {
            let run = run.start..run.end.min(committed);
            if run.start < run.end {
                copied += run.len();
                // SAFETY: the pages are writable, and passed on.
                unsafe { copy_back(definition, run.start * page..run.end * page, image) };
                log.rewritten(index, run.start * page..run.end * page);
            }
        }
        self.clocks[index].store(clock % SAMPLE_EVERY + copied, Ordering::Relaxed);
        Ok(())
    }

    /// Before the memory is reset: adds pages that faulted to the set, and looks whether some that are in it have changed.
    ///
    /// # Safety
    ///
    /// As for [`SlotView::reset`].
    #[cold]
    unsafe fn learn(&self, touched: &Touched, definition: &VmMemory, image: Option<&MemoryImage>, index: usize) {
        let (set, committed, runs) = (&self.sets.sets[index], touched.committed(), touched.runs());
        // SAFETY: the page is accessible, and passed on.
        let changed = |page: usize| page < committed && unsafe { differs(definition, page, image) };
        if touched.faulted() {
            let faults = touched.take_faults();
            set.faults.fetch_add(faults.count as u64, Ordering::Relaxed);
            let mut pages = set.candidates(&runs);
            pages.retain(|&page| page < committed && (faults.more() || changed(page)));
            let Faults { pages: mut faulted, .. } = faults;
            pages.append(&mut faulted);
            pages.sort_unstable();
            pages.dedup();
            if set.lock().insert(&pages) {
                self.sets.changed();
            }
        }
        let samples = self.clocks[index].load(Ordering::Relaxed) / SAMPLE_EVERY;
        // Whoever finds the set in use samples the next time.
        if samples > 0
            && let Ok(mut learned) = set.learned.try_lock()
        {
            learned.next_period = (learned.next_period / 2).max(MIN_PERIOD);
            let mut news = false;
            for _ in 0..samples {
                let Some(page) = learned.next_sample() else { break };
                if runs.contain(&(page..page + 1)) {
                    news |= learned.sampled(page, changed(page));
                }
            }
            drop(learned);
            if news {
                self.sets.changed();
            }
        }
    }

    #[cold]
    fn reset_open(
        &self,
        memory: &LinearMemory,
        touched: &Touched,
        image: Option<&MemoryImage>,
        (index, log): (usize, &mut ResetLog),
    ) -> Result<()> {
        if touched.state() == State::Broken {
            bail!(Os, "{NOT_PROTECTED}");
        }
        let set = &self.sets.sets[index];
        set.faults.fetch_add(touched.take_faults().count as u64, Ordering::Relaxed);
        rebuild(memory, image, (index, log))?;
        if set.lock().reset_open(touched.take_overflow()) {
            self.sets.changed();
        }
        set.adopt(touched);
        Ok(())
    }
}

/// Copies a range of whole pages from the image.
///
/// # Safety
///
/// The range is writable, and nobody uses the memory.
#[inline]
unsafe fn copy_back(definition: &VmMemory, range: Range<usize>, image: Option<&MemoryImage>) {
    let piece = |range: Range<usize>, bytes: Option<&[u8]>| {
        // SAFETY: `range` lies in the writable one.
        unsafe {
            let to = definition.base.add(range.start);
            match bytes {
                Some(bytes) => restore::copy(bytes.as_ptr(), to, bytes.len()),
                None => restore::zero(to, range.len()),
            }
        }
    };
    match image {
        Some(image) => image.pieces(range, piece),
        None => piece(range, None),
    }
}

/// Whether a page is not as in the image.
///
/// # Safety
///
/// The page is accessible, and nobody writes to the memory.
unsafe fn differs(definition: &VmMemory, page: usize, image: Option<&MemoryImage>) -> bool {
    let mut differs = false;
    let mut compare = |range: Range<usize>, bytes: Option<&[u8]>| {
        // SAFETY: the range lies in the page.
        let now = unsafe { &*ptr::slice_from_raw_parts(definition.base.add(range.start), range.len()) };
        differs |= match bytes {
            Some(bytes) => now != bytes,
            None => now.iter().fold(0, |any, &byte| any | byte) != 0,
        };
    };
    let range = page * page_size()..(page + 1) * page_size();
    match image {
        Some(image) => image.pieces(range, compare),
        None => compare(range, None),
    }
    differs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(learned: &Learned) -> Vec<Range<usize>> {
        learned.runs.iter().collect()
    }

    #[test]
    fn pages_that_stay_clean_leave_and_must_be_patient_when_they_come_back() {
        let mut learned = Learned::default();
        assert!(learned.insert(&[1, 2, 9]));
        assert!(!learned.insert(&[2]));
        assert_eq!(runs(&learned), [1..3, 9..10]);
        // Pages 1 and 9 change each time, page 2 never does.
        let rounds = |learned: &mut Learned| {
            (1..).find(|_| {
                let page = learned.next_sample().unwrap();
                learned.sampled(page, page != 2)
            })
        };
        assert_eq!(rounds(&mut learned), Some(3 * (usize::from(PATIENCE) - 1) + 2));
        assert_eq!((runs(&learned), learned.hot), (vec![1..2, 9..10], 2));
        assert!(learned.insert(&[2]));
        assert!(rounds(&mut learned).unwrap() >= 3 * (2 * usize::from(PATIENCE) - 1));
    }

    #[test]
    fn one_change_now_and_then_keeps_a_page() {
        let mut learned = Learned::default();
        learned.insert(&[5]);
        for i in 0..10_000 {
            assert!(!learned.sampled(5, i % usize::from(PATIENCE) == 0));
        }
    }

    #[test]
    fn a_set_that_overflows_is_open_for_longer_each_time() {
        let mut learned = Learned::default();
        learned.insert(&[5]);
        let mut periods = Vec::new();
        for _ in 0..4 {
            assert!(learned.reset_open(true));
            assert!(!learned.insert(&[6]), "an open set learns nothing");
            periods.push((1..).find(|_| learned.reset_open(true)).unwrap());
        }
        assert_eq!(periods, [16, 32, 64, 128]);
        assert_eq!(runs(&learned), Runs::one(5..6).iter().collect::<Vec<_>>());
        // What is beyond all bounds opens it too.
        let all: Vec<usize> = (0..=MAX_PAGES).collect();
        assert!(learned.insert(&all) && learned.open_for > 0);
        assert_eq!(learned.hot, 1);
    }

    #[test]
    fn pages_far_apart_are_not_worth_the_pages_between() {
        let mut learned = Learned::default();
        let far: Vec<usize> = (0..17).map(|i| i * 10_000).collect();
        assert!(learned.insert(&far[..16]) && learned.open_for == 0);
        assert!(learned.insert(&far) && learned.open_for > 0);
        assert_eq!((learned.hot, learned.runs.count()), (16, 16));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut learned = Learned::default();
        for round in 0..6 {
            let pages: Vec<usize> = (0..MAX_PAGES).map(|i| round * MAX_PAGES + i).collect();
            assert!(learned.insert(&pages));
            while learned.hot > 0 {
                let page = learned.next_sample().unwrap();
                learned.sampled(page, false);
            }
        }
        assert!(learned.pages.len() <= 3 * MAX_PAGES);
    }
}
