//! `poll_oneoff`.

use std::time::{Duration, Instant};

use instar::wasi::{HostMonotonicClock, InputStream, MemoryInputPipe};

use super::process::Stepping;
use super::*;

const SUBSCRIPTIONS: u64 = 0x1000;
const EVENTS: u64 = 0x8000;

fn put_clock(guest: &mut Guest, index: u64, userdata: u64, id: u32, timeout_ns: u64, absolute: bool) {
    let at = SUBSCRIPTIONS + 48 * index;
    guest.put(at, &[0; 48]);
    guest.put(at, &userdata.to_le_bytes());
    guest.put(at + 16, &id.to_le_bytes());
    guest.put(at + 24, &timeout_ns.to_le_bytes());
    guest.put(at + 40, &[u8::from(absolute)]);
}

fn put_fd(guest: &mut Guest, index: u64, userdata: u64, tag: u8, fd: u32) {
    let at = SUBSCRIPTIONS + 48 * index;
    guest.put(at, &[0; 48]);
    guest.put(at, &userdata.to_le_bytes());
    guest.put(at + 8, &[tag]);
    guest.put(at + 16, &fd.to_le_bytes());
}

/// Events: userdata, errno, type, bytes available, flags.
fn poll(guest: &mut Guest, count: u64) -> Vec<(u64, u16, u8, u64, u16)> {
    guest.ok("poll_oneoff", &[SUBSCRIPTIONS, EVENTS, count, 8]);
    let found = guest.u32(8);
    assert!((1..=count).contains(&u64::from(found)));
    (0..u64::from(found))
        .map(|i| EVENTS + 32 * i)
        .map(|at| {
            (guest.u64(at), guest.u16(at + 8), guest.bytes(at + 10, 1)[0], guest.u64(at + 16), guest.u16(at + 24))
        })
        .collect()
}

#[test]
fn a_relative_timeout_passes_in_real_time() {
    let mut guest = Guest::new(WasiCtxBuilder::new().build());
    for id in [0, 1] {
        put_clock(&mut guest, 0, 77, id, 30_000_000, false);
        let start = Instant::now();
        assert_eq!(poll(&mut guest, 1), [(77, 0, 0, 0, 0)]);
        assert!(start.elapsed() >= Duration::from_millis(30));
    }
    put_clock(&mut guest, 0, 78, 1, 0, false);
    assert_eq!(poll(&mut guest, 1), [(78, 0, 0, 0, 0)]);
}

#[test]
fn an_absolute_timeout_is_a_time_of_its_clock() {
    let mut guest = Guest::new(WasiCtxBuilder::new().build());
    for id in [0u32, 1] {
        guest.ok("clock_time_get", &[u64::from(id), 0, 0]);
        let then = guest.u64(0) + 30_000_000;
        put_clock(&mut guest, 0, 5, id, then, true);
        assert_eq!(poll(&mut guest, 1), [(5, 0, 0, 0, 0)]);
        guest.ok("clock_time_get", &[u64::from(id), 0, 0]);
        assert!(guest.u64(0) >= then);
        put_clock(&mut guest, 0, 6, id, 1, true);
        assert_eq!(poll(&mut guest, 1), [(6, 0, 0, 0, 0)], "what is past is past");
    }
}

#[test]
fn the_soonest_of_several_wins() {
    let clock = Stepping::default();
    let mut guest = Guest::new(WasiCtxBuilder::new().monotonic_clock(clock.clone()).build());
    let hour = 3_600_000_000_000;
    put_clock(&mut guest, 0, 1, 1, 5 * hour, false);
    put_clock(&mut guest, 1, 2, 1, 2 * hour, false);
    put_clock(&mut guest, 2, 3, 1, u64::MAX, true);
    let start = Instant::now();
    assert_eq!(poll(&mut guest, 3), [(2, 0, 0, 0, 0)]);
    assert!(start.elapsed() < Duration::from_secs(60), "the embedder's clock was slept by");
    assert!(clock.now() >= 2 * hour);
}

struct Frozen;

impl HostMonotonicClock for Frozen {
    fn resolution(&self) -> u64 {
        1
    }
    fn now(&self) -> u64 {
        1000
    }
}

#[test]
fn a_clock_that_stands_still_does_not_hang_a_guest() {
    let mut guest = Guest::new(WasiCtxBuilder::new().monotonic_clock(Frozen).build());
    for (timeout, absolute) in [(2_000_000, false), (2_001_000, true)] {
        put_clock(&mut guest, 0, 9, 1, timeout, absolute);
        assert_eq!(poll(&mut guest, 1), [(9, 0, 0, 0, 0)]);
    }
}

