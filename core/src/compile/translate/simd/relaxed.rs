//! Relaxed operators: where the specification allows several results, the one that this processor gives fastest, or the
//! specification's deterministic profile if that was asked for.
//!
//! Invariant: what an operator gives depends on nothing but its operands, the tunables and the processor.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32X4, F64X2, I8X16, I16X8, I32X4, I64X2};
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use cranelift_codegen::isa::TargetIsa;
use wasmparser::Operator;

use super::super::Translator;
use crate::config::Tunables;
use crate::error::Result;

/// What the processor has for relaxed operators; nothing in deterministic mode.
#[derive(Clone, Copy, Default)]
pub(in super::super) struct RelaxedForms {
    /// `cvttps2dq` and `cvttpd2dq`, and minima and maxima that give the second operand in doubtful cases.
    x86: bool,
    /// `pshufb`
    swizzle: bool,
    /// `pmulhrsw`
    multiply_q15: bool,
    /// `pmaddubsw`
    dot: bool,
    /// `vpdpbusd`
    dot_add: bool,
    /// Multiplication and addition with one rounding.
    fused_multiply_add: bool,
    /// Whether lanes can be selected by their mask's top bit.
    blend: [bool; 4],
}

impl RelaxedForms {
    pub(in super::super) fn new(isa: &dyn TargetIsa, tunables: &Tunables) -> Self {
        if tunables.relaxed_simd_deterministic {
            return RelaxedForms::default();
        }
        let flags = isa.isa_flags();
        let has = |name: &str| flags.iter().any(|flag| flag.name == name && flag.as_bool() == Some(true));
        RelaxedForms {
            x86: isa.name() == "x64",
            swizzle: isa.has_x86_pshufb_lowering(),
            multiply_q15: isa.has_x86_pmulhrsw_lowering(),
            dot: isa.has_x86_pmaddubsw_lowering(),
            dot_add: has("has_avx") && has("has_avx_vnni") || has("has_avx512vl") && has("has_avx512vnni"),
            fused_multiply_add: isa.has_native_fma(),
            blend: [I8X16, I16X8, I32X4, I64X2].map(|ty| isa.has_blendv_lowering(ty)),
        }
    }
}

impl Translator<'_, '_> {
    pub(super) fn simd_relaxed(&mut self, operator: &Operator<'_>) -> Result<()> {
        use Operator as O;
        let forms = self.module.relaxed;
        match *operator {
            O::I8x16RelaxedSwizzle if forms.swizzle => self.lanes_binary(I8X16, |i, x, y| i.x86_pshufb(x, y)),
            O::I8x16RelaxedSwizzle => self.lanes_binary(I8X16, |i, x, y| i.swizzle(x, y)),

            O::I32x4RelaxedTruncF32x4S if forms.x86 => self.lanes_unary(F32X4, |i, x| i.x86_cvtt2dq(I32X4, x)),
            O::I32x4RelaxedTruncF32x4S => self.lanes_unary(F32X4, |i, x| i.fcvt_to_sint_sat(I32X4, x)),
            O::I32x4RelaxedTruncF32x4U => self.lanes_unary(F32X4, |i, x| i.fcvt_to_uint_sat(I32X4, x)),
            O::I32x4RelaxedTruncF64x2SZero if forms.x86 => {
                self.lanes_unary(F64X2, |i, x| i.x86_cvtt2dq(I64X2, x));
                let zero = self.zero(I64X2);
                self.unary(|i, x| i.snarrow(x, zero));
            }
            O::I32x4RelaxedTruncF64x2SZero => self.truncate_to_low_lanes(),
            O::I32x4RelaxedTruncF64x2UZero => self.truncate_to_low_lanes_unsigned(),

            O::F32x4RelaxedMadd => self.multiply_add(F32X4, false),
            O::F64x2RelaxedMadd => self.multiply_add(F64X2, false),
            O::F32x4RelaxedNmadd => self.multiply_add(F32X4, true),
            O::F64x2RelaxedNmadd => self.multiply_add(F64X2, true),

            O::I8x16RelaxedLaneselect => self.lane_select(I8X16, forms.blend[0]),
            O::I16x8RelaxedLaneselect => self.lane_select(I16X8, forms.blend[1]),
            O::I32x4RelaxedLaneselect => self.lane_select(I32X4, forms.blend[2]),
            O::I64x2RelaxedLaneselect => self.lane_select(I64X2, forms.blend[3]),

            O::F32x4RelaxedMin => self.relaxed_min(F32X4),
            O::F64x2RelaxedMin => self.relaxed_min(F64X2),
            O::F32x4RelaxedMax => self.relaxed_max(F32X4),
            O::F64x2RelaxedMax => self.relaxed_max(F64X2),

            O::I16x8RelaxedQ15mulrS if forms.multiply_q15 => self.lanes_binary(I16X8, |i, x, y| i.x86_pmulhrsw(x, y)),
            O::I16x8RelaxedQ15mulrS => self.lanes_binary(I16X8, |i, x, y| i.sqmul_round_sat(x, y)),
            O::I16x8RelaxedDotI8x16I7x16S => {
                let (x, y) = self.pop2_lanes(I8X16);
                let value = self.relaxed_dot(x, y);
                self.push(value);
            }
            O::I32x4RelaxedDotI8x16I7x16AddS => {
                let sum = self.pop_lanes(I32X4);
                let (x, y) = self.pop2_lanes(I8X16);
                let value = if forms.dot_add { self.widest_dot(x, y) } else { self.relaxed_dot_pairs(x, y) };
                let value = self.builder.ins().iadd(value, sum);
                self.push(value);
            }
            ref other => return self.atomic(other),
        }
        Ok(())
    }

