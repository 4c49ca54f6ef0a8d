//! Accesses at the edges, in every mode: what is in bounds works, what is not traps and changes nothing.

use instar::{InstancePre, Store, TrapCode, Val};

use crate::kit::{MODES, Mode, pre, traps};

const PAGE: u64 = 65_536;

/// Operator, type of the value, bytes accessed.
const LOADS: [(&str, &str, u64); 14] = [
    ("i32.load", "i32", 4),
    ("i32.load8_s", "i32", 1),
    ("i32.load8_u", "i32", 1),
    ("i32.load16_s", "i32", 2),
    ("i32.load16_u", "i32", 2),
    ("i64.load", "i64", 8),
    ("i64.load8_s", "i64", 1),
    ("i64.load8_u", "i64", 1),
    ("i64.load16_s", "i64", 2),
    ("i64.load16_u", "i64", 2),
    ("i64.load32_s", "i64", 4),
    ("i64.load32_u", "i64", 4),
    ("f32.load", "f32", 4),
    ("f64.load", "f64", 8),
];

const STORES: [(&str, &str, u64); 9] = [
    ("i32.store", "i32", 4),
    ("i32.store8", "i32", 1),
    ("i32.store16", "i32", 2),
    ("i64.store", "i64", 8),
    ("i64.store8", "i64", 1),
    ("i64.store16", "i64", 2),
    ("i64.store32", "i64", 4),
    ("f32.store", "f32", 4),
    ("f64.store", "f64", 8),
];

/// A memory to be tested: how it is declared, its size, and whether its addresses have 64 bits.
struct Subject {
    memory: &'static str,
    length: u64,
    wide: bool,
}

const SUBJECTS: [Subject; 5] = [
    Subject { memory: "2 3", length: 2 * PAGE, wide: false },
    Subject { memory: "i64 2", length: 2 * PAGE, wide: true },
    Subject { memory: "5000 (pagesize 1)", length: 5000, wide: false },
    Subject { memory: "i64 8192 9000 (pagesize 1)", length: 8192, wide: true },
    Subject { memory: "0", length: 0, wide: false },
];

fn offsets(wide: bool) -> impl Iterator<Item = u64> {
    let guard = 32 << 20;
    let narrow = [0, 1, 8, 4096, PAGE, 2 * PAGE - 8, guard - 4, guard, guard + 1, 1 << 31, u64::from(u32::MAX)];
    let far = [1 << 32, 1 << 63, u64::MAX - 7, u64::MAX];
    narrow.into_iter().chain(far.into_iter().filter(move |_| wide))
}

/// Indices around the last one that is good, and at the ends of their range.
fn indices(subject: &Subject, offset: u64, size: u64) -> Vec<u64> {
    let last = subject.length.wrapping_sub(offset).wrapping_sub(size);
    let mut list: Vec<u64> = (0..3).map(|i| last.wrapping_add(i).wrapping_sub(1)).collect();
    list.extend([0, subject.length, u64::from(u32::MAX), u64::from(u32::MAX) - size + 1, 1 << 31]);
    list.extend([u64::MAX, u64::MAX - size + 1, 1 << 63, 0u64.wrapping_sub(offset)]);
    if !subject.wide {
        list.iter_mut().for_each(|index| *index &= u64::from(u32::MAX));
    }
    list.sort_unstable();
    list.dedup();
    list
}

fn call(pre: &InstancePre<()>, name: &str, wide: bool, index: u64) -> instar::Result<()> {
    match wide {
        true => pre.call((), &pre.export::<u64, ()>(name)?, index),
        false => pre.call((), &pre.export::<u32, ()>(name)?, index as u32),
    }
}

fn check_subject(mode: &Mode, subject: &Subject) {
    let engine = mode.engine_with(|c| {
        c.wasm_custom_page_sizes(true).max_instances(1).cranelift_debug_verifier(false);
    });
    let index = if subject.wide { "i64" } else { "i32" };
    let mut functions = String::new();
    let mut cases = Vec::new();
    for (operators, is_store) in [(&LOADS[..], false), (&STORES[..], true)] {
        for &(operator, ty, size) in operators {
            for offset in offsets(subject.wide) {
                let name = format!("{operator} {offset}");
                let body = |at: &str| match is_store {
                    true => format!("({operator} offset={offset} {at} ({ty}.const -1))"),
                    false => format!("(drop ({operator} offset={offset} {at}))"),
                };
                functions += &format!("(func (export \"{name}\") (param {index}) {})", body("(local.get 0)"));
                for (i, &at) in indices(subject, offset, size).iter().enumerate() {
                    let inside = u128::from(at) + u128::from(offset) + u128::from(size) <= u128::from(subject.length);
                    cases.push((name.clone(), at, inside));
                    if ["i64.load", "i32.load8_u", "i64.store", "i32.store16"].contains(&operator) {
                        // The same address as a constant, which compiled code may know to be good.
                        let constant = format!("{name} c{i}");
                        let at_constant = body(&format!("({index}.const {at})"));
                        functions += &format!("(func (export \"{constant}\") (param {index}) {at_constant})");
                        cases.push((constant, at, inside));
                    }
                }
            }
        }
    }
    let pre = pre(&engine, format!("(module (memory (export \"memory\") {}) {functions})", subject.memory));
    for (name, at, inside) in cases {
        let result = call(&pre, &name, subject.wide, at);
        match inside {
            true => assert!(result.is_ok(), "{}, memory {}: {name} at {at}: {result:?}", mode.name, subject.memory),
            false => {
                assert!(result.is_err(), "{}, memory {}: {name} at {at} works", mode.name, subject.memory);
                traps(result, TrapCode::MemoryOutOfBounds);
            }
        }
    }
}

