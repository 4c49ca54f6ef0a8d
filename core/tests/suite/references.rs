//! Typed function references: what guests do with them, what the host may hand over, and what may be imported as what.

use instar::{
    Caller, Engine, ErrorKind, ExternRef, ExternType, Func, FuncType, Global, GlobalType, HeapType, Instance, Linker,
    RefType, Store, Table, TableType, TrapCode, Val, ValType,
};

use crate::kit::{self, fails, module, one_slot, paranoid, pre, traps};

fn concrete(engine: &Engine, ty: &FuncType, nullable: bool) -> ValType {
    ValType::Ref(RefType { nullable, heap: HeapType::Concrete(engine.type_id(ty).unwrap()) })
}

fn unary(ty: ValType) -> FuncType {
    FuncType::new([ty], [ty])
}

fn call(store: &mut Store<()>, func: Func, params: &[Val]) -> instar::Result<Vec<Val>> {
    let count = func.ty(&*store)?.results().len();
    let mut results = vec![Val::I32(0); count];
    func.call(store, params, &mut results)?;
    Ok(results)
}

fn number(values: Vec<Val>) -> i32 {
    match values[..] {
        [Val::I32(number)] => number,
        ref other => panic!("{other:?} is not one i32"),
    }
}

const OPERATORS: &str = r#"(module
  (type $op (func (param i32 i32) (result i32)))
  (type $make (func (param i32) (result (ref $op))))
  (elem declare func $add $sub $choose)
  (func $add (type $op) (i32.add (local.get 0) (local.get 1)))
  (func $sub (type $op) (i32.sub (local.get 0) (local.get 1)))
  (func $choose (type $make) (select (result (ref $op)) (ref.func $add) (ref.func $sub) (local.get 0)))
  (func $maybe (param i32) (result (ref null $op))
    (if (result (ref null $op)) (i32.ge_s (local.get 0) (i32.const 0))
      (then (call_ref $make (local.get 0) (ref.func $choose))) (else (ref.null $op))))
  (func (export "call") (param i32) (result i32)
    (call_ref $op (i32.const 50) (i32.const 8) (call $maybe (local.get 0))))
  (func (export "non-null") (param i32) (result i32) (local $f (ref $op))
    (local.set $f (ref.as_non_null (call $maybe (local.get 0))))
    (call_ref $op (i32.const 50) (i32.const 8) (local.get $f)))
  (func (export "unused") (param i32) (result i32) (drop (ref.as_non_null (call $maybe (local.get 0)))) (i32.const 1))
  (func (export "on-null") (param i32) (result i32 i64)
    (block $null (result i64)
      (i64.const 7)
      (br_on_null $null (call $maybe (local.get 0)))
      (drop) (drop)
      (return (i32.const 1) (i64.const 2)))
    (i32.const -1) (drop) (i32.const -1)
    (block (param i64 i32) (result i32 i64) (drop) (drop) (i32.const 3) (i64.const 4)))
  (func (export "on-non-null") (param i32) (result i32)
    (block $got (result i32 (ref $op))
      (i32.const 50)
      (br_on_non_null $got (call $maybe (local.get 0)))
      (return))
    (block (param i32 (ref $op)) (result i32) (drop) (i32.add (i32.const 1))))
  (func (export "loop") (param i32) (result i32) (local $f (ref $op))
    (i32.const 0) (ref.func $add)
    (loop $again (param i32 (ref $op)) (result i32)
      (local.set $f)
      (call_ref $op (i32.const 3) (local.get $f))
      (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
      (ref.func $add)
      (br_if $again (local.get 0))
      (drop))))"#;

#[test]
fn guests_call_test_and_branch_on_references() {
    let engine = paranoid();
    let pre = pre(&engine, OPERATORS);
    let mut store = Store::new(&engine, ());
    let instance = pre.instantiate(&mut store).unwrap();
    let mut run = |name: &str, n: i32| {
        let func = instance.func(&mut store, name).unwrap();
        call(&mut store, func, &[Val::I32(n)])
    };
    for name in ["call", "non-null"] {
        assert_eq!(number(run(name, 1).unwrap()), 58);
        assert_eq!(number(run(name, 0).unwrap()), 42);
    }
    assert_eq!(number(run("unused", 1).unwrap()), 1);
    traps(run("call", -1), TrapCode::NullFunctionReference);
    traps(run("non-null", -1), TrapCode::NullReference);
    traps(run("unused", -1), TrapCode::NullReference);
    assert!(matches!(run("on-null", 0).unwrap()[..], [Val::I32(1), Val::I64(2)]));
    assert!(matches!(run("on-null", -1).unwrap()[..], [Val::I32(3), Val::I64(4)]));
    assert_eq!(number(run("on-non-null", 0).unwrap()), 51);
    assert_eq!(number(run("on-non-null", -1).unwrap()), 50);
    assert_eq!(number(run("loop", 5).unwrap()), 15);
}

