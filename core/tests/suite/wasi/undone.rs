//! What WASI functions write into a guest's memory is undone, wherever it lies and however writes are tracked.

use std::fs;

use instar::wasi::MemoryInputPipe;

use super::process::Stepping;
use super::*;
use crate::kit;

/// Where a call's answer goes.
const OUT: u64 = u64::MAX;

/// Functions that write, with arguments: `OUT` is where to, the second number the bytes that are certainly written there.
const WRITERS: &[(&str, &[u64], u64)] = &[
    ("args_get", &[OUT, 70_000], 8),
    ("args_get", &[70_000, OUT], 17),
    ("args_sizes_get", &[OUT, 70_000], 4),
    ("args_sizes_get", &[70_000, OUT], 4),
    ("environ_get", &[OUT, 70_000], 4),
    ("environ_get", &[70_000, OUT], 11),
    ("environ_sizes_get", &[70_000, OUT], 4),
    ("clock_res_get", &[1, OUT], 8),
    ("clock_time_get", &[1, 0, OUT], 8),
    ("fd_fdstat_get", &[4, OUT], 24),
    ("fd_filestat_get", &[4, OUT], 64),
    ("fd_prestat_get", &[3, OUT], 8),
    ("fd_prestat_dir_name", &[3, OUT, 1], 1),
    // One vector, which `look` puts to 64: to the place, as many bytes as the file has.
    ("fd_read", &[4, 64, 1, 80], 300),
    ("fd_pread", &[4, 64, 1, 0, 80], 300),
    ("fd_read", &[0, 64, 1, 80], 300),
    ("fd_read", &[4, 72, 0, OUT], 4),
    ("fd_readdir", &[3, OUT, 100, 0, 80], 100),
    ("fd_readdir", &[3, 70_000, 200, 0, OUT], 4),
    ("fd_seek", &[4, 3, 0, OUT], 8),
    ("fd_tell", &[4, OUT], 8),
    ("path_filestat_get", &[3, 0, 100, 1, OUT], 64),
    ("path_open", &[3, 0, 100, 1, 0, 0, 0, 0, OUT], 4),
    ("path_readlink", &[3, 101, 1, OUT, 1, 80], 1),
    ("path_readlink", &[3, 101, 1, 70_000, 100, OUT], 4),
    ("poll_oneoff", &[200, OUT, 1, 80], 32),
    ("poll_oneoff", &[200, 70_000, 1, OUT], 4),
    ("random_get", &[OUT, 300], 300),
];

fn context(folder: &TempDir) -> WasiCtx {
    let mut builder = WasiCtxBuilder::new();
    builder.args(["program", "argument"]).env("NAME", "value").stdin(MemoryInputPipe::new("x".repeat(300)));
    builder.monotonic_clock(Stepping::default()).secure_random(|bytes| bytes.fill(0x5a));
    builder.preopened_dir(folder.path(), "/", DirPerms::all(), FilePerms::all()).unwrap();
    builder.build()
}

/// Calls a function in an instance of its own. Says whether it wrote to all that it should.
fn call(pre: &InstancePre<WasiCtx>, folder: &TempDir, name: &str, args: &[u64], out: u64, len: u64) -> bool {
    let mut guest = Guest::of(pre, context(folder));
    assert_eq!(guest.open("f", 0, FD_READ), Ok(4));
    guest.put(SCRATCH, &[0; 16]);
    guest.put(100, b"fl");
    guest.put_vectors(64, &[(out, 300)]);
    guest.put(out, &vec![0xee; len as usize]);
    let args: Vec<u64> = args.iter().map(|&arg| if arg == OUT { out } else { arg }).collect();
    guest.ok(name, &args);
    guest.bytes(out, len) != vec![0xee; len as usize]
}

#[test]
fn what_each_function_writes_at_any_edge_is_undone_in_every_mode() {
    let folder = folder();
    fs::write(folder.path().join("f"), vec![7; 300]).unwrap();
    fs::create_dir(folder.path().join("a directory")).unwrap();
    std::os::unix::fs::symlink("f", folder.path().join("l")).unwrap();
    for mode in ["default", "signals-off", "reservation-0", "touched", "pages", "pages-signals-off", "dirty-off"] {
        let engine = kit::mode(mode).engine_with(|config| {
            config.max_instances(1);
        });
        let pre = pre(&engine);
        let memory = pre.memory("memory").unwrap();
        for &(name, args, len) in WRITERS {
            for edge in [768, 4096, 40_960, MEMORY] {
                let mut last = u64::MAX;
                for back in [1, 2, len / 2, len - 1, len, len + 1] {
                    // The end of what is written lies at the edge, or beyond it but for the memory's.
                    let out = if edge == MEMORY { edge - len.max(back) } else { edge - back };
                    let out = if name.starts_with("poll") { out & !7 } else { out & !3 };
                    if out != std::mem::replace(&mut last, out) {
                        assert!(call(&pre, &folder, name, args, out, len), "{mode}: {name} at {out} has written");
                    }
                }
            }
            let instance = pre.fresh(context(&folder)).unwrap();
            let mut bytes = vec![0xee; MEMORY as usize];
            instance.memory_read(&memory, 0, &mut bytes).unwrap();
            assert_eq!(bytes.iter().position(|&b| b != 0), None, "{mode}: after {name}");
        }
    }
}
