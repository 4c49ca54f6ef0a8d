//! Functions of paths.

use std::sync::Arc;

use crate::wasi::context::WasiCtx;
use crate::wasi::descriptor::{Descriptor, Object};
use crate::wasi::directory::{OpenDir, OpenHow, Opened};
use crate::wasi::file::Times;
use crate::wasi::guest::{Guest, path as path_at};
use crate::wasi::types::{Errno, FdFlags, FileStat, FileType, FstFlags, LookupFlags, OFlags, Rights};

type Result<T = ()> = std::result::Result<T, Errno>;

/// A guest's directory, if it has these rights, and a path below it.
fn place(guest: &mut dyn Guest, fd: u32, rights: Rights, path: u32, len: u32) -> Result<(&OpenDir, &str)> {
    let (memory, context) = guest.bytes();
    Ok((context.fds.dir(fd, rights)?, path_at(memory, path, len)?))
}

fn follows(flags: u32) -> Result<bool> {
    Ok(LookupFlags::from_guest(flags)?.contains(LookupFlags::SYMLINK_FOLLOW))
}

pub(super) fn create_directory(guest: &mut dyn Guest, fd: u32, path: u32, len: u32) -> Result {
    let (dir, path) = place(guest, fd, Rights::PATH_CREATE_DIRECTORY, path, len)?;
    dir.create_dir(path)
}

pub(super) fn filestat_get(guest: &mut dyn Guest, fd: u32, flags: u32, path: u32, len: u32, stat: u32) -> Result {
    let follow = follows(flags)?;
    guest.check(stat, FileStat::BYTES)?;
    let (dir, path) = place(guest, fd, Rights::PATH_FILESTAT_GET, path, len)?;
    let filestat = dir.path_stat(path, follow)?;
    guest.write(stat, &filestat.encode())
}

#[allow(clippy::too_many_arguments, reason = "they are preview 1's")]
pub(super) fn filestat_set_times(
    guest: &mut dyn Guest,
    fd: u32,
    flags: u32,
    path: u32,
    len: u32,
    atim: u64,
    mtim: u64,
    fst_flags: u32,
) -> Result {
    let follow = follows(flags)?;
    let times = Times::from_guest(atim, mtim, FstFlags::from_guest(fst_flags)?)?;
    let (dir, path) = place(guest, fd, Rights::PATH_FILESTAT_SET_TIMES, path, len)?;
    dir.path_set_times(path, follow, &times)
}

/// Links to what a symbolic link leads to are not made: hosts do not agree on them.
#[allow(clippy::too_many_arguments, reason = "they are preview 1's")]
pub(super) fn link(
    guest: &mut dyn Guest,
    old_fd: u32,
    old_flags: u32,
    old: u32,
    old_len: u32,
    new_fd: u32,
    new: u32,
    new_len: u32,
) -> Result {
    if follows(old_flags)? {
        return Err(Errno::Inval);
    }
    let (memory, context) = guest.bytes();
    let from = context.fds.dir(old_fd, Rights::PATH_LINK_SOURCE)?;
    let to = context.fds.dir(new_fd, Rights::PATH_LINK_TARGET)?;
    from.link(path_at(memory, old, old_len)?, to, path_at(memory, new, new_len)?)
}

pub(super) fn rename(
    guest: &mut dyn Guest,
    fd: u32,
    old: u32,
    old_len: u32,
    new_fd: u32,
    new: u32,
    new_len: u32,
) -> Result {
    let (memory, context) = guest.bytes();
    let from = context.fds.dir(fd, Rights::PATH_RENAME_SOURCE)?;
    let to = context.fds.dir(new_fd, Rights::PATH_RENAME_TARGET)?;
    from.rename(path_at(memory, old, old_len)?, to, path_at(memory, new, new_len)?)
}

pub(super) fn readlink(
    guest: &mut dyn Guest,
    fd: u32,
    path: u32,
    len: u32,
    buf: u32,
    buf_len: u32,
    bufused: u32,
) -> Result {
    guest.check(buf, buf_len)?;
    guest.check(bufused, 4)?;
    let (dir, path) = place(guest, fd, Rights::PATH_READLINK, path, len)?;
    let target = dir.read_link(path)?;
    let used = target.len().min(buf_len as usize);
    guest.write(buf, &target[..used])?;
    guest.write_u32(bufused, used as u32)
}