const EXCHANGE: &str = r#"(module
  (type $f (func (param i32) (result i32)))
  (elem declare func $double $other)
  (func $double (export "double") (type $f) (i32.mul (local.get 0) (i32.const 2)))
  (func $other (export "other") (param i64) (result i64) (local.get 0))
  (func (export "call") (param (ref $f) i32) (result i32) (call_ref $f (local.get 1) (local.get 0)))
  (func (export "maybe") (param (ref null $f) i32) (result i32)
    (block $null (call_ref $f (local.get 1) (br_on_null $null (local.get 0))) (return)) (i32.const -1))
  (func (export "any") (param (ref func)))
  (func (export "extern") (param (ref extern)) (result (ref extern)) (local.get 0))
  (func (export "give") (result (ref $f)) (ref.func $double)))"#;

#[test]
fn the_host_passes_references_of_fitting_types_only() {
    let engine = paranoid();
    let exchange = pre(&engine, EXCHANGE);
    let mut store = Store::new(&engine, ());
    let instance = exchange.instantiate(&mut store).unwrap();
    let func = |store: &mut Store<()>, name: &str| instance.func(store, name).unwrap();
    let [double, other, apply, maybe, any, give] =
        ["double", "other", "call", "maybe", "any", "give"].map(|name| func(&mut store, name));

    let f = unary(ValType::I32);
    assert_eq!(double.ty(&store).unwrap(), f);
    let (never, nullable) = (concrete(&engine, &f, false), concrete(&engine, &f, true));
    assert_eq!(apply.ty(&store).unwrap(), FuncType::new([never, ValType::I32], [ValType::I32]));
    assert_eq!(maybe.ty(&store).unwrap(), FuncType::new([nullable, ValType::I32], [ValType::I32]));
    assert_eq!(engine.func_type(engine.type_id(&f).unwrap()), Some(f.clone()));
    assert!(never.matches(nullable) && !nullable.matches(never) && never.matches(ValType::FUNCREF));

    let hosts = Func::wrap(&mut store, |n: i32| n + 1).unwrap();
    for (target, expected) in [(double, 42), (hosts, 22)] {
        let params = [Val::FuncRef(Some(target)), Val::I32(21)];
        assert_eq!(number(call(&mut store, apply, &params).unwrap()), expected);
        assert_eq!(number(call(&mut store, maybe, &params).unwrap()), expected);
        call(&mut store, any, &params[..1]).unwrap();
    }
    call(&mut store, any, &[Val::FuncRef(Some(other))]).unwrap();
    assert_eq!(number(call(&mut store, maybe, &[Val::FuncRef(None), Val::I32(21)]).unwrap()), -1);
    let given = call(&mut store, give, &[]).unwrap();
    assert!(matches!(given[..], [Val::FuncRef(Some(f))] if f == double));

    let mut refused = |target: Func, value: Val, text: &str| {
        let mut params = vec![value];
        params.resize(target.ty(&store).unwrap().params().len(), Val::I32(0));
        let error = fails(call(&mut store, target, &params), ErrorKind::Type);
        assert_eq!(error.message(), text);
    };
    refused(apply, Val::FuncRef(Some(other)), "parameter 1 must be (ref (i32) -> (i32)), got (ref (i64) -> (i64))");
    refused(
        maybe,
        Val::FuncRef(Some(other)),
        "parameter 1 must be (ref null (i32) -> (i32)), got (ref (i64) -> (i64))",
    );
    refused(apply, Val::FuncRef(None), "parameter 1 must be (ref (i32) -> (i32)), got a null funcref");
    refused(any, Val::FuncRef(None), "parameter 1 must be (ref func), got a null funcref");
    refused(any, Val::I64(0), "parameter 1 must be (ref func), got i64");
    refused(any, Val::ExternRef(None), "parameter 1 must be (ref func), got a null externref");
    refused(maybe, Val::ExternRef(None), "parameter 1 must be (ref null (i32) -> (i32)), got a null externref");

    let foreign = {
        let mut elsewhere = Store::new(&engine, ());
        Func::wrap(&mut elsewhere, |n: i32| n).unwrap()
    };
    for target in [apply, any] {
        let mut params = vec![Val::FuncRef(Some(foreign))];
        params.resize(target.ty(&store).unwrap().params().len(), Val::I32(0));
        fails(call(&mut store, target, &params), ErrorKind::StaleHandle);
    }

    let object = ExternRef::new(&mut store, "object");
    let same = func(&mut store, "extern");
    let out = call(&mut store, same, &[Val::ExternRef(Some(object))]).unwrap();
    assert!(matches!(out[..], [Val::ExternRef(Some(o))] if o == object));
    let error = fails(call(&mut store, same, &[Val::ExternRef(None)]), ErrorKind::Type);
    assert_eq!(error.message(), "parameter 1 must be (ref extern), got a null externref");

    // Raw slots and Rust types have no references.
    let error = fails(apply.call_raw(&mut store, &mut [0, 0]), ErrorKind::Type);
    assert!(error.message().contains("((ref (i32) -> (i32)), i32) -> (i32)"), "{error}");
    fails(exchange.fresh(()).unwrap().call_raw(&exchange.func("call").unwrap(), &mut [0, 0]), ErrorKind::Type);
    let error = fails(apply.typed::<(u64, i32), i32>(&store), ErrorKind::Type);
    assert_eq!(error.message(), "the function has type ((ref (i32) -> (i32)), i32) -> (i32), not (i64, i32) -> (i32)");
}

