//! Numeric operators: constants, arithmetic, comparisons, conversions. Nearly all are single Cranelift instructions;
//! NaN, overflow and shift semantics of the two agree.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::immediates::{Ieee32, Ieee64};
use cranelift_codegen::ir::types::{F32, F64, I8, I16, I32, I64, I128};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value};
use cranelift_frontend::{FuncInstBuilder, FunctionBuilder};
use wasmparser::Operator;

use super::Translator;
use super::marks::constant;
use crate::error::{Result, TrapCode};

impl Translator<'_, '_> {
    pub(super) fn numeric(&mut self, operator: &Operator<'_>) -> Result<()> {
        use Operator as O;
        match *operator {
            O::I32Const { value } => self.constant(|b| b.ins().iconst(I32, i64::from(value as u32))),
            O::I64Const { value } => self.constant(|b| b.ins().iconst(I64, value)),
            O::F32Const { value } => self.constant(|b| b.ins().f32const(Ieee32::with_bits(value.bits()))),
            O::F64Const { value } => self.constant(|b| b.ins().f64const(Ieee64::with_bits(value.bits()))),

            O::I32Add | O::I64Add => self.binary(|i, x, y| i.iadd(x, y)),
            O::I32Sub | O::I64Sub => self.binary(|i, x, y| i.isub(x, y)),
            O::I32Mul | O::I64Mul => self.binary(|i, x, y| i.imul(x, y)),
            O::I32DivS | O::I64DivS => {
                self.check_division(true);
                self.binary(|i, x, y| i.sdiv(x, y));
            }
            O::I32DivU | O::I64DivU => {
                self.check_division(false);
                self.binary(|i, x, y| i.udiv(x, y));
            }
            O::I32RemS | O::I64RemS => {
                self.check_division(false);
                self.binary(|i, x, y| i.srem(x, y));
            }
            O::I32RemU | O::I64RemU => {
                self.check_division(false);
                self.binary(|i, x, y| i.urem(x, y));
            }
            O::I32And | O::I64And => self.binary(|i, x, y| i.band(x, y)),
            O::I32Or | O::I64Or => self.binary(|i, x, y| i.bor(x, y)),
            O::I32Xor | O::I64Xor => self.binary(|i, x, y| i.bxor(x, y)),
            O::I32Shl | O::I64Shl => self.binary(|i, x, y| i.ishl(x, y)),
            O::I32ShrS | O::I64ShrS => self.binary(|i, x, y| i.sshr(x, y)),
            O::I32ShrU | O::I64ShrU => self.binary(|i, x, y| i.ushr(x, y)),
            O::I32Rotl | O::I64Rotl => self.binary(|i, x, y| i.rotl(x, y)),
            O::I32Rotr | O::I64Rotr => self.binary(|i, x, y| i.rotr(x, y)),
            O::F32Add | O::F64Add => self.binary(|i, x, y| i.fadd(x, y)),
            O::F32Sub | O::F64Sub => self.binary(|i, x, y| i.fsub(x, y)),
            O::F32Mul | O::F64Mul => self.binary(|i, x, y| i.fmul(x, y)),
            O::F32Div | O::F64Div => self.binary(|i, x, y| i.fdiv(x, y)),
            O::F32Min | O::F64Min => self.binary(|i, x, y| i.fmin(x, y)),
            O::F32Max | O::F64Max => self.binary(|i, x, y| i.fmax(x, y)),
            O::F32Copysign | O::F64Copysign => self.binary(|i, x, y| i.fcopysign(x, y)),

            O::I32Clz | O::I64Clz => self.unary(|i, x| i.clz(x)),
            O::I32Ctz | O::I64Ctz => self.unary(|i, x| i.ctz(x)),
            O::I32Popcnt | O::I64Popcnt => self.unary(|i, x| i.popcnt(x)),
            O::F32Abs | O::F64Abs => self.unary(|i, x| i.fabs(x)),
            O::F32Neg | O::F64Neg => self.unary(|i, x| i.fneg(x)),
            O::F32Ceil | O::F64Ceil => self.unary(|i, x| i.ceil(x)),
            O::F32Floor | O::F64Floor => self.unary(|i, x| i.floor(x)),
            O::F32Trunc | O::F64Trunc => self.unary(|i, x| i.trunc(x)),
            O::F32Nearest | O::F64Nearest => self.unary(|i, x| i.nearest(x)),
            O::F32Sqrt | O::F64Sqrt => self.unary(|i, x| i.sqrt(x)),

            O::I32WrapI64 => self.unary(|i, x| i.ireduce(I32, x)),
            O::I64ExtendI32S => self.unary(|i, x| i.sextend(I64, x)),
            O::I64ExtendI32U => self.unary(|i, x| i.uextend(I64, x)),
            O::I32Extend8S => self.extend_low(I8, I32),
            O::I32Extend16S => self.extend_low(I16, I32),
            O::I64Extend8S => self.extend_low(I8, I64),
            O::I64Extend16S => self.extend_low(I16, I64),
            O::I64Extend32S => self.extend_low(I32, I64),
            ref other => return self.compare(other),
        }
        Ok(())
    }