#[test]
fn every_access_of_a_32_bit_memory_is_in_bounds_or_traps() {
    MODES.iter().for_each(|mode| check_subject(mode, &SUBJECTS[0]));
}

#[test]
fn every_access_of_a_64_bit_memory_is_in_bounds_or_traps() {
    MODES.iter().for_each(|mode| check_subject(mode, &SUBJECTS[1]));
}

#[test]
fn every_access_of_a_memory_of_bytes_is_in_bounds_or_traps() {
    MODES.iter().for_each(|mode| SUBJECTS[2..].iter().for_each(|subject| check_subject(mode, subject)));
}

#[test]
fn a_store_that_traps_changes_nothing_and_what_was_stored_is_undone() {
    for mode in MODES {
        for subject in SUBJECTS.iter().filter(|s| s.length > 0) {
            let engine = mode.engine_with(|c| {
                c.wasm_custom_page_sizes(true).max_instances(1);
            });
            let index = if subject.wide { "i64" } else { "i32" };
            let stores: String = STORES
                .iter()
                .map(|(operator, ty, _)| {
                    format!(
                        "(func (export \"{operator}\") (param {index}) ({operator} (local.get 0) ({ty}.const -1)))
                         (func (export \"{operator} 99\") (param {index})
                           ({operator} offset=99 (local.get 0) ({ty}.const -1)))"
                    )
                })
                .collect();
            let text = format!("(module (memory (export \"memory\") {}) {stores})", subject.memory);
            let pre = pre(&engine, text);
            let memory = pre.memory("memory").unwrap();
            for (operator, _, size) in STORES {
                for (name, offset) in [(operator.to_owned(), 0), (format!("{operator} 99"), 99)] {
                    let mut instance = pre.fresh(()).unwrap();
                    let mut act = |at: u64| match subject.wide {
                        true => instance.call(&pre.export::<u64, ()>(&name).unwrap(), at),
                        false => instance.call(&pre.export::<u32, ()>(&name).unwrap(), at as u32),
                    };
                    let last = subject.length - offset - size;
                    traps(act(last + 1), TrapCode::MemoryOutOfBounds);
                    act(last).unwrap();
                    traps(act(last + size), TrapCode::MemoryOutOfBounds);
                    let mut bytes = vec![0; subject.length as usize];
                    instance.memory_read(&memory, 0, &mut bytes).unwrap();
                    let written = (subject.length - size) as usize;
                    assert!(bytes[..written].iter().all(|&b| b == 0), "{} {name}", mode.name);
                    if !operator.starts_with('f') {
                        assert!(bytes[written..].iter().all(|&b| b == 0xff), "{} {name}", mode.name);
                    }
                    drop(instance);
                    let next = pre.fresh(()).unwrap();
                    next.memory_read(&memory, 0, &mut bytes).unwrap();
                    assert!(bytes.iter().all(|&b| b == 0), "{} {name}: a byte of the tenant before", mode.name);
                }
            }
        }
    }
}

/// Grows by one page at a time, which moves the memory where its reservation is small, and looks at all of it.
#[test]
fn a_memory_that_grows_keeps_its_contents_and_its_bounds_wherever_it_goes() {
    for mode in MODES {
        for (declared, index) in [("1 40", "i32"), ("i64 1", "i64"), ("1", "i32")] {
            let engine = mode.engine_with(|c| {
                c.max_instances(1);
            });
            let pre = pre(
                &engine,
                format!(
                    r#"(module (memory (export "memory") {declared})
                      (data ({index}.const 10) "at the start") (data ({index}.const 65530) "at end")
                      (func $host)
                      (func (export "grow and use") (param {index}) (result {index}) (local $old {index})
                        (i64.store (local.get 0) (i64.const 7))
                        (local.set $old (memory.grow ({index}.const 1)))
                        (call $host)
                        ;; The base may be another one now, after the same index.
                        (i64.store offset=8 (local.get 0) (i64.load (local.get 0)))
                        (i64.store8 offset=65535 (local.get 0) (i64.const 9))
                        (local.get $old))
                      (func (export "touch") (param {index}) (i32.store8 (local.get 0) (i32.const 1))))"#
                ),
            );
            let memory = pre.memory("memory").unwrap();
            let wide = index == "i64";
            for round in 0..3 {
                let mut instance = pre.fresh(()).unwrap();
                for old in 1..30u64 {
                    let at = old * PAGE - 32;
                    let seen = match wide {
                        true => instance.call(&pre.export::<u64, u64>("grow and use").unwrap(), at).unwrap(),
                        false => {
                            instance.call(&pre.export::<u32, u32>("grow and use").unwrap(), at as u32).unwrap().into()
                        }
                    };
                    assert_eq!(seen, old, "{} {declared}", mode.name);
                    assert_eq!(instance.memory_size(&memory).unwrap(), (old + 1) * PAGE);
                    let mut touch = |at: u64| match wide {
                        true => instance.call(&pre.export::<u64, ()>("touch").unwrap(), at),
                        false => instance.call(&pre.export::<u32, ()>("touch").unwrap(), at as u32),
                    };
                    traps(touch((old + 1) * PAGE), TrapCode::MemoryOutOfBounds);
                    touch((old + 1) * PAGE - 1).unwrap();
                }
                let mut bytes = vec![0; 30 * PAGE as usize];
                instance.memory_read(&memory, 0, &mut bytes).unwrap();
                let mut expected = vec![0; bytes.len()];
                expected[10..22].copy_from_slice(b"at the start");
                expected[65530..65536].copy_from_slice(b"at end");
                for old in 1..30 {
                    let at = old * PAGE as usize - 32;
                    expected[at] = 7;
                    expected[at + 1..at + 8].fill(0);
                    expected[at + 8] = 7;
                    expected[at + 9..at + 16].fill(0);
                    expected[at + 65535] = 9;
                    expected[(old + 1) * PAGE as usize - 1] = 1;
                }
                let differs = bytes.iter().zip(&expected).position(|(a, b)| a != b);
                assert_eq!(differs, None, "{} {declared}, round {round}: first byte that differs", mode.name);
            }
        }
    }
}

