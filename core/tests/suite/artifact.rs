//! Artifacts: what is loaded runs as what was compiled, and what is damaged or foreign is refused with the reason.

use std::fs;
use std::path::PathBuf;

use instar::{
    Config, Engine, ErrorKind, ExternType, FuncType, Linker, Module, OptLevel, Store, TrapCode, Val, ValType,
};
use proptest::prelude::*;

use crate::kit::{self, Random, fails, traps};

/// Everything that an artifact holds: names, imports, several memories with near, far and dynamic segments, tables with
/// known and unknown elements, globals of all types, a start function, traps, debug sections.
const TEXT: &str = r#"
    (module $everything
      (type $binary (func (param i32 i32) (result i32)))
      (import "host" "add" (func $add (type $binary)))
      (import "host" "base" (global $base i32))
      (memory (export "memory") 2 5)
      (memory $far (export "far") 200)
      (memory $empty 1)
      (table $t (export "table") 10 20 funcref)
      (table $init 4 funcref (ref.func $twice))
      (table $extern 2 externref)
      (global $counter (export "counter") (mut i32) (i32.const 7))
      (global $v (mut v128) (v128.const i64x2 -1 81985529216486895))
      (global $d f64 (f64.const -0.5))
      (global $f (mut funcref) (ref.func $twice))
      (global $sum i32 (i32.mul (i32.const 6) (i32.const 7)))
      (data (i32.const 8) "near")
      (data (i32.const 10) "AR")
      (data (i32.const 131068) "tail")
      (data (memory $far) (i32.const 5) "low")
      (data (memory $far) (i32.const 13107000) "high")
      (data (global.get $base) "dynamic")
      (data $passive "passive bytes")
      (elem (table $t) (i32.const 1) func $twice $add)
      (elem (table $t) (i32.const 2) funcref (ref.func $trap) (ref.null func))
      (elem $later func $add $twice)
      (elem declare func $trap)
      (func $twice (export "twice") (param i32) (result i32) (i32.add (local.get 0) (local.get 0)))
      (func $trap (export "divide") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
      (func (export "call") (param i32 i32) (result i32)
        (call_indirect (type $binary) (i32.const 9) (local.get 1) (local.get 0)))
      (func (export "host") (param i32) (result i32) (call $add (local.get 0) (i32.const 1)))
      (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
      (func (export "load_far") (param i32) (result i32) (i32.load8_u $far (local.get 0)))
      (func (export "store") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
      (func (export "init") (memory.init $passive (i32.const 100) (i32.const 0) (i32.const 7))
        (table.init $t $later (i32.const 5) (i32.const 0) (i32.const 2)))
      (func (export "is_null") (param i32) (result i32) (ref.is_null (table.get $t (local.get 0))))
      (func (export "from_init") (param i32) (result i32)
        (call_indirect $init (param i32) (result i32) (local.get 0) (i32.const 3)))
      (func (export "bump") (result i32) (global.set $counter (i32.add (global.get $counter) (i32.const 1))) (global.get $counter))
      (func (export "constants") (result f64 i32) (global.get $d) (global.get $sum))
      (func $start (global.set $counter (i32.const 40)))
      (start $start)
      (@custom ".debug_line" "\01\02\03"))
"#;

/// What an instance of [`TEXT`] does, in a few numbers.
fn behaviour(module: &Module) -> Vec<String> {
    let engine = module.engine();
    let mut store = Store::new(engine, ());
    let mut linker = Linker::new(engine);
    linker.func_wrap("host", "add", |a: i32, b: i32| a + b).unwrap();
    let base =
        instar::Global::new(&mut store, instar::GlobalType { content: ValType::I32, mutable: false }, Val::I32(70_000));
    linker.define(&mut store, "host", "base", base.unwrap()).unwrap();
    let mut seen = Vec::new();
    for round in 0..2 {
        let instance = linker.instantiate(&mut store, module).unwrap();
        let mut call = |name: &str, args: &[i32]| {
            let func = instance.func(&mut store, name).unwrap();
            let args: Vec<Val> = args.iter().map(|&a| Val::I32(a)).collect();
            let mut results = vec![Val::I32(0); func.ty(&mut store).unwrap().results().len()];
            let result = func.call(&mut store, &args, &mut results);
            seen.push(format!("{round} {name} {args:?}: {:?} {results:?}", result.map_err(|e| e.to_string())));
        };
        for at in [8, 9, 10, 11, 12, 131_068, 131_071, 131_072, 70_000, 70_006, 100] {
            call("load", &[at]);
        }
        for at in [5, 7, 8, 13_107_000, 13_107_003, 13_107_199, 13_107_200] {
            call("load_far", &[at]);
        }
        for element in 0..11 {
            call("is_null", &[element]);
        }
        call("call", &[2, 0]);
        call("call", &[2, 3]);
        call("call", &[1, 3]);
        call("init", &[]);
        call("load", &[106]);
        call("call", &[5, 4]);
        call("store", &[11, 1]);
        call("host", &[5]);
        call("from_init", &[21]);
        call("bump", &[]);
        call("constants", &[]);
        call("divide", &[1, 0]);
    }
    seen
}

fn everything(engine: &Engine) -> Module {
    kit::module(engine, TEXT)
}

/// A file that is removed with the value.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("instar-{}-{name}", std::process::id()));
        fs::write(&path, bytes).expect("the folder for temporary files is writable");
        TemporaryFile(path)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        _ = fs::remove_file(&self.0);
    }
}

fn deserialize(engine: &Engine, bytes: &[u8]) -> instar::Result<Module> {
    // SAFETY: made by this version in this process; what was changed since is refused before it runs.
    unsafe { Module::deserialize(engine, bytes) }
}

fn deserialize_file(engine: &Engine, file: &TemporaryFile) -> instar::Result<Module> {
    // SAFETY: as for `deserialize`; nobody changes the file while the module lives.
    unsafe { Module::deserialize_file(engine, &file.0) }
}

#[test]
fn a_module_behaves_the_same_compiled_deserialized_and_mapped_from_a_file() {
    let engine = kit::paranoid();
    let module = everything(&engine);
    let expected = behaviour(&module);
    assert!(expected.iter().any(|line| line.contains("wasm trap: integer divide by zero")), "{expected:#?}");
    let bytes = module.serialize().unwrap();
    drop(module);
    assert_eq!(behaviour(&deserialize(&engine, &bytes).unwrap()), expected);
    let file = TemporaryFile::new("same", &bytes);
    assert_eq!(behaviour(&deserialize_file(&engine, &file).unwrap()), expected);
    let sealing = kit::engine(|config| {
        config.seal_artifacts(true);
    });
    let sealed = deserialize_file(&sealing, &file).unwrap();
    // A sealed copy does not care what becomes of the file.
    fs::write(&file.0, vec![0; bytes.len()]).unwrap();
    fs::write(&file.0, b"").unwrap();
    assert_eq!(behaviour(&sealed), expected);
}

#[test]
fn what_is_known_of_a_module_is_the_same_after_loading() {
    let engine = kit::paranoid();
    let module = everything(&engine);
    let loaded = deserialize(&engine, &module.serialize().unwrap()).unwrap();
    assert_eq!(loaded.name(), Some("everything"));
    assert_eq!(loaded.imports().collect::<Vec<_>>(), module.imports().collect::<Vec<_>>());
    assert_eq!(loaded.exports().collect::<Vec<_>>(), module.exports().collect::<Vec<_>>());
    assert_eq!(loaded.functions().collect::<Vec<_>>(), module.functions().collect::<Vec<_>>());
    assert_eq!(loaded.text(), module.text());
    assert_eq!(loaded.serialize().unwrap(), module.serialize().unwrap());
    assert_eq!((loaded.function_name(0), loaded.function_name(1)), (Some("add"), Some("twice")));
    assert_eq!(loaded.function_name(3), None);
    let ExternType::Func(ty) = loaded.export("divide").unwrap() else { panic!("a function") };
    assert_eq!(ty, FuncType::new([ValType::I32, ValType::I32], [ValType::I32]));
}

#[test]
fn the_same_module_gives_the_same_bytes_whatever_the_number_of_threads() {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let functions: String = (0..200)
        .map(|i| {
            format!("(func (param i32) (result i32) (i32.div_u (i32.load offset={i} (local.get 0)) (i32.const {i})))\n")
        })
        .collect();
    for text in [TEXT.to_string(), format!("(module (memory 1) {functions})")] {
        let compile = |threads| {
            let engine = kit::paranoid();
            pool(threads).install(|| engine.precompile_module(text.as_bytes()).unwrap())
        };
        let one = compile(1);
        for threads in [1, 4, 4] {
            assert!(one == compile(threads), "{threads} threads");
        }
    }
}

#[test]
fn precompile_and_serialize_give_the_same_bytes_and_are_detected() {
    let engine = kit::paranoid();
    let bytes = engine.precompile_module(TEXT.as_bytes()).unwrap();
    assert!(bytes == everything(&engine).serialize().unwrap());
    assert!(Module::detect_precompiled(&bytes));
    assert!(!Module::detect_precompiled(b"\0asm\x01\0\0\0"));
    assert!(!Module::detect_precompiled(&bytes[..40]));
    assert!(!Module::detect_precompiled(b""));
    let program = fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(!Module::detect_precompiled(&program), "another ELF file");
    let file = TemporaryFile::new("detect", &bytes);
    assert!(Module::detect_precompiled_file(&file.0).unwrap());
    fs::write(&file.0, b"\0asm").unwrap();
    assert!(!Module::detect_precompiled_file(&file.0).unwrap());
}

#[test]
fn each_way_in_says_which_other_one_is_meant() {
    let engine = kit::paranoid();
    let bytes = engine.precompile_module(b"(module)").unwrap();
    let file = TemporaryFile::new("ways", &bytes);
    for error in [
        fails(Module::new(&engine, &bytes), ErrorKind::InvalidModule),
        fails(Module::from_file(&engine, &file.0), ErrorKind::InvalidModule),
        fails(Module::validate(&engine, &bytes), ErrorKind::InvalidModule),
    ] {
        assert!(error.to_string().contains("Module::deserialize_file"), "{error}");
    }
    let error = fails(deserialize(&engine, b"\0asm\x01\0\0\0"), ErrorKind::Artifact);
    assert!(error.to_string().contains("Module::new"), "{error}");
    fs::write(&file.0, b"\0asm\x01\0\0\0").unwrap();
    let error = fails(deserialize_file(&engine, &file), ErrorKind::Artifact);
    assert!(error.to_string().contains("Module::new"), "{error}");
    fs::write(&file.0, b"").unwrap();
    fails(deserialize_file(&engine, &file), ErrorKind::Artifact);
    let missing = TemporaryFile(PathBuf::from("/nonexistent/module.cwasm"));
    let error = fails(deserialize_file(&engine, &missing), ErrorKind::Os);
    assert!(error.to_string().contains("/nonexistent/module.cwasm"), "{error}");
    let folder = TemporaryFile(std::env::temp_dir());
    fails(deserialize_file(&engine, &folder), ErrorKind::Os);
    std::mem::forget(folder);
}

#[test]
fn a_module_is_validated_without_being_compiled() {
    let engine = kit::paranoid();
    Module::validate(&engine, TEXT).unwrap();
    let error = fails(Module::validate(&engine, "(module (func (result i32)))"), ErrorKind::InvalidModule);
    assert!(error.to_string().contains("offset 0x"), "{error}");
    let without = kit::engine(|config| {
        config.wasm_multi_memory(false);
    });
    fails(Module::validate(&without, TEXT), ErrorKind::InvalidModule);
}

#[test]
fn a_writer_replaces_a_file_at_once_and_leaves_nothing_else_behind() {
    let engine = kit::paranoid();
    let folder = std::env::temp_dir().join(format!("instar-{}-folder", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("module.cwasm");
    kit::module(&engine, "(module (func (export \"f\") (result i32) (i32.const 1)))").serialize_to_file(&path).unwrap();
    // SAFETY: the file is replaced below, and does not change.
    let old = unsafe { Module::deserialize_file(&engine, &path).unwrap() };
    everything(&engine).serialize_to_file(&path).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &old).unwrap();
    assert_eq!(instance.typed_func::<(), i32>(&mut store, "f").unwrap().call(&mut store, ()).unwrap(), 1);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    assert_eq!(fs::read(&path).unwrap(), everything(&engine).serialize().unwrap());
    fails(old.serialize_to_file(folder.join("missing").join("x")), ErrorKind::Os);
    fails(old.serialize_to_file("/"), ErrorKind::Os);
    fs::remove_dir_all(&folder).unwrap();
}

/// The artifact of one configuration in an engine with another.
#[track_caller]
fn refusal(made: impl FnOnce(&mut Config), loaded: impl FnOnce(&mut Config)) -> String {
    let bytes = kit::engine(made).precompile_module(b"(module)").unwrap();
    fails(deserialize(&kit::engine(loaded), &bytes), ErrorKind::Artifact).to_string()
}

#[test]
fn a_setting_that_differs_is_named_with_both_values() {
    type Change = fn(&mut Config);
    let changes: [(&str, &str, &str, Change); 7] = [
        ("cranelift_opt_level", "SpeedAndSize", "Speed", |c| _ = c.cranelift_opt_level(OptLevel::SpeedAndSize)),
        ("cranelift_nan_canonicalization", "true", "false", |c| _ = c.cranelift_nan_canonicalization(true)),
        ("relaxed_simd_deterministic", "true", "false", |c| _ = c.relaxed_simd_deterministic(true)),
        ("signals_based_traps", "false", "true", |c| _ = c.signals_based_traps(false)),
        ("memory_guard_size", "65536", "33554432", |c| _ = c.memory_guard_size(65_536)),
        ("enable_heap_access_spectre_mitigation", "false", "true", |c| {
            _ = c.enable_heap_access_spectre_mitigation(false)
        }),
        ("enable_table_access_spectre_mitigation", "false", "true", |c| {
            _ = c.enable_table_access_spectre_mitigation(false)
        }),
    ];
    for (name, changed, default, change) in changes {
        let message = refusal(change, |_| {});
        assert!(message.contains(&format!("made with {name}={changed}")), "{message}");
        assert!(message.contains(&format!("has {name}={default}")), "{message}");
        let message = refusal(|_| {}, change);
        assert!(message.contains(&format!("made with {name}={default}")), "{message}");
    }
}

#[test]
fn features_may_be_more_than_the_artifact_asks_for_and_not_less() {
    let less = |config: &mut Config| _ = config.wasm_threads(false).wasm_tail_call(false);
    let message = refusal(|_| {}, less);
    assert!(message.contains("wasm_threads") && message.contains("wasm_tail_call"), "{message}");
    let bytes = kit::engine(less).precompile_module(b"(module)").unwrap();
    deserialize(&kit::paranoid(), &bytes).unwrap();
}

#[test]
fn what_changes_no_code_is_no_reason_to_refuse() {
    let bytes = kit::paranoid().precompile_module(b"(module)").unwrap();
    let other = kit::engine(|config| {
        config.cranelift_debug_verifier(false).max_instances(3).max_memory_pages(7).generate_address_map(false);
    });
    deserialize(&other, &bytes).unwrap();
}

#[test]
fn engines_that_load_the_same_artifacts_have_the_same_hash() {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let hash = |engine: &Engine| {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.finish()
    };
    let default = hash(&kit::paranoid());
    assert_eq!(default, hash(&Engine::default()));
    assert_ne!(default, hash(&kit::engine(|c| _ = c.cranelift_nan_canonicalization(true))));
    assert_ne!(default, hash(&kit::engine(|c| _ = c.wasm_simd(false).wasm_relaxed_simd(false))));
}

/// Replaces the only occurrence of a text in the head of an artifact by one of the same length, and corrects the checksum
/// as another version of Instar would have written it.
fn forge(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).expect("the text is there");
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    correct(&mut bytes);
    bytes
}

/// Corrects the checksum of the head, at 180, whose length is at 176.
fn correct(bytes: &mut [u8]) {
    let head_len = u32::from_le_bytes(bytes[176..180].try_into().unwrap()) as usize;
    bytes[180..184].fill(0);
    let sum = crc32fast::hash(&bytes[..head_len.min(bytes.len())]);
    bytes[180..184].copy_from_slice(&sum.to_le_bytes());
}

#[test]
fn foreign_artifacts_are_refused_by_the_field_that_differs() {
    let engine = kit::paranoid();
    let bytes = engine.precompile_module(b"(module)").unwrap();
    let message = |bytes: &[u8]| fails(deserialize(&engine, bytes), ErrorKind::Artifact).to_string();
    let version = env!("CARGO_PKG_VERSION");
    let other = version.replace(|c: char| c.is_ascii_digit(), "7");
    let foreign = forge(&bytes, &format!("instar={version}"), &format!("instar={other}"));
    let text = message(&foreign);
    assert!(text.contains(&format!("instar={other}")) && text.contains(&format!("instar={version}")), "{text}");
    let text = message(&forge(&bytes, "-linux", "-plan9"));
    assert!(text.contains("-plan9") && text.contains("-linux") && text.contains("target="), "{text}");
    let text = message(&forge(&bytes, "page_size=4", "page_size=9"));
    assert!(text.contains("page_size=9"), "{text}");
    let cpu = if cfg!(target_arch = "x86_64") { "has_sse41" } else { "has_lse" };
    if String::from_utf8_lossy(&bytes).contains(cpu) {
        let unknown = format!("{}{}", &cpu[..cpu.len() - 1], "!");
        let text = message(&forge(&bytes, cpu, &unknown));
        assert!(text.contains(&unknown), "{text}");
    }
    // The format version is in the low half of e_flags.
    let mut format = bytes.clone();
    format[48] = 200;
    let text = message(&format);
    let reads = format!("reads {}", bytes[48]);
    assert!(text.contains("format version 200") && text.contains(&reads), "{text}");
    assert!(Module::detect_precompiled(&format), "of any version");
}

#[test]
fn a_truncated_artifact_is_refused_by_the_section_it_ends_in() {
    let engine = kit::paranoid();
    let bytes = everything(&engine).serialize().unwrap();
    let mut sections = std::collections::BTreeSet::new();
    for len in (0..bytes.len()).step_by(7).chain(bytes.len() - 40..bytes.len()) {
        let file = TemporaryFile::new("truncated", &bytes[..len]);
        for result in [deserialize(&engine, &bytes[..len]), deserialize_file(&engine, &file)] {
            let message = fails(result, ErrorKind::Artifact).to_string();
            if let Some((_, rest)) = message.split_once("truncated in ") {
                sections.insert(rest.split(':').next().unwrap().to_string());
                assert!(message.contains(&format!("{len} bytes")), "{message}");
            }
        }
    }
    for name in ["its headers", ".text", ".instar.image", ".symtab", ".strtab", ".wasm.debug"] {
        assert!(sections.contains(name), "{name} of {sections:?}");
    }
    let longer = [&bytes[..], b"x"].concat();
    fails(deserialize(&engine, &longer), ErrorKind::Artifact);
    fails(deserialize_file(&engine, &TemporaryFile::new("longer", &longer)), ErrorKind::Artifact);
}

#[test]
fn every_byte_that_is_changed_is_noticed() {
    let engine = kit::paranoid();
    let mut bytes = everything(&engine).serialize().unwrap();
    let mut random = Random::new(5);
    for at in 0..bytes.len() {
        let change = random.below(255) as u8 + 1;
        bytes[at] ^= change;
        match deserialize(&engine, &bytes) {
            Ok(_) => panic!("byte {at:#x} may be {:#x}", bytes[at]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Artifact, "{error}"),
        }
        bytes[at] ^= change;
    }
    deserialize(&engine, &bytes).unwrap();
}

/// Length of the head of an artifact.
fn head_len(bytes: &[u8]) -> usize {
    u32::from_le_bytes(bytes[176..180].try_into().unwrap()) as usize
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Declarations whose checksum is right though they are damaged: an error, or a module; never a panic, and no allocation
    /// out of all proportion. Such modules are not run.
    #[test]
    fn damaged_declarations_with_a_right_checksum_never_crash_the_loader(
        changes in prop::collection::vec((0usize..1 << 16, any::<u8>()), 1..4),
        cut in prop::option::of(0usize..1 << 16),
    ) {
        use std::sync::OnceLock;
        static BYTES: OnceLock<(Engine, Vec<u8>)> = OnceLock::new();
        let (engine, good) = BYTES.get_or_init(|| {
            let engine = Engine::default();
            let bytes = everything(&engine).serialize().unwrap();
            (engine, bytes)
        });
        let mut bytes = good.clone();
        let head = head_len(good);
        for (at, value) in changes {
            // Behind the sums: section headers, header text, declarations.
            bytes[200 + at % (head - 200)] = value;
        }
        if let Some(cut) = cut {
            let from = 200 + cut % (head - 200);
            bytes.copy_within(from..head, 200);
        }
        correct(&mut bytes);
        let file = TemporaryFile::new("declarations", &bytes);
        for result in [deserialize(engine, &bytes), deserialize_file(engine, &file)] {
            match result {
                Ok(module) => {
                    _ = module.imports().count() + module.exports().count() + module.functions().count();
                    _ = module.address_map().map(|map| map.count());
                }
                Err(error) => prop_assert!(matches!(error.kind(), ErrorKind::Artifact | ErrorKind::Os), "{error}"),
            }
        }
    }

    /// Parts of two artifacts, one after the other, are none.
    #[test]
    fn splices_are_noticed(from in 0usize..1 << 20, to in 0usize..1 << 20, len in 1usize..4096) {
        use std::sync::OnceLock;
        static BYTES: OnceLock<(Engine, [Vec<u8>; 2])> = OnceLock::new();
        let (engine, [a, b]) = BYTES.get_or_init(|| {
            let engine = Engine::default();
            let other = TEXT.replace("near", "NEAR").replace("i32.add", "i32.sub");
            let bytes = [TEXT, &other].map(|text| engine.precompile_module(text.as_bytes()).unwrap());
            (engine, bytes)
        });
        let (from, to) = (from % b.len(), to % a.len());
        let len = len.min(b.len() - from).min(a.len() - to);
        let mut spliced = a.clone();
        spliced[to..to + len].copy_from_slice(&b[from..from + len]);
        if spliced != *a && spliced != *b {
            fails(deserialize(engine, &spliced), ErrorKind::Artifact);
        }
    }
}

#[test]
fn damaged_tables_are_found_when_they_are_used() {
    use object::{Object, ObjectSection};
    let engine = Engine::default();
    let good = kit::module(&engine, TEXT).serialize().unwrap();
    let file = object::File::parse(&*good).unwrap();
    let text = file.section_by_name(".text").unwrap().address() as usize;
    let mut refused = 0;
    // Tables between the head and the code: types, entries, escaped functions, elements and so on, one word at a time.
    // What decides where code runs (starts within the text, sites) cannot be told from good values and is not touched.
    for at in (head_len(&good).next_multiple_of(4)..text).step_by(4) {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&0xffff_fff0u32.to_le_bytes());
        let file = TemporaryFile::new("tables", &bytes);
        let Ok(module) = deserialize_file(&engine, &file) else {
            refused += 1;
            continue;
        };
        _ = module.functions().count();
        _ = module.address_map().map(|map| map.count());
        let mut linker = Linker::<()>::new(&engine);
        linker.func_wrap("host", "add", |a: i32, b: i32| a + b).unwrap();
        let mut store = Store::new(&engine, ());
        let ty = instar::GlobalType { content: ValType::I32, mutable: false };
        let base = instar::Global::new(&mut store, ty, Val::I32(70_000)).unwrap();
        linker.define(&mut store, "host", "base", base).unwrap();
        if let Err(error) = linker.instantiate(&mut store, &module) {
            assert!(matches!(error.kind(), ErrorKind::Artifact | ErrorKind::Bug), "{error}");
            refused += 1;
        }
    }
    assert!(refused > 10, "{refused}");
}

