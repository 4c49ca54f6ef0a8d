//! Arguments, variables, clocks, random bytes, exit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use instar::wasi::{HostMonotonicClock, HostWallClock, I32Exit, WasiCtx, WasiCtxBuilder};
use instar::{ErrorKind, Linker};

use super::*;
use crate::kit::fails;

/// What `args_get` or `environ_get` gives.
fn strings(guest: &mut Guest, sizes: &str, get: &str) -> Vec<String> {
    guest.ok(sizes, &[0, 4]);
    let (count, len) = (guest.u32(0), guest.u32(4));
    guest.put(100 + u64::from(len), b"#");
    guest.ok(get, &[16, 100]);
    let ends: Vec<u64> = (1..=count)
        .map(|i| if i == count { 100 + u64::from(len) } else { u64::from(guest.u32(16 + 4 * u64::from(i))) })
        .collect();
    assert_eq!(guest.bytes(100 + u64::from(len), 1), b"#", "nothing is written beyond the size that was told");
    (0..count as usize)
        .map(|i| {
            let start = u64::from(guest.u32(16 + 4 * i as u64));
            let bytes = guest.bytes(start, ends[i] - start);
            assert_eq!(bytes.last(), Some(&0));
            String::from_utf8(bytes[..bytes.len() - 1].to_vec()).unwrap()
        })
        .collect()
}

#[test]
fn nothing_is_visible_that_was_not_granted() {
    let mut guest = Guest::new(WasiCtxBuilder::new().build());
    assert!(std::env::vars().count() > 0, "the host has variables");
    assert_eq!(strings(&mut guest, "args_sizes_get", "args_get"), [""; 0]);
    assert_eq!(strings(&mut guest, "environ_sizes_get", "environ_get"), [""; 0]);
    assert_eq!(guest.read(0, 10), Ok(vec![]));
    assert_eq!(guest.write(1, b"into the void"), Ok(13));
    assert_eq!(guest.call("fd_prestat_get", &[3, 0]), BADF);
    assert_eq!(guest.open("x", 0, FD_READ), Err(BADF));
    for fd in 0..3 {
        assert_eq!(guest.open_at(fd, "/etc/passwd", 0, FD_READ, 0), Err(NOTDIR));
    }
}

#[test]
fn arguments_and_variables_arrive_in_order() {
    let mut builder = WasiCtxBuilder::new();
    builder.arg("program").args(["", "-x", "ü"]).env("A", "1").envs([("B", ""), ("C", "=")]);
    let mut guest = Guest::new(builder.build());
    assert_eq!(strings(&mut guest, "args_sizes_get", "args_get"), ["program", "", "-x", "ü"]);
    assert_eq!(strings(&mut guest, "environ_sizes_get", "environ_get"), ["A=1", "B=", "C=="]);

    let mut context = builder.build();
    context.set_args(["other"]).set_envs([("D", "4")]);
    drop(guest);
    let mut guest = Guest::new(context);
    assert_eq!(strings(&mut guest, "args_sizes_get", "args_get"), ["other"]);
    assert_eq!(strings(&mut guest, "environ_sizes_get", "environ_get"), ["D=4"]);
}

#[test]
fn inherited_arguments_and_variables_are_this_process_s() {
    let mut guest = Guest::new(WasiCtxBuilder::new().inherit_args().inherit_env().build());
    guest.ok("args_sizes_get", &[0, 4]);
    assert_eq!(guest.u32(0) as usize, std::env::args_os().count());
    guest.ok("environ_sizes_get", &[0, 4]);
    assert_eq!(guest.u32(0) as usize, std::env::vars_os().count());
}

#[test]
fn the_system_s_clocks_run() {
    let mut guest = Guest::new(WasiCtxBuilder::new().build());
    guest.ok("clock_time_get", &[0, 0, 8]);
    let host = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    assert!(host.abs_diff(guest.u64(8)) < 60_000_000_000);
    guest.ok("clock_time_get", &[1, 0, 8]);
    let first = guest.u64(8);
    assert!((1..3_600_000_000_000).contains(&first), "the host's uptime does not show");
    guest.ok("clock_time_get", &[1, 0, 8]);
    assert!(guest.u64(8) >= first);
    for id in [0, 1] {
        guest.ok("clock_res_get", &[id, 8]);
        assert!((1..=1_000_000_000).contains(&guest.u64(8)));
    }
    for id in [2, 3, 4, u64::from(u32::MAX)] {
        assert_eq!(guest.call("clock_time_get", &[id, 0, 8]), INVAL);
        assert_eq!(guest.call("clock_res_get", &[id, 8]), INVAL);
    }
}

/// A clock that goes on by a step each time it is asked, and when somebody sleeps.
#[derive(Clone, Default)]
pub struct Stepping(pub Arc<AtomicU64>);

impl HostMonotonicClock for Stepping {
    fn resolution(&self) -> u64 {
        10
    }
    fn now(&self) -> u64 {
        self.0.fetch_add(10, Ordering::Relaxed) + 10
    }
    fn sleep(&self, duration_ns: u64) {
        self.0.fetch_add(duration_ns, Ordering::Relaxed);
    }
}

struct NewYear;

