//! Integer lanes: arithmetic, comparisons, shifts, narrowing and widening.
//!
//! Operators that widen, compute and narrow again are written as those steps: the back ends know the whole patterns.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8X16, I16X8, I32, I32X4, I64X2};
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use cranelift_frontend::FuncInstBuilder;
use wasmparser::Operator;

use super::super::Translator;
use crate::error::Result;

/// One of the four instructions that widen half of the lanes.
type Widen = fn(FuncInstBuilder<'_, '_>, Value) -> Value;

const LOW_SIGNED: Widen = |i, x| i.swiden_low(x);
const HIGH_SIGNED: Widen = |i, x| i.swiden_high(x);
const LOW_UNSIGNED: Widen = |i, x| i.uwiden_low(x);
const HIGH_UNSIGNED: Widen = |i, x| i.uwiden_high(x);

impl Translator<'_, '_> {
    pub(super) fn simd_integer(&mut self, operator: &Operator<'_>) -> Result<()> {
        use Operator as O;
        match *operator {
            O::I8x16Neg => self.lanes_unary(I8X16, |i, x| i.ineg(x)),
            O::I16x8Neg => self.lanes_unary(I16X8, |i, x| i.ineg(x)),
            O::I32x4Neg => self.lanes_unary(I32X4, |i, x| i.ineg(x)),
            O::I64x2Neg => self.lanes_unary(I64X2, |i, x| i.ineg(x)),
            O::I8x16Abs => self.lanes_unary(I8X16, |i, x| i.iabs(x)),
            O::I16x8Abs => self.lanes_unary(I16X8, |i, x| i.iabs(x)),
            O::I32x4Abs => self.lanes_unary(I32X4, |i, x| i.iabs(x)),
            O::I64x2Abs => self.lanes_unary(I64X2, |i, x| i.iabs(x)),
            O::I8x16Popcnt => self.lanes_unary(I8X16, |i, x| i.popcnt(x)),

            O::I8x16Add => self.lanes_binary(I8X16, |i, x, y| i.iadd(x, y)),
            O::I16x8Add => self.lanes_binary(I16X8, |i, x, y| i.iadd(x, y)),
            O::I32x4Add => self.lanes_binary(I32X4, |i, x, y| i.iadd(x, y)),
            O::I64x2Add => self.lanes_binary(I64X2, |i, x, y| i.iadd(x, y)),
            O::I8x16Sub => self.lanes_binary(I8X16, |i, x, y| i.isub(x, y)),
            O::I16x8Sub => self.lanes_binary(I16X8, |i, x, y| i.isub(x, y)),
            O::I32x4Sub => self.lanes_binary(I32X4, |i, x, y| i.isub(x, y)),
            O::I64x2Sub => self.lanes_binary(I64X2, |i, x, y| i.isub(x, y)),
            O::I16x8Mul => self.lanes_binary(I16X8, |i, x, y| i.imul(x, y)),
            O::I32x4Mul => self.lanes_binary(I32X4, |i, x, y| i.imul(x, y)),
            O::I64x2Mul => self.lanes_binary(I64X2, |i, x, y| i.imul(x, y)),
            O::I8x16AddSatS => self.lanes_binary(I8X16, |i, x, y| i.sadd_sat(x, y)),
            O::I16x8AddSatS => self.lanes_binary(I16X8, |i, x, y| i.sadd_sat(x, y)),
            O::I8x16AddSatU => self.lanes_binary(I8X16, |i, x, y| i.uadd_sat(x, y)),
            O::I16x8AddSatU => self.lanes_binary(I16X8, |i, x, y| i.uadd_sat(x, y)),
            O::I8x16SubSatS => self.lanes_binary(I8X16, |i, x, y| i.ssub_sat(x, y)),
            O::I16x8SubSatS => self.lanes_binary(I16X8, |i, x, y| i.ssub_sat(x, y)),
            O::I8x16SubSatU => self.lanes_binary(I8X16, |i, x, y| i.usub_sat(x, y)),
            O::I16x8SubSatU => self.lanes_binary(I16X8, |i, x, y| i.usub_sat(x, y)),
            O::I8x16MinS => self.lanes_binary(I8X16, |i, x, y| i.smin(x, y)),
            O::I16x8MinS => self.lanes_binary(I16X8, |i, x, y| i.smin(x, y)),
            O::I32x4MinS => self.lanes_binary(I32X4, |i, x, y| i.smin(x, y)),
            O::I8x16MinU => self.lanes_binary(I8X16, |i, x, y| i.umin(x, y)),
            O::I16x8MinU => self.lanes_binary(I16X8, |i, x, y| i.umin(x, y)),
            O::I32x4MinU => self.lanes_binary(I32X4, |i, x, y| i.umin(x, y)),
            O::I8x16MaxS => self.lanes_binary(I8X16, |i, x, y| i.smax(x, y)),
            O::I16x8MaxS => self.lanes_binary(I16X8, |i, x, y| i.smax(x, y)),
            O::I32x4MaxS => self.lanes_binary(I32X4, |i, x, y| i.smax(x, y)),
            O::I8x16MaxU => self.lanes_binary(I8X16, |i, x, y| i.umax(x, y)),
            O::I16x8MaxU => self.lanes_binary(I16X8, |i, x, y| i.umax(x, y)),
            O::I32x4MaxU => self.lanes_binary(I32X4, |i, x, y| i.umax(x, y)),
            O::I8x16AvgrU => self.lanes_binary(I8X16, |i, x, y| i.avg_round(x, y)),
            O::I16x8AvgrU => self.lanes_binary(I16X8, |i, x, y| i.avg_round(x, y)),
            O::I16x8Q15MulrSatS => self.lanes_binary(I16X8, |i, x, y| i.sqmul_round_sat(x, y)),

            O::I8x16Shl => self.shift(I8X16, |i, x, y| i.ishl(x, y)),
            O::I16x8Shl => self.shift(I16X8, |i, x, y| i.ishl(x, y)),
            O::I32x4Shl => self.shift(I32X4, |i, x, y| i.ishl(x, y)),
            O::I64x2Shl => self.shift(I64X2, |i, x, y| i.ishl(x, y)),
            O::I8x16ShrS => self.shift(I8X16, |i, x, y| i.sshr(x, y)),
            O::I16x8ShrS => self.shift(I16X8, |i, x, y| i.sshr(x, y)),
            O::I32x4ShrS => self.shift(I32X4, |i, x, y| i.sshr(x, y)),
            O::I64x2ShrS => self.shift(I64X2, |i, x, y| i.sshr(x, y)),
            O::I8x16ShrU => self.shift(I8X16, |i, x, y| i.ushr(x, y)),
            O::I16x8ShrU => self.shift(I16X8, |i, x, y| i.ushr(x, y)),
            O::I32x4ShrU => self.shift(I32X4, |i, x, y| i.ushr(x, y)),
            O::I64x2ShrU => self.shift(I64X2, |i, x, y| i.ushr(x, y)),

            O::I8x16AllTrue => self.all_true(I8X16),
            O::I16x8AllTrue => self.all_true(I16X8),
            O::I32x4AllTrue => self.all_true(I32X4),
            O::I64x2AllTrue => self.all_true(I64X2),
            O::I8x16Bitmask => self.lanes_unary(I8X16, |i, x| i.vhigh_bits(I32, x)),
            O::I16x8Bitmask => self.lanes_unary(I16X8, |i, x| i.vhigh_bits(I32, x)),
            O::I32x4Bitmask => self.lanes_unary(I32X4, |i, x| i.vhigh_bits(I32, x)),
            O::I64x2Bitmask => self.lanes_unary(I64X2, |i, x| i.vhigh_bits(I32, x)),
            ref other => return self.simd_int_compare(other),
        }
        Ok(())
    }

