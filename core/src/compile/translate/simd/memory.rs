//! Loads and stores of vectors and of single lanes, on the paths of all other loads and stores.

use cranelift_codegen::ir::types::{F32X4, F64X2, I8X16, I16X8, I32X4, I64X2};
use cranelift_codegen::ir::{InstBuilder, Type};
use wasmparser::{MemArg, Operator};

use super::super::Translator;
use super::VECTOR;
use crate::error::Result;

impl Translator<'_, '_> {
    pub(super) fn simd_memory(&mut self, operator: &Operator<'_>) -> Result<()> {
        use Operator as O;
        match operator {
            O::V128Load { memarg } => {
                self.load(memarg, VECTOR);
                let load = self.pop();
                self.push_loaded(load);
            }
            O::V128Load8x8S { memarg } => self.load_narrow(memarg, 8, |i, f, a, o| i.sload8x8(f, a, o)),
            O::V128Load8x8U { memarg } => self.load_narrow(memarg, 8, |i, f, a, o| i.uload8x8(f, a, o)),
            O::V128Load16x4S { memarg } => self.load_narrow(memarg, 8, |i, f, a, o| i.sload16x4(f, a, o)),
            O::V128Load16x4U { memarg } => self.load_narrow(memarg, 8, |i, f, a, o| i.uload16x4(f, a, o)),
            O::V128Load32x2S { memarg } => self.load_narrow(memarg, 8, |i, f, a, o| i.sload32x2(f, a, o)),
            O::V128Load32x2U { memarg } => self.load_narrow(memarg, 8, |i, f, a, o| i.uload32x2(f, a, o)),
            O::V128Load8Splat { memarg } => self.load_splat(memarg, I8X16),
            O::V128Load16Splat { memarg } => self.load_splat(memarg, I16X8),
            O::V128Load32Splat { memarg } => self.load_splat(memarg, I32X4),
            O::V128Load64Splat { memarg } => self.load_splat(memarg, I64X2),
            O::V128Load32Zero { memarg } => self.load_zero(memarg, I32X4),
            O::V128Load64Zero { memarg } => self.load_zero(memarg, I64X2),
            O::V128Load8Lane { memarg, lane } => self.load_lane(memarg, I8X16, *lane),
            O::V128Load16Lane { memarg, lane } => self.load_lane(memarg, I16X8, *lane),
            O::V128Load32Lane { memarg, lane } => self.load_lane(memarg, I32X4, *lane),
            O::V128Load64Lane { memarg, lane } => self.load_lane(memarg, I64X2, *lane),
            O::V128Store { memarg } => {
                let value = self.pop();
                let ty = self.builder.func.dfg.value_type(value);
                let value = self.lanes(value, ty);
                self.push(value);
                self.store(memarg, ty);
            }
            O::V128Store8Lane { memarg, lane } => self.store_lane(memarg, I8X16, *lane),
            O::V128Store16Lane { memarg, lane } => self.store_lane(memarg, I16X8, *lane),
            // The lowest lane of a vector register is where floats are, so it can be stored from there.
            O::V128Store32Lane { memarg, lane: 0 } => self.store_lane(memarg, F32X4, 0),
            O::V128Store64Lane { memarg, lane: 0 } => self.store_lane(memarg, F64X2, 0),
            O::V128Store32Lane { memarg, lane } => self.store_lane(memarg, I32X4, *lane),
            O::V128Store64Lane { memarg, lane } => self.store_lane(memarg, I64X2, *lane),
            other => return self.simd_lane(other),
        }
        Ok(())
    }

    fn load_splat(&mut self, memarg: &MemArg, ty: Type) {
        self.load(memarg, ty.lane_type());
        let lane = self.pop();
        let value = self.builder.ins().splat(ty, lane);
        self.push(value);
    }

    /// Loads the lowest lane, with zeroes in the others.
    fn load_zero(&mut self, memarg: &MemArg, ty: Type) {
        self.load(memarg, ty.lane_type());
        let lane = self.pop();
        let value = self.builder.ins().scalar_to_vector(ty, lane);
        self.push(value);
    }

    fn load_lane(&mut self, memarg: &MemArg, ty: Type, lane: u8) {
        let vector = self.pop_lanes(ty);
        self.load(memarg, ty.lane_type());
        let loaded = self.pop();
        let value = self.builder.ins().insertlane(vector, loaded, lane);
        self.push(value);
    }

    fn store_lane(&mut self, memarg: &MemArg, ty: Type, lane: u8) {
        let vector = self.pop_lanes(ty);
        let value = self.builder.ins().extractlane(vector, lane);
        self.push(value);
        self.store(memarg, ty.lane_type());
    }
}