impl HostWallClock for NewYear {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }
    fn now(&self) -> Duration {
        Duration::from_secs(946_684_800)
    }
}

#[test]
fn an_embedder_s_clocks_and_random_bytes_are_taken() {
    let mut builder = WasiCtxBuilder::new();
    builder.wall_clock(NewYear).monotonic_clock(Stepping::default());
    builder.secure_random(|bytes| bytes.fill(0x5a));
    let mut guest = Guest::new(builder.build());
    guest.ok("clock_time_get", &[0, 0, 8]);
    assert_eq!(guest.u64(8), 946_684_800_000_000_000);
    guest.ok("clock_res_get", &[0, 8]);
    assert_eq!(guest.u64(8), 1_000_000_000);
    guest.ok("clock_time_get", &[1, 0, 8]);
    assert_eq!(guest.u64(8), 10);
    guest.ok("clock_res_get", &[1, 8]);
    assert_eq!(guest.u64(8), 10);
    guest.ok("random_get", &[1, 4]);
    assert_eq!(guest.bytes(0, 6), [0, 0x5a, 0x5a, 0x5a, 0x5a, 0]);
}

#[test]
fn random_bytes_differ_unless_they_are_seeded() {
    let bytes = |context: WasiCtx| {
        let mut guest = Guest::new(context);
        guest.ok("random_get", &[0, 1000]);
        assert_eq!(guest.bytes(1000, 8), [0; 8]);
        guest.bytes(0, 1000)
    };
    let system = WasiCtxBuilder::new().build();
    assert_ne!(bytes(system.clone()), bytes(system));
    let seeded = WasiCtxBuilder::new().random_seed(1).build();
    assert_eq!(bytes(seeded.clone()), bytes(seeded.clone()));
    assert_ne!(bytes(seeded), bytes(WasiCtxBuilder::new().random_seed(2).build()));
}

#[test]
fn exit_comes_back_as_an_error_with_its_code() {
    for code in [0, 3, -1, i32::MAX] {
        let mut guest = Guest::new(WasiCtxBuilder::new().build());
        let error = fails(guest.try_call("proc_exit", &[u64::from(code as u32)]), ErrorKind::Host);
        assert_eq!(error.downcast_ref::<I32Exit>(), Some(&I32Exit(code)));
        assert!(error.message().contains(&code.to_string()), "{error}");
        guest.ok("sched_yield", &[]);
    }
    assert_eq!(I32Exit(-1).process_exit_code(), 255);
}

#[test]
fn contexts_and_builders_can_go_to_any_thread() {
    fn anywhere<T: Send + Sync + Clone + 'static>() {}
    anywhere::<WasiCtx>();
    anywhere::<WasiCtxBuilder>();
    anywhere::<instar::wasi::MemoryOutputPipe>();
}

#[test]
fn what_does_not_exist_says_so() {
    let mut guest = Guest::new(WasiCtxBuilder::new().build());
    assert_eq!(guest.call("proc_raise", &[6]), NOTSUP);
    for (name, rest) in [("sock_accept", 2), ("sock_recv", 5), ("sock_send", 4), ("sock_shutdown", 1)] {
        assert_eq!(guest.call(name, &[&[0u64][..], &vec![0; rest]].concat()), NOTSOCK);
        assert_eq!(guest.call(name, &[&[77u64][..], &vec![0; rest]].concat()), BADF);
    }
}

#[test]
fn a_module_without_memory_can_be_linked_and_run() {
    let engine = one_slot();
    let mut linker = Linker::<WasiCtx>::new(&engine);
    wasi::add_to_linker(&mut linker, |context| context).unwrap();
    let pre = linker
        .instantiate_pre(&module(
            &engine,
            r#"(module (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
                 (func (export "f") (result i32) (call $random (i32.const 0) (i32.const 8))))"#,
        ))
        .unwrap();
    let f = pre.export::<(), u32>("f").unwrap();
    assert_eq!(pre.call(WasiCtxBuilder::new().build(), &f, ()).unwrap(), FAULT);
}

#[test]
fn the_context_may_lie_anywhere_in_the_host_data() {
    struct Data {
        requests: u32,
        wasi: WasiCtx,
    }
    let engine = one_slot();
    let mut linker = Linker::<Data>::new(&engine);
    wasi::add_to_linker(&mut linker, |data: &mut Data| &mut data.wasi).unwrap();
    fails(wasi::add_to_linker(&mut linker, |data: &mut Data| &mut data.wasi), ErrorKind::Link);
    let pre = linker
        .instantiate_pre(&module(
            &engine,
            r#"(module (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
                 (memory (export "memory") 1)
                 (func (export "f") (result i32)
                   (drop (call $sizes (i32.const 0) (i32.const 4))) (i32.load (i32.const 0))))"#,
        ))
        .unwrap();
    let f = pre.export::<(), u32>("f").unwrap();
    let wasi = WasiCtxBuilder::new().args(["a", "b"]).build();
    let mut instance = pre.fresh(Data { requests: 7, wasi }).unwrap();
    assert_eq!(instance.call(&f, ()).unwrap(), 2);
    assert_eq!(instance.data().requests, 7);
}
