//! What engines write for `perf`. Each test has a process of its own: the files are those of the process.

use std::collections::HashMap;
use std::fs;

use instar::{Config, Engine, ErrorKind, Linker, Module, ProfilingStrategy, Store};

use crate::kit::{alone, fails};

const TEXT: &str = r#"(module $guest (import "h" "f" (func (param i64)))
  (func $one (export "one") (param i32) (result i32) (i32.const 1))
  (func (export "two") (call 0 (i64.const 2)) (call $three)) (func $three (nop)))"#;

fn engine(strategy: ProfilingStrategy) -> Engine {
    Engine::new(Config::new().profiler(strategy)).unwrap()
}

/// Name and address of the code of each function, by its own account.
fn functions(module: &Module) -> Vec<(String, usize, usize)> {
    let base = module.text().as_ptr().addr();
    let name = |f: &instar::FunctionCode| f.name.map_or(format!("wasm[{}]", f.index), str::to_string);
    module.functions().map(|f| (format!("guest!{}", name(&f)), base + f.range.start, f.range.len())).collect()
}

#[test]
fn the_perf_map_names_functions_and_trampolines_of_all_engines() {
    alone("profiling::the_perf_map_names_functions_and_trampolines_of_all_engines", || {
        let path = format!("/tmp/perf-{}.map", std::process::id());
        // Another runtime in this process has written before us.
        fs::write(&path, "1000 10 other\n").unwrap();
        let first = Module::new(&engine(ProfilingStrategy::PerfMap), TEXT).unwrap();
        let second = engine(ProfilingStrategy::PerfMap);
        // SAFETY: made just now.
        let second = unsafe { Module::deserialize(&second, first.serialize().unwrap()) }.unwrap();
        let unnamed = "(module (@custom \"name\" \"\\01\\06\\01\\00\\03a\\0ab\") (func nop))";
        let _third = Module::new(second.engine(), unnamed).unwrap();
        let map = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let mut lines = map.lines();
        assert_eq!(lines.next(), Some("1000 10 other"));
        let mut names = HashMap::new();
        for line in lines {
            let [start, len, name] = line.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
            let number = |text| usize::from_str_radix(text, 16).unwrap();
            names.insert((number(start), number(len)), name.to_string());
        }
        for module in [&first, &second] {
            for (name, start, len) in functions(module) {
                assert_eq!(names.get(&(start, len)), Some(&name), "{map}");
            }
        }
        for part in ["guest!host-to-wasm", "guest!wasm-to-host", "<unknown>!a?b"] {
            assert!(names.values().any(|name| name.starts_with(part)), "no {part}:\n{map}");
        }
    });
}

/// The records of a jitdump file: id, time, and what follows.
fn records(dump: &[u8]) -> Vec<(u32, u64, &[u8])> {
    let mut records = Vec::new();
    let mut rest = &dump[40..];
    while !rest.is_empty() {
        let len = u32_at(rest, 4) as usize;
        records.push((u32_at(rest, 0), u64_at(rest, 8), &rest[16..len]));
        rest = &rest[len..];
    }
    records
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

#[test]
fn the_jitdump_holds_the_code_of_all_functions() {
    alone("profiling::the_jitdump_holds_the_code_of_all_functions", || {
        let folder = std::env::temp_dir().join(format!("instar-jitdump-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        std::env::set_current_dir(&folder).unwrap();
        let first = Module::new(&engine(ProfilingStrategy::JitDump), TEXT).unwrap();
        let second = Module::new(&engine(ProfilingStrategy::JitDump), TEXT).unwrap();
        let process = std::process::id();
        let path = folder.join(format!("jit-{process}.dump"));
        let dump = fs::read(&path).unwrap();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        fs::remove_dir_all(&folder).unwrap();

        let path = path.to_str().unwrap();
        assert!(
            maps.lines().any(|l| l.ends_with(path) && l.contains("r-xp")),
            "perf record does not see {path}:\n{maps}"
        );
        assert_eq!([u32_at(&dump, 0), u32_at(&dump, 4), u32_at(&dump, 8)], [0x4a69_5444, 1, 40]);
        assert_eq!([u32_at(&dump, 16), u32_at(&dump, 20)], [0, process]);
        assert_eq!(u64_at(&dump, 32), 0);
        let machine = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
        assert_eq!(u32_at(&dump, 12), machine);
        let mut time = u64_at(&dump, 24);
        let mut found = HashMap::new();
        for (index, (id, at, record)) in records(&dump).into_iter().enumerate() {
            assert_eq!(id, 0, "only code is loaded");
            assert!(at >= time, "times ascend");
            time = at;
            assert_eq!(u32_at(record, 0), process);
            let [address, start, len, number] = [8, 16, 24, 32].map(|at| u64_at(record, at));
            assert_eq!((address, number), (start, index as u64));
            let (name, code) = record[40..].split_at(record[40..].iter().position(|&b| b == 0).unwrap());
            assert_eq!(code.len() as u64, 1 + len);
            found.insert(start as usize, (String::from_utf8(name.to_vec()).unwrap(), code[1..].to_vec()));
        }
        for module in [&first, &second] {
            for (name, start, len) in functions(module) {
                let at = start - module.text().as_ptr().addr();
                assert_eq!(found[&start], (name, module.text()[at..at + len].to_vec()));
            }
        }
        assert!(found.values().any(|(name, _)| name.starts_with("guest!host-to-wasm")));
    });
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_of_the_engine() {
    alone("profiling::a_file_that_cannot_be_written_is_an_error_of_the_engine", || {
        // A symbolic link where others may write is no place to write to; a folder is none either.
        let map = format!("/tmp/perf-{}.map", std::process::id());
        std::os::unix::fs::symlink("/tmp/elsewhere", &map).unwrap();
        let error = fails(Engine::new(Config::new().profiler(ProfilingStrategy::PerfMap)), ErrorKind::Os);
        fs::remove_file(&map).unwrap();
        assert!(error.message().contains(&map), "{error}");
        let folder = std::env::temp_dir().join(format!("instar-noperf-{}", std::process::id()));
        fs::create_dir_all(folder.join(format!("jit-{}.dump", std::process::id()))).unwrap();
        std::env::set_current_dir(&folder).unwrap();
        let error = fails(Engine::new(Config::new().profiler(ProfilingStrategy::JitDump)), ErrorKind::Os);
        fs::remove_dir_all(&folder).unwrap();
        assert!(error.message().contains(".dump"), "{error}");
        // Without, all is well, and a later attempt may succeed.
        let engine = Engine::new(Config::new().profiler(ProfilingStrategy::PerfMap)).unwrap();
        let module = Module::new(&engine, "(module (func (export \"f\")))").unwrap();
        fs::remove_file(&map).unwrap();
        Linker::new(&engine).instantiate(&mut Store::new(&engine, ()), &module).unwrap();
    });
}
