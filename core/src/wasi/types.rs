//! Numbers and layouts of WASI preview 1, as its witx files have them.

use std::io;

use bitflags::bitflags;
use rustix::io::Errno as Os;

macro_rules! errnos {
    ($($name:ident = $number:literal,)*) => {
        /// Why a call failed, by its number. 0 is success.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub(super) enum Errno { $($name = $number,)* }
    };
}

errnos! {
    TooBig = 1, Acces = 2, Again = 6, Badf = 8, Busy = 10, Dquot = 19, Exist = 20, Fault = 21, Fbig = 22, Ilseq = 25,
    Intr = 27, Inval = 28, Io = 29, Isdir = 31, Loop = 32, Mfile = 33, Mlink = 34, Nametoolong = 37, Nfile = 41,
    Nodev = 43, Noent = 44, Nolck = 46, Nomem = 48, Nospc = 51, Nosys = 52, Notdir = 54, Notempty = 55, Notsock = 57,
    Notsup = 58, Notty = 59, Nxio = 60, Overflow = 61, Perm = 63, Pipe = 64, Range = 68, Rofs = 69, Spipe = 70,
    Stale = 72, Timedout = 73, Txtbsy = 74, Xdev = 75, Notcapable = 76,
}

impl From<Os> for Errno {
    fn from(error: Os) -> Self {
        match error {
            Os::TOOBIG => Errno::TooBig,
            Os::ACCESS => Errno::Acces,
            Os::AGAIN => Errno::Again,
            Os::BADF => Errno::Badf,
            Os::BUSY => Errno::Busy,
            Os::DQUOT => Errno::Dquot,
            Os::EXIST => Errno::Exist,
            Os::FBIG => Errno::Fbig,
            Os::ILSEQ => Errno::Ilseq,
            Os::INTR => Errno::Intr,
            Os::INVAL => Errno::Inval,
            Os::ISDIR => Errno::Isdir,
            Os::LOOP => Errno::Loop,
            Os::MFILE => Errno::Mfile,
            Os::MLINK => Errno::Mlink,
            Os::NAMETOOLONG => Errno::Nametoolong,
            Os::NFILE => Errno::Nfile,
            Os::NODEV => Errno::Nodev,
            Os::NOENT => Errno::Noent,
            Os::NOLCK => Errno::Nolck,
            Os::NOMEM => Errno::Nomem,
            Os::NOSPC => Errno::Nospc,
            Os::NOSYS => Errno::Nosys,
            Os::NOTDIR => Errno::Notdir,
            Os::NOTEMPTY => Errno::Notempty,
            Os::NOTSUP => Errno::Notsup,
            Os::NOTTY => Errno::Notty,
            Os::NXIO => Errno::Nxio,
            Os::OVERFLOW => Errno::Overflow,
            Os::PERM => Errno::Perm,
            Os::PIPE => Errno::Pipe,
            Os::RANGE => Errno::Range,
            Os::ROFS => Errno::Rofs,
            Os::SPIPE => Errno::Spipe,
            Os::STALE => Errno::Stale,
            Os::TIMEDOUT => Errno::Timedout,
            Os::TXTBSY => Errno::Txtbsy,
            Os::XDEV => Errno::Xdev,
            _ => Errno::Io,
        }
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        if let Some(os) = Os::from_io_error(&error) {
            return os.into();
        }
        // Errors that cap-std and streams of the embedder make themselves.
        match error.kind() {
            io::ErrorKind::PermissionDenied => Errno::Perm,
            io::ErrorKind::NotFound => Errno::Noent,
            io::ErrorKind::AlreadyExists => Errno::Exist,
            io::ErrorKind::InvalidInput => Errno::Inval,
            io::ErrorKind::WouldBlock => Errno::Again,
            io::ErrorKind::Interrupted => Errno::Intr,
            io::ErrorKind::BrokenPipe => Errno::Pipe,
            io::ErrorKind::StorageFull | io::ErrorKind::WriteZero => Errno::Nospc,
            io::ErrorKind::NotADirectory => Errno::Notdir,
            io::ErrorKind::IsADirectory => Errno::Isdir,
            io::ErrorKind::DirectoryNotEmpty => Errno::Notempty,
            io::ErrorKind::Unsupported => Errno::Notsup,
            io::ErrorKind::TimedOut => Errno::Timedout,
            io::ErrorKind::OutOfMemory => Errno::Nomem,
            _ => Errno::Io,
        }
    }
}

