//! Float lanes: arithmetic, comparisons, conversions.

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::types::{F32X4, F64X2, I32X4, I64X2};
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use wasmparser::Operator;

use super::super::Translator;
use crate::error::Result;

impl Translator<'_, '_> {
    pub(super) fn simd_float(&mut self, operator: &Operator<'_>) -> Result<()> {
        use Operator as O;
        match *operator {
            O::F32x4Add => self.lanes_binary(F32X4, |i, x, y| i.fadd(x, y)),
            O::F64x2Add => self.lanes_binary(F64X2, |i, x, y| i.fadd(x, y)),
            O::F32x4Sub => self.lanes_binary(F32X4, |i, x, y| i.fsub(x, y)),
            O::F64x2Sub => self.lanes_binary(F64X2, |i, x, y| i.fsub(x, y)),
            O::F32x4Mul => self.lanes_binary(F32X4, |i, x, y| i.fmul(x, y)),
            O::F64x2Mul => self.lanes_binary(F64X2, |i, x, y| i.fmul(x, y)),
            O::F32x4Div => self.lanes_binary(F32X4, |i, x, y| i.fdiv(x, y)),
            O::F64x2Div => self.lanes_binary(F64X2, |i, x, y| i.fdiv(x, y)),
            O::F32x4Min => self.lanes_binary(F32X4, |i, x, y| i.fmin(x, y)),
            O::F64x2Min => self.lanes_binary(F64X2, |i, x, y| i.fmin(x, y)),
            O::F32x4Max => self.lanes_binary(F32X4, |i, x, y| i.fmax(x, y)),
            O::F64x2Max => self.lanes_binary(F64X2, |i, x, y| i.fmax(x, y)),
            // The pseudo-minimum of x and y is y < x ? y : x, their pseudo-maximum x < y ? y : x.
            O::F32x4PMin => self.choose_second(F32X4, |x, y| (y, x)),
            O::F64x2PMin => self.choose_second(F64X2, |x, y| (y, x)),
            O::F32x4PMax => self.choose_second(F32X4, |x, y| (x, y)),
            O::F64x2PMax => self.choose_second(F64X2, |x, y| (x, y)),

            O::F32x4Abs => self.lanes_unary(F32X4, |i, x| i.fabs(x)),
            O::F64x2Abs => self.lanes_unary(F64X2, |i, x| i.fabs(x)),
            O::F32x4Neg => self.lanes_unary(F32X4, |i, x| i.fneg(x)),
            O::F64x2Neg => self.lanes_unary(F64X2, |i, x| i.fneg(x)),
            O::F32x4Sqrt => self.lanes_unary(F32X4, |i, x| i.sqrt(x)),
            O::F64x2Sqrt => self.lanes_unary(F64X2, |i, x| i.sqrt(x)),
            O::F32x4Ceil => self.lanes_unary(F32X4, |i, x| i.ceil(x)),
            O::F64x2Ceil => self.lanes_unary(F64X2, |i, x| i.ceil(x)),
            O::F32x4Floor => self.lanes_unary(F32X4, |i, x| i.floor(x)),
            O::F64x2Floor => self.lanes_unary(F64X2, |i, x| i.floor(x)),
            O::F32x4Trunc => self.lanes_unary(F32X4, |i, x| i.trunc(x)),
            O::F64x2Trunc => self.lanes_unary(F64X2, |i, x| i.trunc(x)),
            O::F32x4Nearest => self.lanes_unary(F32X4, |i, x| i.nearest(x)),
            O::F64x2Nearest => self.lanes_unary(F64X2, |i, x| i.nearest(x)),

            O::F32x4Eq => self.lanes_float_compare(F32X4, FloatCC::Equal),
            O::F64x2Eq => self.lanes_float_compare(F64X2, FloatCC::Equal),
            O::F32x4Ne => self.lanes_float_compare(F32X4, FloatCC::NotEqual),
            O::F64x2Ne => self.lanes_float_compare(F64X2, FloatCC::NotEqual),
            O::F32x4Lt => self.lanes_float_compare(F32X4, FloatCC::LessThan),
            O::F64x2Lt => self.lanes_float_compare(F64X2, FloatCC::LessThan),
            O::F32x4Gt => self.lanes_float_compare(F32X4, FloatCC::GreaterThan),
            O::F64x2Gt => self.lanes_float_compare(F64X2, FloatCC::GreaterThan),
            O::F32x4Le => self.lanes_float_compare(F32X4, FloatCC::LessThanOrEqual),
            O::F64x2Le => self.lanes_float_compare(F64X2, FloatCC::LessThanOrEqual),
            O::F32x4Ge => self.lanes_float_compare(F32X4, FloatCC::GreaterThanOrEqual),
            O::F64x2Ge => self.lanes_float_compare(F64X2, FloatCC::GreaterThanOrEqual),
            ref other => return self.simd_convert(other),
        }
        Ok(())
    }

