//! The table of descriptors.
//!
//! A context starts with the descriptors of its template, which it shares with every other context made from it: nothing is
//! copied until the guest opens, closes or changes one.

use std::sync::Arc;

use super::directory::OpenDir;
use super::file::OpenFile;
use super::listing::Listing;
use super::stream::{InputStream, OutputStream};
use super::types::{Errno, FdFlags, FdStat, FileStat, FileType, Rights};

/// What a descriptor stands for.
#[derive(Clone)]
pub(super) enum Object {
    Input(Arc<dyn InputStream>),
    Output(Arc<dyn OutputStream>),
    File(Arc<OpenFile>),
    Dir(Arc<OpenDir>),
}

/// An entry of the table.
#[derive(Clone)]
pub(super) struct Descriptor {
    pub object: Object,
    pub base: Rights,
    /// What descriptors opened through this one can have at most.
    pub inheriting: Rights,
    pub flags: FdFlags,
}

impl Descriptor {
    pub(super) fn input(stream: Arc<dyn InputStream>) -> Self {
        Self::stream(Object::Input(stream), Rights::FD_READ)
    }

    pub(super) fn output(stream: Arc<dyn OutputStream>) -> Self {
        Self::stream(Object::Output(stream), Rights::FD_WRITE)
    }

    fn stream(object: Object, right: Rights) -> Self {
        // Neither FD_SEEK nor FD_TELL: that, with the type of a terminal, is what isatty looks for.
        Descriptor { object, base: Rights::STREAM | right, inheriting: Rights::empty(), flags: FdFlags::empty() }
    }

    /// A directory with all rights that make sense; what the host permits is checked apart from them.
    pub(super) fn preopen(dir: Arc<OpenDir>) -> Self {
        Descriptor {
            object: Object::Dir(dir),
            base: Rights::DIRECTORY,
            inheriting: Rights::DIRECTORY | Rights::FILE,
            flags: FdFlags::empty(),
        }
    }

    /// # Errors
    ///
    /// `EBADF` for reading and writing, as programs expect it; `ENOTCAPABLE` for all else.
    pub(super) fn require(&self, rights: Rights) -> Result<(), Errno> {
        match self.base.contains(rights) {
            true => Ok(()),
            false if rights.intersects(Rights::FD_READ | Rights::FD_WRITE) => Err(Errno::Badf),
            false => Err(Errno::Notcapable),
        }
    }

    pub(super) fn kind(&self) -> FileType {
        let of_stream = |is_terminal| if is_terminal { FileType::CharacterDevice } else { FileType::Unknown };
        match &self.object {
            Object::Input(stream) => of_stream(stream.is_terminal()),
            Object::Output(stream) => of_stream(stream.is_terminal()),
            Object::File(file) => file.kind(),
            Object::Dir(_) => FileType::Directory,
        }
    }

    pub(super) fn fdstat(&self) -> FdStat {
        FdStat { kind: self.kind(), flags: self.flags, base: self.base, inheriting: self.inheriting }
    }

    pub(super) fn filestat(&self) -> Result<FileStat, Errno> {
        match &self.object {
            Object::Input(_) | Object::Output(_) => Ok(FileStat::of_stream(self.kind())),
            Object::File(file) => file.stat(),
            Object::Dir(dir) => dir.stat(),
        }
    }
}

/// The descriptors of a context, by number.
pub(super) struct FdTable {
    /// The template's, shared.
    initial: Arc<[Option<Descriptor>]>,
    /// A copy, from the first change on.
    own: Option<Vec<Option<Descriptor>>>,
    /// How far directories were read.
    listings: Vec<(u32, Listing)>,
    /// Most entries.
    limit: usize,
}

impl Clone for FdTable {
    fn clone(&self) -> Self {
        FdTable { initial: self.initial.clone(), own: self.own.clone(), listings: Vec::new(), limit: self.limit }
    }
}

impl FdTable {
    /// A table of these descriptors, numbered from 0, that can grow to `limit` entries.
    pub(super) fn new(initial: Vec<Descriptor>, limit: usize) -> Self {
        let limit = limit.max(initial.len());
        FdTable { initial: initial.into_iter().map(Some).collect(), own: None, listings: Vec::new(), limit }
    }

    fn entries(&self) -> &[Option<Descriptor>] {
        self.own.as_deref().unwrap_or(&self.initial)
    }

    fn entries_mut(&mut self) -> &mut Vec<Option<Descriptor>> {
        self.own.get_or_insert_with(|| self.initial.to_vec())
    }

    pub(super) fn get(&self, fd: u32) -> Result<&Descriptor, Errno> {
        self.entries().get(fd as usize).and_then(Option::as_ref).ok_or(Errno::Badf)
    }