#[test]
fn the_host_reads_and_writes_up_to_the_last_byte_and_not_beyond() {
    use instar::ErrorKind::OutOfBounds;
    for mode in MODES {
        for subject in &SUBJECTS {
            let engine = mode.engine_with(|c| {
                c.wasm_custom_page_sizes(true);
            });
            let pre = pre(&engine, format!("(module (memory (export \"memory\") {}))", subject.memory));
            let mut store = Store::new(&engine, ());
            let instance = pre.instantiate(&mut store).unwrap();
            let memory = instance.memory(&mut store, "memory").unwrap();
            let length = subject.length;
            assert_eq!(memory.data_size(&store).unwrap() as u64, length);
            memory.write(&mut store, length, &[]).unwrap();
            for (at, len) in [(length, 1), (length + 1, 0), (u64::MAX, 1), (u64::MAX, 0), (u64::MAX - 3, 8)] {
                let mut bytes = vec![0; len];
                crate::kit::fails(memory.read(&store, at, &mut bytes), OutOfBounds);
                crate::kit::fails(memory.write(&mut store, at, &bytes), OutOfBounds);
            }
            if length >= 8 {
                memory.write(&mut store, length - 8, &[3; 8]).unwrap();
                crate::kit::fails(memory.write(&mut store, length - 7, &[4; 8]), OutOfBounds);
                let mut bytes = [0; 8];
                memory.read(&store, length - 8, &mut bytes).unwrap();
                assert_eq!(bytes, [3; 8]);
            }
        }
    }
}

