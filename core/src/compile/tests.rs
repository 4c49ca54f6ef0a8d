//! What can be told of compiled code without running it. What it does when run is tested with the engine.

use super::Compiler;
use crate::artifact::Compiled;
use crate::artifact::info::{ConstOp, Elements, EntityIndex, NULL_ELEMENT, RefType, SegmentMode};
use crate::config::{DirtyTracking, Features, OptLevel, Tunables};
use crate::error::{Error, ErrorKind, TrapCode};

fn compiler() -> Compiler {
    Compiler::new(&Tunables { debug_verifier: true, ..Tunables::default() }).expect("the processor is supported")
}

fn compile_bytes(wasm: &[u8]) -> Result<Compiled, Error> {
    compiler().compile(wasm, DirtyTracking::Lines)
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

    /// Names of wasmparser's visitors, and whether there is an immediate `lane`.
    macro_rules! vector_operators {
        ($(@$proposal:ident $op:ident $({ $($arg:ident: $ty:ty),* })? => $visit:ident ($($arity:tt)*))*) => {
            &[$((stringify!($visit), false $($(|| is_lane(stringify!($arg)))*)?)),*]
        };
    }

    const fn is_lane(argument: &str) -> bool {
        matches!(argument.as_bytes(), b"lane")
    }

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
            let error = none.compile(&wat::parse_str(text).unwrap(), DirtyTracking::Lines).unwrap_err();
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
        compiler_without_verifier().compile(&wasm, DirtyTracking::Lines).expect("the module is valid");
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

    /// Every vector operator as `(visitor's name, has an immediate lane)`.
    const VECTOR_OPERATORS: &[(&str, bool)] = wasmparser::for_each_visit_simd_operator!(vector_operators);

    /// Parameters, immediate and result of a vector operator.
    fn vector_signature(name: &str, has_lane: bool) -> (Vec<&'static str>, &'static str, &'static str) {
        let (shape, rest) = name.split_once('.').expect("the name has a shape");
        let scalar = match shape {
            "i64x2" => "i64",
            "f32x4" => "f32",
            "f64x2" => "f64",
            _ => "i32",
        };
        let lane = if has_lane { "1" } else { "" };
        match rest {
            "const" => (vec![], "i64x2 1 -2", "v128"),
            "shuffle" => (vec!["v128", "v128"], "0 17 2 19 4 21 6 23 8 25 10 27 12 29 14 31", "v128"),
            "splat" => (vec![scalar], "", "v128"),
            "shl" | "shr_s" | "shr_u" => (vec!["v128", "i32"], "", "v128"),
            "any_true" | "all_true" | "bitmask" => (vec!["v128"], "", "i32"),
            "replace_lane" => (vec!["v128", scalar], lane, "v128"),
            _ if rest.starts_with("extract_lane") => (vec!["v128"], lane, scalar),
            _ if rest.starts_with("load") && has_lane => (vec!["i32", "v128"], lane, "v128"),
            _ if rest.starts_with("load") => (vec!["i32"], "", "v128"),
            _ if rest.starts_with("store") => (vec!["i32", "v128"], lane, ""),
            "bitselect" => (vec!["v128"; 3], "", "v128"),
            _ if rest.starts_with("relaxed_madd") || rest.starts_with("relaxed_nmadd") => (vec!["v128"; 3], "", "v128"),
            _ if rest.starts_with("relaxed_laneselect") || rest.ends_with("_add_s") => (vec!["v128"; 3], "", "v128"),
            _ if VECTOR_UNARY.iter().any(|start| rest.starts_with(start)) => (vec!["v128"], "", "v128"),
            _ => (vec!["v128", "v128"], "", "v128"),
        }
    }

    const VECTOR_UNARY: &[&str] = &[
        "abs",
        "neg",
        "not",
        "sqrt",
        "ceil",
        "floor",
        "trunc",
        "nearest",
        "popcnt",
        "extend",
        "extadd",
        "convert",
        "demote",
        "promote",
        "relaxed_trunc",
    ];

    #[test]
    fn every_vector_operator_compiles_whatever_made_its_operands() {
        let sources = [
            "(local.get 0)",
            "(v128.load offset=32 (local.get 1))",
            "(v128.const i32x4 1 2 3 4)",
            "(f32x4.neg (local.get 0))",
            "(i64x2.add (local.get 0) (local.get 0))",
            "(local.tee 0 (f64x2.eq (local.get 0) (local.get 0)))",
            "(global.get 0)",
            "(block (result v128) (v128.load (local.get 1)) (br_if 0 (local.get 1)))",
        ];
        assert!(VECTOR_OPERATORS.len() > 250, "{}", VECTOR_OPERATORS.len());
        let mut text = "(module (memory 1) (global (mut v128) (v128.const i64x2 1 2))".to_owned();
        for &(name, has_lane) in VECTOR_OPERATORS {
            let name = name.trim_start_matches("visit_").replacen('_', ".", 1);
            let (params, immediate, result) = vector_signature(&name, has_lane);
            for source in sources {
                let operands: String = params
                    .iter()
                    .map(|&ty| match ty {
                        "v128" => source.to_owned(),
                        "i32" => "(local.get 1)".to_owned(),
                        other => format!("({other}.const 7)"),
                    })
                    .collect();
                let result = if result.is_empty() { String::new() } else { format!("(result {result})") };
                text += &format!("(func (param v128 i32) {result} ({name} {immediate} {operands}))\n");
            }
        }
        text.push(')');
        let wasm = wat::parse_str(&text).expect("the test's module is well-formed");
        for (deterministic, nan_canonicalization, opt_level) in
            [(false, false, OptLevel::Speed), (true, true, OptLevel::Speed), (false, false, OptLevel::None)]
        {
            let tunables = Tunables {
                relaxed_simd_deterministic: deterministic,
                nan_canonicalization,
                opt_level,
                debug_verifier: true,
                ..Tunables::default()
            };
            let compiler = Compiler::new(&tunables).expect("the processor is supported");
            check_tables(&compiler.compile(&wasm, DirtyTracking::Lines).expect("the test's module compiles"));
        }
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
    fn tables_of_one_type_need_no_check_of_the_type() {
        let checks = |table: &str| {
            let compiled = compile(&format!(
                "(module (type $other (func)) (type $t (func (param i32))) (type $same (func (param i32)))
                   (type $of_t (func (param (ref $t)))) (type $of_same (func (param (ref $same))))
                   (table 2 {table}) (func (export \"f\") (call_indirect (type $t) (i32.const 1) (i32.const 0)))
                   (func (export \"g\") (param (ref $t)) (call_indirect (type $of_t) (local.get 0) (i32.const 0))))"
            ));
            let of = |i: usize| {
                let function = compiled.functions[i];
                let within = function.start..function.start + function.len;
                let mut codes: Vec<TrapCode> =
                    compiled.traps.iter().filter(|t| within.contains(&t.offset)).map(|t| t.code).collect();
                codes.sort_by_key(|code| code.code());
                codes
            };
            (of(0), of(1))
        };
        use TrapCode::{IndirectCallTypeMismatch, StackOverflow, UndefinedElement, UninitializedElement};
        let checked = vec![UndefinedElement, UninitializedElement, IndirectCallTypeMismatch, StackOverflow];
        let unchecked = vec![UndefinedElement, UninitializedElement, StackOverflow];
        assert_eq!(checks("funcref"), (checked.clone(), checked.clone()));
        for table in ["(ref null $t)", "(ref null $same)"] {
            assert_eq!(checks(table), (unchecked.clone(), checked.clone()), "{table}");
        }
        for table in ["(ref null $of_t)", "(ref null $of_same)"] {
            assert_eq!(checks(table), (checked.clone(), unchecked.clone()), "{table}");
        }
        assert_eq!(checks("(ref null $other)"), (checked.clone(), checked));
    }

    #[test]
    fn null_references_trap_with_their_own_codes() {
        let compiled = compile(
            "(module (type $t (func)) (func (export \"f\") (param (ref null $t))
               (call_ref $t (local.get 0)) (drop (ref.as_non_null (local.get 0))) (return_call_ref $t (local.get 0))))",
        );
        for (code, count) in [(TrapCode::NullFunctionReference, 2), (TrapCode::NullReference, 1)] {
            assert_eq!(compiled.traps.iter().filter(|t| t.code == code).count(), count, "{code:?}");
        }
    }

    #[test]
    fn tail_calls_leave_no_frame() {
        // A relocation of each, resolved: the last function calls backwards, the first forwards.
        let compiled = compile(
            "(module (func $a (param i32) (return_call $c (local.get 0))) (func $b)
               (func $c (param i32) (return_call $a (local.get 0))))",
        );
        let jumps = compiled.functions.iter().filter(|f| {
            let code = &compiled.text[f.start as usize..(f.start + f.len) as usize];
            // x86-64: `jmp rel32` to the start of a function. Elsewhere the emitter's own check has to do.
            code.windows(5).enumerate().any(|(i, bytes)| {
                let distance = i32::from_le_bytes(bytes[1..].try_into().expect("four bytes"));
                let target = i64::from(f.start) + i as i64 + 5 + i64::from(distance);
                bytes[0] == 0xe9 && compiled.functions.iter().any(|g| i64::from(g.start) == target)
            })
        });
        if cfg!(target_arch = "x86_64") {
            assert_eq!(jumps.count(), 2);
        }
    }

    #[test]
    fn wide_arithmetic_is_as_short_as_the_processor_allows() {
        let mut features = crate::config::Config::new();
        features.wasm_wide_arithmetic(true);
        let compiler = Compiler::new(&Tunables { debug_verifier: true, ..features.tunables() }).unwrap();
        let size = |body: &str, params: usize| {
            let params = "i64 ".repeat(params);
            let text = format!("(module (func (param {params}) (result i64 i64) {body}))");
            compiler.compile(&wat::parse_str(text).unwrap(), DirtyTracking::Lines).unwrap().functions[0].len
        };
        let four = "(local.get 0) (local.get 1) (local.get 2) (local.get 3)";
        let nothing = size("(local.get 0) (local.get 1)", 4);
        // Two additions and the moves around them; a product; and half of a number known to be zero.
        for (body, params, more) in [
            (format!("(i64.add128 {four})"), 4, 8),
            (format!("(i64.sub128 {four})"), 4, 8),
            ("(i64.mul_wide_u (local.get 0) (local.get 1))".into(), 2, 12),
            ("(i64.mul_wide_s (local.get 0) (local.get 1))".into(), 2, 12),
            ("(i64.add128 (local.get 0) (i64.const 0) (local.get 1) (i64.const 0))".into(), 2, 12),
        ] {
            let size = size(&body, params);
            assert!(size <= nothing + more, "{body}: {size} bytes, {nothing} for nothing");
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
        assert_eq!(*info.escaped_functions, [0, 1, 2, 3]);
        assert_eq!(info.start, Some(1));
        assert_eq!(info.export("memory"), Some(EntityIndex::Memory(0)));
        assert_eq!((info.memories[0].minimum, info.memories[0].maximum), (1, Some(2)));
        assert_eq!(info.tables[1].ty.element, RefType::EXTERNREF);
        assert_eq!(info.globals[1].init.as_deref(), Some(&[ConstOp::Bits(1), ConstOp::Bits(2), ConstOp::I64Add][..]));
        assert_eq!(info.globals[2].init.as_deref(), Some(&[ConstOp::RefFunc(2)][..]));
        let SegmentMode::Active { target: 0, offset } = &info.element_segments[0].mode else { panic!("active") };
        assert_eq!(**offset, [ConstOp::GlobalGet(0)]);
        assert!(matches!(&info.element_segments[0].elements, Elements::Functions(f) if **f == [0, 3]));
        assert!(matches!(&info.element_segments[1].elements, Elements::Functions(f) if **f == [NULL_ELEMENT]));
        assert_eq!(*info.data, *b"abcde");
        assert_eq!(info.data_segments[1].bytes, 3..5);
        assert_eq!(info.function_names.get(2), Some("k"));
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

    fn compile_with(change: impl FnOnce(&mut Tunables), text: &str) -> Compiled {
        let mut tunables = Tunables { debug_verifier: true, ..Tunables::default() };
        tunables.features = Features::default();
        change(&mut tunables);
        let wasm = wat::parse_str(text).expect("the test's module is well-formed");
        Compiler::new(&tunables).unwrap().compile(&wasm, DirtyTracking::Lines).expect("the test's module compiles")
    }

    #[test]
    fn without_signals_the_table_of_traps_is_empty() {
        for opt_level in [OptLevel::None, OptLevel::Speed, OptLevel::SpeedAndSize] {
            let compiled = compile_with(
                |t| {
                    t.signals_based_traps = false;
                    t.opt_level = opt_level;
                },
                include_str!("operators.wat"),
            );
            assert_eq!(compiled.traps, []);
        }
    }

    #[test]
    fn a_module_without_memory_and_traps_is_the_same_in_all_layouts_of_memory() {
        let text = "(module (func (export \"f\") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))";
        let default = compile_with(|_| {}, text);
        let other = compile_with(|t| t.memory_reservation = 0, text);
        assert_eq!(default.text, other.text);
    }

    /// Bytes of code of one function.
    fn size_with(change: impl FnOnce(&mut Tunables), memory: &str, body: &str) -> u32 {
        let text = format!("(module (memory {memory}) (func (export \"f\") (param i64 i32) {body}))");
        compile_with(change, &text).functions[0].len
    }

    #[test]
    fn fields_behind_one_index_share_their_check() {
        let load = |offset: u32| format!("(drop (i64.load offset={offset} (local.get 0)))");
        let one = size_with(|_| {}, "i64 1", &load(0));
        let five = size_with(|_| {}, "i64 1", &(0..5).map(|i| load(i * 8)).collect::<String>());
        // A load takes some 8 bytes; a check more than that.
        assert!(five - one <= 4 * 8, "{one} {five}");
    }

    #[test]
    fn addresses_that_are_known_to_be_good_are_not_checked() {
        let load = |at: u32| format!("(drop (i32.load (i32.const {at})))");
        for change in [|t: &mut Tunables| t.signals_based_traps = false, |t: &mut Tunables| t.memory_reservation = 0] {
            let known = size_with(change, "1", &load(65_532));
            let unknown = size_with(change, "1", &load(65_533));
            assert!(known + 10 < unknown, "{known} {unknown}");
        }
    }
}