    pub(super) fn get_mut(&mut self, fd: u32) -> Result<&mut Descriptor, Errno> {
        self.get(fd)?;
        self.entries_mut()[fd as usize].as_mut().ok_or(Errno::Badf)
    }

    /// A file, if the descriptor has these rights. `otherwise` is the error for a stream.
    pub(super) fn file(&self, fd: u32, rights: Rights, otherwise: Errno) -> Result<&OpenFile, Errno> {
        let descriptor = self.get(fd)?;
        match &descriptor.object {
            Object::File(file) => {
                descriptor.require(rights)?;
                Ok(file)
            }
            Object::Dir(_) => Err(Errno::Isdir),
            Object::Input(_) | Object::Output(_) => Err(otherwise),
        }
    }

    /// A directory, if the descriptor has these rights.
    pub(super) fn dir(&self, fd: u32, rights: Rights) -> Result<&OpenDir, Errno> {
        let descriptor = self.get(fd)?;
        match &descriptor.object {
            Object::Dir(dir) => {
                descriptor.require(rights)?;
                Ok(dir)
            }
            _ => Err(Errno::Notdir),
        }
    }

    /// The lowest free number.
    ///
    /// # Errors
    ///
    /// `EMFILE` when the table is full.
    pub(super) fn free(&self) -> Result<u32, Errno> {
        let entries = self.entries();
        match entries.iter().position(Option::is_none).unwrap_or(entries.len()) {
            free if free < self.limit => Ok(free as u32),
            _ => Err(Errno::Mfile),
        }
    }

    /// Puts a descriptor at the lowest free number.
    pub(super) fn insert(&mut self, descriptor: Descriptor) -> Result<u32, Errno> {
        let fd = self.free()?;
        self.set(fd, descriptor);
        Ok(fd)
    }

    /// Puts a descriptor at a number that is taken, or the lowest free one.
    pub(super) fn set(&mut self, fd: u32, descriptor: Descriptor) {
        self.listings.retain(|(of, _)| *of != fd);
        let entries = self.entries_mut();
        match entries.get_mut(fd as usize) {
            Some(entry) => *entry = Some(descriptor),
            None => entries.push(Some(descriptor)),
        }
    }

    pub(super) fn close(&mut self, fd: u32) -> Result<Descriptor, Errno> {
        self.get(fd)?;
        self.listings.retain(|(of, _)| *of != fd);
        self.entries_mut()[fd as usize].take().ok_or(Errno::Badf)
    }

    /// Moves a descriptor over another, which is closed.
    pub(super) fn renumber(&mut self, from: u32, to: u32) -> Result<(), Errno> {
        self.get(from)?;
        self.get(to)?;
        if from != to {
            let descriptor = self.close(from)?;
            self.set(to, descriptor);
        }
        Ok(())
    }

    /// Where reading a directory stands. Starts at its beginning.
    pub(super) fn listing(&mut self, fd: u32) -> Result<&mut Listing, Errno> {
        let at = match self.listings.iter().position(|(of, _)| *of == fd) {
            Some(at) => at,
            None => {
                let listing = self.dir(fd, Rights::FD_READDIR)?.list()?;
                self.listings.push((fd, listing));
                self.listings.len() - 1
            }
        };
        Ok(&mut self.listings[at].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(limit: usize) -> FdTable {
        FdTable::new(vec![Descriptor::input(Arc::new(std::io::empty())); 3], limit)
    }

    #[test]
    fn a_template_is_not_copied_until_something_changes() {
        let mut table = table(8);
        let other = table.clone();
        assert!(table.get(2).is_ok() && table.own.is_none());
        table.close(1).unwrap();
        assert_eq!(table.get(1).err(), Some(Errno::Badf));
        assert!(other.get(1).is_ok(), "another context has it still");
    }

    #[test]
    fn the_lowest_free_number_comes_first_and_the_table_is_bounded() {
        let mut table = table(4);
        let stream = || Descriptor::output(Arc::new(std::io::sink()));
        assert_eq!(table.insert(stream()).unwrap(), 3);
        assert_eq!(table.insert(stream()).unwrap_err(), Errno::Mfile);
        table.close(1).unwrap();
        assert_eq!(table.insert(stream()).unwrap(), 1);
        assert_eq!(table.close(4).err(), Some(Errno::Badf));
        assert_eq!(table.close(u32::MAX).err(), Some(Errno::Badf));
    }

    #[test]
    fn renumbering_needs_both_and_leaves_one() {
        let mut table = table(4);
        assert_eq!(table.renumber(0, 3), Err(Errno::Badf));
        assert_eq!(table.renumber(3, 0), Err(Errno::Badf));
        table.renumber(2, 2).unwrap();
        table.renumber(2, 0).unwrap();
        assert_eq!(table.get(2).err(), Some(Errno::Badf));
        assert!(table.get(0).is_ok());
    }
}