#[test]
fn several_memories_of_one_module_keep_apart() {
    for mode in MODES {
        let engine = mode.engine_with(|c| {
            c.wasm_custom_page_sizes(true).max_instances(1);
        });
        let pre = pre(
            &engine,
            r#"(module
              (memory $a (export "a") 1) (memory $b (export "b") i64 1) (memory $c (export "c") 100 (pagesize 1))
              (data (memory $a) (i32.const 0) "of a") (data (memory $b) (i64.const 0) "of b") (data (memory $c) (i32.const 0) "of c")
              (func (export "a to b") (memory.copy $b $a (i64.const 4) (i32.const 0) (i32.const 4)))
              (func (export "b to a") (memory.copy $a $b (i32.const 4) (i64.const 0) (i32.const 4)))
              (func (export "b to b") (memory.copy $b $b (i64.const 2) (i64.const 0) (i64.const 4)))
              (func (export "b to c") (memory.copy $c $b (i32.const 96) (i64.const 0) (i32.const 4)))
              (func (export "too far in c") (memory.copy $c $b (i32.const 97) (i64.const 0) (i32.const 4)))
              (func (export "too far in b") (memory.copy $a $b (i32.const 0) (i64.const 0xffffffffffffffff) (i32.const 4)))
              (func (export "fill b") (memory.fill $b (i64.const 65530) (i32.const 5) (i64.const 6)))
              (func (export "fill b too far") (memory.fill $b (i64.const 65530) (i32.const 5) (i64.const 7)))
              (func (export "fill b wrapping") (memory.fill $b (i64.const 65530) (i32.const 5) (i64.const -1)))
              (func (export "store") (i64.store $a (i32.const 300) (i64.const 1)) (i64.store $b (i64.const 300) (i64.const 2))
                (i32.store $c (i32.const 96) (i32.const 3))))"#,
        );
        let run = |name: &str| -> ([Vec<u8>; 3], instar::Result<()>) {
            let mut instance = pre.fresh(()).unwrap();
            let result = instance.call(&pre.export::<(), ()>(name).unwrap(), ());
            let bytes = ["a", "b", "c"].map(|memory| {
                let memory = pre.memory(memory).unwrap();
                let mut bytes = vec![0; instance.memory_size(&memory).unwrap() as usize];
                instance.memory_read(&memory, 0, &mut bytes).unwrap();
                bytes
            });
            (bytes, result)
        };
        let ([a, b, c], result) = run("a to b");
        result.unwrap();
        assert_eq!((&a[..8], &b[..8], &c[..8]), (&b"of a\0\0\0\0"[..], &b"of bof a"[..], &b"of c\0\0\0\0"[..]));
        let ([a, b, _], _) = run("b to a");
        assert_eq!((&a[..8], &b[..8]), (&b"of aof b"[..], &b"of b\0\0\0\0"[..]));
        let ([_, b, _], _) = run("b to b");
        assert_eq!(&b[..8], b"ofof b\0\0");
        let ([_, _, c], _) = run("b to c");
        assert_eq!((&c[..4], &c[96..]), (&b"of c"[..], &b"of b"[..]));
        let ([_, b, _], _) = run("fill b");
        assert_eq!((b[65_529], b[65_530], b[65_535]), (0, 5, 5));
        let ([a, b, c], _) = run("store");
        assert_eq!((a[300], b[300], c[96]), (1, 2, 3));
        for name in ["too far in c", "too far in b", "fill b too far", "fill b wrapping"] {
            traps(run(name).1, TrapCode::MemoryOutOfBounds);
        }
    }
}

#[test]
fn code_for_an_imported_memory_serves_any_memory_that_matches() {
    for mode in MODES {
        let engine = mode.engine();
        for given in ["1 1", "1 2", "3 200", "5"] {
            let exporter =
                pre(&engine, format!("(module (memory (export \"memory\") {given}) (data (i32.const 0) \"x\"))"));
            let mut store = Store::new(&engine, ());
            let instance = exporter.instantiate(&mut store).unwrap();
            let memory = instance.memory(&mut store, "memory").unwrap();
            let mut linker = instar::Linker::new(&engine);
            linker.instance(&mut store, "m", instance).unwrap();
            let text = r#"(module (import "m" "memory" (memory 1))
              (func (export "last") (param i32) (result i32) (i32.load8_u offset=65535 (local.get 0)))
              (func (export "first") (result i32) (i32.load8_u (i32.const 0)))
              (func (export "grow") (result i32) (memory.grow (i32.const 1)) (i32.store8 (i32.const 1) (i32.const 7))))"#;
            let user = linker.instantiate(&mut store, &crate::kit::module(&engine, text)).unwrap();
            let call = |store: &mut Store<()>, name: &str, params: &[Val]| {
                let function = user.func(&mut *store, name).unwrap();
                let mut results = [Val::I32(-7)];
                function.call(&mut *store, params, &mut results).map(|()| match results[0] {
                    Val::I32(value) => value,
                    _ => unreachable!("an i32"),
                })
            };
            assert_eq!(call(&mut store, "first", &[]).unwrap(), i32::from(b'x'));
            let pages = memory.size(&store).unwrap();
            assert_eq!(call(&mut store, "last", &[Val::from(((pages - 1) * PAGE) as u32)]).unwrap(), 0);
            traps(call(&mut store, "last", &[Val::from(((pages - 1) * PAGE + 1) as u32)]), TrapCode::MemoryOutOfBounds);
            let old = call(&mut store, "grow", &[]).unwrap();
            assert!(old == pages as i32 || given == "1 1" && old == -1, "{} {given}: {old}", mode.name);
            let mut bytes = [0; 2];
            memory.read(&store, 0, &mut bytes).unwrap();
            assert_eq!(bytes, [b'x', 7]);
        }
    }
}