    fn simd_int_compare(&mut self, operator: &Operator<'_>) -> Result<()> {
        use Operator as O;
        match *operator {
            O::I8x16Eq => self.lanes_compare(I8X16, IntCC::Equal),
            O::I16x8Eq => self.lanes_compare(I16X8, IntCC::Equal),
            O::I32x4Eq => self.lanes_compare(I32X4, IntCC::Equal),
            O::I64x2Eq => self.lanes_compare(I64X2, IntCC::Equal),
            O::I8x16Ne => self.lanes_compare(I8X16, IntCC::NotEqual),
            O::I16x8Ne => self.lanes_compare(I16X8, IntCC::NotEqual),
            O::I32x4Ne => self.lanes_compare(I32X4, IntCC::NotEqual),
            O::I64x2Ne => self.lanes_compare(I64X2, IntCC::NotEqual),
            O::I8x16LtS => self.lanes_compare(I8X16, IntCC::SignedLessThan),
            O::I16x8LtS => self.lanes_compare(I16X8, IntCC::SignedLessThan),
            O::I32x4LtS => self.lanes_compare(I32X4, IntCC::SignedLessThan),
            O::I64x2LtS => self.lanes_compare(I64X2, IntCC::SignedLessThan),
            O::I8x16LtU => self.lanes_compare(I8X16, IntCC::UnsignedLessThan),
            O::I16x8LtU => self.lanes_compare(I16X8, IntCC::UnsignedLessThan),
            O::I32x4LtU => self.lanes_compare(I32X4, IntCC::UnsignedLessThan),
            O::I8x16GtS => self.lanes_compare(I8X16, IntCC::SignedGreaterThan),
            O::I16x8GtS => self.lanes_compare(I16X8, IntCC::SignedGreaterThan),
            O::I32x4GtS => self.lanes_compare(I32X4, IntCC::SignedGreaterThan),
            O::I64x2GtS => self.lanes_compare(I64X2, IntCC::SignedGreaterThan),
            O::I8x16GtU => self.lanes_compare(I8X16, IntCC::UnsignedGreaterThan),
            O::I16x8GtU => self.lanes_compare(I16X8, IntCC::UnsignedGreaterThan),
            O::I32x4GtU => self.lanes_compare(I32X4, IntCC::UnsignedGreaterThan),
            O::I8x16LeS => self.lanes_compare(I8X16, IntCC::SignedLessThanOrEqual),
            O::I16x8LeS => self.lanes_compare(I16X8, IntCC::SignedLessThanOrEqual),
            O::I32x4LeS => self.lanes_compare(I32X4, IntCC::SignedLessThanOrEqual),
            O::I64x2LeS => self.lanes_compare(I64X2, IntCC::SignedLessThanOrEqual),
            O::I8x16LeU => self.lanes_compare(I8X16, IntCC::UnsignedLessThanOrEqual),
            O::I16x8LeU => self.lanes_compare(I16X8, IntCC::UnsignedLessThanOrEqual),
            O::I32x4LeU => self.lanes_compare(I32X4, IntCC::UnsignedLessThanOrEqual),
            O::I8x16GeS => self.lanes_compare(I8X16, IntCC::SignedGreaterThanOrEqual),
            O::I16x8GeS => self.lanes_compare(I16X8, IntCC::SignedGreaterThanOrEqual),
            O::I32x4GeS => self.lanes_compare(I32X4, IntCC::SignedGreaterThanOrEqual),
            O::I64x2GeS => self.lanes_compare(I64X2, IntCC::SignedGreaterThanOrEqual),
            O::I8x16GeU => self.lanes_compare(I8X16, IntCC::UnsignedGreaterThanOrEqual),
            O::I16x8GeU => self.lanes_compare(I16X8, IntCC::UnsignedGreaterThanOrEqual),
            O::I32x4GeU => self.lanes_compare(I32X4, IntCC::UnsignedGreaterThanOrEqual),
            ref other => return self.simd_resize(other),
        }
        Ok(())
    }