bitflags! {
    /// What a guest may do with a descriptor. It can give rights up, never gain them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Rights: u64 {
        const FD_DATASYNC = 1 << 0;
        const FD_READ = 1 << 1;
        const FD_SEEK = 1 << 2;
        const FD_FDSTAT_SET_FLAGS = 1 << 3;
        const FD_SYNC = 1 << 4;
        const FD_TELL = 1 << 5;
        const FD_WRITE = 1 << 6;
        const FD_ADVISE = 1 << 7;
        const FD_ALLOCATE = 1 << 8;
        const PATH_CREATE_DIRECTORY = 1 << 9;
        const PATH_CREATE_FILE = 1 << 10;
        const PATH_LINK_SOURCE = 1 << 11;
        const PATH_LINK_TARGET = 1 << 12;
        const PATH_OPEN = 1 << 13;
        const FD_READDIR = 1 << 14;
        const PATH_READLINK = 1 << 15;
        const PATH_RENAME_SOURCE = 1 << 16;
        const PATH_RENAME_TARGET = 1 << 17;
        const PATH_FILESTAT_GET = 1 << 18;
        const PATH_FILESTAT_SET_SIZE = 1 << 19;
        const PATH_FILESTAT_SET_TIMES = 1 << 20;
        const FD_FILESTAT_GET = 1 << 21;
        const FD_FILESTAT_SET_SIZE = 1 << 22;
        const FD_FILESTAT_SET_TIMES = 1 << 23;
        const PATH_SYMLINK = 1 << 24;
        const PATH_REMOVE_DIRECTORY = 1 << 25;
        const PATH_UNLINK_FILE = 1 << 26;
        const POLL_FD_READWRITE = 1 << 27;

        /// What makes sense on a file that can seek.
        const FILE = Self::STREAM.bits()
            | Self::FD_READ.bits() | Self::FD_WRITE.bits()
            | Self::FD_DATASYNC.bits() | Self::FD_SYNC.bits()
            | Self::FD_SEEK.bits() | Self::FD_TELL.bits()
            | Self::FD_ADVISE.bits() | Self::FD_ALLOCATE.bits()
            | Self::FD_FILESTAT_SET_SIZE.bits() | Self::FD_FILESTAT_SET_TIMES.bits();
        /// What makes sense on any stream, beside reading or writing it.
        const STREAM = Self::FD_FDSTAT_SET_FLAGS.bits() | Self::FD_FILESTAT_GET.bits() | Self::POLL_FD_READWRITE.bits();
        /// What makes sense on a directory.
        const DIRECTORY = Self::FD_FDSTAT_SET_FLAGS.bits() | Self::FD_SYNC.bits() | Self::FD_DATASYNC.bits()
            | Self::FD_ADVISE.bits() | Self::FD_READDIR.bits()
            | Self::FD_FILESTAT_GET.bits() | Self::FD_FILESTAT_SET_TIMES.bits()
            | Self::PATH_CREATE_DIRECTORY.bits() | Self::PATH_CREATE_FILE.bits()
            | Self::PATH_LINK_SOURCE.bits() | Self::PATH_LINK_TARGET.bits()
            | Self::PATH_OPEN.bits() | Self::PATH_READLINK.bits()
            | Self::PATH_RENAME_SOURCE.bits() | Self::PATH_RENAME_TARGET.bits()
            | Self::PATH_FILESTAT_GET.bits() | Self::PATH_FILESTAT_SET_SIZE.bits() | Self::PATH_FILESTAT_SET_TIMES.bits()
            | Self::PATH_SYMLINK.bits() | Self::PATH_REMOVE_DIRECTORY.bits() | Self::PATH_UNLINK_FILE.bits()
            | Self::POLL_FD_READWRITE.bits();
    }

    /// Modes of a descriptor.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct FdFlags: u16 {
        const APPEND = 1 << 0;
        const DSYNC = 1 << 1;
        const NONBLOCK = 1 << 2;
        const RSYNC = 1 << 3;
        const SYNC = 1 << 4;
    }

    /// How a path is looked up.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct LookupFlags: u32 {
        const SYMLINK_FOLLOW = 1 << 0;
    }

    /// How a file is opened.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct OFlags: u16 {
        const CREAT = 1 << 0;
        const DIRECTORY = 1 << 1;
        const EXCL = 1 << 2;
        const TRUNC = 1 << 3;
    }

    /// Which times are set.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct FstFlags: u16 {
        const ATIM = 1 << 0;
        const ATIM_NOW = 1 << 1;
        const MTIM = 1 << 2;
        const MTIM_NOW = 1 << 3;
    }
}

