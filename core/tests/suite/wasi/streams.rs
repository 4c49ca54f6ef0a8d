//! Standard streams, and reading and writing by vectors.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use instar::wasi::{InputStream, MemoryInputPipe, MemoryOutputPipe};

use super::*;

fn with_pipes(input: &[u8], capacity: usize) -> (Guest, MemoryOutputPipe) {
    let stdout = MemoryOutputPipe::new(capacity);
    let context = WasiCtxBuilder::new().stdin(MemoryInputPipe::new(input)).stdout(stdout.clone()).build();
    (Guest::new(context), stdout)
}

#[test]
fn vectors_are_written_in_order_and_empty_ones_do_nothing() {
    let (mut guest, stdout) = with_pipes(b"", 1000);
    guest.put(100, b"abcdef");
    // More than one write of the host takes.
    let vectors: Vec<(u64, u64)> = (0..40).map(|i| (100 + i % 6, i % 2)).collect();
    guest.put_vectors(0x1000, &vectors);
    guest.ok("fd_write", &[1, 0x1000, 40, 8]);
    assert_eq!(guest.u32(8), 20);
    assert_eq!(stdout.take(), b"bdfbdfbdfbdfbdfbdfbd");
    guest.ok("fd_write", &[1, 0x1000, 0, 8]);
    assert_eq!(guest.u32(8), 0);
    guest.put_vectors(0x1000, &[(100, 4), (102, 4), (100, 6)]);
    guest.ok("fd_write", &[1, 0x1000, 3, 8]);
    assert_eq!(stdout.take(), b"abcdcdefabcdef", "vectors may overlap");
}

#[test]
fn a_pipe_that_is_full_is_enospc_after_a_short_write() {
    let (mut guest, stdout) = with_pipes(b"", 10);
    assert_eq!(guest.write(1, b"1234567"), Ok(7));
    assert_eq!(guest.write(1, b"1234567"), Ok(3));
    assert_eq!(guest.write(1, b"1"), Err(NOSPC));
    assert_eq!(guest.write(1, b""), Ok(0));
    assert_eq!(stdout.contents(), b"1234567123");
    assert_eq!(guest.write(2, b"stderr is apart"), Ok(15));
}

#[test]
fn input_is_read_into_vectors_until_it_ends() {
    let (mut guest, _) = with_pipes(b"hello, world", 0);
    guest.put_vectors(0, &[(100, 3), (200, 0), (300, 100)]);
    guest.ok("fd_read", &[0, 0, 3, 64]);
    assert_eq!(guest.u32(64), 12);
    assert_eq!((guest.bytes(100, 4), guest.bytes(300, 10)), (b"hel\0".to_vec(), b"lo, world\0".to_vec()));
    assert_eq!(guest.read(0, 10), Ok(vec![]));

    let mut long = vec![b'x'; 200_000];
    long[199_999] = b'y';
    drop(guest);
    let (mut guest, _) = with_pipes(&long, 0);
    guest.put_vectors(0, &[(1000, 100_000)]);
    guest.ok("fd_read", &[0, 0, 1, 64]);
    assert_eq!((guest.u32(64), guest.bytes(100_999, 2)), (100_000, b"x\0".to_vec()));
    guest.ok("fd_read", &[0, 0, 1, 64]);
    assert_eq!((guest.u32(64), guest.bytes(100_999, 2)), (100_000, b"y\0".to_vec()));
}

#[test]
fn a_read_over_its_own_list_of_vectors_stays_in_memory() {
    let mut bad = Vec::new();
    for _ in 0..100 {
        bad.extend_from_slice(&[0xff; 8]);
    }
    let (mut guest, _) = with_pipes(&bad, 0);
    // The first vector overwrites the second with one that lies outside.
    guest.put_vectors(0, &[(8, 8), (100, 8)]);
    guest.ok("fd_read", &[0, 0, 2, 64]);
    assert_eq!(guest.u32(64), 8);
}

