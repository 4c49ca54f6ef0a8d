//! Functions of descriptors.

use std::io::IoSlice;

use crate::wasi::context::WasiCtx;
use crate::wasi::descriptor::{Descriptor, Object};
use crate::wasi::file::{self, OpenFile, Times};
use crate::wasi::guest::{Guest, Vectors};
use crate::wasi::types::{self, DIRENT_BYTES, Errno, FdFlags, FdStat, FileStat, FileType, FstFlags, Rights};

use super::poll;

type Result<T = ()> = std::result::Result<T, Errno>;

/// Most bytes that one call moves, as on Linux: the rest is a short read or write.
const MOST_BYTES: u32 = 0x7fff_f000;
/// Most bytes that one read of the host asks for. A guest's whole buffer counts as written, so it is taken step by step.
const STEP_BYTES: u32 = 64 << 10;
/// Most vectors that one write of the host gets.
const STEP_VECTORS: usize = 16;

// Reading and writing.

/// Reads into a guest's vectors, by calls of `read` with a part of memory and the bytes read before. It says how many bytes it
/// read, and whether more would come at once. An error after some bytes is left to the next call.
fn scatter(
    guest: &mut dyn Guest,
    iovs: u32,
    count: u32,
    read: impl Fn(&mut WasiCtx, &mut [u8], u64) -> Result<(usize, bool)>,
) -> Result<u32> {
    let vectors = Vectors::new(guest.bytes().0, iovs, count)?;
    let mut total = 0;
    for index in vectors.indices() {
        let (mut at, len) = vectors.range(guest.bytes().0, index)?;
        let mut left = len.min(MOST_BYTES - total);
        while left > 0 {
            let step = left.min(STEP_BYTES);
            let done = guest.bytes_mut(at, step).and_then(|(bytes, context)| read(context, bytes, u64::from(total)));
            let (len, more) = match done {
                Err(error) if total == 0 => return Err(error),
                Err(_) => return Ok(total),
                Ok((len, more)) => (len as u32, more),
            };
            total += len;
            if len < step || !more {
                return Ok(total);
            }
            // Does not overflow: `len` bytes were there.
            at = at.wrapping_add(len);
            left -= len;
        }
    }
    Ok(total)
}