    /// `x * y + z`, or `z - x * y`.
    fn multiply_add(&mut self, ty: Type, negate: bool) {
        let (mut x, y, z) = self.pop3_lanes(ty);
        let value = if self.module.relaxed.fused_multiply_add {
            if negate {
                x = self.builder.ins().fneg(x);
            }
            self.builder.ins().fma(x, y, z)
        } else {
            let product = self.builder.ins().fmul(x, y);
            if negate { self.builder.ins().fsub(z, product) } else { self.builder.ins().fadd(product, z) }
        };
        self.push(value);
    }

    fn lane_select(&mut self, ty: Type, blend: bool) {
        let (first, second, mask) = self.pop3_lanes(ty);
        let value = if blend {
            self.builder.ins().blendv(mask, first, second)
        } else {
            self.builder.ins().bitselect(mask, first, second)
        };
        self.push(value);
    }

    /// On x86-64 the second operand when one is a NaN or both are zeros.
    fn relaxed_min(&mut self, ty: Type) {
        let (x, y) = self.pop2_lanes(ty);
        let value =
            if self.module.relaxed.x86 { self.select_if_less(x, y, x, y) } else { self.builder.ins().fmin(x, y) };
        self.push(value);
    }

    fn relaxed_max(&mut self, ty: Type) {
        let (x, y) = self.pop2_lanes(ty);
        let value =
            if self.module.relaxed.x86 { self.select_if_less(y, x, x, y) } else { self.builder.ins().fmax(x, y) };
        self.push(value);
    }

    /// Products of bytes, neighbours added with saturation.
    fn relaxed_dot(&mut self, x: Value, y: Value) -> Value {
        if self.module.relaxed.dot {
            return self.builder.ins().x86_pmaddubsw(x, y);
        }
        let wrapped = self.dot_product(x, y);
        // The only sum that does not fit is that of twice -128 * -128: it wraps to the least number, which no other sum is.
        let least = self.builder.func.dfg.constants.insert([0, 0x80].repeat(8).into());
        let least = self.builder.ins().vconst(I16X8, least);
        let minus_one = self.builder.ins().icmp(IntCC::Equal, wrapped, least);
        self.builder.ins().iadd(wrapped, minus_one)
    }

    /// Products of bytes, four neighbours added, pairs of them with saturation.
    fn relaxed_dot_pairs(&mut self, x: Value, y: Value) -> Value {
        let pairs = self.relaxed_dot(x, y);
        let low = self.builder.ins().swiden_low(pairs);
        let high = self.builder.ins().swiden_high(pairs);
        self.builder.ins().iadd_pairwise(low, high)
    }

    /// Products of signed and unsigned bytes, four neighbours added. With one more addition, this is how the x86-64 back
    /// end knows `vpdpbusd`.
    fn widest_dot(&mut self, x: Value, y: Value) -> Value {
        let ins = &mut self.builder;
        let (x_low, x_high) = (ins.ins().swiden_low(x), ins.ins().swiden_high(x));
        let (y_low, y_high) = (ins.ins().uwiden_low(y), ins.ins().uwiden_high(y));
        let [low, high] = [(x_low, y_low), (x_high, y_high)].map(|(x, y)| {
            let products = ins.ins().imul(x, y);
            let (low, high) = (ins.ins().swiden_low(products), ins.ins().swiden_high(products));
            ins.ins().iadd_pairwise(low, high)
        });
        ins.ins().iadd_pairwise(low, high)
    }
}