#[test]
fn host_functions_take_and_give_references_of_their_types() {
    let engine = paranoid();
    let f = unary(ValType::I32);
    let (never, nullable) = (concrete(&engine, &f, false), concrete(&engine, &f, true));
    let mut linker = Linker::<Option<Val>>::new(&engine);
    // Gives back what the store's data says, or else what it got.
    let answer = |caller: Caller<'_, Option<Val>>, params: &[Val], results: &mut [Val]| {
        results[0] = caller.data().unwrap_or(params[0]);
        Ok(())
    };
    linker.func_new("h", "never", FuncType::new([nullable], [never]), answer).unwrap();
    linker.func_new("h", "maybe", FuncType::new([never], [nullable]), answer).unwrap();
    let text = r#"(module (type $f (func (param i32) (result i32)))
      (import "h" "never" (func $never (param (ref null $f)) (result (ref $f))))
      (import "h" "maybe" (func $maybe (param (ref $f)) (result (ref null $f))))
      (elem declare func $double)
      (func $double (type $f) (i32.mul (local.get 0) (i32.const 2)))
      (func (export "never") (result i32) (call_ref $f (i32.const 21) (call $never (ref.func $double))))
      (func (export "maybe") (result i32) (ref.is_null (call $maybe (ref.func $double)))))"#;
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    let run = |name: &str, answer: fn(&mut Store<Option<Val>>) -> Option<Val>| {
        let mut store = Store::new(&engine, None);
        *store.data_mut() = answer(&mut store);
        let instance = pre.instantiate(&mut store).unwrap();
        instance.typed_func::<(), i32>(&mut store, name).unwrap().call(&mut store, ())
    };
    assert_eq!(run("never", |_| None).unwrap(), 42);
    assert_eq!(run("maybe", |_| None).unwrap(), 0);
    assert_eq!(run("maybe", |_| Some(Val::FuncRef(None))).unwrap(), 1);
    let hosts = |store: &mut Store<Option<Val>>| Some(Val::FuncRef(Some(Func::wrap(store, |n: i32| -n).unwrap())));
    assert_eq!(run("never", hosts).unwrap(), -21);
    let error = fails(run("never", |_| Some(Val::FuncRef(None))), ErrorKind::Type);
    assert_eq!(error.message(), "host function's result 1 must be (ref (i32) -> (i32)), got a null funcref");
    let wrong = |store: &mut Store<Option<Val>>| Some(Val::FuncRef(Some(Func::wrap(store, || {}).unwrap())));
    for (name, ty) in [("never", "(ref (i32) -> (i32))"), ("maybe", "(ref null (i32) -> (i32))")] {
        let error = fails(run(name, wrong), ErrorKind::Type);
        assert_eq!(error.message(), format!("host function's result 1 must be {ty}, got (ref () -> ())"));
    }
}