#[test]
fn the_address_map_leads_from_each_trapping_instruction_to_its_wasm() {
    let engine = kit::paranoid();
    let wasm = wat::parse_str(
        "(module (memory 1)
           (func $f (param i32 i32) (result i32) (i32.div_u (i32.load (local.get 0)) (local.get 1)))
           (func $g (param i32) (result i32) (i32.load8_u (local.get 0))))",
    )
    .unwrap();
    let module = Module::new(&engine, &wasm).unwrap();
    let entries: Vec<_> = module.address_map().expect("on by default").collect();
    assert!(entries.is_sorted_by(|a, b| a.0 < b.0));
    for function in module.functions() {
        let inside: Vec<u8> = entries
            .iter()
            .filter(|(at, _)| function.range.contains(at))
            .filter_map(|&(_, wasm_offset)| wasm_offset.map(|at| wasm[at as usize]))
            .collect();
        // i32.load is 0x28, i32.div_u 0x6e, i32.load8_u 0x2d.
        let expected: &[u8] = if function.name == Some("f") { &[0x28, 0x6e] } else { &[0x2d] };
        assert!(expected.iter().all(|op| inside.contains(op)), "{:?}: {inside:x?}", function.name);
    }
    let without = kit::engine(|config| {
        config.generate_address_map(false);
    });
    assert!(Module::new(&without, &wasm).unwrap().address_map().is_none());
}