    fn compare(&mut self, operator: &Operator<'_>) -> Result<()> {
        use Operator as O;
        match *operator {
            O::I32Eqz | O::I64Eqz => {
                let value = self.pop();
                let is_zero = self.builder.ins().icmp_imm_u(IntCC::Equal, value, 0);
                let is_zero = self.builder.ins().uextend(I32, is_zero);
                self.push(is_zero);
            }
            O::I32Eq | O::I64Eq => self.int_compare(IntCC::Equal),
            O::I32Ne | O::I64Ne => self.int_compare(IntCC::NotEqual),
            O::I32LtS | O::I64LtS => self.int_compare(IntCC::SignedLessThan),
            O::I32LtU | O::I64LtU => self.int_compare(IntCC::UnsignedLessThan),
            O::I32GtS | O::I64GtS => self.int_compare(IntCC::SignedGreaterThan),
            O::I32GtU | O::I64GtU => self.int_compare(IntCC::UnsignedGreaterThan),
            O::I32LeS | O::I64LeS => self.int_compare(IntCC::SignedLessThanOrEqual),
            O::I32LeU | O::I64LeU => self.int_compare(IntCC::UnsignedLessThanOrEqual),
            O::I32GeS | O::I64GeS => self.int_compare(IntCC::SignedGreaterThanOrEqual),
            O::I32GeU | O::I64GeU => self.int_compare(IntCC::UnsignedGreaterThanOrEqual),
            O::F32Eq | O::F64Eq => self.float_compare(FloatCC::Equal),
            O::F32Ne | O::F64Ne => self.float_compare(FloatCC::NotEqual),
            O::F32Lt | O::F64Lt => self.float_compare(FloatCC::LessThan),
            O::F32Gt | O::F64Gt => self.float_compare(FloatCC::GreaterThan),
            O::F32Le | O::F64Le => self.float_compare(FloatCC::LessThanOrEqual),
            O::F32Ge | O::F64Ge => self.float_compare(FloatCC::GreaterThanOrEqual),
            ref other => return self.convert(other),
        }
        Ok(())
    }

