//! Operators that move lanes or bits, whatever they stand for: constants, shuffles, splats, single lanes, bitwise logic.

use cranelift_codegen::ir::types::{F32X4, F64X2, I8, I8X16, I16, I16X8, I32, I32X4, I64X2};
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use cranelift_frontend::FuncInstBuilder;
use wasmparser::Operator;

use super::super::Translator;
use super::VECTOR;
use crate::error::Result;

impl Translator<'_, '_> {
    pub(super) fn simd_lane(&mut self, operator: &Operator<'_>) -> Result<()> {
        use Operator as O;
        match *operator {
            O::V128Const { value } => {
                let constant = self.builder.func.dfg.constants.insert(value.bytes().as_slice().into());
                let value = self.builder.ins().vconst(VECTOR, constant);
                self.push(value);
            }
            O::I8x16Shuffle { lanes } => {
                let mask = self.builder.func.dfg.immediates.push(lanes.as_slice().into());
                self.lanes_binary(I8X16, |i, x, y| i.shuffle(x, y, mask));
            }
            O::I8x16Swizzle => self.lanes_binary(I8X16, |i, x, y| i.swizzle(x, y)),

            O::I8x16Splat => {
                self.unary(|i, x| i.ireduce(I8, x));
                self.splat(I8X16);
            }
            O::I16x8Splat => {
                self.unary(|i, x| i.ireduce(I16, x));
                self.splat(I16X8);
            }
            O::I32x4Splat => self.splat(I32X4),
            O::I64x2Splat => self.splat(I64X2),
            O::F32x4Splat => self.splat(F32X4),
            O::F64x2Splat => self.splat(F64X2),

            O::I8x16ExtractLaneS { lane } => self.extract(I8X16, lane, |i, x| i.sextend(I32, x)),
            O::I8x16ExtractLaneU { lane } => self.extract(I8X16, lane, |i, x| i.uextend(I32, x)),
            O::I16x8ExtractLaneS { lane } => self.extract(I16X8, lane, |i, x| i.sextend(I32, x)),
            O::I16x8ExtractLaneU { lane } => self.extract(I16X8, lane, |i, x| i.uextend(I32, x)),
            O::I32x4ExtractLane { lane } => self.lanes_unary(I32X4, |i, x| i.extractlane(x, lane)),
            O::I64x2ExtractLane { lane } => self.lanes_unary(I64X2, |i, x| i.extractlane(x, lane)),
            O::F32x4ExtractLane { lane } => self.lanes_unary(F32X4, |i, x| i.extractlane(x, lane)),
            O::F64x2ExtractLane { lane } => self.lanes_unary(F64X2, |i, x| i.extractlane(x, lane)),

            O::I8x16ReplaceLane { lane } => {
                self.unary(|i, x| i.ireduce(I8, x));
                self.replace(I8X16, lane);
            }
            O::I16x8ReplaceLane { lane } => {
                self.unary(|i, x| i.ireduce(I16, x));
                self.replace(I16X8, lane);
            }
            O::I32x4ReplaceLane { lane } => self.replace(I32X4, lane),
            O::I64x2ReplaceLane { lane } => self.replace(I64X2, lane),
            O::F32x4ReplaceLane { lane } => self.replace(F32X4, lane),
            O::F64x2ReplaceLane { lane } => self.replace(F64X2, lane),

            O::V128Not => {
                let ty = self.integer_shape(self.top());
                self.lanes_unary(ty, |i, x| i.bnot(x));
            }
            O::V128And => self.bitwise(|i, x, y| i.band(x, y)),
            O::V128AndNot => self.bitwise(|i, x, y| i.band_not(x, y)),
            O::V128Or => self.bitwise(|i, x, y| i.bor(x, y)),
            O::V128Xor => self.bitwise(|i, x, y| i.bxor(x, y)),
            O::V128Bitselect => {
                // The shape of a comparison, if the condition is one: then whole lanes can be selected.
                let ty = self.integer_shape(self.top());
                let (first, second, condition) = self.pop3_lanes(ty);
                let value = self.builder.ins().bitselect(condition, first, second);
                self.push(value);
            }
            O::V128AnyTrue => {
                let ty = self.integer_shape(self.top());
                self.lanes_unary(ty, |i, x| i.vany_true(x));
                self.unary(|i, x| i.uextend(I32, x));
            }
            ref other => return self.simd_integer(other),
        }
        Ok(())
    }

    fn top(&self) -> Value {
        *self.stack.last().expect("the validator counted the operands")
    }

    fn splat(&mut self, ty: Type) {
        self.unary(|i, x| i.splat(ty, x));
    }

    fn extract(&mut self, ty: Type, lane: u8, widen: impl FnOnce(FuncInstBuilder<'_, '_>, Value) -> Value) {
        self.lanes_unary(ty, |i, x| i.extractlane(x, lane));
        self.unary(widen);
    }

    fn replace(&mut self, ty: Type, lane: u8) {
        let (vector, value) = self.pop2();
        let vector = self.lanes(vector, ty);
        let value = self.builder.ins().insertlane(vector, value, lane);
        self.push(value);
    }

    fn bitwise(&mut self, make: impl FnOnce(FuncInstBuilder<'_, '_>, Value, Value) -> Value) {
        let ty = self.integer_shape(self.stack[self.stack.len() - 2]);
        self.lanes_binary(ty, make);
    }
}
