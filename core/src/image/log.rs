//! What resets do, and how much of a slot they leave resident. Kept per slot, so that nobody has to ask the kernel.
//!
//! ```text
//!   heap   |·····|#####|·····|#####|·…    # pages that a reset has ever had to write to: they are resident
//!   map    |#################|·······…    its pages are resident where they stand for such a page
//! ```
//!
//! Invariant: the pages of a memory that are resident on the slot's own account (anonymous, not the image's) after a reset
//! are in its [`PageSet`], unless the memory has moved; then the image's pages are, too.

use std::ops::Range;

use crate::artifact::layout::DIRTY_LINE_BYTES;
use crate::sys::page_size;

/// Host pages of a memory, by number.
#[derive(Clone, Debug)]
pub struct PageSet {
    bits: Vec<u64>,
    /// Page size is `1 << shift`.
    shift: u32,
}

impl Default for PageSet {
    fn default() -> Self {
        PageSet { bits: Vec::new(), shift: page_size().trailing_zeros() }
    }
}

impl PageSet {
    #[inline]
    fn contains(&self, page: usize) -> bool {
        self.bits.get(page / 64).is_some_and(|word| word >> (page % 64) & 1 != 0)
    }

    #[cold]
    fn insert(&mut self, pages: Range<usize>) {
        if self.bits.len() * 64 < pages.end {
            self.bits.resize(pages.end.div_ceil(64), 0);
        }
        for page in pages {
            self.bits[page / 64] |= 1 << (page % 64);
        }
    }

    /// Adds the pages of a range of bytes, which is not empty. Says whether one is new.
    #[inline]
    fn add(&mut self, bytes: Range<usize>) -> bool {
        let (first, end) = (bytes.start >> self.shift, bytes.end.div_ceil(1 << self.shift));
        // Most ranges lie in one page, which is known.
        let new = !self.contains(first) || (first + 1..end).any(|page| !self.contains(page));
        if new {
            self.insert(first..end);
        }
        new
    }

    /// Removes the pages of a range of bytes that starts and ends with a page. Says whether there were any.
    fn remove(&mut self, bytes: Range<usize>) -> bool {
        let end = (bytes.end >> self.shift).min(self.bits.len() * 64);
        let mut any = false;
        for page in bytes.start >> self.shift..end {
            any |= self.contains(page);
            self.bits[page / 64] &= !(1 << (page % 64));
        }
        any
    }

    /// Number of pages.
    pub fn len(&self) -> usize {
        self.bits.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Adds the pages of another set.
    pub fn merge(&mut self, other: &PageSet) {
        if self.bits.len() < other.bits.len() {
            self.bits.resize(other.bits.len(), 0);
        }
        for (to, from) in self.bits.iter_mut().zip(&other.bits) {
            *to |= from;
        }
    }

    /// Bytes of the pages, and of those of the dirty map that stand for them.
    fn resident_bytes(&self) -> usize {
        // A page of the map stands for so many pages of heap.
        let per_map_page = DIRTY_LINE_BYTES;
        debug_assert!(per_map_page.is_multiple_of(64));
        let map_pages = self.bits.chunks(per_map_page / 64).filter(|words| words.iter().any(|&word| word != 0)).count();
        (self.len() + map_pages) << self.shift
    }
}

/// What is known of one memory.
#[derive(Clone, Debug, Default)]
struct MemoryLog {
    /// Pages that resets have written to since the memory's pages were last given back.
    written: PageSet,
    /// Bytes that are resident beside those: of a memory that has moved, its image's and its whole map's.
    moved_bytes: usize,
}

/// What resets of one slot have done. Each reset adds to it.
#[derive(Debug)]
pub struct ResetLog {
    /// Lines that the last reset has restored.
    pub lines: u64,
    /// Bytes that the last reset has written to memories.
    pub bytes: u64,
    memories: Box<[MemoryLog]>,
    /// Whether what is resident may have changed since [`ResetLog::take_changed`].
    changed: bool,
}

impl ResetLog {
    /// The log of a new slot with `memories` memories.
    pub fn new(memories: usize) -> Self {
        ResetLog { lines: 0, bytes: 0, memories: vec![MemoryLog::default(); memories].into(), changed: true }
    }

