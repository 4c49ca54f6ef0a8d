//! [`Listing`]: reading a directory entry by entry, from any cookie.
//!
//! A cookie is the number of entries that lie before a place. The host's own offsets would not do: they have 63 bits, and
//! programs keep them in a `long` of 32 (`telldir`). Going on from where the last call stopped costs nothing; to go elsewhere,
//! the host's offsets of some entries are kept, at equal distances, and a listing never keeps more than `MOST_MARKS` of them.

use super::types::{Errno, FileType};

/// An entry and where to go on after it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub name: Vec<u8>,
    pub ino: u64,
    /// `Unknown` where the file system does not say.
    pub kind: FileType,
    pub next: u64,
}

/// Offsets that a listing keeps at most. Then each second one goes.
const MOST_MARKS: usize = 4096;
/// Entries between two marks, at first.
const FIRST_STRIDE: u64 = 64;

/// An open directory and how far it was read.
pub(super) struct Listing {
    entries: rustix::fs::Dir,
    /// Entries read so far.
    at: u64,
    /// An entry that was read but did not fit the guest's buffer, and its cookie.
    waiting: Option<(u64, Entry)>,
    marks: Marks,
}

impl Listing {
    pub(super) fn new(entries: rustix::fs::Dir) -> Self {
        Listing { entries, at: 0, waiting: None, marks: Marks::new() }
    }

    /// Makes the entry of a cookie the next one. Cookie 0 begins anew and sees what has changed; one beyond the end is the
    /// end.
    pub(super) fn seek(&mut self, cookie: u64) -> Result<(), Errno> {
        if cookie != 0 && self.waiting.as_ref().map_or(self.at, |(at, _)| *at) == cookie {
            return Ok(());
        }
        self.waiting = None;
        let (at, offset) = self.marks.before(cookie);
        if cookie < self.at || at > self.at || cookie == 0 {
            match offset {
                Some(offset) => self.entries.seek(offset)?,
                None => self.entries.rewind(),
            }
            self.at = at;
        }
        if cookie == 0 {
            self.marks = Marks::new();
        }
        while self.at < cookie && self.read()?.is_some() {}
        Ok(())
    }

    fn read(&mut self) -> Result<Option<rustix::fs::DirEntry>, Errno> {
        let Some(entry) = self.entries.read() else { return Ok(None) };
        let entry = entry?;
        self.at += 1;
        self.marks.add(self.at, entry.offset());
        Ok(Some(entry))
    }

    /// The next entry, with its cookie; `None` at the end. Names that are not UTF-8, and so no paths of WASI, are left out.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Entry)>, Errno> {
        if let Some(waiting) = self.waiting.take() {
            return Ok(Some(waiting));
        }
        while let Some(entry) = self.read()? {
            let name = entry.file_name().to_bytes();
            if std::str::from_utf8(name).is_ok() {
                let kind = entry.file_type().into();
                return Ok(Some((self.at - 1, Entry { name: name.to_vec(), ino: entry.ino(), kind, next: self.at })));
            }
        }
        Ok(None)
    }

    /// Takes an entry back that [`Listing::next`] gave last.
    pub(super) fn put_back(&mut self, at: u64, entry: Entry) {
        self.waiting = Some((at, entry));
    }
}

/// The host's offsets at multiples of a number of entries: `offsets[i]` goes on after `(i + 1) * stride` of them.
#[derive(Debug)]
struct Marks {
    stride: u64,
    offsets: Vec<i64>,
}

impl Marks {
    fn new() -> Self {
        Marks { stride: FIRST_STRIDE, offsets: Vec::new() }
    }

    /// The last mark at or before a number of entries; none: the beginning.
    fn before(&self, entries: u64) -> (u64, Option<i64>) {
        let count = (entries / self.stride).min(self.offsets.len() as u64);
        (count * self.stride, count.checked_sub(1).map(|last| self.offsets[last as usize]))
    }

    fn add(&mut self, entries: u64, offset: i64) {
        let is_next = |marks: &Self| entries == (marks.offsets.len() as u64 + 1) * marks.stride;
        if is_next(self) && self.offsets.len() == MOST_MARKS {
            self.offsets = self.offsets.iter().copied().skip(1).step_by(2).collect();
            self.stride *= 2;
        }
        if is_next(self) {
            self.offsets.push(offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_lie_at_equal_distances_and_are_bounded() {
        let mut marks = Marks::new();
        let last = FIRST_STRIDE * MOST_MARKS as u64 * 5;
        for entries in 1..=last {
            marks.add(entries, entries as i64);
            assert!(marks.offsets.len() <= MOST_MARKS);
        }
        assert_eq!(marks.stride, FIRST_STRIDE * 8);
        assert!(marks.offsets.iter().enumerate().all(|(i, &at)| at as u64 == (i as u64 + 1) * marks.stride));
        assert_eq!(marks.before(marks.stride - 1), (0, None));
        assert_eq!(marks.before(3 * marks.stride + 1), (3 * marks.stride, Some(3 * marks.stride as i64)));
        let (at, offset) = marks.before(u64::MAX);
        assert!(at > last - marks.stride && offset == Some(at as i64));
    }
}
