//! Atomic operators, on memories that are shared and on those that are not, against a model in Rust.

use instar::{ErrorKind, InstancePre, MemoryType, Module, OwnedInstance, SharedMemory, TrapCode};

use crate::kit::{MODES, Random, engine, fails, pre, traps};

/// An operator: its width in memory in bytes, and whether its operands have 64 bits.
#[derive(Clone, Copy, Debug)]
struct Width {
    bytes: u32,
    wide: bool,
}

const WIDTHS: [Width; 7] = [
    Width { bytes: 4, wide: false },
    Width { bytes: 8, wide: true },
    Width { bytes: 1, wide: false },
    Width { bytes: 2, wide: false },
    Width { bytes: 1, wide: true },
    Width { bytes: 2, wide: true },
    Width { bytes: 4, wide: true },
];

/// What an operator leaves in memory, from the old value and its operand.
type Model = fn(u64, u64) -> u64;

const MODIFIES: [(&str, Model); 6] = [
    ("add", u64::wrapping_add),
    ("sub", u64::wrapping_sub),
    ("and", |old, value| old & value),
    ("or", |old, value| old | value),
    ("xor", |old, value| old ^ value),
    ("xchg", |_, value| value),
];

impl Width {
    fn ty(self) -> &'static str {
        if self.wide { "i64" } else { "i32" }
    }

    /// Bits of the operator's name, if it is narrower than its operands.
    fn bits(self) -> String {
        if self.bytes == if self.wide { 8 } else { 4 } { String::new() } else { (self.bytes * 8).to_string() }
    }

    fn unsigned(self) -> &'static str {
        if self.bits().is_empty() { "" } else { "_u" }
    }

    fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bytes * 8)
    }

    /// The name of the exported function for an operator.
    fn name(self, action: &str) -> String {
        format!("{}.{action}.{}", self.ty(), self.bytes)
    }

    /// A function for each operator of this width: `(address, …) -> old value`, with operands and results as `i64`.
    fn functions(self, offset: u64) -> String {
        let (ty, bits, u) = (self.ty(), self.bits(), self.unsigned());
        let operand = |n: u32| match self.wide {
            true => format!("(local.get {n})"),
            false => format!("(i32.wrap_i64 (local.get {n}))"),
        };
        let result = |code: String| if self.wide { code } else { format!("(i64.extend_i32_u {code})") };
        let (first, second) = (operand(1), operand(2));
        let mut text = format!(
            r#"(func (export "{}") (param i32 i64 i64) (result i64) {})
               (func (export "{}") (param i32 i64 i64) (result i64)
                 ({ty}.atomic.store{bits} offset={offset} (local.get 0) {first}) (i64.const 0))
               (func (export "{}") (param i32 i64 i64) (result i64) {})"#,
            self.name("load"),
            result(format!("({ty}.atomic.load{bits}{u} offset={offset} (local.get 0))")),
            self.name("store"),
            self.name("cmpxchg"),
            result(format!("({ty}.atomic.rmw{bits}.cmpxchg{u} offset={offset} (local.get 0) {first} {second})")),
        );
        for (action, _) in MODIFIES {
            text += &format!(
                r#"(func (export "{}") (param i32 i64 i64) (result i64) {})
                   (func (export "{}") (param i32 i64 i64) (result i64)
                     (drop ({ty}.atomic.rmw{bits}.{action}{u} offset={offset} (local.get 0) {first})) (i64.const 0))"#,
                self.name(action),
                result(format!("({ty}.atomic.rmw{bits}.{action}{u} offset={offset} (local.get 0) {first})")),
                self.name(&format!("{action} unused")),
            );
        }
        text
    }
}

/// A module with all operators and a memory.
fn text(memory: &str, offset: u64) -> String {
    let functions: String = WIDTHS.iter().map(|width| width.functions(offset)).collect();
    format!(r#"(module (memory (export "memory") {memory}) {functions} (func (export "fence") (atomic.fence)))"#)
}

/// The memory and a copy of it, to which every operator is applied.
struct Both<'a> {
    pre: &'a InstancePre<()>,
    instance: OwnedInstance<()>,
    model: Vec<u8>,
    /// What an operator adds to its address.
    offset: u64,
    what: String,
}

