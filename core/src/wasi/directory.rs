//! [`OpenDir`]: a directory of the host, and everything below it.
//!
//! Paths are resolved by cap-std: relative to the directory, and never out of it, whether by `..`, by an absolute path, or by
//! a symbolic link at any place of the path. Such a path is `EPERM`.
//!
//! Two things decide what a guest may do: what the host permits ([`DirPerms`], [`FilePerms`]: `EPERM`), and which rights its
//! descriptor has left ([`Rights`](super::types::Rights), checked by the caller).

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bitflags::bitflags;
use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt, SystemTimeSpec};
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};

use super::file::{self, OpenFile, Time, Times};
use super::listing::Listing;
use super::types::{Errno, FdFlags, FileStat, FileType, OFlags};
use crate::{Error, ErrorKind, Result};

bitflags! {
    /// What guests may do with the entries of a directory and of those below it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct DirPerms: u8 {
        /// List them, ask about them, open them.
        const READ = 1;
        /// Create, rename and remove them, and set their times.
        const MUTATE = 2;
    }

    /// What guests may do with files in a directory and in those below it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct FilePerms: u8 {
        /// Read them.
        const READ = 1;
        /// Write, truncate and extend them, and set their times.
        const WRITE = 2;
    }
}

/// An open directory and what the host permits below it.
#[derive(Debug)]
pub(super) struct OpenDir {
    dir: Dir,
    dir_perms: DirPerms,
    file_perms: FilePerms,
    /// The guest's name for it, if it was there from the start.
    preopen: Option<Box<str>>,
}

/// What opening a path gives.
pub(super) enum Opened {
    File(OpenFile),
    Dir(OpenDir),
}

/// How a path is opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenHow {
    pub follow: bool,
    pub oflags: OFlags,
    pub read: bool,
    pub write: bool,
    pub flags: FdFlags,
}

impl OpenDir {
    /// Opens a directory of the host for guests, who see it under the name `guest`.
    ///
    /// # Errors
    ///
    /// `Os` when it does not exist, is no directory, or may not be read.
    pub(super) fn ambient(host: &Path, guest: &str, dir_perms: DirPerms, file_perms: FilePerms) -> Result<Self> {
        let opened =
            File::options().read(true).custom_flags(rustix::fs::OFlags::DIRECTORY.bits() as i32).open(host).map_err(
                |e| Error::new(ErrorKind::Os, format!("cannot preopen directory `{}`: {e}", host.display())),
            )?;
        Ok(OpenDir { dir: Dir::from_std_file(opened), dir_perms, file_perms, preopen: Some(guest.into()) })
    }