    fn simd_resize(&mut self, operator: &Operator<'_>) -> Result<()> {
        use Operator as O;
        match *operator {
            O::I8x16NarrowI16x8S => self.lanes_binary(I16X8, |i, x, y| i.snarrow(x, y)),
            O::I16x8NarrowI32x4S => self.lanes_binary(I32X4, |i, x, y| i.snarrow(x, y)),
            O::I8x16NarrowI16x8U => self.lanes_binary(I16X8, |i, x, y| i.unarrow(x, y)),
            O::I16x8NarrowI32x4U => self.lanes_binary(I32X4, |i, x, y| i.unarrow(x, y)),

            O::I16x8ExtendLowI8x16S => self.lanes_unary(I8X16, LOW_SIGNED),
            O::I16x8ExtendHighI8x16S => self.lanes_unary(I8X16, HIGH_SIGNED),
            O::I16x8ExtendLowI8x16U => self.lanes_unary(I8X16, LOW_UNSIGNED),
            O::I16x8ExtendHighI8x16U => self.lanes_unary(I8X16, HIGH_UNSIGNED),
            O::I32x4ExtendLowI16x8S => self.lanes_unary(I16X8, LOW_SIGNED),
            O::I32x4ExtendHighI16x8S => self.lanes_unary(I16X8, HIGH_SIGNED),
            O::I32x4ExtendLowI16x8U => self.lanes_unary(I16X8, LOW_UNSIGNED),
            O::I32x4ExtendHighI16x8U => self.lanes_unary(I16X8, HIGH_UNSIGNED),
            O::I64x2ExtendLowI32x4S => self.lanes_unary(I32X4, LOW_SIGNED),
            O::I64x2ExtendHighI32x4S => self.lanes_unary(I32X4, HIGH_SIGNED),
            O::I64x2ExtendLowI32x4U => self.lanes_unary(I32X4, LOW_UNSIGNED),
            O::I64x2ExtendHighI32x4U => self.lanes_unary(I32X4, HIGH_UNSIGNED),

            O::I16x8ExtMulLowI8x16S => self.extended_multiply(I8X16, LOW_SIGNED),
            O::I16x8ExtMulHighI8x16S => self.extended_multiply(I8X16, HIGH_SIGNED),
            O::I16x8ExtMulLowI8x16U => self.extended_multiply(I8X16, LOW_UNSIGNED),
            O::I16x8ExtMulHighI8x16U => self.extended_multiply(I8X16, HIGH_UNSIGNED),
            O::I32x4ExtMulLowI16x8S => self.extended_multiply(I16X8, LOW_SIGNED),
            O::I32x4ExtMulHighI16x8S => self.extended_multiply(I16X8, HIGH_SIGNED),
            O::I32x4ExtMulLowI16x8U => self.extended_multiply(I16X8, LOW_UNSIGNED),
            O::I32x4ExtMulHighI16x8U => self.extended_multiply(I16X8, HIGH_UNSIGNED),
            O::I64x2ExtMulLowI32x4S => self.extended_multiply(I32X4, LOW_SIGNED),
            O::I64x2ExtMulHighI32x4S => self.extended_multiply(I32X4, HIGH_SIGNED),
            O::I64x2ExtMulLowI32x4U => self.extended_multiply(I32X4, LOW_UNSIGNED),
            O::I64x2ExtMulHighI32x4U => self.extended_multiply(I32X4, HIGH_UNSIGNED),

            O::I16x8ExtAddPairwiseI8x16S => self.extended_pairwise_add(I8X16, LOW_SIGNED, HIGH_SIGNED),
            O::I16x8ExtAddPairwiseI8x16U => self.extended_pairwise_add(I8X16, LOW_UNSIGNED, HIGH_UNSIGNED),
            O::I32x4ExtAddPairwiseI16x8S => self.extended_pairwise_add(I16X8, LOW_SIGNED, HIGH_SIGNED),
            O::I32x4ExtAddPairwiseI16x8U => self.extended_pairwise_add(I16X8, LOW_UNSIGNED, HIGH_UNSIGNED),
            O::I32x4DotI16x8S => {
                let (x, y) = self.pop2_lanes(I16X8);
                let value = self.dot_product(x, y);
                self.push(value);
            }
            ref other => return self.simd_float(other),
        }
        Ok(())
    }