pub(super) fn remove_directory(guest: &mut dyn Guest, fd: u32, path: u32, len: u32) -> Result {
    let (dir, path) = place(guest, fd, Rights::PATH_REMOVE_DIRECTORY, path, len)?;
    dir.remove_dir(path)
}

/// The target is kept as it is, but for an absolute one, which is `EPERM`.
pub(super) fn symlink(guest: &mut dyn Guest, old: u32, old_len: u32, fd: u32, new: u32, new_len: u32) -> Result {
    let (memory, context) = guest.bytes();
    let dir = context.fds.dir(fd, Rights::PATH_SYMLINK)?;
    dir.symlink(path_at(memory, old, old_len)?, path_at(memory, new, new_len)?)
}

pub(super) fn unlink_file(guest: &mut dyn Guest, fd: u32, path: u32, len: u32) -> Result {
    let (dir, path) = place(guest, fd, Rights::PATH_UNLINK_FILE, path, len)?;
    dir.unlink(path)
}

#[allow(clippy::too_many_arguments, reason = "they are preview 1's")]
pub(super) fn open(
    guest: &mut dyn Guest,
    fd: u32,
    dirflags: u32,
    path: u32,
    len: u32,
    oflags: u32,
    base: u64,
    _inheriting: u64,
    fdflags: u32,
    opened_fd: u32,
) -> Result {
    let follow = follows(dirflags)?;
    let oflags = OFlags::from_guest(oflags)?;
    let flags = FdFlags::from_guest(fdflags)?;
    // Guests ask for rights that do not exist; whether they want to read or write is what counts.
    let asked = Rights::from_bits_truncate(base);
    guest.check(opened_fd, 4)?;

    let (memory, context) = guest.bytes();
    let path = path_at(memory, path, len)?;
    // Before a file is made that could not be given out.
    context.fds.free()?;
    let descriptor = open_descriptor(context, fd, path, follow, oflags, asked, flags)?;
    let new = context.fds.insert(descriptor)?;
    guest.write_u32(opened_fd, new)
}

fn open_descriptor(
    context: &WasiCtx,
    fd: u32,
    path: &str,
    follow: bool,
    oflags: OFlags,
    asked: Rights,
    flags: FdFlags,
) -> Result<Descriptor> {
    let mut needed = Rights::PATH_OPEN;
    needed.set(Rights::PATH_CREATE_FILE, oflags.contains(OFlags::CREAT));
    needed.set(Rights::PATH_FILESTAT_SET_SIZE, oflags.contains(OFlags::TRUNC));
    let dir = context.fds.dir(fd, needed)?;
    let inheriting = context.fds.get(fd)?.inheriting;
    let access = asked & (Rights::FD_READ | Rights::FD_WRITE);
    if !inheriting.contains(access) {
        return Err(Errno::Notcapable);
    }

    let (read, write) = (access.contains(Rights::FD_READ), access.contains(Rights::FD_WRITE));
    Ok(match dir.open(path, OpenHow { follow, oflags, read, write, flags })? {
        Opened::Dir(opened) => {
            let object = Object::Dir(Arc::new(opened));
            Descriptor { object, base: Rights::DIRECTORY & inheriting, inheriting, flags }
        }
        Opened::File(opened) => {
            let mut base = Rights::FILE & inheriting;
            base.set(Rights::FD_READ, read);
            if !write {
                base -= Rights::FD_WRITE | Rights::FD_ALLOCATE | Rights::FD_FILESTAT_SET_SIZE;
            }
            if !matches!(opened.kind(), FileType::RegularFile | FileType::BlockDevice) {
                base -= Rights::FD_SEEK | Rights::FD_TELL;
            }
            let object = Object::File(Arc::new(opened));
            Descriptor { object, base, inheriting: Rights::empty(), flags }
        }
    })
}