#[test]
fn host_made_functions_may_mention_any_type() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    // Each mentions the one before, from both ends of the list.
    let mut ty = unary(ValType::I64);
    for _ in 0..100 {
        let mentioned = concrete(&engine, &ty, true);
        ty = FuncType::new([mentioned, ValType::I32, mentioned], [ValType::Ref(RefType::EXTERNREF), mentioned]);
    }
    let func = Func::new(&mut store, ty.clone(), |_, params, results| {
        results[1] = params[2];
        Ok(())
    })
    .unwrap();
    assert_eq!(func.ty(&store).unwrap(), ty);
    let null = Val::FuncRef(None);
    let out = call(&mut store, func, &[null, Val::I32(0), null]).unwrap();
    assert!(matches!(out[..], [Val::ExternRef(None), Val::FuncRef(None)]));
    let error = fails(call(&mut store, func, &[Val::FuncRef(Some(func)), Val::I32(0), null]), ErrorKind::Type);
    assert!(error.message().len() < 4000 && error.message().contains("(ref null type "), "{error}");

    let nowhere = ValType::Ref(RefType { nullable: true, heap: HeapType::Concrete(1_000_000) });
    let error = fails(Func::new(&mut store, unary(nowhere), |_, _, _| Ok(())), ErrorKind::Type);
    assert!(error.message().contains("no type 1000000"), "{error}");
    fails(engine.type_id(&unary(nowhere)), ErrorKind::Type);
    assert_eq!(engine.func_type(1_000_000), None);
    let mut linker = Linker::<()>::new(&engine);
    fails(linker.func_new("h", "f", unary(nowhere), |_, _, _| Ok(())), ErrorKind::Type);
    let ValType::Ref(element) = nowhere else { unreachable!() };
    fails(Table::new(&mut store, TableType::new(element, 1, None), null), ErrorKind::Type);
    fails(Global::new(&mut store, GlobalType { content: nowhere, mutable: true }, null), ErrorKind::Type);
}

/// Types in the text format and in our messages.
const KINDS: [(&str, &str); 8] = [
    ("funcref", "funcref"),
    ("(ref func)", "(ref func)"),
    ("(ref null $a)", "(ref null (i32) -> ())"),
    ("(ref $a)", "(ref (i32) -> ())"),
    ("(ref null $b)", "(ref null (i64) -> ())"),
    ("(ref $b)", "(ref (i64) -> ())"),
    ("externref", "externref"),
    ("i32", "i32"),
];

/// Whether a value of the one kind is one of the other, as the spec's rules say: by index in [`KINDS`].
fn is_subtype(a: usize, b: usize) -> bool {
    a == b || matches!((a, b), (1..=5, 0) | (3, 1 | 2) | (5, 1 | 4))
}

#[test]
fn globals_and_tables_are_imported_as_what_they_are() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let init = |kind: usize| match kind {
        0 => "(ref.null func)",
        2 => "(ref.null $a)",
        4 => "(ref.null $b)",
        1 | 3 => "(ref.func $fa)",
        5 => "(ref.func $fb)",
        6 => "(ref.null extern)",
        _ => "(i32.const 1)",
    };
    let mut text = String::from(
        "(module (type (func (result f32 f64))) (type $b (func (param i64))) (type $a (func (param i32)))
         (func $fa (type $a)) (func $fb (type $b))",
    );
    for (kind, (ty, _)) in KINDS.iter().enumerate() {
        let init = init(kind);
        text += &format!("(global (export \"c{kind}\") {ty} {init}) (global (export \"m{kind}\") (mut {ty}) {init})");
        if *ty != "i32" {
            text += &format!("(table (export \"t{kind}\") 1 {ty} {init})");
        }
    }
    let exporter = pre(&engine, text + ")").instantiate(&mut store).unwrap();
    let mut linker = Linker::new(&engine);
    linker.instance(&mut store, "e", exporter).unwrap();

    let mut fits = |declaration: String, expected: bool, texts: [&str; 2]| {
        // The types have other indices here.
        let text =
            format!("(module (type $a (func (param i32))) (type $b (func (param i64))) (import \"e\" {declaration}))");
        let result = linker.instantiate(&mut store, &module(&engine, &text));
        if expected {
            result.unwrap_or_else(|error| panic!("{declaration}: {error}"));
        } else {
            let error = fails(result, ErrorKind::Link);
            for text in texts {
                assert!(error.message().contains(text), "{declaration}: {error}");
            }
        }
    };
    for (given, (_, given_text)) in KINDS.iter().enumerate() {
        for (wanted, (ty, wanted_text)) in KINDS.iter().enumerate() {
            let wants = |what: &str| format!("wants a {what}{wanted_text}");
            let is = |what: &str| format!("it is a {what}{given_text}");
            fits(
                format!("\"c{given}\" (global {ty})"),
                is_subtype(given, wanted),
                [&wants("constant global "), &is("constant global ")],
            );
            fits(
                format!("\"m{given}\" (global (mut {ty}))"),
                given == wanted,
                [&wants("mutable global "), &is("mutable global ")],
            );
            let mixed = [&*wants("mutable global "), &*is("constant global ")];
            fits(format!("\"c{given}\" (global (mut {ty}))"), false, mixed);
            let mixed = [&*wants("constant global "), &*is("mutable global ")];
            fits(format!("\"m{given}\" (global {ty})"), false, mixed);
            if *ty != "i32" && *given_text != "i32" {
                fits(
                    format!("\"t{given}\" (table 1 {ty})"),
                    given == wanted,
                    [&wants("table of at least 1 elements "), &is("table of at least 1 elements ")],
                );
            }
        }
    }
}

