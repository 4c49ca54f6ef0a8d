//! Streams: what stands behind descriptors 0, 1 and 2.
//!
//! Any `Mutex<impl Read>` and `Mutex<impl Write>` is one, so are [`std::io::Empty`] and [`std::io::Sink`], the pipes of this
//! module, and the process's own standard streams.

use std::io::{self, IoSlice, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where a guest reads from. Shared by all contexts cloned from one, on any thread.
pub trait InputStream: Send + Sync + 'static {
    /// Reads some bytes: at least one, unless `into` is empty or the stream has ended. May block.
    ///
    /// # Errors
    ///
    /// The guest sees the `errno` that is nearest to the error.
    fn read(&self, into: &mut [u8]) -> io::Result<usize>;

    /// Bytes that can surely be read without blocking; 0, the default, where that is not known. What a guest that polls is
    /// told, and how far one call reads.
    fn available(&self) -> u64 {
        0
    }

    /// A descriptor that `poll(2)` can be asked about. `None`, the default: reading never blocks for long.
    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Whether this is a terminal.
    fn is_terminal(&self) -> bool {
        false
    }
}

/// Where a guest writes to. Shared by all contexts cloned from one, on any thread.
pub trait OutputStream: Send + Sync + 'static {
    /// Writes some of the bytes, in order; says how many. May block.
    ///
    /// # Errors
    ///
    /// The guest sees the `errno` that is nearest to the error.
    fn write(&self, from: &[IoSlice<'_>]) -> io::Result<usize>;

    /// A descriptor that `poll(2)` can be asked about. `None`, the default: writing never blocks for long.
    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Whether this is a terminal.
    fn is_terminal(&self) -> bool {
        false
    }
}

/// What a lock protects, also after a panic of somebody who held it: streams keep no invariant across calls.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<R: Read + Send + 'static> InputStream for Mutex<R> {
    fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut reader = lock(self);
        retry(|| reader.read(into))
    }
}

impl<W: Write + Send + 'static> OutputStream for Mutex<W> {
    fn write(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut writer = lock(self);
        let written = retry(|| writer.write_vectored(from))?;
        writer.flush()?;
        Ok(written)
    }
}

/// Repeats what a signal has interrupted.
pub(super) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Has ended.
impl InputStream for io::Empty {
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
}

/// Takes everything and forgets it.
impl OutputStream for io::Sink {
    fn write(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(from.iter().map(|part| part.len()).sum())
    }
}

impl<S: InputStream + ?Sized> InputStream for Arc<S> {
    fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        (**self).read(into)
    }
    fn available(&self) -> u64 {
        (**self).available()
    }
    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        (**self).poll_fd()
    }
    fn is_terminal(&self) -> bool {
        (**self).is_terminal()
    }
}

impl<S: OutputStream + ?Sized> OutputStream for Arc<S> {
    fn write(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        (**self).write(from)
    }
    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        (**self).poll_fd()
    }
    fn is_terminal(&self) -> bool {
        (**self).is_terminal()
    }
}

/// Bytes that a guest reads. Clones share the place up to which they were read.
///
/// ```
/// use instar::wasi::{MemoryInputPipe, WasiCtxBuilder};
/// let context = WasiCtxBuilder::new().stdin(MemoryInputPipe::new("two\nlines\n")).build();
/// ```
#[derive(Clone, Debug)]
pub struct MemoryInputPipe {
    rest: Arc<Mutex<io::Cursor<Arc<[u8]>>>>,
}

impl MemoryInputPipe {
    /// A pipe that holds these bytes and then ends.
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        MemoryInputPipe { rest: Arc::new(Mutex::new(io::Cursor::new(bytes.as_ref().into()))) }
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.available() == 0
    }
}

impl InputStream for MemoryInputPipe {
    fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        lock(&self.rest).read(into)
    }

    fn available(&self) -> u64 {
        let rest = lock(&self.rest);
        (rest.get_ref().len() as u64).saturating_sub(rest.position())
    }
}