    /// The guest's name for it, if it was there from the start.
    pub(super) fn preopen(&self) -> Option<&str> {
        self.preopen.as_deref()
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    fn permit(&self, perms: DirPerms) -> Result<(), Errno> {
        if self.dir_perms.contains(perms) { Ok(()) } else { Err(Errno::Perm) }
    }

    pub(super) fn stat(&self) -> Result<FileStat, Errno> {
        Ok(file::stat(&self.dir.dir_metadata()?))
    }

    pub(super) fn set_times(&self, times: &Times) -> Result<(), Errno> {
        self.permit(DirPerms::MUTATE)?;
        Ok(rustix::fs::futimens(&self.dir, &times.for_descriptor())?)
    }

    pub(super) fn list(&self) -> Result<Listing, Errno> {
        self.permit(DirPerms::READ)?;
        Ok(Listing::new(rustix::fs::Dir::read_from(&self.dir)?))
    }

    /// The type of an entry, where its directory does not say.
    pub(super) fn kind_of(&self, name: &[u8]) -> FileType {
        let path = Path::new(std::ffi::OsStr::from_bytes(name));
        self.dir.symlink_metadata(path).map_or(FileType::Unknown, |metadata| file::kind(&metadata))
    }

    pub(super) fn open(&self, path: &str, how: OpenHow) -> Result<Opened, Errno> {
        let OpenHow { follow, oflags, read, write, flags } = how;
        self.permit(DirPerms::READ)?;
        let changes = write || oflags.contains(OFlags::TRUNC);
        if oflags.contains(OFlags::CREAT | OFlags::DIRECTORY) {
            return Err(Errno::Inval);
        }
        if oflags.contains(OFlags::CREAT) {
            self.permit(DirPerms::MUTATE)?;
        }
        // Directories can be opened where files cannot. It is the host that tells them apart, in the same step.
        let no_file = changes && !self.file_perms.contains(FilePerms::WRITE)
            || read && !self.file_perms.contains(FilePerms::READ);
        if no_file && oflags.contains(OFlags::CREAT) {
            return Err(Errno::Perm);
        }

        let mut options = OpenOptions::new();
        let create = oflags.contains(OFlags::CREAT);
        let append = write && flags.contains(FdFlags::APPEND);
        // The host truncates and creates only what it opens for writing; the guest's descriptor has no right to write then.
        options.write(changes || create).read(read || !write);
        options.truncate(oflags.contains(OFlags::TRUNC)).create(create);
        options.create_new(create && oflags.contains(OFlags::EXCL));
        options.follow(if follow { FollowSymlinks::Yes } else { FollowSymlinks::No });
        options.sync(flags.contains(FdFlags::SYNC));
        options.dsync(flags.contains(FdFlags::DSYNC)).rsync(flags.contains(FdFlags::RSYNC));
        // A named pipe without a peer would keep the host waiting.
        options.nonblock(true);
        let mut more = rustix::fs::OFlags::NOCTTY;
        more.set(rustix::fs::OFlags::DIRECTORY, no_file || oflags.contains(OFlags::DIRECTORY));
        options.custom_flags(more.bits() as i32);

        let mut opened = self.dir.open_with(path, &options).map_err(Errno::from);
        // What exists and cannot be written can be opened, if the guest does not want to write.
        if create && !changes && matches!(opened, Err(Errno::Acces | Errno::Rofs | Errno::Txtbsy)) {
            opened = Ok(self.dir.open_with(path, options.create(false).create_new(false).write(false))?);
        }
        let opened = match opened {
            Err(Errno::Notdir) if no_file && !oflags.contains(OFlags::DIRECTORY) => return Err(Errno::Perm),
            opened => opened?,
        };
        let metadata = opened.metadata()?;
        let opened = opened.into_std();
        if metadata.is_dir() {
            let dir = Dir::from_std_file(opened);
            let (dir_perms, file_perms) = (self.dir_perms, self.file_perms);
            return Ok(Opened::Dir(OpenDir { dir, dir_perms, file_perms, preopen: None }));
        }
        let file = OpenFile::new(opened, file::kind(&metadata), self.file_perms.contains(FilePerms::WRITE));
        if append || !metadata.is_file() {
            let mut wanted = flags;
            wanted.set(FdFlags::APPEND, append);
            file.set_flags(wanted)?;
        }
        Ok(Opened::File(file))
    }

    pub(super) fn path_stat(&self, path: &str, follow: bool) -> Result<FileStat, Errno> {
        self.permit(DirPerms::READ)?;
        let metadata = if follow { self.dir.metadata(path) } else { self.dir.symlink_metadata(path) };
        Ok(file::stat(&metadata?))
    }

    pub(super) fn path_set_times(&self, path: &str, follow: bool, times: &Times) -> Result<(), Errno> {
        self.permit(DirPerms::MUTATE)?;
        let spec = |time| match time {
            Time::Keep => None,
            Time::Now => Some(SystemTimeSpec::SymbolicNow),
            Time::At(ns) => {
                let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(ns);
                Some(SystemTimeSpec::Absolute(cap_std::time::SystemTime::from_std(time)))
            }
        };
        let (access, modification) = (spec(times.access), spec(times.modification));
        match follow {
            true => self.dir.set_times(path, access, modification)?,
            false => self.dir.set_symlink_times(path, access, modification)?,
        }
        Ok(())
    }

    pub(super) fn create_dir(&self, path: &str) -> Result<(), Errno> {
        self.permit(DirPerms::MUTATE)?;
        Ok(self.dir.create_dir(path)?)
    }

    pub(super) fn remove_dir(&self, path: &str) -> Result<(), Errno> {
        self.permit(DirPerms::MUTATE)?;
        // To cap-std `dir/` is `dir/.`, which no host removes.
        let bare = path.trim_end_matches('/');
        Ok(self.dir.remove_dir(if bare.is_empty() { path } else { bare })?)
    }

    pub(super) fn unlink(&self, path: &str) -> Result<(), Errno> {
        self.permit(DirPerms::MUTATE)?;
        Ok(self.dir.remove_file_or_symlink(path)?)
    }

    /// The target of a symbolic link. An absolute one names a place of the host: `EPERM`.
    pub(super) fn read_link(&self, path: &str) -> Result<Vec<u8>, Errno> {
        self.permit(DirPerms::READ)?;
        Ok(self.dir.read_link(path)?.into_os_string().into_encoded_bytes())
    }

    pub(super) fn symlink(&self, target: &str, path: &str) -> Result<(), Errno> {
        self.permit(DirPerms::MUTATE)?;
        Ok(DirExt::symlink(&self.dir, target, path)?)
    }

    pub(super) fn link(&self, from: &str, to: &OpenDir, path: &str) -> Result<(), Errno> {
        self.permit_move(to)?;
        Ok(self.dir.hard_link(from, &to.dir, path)?)
    }

    pub(super) fn rename(&self, from: &str, to: &OpenDir, path: &str) -> Result<(), Errno> {
        self.permit_move(to)?;
        Ok(self.dir.rename(from, &to.dir, path)?)
    }

    /// Checks that entries may go from here to another directory. They must not gain permissions there; then the two are
    /// like different file systems, and programs copy.
    fn permit_move(&self, to: &OpenDir) -> Result<(), Errno> {
        self.permit(DirPerms::MUTATE)?;
        to.permit(DirPerms::MUTATE)?;
        match self.file_perms.contains(to.file_perms) && self.dir_perms.contains(to.dir_perms) {
            true => Ok(()),
            false => Err(Errno::Xdev),
        }
    }
}