#[test]
fn what_is_exported_again_keeps_the_type_it_was_made_with() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    let types = "(type $f (func (result i32)))";
    let steps = [
        ("a", r#"(func $f (type $f) (i32.const 5)) (global (export "g") (ref $f) (ref.func $f))"#),
        ("b", r#"(global (export "g") (import "a" "g") (ref null $f))"#),
        ("c", r#"(global (export "g") (import "b" "g") funcref)"#),
        (
            "d",
            r#"(global $g (import "c" "g") (ref $f)) (func (export "run") (result i32) (call_ref $f (global.get $g)))"#,
        ),
    ];
    let mut last = None;
    for (name, text) in steps {
        let instance = linker.instantiate(&mut store, &module(&engine, format!("(module {types} {text})"))).unwrap();
        linker.instance(&mut store, name, instance).unwrap();
        last = Some(instance);
    }
    let run = last.and_then(|instance| instance.func(&mut store, "run")).unwrap();
    assert_eq!(number(call(&mut store, run, &[]).unwrap()), 5);
}

#[test]
fn functions_are_imported_as_exactly_their_type() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let types = r#"(type $leaf (func (param i32))) (type $one (func (param (ref $leaf))))
      (type $maybe (func (param (ref null $leaf)))) (type $any (func (param funcref)))
      (type $two (func (param (ref $one))))"#;
    let names = ["leaf", "one", "maybe", "any", "two"];
    let functions: String = names.iter().map(|n| format!("(func (export \"{n}\") (type ${n}))")).collect();
    let exporter = pre(&engine, format!("(module (type (func (result i64))) {types} {functions})"));
    let exporter = exporter.instantiate(&mut store).unwrap();
    let mut linker = Linker::new(&engine);
    linker.instance(&mut store, "e", exporter).unwrap();
    for given in names {
        for wanted in names {
            let text = format!("(module {types} (import \"e\" \"{given}\" (func (type ${wanted}))))");
            let result = linker.instantiate(&mut store, &module(&engine, &text));
            if given == wanted {
                result.unwrap();
            } else {
                let error = fails(result, ErrorKind::Link);
                let text = |name| match name {
                    "leaf" => "function (i32) -> ()",
                    "one" => "function ((ref (i32) -> ())) -> ()",
                    "maybe" => "function ((ref null (i32) -> ())) -> ()",
                    "any" => "function (funcref) -> ()",
                    _ => "function ((ref ((ref (i32) -> ())) -> ())) -> ()",
                };
                let both = format!("the module wants a {}, it is a {}", text(wanted), text(given));
                assert!(error.message().ends_with(&both), "{error}");
            }
        }
    }
}

#[test]
fn a_type_is_the_same_in_every_module_of_an_engine() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let a = module(
        &engine,
        r#"(module (type $f (func (param i32) (result i32))) (type $g (func (param (ref $f)) (result (ref $f))))
          (table (export "table") 2 (ref null $g))
          (func (export "same") (type $g) (local.get 0)))"#,
    );
    let b = module(
        &engine,
        r#"(module (type (func)) (type $x (func (result f64))) (type $f (func (param i32) (result i32)))
          (type $again (func (param i32) (result i32)))
          (type $g (func (param (ref $again)) (result (ref $f))))
          (import "a" "table" (table $t 2 (ref null $g))) (import "a" "same" (func $same (type $g)))
          (elem (table $t) (i32.const 0) (ref null $g) (item ref.func $same))
          (elem declare func $inc)
          (func $inc (type $again) (i32.add (local.get 0) (i32.const 1)))
          (func (export "run") (param i32 i32) (result i32)
            (call_ref $f (local.get 0) (call_indirect $t (type $g) (ref.func $inc) (local.get 1)))))"#,
    );
    let mut linker = Linker::new(&engine);
    let exporter = linker.instantiate(&mut store, &a).unwrap();
    linker.instance(&mut store, "a", exporter).unwrap();
    let importer = linker.instantiate(&mut store, &b).unwrap();
    let run = importer.typed_func::<(i32, i32), i32>(&mut store, "run").unwrap();
    assert_eq!(run.call(&mut store, (41, 0)).unwrap(), 42);
    traps(run.call(&mut store, (41, 1)), TrapCode::UninitializedElement);
    traps(run.call(&mut store, (41, 2)), TrapCode::UndefinedElement);
    traps(run.call(&mut store, (41, -1)), TrapCode::UndefinedElement);
    let declared = |m: &instar::Module| m.imports().map(|i| i.ty).chain(m.exports().map(|e| e.ty)).next().unwrap();
    let (ExternType::Table(of_a), ExternType::Table(of_b)) = (declared(&a), declared(&b)) else {
        panic!("both start with the table");
    };
    assert_eq!(of_a.element, of_b.element);
}