    fn lanes_compare(&mut self, ty: Type, condition: IntCC) {
        self.lanes_binary(ty, |i, x, y| i.icmp(condition, x, y));
    }

    /// Shifts all lanes by the same number of bits, taken modulo the width of a lane by both WebAssembly and Cranelift.
    fn shift(&mut self, ty: Type, make: impl FnOnce(FuncInstBuilder<'_, '_>, Value, Value) -> Value) {
        let (vector, bits) = self.pop2();
        let vector = self.lanes(vector, ty);
        let value = make(self.builder.ins(), vector, bits);
        self.push(value);
    }

    fn all_true(&mut self, ty: Type) {
        self.lanes_unary(ty, |i, x| i.vall_true(x));
        self.unary(|i, x| i.uextend(I32, x));
    }

    fn extended_multiply(&mut self, ty: Type, widen: Widen) {
        let (left, right) = self.pop2_lanes(ty);
        let left = widen(self.builder.ins(), left);
        let right = widen(self.builder.ins(), right);
        let value = self.builder.ins().imul(left, right);
        self.push(value);
    }

    fn extended_pairwise_add(&mut self, ty: Type, low: Widen, high: Widen) {
        let vector = self.pop_lanes(ty);
        let low = low(self.builder.ins(), vector);
        let high = high(self.builder.ins(), vector);
        let value = self.builder.ins().iadd_pairwise(low, high);
        self.push(value);
    }

    /// Products of signed lanes at twice the width, neighbours added, which may wrap.
    pub(super) fn dot_product(&mut self, x: Value, y: Value) -> Value {
        let mut half = |widen: Widen| {
            let x = widen(self.builder.ins(), x);
            let y = widen(self.builder.ins(), y);
            self.builder.ins().imul(x, y)
        };
        let (low, high) = (half(LOW_SIGNED), half(HIGH_SIGNED));
        self.builder.ins().iadd_pairwise(low, high)
    }
}