/// Writes a guest's vectors, by calls of `write` with some of them and the bytes written before. An error after some bytes is
/// left to the next call.
fn gather(
    guest: &mut dyn Guest,
    iovs: u32,
    count: u32,
    write: impl Fn(&mut WasiCtx, &[IoSlice<'_>], u64) -> Result<usize>,
) -> Result<u32> {
    let (memory, context) = guest.bytes();
    let vectors = Vectors::new(memory, iovs, count)?;
    let mut indices = vectors.indices();
    let mut total = 0;
    loop {
        let mut parts = [IoSlice::new(&[]); STEP_VECTORS];
        let (mut used, mut bytes) = (0, 0);
        while used < STEP_VECTORS
            && let Some(index) = indices.next()
        {
            let part = vectors.bytes(memory, index)?;
            let part = &part[..part.len().min((MOST_BYTES - total - bytes) as usize)];
            if !part.is_empty() {
                parts[used] = IoSlice::new(part);
                bytes += part.len() as u32;
                used += 1;
            }
        }
        if used == 0 {
            return Ok(total);
        }
        match write(context, &parts[..used], u64::from(total)) {
            Err(error) if total == 0 => return Err(error),
            Err(_) => return Ok(total),
            Ok(len) => {
                total += len as u32;
                if (len as u32) < bytes {
                    return Ok(total);
                }
            }
        }
    }
}

/// `EAGAIN` for a stream of the host that would make a guest wait that does not want to.
fn unless_waiting(descriptor: &Descriptor) -> Result {
    match descriptor.flags.contains(FdFlags::NONBLOCK) && !poll::is_ready(descriptor)? {
        true => Err(Errno::Again),
        false => Ok(()),
    }
}

fn read_some(context: &mut WasiCtx, fd: u32, into: &mut [u8]) -> Result<(usize, bool)> {
    let descriptor = context.fds.get(fd)?;
    match &descriptor.object {
        Object::Input(stream) => {
            unless_waiting(descriptor)?;
            let len = stream.read(into)?.min(into.len());
            Ok((len, stream.poll_fd().is_none() && stream.available() > 0))
        }
        Object::File(file) => Ok((file.read(into)?, file.is_regular())),
        Object::Output(_) => Err(Errno::Badf),
        Object::Dir(_) => Err(Errno::Isdir),
    }
}

pub(super) fn read(guest: &mut dyn Guest, fd: u32, iovs: u32, count: u32, nread: u32) -> Result {
    let descriptor = guest.context().fds.get(fd)?;
    match descriptor.object {
        Object::Dir(_) => return Err(Errno::Isdir),
        _ => descriptor.require(Rights::FD_READ)?,
    }
    guest.check(nread, 4)?;
    let total = scatter(guest, iovs, count, |context, into, _| read_some(context, fd, into))?;
    guest.write_u32(nread, total)
}

fn write_some(context: &mut WasiCtx, fd: u32, from: &[IoSlice<'_>]) -> Result<usize> {
    let descriptor = context.fds.get(fd)?;
    match &descriptor.object {
        Object::Output(stream) => {
            unless_waiting(descriptor)?;
            let most = from.iter().map(|part| part.len()).sum();
            Ok(stream.write(from)?.min(most))
        }
        Object::File(file) => file.write(from),
        Object::Input(_) | Object::Dir(_) => Err(Errno::Badf),
    }
}

pub(super) fn write(guest: &mut dyn Guest, fd: u32, iovs: u32, count: u32, nwritten: u32) -> Result {
    guest.context().fds.get(fd)?.require(Rights::FD_WRITE)?;
    guest.check(nwritten, 4)?;
    let total = gather(guest, iovs, count, |context, from, _| write_some(context, fd, from))?;
    guest.write_u32(nwritten, total)
}

/// A file, to use at any place.
fn at_any_place(context: &WasiCtx, fd: u32, right: Rights) -> Result<&OpenFile> {
    let file = context.fds.file(fd, right, Errno::Spipe)?;
    match context.fds.get(fd)?.require(Rights::FD_SEEK) {
        Err(_) if !file.is_regular() => Err(Errno::Spipe),
        seekable => seekable.map(|()| file),
    }
}

pub(super) fn pread(guest: &mut dyn Guest, fd: u32, iovs: u32, count: u32, offset: u64, nread: u32) -> Result {
    at_any_place(guest.context(), fd, Rights::FD_READ)?;
    guest.check(nread, 4)?;
    let total = scatter(guest, iovs, count, |context, into, done| {
        let file = at_any_place(context, fd, Rights::FD_READ)?;
        let len = file.read_at(into, offset.checked_add(done).ok_or(Errno::Inval)?)?;
        Ok((len, file.is_regular()))
    })?;
    guest.write_u32(nread, total)
}

pub(super) fn pwrite(guest: &mut dyn Guest, fd: u32, iovs: u32, count: u32, offset: u64, nwritten: u32) -> Result {
    at_any_place(guest.context(), fd, Rights::FD_WRITE)?;
    guest.check(nwritten, 4)?;
    let total = gather(guest, iovs, count, |context, from, done| {
        let file = at_any_place(context, fd, Rights::FD_WRITE)?;
        file.write_at(from, offset.checked_add(done).ok_or(Errno::Inval)?)
    })?;
    guest.write_u32(nwritten, total)
}

pub(super) fn seek(guest: &mut dyn Guest, fd: u32, offset: i64, whence: u32, newoffset: u32) -> Result {
    let to = file::seek_from(offset, whence)?;
    guest.check(newoffset, 8)?;
    // Going nowhere is but telling.
    let right = if (offset, whence) == (0, 1) { Rights::FD_TELL } else { Rights::FD_SEEK };
    let place = seekable(guest.context(), fd, right)?.seek(to)?;
    guest.write_u64(newoffset, place)
}

pub(super) fn tell(guest: &mut dyn Guest, fd: u32, offset: u32) -> Result {
    guest.check(offset, 8)?;
    let place = seekable(guest.context(), fd, Rights::FD_TELL)?.seek(file::seek_from(0, 1)?)?;
    guest.write_u64(offset, place)
}

fn seekable(context: &WasiCtx, fd: u32, right: Rights) -> Result<&OpenFile> {
    let file = context.fds.file(fd, Rights::empty(), Errno::Spipe)?;
    match context.fds.get(fd)?.require(right) {
        Err(_) if !file.is_regular() => Err(Errno::Spipe),
        allowed => allowed.map(|()| file),
    }
}

// What descriptors are.

pub(super) fn fdstat_get(guest: &mut dyn Guest, fd: u32, stat: u32) -> Result {
    guest.check(stat, FdStat::BYTES)?;
    let fdstat = guest.context().fds.get(fd)?.fdstat();
    guest.write(stat, &fdstat.encode())
}

pub(super) fn fdstat_set_flags(guest: &mut dyn Guest, fd: u32, flags: u32) -> Result {
    let flags = FdFlags::from_guest(flags)?;
    let descriptor = guest.context().fds.get_mut(fd)?;
    descriptor.require(Rights::FD_FDSTAT_SET_FLAGS)?;
    let settable = FdFlags::APPEND | FdFlags::NONBLOCK;
    if descriptor.flags.symmetric_difference(flags).intersects(!settable) {
        // The host can choose how writes are kept only when it opens a file.
        return Err(Errno::Notsup);
    }
    if let Object::File(file) = &descriptor.object {
        file.set_flags(flags)?;
    }
    descriptor.flags = flags;
    Ok(())
}

pub(super) fn fdstat_set_rights(guest: &mut dyn Guest, fd: u32, base: u64, inheriting: u64) -> Result {
    let less = |now: Rights, then: u64| Rights::from_bits(then).filter(|then| now.contains(*then));
    let descriptor = guest.context().fds.get(fd)?;
    let (Some(base), Some(inheriting)) = (less(descriptor.base, base), less(descriptor.inheriting, inheriting)) else {
        return Err(Errno::Notcapable);
    };
    let descriptor = guest.context().fds.get_mut(fd)?;
    (descriptor.base, descriptor.inheriting) = (base, inheriting);
    Ok(())
}

pub(super) fn filestat_get(guest: &mut dyn Guest, fd: u32, stat: u32) -> Result {
    guest.check(stat, FileStat::BYTES)?;
    let descriptor = guest.context().fds.get(fd)?;
    descriptor.require(Rights::FD_FILESTAT_GET)?;
    let filestat = descriptor.filestat()?;
    guest.write(stat, &filestat.encode())
}

pub(super) fn filestat_set_size(guest: &mut dyn Guest, fd: u32, size: u64) -> Result {
    guest.context().fds.file(fd, Rights::FD_FILESTAT_SET_SIZE, Errno::Inval)?.set_len(size)
}

pub(super) fn filestat_set_times(guest: &mut dyn Guest, fd: u32, atim: u64, mtim: u64, fst_flags: u32) -> Result {
    let times = Times::from_guest(atim, mtim, FstFlags::from_guest(fst_flags)?)?;
    let descriptor = guest.context().fds.get(fd)?;
    match &descriptor.object {
        Object::File(_) | Object::Dir(_) => descriptor.require(Rights::FD_FILESTAT_SET_TIMES)?,
        Object::Input(_) | Object::Output(_) => return Err(Errno::Inval),
    }
    match &descriptor.object {
        Object::File(file) => file.set_times(&times),
        Object::Dir(dir) => dir.set_times(&times),
        Object::Input(_) | Object::Output(_) => Err(Errno::Inval),
    }
}

pub(super) fn prestat_get(guest: &mut dyn Guest, fd: u32, prestat: u32) -> Result {
    let len = preopen(guest.context(), fd)?.len();
    let len = u32::try_from(len).map_err(|_| Errno::Overflow)?;
    // Tag 0, a directory, and the length of its name.
    let mut out = [0; 8];
    out[4..].copy_from_slice(&len.to_le_bytes());
    guest.write(prestat, &out)
}

pub(super) fn prestat_dir_name(guest: &mut dyn Guest, fd: u32, path: u32, path_len: u32) -> Result {
    let len = preopen(guest.context(), fd)?.len();
    if len > path_len as usize {
        return Err(Errno::Nametoolong);
    }
    let (bytes, context) = guest.bytes_mut(path, len as u32)?;
    bytes.copy_from_slice(preopen(context, fd)?.as_bytes());
    Ok(())
}

/// The name of a directory that was there from the start. `EBADF` for everything else: guests count up to the first of them.
fn preopen(context: &WasiCtx, fd: u32) -> Result<&str> {
    match &context.fds.get(fd)?.object {
        Object::Dir(dir) => dir.preopen().ok_or(Errno::Badf),
        _ => Err(Errno::Badf),
    }
}

// What else can be done to them.

pub(super) fn advise(guest: &mut dyn Guest, fd: u32, offset: u64, len: u64, advice: u32) -> Result {
    let descriptor = guest.context().fds.get(fd)?;
    let host = match &descriptor.object {
        Object::File(file) => file.fd(),
        Object::Dir(dir) => dir.fd(),
        Object::Input(_) | Object::Output(_) => return Err(Errno::Spipe),
    };
    descriptor.require(Rights::FD_ADVISE)?;
    file::advise(host, offset, len, advice)
}

pub(super) fn allocate(guest: &mut dyn Guest, fd: u32, offset: u64, len: u64) -> Result {
    guest.context().fds.file(fd, Rights::FD_ALLOCATE, Errno::Spipe)?.allocate(offset, len)
}

pub(super) fn close(guest: &mut dyn Guest, fd: u32) -> Result {
    guest.context().fds.close(fd).map(drop)
}

pub(super) fn renumber(guest: &mut dyn Guest, from: u32, to: u32) -> Result {
    guest.context().fds.renumber(from, to)
}

pub(super) fn datasync(guest: &mut dyn Guest, fd: u32) -> Result {
    synchronise(guest.context(), fd, Rights::FD_DATASYNC)
}

pub(super) fn sync(guest: &mut dyn Guest, fd: u32) -> Result {
    synchronise(guest.context(), fd, Rights::FD_SYNC)
}

fn synchronise(context: &WasiCtx, fd: u32, right: Rights) -> Result {
    let descriptor = context.fds.get(fd)?;
    let host = match &descriptor.object {
        Object::File(file) => file.fd(),
        Object::Dir(dir) => dir.fd(),
        Object::Input(_) | Object::Output(_) => return Err(Errno::Inval),
    };
    descriptor.require(right)?;
    file::sync(host, right == Rights::FD_DATASYNC)
}

// Directories.

/// Entries from a cookie on, as many as fit; the last may be cut. A buffer that is not full means the end.
pub(super) fn readdir(guest: &mut dyn Guest, fd: u32, buf: u32, buf_len: u32, cookie: u64, bufused: u32) -> Result {
    guest.check(buf, buf_len)?;
    guest.check(bufused, 4)?;
    let context = guest.context();
    context.fds.dir(fd, Rights::FD_READDIR)?;
    context.fds.listing(fd)?.seek(cookie)?;

    let mut used = 0;
    while used < buf_len {
        let context = guest.context();
        let (at, entry) = match context.fds.listing(fd)?.next() {
            Ok(Some(next)) => next,
            Ok(None) => break,
            Err(error) if used == 0 => return Err(error),
            Err(_) => break,
        };
        let dir = context.fds.dir(fd, Rights::FD_READDIR)?;
        let (kind, ino) = match (entry.name.as_slice(), entry.kind) {
            (b".", _) => (FileType::Directory, entry.ino),
            // What lies above is no guest's business.
            (b"..", _) => (FileType::Directory, dir.stat()?.ino),
            (name, FileType::Unknown) => (dir.kind_of(name), entry.ino),
            (_, kind) => (kind, entry.ino),
        };
        let head = types::dirent(entry.next, ino, entry.name.len() as u32, kind);
        for bytes in [&head[..], &entry.name] {
            let fits = bytes.len().min((buf_len - used) as usize);
            guest.write(buf + used, &bytes[..fits])?;
            used += fits as u32;
        }
        if used == buf_len {
            // It may have been cut. The guest asks for it again by its cookie then.
            guest.context().fds.listing(fd)?.put_back(at, entry);
        }
    }
    guest.write_u32(bufused, used)
}

const _: () = assert!(DIRENT_BYTES == 24);

// Sockets: nobody has one.

fn no_socket(guest: &mut dyn Guest, fd: u32) -> Result {
    guest.context().fds.get(fd)?;
    Err(Errno::Notsock)
}

pub(super) fn sock_accept(guest: &mut dyn Guest, fd: u32, _flags: u32, _accepted_fd: u32) -> Result {
    no_socket(guest, fd)
}

pub(super) fn sock_recv(
    guest: &mut dyn Guest,
    fd: u32,
    _iovs: u32,
    _count: u32,
    _flags: u32,
    _nread: u32,
    _out: u32,
) -> Result {
    no_socket(guest, fd)
}

pub(super) fn sock_send(guest: &mut dyn Guest, fd: u32, _iovs: u32, _count: u32, _flags: u32, _sent: u32) -> Result {
    no_socket(guest, fd)
}

pub(super) fn sock_shutdown(guest: &mut dyn Guest, fd: u32, _how: u32) -> Result {
    no_socket(guest, fd)
}