const TABLES: &str = r#"(module
  (type $f (func (result i32)))
  (table $filled 4 8 (ref $f) (ref.func $one))
  (table $mixed 6 (ref null $f) (ref.func $two))
  (table $nulls 3 (ref null $f))
  (elem (table $mixed) (i32.const 1) (ref null $f) (item ref.func $one) (item ref.null $f))
  (elem $passive (ref $f) (item ref.func $two) (item ref.func $two))
  (func $one (result i32) (i32.const 1))
  (func $two (result i32) (i32.const 2))
  (func $three (export "three") (result i32) (i32.const 3))
  (func (export "filled") (param i32) (result i32) (call_indirect $filled (type $f) (local.get 0)))
  (func (export "mixed") (param i32) (result i32) (call_indirect $mixed (type $f) (local.get 0)))
  (func (export "nulls") (param i32) (result i32) (call_indirect $nulls (type $f) (local.get 0)))
  (func (export "write")
    (table.set $filled (i32.const 0) (ref.func $three))
    (drop (table.grow $filled (ref.func $three) (i32.const 2)))
    (table.init $filled $passive (i32.const 1) (i32.const 0) (i32.const 2))
    (elem.drop $passive)
    (table.fill $mixed (i32.const 0) (ref.func $three) (i32.const 6))
    (table.copy $nulls $filled (i32.const 0) (i32.const 1) (i32.const 3))))"#;

#[test]
fn tables_with_a_first_value_have_it_for_every_tenant() {
    for engine in [
        one_slot(),
        paranoid(),
        kit::engine(|c| {
            c.allocation_strategy(instar::InstanceAllocationStrategy::OnDemand);
        }),
    ] {
        let pre = pre(&engine, TABLES);
        let [filled, mixed, nulls] = ["filled", "mixed", "nulls"].map(|n| pre.export::<i32, i32>(n).unwrap());
        let write = pre.export::<(), ()>("write").unwrap();
        for _ in 0..3 {
            let mut instance = pre.fresh(()).unwrap();
            let mut all = |table, count| (0..count).map(|i| instance.call(table, i).ok()).collect::<Vec<_>>();
            assert_eq!(all(&filled, 5), [Some(1), Some(1), Some(1), Some(1), None]);
            assert_eq!(all(&mixed, 7), [Some(2), Some(1), None, Some(2), Some(2), Some(2), None]);
            assert_eq!(all(&nulls, 3), [None; 3]);
            traps(instance.call(&filled, 4), TrapCode::UndefinedElement);
            traps(instance.call(&mixed, 2), TrapCode::UninitializedElement);
            instance.call(&write, ()).unwrap();
            let mut all = |table, count| (0..count).map(|i| instance.call(table, i).ok()).collect::<Vec<_>>();
            assert_eq!(all(&filled, 7), [Some(3), Some(2), Some(2), Some(1), Some(3), Some(3), None]);
            assert_eq!(all(&mixed, 6), [Some(3); 6]);
            assert_eq!(all(&nulls, 3), [Some(2), Some(2), Some(1)]);
        }
    }
}