impl Both<'_> {
    fn value(&self, at: u64, width: Width) -> u64 {
        let mut bytes = [0; 8];
        bytes[..width.bytes as usize].copy_from_slice(&self.model[at as usize..][..width.bytes as usize]);
        u64::from_le_bytes(bytes)
    }

    /// Calls an operator and compares what it gives, and what the memory is afterwards.
    fn step(&mut self, at: u64, width: Width, action: &str, operands: (u64, u64), gives: u64, becomes: Option<u64>) {
        let what = format!("{}: {} {operands:x?} at {at}", self.what, width.name(action));
        let func = self.pre.export::<(u32, u64, u64), u64>(&width.name(action)).unwrap();
        let given = self.instance.call(&func, ((at - self.offset) as u32, operands.0, operands.1)).unwrap();
        assert_eq!(given, gives, "{what}");
        if let Some(new) = becomes {
            self.model[at as usize..][..width.bytes as usize]
                .copy_from_slice(&new.to_le_bytes()[..width.bytes as usize]);
        }
        let mut now = vec![0; 65_536];
        self.instance.memory_read(&self.pre.memory("memory").unwrap(), 0, &mut now).unwrap();
        assert!(now == self.model, "{what}: the memory is another");
    }

    /// All operators of a width at an address.
    fn steps(&mut self, at: u64, width: Width, random: &mut Random) {
        self.step(at, width, "load", (0, 0), self.value(at, width), None);
        let value = random.next();
        self.step(at, width, "store", (value, 0), 0, Some(value));
        for (action, model) in MODIFIES {
            let (old, value) = (self.value(at, width), random.next());
            self.step(at, width, action, (value, 0), old, Some(model(old, value)));
            let (old, value) = (self.value(at, width), random.next());
            self.step(at, width, &format!("{action} unused"), (value, 0), 0, Some(model(old, value)));
        }
        let (old, value) = (self.value(at, width), random.next());
        let other = old ^ 1 << random.below(u64::from(width.bytes) * 8);
        self.step(at, width, "cmpxchg", (other, value), old, None);
        // Bits beyond the width are not compared.
        self.step(at, width, "cmpxchg", (old | random.next() & !width.mask(), value), old, Some(value));
    }
}

#[test]
fn every_operator_does_what_the_model_does_and_its_writes_are_undone() {
    for mode in MODES {
        let engine = mode.engine();
        for (memory, offset) in [("1 2", 0), ("1 2 shared", 0), ("1 2", 24), ("1 2 shared", 24)] {
            let pre = pre(&engine, text(memory, offset));
            let mut random = Random::new(offset + 7);
            // Twice, so that the paranoid engine looks at the slot in between.
            for _ in 0..2 {
                let what = format!("{}, memory {memory}, offset {offset}", mode.name);
                let instance = pre.fresh(()).unwrap();
                let mut both = Both { pre: &pre, instance, model: vec![0; 65_536], offset, what };
                for width in WIDTHS {
                    for near in [24, 250, 65_528] {
                        let at = near / 8 * 8 + random.below(u64::from(8 / width.bytes)) * u64::from(width.bytes);
                        both.steps(at, width, &mut random);
                    }
                }
                both.instance.call(&pre.export::<(), ()>("fence").unwrap(), ()).unwrap();
            }
        }
    }
}

#[test]
fn addresses_are_aligned_and_in_bounds_or_trap_and_change_nothing() {
    for mode in MODES {
        let engine = mode.engine();
        for (memory, offset) in [("1 2", 0), ("1 2 shared", 0), ("1 2 shared", 3), ("1 2", 0xffff_fff8)] {
            let pre = pre(&engine, text(memory, offset));
            let mut instance = pre.fresh(()).unwrap();
            for width in WIDTHS {
                let size = u64::from(width.bytes);
                let actions = MODIFIES.iter().map(|m| m.0).chain(["load", "store", "cmpxchg", "add unused"]);
                for action in actions {
                    let func = pre.export::<(u32, u64, u64), u64>(&width.name(action)).unwrap();
                    let mut expect = |index: u32| {
                        let at = u64::from(index) + offset;
                        let result = instance.call(&func, (index, 0, 0));
                        if !at.is_multiple_of(size) {
                            traps(result, TrapCode::UnalignedAtomic);
                        } else if at + size > 65_536 {
                            traps(result, TrapCode::MemoryOutOfBounds);
                        } else {
                            assert_eq!(result.unwrap(), 0, "{}: {action} {width:?} at {at}", mode.name);
                        }
                    };
                    for index in [0, 1, 2, 3, 4, 5, 7, 8, 65_528, 65_530, 65_532, 65_533, 65_535, 65_536, 65_544] {
                        expect(index);
                    }
                    for index in [0x7fff_fff8, 0xffff_fff8, 0xffff_ffff] {
                        expect(index);
                    }
                }
            }
        }
    }
}