    fn convert(&mut self, operator: &Operator<'_>) -> Result<()> {
        use Operator as O;
        match *operator {
            O::I32TruncF32S | O::I32TruncF64S => self.truncate(I32, true),
            O::I32TruncF32U | O::I32TruncF64U => self.truncate(I32, false),
            O::I64TruncF32S | O::I64TruncF64S => self.truncate(I64, true),
            O::I64TruncF32U | O::I64TruncF64U => self.truncate(I64, false),
            O::I32TruncSatF32S | O::I32TruncSatF64S => self.unary(|i, x| i.fcvt_to_sint_sat(I32, x)),
            O::I32TruncSatF32U | O::I32TruncSatF64U => self.unary(|i, x| i.fcvt_to_uint_sat(I32, x)),
            O::I64TruncSatF32S | O::I64TruncSatF64S => self.unary(|i, x| i.fcvt_to_sint_sat(I64, x)),
            O::I64TruncSatF32U | O::I64TruncSatF64U => self.unary(|i, x| i.fcvt_to_uint_sat(I64, x)),
            O::F32ConvertI32S | O::F32ConvertI64S => self.unary(|i, x| i.fcvt_from_sint(F32, x)),
            O::F32ConvertI32U | O::F32ConvertI64U => self.unary(|i, x| i.fcvt_from_uint(F32, x)),
            O::F64ConvertI32S | O::F64ConvertI64S => self.unary(|i, x| i.fcvt_from_sint(F64, x)),
            O::F64ConvertI32U | O::F64ConvertI64U => self.unary(|i, x| i.fcvt_from_uint(F64, x)),
            O::F32DemoteF64 => self.unary(|i, x| i.fdemote(F32, x)),
            O::F64PromoteF32 => self.unary(|i, x| i.fpromote(F64, x)),
            O::I32ReinterpretF32 => self.reinterpret(I32),
            O::I64ReinterpretF64 => self.reinterpret(I64),
            O::F32ReinterpretI32 => self.reinterpret(F32),
            O::F64ReinterpretI64 => self.reinterpret(F64),
            ref other => return self.wide(other),
        }
        Ok(())
    }

    /// Wide arithmetic: numbers of 128 bits are two operands, the low half below the high one. Cranelift makes of these
    /// forms the processor's own: add with carry, and multiplication with a result of both widths.
    fn wide(&mut self, operator: &Operator<'_>) -> Result<()> {
        use Operator as O;
        let value = match *operator {
            O::I64Add128 => {
                let (left, right) = self.pop_wide2();
                self.builder.ins().iadd(left, right)
            }
            O::I64Sub128 => {
                let (left, right) = self.pop_wide2();
                self.builder.ins().isub(left, right)
            }
            O::I64MulWideS => self.widen_both(|i, x| i.sextend(I128, x)),
            O::I64MulWideU => self.widen_both(|i, x| i.uextend(I128, x)),
            ref other => return self.simd(other),
        };
        let (low, high) = self.builder.ins().isplit(value);
        self.push(low);
        self.push(high);
        Ok(())
    }

    /// The product of two operands widened to 128 bits.
    fn widen_both(&mut self, widen: impl Fn(FuncInstBuilder<'_, '_>, Value) -> Value) -> Value {
        let (left, right) = self.pop2();
        let (left, right) = (widen(self.builder.ins(), left), widen(self.builder.ins(), right));
        self.builder.ins().imul(left, right)
    }

    /// The two topmost numbers of 128 bits, the first below the second.
    fn pop_wide2(&mut self) -> (Value, Value) {
        let (low, high) = self.pop2();
        let right = self.builder.ins().iconcat(low, high);
        let (low, high) = self.pop2();
        (self.builder.ins().iconcat(low, high), right)
    }