#[test]
fn the_first_value_of_a_table_may_come_from_an_import() {
    let engine = paranoid();
    let text = r#"(module (type $f (func (result i32))) (import "h" "g" (global $g (ref $f)))
      (table $t 5 (ref $f) (global.get $g)) (table $n 5 funcref (global.get $g))
      (elem (table $t) (i32.const 2) (ref $f) (item ref.func $own)) (elem (table $n) (i32.const 3) func $own)
      (elem (table $n) (i32.const 4) funcref (item ref.null func))
      (func $own (result i32) (i32.const 7))
      (func (export "t") (param i32) (result i32) (call_indirect $t (type $f) (local.get 0)))
      (func (export "n") (param i32) (result i32) (call_indirect $n (type $f) (local.get 0))))"#;
    let module = module(&engine, text);
    for round in 0..3 {
        let mut store = Store::new(&engine, ());
        let hosts = Func::wrap(&mut store, move || round).unwrap();
        let f = FuncType::new([], [ValType::I32]);
        let ty = GlobalType { content: concrete(&engine, &f, false), mutable: false };
        let global = Global::new(&mut store, ty, Val::FuncRef(Some(hosts))).unwrap();
        let mut linker = Linker::new(&engine);
        linker.define(&mut store, "h", "g", global).unwrap();
        for _ in 0..2 {
            let instance = linker.instantiate(&mut store, &module).unwrap();
            let mut all = |name: &str| {
                let func = instance.typed_func::<i32, i32>(&mut store, name).unwrap();
                (0..5).map(|i| func.call(&mut store, i).ok()).collect::<Vec<_>>()
            };
            assert_eq!(all("t"), [Some(round), Some(round), Some(7), Some(round), Some(round)]);
            assert_eq!(all("n"), [Some(round), Some(round), Some(round), Some(7), None]);
        }
    }
}

#[test]
fn host_made_tables_and_globals_of_typed_references_keep_their_types() {
    let engine = one_slots(3);
    let f = FuncType::new([], [ValType::I32]);
    for round in 0..3 {
        let mut store = Store::new(&engine, ());
        let [fits, wrong] = [Func::wrap(&mut store, move || round), Func::wrap(&mut store, || {})].map(|f| f.unwrap());
        let [fits, wrong] = [fits, wrong].map(|f| Val::FuncRef(Some(f)));
        let null = Val::FuncRef(None);
        let ValType::Ref(element) = concrete(&engine, &f, round == 1) else { unreachable!() };
        let ty = TableType::new(element, 3, Some(5));
        for value in [wrong, Val::I32(0), Val::ExternRef(None)] {
            fails(Table::new(&mut store, ty, value), ErrorKind::Type);
        }
        let table = Table::new(&mut store, ty, fits).unwrap();
        assert_eq!(table.ty(&store).unwrap(), ty);
        let is_fits = |value: Option<Val>| matches!((value, fits), (Some(Val::FuncRef(a)), Val::FuncRef(b)) if a == b);
        for i in 0..3 {
            assert!(is_fits(table.get(&store, i).unwrap()));
        }
        let error = fails(table.set(&mut store, 0, wrong), ErrorKind::Type);
        assert!(error.message().ends_with("() -> (i32)), got (ref () -> ())"), "{error}");
        fails(table.grow(&mut store, 1, wrong), ErrorKind::Type);
        table.grow(&mut store, 1, fits).unwrap();
        if round == 1 {
            table.set(&mut store, 0, null).unwrap();
            assert!(matches!(table.get(&store, 0).unwrap(), Some(Val::FuncRef(None))));
        } else {
            let error = fails(table.set(&mut store, 0, null), ErrorKind::Type);
            assert_eq!(error.message(), "an element must be (ref () -> (i32)), got a null funcref");
            fails(table.grow(&mut store, 1, null), ErrorKind::Type);
            fails(Table::new(&mut store, ty, null), ErrorKind::Type);
        }
    }
}

fn one_slots(count: usize) -> Engine {
    kit::engine(|config| {
        config.max_instances(count);
    })
}