/// Takes what a guest writes, up to a number of bytes; then the guest sees `ENOSPC`. Clones share the bytes.
///
/// ```
/// use instar::wasi::{MemoryOutputPipe, WasiCtxBuilder};
/// let stdout = MemoryOutputPipe::new(1 << 20);
/// let context = WasiCtxBuilder::new().stdout(stdout.clone()).build();
/// // … after the run:
/// assert!(stdout.contents().is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct MemoryOutputPipe {
    capacity: usize,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl MemoryOutputPipe {
    /// A pipe that takes up to `capacity` bytes. Memory is taken as bytes come.
    pub fn new(capacity: usize) -> Self {
        MemoryOutputPipe { capacity, bytes: Arc::default() }
    }

    /// A copy of what was written so far.
    pub fn contents(&self) -> Vec<u8> {
        lock(&self.bytes).clone()
    }

    /// Takes out what was written so far, which makes room for more.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.bytes))
    }
}

impl OutputStream for MemoryOutputPipe {
    fn write(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut bytes = lock(&self.bytes);
        let before = bytes.len();
        for part in from {
            let room = self.capacity - bytes.len();
            bytes.extend_from_slice(&part[..part.len().min(room)]);
        }
        let written = bytes.len() - before;
        if written == 0 && from.iter().any(|part| !part.is_empty()) {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!("the pipe holds {} bytes, as many as it takes", self.capacity),
            ));
        }
        Ok(written)
    }
}

/// The process's standard input, past the buffer of [`std::io::Stdin`]: what the host has buffered is the host's.
pub(super) struct HostStdin;

impl InputStream for HostStdin {
    fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        retry(|| Ok(rustix::io::read(rustix::stdio::stdin(), &mut *into)?))
    }

    fn available(&self) -> u64 {
        rustix::io::ioctl_fionread(rustix::stdio::stdin()).unwrap_or(0)
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(rustix::stdio::stdin())
    }

    fn is_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }
}

/// The process's standard output, after what the host has written itself.
pub(super) struct HostStdout;

impl OutputStream for HostStdout {
    fn write(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut out = io::stdout().lock();
        out.flush()?;
        retry(|| Ok(rustix::io::writev(out.as_fd(), from)?))
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(rustix::stdio::stdout())
    }

    fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }
}

/// The process's standard error.
pub(super) struct HostStderr;

impl OutputStream for HostStderr {
    fn write(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let err = io::stderr().lock();
        retry(|| Ok(rustix::io::writev(err.as_fd(), from)?))
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(rustix::stdio::stderr())
    }

    fn is_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_pipe_takes_what_fits_and_then_is_full() {
        let pipe = MemoryOutputPipe::new(5);
        assert_eq!(pipe.write(&[IoSlice::new(b"abc"), IoSlice::new(b"def")]).unwrap(), 5);
        assert_eq!(pipe.write(&[IoSlice::new(b"")]).unwrap(), 0);
        assert_eq!(pipe.write(&[IoSlice::new(b"g")]).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(pipe.clone().take(), b"abcde");
        assert_eq!(pipe.write(&[IoSlice::new(b"g")]).unwrap(), 1);
        assert_eq!(pipe.contents(), b"g");
    }

    #[test]
    fn clones_of_an_input_pipe_read_on() {
        let pipe = MemoryInputPipe::new(b"hello");
        let mut bytes = [0; 3];
        assert_eq!(pipe.clone().read(&mut bytes).unwrap(), 3);
        assert_eq!(pipe.available(), 2);
        assert_eq!((pipe.read(&mut bytes).unwrap(), &bytes), (2, b"lol"));
        assert_eq!(pipe.read(&mut bytes).unwrap(), 0);
        assert!(pipe.is_empty());
    }

    #[test]
    fn any_reader_and_writer_is_a_stream() {
        let input = Mutex::new(&b"xy"[..]);
        let mut bytes = [0; 4];
        assert_eq!(InputStream::read(&input, &mut bytes).unwrap(), 2);
        let output = Arc::new(Mutex::new(Vec::new()));
        let stream: Arc<dyn OutputStream> = output.clone();
        assert_eq!(stream.write(&[IoSlice::new(b"x"), IoSlice::new(b"y")]).unwrap(), 2);
        assert_eq!(*output.lock().unwrap(), b"xy");
    }
}
