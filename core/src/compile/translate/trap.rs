//! Traps that are checked for: the one place that knows whether a trap is an instruction that faults or a call.
//!
//! With signals, a trap is an instruction that faults, found in the code's table of traps. Without, it is a call of the
//! builtin `raise` in a cold block, and no instruction may fault: every operator that could is preceded by its check.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};

use super::{Translator, builtin};
use crate::artifact::layout::{VmContext, VmStore};
use crate::compile::trampoline::field;
use crate::compile::traps;
use crate::error::TrapCode;

impl Translator<'_, '_> {
    /// Whether faults become traps. If not, loads and stores must not fault and traps are raised by calls.
    pub(super) fn signals(&self) -> bool {
        self.module.tunables.signals_based_traps
    }

    /// Traps. Ends the current block.
    pub(super) fn trap(&mut self, code: TrapCode) {
        if self.signals() {
            self.builder.ins().trap(traps::to_cranelift(code));
        } else {
            self.raise(code);
        }
    }

    /// Traps if `value` is zero.
    pub(super) fn trapz(&mut self, value: Value, code: TrapCode) {
        if self.signals() {
            self.builder.ins().trapz(value, traps::to_cranelift(code));
        } else {
            let (failed, next) = (self.builder.create_block(), self.builder.create_block());
            self.builder.ins().brif(value, next, &[], failed, &[]);
            self.raise_in(failed, code);
            self.fall_into(next);
        }
    }

    /// Traps if `value` is not zero.
    pub(super) fn trapnz(&mut self, value: Value, code: TrapCode) {
        if self.signals() {
            self.builder.ins().trapnz(value, traps::to_cranelift(code));
        } else {
            let (failed, next) = (self.builder.create_block(), self.builder.create_block());
            self.builder.ins().brif(value, failed, &[], next, &[]);
            self.raise_in(failed, code);
            self.fall_into(next);
        }
    }

    fn raise_in(&mut self, block: cranelift_codegen::ir::Block, code: TrapCode) {
        self.builder.set_cold_block(block);
        self.fall_into(block);
        self.raise(code);
    }

    /// Calls `raise`. Its address is loaded here and not before, so that the way without a trap pays nothing for it.
    fn raise(&mut self, code: TrapCode) {
        let code = self.builder.ins().iconst(types::I32, i64::from(code.code()));
        self.call_builtin_with(self.access.vm, &builtin::RAISE, &[code]);
        self.builder.ins().trap(traps::NEVER);
    }

    /// Compares the stack pointer, below which the function's frame ends, with the store's limit. With signals, the
    /// prologue does that.
    pub(super) fn check_stack(&mut self) {
        let store = self.load_word(self.access.constant, self.vmctx, field(offset_of!(VmContext, store)));
        let limit = self.load_word(self.access.constant, store, field(offset_of!(VmStore, stack_limit)));
        let pointer = self.builder.ins().get_stack_pointer(types::I64);
        let below = self.builder.ins().icmp(IntCC::UnsignedLessThan, pointer, limit);
        self.trapnz(below, TrapCode::StackOverflow);
    }
}