#[test]
fn globals_of_typed_references_take_values_that_fit() {
    let engine = paranoid();
    let mut store = Store::new(&engine, ());
    let f = FuncType::new([], [ValType::I32]);
    let [fits, wrong] = [Func::wrap(&mut store, || 5), Func::wrap(&mut store, || {})].map(|f| Val::FuncRef(f.ok()));
    let null = Val::FuncRef(None);
    let ty = |nullable| GlobalType { content: concrete(&engine, &f, nullable), mutable: true };
    let error = fails(Global::new(&mut store, ty(false), null), ErrorKind::Type);
    assert_eq!(error.message(), "a global of type (ref () -> (i32)) cannot start as a null funcref");
    fails(Global::new(&mut store, ty(true), wrong), ErrorKind::Type);
    let maybe = Global::new(&mut store, ty(true), null).unwrap();
    let never = Global::new(&mut store, ty(false), fits).unwrap();
    let error = fails(never.set(&mut store, null), ErrorKind::Type);
    assert_eq!(error.message(), "the global is (ref () -> (i32)), got a null funcref");
    fails(never.set(&mut store, wrong), ErrorKind::Type);
    let mut linker = Linker::new(&engine);
    linker.define(&mut store, "h", "maybe", maybe).unwrap().define(&mut store, "h", "never", never).unwrap();
    let text = r#"(module (type $f (func (result i32)))
      (import "h" "maybe" (global $maybe (mut (ref null $f)))) (import "h" "never" (global $never (mut (ref $f))))
      (elem declare func $own) (func $own (result i32) (i32.const 9))
      (func (export "maybe") (result i32) (call_ref $f (global.get $maybe)))
      (func (export "never") (result i32) (call_ref $f (global.get $never)))
      (func (export "set") (global.set $never (ref.func $own)) (global.set $maybe (global.get $never))))"#;
    let instance: Instance = linker.instantiate(&mut store, &module(&engine, text)).unwrap();
    let [of_maybe, of_never] = ["maybe", "never"].map(|n| instance.typed_func::<(), i32>(&mut store, n).unwrap());
    traps(of_maybe.call(&mut store, ()), TrapCode::NullFunctionReference);
    assert_eq!(of_never.call(&mut store, ()).unwrap(), 5);
    instance.typed_func::<(), ()>(&mut store, "set").unwrap().call(&mut store, ()).unwrap();
    assert_eq!(of_maybe.call(&mut store, ()).unwrap(), 9);
    assert_eq!(of_never.call(&mut store, ()).unwrap(), 9);
    maybe.set(&mut store, fits).unwrap();
    assert_eq!(of_maybe.call(&mut store, ()).unwrap(), 5);
    maybe.set(&mut store, null).unwrap();
    assert!(matches!(maybe.get(&store).unwrap(), Val::FuncRef(None)));
}

#[test]
fn without_the_feature_typed_references_are_refused_and_all_else_works() {
    let engine = kit::engine(|config| {
        config.wasm_function_references(false);
    });
    for text in [
        "(module (type $f (func)) (func (param (ref null $f))))",
        "(module (func (param (ref func))))",
        "(module (type $f (func)) (func (call_ref $f (ref.null $f))))",
        "(module (table 1 funcref (ref.null func)))",
    ] {
        fails(instar::Module::new(&engine, text), ErrorKind::Unsupported);
    }
    let mut store = Store::new(&engine, ());
    let func = Func::wrap(&mut store, |n: i32| n).unwrap();
    let table = TableType::new(RefType::FUNCREF, 2, None);
    Table::new(&mut store, table, Val::FuncRef(Some(func))).unwrap();
    let ty = unary(concrete(&engine, &unary(ValType::I32), true));
    fails(Func::new(&mut store, ty, |_, _, _| Ok(())), ErrorKind::Unsupported);
}

#[test]
fn a_table_of_one_type_called_as_another_traps() {
    let text = r#"(module (type $a (func (result i32))) (type $same (func (result i32))) (type $b (func (result i64)))
      (table 2 (ref null $a)) (elem (i32.const 0) (ref null $a) (ref.func $f))
      (func $f (type $a) (i32.const 7))
      (func (export "a") (param i32) (result i32) (call_indirect (type $a) (local.get 0)))
      (func (export "same") (param i32) (result i32) (call_indirect (type $same) (local.get 0)))
      (func (export "b") (param i32) (result i64) (call_indirect (type $b) (local.get 0))))"#;
    for mode in kit::MODES {
        let pre = kit::pre(&mode.engine(), text);
        for name in ["a", "same"] {
            let call = pre.export::<u32, u32>(name).unwrap();
            assert_eq!(pre.call((), &call, 0).unwrap(), 7, "{}", mode.name);
            kit::traps(pre.call((), &call, 1), instar::TrapCode::UninitializedElement);
            kit::traps(pre.call((), &call, 2), instar::TrapCode::UndefinedElement);
        }
        let call = pre.export::<u32, u64>("b").unwrap();
        kit::traps(pre.call((), &call, 0), instar::TrapCode::IndirectCallTypeMismatch);
    }
}
