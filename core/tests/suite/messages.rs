//! Errors of wrong use say what was wrong, with which value, and what would be right.

use instar::{
    Config, Engine, Error, ErrorKind, Linker, MemoryType, Module, SharedMemory, Store, StoreLimitsBuilder, Val,
};

use crate::kit;

/// The error of a wrong use: of this kind, with all of these parts.
#[track_caller]
fn says<T>(result: Result<T, Error>, kind: ErrorKind, parts: &[&str]) {
    let Err(error) = result else { panic!("no error, though {parts:?} is wrong") };
    assert_eq!(error.kind(), kind, "{error}");
    for part in parts {
        assert!(error.message().contains(part), "{part:?} is not in {:?}", error.message());
    }
}

const MODULE: &str = r#"(module
    (memory (export "memory") 1 2)
    (table (export "table") 2 4 funcref)
    (global (export "constant") i32 (i32.const 1))
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#;

#[test]
fn exports_that_are_not_there_are_told_from_those_that_are() {
    let engine = Engine::default();
    let linker = Linker::<()>::new(&engine);
    let pre = linker.instantiate_pre(&kit::module(&engine, MODULE)).unwrap();
    let missing = ["no exported function `ad`", "there are: add, grow"];
    let of_another_kind = ["`memory` is exported, but is no function", "there are: add, grow"];
    says(pre.export::<(), ()>("ad"), ErrorKind::MissingExport, &missing);
    says(pre.export::<(), ()>("memory"), ErrorKind::MissingExport, &of_another_kind);
    says(pre.memory("m"), ErrorKind::MissingExport, &["there are: memory"]);
    let mut store = Store::new(&engine, ());
    let instance = pre.instantiate(&mut store).unwrap();
    says(instance.typed_func::<(), ()>(&mut store, "ad"), ErrorKind::MissingExport, &missing);
    says(instance.typed_func::<(), ()>(&mut store, "memory"), ErrorKind::MissingExport, &of_another_kind);
    let both = ["`add`", "(i32, i32) -> (i32)", "(i64) -> ()"];
    says(pre.export::<i64, ()>("add"), ErrorKind::Type, &both);
    says(instance.typed_func::<i64, ()>(&mut store, "add"), ErrorKind::Type, &both);
}

#[test]
fn wrong_values_are_named_by_their_places() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &kit::module(&engine, MODULE)).unwrap();
    let add = instance.func(&mut store, "add").unwrap();
    let (one, wide, mut room) = (Val::I32(1), Val::I64(1), [Val::I32(0)]);
    let few = add.call(&mut store, &[one], &mut room);
    says(few, ErrorKind::Type, &["expected 2 parameters (i32, i32), got 1"]);
    let odd = add.call(&mut store, &[one, wide], &mut room);
    says(odd, ErrorKind::Type, &["parameter 2 must be i32, got i64"]);
    let narrow = add.call(&mut store, &[one, one], &mut []);
    says(narrow, ErrorKind::Type, &["(i32, i32) -> (i32)", "expected 1, got 0"]);
    let constant = instance.global(&mut store, "constant").unwrap();
    says(constant.set(&mut store, one), ErrorKind::Type, &["constant", "only mutable globals can be set"]);
    let table = instance.table(&mut store, "table").unwrap();
    says(table.set(&mut store, 0, one), ErrorKind::Type, &["must be funcref, got i32"]);
    let memory = instance.memory(&mut store, "memory").unwrap();
    says(memory.write(&mut store, 65_530, &[0; 9]), ErrorKind::OutOfBounds, &["9 bytes", "65530", "65536"]);
    let mut other = Store::new(&engine, ());
    says(memory.write(&mut other, 0, &[0]), ErrorKind::StaleHandle, &["memory belongs to another store"]);
}

