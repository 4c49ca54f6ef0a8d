//! What can be told of compiled code without running it. What it does when run is tested with the engine.

use super::Compiler;
use crate::artifact::Compiled;
use crate::artifact::info::{ConstOp, Elements, EntityIndex, RefType, SegmentMode};
use crate::config::{Features, Tunables};
use crate::error::{Error, ErrorKind, TrapCode};

fn compiler() -> Compiler {
    Compiler::new(&Tunables { debug_verifier: true, ..Tunables::default() }).expect("the processor is supported")
}

fn compile_bytes(wasm: &[u8]) -> Result<Compiled, Error> {
    compiler().compile(wasm)
}

#[cfg(feature = "wat")]
fn compile(text: &str) -> Compiled {
    let wasm = wat::parse_str(text).expect("the test's module is well-formed");
    let compiled = compile_bytes(&wasm).expect("the test's module compiles");
    check_tables(&compiled);
    compiled
}

#[cfg(feature = "wat")]
fn failure(text: &str) -> Error {
    compile_bytes(&wat::parse_str(text).expect("the test's module is well-formed")).expect_err("the module is invalid")
}

fn check_tables(compiled: &Compiled) {
    assert!(compiled.traps.is_sorted_by(|a, b| a.offset < b.offset), "traps ascend");
    assert!(compiled.entry_sites.is_sorted_by(|a, b| a.return_offset < b.return_offset), "entry sites ascend");
    assert!(compiled.functions.is_sorted_by(|a, b| a.start + a.len <= b.start), "functions ascend");
    for function in &compiled.functions {
        assert_eq!(function.start % 16, 0);
        assert!((function.start + function.len) as usize <= compiled.text.len());
    }
    let entries: std::collections::BTreeSet<u32> = compiled.entries.iter().flatten().copied().collect();
    assert_eq!(entries.len(), compiled.entry_sites.len(), "each entry trampoline has its site");
    for site in &compiled.entry_sites {
        let function = compiled.functions.iter().any(|f| (f.start..f.start + f.len).contains(&site.return_offset));
        assert!(!function, "entry sites lie in trampolines");
        assert!((site.landing_offset as usize) < compiled.text.len());
        assert!(site.context_offset + 8 <= site.frame_size);
    }
    for &function in &compiled.info.escaped_functions {
        assert!(compiled.entries[compiled.info.functions[function as usize] as usize].is_some());
    }
    for &ty in &compiled.info.functions[..compiled.info.imported_functions as usize] {
        assert!(compiled.host_calls[ty as usize].is_some(), "imports have host calls");
    }
}

#[test]
fn garbage_is_an_invalid_module_with_offset_and_reason() {
    let error = compile_bytes(b"\0asm\x01\0\0\0\x01\xff").expect_err("the section is truncated");
    assert_eq!(error.kind(), ErrorKind::InvalidModule);
    assert!(error.message().starts_with("invalid module at offset 0x"), "{error}");
    let error = compile_bytes(b"").expect_err("there is no header");
    assert_eq!(error.kind(), ErrorKind::InvalidModule);
}