#[test]
fn tools_see_the_functions() {
    use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
    let engine = kit::paranoid();
    let module = everything(&engine);
    let bytes = module.serialize().unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let text = file.section_by_name(".text").unwrap();
    assert_eq!(text.data().unwrap(), module.text());
    assert_eq!(text.file_range().unwrap().0, text.address());
    assert_eq!(file.section_by_name(".wasm.debug_line").unwrap().data().unwrap(), [1, 2, 3]);
    let symbols: Vec<_> = file.symbols().filter(|s| s.kind() == SymbolKind::Text).collect();
    for function in module.functions() {
        let name = function.name.map_or_else(|| format!("wasm[{}]", function.index), str::to_owned);
        let symbol = symbols.iter().find(|s| s.name() == Ok(&name)).unwrap_or_else(|| panic!("{name}"));
        let start = (symbol.address() - text.address()) as usize;
        assert_eq!(start..start + symbol.size() as usize, function.range, "{name}");
    }
    for name in ["host-to-wasm(i32, i32) -> (i32)", "wasm-to-host(i32, i32) -> (i32)"] {
        assert!(symbols.iter().any(|s| s.name() == Ok(name)), "{name}");
    }
}

#[test]
fn instances_of_a_mapped_file_trap_and_are_reset_as_others() {
    let engine = kit::paranoid();
    let bytes = engine
        .precompile_module(
            b"(module (memory (export \"m\") 1) (data (i32.const 0) \"abc\")
                (func (export \"f\") (param i32) (result i32)
                  (i32.store8 (i32.const 1) (i32.const 0)) (i32.load (local.get 0))))",
        )
        .unwrap();
    let file = TemporaryFile::new("reset", &bytes);
    let module = deserialize_file(&engine, &file).unwrap();
    let pre = Linker::new(&engine).instantiate_pre(&module).unwrap();
    let f = pre.export::<i32, i32>("f").unwrap();
    let memory = pre.memory("m").unwrap();
    for _ in 0..3 {
        let mut instance = pre.fresh(()).unwrap();
        let mut read = [0; 4];
        instance.memory_read(&memory, 0, &mut read).unwrap();
        assert_eq!(&read, b"abc\0");
        assert_eq!(instance.call(&f, 0).unwrap(), i32::from_le_bytes(*b"a\0c\0"));
        traps(instance.call(&f, 65_533), TrapCode::MemoryOutOfBounds);
    }
    drop((pre, f, memory, module));
    assert_eq!(fs::read(&file.0).unwrap(), bytes, "the file itself never changes");
}
