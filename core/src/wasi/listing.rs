//! [`Listing`]: reading a directory entry by entry, from any cookie.
//!
//! A cookie is the host's own offset in the directory: the state here only saves going back to it. So a listing is good as
//! long as its directory, costs one buffer however large that is, and what a guest makes up as a cookie is the host's to refuse.

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

/// An open directory and how far it was read.
pub(super) struct Listing {
    entries: rustix::fs::Dir,
    /// The cookie of the entry that `entries` reads next.
    at: u64,
    /// An entry that was read but did not fit the guest's buffer, and its cookie.
    waiting: Option<(u64, Entry)>,
}

impl Listing {
    pub(super) fn new(entries: rustix::fs::Dir) -> Self {
        Listing { entries, at: 0, waiting: None }
    }

    /// Makes the entry of a cookie the next one. Cookie 0 begins anew and sees what has changed.
    pub(super) fn seek(&mut self, cookie: u64) -> Result<(), Errno> {
        if cookie != 0 && self.waiting.as_ref().map_or(self.at, |(at, _)| *at) == cookie {
            return Ok(());
        }
        self.waiting = None;
        match cookie {
            0 => self.entries.rewind(),
            _ => self.entries.seek(i64::try_from(cookie).map_err(|_| Errno::Inval)?)?,
        }
        self.at = cookie;
        Ok(())
    }

    /// The next entry; `None` at the end. Names that are not UTF-8, and so no paths of WASI, are left out.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Entry)>, Errno> {
        if let Some(waiting) = self.waiting.take() {
            return Ok(Some(waiting));
        }
        while let Some(entry) = self.entries.read() {
            let entry = entry?;
            let at = std::mem::replace(&mut self.at, entry.offset() as u64);
            let name = entry.file_name().to_bytes();
            if std::str::from_utf8(name).is_ok() {
                let kind = entry.file_type().into();
                return Ok(Some((at, Entry { name: name.to_vec(), ino: entry.ino(), kind, next: self.at })));
            }
        }
        Ok(None)
    }

    /// Takes an entry back that [`Listing::next`] gave last.
    pub(super) fn put_back(&mut self, at: u64, entry: Entry) {
        self.waiting = Some((at, entry));
    }
}