#[test]
fn counts_that_the_module_does_not_keep_are_errors() {
    for section in [1u8, 2, 3, 4, 5, 6, 7, 9, 10, 11] {
        let wasm = [b"\0asm\x01\0\0\0".as_slice(), &[section, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
        assert_eq!(compile_bytes(&wasm).expect_err("the section ends early").kind(), ErrorKind::InvalidModule);
    }
}

#[test]
fn the_empty_module_compiles_to_nothing() {
    let compiled = compile_bytes(b"\0asm\x01\0\0\0").expect("the module is valid");
    assert!(compiled.text.is_empty() && compiled.functions.is_empty());
}

#[cfg(feature = "wat")]
mod with_text {
    use super::*;

    #[test]
    fn compiling_twice_gives_the_same_bytes() {
        let functions: String = (0..200)
            .map(|i| {
                format!("(func (export \"f{i}\") (param i32 f64) (result i32) (local.get 0) (call {}))", (i + 1) % 200)
            })
            .collect();
        let functions = functions.replace("(local.get 0) (call", "(local.get 0) (local.get 1) (call");
        let text = format!("(module {functions})");
        let (a, b) = (compile(&text), compile(&text));
        assert_eq!(a.text, b.text);
        assert_eq!((a.functions, a.traps, a.entries), (b.functions, b.traps, b.entries));
        assert_eq!(a.entry_sites, b.entry_sites);
    }

    #[test]
    fn a_type_error_in_a_body_names_its_offset() {
        let error = failure("(module (func (result i32) (i64.const 1)))");
        assert_eq!(error.kind(), ErrorKind::InvalidModule);
        assert!(error.message().starts_with("invalid module at offset 0x"), "{error}");
        assert!(error.message().contains("type mismatch"), "{error}");
    }

    #[test]
    fn the_first_bad_function_is_reported() {
        let bad = "(func (result i32) (f32.const 1))";
        let one = failure(&format!("(module (func) {bad} (func))"));
        let many = failure(&format!("(module (func) {bad} {}) ", bad.repeat(50)));
        let offset = |e: &Error| {
            let digits = e.message().split("0x").nth(1).and_then(|rest| rest.split(':').next()).expect("an offset");
            u64::from_str_radix(digits, 16).expect("hexadecimal")
        };
        assert!((offset(&one)..offset(&one) + 60).contains(&offset(&many)), "{one} {many}");
    }

    #[test]
    fn features_that_are_missing_are_named() {
        let none = Compiler::new(&Tunables { features: Features::NONE, ..Tunables::default() }).unwrap();
        for text in [
            "(module (func (param v128)))",
            "(module (memory i64 1))",
            "(module (memory 1) (memory 1))",
            "(module (memory 1 1 shared))",
            "(module (func $f (return_call $f)))",
            "(module (func (result i32 i32) unreachable))",
            "(module (tag))",
            "(module (type (struct)))",
        ] {
            let error = none.compile(&wat::parse_str(text).unwrap()).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidModule), "{text}: {error}");
            assert!(error.message().contains("at offset 0x"), "{text}: {error}");
        }
        assert_eq!(failure("(component)").kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn thirty_results_pass_through_calls_blocks_and_trampolines() {
        let types = "i32 i64 f32 f64 funcref ".repeat(6);
        let zeros = "(i32.const 1) (i64.const 2) (f32.const 3) (f64.const 4) (ref.null func) ".repeat(6);
        compile(&format!(
            "(module (import \"h\" \"f\" (func $h (result {types}))) (type $t (func (result {types}))) (table 1 funcref)
               (func $f (export \"f\") (result {types}) {zeros})
               (func (export \"g\") (result {types}) (call $f))
               (func (export \"h\") (result {types}) (call $h))
               (func (export \"i\") (result {types}) (call_indirect (type $t) (i32.const 0)))
               (func (export \"b\") (param i32) (result {types})
                 (block (result {types}) (call $f) (br_if 0 (local.get 0)) (br 0)))
               (func (export \"s\") (result {types}) (local i32)
                 (loop (result {types}) (call $f) (br_if 1 (local.get 0)))))"
        ));
    }

    #[test]
    fn a_huge_br_table_compiles() {
        let targets: String = (0..20_000).map(|i| format!("{} ", i % 3)).collect();
        compile(&format!(
            "(module (func (export \"f\") (param i32) (result i32)
               (block (result i32) (block (result i32) (block (result i32)
                 (i32.const 7) (local.get 0) (br_table {targets} 2)) (i32.const 1) (i32.add)) (i32.const 2) (i32.add)))
             (func (param i32) (block (block (local.get 0) (br_table {targets} 1)))))"
        ));
    }

    #[test]
    fn deep_nesting_compiles() {
        for (open, close) in [("(block ", ")"), ("(loop ", ")"), ("(if (i32.const 1) (then ", "))")] {
            compile(&format!("(module (func {} nop {}))", open.repeat(300), close.repeat(300)));
        }
        let mut wasm = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0".to_vec();
        let depth = 20_000usize;
        let mut body = vec![0u8];
        for _ in 0..depth {
            body.extend([0x02, 0x40, 0x41, 0x00, 0x0d, 0x00]);
        }
        body.extend(vec![0x0b; depth + 1]);
        let leb = |mut n: usize| {
            let mut bytes = Vec::new();
            while n >= 0x80 {
                bytes.push(n as u8 | 0x80);
                n >>= 7;
            }
            bytes.push(n as u8);
            bytes
        };
        let code = [&[1u8][..], &leb(body.len()), &body].concat();
        wasm.push(0x0a);
        wasm.extend(leb(code.len()));
        wasm.extend(code);
        compiler_without_verifier().compile(&wasm).expect("the module is valid");
    }

    fn compiler_without_verifier() -> Compiler {
        Compiler::new(&Tunables::default()).expect("the processor is supported")
    }

    #[test]
    fn unreachable_code_is_validated_but_not_translated() {
        compile(
            "(module (memory 1) (global $g (mut i32) (i32.const 0))
               (func (result i32) unreachable (i32.add) (if (result i32) (then (i32.const 1)) (else unreachable)) (drop)
                 (block (result i64) unreachable (br 0)) (drop) (call $x))
               (func $x (param i32)))",
        );
        compile("(module (func (result i32) (loop (result i32) (br 0)) (i32.const 1) (i32.add)))");
        compile(
            "(module (func (result i32) (return (i32.const 1)) (block (br 0) (drop)) (loop (br 1 (i32.const 2)) (br 0))))",
        );
        compile(
            "(module (func (param i32) (result i32)
            (if (result i32) (local.get 0) (then (return (i32.const 1))) (else (unreachable)))))",
        );
        compile("(module (func (param i32) (if (local.get 0) (then (return))) (br_table 0 0 (local.get 0)) (drop)))");
        assert!(
            failure("(module (func unreachable (i32.add (i64.const 1) (i32.const 1)) drop))")
                .message()
                .contains("offset")
        );
    }

    #[test]
    fn every_operator_compiles() {
        compile(include_str!("operators.wat"));
    }

    #[test]
    fn what_can_trap_is_in_the_table() {
        let compiled = compile(
            "(module (memory 1) (table 2 funcref) (type $t (func))
               (func (export \"f\") (param i32 f32 i32) (result i32)
                 (drop (i32.load (local.get 0)))
                 (drop (i32.trunc_f32_s (local.get 1)))
                 (drop (table.get (local.get 0)))
                 (call_indirect (type $t) (local.get 2))
                 (if (local.get 0) (then unreachable))
                 (i32.div_s (local.get 0) (local.get 0))))",
        );
        for code in [
            TrapCode::Unreachable,
            TrapCode::IntegerDivideByZero,
            TrapCode::MemoryOutOfBounds,
            TrapCode::UndefinedElement,
            TrapCode::UninitializedElement,
            TrapCode::IndirectCallTypeMismatch,
            TrapCode::InvalidConversionToInteger,
            TrapCode::IntegerOverflow,
            TrapCode::StackOverflow,
            TrapCode::TableOutOfBounds,
        ] {
            assert!(compiled.traps.iter().any(|t| t.code == code), "{code:?} is missing");
        }
    }

    #[test]
    fn declarations_are_read() {
        let info = compile(
            "(module $name
               (import \"a\" \"f\" (func $f (param i32))) (import \"a\" \"g\" (global $g i32))
               (memory (export \"memory\") 1 2) (table $t 3 funcref) (table 1 externref)
               (global $h (mut i64) (i64.add (i64.const 1) (i64.const 2))) (global $r funcref (ref.func $k))
               (func $start) (func $k) (func $called (call $start))
               (start $start)
               (elem (table $t) (offset (global.get $g)) func $f $called) (elem externref (ref.null extern))
               (data (i32.const 5) \"abc\") (data \"de\"))",
        )
        .info;
        assert_eq!(info.name.as_deref(), Some("name"));
        assert_eq!(info.escaped_functions, [0, 1, 2, 3]);
        assert_eq!(info.start, Some(1));
        assert_eq!(info.export("memory"), Some(EntityIndex::Memory(0)));
        assert_eq!((info.memories[0].minimum, info.memories[0].maximum), (1, Some(2)));
        assert_eq!(info.tables[1].ty.element, RefType::EXTERNREF);
        assert_eq!(info.globals[1].init.as_deref(), Some(&[ConstOp::Bits(1), ConstOp::Bits(2), ConstOp::I64Add][..]));
        assert_eq!(info.globals[2].init.as_deref(), Some(&[ConstOp::RefFunc(2)][..]));
        let SegmentMode::Active { target: 0, offset } = &info.element_segments[0].mode else { panic!("active") };
        assert_eq!(**offset, [ConstOp::GlobalGet(0)]);
        assert!(matches!(&info.element_segments[0].elements, Elements::Functions(f) if **f == [0, 3]));
        assert!(matches!(&info.element_segments[1].elements, Elements::Expressions(e) if *e[0] == [ConstOp::Bits(0)]));
        assert_eq!(info.data, b"abcde");
        assert_eq!(info.data_segments[1].bytes, 3..5);
        assert!(info.function_names.contains(&(2, "k".into())));
    }

    #[test]
    fn equal_types_share_their_trampolines() {
        let compiled = compile(
            "(module (type $a (func (param i32))) (type $b (func (param i32)))
               (func (export \"a\") (type $a)) (func (export \"b\") (type $b)) (func (param i64)))",
        );
        assert_eq!(compiled.entries[0], compiled.entries[1]);
        assert_eq!(compiled.entries[2], None);
        assert_eq!(compiled.entry_sites.len(), 1);
    }

    #[test]
    fn a_function_that_hands_over_too_many_values_is_a_limit() {
        let types = "i32 ".repeat(1000);
        let calls = "(call $f) ".repeat(40_000);
        let error = failure(&format!(
            "(module (func $f (param {types}) (result {types}) unreachable)
            (func (param {types}) (result {types}) {} {calls}))",
            (0..1000).map(|i| format!("(local.get {i})")).collect::<String>()
        ));
        assert_eq!(error.kind(), ErrorKind::Limit);
    }

    #[test]
    fn neighbouring_stores_share_a_mark() {
        let size = |stores: &str| {
            let text = format!("(module (memory 1) (func (export \"f\") (param i32) (local i32) {stores}))");
            compile(&text).functions[0].len
        };
        let store = |offset: u32| format!("(i32.store offset={offset} (local.get 0) (local.get 1))");
        let (near, far) = (size(&(store(0) + &store(8))), size(&(store(0) + &store(800))));
        assert!(near + 8 < far, "{near} {far}");
    }
}