#[test]
fn imports_that_are_not_there_are_told_from_those_that_are() {
    let engine = Engine::default();
    let module = |text: &str| kit::module(&engine, text);
    let mut linker = Linker::<()>::new(&engine);
    let import = module(r#"(module (import "env" "f" (func (param i32) (result i64))))"#);
    let nothing = ["`env.f`", "(i32) -> (i64)", "nothing of module `env` is defined"];
    says(linker.instantiate_pre(&import), ErrorKind::Link, &nothing);
    for i in 0..10 {
        linker.func_wrap("env", &format!("f{i}"), |_: i32| 1i32).unwrap();
    }
    let others = ["`env.f`", "there are: f0, f1, f2, f3, f4, f5, f6, f7 and 2 more"];
    says(linker.instantiate_pre(&import), ErrorKind::Link, &others);
    let mistyped = module(r#"(module (import "env" "f1" (func (param i32) (result i64))))"#);
    says(linker.instantiate_pre(&mistyped), ErrorKind::Link, &["`env.f1`", "(i32) -> (i64)", "(i32) -> (i32)"]);
    says(linker.func_wrap("env", "f1", || ()).map(|_| ()), ErrorKind::Link, &["`env.f1`", "allow_shadowing"]);
}

#[test]
fn modules_that_need_more_name_the_switch() {
    let engine = Engine::default();
    let wide = "(module (func (param i64 i64 i64 i64) (result i64 i64)
        local.get 0 local.get 1 local.get 2 local.get 3 i64.add128))";
    says(Module::new(&engine, wide), ErrorKind::Unsupported, &["at offset 0x", "wasm_wide_arithmetic switches it on"]);
    let vectors = Engine::new(Config::new().wasm_simd(false).wasm_relaxed_simd(false)).unwrap();
    let simd = "(module (global v128 (v128.const i64x2 0 0)))";
    says(Module::new(&vectors, simd), ErrorKind::Unsupported, &["wasm_simd switches it on"]);
    for text in ["(module (tag))", "(module (type (struct (field i32))))"] {
        says(Module::new(&engine, text), ErrorKind::Unsupported, &["Instar does not have it"]);
    }
    says(Module::new(&engine, b"\0asm\x0d\0\x01\0"), ErrorKind::Unsupported, &["component", "core modules"]);
    says(Module::new(&engine, b"\x89PNG"), ErrorKind::InvalidModule, &["00 61 73 6d", "89 50 4e 47"]);
}

#[test]
fn bytes_that_are_no_artifact_are_told_from_those_that_are() {
    let engine = Engine::default();
    // SAFETY: none of the bytes are an artifact, so nothing of them is run.
    let load = |bytes: &[u8]| unsafe { Module::deserialize(&engine, bytes) };
    says(load(b"\0asm\x01\0\0\0"), ErrorKind::Artifact, &["this is WebAssembly", "Module::new"]);
    says(load(b"hello"), ErrorKind::Artifact, &["Module::serialize", "instar compile"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hello.cwasm");
    std::fs::write(&path, "hello").unwrap();
    // SAFETY: as above.
    let file = unsafe { Module::deserialize_file(&engine, &path) };
    says(file, ErrorKind::Artifact, &["hello.cwasm", "Module::serialize"]);
    let artifact = kit::module(&engine, MODULE).serialize().unwrap();
    says(Module::new(&engine, artifact), ErrorKind::InvalidModule, &["precompiled", "Module::deserialize"]);
}

#[test]
fn limits_and_settings_are_named() {
    let says_config = |config: &mut Config, parts: &[&str]| says(Engine::new(config), ErrorKind::Config, parts);
    says_config(Config::new().wasm_bulk_memory(false), &["wasm_reference_types", "wasm_bulk_memory", "both"]);
    says_config(Config::new().max_wasm_stack(100), &["max_wasm_stack is 100", "at least 16384"]);
    says_config(Config::new().max_instances(0), &["max_instances is 0", "at least 1"]);
    says_config(Config::new().memory_guard_size(1 << 46), &["memory_reservation and memory_guard_size", "64 TiB"]);
    let engine = Engine::new(Config::new().max_memory_pages(1).max_instances(1)).unwrap();
    let linker = Linker::<()>::new(&engine);
    let large = kit::module(&engine, "(module (memory 2))");
    says(linker.instantiate_pre(&large), ErrorKind::Limit, &["2 pages", "max_memory_pages is 1"]);
    let pre = linker.instantiate_pre(&kit::module(&engine, "(module)")).unwrap();
    let only = pre.fresh(()).unwrap();
    says(pre.fresh(()), ErrorKind::PoolExhausted, &["all 1", "max_instances"]);
    drop(only);

    let engine = Engine::default();
    let limits = StoreLimitsBuilder::new().memory_size(1 << 16).trap_on_grow_failure(true).build();
    let mut store = Store::new(&engine, limits);
    store.limiter(|limits| limits);
    let instance = Linker::new(&engine).instantiate(&mut store, &kit::module(&engine, MODULE)).unwrap();
    let grow = instance.typed_func::<i32, i32>(&mut store, "grow").unwrap();
    says(grow.call(&mut store, 1), ErrorKind::Limit, &["65536", "131072", "the store's limiter"]);
    let plain = SharedMemory::new(&engine, MemoryType::new(1, None));
    says(plain, ErrorKind::Type, &["MemoryType::shared"]);
}