#[test]
fn streams_go_one_way_and_cannot_seek() {
    let (mut guest, _) = with_pipes(b"x", 10);
    assert_eq!(guest.write(0, b"x"), Err(BADF));
    assert_eq!(guest.read(1, 1), Err(BADF));
    for fd in 0..3 {
        assert_eq!(guest.call("fd_seek", &[fd, 0, 0, 0]), SPIPE);
        assert_eq!(guest.call("fd_tell", &[fd, 0]), SPIPE);
        assert_eq!(guest.call("fd_pread", &[fd, 0, 0, 0, 0]), SPIPE);
        assert_eq!(guest.call("fd_pwrite", &[fd, 0, 0, 0, 0]), SPIPE);
        assert_eq!(guest.call("fd_filestat_set_size", &[fd, 0]), INVAL);
        assert_eq!(guest.call("fd_readdir", &[fd, 0, 100, 0, 0]), NOTDIR);
        guest.ok("fd_filestat_get", &[fd, 0]);
        assert_eq!(guest.bytes(16, 1), [0]);
        let (kind, flags, rights, _) = guest.fdstat(fd);
        assert_eq!((kind, flags), (0, 0));
        assert_eq!(rights & (FD_READ | FD_WRITE), if fd == 0 { FD_READ } else { FD_WRITE });
        assert_eq!(rights & (1 << 2 | 1 << 5), 0, "a terminal is told by its lack of seek and tell");
        guest.ok("fd_fdstat_set_flags", &[fd, NONBLOCK]);
        assert_eq!(guest.fdstat(fd).1, NONBLOCK as u16);
        assert_eq!(guest.call("fd_fdstat_set_flags", &[fd, 16]), NOTSUP);
        assert_eq!(guest.call("fd_fdstat_set_flags", &[fd, 32]), INVAL);
    }
    assert_eq!(guest.read(0, 1), Ok(b"x".to_vec()), "a pipe never makes anybody wait");
}

struct Terminal;

impl InputStream for Terminal {
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the cable came off"))
    }
    fn is_terminal(&self) -> bool {
        true
    }
}

#[test]
fn a_terminal_looks_like_one_and_errors_of_streams_arrive() {
    let mut guest = Guest::new(WasiCtxBuilder::new().stdin(Terminal).build());
    assert_eq!(guest.fdstat(0).0, 2);
    assert_eq!(guest.read(0, 1), Err(29));
}

struct Failing(usize);

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let len = bytes.len().min(self.0);
        self.0 -= len;
        Ok(len)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn any_writer_can_be_a_stream() {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let context = WasiCtxBuilder::new().stdout(bytes.clone()).stderr(Mutex::new(Failing(3))).build();
    let mut guest = Guest::new(context);
    assert_eq!(guest.write(1, b"hello"), Ok(5));
    assert_eq!(*bytes.lock().unwrap(), b"hello");
    assert_eq!(guest.write(2, b"hello"), Ok(3));
    assert_eq!(guest.write(2, b"lo"), Err(64));
}

#[test]
fn streams_can_be_closed_moved_and_replaced_per_request() {
    let pre = pre(&one_slot());
    let template = WasiCtxBuilder::new().build();
    for request in 0..3 {
        let stdout = MemoryOutputPipe::new(100);
        let mut context = template.clone();
        context.set_stdin(MemoryInputPipe::new(format!("{request}"))).set_stdout(stdout.clone());
        let mut guest = Guest::of(&pre, context);
        assert_eq!(guest.read(0, 10).unwrap(), format!("{request}").as_bytes());
        guest.ok("fd_renumber", &[1, 2]);
        assert_eq!(guest.write(1, b"x"), Err(BADF));
        assert_eq!(guest.write(2, b"moved"), Ok(5));
        guest.ok("fd_close", &[2]);
        assert_eq!(guest.call("fd_close", &[2]), BADF);
        assert_eq!(stdout.contents(), b"moved");
    }
}

/// Runs in a child of its own, whose output the parent looks at.
#[test]
fn inherited_streams_are_the_process_s() {
    let ended = crate::kit::in_child("wasi::streams::inherited_streams_are_the_process_s", || {
        let mut guest = Guest::new(WasiCtxBuilder::new().inherit_stdio().build());
        print!("<host first>");
        guest.write(1, b"<guest out>").unwrap();
        guest.write(2, b"<guest err>").unwrap();
        guest.put_vectors(0, &[(100, 4)]);
        guest.ok("fd_fdstat_set_flags", &[0, NONBLOCK]);
        // Whatever the parent's standard input is, this comes back at once.
        let _ = guest.call("fd_read", &[0, 0, 1, 64]);
    });
    assert!(ended.status.success(), "{}", ended.output);
    assert!(ended.output.contains("<host first><guest out>"), "{}", ended.output);
    assert!(ended.output.contains("<guest err>"), "{}", ended.output);
}
