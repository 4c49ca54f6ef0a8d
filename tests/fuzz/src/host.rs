//! What the host gives to generated modules, described once for both engines, and the values that go in and out.

use wasmparser::WasmFeatures;

use crate::random::Random;

/// Something that can be imported from `host`.
pub struct Import {
    pub name: &'static str,
    /// Its type, in the text format.
    pub text: &'static str,
    /// What a module must be able to use to have it.
    pub needs: WasmFeatures,
}

const fn import(name: &'static str, text: &'static str) -> Import {
    Import { name, text, needs: WasmFeatures::empty() }
}

/// All that can be imported.
pub const IMPORTS: [Import; 13] = [
    import("f0", "(func)"),
    import("f1", "(func (param i32) (result i32))"),
    import("f2", "(func (param i64 f32 f64) (result i64))"),
    import("f3", "(func (param f64) (result f64 i32 f32))"),
    import("f4", "(func (param funcref externref) (result externref funcref))"),
    Import { needs: WasmFeatures::SIMD, ..import("f5", "(func (param i32 v128 f32) (result f64 v128))") },
    import("memory", "(memory 1 4)"),
    Import { needs: WasmFeatures::MEMORY64, ..import("memory64", "(memory i64 1 4)") },
    import("functions", "(table 8 30 funcref)"),
    import("objects", "(table 5 20 externref)"),
    import("constant", "(global i32)"),
    import("variable", "(global (mut i64))"),
    Import { needs: WasmFeatures::SIMD, ..import("vector", "(global (mut v128))") },
];

/// Value of the imported constant.
pub const CONSTANT: i32 = 3;
/// Value at the start of the imported variable.
pub const VARIABLE: i64 = -77;
/// Value at the start of the imported vector.
pub const VECTOR: u128 = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff;

/// A type of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    I32,
    I64,
    F32,
    F64,
    V128,
    Func,
    Extern,
}

/// A value as both engines know it: bits, or whether there is a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    I32(u32),
    I64(u64),
    F32(u32),
    F64(u64),
    V128(u128),
    Func(bool),
    Extern(bool),
}

impl Value {
    /// Any value of a type; of references only null.
    pub fn any(random: &mut Random, ty: Type) -> Value {
        let bits = random.bits();
        match ty {
            Type::I32 => Value::I32(bits as u32),
            Type::I64 => Value::I64(bits),
            Type::F32 => Value::f32(bits as u32),
            Type::F64 => Value::f64(bits),
            Type::V128 => Value::V128(u128::from(bits) | u128::from(random.bits()) << 64),
            Type::Func => Value::Func(false),
            Type::Extern => Value::Extern(random.once_in(2)),
        }
    }

    /// With one pattern for all NaNs, since engines may choose.
    pub fn f32(bits: u32) -> Value {
        Value::F32(if f32::from_bits(bits).is_nan() { 0x7fc0_0000 } else { bits })
    }

    /// With one pattern for all NaNs, since engines may choose.
    pub fn f64(bits: u64) -> Value {
        Value::F64(if f64::from_bits(bits).is_nan() { 0x7ff8_0000_0000_0000 } else { bits })
    }

    fn mix(self) -> u64 {
        match self {
            Value::I32(v) | Value::F32(v) => u64::from(v),
            Value::I64(v) | Value::F64(v) => v,
            Value::V128(v) => v as u64 ^ (v >> 64) as u64,
            Value::Func(v) | Value::Extern(v) => u64::from(v) + 5,
        }
    }
}

/// What the host functions do: the same for the same arguments and the same number of earlier calls, in any engine.
#[derive(Clone, Default)]
pub struct Answers {
    calls: u64,
}

impl Answers {
    /// The results of a call; `None` when the function fails. References come back as parameters went in.
    pub fn answer(&mut self, params: &[Value], results: &[Type]) -> Option<Vec<Value>> {
        self.calls += 1;
        let seed = params.iter().fold(self.calls, |hash, v| hash.rotate_left(7).wrapping_mul(0x9e37) ^ v.mix());
        let mut random = Random::new(seed);
        if random.once_in(20) {
            return None;
        }
        Some(results.iter().map(|&ty| Value::any(&mut random, ty)).collect())
    }
}

/// How a call ended when it did not return, as far as both engines tell it alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Unreachable,
    DivideByZero,
    IntegerOverflow,
    BadConversion,
    Memory,
    /// Out of bounds of a table, by an access or by an indirect call.
    Table,
    NullElement,
    Signature,
    Stack,
    /// A host function failed.
    Host,
}

/// What can be seen of an instance from outside, apart from what its functions answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Contents of each exported memory.
    pub memories: Vec<(String, Vec<u8>)>,
    pub globals: Vec<(String, Value)>,
    /// Whether each element of each exported table is a reference.
    pub tables: Vec<(String, Vec<bool>)>,
}

impl View {
    /// In the order of names: engines list exports in orders of their own.
    pub fn sorted(mut self) -> View {
        self.memories.sort_by(|a, b| a.0.cmp(&b.0));
        self.globals.sort_by(|a, b| a.0.cmp(&b.0));
        self.tables.sort_by(|a, b| a.0.cmp(&b.0));
        self
    }

    /// What differs between two views, in words.
    pub fn difference(&self, other: &View) -> Option<String> {
        for ((name, a), (_, b)) in self.memories.iter().zip(&other.memories) {
            if a.len() != b.len() {
                return Some(format!("memory `{name}` has {} bytes, and {}", a.len(), b.len()));
            }
            if let Some(at) = a.iter().zip(b).position(|(a, b)| a != b) {
                return Some(format!("memory `{name}` differs at {at:#x}: {:#x}, and {:#x}", a[at], b[at]));
            }
        }
        for (a, b) in self.globals.iter().zip(&other.globals) {
            if a != b {
                return Some(format!("global `{}` is {:?}, and {:?}", a.0, a.1, b.1));
            }
        }
        for ((name, a), (_, b)) in self.tables.iter().zip(&other.tables) {
            if a != b {
                return Some(format!("table `{name}` has {a:?}, and {b:?}"));
            }
        }
        (self != other).then(|| "different exports".to_owned())
    }
}