#[test]
fn memories_with_64_bit_addresses_have_atomic_operators_too() {
    for mode in MODES {
        let engine = mode.engine();
        for memory in ["i64 1 2", "i64 1 2 shared"] {
            let pre = pre(
                &engine,
                format!(
                    r#"(module (memory {memory})
                      (func (export "add") (param i64 i32) (result i32)
                        (i32.atomic.rmw.add offset=4 (local.get 0) (local.get 1)))
                      (func (export "far") (param i64) (result i64)
                        (i64.atomic.load offset=0xffff_ffff_ffff_fff8 (local.get 0)))
                      (func (export "notify") (param i64) (result i32)
                        (memory.atomic.notify offset=0xffff_ffff_ffff_fffc (local.get 0) (i32.const 1))))"#
                ),
            );
            let mut instance = pre.fresh(()).unwrap();
            let add = pre.export::<(u64, u32), u32>("add").unwrap();
            assert_eq!(instance.call(&add, (65_528, 5)).unwrap(), 0);
            assert_eq!(instance.call(&add, (65_528, 6)).unwrap(), 5);
            traps(instance.call(&add, (65_532, 6)), TrapCode::MemoryOutOfBounds);
            traps(instance.call(&add, (1 << 32, 6)), TrapCode::MemoryOutOfBounds);
            traps(instance.call(&add, (65_529, 6)), TrapCode::UnalignedAtomic);
            traps(instance.call(&add, (u64::MAX - 3, 6)), TrapCode::MemoryOutOfBounds);
            traps(instance.call(&add, (u64::MAX - 4, 6)), TrapCode::UnalignedAtomic);
            let far = pre.export::<u64, u64>("far").unwrap();
            let notify = pre.export::<u64, u32>("notify").unwrap();
            // The sum of index and offset wraps to an address in the memory, which is out of bounds all the same.
            for index in [0, 8, 16, 65_536] {
                traps(instance.call(&far, index), TrapCode::MemoryOutOfBounds);
                traps(instance.call(&notify, index), TrapCode::MemoryOutOfBounds);
            }
            traps(instance.call(&far, 1), TrapCode::UnalignedAtomic);
            traps(instance.call(&notify, 1), TrapCode::UnalignedAtomic);
        }
    }
}

#[test]
fn nobody_waits_at_a_memory_that_is_not_shared() {
    for mode in MODES {
        let engine = mode.engine();
        let pre = pre(
            &engine,
            r#"(module (memory 1)
              (func (export "wait32") (param i32) (result i32)
                (memory.atomic.wait32 (local.get 0) (i32.const 0) (i64.const -1)))
              (func (export "wait64") (param i32) (result i32)
                (memory.atomic.wait64 (local.get 0) (i64.const 0) (i64.const -1)))
              (func (export "notify") (param i32) (result i32)
                (memory.atomic.notify (local.get 0) (i32.const 9))))"#,
        );
        let mut instance = pre.fresh(()).unwrap();
        for (name, size) in [("wait32", 4), ("wait64", 8)] {
            let wait = pre.export::<u32, u32>(name).unwrap();
            traps(instance.call(&wait, 65_536 - size), TrapCode::ExpectedSharedMemory);
            traps(instance.call(&wait, 65_536), TrapCode::MemoryOutOfBounds);
            traps(instance.call(&wait, size / 2), TrapCode::UnalignedAtomic);
        }
        let notify = pre.export::<u32, u32>("notify").unwrap();
        assert_eq!(instance.call(&notify, 65_532).unwrap(), 0);
        traps(instance.call(&notify, 65_536), TrapCode::MemoryOutOfBounds);
        traps(instance.call(&notify, 2), TrapCode::UnalignedAtomic);
    }
}

#[test]
fn without_the_feature_there_are_neither_atomic_operators_nor_shared_memories() {
    let engine = engine(|config| {
        config.wasm_threads(false);
    });
    for text in ["(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))", "(module (memory 1 1 shared))"] {
        fails(Module::new(&engine, text), ErrorKind::Unsupported);
    }
    let error = fails(SharedMemory::new(&engine, MemoryType::shared(1, 1)), ErrorKind::Unsupported);
    assert!(error.to_string().contains("wasm_threads"), "{error}");
}