#[test]
fn pipes_files_and_directories_are_ready() {
    let folder = folder();
    std::fs::write(folder.path().join("f"), b"12345").unwrap();
    let mut builder = WasiCtxBuilder::new();
    builder.stdin(MemoryInputPipe::new("abc"));
    builder.preopened_dir(folder.path(), ".", DirPerms::all(), FilePerms::all()).unwrap();
    let mut guest = Guest::new(builder.build());
    let file = guest.open("f", 0, FD_READ).unwrap() as u32;
    guest.read(u64::from(file), 2).unwrap();
    put_fd(&mut guest, 0, 1, 1, 0);
    put_fd(&mut guest, 1, 2, 2, 1);
    put_fd(&mut guest, 2, 3, 1, file);
    put_fd(&mut guest, 3, 4, 2, file);
    put_fd(&mut guest, 4, 5, 1, 99);
    put_clock(&mut guest, 5, 6, 1, u64::MAX, false);
    put_clock(&mut guest, 6, 7, 4, 0, false);
    assert_eq!(
        poll(&mut guest, 7),
        [
            (1, 0, 1, 3, 0),
            (2, 0, 2, 1, 0),
            (3, 0, 1, 3, 0),
            (4, BADF as u16, 2, 0, 0),
            (5, BADF as u16, 1, 0, 0),
            (7, INVAL as u16, 0, 0, 0)
        ]
    );
}

/// The reading end of a pipe of the host.
struct HostPipe(std::io::PipeReader);

impl InputStream for HostPipe {
    fn read(&self, into: &mut [u8]) -> std::io::Result<usize> {
        std::io::Read::read(&mut &self.0, into)
    }
    fn poll_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        Some(std::os::fd::AsFd::as_fd(&self.0))
    }
}

#[test]
fn a_stream_of_the_host_is_waited_for() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut guest = Guest::new(WasiCtxBuilder::new().stdin(HostPipe(reader)).build());
    put_fd(&mut guest, 0, 1, 1, 0);
    put_clock(&mut guest, 1, 2, 1, 20_000_000, false);
    assert_eq!(poll(&mut guest, 2), [(2, 0, 0, 0, 0)], "nothing there: the time passes");
    guest.ok("fd_fdstat_set_flags", &[0, NONBLOCK]);
    assert_eq!(guest.read(0, 8), Err(AGAIN));

    let writing = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        std::io::Write::write_all(&mut writer, b"late").unwrap();
        writer
    });
    put_clock(&mut guest, 1, 2, 1, 60_000_000_000, false);
    assert_eq!(poll(&mut guest, 2)[0].0, 1);
    assert_eq!(guest.read(0, 8), Ok(b"late".to_vec()));
    drop(writing.join().unwrap());
    let events = poll(&mut guest, 1);
    assert_eq!((events[0].0, events[0].4 & 1), (1, 1), "the other end has hung up");
    assert_eq!(guest.read(0, 8), Ok(vec![]));
}

#[test]
fn lists_that_are_empty_too_long_or_wrong_are_refused() {
    let mut guest = Guest::new(WasiCtxBuilder::new().build());
    assert_eq!(guest.call("poll_oneoff", &[SUBSCRIPTIONS, EVENTS, 0, 8]), INVAL);
    assert_eq!(guest.call("poll_oneoff", &[SUBSCRIPTIONS, EVENTS, 4097, 8]), INVAL);
    assert_eq!(guest.call("poll_oneoff", &[SUBSCRIPTIONS, EVENTS, 0xffff_ffff, 8]), INVAL);
    assert_eq!(guest.call("poll_oneoff", &[MEMORY - 47, EVENTS, 1, 8]), FAULT);
    assert_eq!(guest.call("poll_oneoff", &[SUBSCRIPTIONS, MEMORY - 31, 1, 8]), FAULT);
    assert_eq!(guest.call("poll_oneoff", &[SUBSCRIPTIONS, EVENTS, 1, MEMORY - 3]), FAULT);
    put_fd(&mut guest, 0, 1, 3, 0);
    assert_eq!(guest.call("poll_oneoff", &[SUBSCRIPTIONS, EVENTS, 1, 8]), INVAL);
    put_clock(&mut guest, 0, 1, 1, 0, false);
    guest.put(SUBSCRIPTIONS + 40, &[2]);
    assert_eq!(guest.call("poll_oneoff", &[SUBSCRIPTIONS, EVENTS, 1, 8]), INVAL);
}
