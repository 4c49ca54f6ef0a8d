//! [`OpenFile`]: a file of the host that a guest has opened.

use std::fs::File;
use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use cap_std::fs::{Metadata, MetadataExt};
use rustix::fs::{Advice, FallocateFlags, Timestamps};
use rustix::time::Timespec;

use super::stream::retry;
use super::types::{Errno, FdFlags, FileStat, FileType, FstFlags};

/// An open file. Whether it may be read and written is a right of the descriptor.
#[derive(Debug)]
pub(super) struct OpenFile {
    file: File,
    kind: FileType,
    /// Whether the host lets guests change files of this directory.
    mutable: bool,
}

impl OpenFile {
    pub(super) fn new(file: File, kind: FileType, mutable: bool) -> Self {
        OpenFile { file, kind, mutable }
    }

    pub(super) fn kind(&self) -> FileType {
        self.kind
    }

    /// Whether reading and writing never wait for anybody.
    pub(super) fn is_regular(&self) -> bool {
        self.kind == FileType::RegularFile
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    pub(super) fn read(&self, into: &mut [u8]) -> Result<usize, Errno> {
        Ok(retry(|| (&self.file).read(into))?)
    }

    pub(super) fn read_at(&self, into: &mut [u8], offset: u64) -> Result<usize, Errno> {
        Ok(retry(|| self.file.read_at(into, offset))?)
    }

    pub(super) fn write(&self, from: &[IoSlice<'_>]) -> Result<usize, Errno> {
        Ok(retry(|| (&self.file).write_vectored(from))?)
    }

    pub(super) fn write_at(&self, from: &[IoSlice<'_>], offset: u64) -> Result<usize, Errno> {
        Ok(retry(|| Ok(rustix::io::pwritev(&self.file, from, offset)?))?)
    }

    pub(super) fn seek(&self, to: SeekFrom) -> Result<u64, Errno> {
        Ok((&self.file).seek(to)?)
    }

    pub(super) fn stat(&self) -> Result<FileStat, Errno> {
        Ok(stat(&Metadata::from_file(&self.file)?))
    }

    pub(super) fn set_len(&self, bytes: u64) -> Result<(), Errno> {
        match i64::try_from(bytes) {
            Ok(_) => Ok(self.file.set_len(bytes)?),
            Err(_) => Err(Errno::Fbig),
        }
    }

    pub(super) fn allocate(&self, offset: u64, len: u64) -> Result<(), Errno> {
        Ok(rustix::fs::fallocate(&self.file, FallocateFlags::empty(), offset, len)?)
    }

    pub(super) fn set_times(&self, times: &Times) -> Result<(), Errno> {
        match self.mutable {
            true => Ok(rustix::fs::futimens(&self.file, &times.for_descriptor())?),
            false => Err(Errno::Perm),
        }
    }

    /// Changes the modes that can change once a file is open.
    pub(super) fn set_flags(&self, flags: FdFlags) -> Result<(), Errno> {
        let mut host = rustix::fs::OFlags::empty();
        host.set(rustix::fs::OFlags::APPEND, flags.contains(FdFlags::APPEND));
        host.set(rustix::fs::OFlags::NONBLOCK, flags.contains(FdFlags::NONBLOCK));
        Ok(rustix::fs::fcntl_setfl(&self.file, host)?)
    }
}

/// Tells the host how a part of a file or directory will be used.
pub(super) fn advise(fd: BorrowedFd<'_>, offset: u64, len: u64, advice: u32) -> Result<(), Errno> {
    let advice = match advice {
        0 => Advice::Normal,
        1 => Advice::Sequential,
        2 => Advice::Random,
        3 => Advice::WillNeed,
        4 => Advice::DontNeed,
        5 => Advice::NoReuse,
        _ => return Err(Errno::Inval),
    };
    Ok(rustix::fs::fadvise(fd, offset, NonZeroU64::new(len), advice)?)
}

/// What is known about a file.
pub(super) fn stat(metadata: &Metadata) -> FileStat {
    let time = |seconds: i64, nanoseconds: i64| {
        u64::try_from(seconds).map_or(0, |s| s.saturating_mul(1_000_000_000).saturating_add(nanoseconds as u64))
    };
    FileStat {
        dev: metadata.dev(),
        ino: metadata.ino(),
        kind: kind(metadata),
        nlink: metadata.nlink(),
        size: metadata.size(),
        atim: time(metadata.atime(), metadata.atime_nsec()),
        mtim: time(metadata.mtime(), metadata.mtime_nsec()),
        ctim: time(metadata.ctime(), metadata.ctime_nsec()),
    }
}

/// The type of a file.
pub(super) fn kind(metadata: &Metadata) -> FileType {
    rustix::fs::FileType::from_raw_mode(metadata.mode()).into()
}

/// A time to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    Keep,
    Now,
    /// ns since 1970.
    At(u64),
}

/// Times of a file to set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub access: Time,
    pub modification: Time,
}

impl Times {
    /// # Errors
    ///
    /// `EINVAL` when a time shall be both given and the current one.
    pub(super) fn from_guest(atim: u64, mtim: u64, flags: FstFlags) -> Result<Self, Errno> {
        let time = |at: u64, given: FstFlags, now: FstFlags| match (flags.contains(given), flags.contains(now)) {
            (true, true) => Err(Errno::Inval),
            (true, false) => Ok(Time::At(at)),
            (false, true) => Ok(Time::Now),
            (false, false) => Ok(Time::Keep),
        };
        Ok(Times {
            access: time(atim, FstFlags::ATIM, FstFlags::ATIM_NOW)?,
            modification: time(mtim, FstFlags::MTIM, FstFlags::MTIM_NOW)?,
        })
    }

    pub(super) fn for_descriptor(&self) -> Timestamps {
        let time = |time| match time {
            Time::Keep => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
            Time::Now => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
            Time::At(ns) => Timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as i64 },
        };
        Timestamps { last_access: time(self.access), last_modification: time(self.modification) }
    }
}

/// Where a seek goes.
///
/// # Errors
///
/// `EINVAL` for an unknown origin, or a place before the beginning.
pub(super) fn seek_from(offset: i64, whence: u32) -> Result<SeekFrom, Errno> {
    match whence {
        0 => Ok(SeekFrom::Start(u64::try_from(offset).map_err(|_| Errno::Inval)?)),
        1 => Ok(SeekFrom::Current(offset)),
        2 => Ok(SeekFrom::End(offset)),
        _ => Err(Errno::Inval),
    }
}

/// Makes sure that what was written is kept.
pub(super) fn sync(fd: BorrowedFd<'_>, data_only: bool) -> Result<(), Errno> {
    let sync = if data_only { rustix::fs::fdatasync } else { rustix::fs::fsync };
    Ok(retry(|| Ok::<_, io::Error>(sync(fd)?))?)
}
