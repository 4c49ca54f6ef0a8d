//! Arguments that no honest program makes: an errno for each, never a trap, a panic, or memory in proportion to a number.

use std::fs;

use instar::wasi::MemoryInputPipe;

use super::process::Stepping;
use super::*;
use crate::kit::Random;

/// Position of a parameter that points to memory, and of the length that goes with it, if one does.
type Pointer = (usize, Option<usize>);

const POINTERS: &[(&str, &[Pointer])] = &[
    ("args_get", &[(0, None), (1, None)]),
    ("args_sizes_get", &[(0, None), (1, None)]),
    ("environ_get", &[(0, None), (1, None)]),
    ("environ_sizes_get", &[(0, None), (1, None)]),
    ("clock_res_get", &[(1, None)]),
    ("clock_time_get", &[(2, None)]),
    ("fd_fdstat_get", &[(1, None)]),
    ("fd_filestat_get", &[(1, None)]),
    ("fd_pread", &[(1, Some(2)), (4, None)]),
    ("fd_prestat_get", &[(1, None)]),
    ("fd_prestat_dir_name", &[(1, None)]),
    ("fd_pwrite", &[(1, Some(2)), (4, None)]),
    ("fd_read", &[(1, Some(2)), (3, None)]),
    ("fd_readdir", &[(1, Some(2)), (4, None)]),
    ("fd_seek", &[(3, None)]),
    ("fd_tell", &[(1, None)]),
    ("fd_write", &[(1, Some(2)), (3, None)]),
    ("path_create_directory", &[(1, Some(2))]),
    ("path_filestat_get", &[(2, Some(3)), (4, None)]),
    ("path_filestat_set_times", &[(2, Some(3))]),
    ("path_link", &[(2, Some(3)), (5, Some(6))]),
    ("path_open", &[(2, Some(3)), (8, None)]),
    ("path_readlink", &[(1, Some(2)), (3, Some(4)), (5, None)]),
    ("path_remove_directory", &[(1, Some(2))]),
    ("path_rename", &[(1, Some(2)), (4, Some(5))]),
    ("path_symlink", &[(0, Some(1)), (3, Some(4))]),
    ("path_unlink_file", &[(1, Some(2))]),
    ("poll_oneoff", &[(0, Some(2)), (1, None), (3, None)]),
    ("random_get", &[(0, Some(1))]),
];

/// A guest with a directory at 3 (an empty one at `d`, a link at `l`) and the file `f` at 4.
fn guest(folder: &TempDir) -> Guest {
    fs::write(folder.path().join("f"), b"0123456789").unwrap();
    fs::create_dir(folder.path().join("d")).unwrap();
    std::os::unix::fs::symlink("f", folder.path().join("l")).unwrap();
    let mut builder = WasiCtxBuilder::new();
    builder.args(["program", "argument"]).env("NAME", "value").stdin(MemoryInputPipe::new("input"));
    builder.monotonic_clock(Stepping::default());
    builder.preopened_dir(folder.path(), "/", DirPerms::all(), FilePerms::all()).unwrap();
    let mut guest = Guest::new(builder.build());
    assert_eq!(guest.open("f", 0, FD_READ | FD_WRITE), Ok(4));
    guest
}

/// Good arguments: each function succeeds with them.
fn good(guest: &mut Guest, name: &str) -> Vec<u64> {
    guest.put(0, &[0; 2048]);
    guest.put(1000, b"fldx");
    let (f, l, d, new) = (1000, 1001, 1002, 1003);
    guest.put_vectors(64, &[(1200, 4)]);
    let out = 512;
    match name {
        "clock_res_get" => vec![1, out],
        "clock_time_get" => vec![1, 0, out],
        "fd_fdstat_get" | "fd_filestat_get" | "fd_tell" => vec![4, out],
        "fd_prestat_get" => vec![3, out],
        "fd_prestat_dir_name" => vec![3, out, 1],
        "fd_read" | "fd_write" => vec![4, 64, 1, out],
        "fd_pread" | "fd_pwrite" => vec![4, 64, 1, 0, out],
        "fd_readdir" => vec![3, 600, 100, 0, out],
        "fd_seek" => vec![4, 0, 0, out],
        "path_create_directory" => vec![3, new, 1],
        "path_filestat_get" => vec![3, 0, f, 1, out],
        "path_filestat_set_times" => vec![3, 0, f, 1, 0, 0, 0],
        "path_link" => vec![3, 0, f, 1, 3, new, 1],
        "path_open" => vec![3, 0, f, 1, 0, 0, 0, 0, out],
        "path_readlink" => vec![3, l, 1, 600, 100, out],
        "path_remove_directory" => vec![3, d, 1],
        "path_rename" => vec![3, f, 1, 3, new, 1],
        "path_symlink" => vec![f, 1, 3, new, 1],
        "path_unlink_file" => vec![3, f, 1],
        // A clock without a timeout.
        "poll_oneoff" => vec![1300, 1400, 1, out],
        "random_get" => vec![600, 100],
        _ => vec![out, 600],
    }
}