    fn simd_convert(&mut self, operator: &Operator<'_>) -> Result<()> {
        use Operator as O;
        match *operator {
            O::I32x4TruncSatF32x4S => self.lanes_unary(F32X4, |i, x| i.fcvt_to_sint_sat(I32X4, x)),
            O::I32x4TruncSatF32x4U => self.lanes_unary(F32X4, |i, x| i.fcvt_to_uint_sat(I32X4, x)),
            O::I32x4TruncSatF64x2SZero => self.truncate_to_low_lanes(),
            O::I32x4TruncSatF64x2UZero => self.truncate_to_low_lanes_unsigned(),
            O::F32x4ConvertI32x4S => self.lanes_unary(I32X4, |i, x| i.fcvt_from_sint(F32X4, x)),
            O::F32x4ConvertI32x4U => self.lanes_unary(I32X4, |i, x| i.fcvt_from_uint(F32X4, x)),
            O::F64x2ConvertLowI32x4S => {
                self.lanes_unary(I32X4, |i, x| i.swiden_low(x));
                self.unary(|i, x| i.fcvt_from_sint(F64X2, x));
            }
            O::F64x2ConvertLowI32x4U => {
                self.lanes_unary(I32X4, |i, x| i.uwiden_low(x));
                self.unary(|i, x| i.fcvt_from_uint(F64X2, x));
            }
            O::F32x4DemoteF64x2Zero => self.lanes_unary(F64X2, |i, x| i.fvdemote(x)),
            O::F64x2PromoteLowF32x4 => self.lanes_unary(F32X4, |i, x| i.fvpromote_low(x)),
            ref other => return self.simd_relaxed(other),
        }
        Ok(())
    }

    /// `i32x4.trunc_sat_f64x2_s_zero`, in the form that the x86-64 back end knows.
    pub(super) fn truncate_to_low_lanes(&mut self) {
        self.lanes_unary(F64X2, |i, x| i.fcvt_to_sint_sat(I64X2, x));
        let zero = self.zero(I64X2);
        self.unary(|i, x| i.snarrow(x, zero));
    }

    /// `i32x4.trunc_sat_f64x2_u_zero`, in the form that the x86-64 back end knows.
    pub(super) fn truncate_to_low_lanes_unsigned(&mut self) {
        self.lanes_unary(F64X2, |i, x| i.fcvt_to_uint_sat(I64X2, x));
        let zero = self.zero(I64X2);
        self.unary(|i, x| i.uunarrow(x, zero));
    }

    fn lanes_float_compare(&mut self, ty: Type, condition: FloatCC) {
        self.lanes_binary(ty, |i, x, y| i.fcmp(condition, x, y));
    }

    /// For operands x and y, the second one where the lesser of `order(x, y)` is less, else the first one.
    fn choose_second(&mut self, ty: Type, order: impl FnOnce(Value, Value) -> (Value, Value)) {
        let (x, y) = self.pop2_lanes(ty);
        let (lesser, greater) = order(x, y);
        let value = self.select_if_less(lesser, greater, y, x);
        self.push(value);
    }

    /// `if_less` where `lesser < greater`, else `otherwise`: one instruction on x86-64 when it is a minimum or maximum.
    pub(super) fn select_if_less(&mut self, lesser: Value, greater: Value, if_less: Value, otherwise: Value) -> Value {
        let ty = self.builder.func.dfg.value_type(if_less);
        let mask = self.builder.ins().fcmp(FloatCC::LessThan, lesser, greater);
        let mask = self.lanes(mask, ty);
        self.builder.ins().bitselect(mask, if_less, otherwise)
    }
}
