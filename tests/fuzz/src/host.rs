//! What the host gives to generated modules, described once for both engines, and the values that go in and out.

use crate::random::Random;

/// Something that can be imported from `host`.
pub struct Import {
    pub name: &'static str,
    /// Its type, in the text format.
    pub text: &'static str,
}

/// All that can be imported.
pub const IMPORTS: [Import; 10] = [
    Import { name: "f0", text: "(func)" },
    Import { name: "f1", text: "(func (param i32) (result i32))" },
    Import { name: "f2", text: "(func (param i64 f32 f64) (result i64))" },
    Import { name: "f3", text: "(func (param f64) (result f64 i32 f32))" },
    Import { name: "f4", text: "(func (param funcref externref) (result externref funcref))" },
    Import { name: "memory", text: "(memory 1 4)" },
    Import { name: "functions", text: "(table 8 30 funcref)" },
    Import { name: "objects", text: "(table 5 20 externref)" },
    Import { name: "constant", text: "(global i32)" },
    Import { name: "variable", text: "(global (mut i64))" },
];

/// Value of the imported constant.
pub const CONSTANT: i32 = 3;
/// Value at the start of the imported variable.
pub const VARIABLE: i64 = -77;

/// A type of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    I32,
    I64,
    F32,
    F64,
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