    /// To be called before each reset.
    #[inline]
    pub fn begin(&mut self) {
        (self.lines, self.bytes) = (0, 0);
    }

    /// Counts a run of lines of memory `index`, restored by writing `bytes`.
    #[inline]
    pub fn restored(&mut self, index: usize, lines: usize, bytes: Range<usize>) {
        self.lines += lines as u64;
        self.bytes += bytes.len() as u64;
        if self.memories[index].written.add(bytes) {
            self.changed = true;
        }
    }

    /// Counts pages of memory `index` that were copied back; not none.
    pub fn rewritten(&mut self, index: usize, bytes: Range<usize>) {
        self.bytes += bytes.len() as u64;
        if self.memories[index].written.add(bytes) {
            self.changed = true;
        }
    }

    /// Whole pages of memory `index` were given back.
    pub fn given_back(&mut self, index: usize, bytes: Range<usize>) {
        if self.memories[index].written.remove(bytes) {
            self.changed = true;
        }
    }

    /// The pages of memory `index` were given back.
    pub fn discarded(&mut self, index: usize) {
        let memory = &mut self.memories[index];
        if !memory.written.bits.is_empty() || memory.moved_bytes != 0 {
            *memory = MemoryLog::default();
            self.changed = true;
        }
    }

    /// Memory `index` lies in another place than the one its image is mapped at; `bytes` of it are resident that it may never
    /// have written.
    pub fn moved(&mut self, index: usize, bytes: usize) {
        if self.memories[index].moved_bytes < bytes {
            self.memories[index].moved_bytes = bytes;
            self.changed = true;
        }
    }

    /// A table has another capacity now.
    pub fn table_changed(&mut self) {
        self.changed = true;
    }

    /// Takes back what [`ResetLog::take_changed`] said.
    pub fn set_changed(&mut self) {
        self.changed = true;
    }

    /// Whether what is resident may have changed since the last call.
    #[inline]
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Bytes of memories that are resident, at most.
    pub fn memory_bytes(&self) -> usize {
        self.memories.iter().map(|memory| memory.written.resident_bytes() + memory.moved_bytes).sum()
    }

    /// Pages written, by memory.
    pub fn written(&self) -> impl Iterator<Item = &PageSet> {
        self.memories.iter().map(|memory| &memory.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_counted_once_and_the_map_with_them() {
        let page = page_size();
        let mut log = ResetLog::new(2);
        assert!(log.take_changed());
        log.restored(0, 1, 0..271);
        assert!(log.take_changed());
        assert_eq!(log.memory_bytes(), 2 * page);
        log.restored(0, 1, 256..512);
        assert!(!log.take_changed());
        log.restored(0, 1, page - 1..page + 1);
        assert_eq!(log.memory_bytes(), 3 * page);
        // A line so far up that another page of the map stands for it.
        log.restored(1, 1, page * 256..page * 256 + 1);
        log.restored(1, 1, 0..1);
        assert_eq!(log.memory_bytes(), 3 * page + 4 * page);
        assert_eq!((log.lines, log.bytes), (5, 271 + 256 + 2 + 1 + 1));
        log.moved(1, 5);
        assert_eq!(log.memory_bytes(), 7 * page + 5);
        log.take_changed();
        log.discarded(1);
        assert!(log.take_changed());
        assert_eq!(log.memory_bytes(), 3 * page);
        log.discarded(1);
        assert!(!log.take_changed(), "nothing new");
        log.begin();
        assert_eq!((log.lines, log.bytes), (0, 0));
    }

    #[test]
    fn sets_of_different_lengths_merge() {
        let page = page_size();
        let (mut a, mut b) = (PageSet::default(), PageSet::default());
        a.add(0..1);
        b.add(page * 100..page * 100 + 1);
        b.add(0..1);
        a.merge(&b);
        b.merge(&a);
        assert_eq!((a.len(), b.len()), (2, 2));
    }
}