/// Flags from a guest: an unknown bit, also beyond the type's width, is EINVAL.
macro_rules! flags_from_guest {
    ($($name:ident),*) => {$(
        impl $name {
            pub(super) fn from_guest(bits: u32) -> Result<Self, Errno> {
                bits.try_into().ok().and_then(Self::from_bits).ok_or(Errno::Inval)
            }
        }
    )*};
}
flags_from_guest!(FdFlags, LookupFlags, OFlags, FstFlags);

/// What a descriptor or path stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum FileType {
    Unknown = 0,
    BlockDevice = 1,
    CharacterDevice = 2,
    Directory = 3,
    RegularFile = 4,
    SocketStream = 6,
    SymbolicLink = 7,
}

impl From<rustix::fs::FileType> for FileType {
    fn from(kind: rustix::fs::FileType) -> Self {
        use rustix::fs::FileType as Os;
        match kind {
            Os::RegularFile => FileType::RegularFile,
            Os::Directory => FileType::Directory,
            Os::Symlink => FileType::SymbolicLink,
            Os::CharacterDevice => FileType::CharacterDevice,
            Os::BlockDevice => FileType::BlockDevice,
            Os::Socket => FileType::SocketStream,
            _ => FileType::Unknown,
        }
    }
}

/// `filestat`: what is known about a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileStat {
    pub dev: u64,
    pub ino: u64,
    pub kind: FileType,
    pub nlink: u64,
    pub size: u64,
    pub atim: u64,
    pub mtim: u64,
    pub ctim: u64,
}

impl FileStat {
    pub(super) const BYTES: u32 = 64;

    /// A stream: nothing is known but its type.
    pub(super) fn of_stream(kind: FileType) -> Self {
        FileStat { dev: 0, ino: 0, kind, nlink: 0, size: 0, atim: 0, mtim: 0, ctim: 0 }
    }

    pub(super) fn encode(&self) -> [u8; Self::BYTES as usize] {
        let mut out = [0; Self::BYTES as usize];
        out[0..8].copy_from_slice(&self.dev.to_le_bytes());
        out[8..16].copy_from_slice(&self.ino.to_le_bytes());
        out[16] = self.kind as u8;
        out[24..32].copy_from_slice(&self.nlink.to_le_bytes());
        out[32..40].copy_from_slice(&self.size.to_le_bytes());
        out[40..48].copy_from_slice(&self.atim.to_le_bytes());
        out[48..56].copy_from_slice(&self.mtim.to_le_bytes());
        out[56..64].copy_from_slice(&self.ctim.to_le_bytes());
        out
    }
}

/// `fdstat`: what is known about a descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct FdStat {
    pub kind: FileType,
    pub flags: FdFlags,
    pub base: Rights,
    pub inheriting: Rights,
}

impl FdStat {
    pub(super) const BYTES: u32 = 24;

