//! Linear memory: loads and stores inline, everything else through builtins.
//!
//! Indices and sizes have the width of the memory's addresses; builtins take them as 64 bits. Where an access goes is
//! decided in [`heap`](super::heap).

use cranelift_codegen::ir::types::{F32, F64, I8, I16, I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value};
use cranelift_frontend::FuncInstBuilder;
use wasmparser::{MemArg, Operator};

use super::{Translator, builtin};
use crate::error::{Result, bail};

/// A load of fewer bits than its result has.
type NarrowLoad = fn(FuncInstBuilder<'_, '_>, MemFlagsData, Value, i32) -> Value;

impl Translator<'_, '_> {
    pub(super) fn memory(&mut self, operator: &Operator<'_>) -> Result<()> {
        use Operator as O;
        match operator {
            O::I32Load { memarg } => self.load(memarg, I32),
            O::I64Load { memarg } => self.load(memarg, I64),
            O::F32Load { memarg } => self.load(memarg, F32),
            O::F64Load { memarg } => self.load(memarg, F64),
            O::I32Load8S { memarg } => self.load_narrow(memarg, 1, |i, f, a, o| i.sload8(I32, f, a, o)),
            O::I32Load8U { memarg } => self.load_narrow(memarg, 1, |i, f, a, o| i.uload8(I32, f, a, o)),
            O::I32Load16S { memarg } => self.load_narrow(memarg, 2, |i, f, a, o| i.sload16(I32, f, a, o)),
            O::I32Load16U { memarg } => self.load_narrow(memarg, 2, |i, f, a, o| i.uload16(I32, f, a, o)),
            O::I64Load8S { memarg } => self.load_narrow(memarg, 1, |i, f, a, o| i.sload8(I64, f, a, o)),
            O::I64Load8U { memarg } => self.load_narrow(memarg, 1, |i, f, a, o| i.uload8(I64, f, a, o)),
            O::I64Load16S { memarg } => self.load_narrow(memarg, 2, |i, f, a, o| i.sload16(I64, f, a, o)),
            O::I64Load16U { memarg } => self.load_narrow(memarg, 2, |i, f, a, o| i.uload16(I64, f, a, o)),
            O::I64Load32S { memarg } => self.load_narrow(memarg, 4, |i, f, a, o| i.sload32(f, a, o)),
            O::I64Load32U { memarg } => self.load_narrow(memarg, 4, |i, f, a, o| i.uload32(f, a, o)),
            O::I32Store { memarg } => self.store(memarg, I32),
            O::I64Store { memarg } => self.store(memarg, I64),
            O::F32Store { memarg } => self.store(memarg, F32),
            O::F64Store { memarg } => self.store(memarg, F64),
            O::I32Store8 { memarg } | O::I64Store8 { memarg } => self.store(memarg, I8),
            O::I32Store16 { memarg } | O::I64Store16 { memarg } => self.store(memarg, I16),
            O::I64Store32 { memarg } => self.store(memarg, I32),
            other => return self.whole_memory(other),
        }
        Ok(())
    }

    /// Operators on a memory as a whole, or on a range of it.
    fn whole_memory(&mut self, operator: &Operator<'_>) -> Result<()> {
        use Operator as O;
        match *operator {
            O::MemorySize { mem } => {
                let length = self.memory_size(mem);
                let ty = self.module.info.memories[mem as usize];
                let pages = match ty.page_size_log2 {
                    0 => length,
                    log2 => self.builder.ins().ushr_imm_u(length, i64::from(log2)),
                };
                self.push_size(pages, ty.memory64);
            }
            O::MemoryGrow { mem } => {
                let delta = self.pop();
                let (memory, delta) = (self.index_const(mem), self.widen(delta));
                let old = self.call_grow_builtin(&builtin::MEMORY_GROW, &[memory, delta]);
                self.push_size(old, self.module.info.memories[mem as usize].memory64);
            }
            O::MemoryCopy { dst_mem, src_mem } => {
                let (to, from, length) = self.pop3();
                let (dst_mem, src_mem) = (self.index_const(dst_mem), self.index_const(src_mem));
                let (to, from, length) = (self.widen(to), self.widen(from), self.widen(length));
                self.call_fallible_builtin(&builtin::MEMORY_COPY, &[dst_mem, src_mem, to, from, length]);
            }
            O::MemoryFill { mem } => {
                let (start, byte, length) = self.pop3();
                let (memory, start, length) = (self.index_const(mem), self.widen(start), self.widen(length));
                self.call_fallible_builtin(&builtin::MEMORY_FILL, &[memory, start, byte, length]);
            }
            O::MemoryInit { data_index, mem } => {
                let (to, from, length) = self.pop3();
                let (memory, segment, to) = (self.index_const(mem), self.index_const(data_index), self.widen(to));
                self.call_fallible_builtin(&builtin::MEMORY_INIT, &[memory, segment, to, from, length]);
            }
            O::DataDrop { data_index } => {
                let segment = self.index_const(data_index);
                self.call_builtin(&builtin::DATA_DROP, &[segment]);
            }
            ref other => bail!(Bug, "{other:?} is not a memory operator"),
        }
        Ok(())
    }

    pub(super) fn load(&mut self, memarg: &MemArg, ty: Type) {
        let index = self.pop();
        let at = self.heap_address(memarg, index, ty.bytes());
        let value = self.builder.ins().load(ty, self.access.heap, at.address, at.offset);
        self.push(value);
    }

    pub(super) fn load_narrow(&mut self, memarg: &MemArg, size: u32, load: NarrowLoad) {
        let index = self.pop();
        let at = self.heap_address(memarg, index, size);
        let value = load(self.builder.ins(), self.access.heap, at.address, at.offset);
        self.push(value);
    }

    /// Stores the low part of the operand as a `ty`.
    pub(super) fn store(&mut self, memarg: &MemArg, ty: Type) {
        let (index, value) = self.pop2();
        let narrow = self.builder.func.dfg.value_type(value) != ty;
        let at = self.heap_address(memarg, index, ty.bytes());
        let (flags, ins) = (self.access.heap, self.builder.ins());
        match ty {
            I8 if narrow => ins.istore8(flags, value, at.address, at.offset),
            I16 if narrow => ins.istore16(flags, value, at.address, at.offset),
            I32 if narrow => ins.istore32(flags, value, at.address, at.offset),
            _ => ins.store(flags, value, at.address, at.offset),
        };
        self.mark(memarg, index, at, ty.bytes());
    }
}
