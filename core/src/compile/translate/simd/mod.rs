//! Vectors of 128 bits.
//!
//! WebAssembly has one type for them, Cranelift one for each shape of lanes. A vector that leaves straight-line code (in a
//! local, a global, a branch, a call) is a `VECTOR`; on the operand stack it has the shape that its maker gave it, and each
//! operator asks for the shape that it needs. A change of shape is a `bitcast`, which costs no instruction, but would hide
//! from Cranelift's patterns what a value is: so vectors are looked at through casts, constants are made again in the other
//! shape, and a load takes the shape of its first use.
//!
//! Invariant: only [`Translator::lanes`] and what is made of it take vectors off the stack.

mod float;
mod integer;
mod lane;
mod memory;
mod relaxed;

use cranelift_codegen::ir::types::I8X16;
use cranelift_codegen::ir::{Endianness, InstBuilder, InstructionData, MemFlagsData, Opcode, Type, Value};
use cranelift_frontend::FuncInstBuilder;
use wasmparser::Operator;

pub(super) use self::relaxed::RelaxedForms;
use super::Translator;
use crate::error::Result;

/// The shape of vectors in locals, globals, branches and calls.
pub(super) const VECTOR: Type = I8X16;

/// How many loads that wait for their shape are remembered.
const REMEMBERED: usize = 8;

/// Loads of vectors on the operand stack that nothing has used yet, so that they can still be of another shape. Operands are
/// used once, except that the arms of an `if` share those below it: so all is forgotten wherever control may part.
#[derive(Default)]
pub(super) struct FreshLoads(Vec<Value>);

impl FreshLoads {
    fn remember(&mut self, load: Value) {
        if self.0.len() == REMEMBERED {
            self.0.remove(0);
        }
        self.0.push(load);
    }

    /// Whether `value` is a load that nothing has used. From now on it is not.
    fn take(&mut self, value: Value) -> bool {
        match self.0.iter().rposition(|&load| load == value) {
            Some(at) => {
                self.0.remove(at);
                true
            }
            None => false,
        }
    }

    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

impl Translator<'_, '_> {
    pub(super) fn simd(&mut self, operator: &Operator<'_>) -> Result<()> {
        self.simd_memory(operator)
    }

    /// `value`, a vector, in the shape `ty`.
    fn lanes(&mut self, value: Value, ty: Type) -> Value {
        let fresh = self.fresh_loads.take(value);
        if self.builder.func.dfg.value_type(value) == ty {
            return value;
        }
        if fresh {
            return self.builder.func.dfg.replace_result(value, ty);
        }
        let source = self.uncast(value);
        if self.builder.func.dfg.value_type(source) == ty {
            return source;
        }
        match self.definition(source) {
            Some(InstructionData::UnaryConst { opcode: Opcode::Vconst, constant_handle }) => {
                self.builder.ins().vconst(ty, constant_handle)
            }
            _ => self.builder.ins().bitcast(ty, MemFlagsData::new().with_endianness(Endianness::Little), source),
        }
    }

    fn definition(&self, value: Value) -> Option<InstructionData> {
        let dfg = &self.builder.func.dfg;
        dfg.value_def(value).inst().map(|inst| dfg.insts[inst])
    }

    /// The vector in the shape that its maker gave it.
    fn uncast(&self, value: Value) -> Value {
        match self.definition(value) {
            Some(InstructionData::LoadNoOffset { opcode: Opcode::Bitcast, arg, .. }) => arg,
            _ => value,
        }
    }

    /// The shape of integer lanes that suits an operator on the bits of `value`.
    fn integer_shape(&self, value: Value) -> Type {
        let ty = self.builder.func.dfg.value_type(self.uncast(value));
        if ty.lane_type().is_int() { ty } else { VECTOR }
    }

    /// Vectors become `VECTOR`s, other values stay as they are.
    pub(super) fn canonical(&mut self, value: Value) -> Value {
        if self.builder.func.dfg.value_type(value).is_vector() { self.lanes(value, VECTOR) } else { value }
    }

    /// Makes the topmost `count` operands fit to leave straight-line code.
    pub(super) fn canonicalise(&mut self, count: usize) {
        for at in self.stack.len() - count..self.stack.len() {
            self.stack[at] = self.canonical(self.stack[at]);
        }
    }

    /// Pushes a vector that was just loaded.
    pub(super) fn push_loaded(&mut self, load: Value) {
        if self.builder.func.dfg.value_type(load).is_vector() {
            self.fresh_loads.remember(load);
        }
        self.push(load);
    }

    /// Pops a vector in the shape `ty`.
    fn pop_lanes(&mut self, ty: Type) -> Value {
        let value = self.pop();
        self.lanes(value, ty)
    }

    /// Pops two vectors in the shape `ty`, the first below the second.
    fn pop2_lanes(&mut self, ty: Type) -> (Value, Value) {
        let (first, second) = self.pop2();
        (self.lanes(first, ty), self.lanes(second, ty))
    }

    /// Pops three vectors in the shape `ty`, from bottom to top.
    fn pop3_lanes(&mut self, ty: Type) -> (Value, Value, Value) {
        let (first, second, third) = self.pop3();
        (self.lanes(first, ty), self.lanes(second, ty), self.lanes(third, ty))
    }

    fn lanes_unary(&mut self, ty: Type, make: impl FnOnce(FuncInstBuilder<'_, '_>, Value) -> Value) {
        let operand = self.pop_lanes(ty);
        let value = make(self.builder.ins(), operand);
        self.push(value);
    }

    fn lanes_binary(&mut self, ty: Type, make: impl FnOnce(FuncInstBuilder<'_, '_>, Value, Value) -> Value) {
        let (left, right) = self.pop2_lanes(ty);
        let value = make(self.builder.ins(), left, right);
        self.push(value);
    }
}