    pub(super) fn encode(&self) -> [u8; Self::BYTES as usize] {
        let mut out = [0; Self::BYTES as usize];
        out[0] = self.kind as u8;
        out[2..4].copy_from_slice(&self.flags.bits().to_le_bytes());
        out[8..16].copy_from_slice(&self.base.bits().to_le_bytes());
        out[16..24].copy_from_slice(&self.inheriting.bits().to_le_bytes());
        out
    }
}

/// `dirent`: the fixed part of an entry of a directory; the name follows it.
pub(super) const DIRENT_BYTES: usize = 24;

pub(super) fn dirent(next: u64, ino: u64, name_bytes: u32, kind: FileType) -> [u8; DIRENT_BYTES] {
    let mut out = [0; DIRENT_BYTES];
    out[0..8].copy_from_slice(&next.to_le_bytes());
    out[8..16].copy_from_slice(&ino.to_le_bytes());
    out[16..20].copy_from_slice(&name_bytes.to_le_bytes());
    out[20] = kind as u8;
    out
}

pub(super) const SUBSCRIPTION_BYTES: u32 = 48;
pub(super) const EVENT_BYTES: u32 = 32;

/// `subscription`: what a guest waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subscription {
    pub userdata: u64,
    pub what: Wait,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    Clock { id: u32, timeout: u64, absolute: bool },
    Read { fd: u32 },
    Write { fd: u32 },
}

impl Wait {
    /// `eventtype`.
    pub(super) fn tag(self) -> u8 {
        match self {
            Wait::Clock { .. } => 0,
            Wait::Read { .. } => 1,
            Wait::Write { .. } => 2,
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

impl Subscription {
    pub(super) fn decode(bytes: &[u8; SUBSCRIPTION_BYTES as usize]) -> Result<Self, Errno> {
        let what = match bytes[8] {
            0 => {
                let flags = u16::from_le_bytes([bytes[40], bytes[41]]);
                if flags > 1 {
                    return Err(Errno::Inval);
                }
                Wait::Clock { id: u32_at(bytes, 16), timeout: u64_at(bytes, 24), absolute: flags == 1 }
            }
            1 => Wait::Read { fd: u32_at(bytes, 16) },
            2 => Wait::Write { fd: u32_at(bytes, 16) },
            _ => return Err(Errno::Inval),
        };
        Ok(Subscription { userdata: u64_at(bytes, 0), what })
    }
}

/// `event`: something that a guest waited for has happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub userdata: u64,
    pub error: Option<Errno>,
    pub tag: u8,
    pub available: u64,
    pub hangup: bool,
}

impl Event {
    pub(super) fn encode(&self) -> [u8; EVENT_BYTES as usize] {
        let mut out = [0; EVENT_BYTES as usize];
        out[0..8].copy_from_slice(&self.userdata.to_le_bytes());
        out[8..10].copy_from_slice(&self.error.map_or(0, |e| e as u16).to_le_bytes());
        out[10] = self.tag;
        out[16..24].copy_from_slice(&self.available.to_le_bytes());
        out[24] = u8::from(self.hangup);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_errors_become_errnos() {
        assert_eq!(Errno::from(io::Error::from_raw_os_error(Os::NOTDIR.raw_os_error())), Errno::Notdir);
        assert_eq!(Errno::from(io::Error::from_raw_os_error(Os::NOTSUP.raw_os_error())), Errno::Notsup);
        assert_eq!(Errno::from(io::Error::new(io::ErrorKind::PermissionDenied, "escape")), Errno::Perm);
        assert_eq!(Errno::from(io::Error::other("odd")), Errno::Io);
    }

    #[test]
    fn unknown_flag_bits_are_refused() {
        assert_eq!(OFlags::from_guest(0xf), Ok(OFlags::all()));
        assert_eq!(OFlags::from_guest(0x10), Err(Errno::Inval));
        assert_eq!(FdFlags::from_guest(0x1_0001), Err(Errno::Inval));
    }
}