#[test]
fn a_pointer_outside_memory_is_efault_and_nothing_has_happened() {
    for (name, pointers) in POINTERS {
        for (at, len_at) in *pointers {
            let folder = folder();
            let mut guest = guest(&folder);
            let args = good(&mut guest, name);
            let mut bad: Vec<(u64, Option<u64>)> = vec![(0xffff_ffff, None), (MEMORY, None), (1 << 31, None)];
            if len_at.is_none() && *name != "fd_prestat_dir_name" {
                bad.push((MEMORY - 1, None));
            }
            if len_at.is_some() && *name != "poll_oneoff" && !name.ends_with("read") && !name.ends_with("write") {
                bad.extend([(0, Some(0xffff_ffff)), (8, Some(MEMORY)), (0xffff_ffff, Some(0xffff_ffff))]);
            }
            for (pointer, len) in bad {
                let mut args = args.clone();
                args[*at] = pointer;
                if let (Some(at), Some(len)) = (len_at, len) {
                    args[*at] = len;
                }
                assert_eq!(guest.call(name, &args), FAULT, "{name}{args:x?}");
            }
            let mut names: Vec<_> =
                fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            assert_eq!(names, ["d", "f", "l"], "after {name}");
            assert_eq!(fs::read(folder.path().join("f")).unwrap(), b"0123456789", "after {name}");
            guest.ok("fd_tell", &[4, 0]);
            assert_eq!(guest.u64(0), 0, "after {name}");
            // The arguments were good but for that.
            let args = good(&mut guest, name);
            guest.ok(name, &args);
        }
    }
}

#[test]
fn a_vector_outside_memory_is_efault() {
    let folder = folder();
    let mut guest = guest(&folder);
    for (address, len) in [(MEMORY - 3, 4), (0xffff_ffff, 1), (0, 0xffff_ffff), (0xffff_fff0, 0xffff_fff0)] {
        for (fd, name) in [(4, "fd_read"), (4, "fd_write"), (0, "fd_read"), (1, "fd_write")] {
            guest.put_vectors(64, &[(1200, 4), (address, len)]);
            assert_eq!(guest.call(name, &[fd, 64, 2, 512]), FAULT);
        }
        guest.put_vectors(64, &[(1200, 4), (address, len)]);
        assert_eq!(guest.call("fd_pread", &[4, 64, 2, 0, 512]), FAULT);
        assert_eq!(guest.call("fd_pwrite", &[4, 64, 2, 0, 512]), FAULT);
    }
    for count in [1025, 0x1000_0000, 0x2000_0001, 0xffff_ffff] {
        assert_eq!(guest.call("fd_read", &[4, 64, count, 512]), INVAL);
        assert_eq!(guest.call("fd_write", &[4, 64, count, 512]), INVAL);
    }
    guest.put(1000, &[0; 1024 * 8]);
    guest.ok("fd_write", &[4, 1000, 1024, 512]);
    assert_eq!(fs::read(folder.path().join("f")).unwrap(), b"0123456789");
}

#[test]
fn huge_overlapping_vectors_move_a_bounded_number_of_bytes() {
    let folder = folder();
    let mut guest = guest(&folder);
    // Together 128 MiB, out of 128 KiB.
    guest.put_vectors(0, &vec![(0, MEMORY); 1024]);
    guest.ok("fd_read", &[4, 0, 1, 9000]);
    assert_eq!(guest.u32(9000), 10);
    guest.put_vectors(0, &vec![(0, MEMORY); 1024]);
    guest.ok("fd_write", &[1, 0, 1024, 9000]);
    assert_eq!(guest.u32(9000), 1024 * MEMORY as u32);
}

#[test]
fn descriptors_that_are_not_open_are_ebadf_everywhere() {
    let folder = folder();
    let mut guest = guest(&folder);
    for (name, params) in FUNCTIONS {
        if !(name.starts_with("fd_") || name.starts_with("path_") || name.starts_with("sock_"))
            || *name == "fd_renumber"
        {
            continue;
        }
        let fd_at = if *name == "path_symlink" { 2 } else { 0 };
        for fd in [5, 99, 0x7fff_ffff, 0xffff_ffff] {
            let mut args =
                if POINTERS.iter().any(|p| p.0 == *name) { good(&mut guest, name) } else { vec![0; params.len()] };
            args[fd_at] = fd;
            assert_eq!(guest.call(name, &args), BADF, "{name}{args:x?}");
        }
    }
}