    fn constant(&mut self, make: impl FnOnce(&mut FunctionBuilder<'_>) -> Value) {
        let value = make(&mut self.builder);
        self.push(value);
    }

    pub(super) fn unary(&mut self, make: impl FnOnce(FuncInstBuilder<'_, '_>, Value) -> Value) {
        let operand = self.pop();
        let value = make(self.builder.ins(), operand);
        self.push(value);
    }

    fn binary(&mut self, make: impl FnOnce(FuncInstBuilder<'_, '_>, Value, Value) -> Value) {
        let (left, right) = self.pop2();
        let value = make(self.builder.ins(), left, right);
        self.push(value);
    }

    /// Without signals: traps where a division of the two topmost operands, which stay, would fault. `overflows`: whether
    /// the least number divided by -1 is out of range, as it is for quotients but not for remainders.
    fn check_division(&mut self, overflows: bool) {
        if self.signals() {
            return;
        }
        let (dividend, divisor) = self.pop2();
        let (ty, known) = (self.builder.func.dfg.value_type(divisor), constant(&self.builder.func.dfg, divisor));
        if known.is_none_or(|divisor| divisor == 0) {
            self.trapz(divisor, TrapCode::IntegerDivideByZero);
        }
        let minus_one = if ty == I32 { u64::from(u32::MAX) } else { u64::MAX };
        if overflows && known.is_none_or(|divisor| divisor == minus_one) {
            let least = if ty == I32 { i64::from(i32::MIN as u32) } else { i64::MIN };
            let least = self.builder.ins().iconst(ty, least);
            let is_least = self.builder.ins().icmp(IntCC::Equal, dividend, least);
            let minus_one = self.builder.ins().iconst(ty, minus_one as i64);
            let is_minus_one = self.builder.ins().icmp(IntCC::Equal, divisor, minus_one);
            let overflow = self.builder.ins().band(is_least, is_minus_one);
            self.trapnz(overflow, TrapCode::IntegerOverflow);
        }
        self.push(dividend);
        self.push(divisor);
    }

    /// Converts a float to an integer, or traps.
    fn truncate(&mut self, ty: Type, signed: bool) {
        if self.signals() {
            return match signed {
                true => self.unary(|i, x| i.fcvt_to_sint(ty, x)),
                false => self.unary(|i, x| i.fcvt_to_uint(ty, x)),
            };
        }
        let value = self.pop();
        let nan = self.builder.ins().fcmp(FloatCC::Unordered, value, value);
        self.trapnz(nan, TrapCode::InvalidConversionToInteger);
        let (lower, condition, upper) = truncation_bounds(self.builder.func.dfg.value_type(value), ty, signed);
        let float = |b: &mut FunctionBuilder<'_>, bound: f64| match b.func.dfg.value_type(value) {
            F32 => b.ins().f32const(bound as f32),
            _ => b.ins().f64const(bound),
        };
        let (lower, upper) = (float(&mut self.builder, lower), float(&mut self.builder, upper));
        let above = self.builder.ins().fcmp(condition, value, lower);
        let below = self.builder.ins().fcmp(FloatCC::LessThan, value, upper);
        let fits = self.builder.ins().band(above, below);
        self.trapz(fits, TrapCode::IntegerOverflow);
        self.push(value);
        match signed {
            true => self.unary(|i, x| i.fcvt_to_sint_sat(ty, x)),
            false => self.unary(|i, x| i.fcvt_to_uint_sat(ty, x)),
        }
    }

    /// Sign-extends the low bits of the operand.
    fn extend_low(&mut self, narrow: Type, wide: Type) {
        self.unary(|i, x| i.ireduce(narrow, x));
        self.unary(|i, x| i.sextend(wide, x));
    }

    fn reinterpret(&mut self, ty: Type) {
        self.unary(|i, x| i.bitcast(ty, MemFlagsData::new(), x));
    }

    fn int_compare(&mut self, condition: IntCC) {
        self.binary(|i, x, y| i.icmp(condition, x, y));
        self.unary(|i, x| i.uextend(I32, x));
    }

    fn float_compare(&mut self, condition: FloatCC) {
        self.binary(|i, x, y| i.fcmp(condition, x, y));
        self.unary(|i, x| i.uextend(I32, x));
    }
}

/// Which floats become integers of type `ty` when their fraction is cut off: those that compare with the first number as
/// the condition says and are less than the second. All bounds are exact.
fn truncation_bounds(float: Type, ty: Type, signed: bool) -> (f64, FloatCC, f64) {
    let end = match (ty, signed) {
        (I32, true) => 2f64.powi(31),
        (I32, false) => 2f64.powi(32),
        (_, true) => 2f64.powi(63),
        (_, false) => 2f64.powi(64),
    };
    match (signed, float, ty) {
        (false, ..) => (-1.0, FloatCC::GreaterThan, end),
        // The only case where there are floats between the least integer and the one before it.
        (true, F64, I32) => (-end - 1.0, FloatCC::GreaterThan, end),
        (true, ..) => (-end, FloatCC::GreaterThanOrEqual, end),
    }
}