/// Every function with arguments made up from what hurts, over and over. Slots are paranoid: each is compared with its image
/// after each guest, so a write that was not marked would abort.
#[test]
fn made_up_arguments_never_trap_or_panic() {
    let folder = folder();
    drop(guest(&folder));
    let inside = folder.path().join("d");
    let mut builder = WasiCtxBuilder::new();
    builder.args(["a", "bc"]).env("N", "v").monotonic_clock(Stepping::default()).random_seed(3).max_open_files(16);
    builder.preopened_dir(&inside, "/", DirPerms::all(), FilePerms::all()).unwrap();
    let template = builder.build();
    let pre = pre(&one_slot());
    let mut random = Random::new(0x5eed);
    let mut successes = 0;
    for round in 0..60 {
        let mut context = template.clone();
        context.set_stdin(MemoryInputPipe::new("input".repeat(100)));
        let mut guest = Guest::of(&pre, context);
        for _ in 0..200 {
            for at in (0..4096).step_by(8) {
                guest.put(at, &[(random.next() >> 40) as u8 & 0x3f, 0, 0, 0, 0, (random.next() >> 40) as u8 & 1, 0, 0]);
            }
            guest.put(1000, b"a/b/../c.d");
            let (name, params) = FUNCTIONS[random.below(FUNCTIONS.len() as u64) as usize];
            let args: Vec<u64> = params
                .chars()
                .map(|ty| {
                    let value = match random.below(8) {
                        0 => random.next(),
                        1 => MEMORY - random.below(32),
                        2 => u64::MAX - random.below(3),
                        3 => 1 << random.below(64),
                        4 | 5 => random.below(8),
                        _ => 1000 + random.below(12),
                    };
                    if ty == 'i' { value & 0xffff_ffff } else { value }
                })
                .collect();
            // Do not fill the disk that tests run on.
            if ["fd_allocate", "fd_filestat_set_size", "fd_pwrite", "fd_seek"].contains(&name)
                && args[1..].iter().any(|a| *a > 1 << 20)
            {
                continue;
            }
            successes += u32::from(guest.call(name, &args) == SUCCESS);
        }
        drop(guest);
        if round % 10 == 9 {
            fs::remove_dir_all(&inside).unwrap();
            fs::create_dir(&inside).unwrap();
        }
    }
    assert!(successes > 500, "some of it makes sense: {successes}");
}

/// The guest calls the host at every depth of its stack, down to the last frame there is room for: the thread ends before the
/// limit of the engine.
#[test]
fn the_host_has_stack_left_wherever_a_guest_calls_it() {
    let folder = folder();
    fs::create_dir_all(folder.path().join("a/b/c")).unwrap();
    std::os::unix::fs::symlink("b/../b/c", folder.path().join("a/link")).unwrap();
    let text = r#"(module
        (import "wasi_snapshot_preview1" "path_open"
          (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_readdir" (func $list (param i32 i32 i32 i64 i32) (result i32)))
        (import "wasi_snapshot_preview1" "path_rename" (func $rename (param i32 i32 i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "a/../a/link/../c/new")
        (global $depth (export "depth") (mut i32) (i32.const 0))
        (func $f (export "f")
          (if (call $open (i32.const 3) (i32.const 1) (i32.const 0) (i32.const 20) (i32.const 1) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 100))
            (then (unreachable)))
          (if (call $close (i32.load (i32.const 100))) (then (unreachable)))
          (if (call $list (i32.const 3) (i32.const 200) (i32.const 100) (i64.const 0) (i32.const 100)) (then (unreachable)))
          (if (call $rename (i32.const 3) (i32.const 0) (i32.const 20) (i32.const 3) (i32.const 0) (i32.const 20)) (then (unreachable)))
          (if (call $random (i32.const 200) (i32.const 100)) (then (unreachable)))
          (global.set $depth (i32.add (global.get $depth) (i32.const 1)))
          (call $f)))"#;
    let mut builder = WasiCtxBuilder::new();
    builder.preopened_dir(folder.path(), "/", DirPerms::all(), FilePerms::all()).unwrap();
    let template = builder.build();
    for stack in [256 << 10, 512 << 10] {
        let (template, text) = (template.clone(), text.to_string());
        let thread = std::thread::Builder::new().stack_size(stack).spawn(move || {
            let engine = crate::kit::engine(|config| {
                config.max_instances(1).max_wasm_stack(8 << 20);
            });
            let mut linker = Linker::new(&engine);
            wasi::add_to_linker(&mut linker, |context| context).unwrap();
            let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
            let f = pre.export::<(), ()>("f").unwrap();
            crate::kit::traps(pre.call(template, &f, ()), instar::TrapCode::StackOverflow);
        });
        thread.unwrap().join().unwrap();
    }
}
