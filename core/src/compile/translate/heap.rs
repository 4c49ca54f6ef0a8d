//! Addresses in linear memory: where an access goes, and how it is kept in bounds.
//!
//! What an access has to check is in the memory's plan:
//!
//! | check | offset + size within reach | beyond |
//! |---|---|---|
//! | `Fault` | nothing: it hits the inaccessible rest of the address space | whole |
//! | `Index` | `min(index, length)` takes the place of the index: it hits what follows the length | whole |
//! | `Whole` | whole | whole |
//!
//! Shared memories have no `Index`: another thread may make accessible what follows the length that was read.
//!
//! "Whole" compares `index + offset + size` with the length, and puts null in the place of a bad address, where the access
//! faults. Without signals a branch comes before it. A constant address below the memory's minimum needs no check.
//!
//! Both replacements are conditional moves, on which processors do not speculate: nothing beyond the memory is touched even
//! after a mispredicted branch. Without Spectre mitigation a branch alone decides.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I64};
use cranelift_codegen::ir::{InstBuilder, Value};
use wasmparser::MemArg;

use super::marks::constant;
use super::{Translator, context_offset};
use crate::artifact::layout::VmMemory;
use crate::artifact::plan::{BoundsCheck, MemoryPlan};
use crate::compile::trampoline::field;
use crate::error::TrapCode;

/// Where an access goes. The access itself faults when it is out of bounds, unless that was checked before.
#[derive(Clone, Copy)]
pub(super) struct HeapAddress {
    pub address: Value,
    /// To be added to `address`.
    pub offset: i32,
    pub start: Start,
}

/// How to tell where in its memory an access starts, from values that hold also when a check is mispredicted.
#[derive(Clone, Copy)]
pub(super) enum Start {
    /// At this index plus the access's constant offset.
    Index(Value),
    /// At `HeapAddress::address`, which is relative to this base.
    Base(Value),
}

impl Translator<'_, '_> {
    /// Where an access of `size` bytes goes.
    pub(super) fn heap_address(&mut self, memarg: &MemArg, index: Value, size: u32) -> HeapAddress {
        let plan = self.memory_plan(memarg.memory);
        if plan.check.is_explicit()
            && let Some(at) = self.known_address(memarg, index, size)
        {
            return at;
        }
        let base = self.memory_base(memarg.memory);
        let index = self.widen(index);
        let end = memarg.offset.checked_add(u64::from(size));
        match (plan.check, end) {
            (BoundsCheck::Fault { reach }, Some(end)) if end <= reach => {
                let address = self.builder.ins().iadd(base, index);
                HeapAddress { address, offset: memarg.offset as i32, start: Start::Index(index) }
            }
            (BoundsCheck::Index { reach }, Some(end)) if end <= reach => {
                let index = self.index_below_length(memarg.memory, index);
                let address = self.builder.ins().iadd(base, index);
                HeapAddress { address, offset: memarg.offset as i32, start: Start::Index(index) }
            }
            _ => {
                let address = self.checked_address(memarg, base, index, end);
                HeapAddress { address, offset: 0, start: Start::Base(base) }
            }
        }
    }

    /// The address of an access at a constant that lies in every memory of the type.
    fn known_address(&mut self, memarg: &MemArg, index: Value, size: u32) -> Option<HeapAddress> {
        let index = constant(&self.builder.func.dfg, index)?;
        let start = index.checked_add(memarg.offset)?;
        let end = start.checked_add(u64::from(size))?;
        if end > self.module.info.memories[memarg.memory as usize].minimum_bytes() {
            return None;
        }
        let base = self.memory_base(memarg.memory);
        let (address, offset) = match i32::try_from(start) {
            Ok(offset) => (base, offset),
            Err(_) => (self.builder.ins().iadd_imm_s(base, start as i64), 0),
        };
        let index = self.builder.ins().iconst(I64, index as i64);
        Some(HeapAddress { address, offset, start: Start::Index(index) })
    }

    /// `min(index, length)`, or without Spectre mitigation the index after a check.
    fn index_below_length(&mut self, memory: u32, index: Value) -> Value {
        let length = self.memory_length(memory);
        let outside = self.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, length);
        if self.module.tunables.heap_spectre_mitigation {
            return self.builder.ins().select_spectre_guard(outside, length, index);
        }
        self.trapnz(outside, TrapCode::MemoryOutOfBounds);
        index
    }

    /// The address of an access that ends `end` bytes after the index, all of it compared with the length. `None` is an end
    /// that no memory reaches.
    fn checked_address(&mut self, memarg: &MemArg, base: Value, index: Value, end: Option<u64>) -> Value {
        let outside = match end {
            Some(end) => self.is_outside(memarg.memory, index, end),
            None => self.builder.ins().iconst(I8, 1),
        };
        let guarded = self.module.tunables.heap_spectre_mitigation;
        if !(self.signals() && guarded) {
            self.trapnz(outside, TrapCode::MemoryOutOfBounds);
        }
        let start = self.builder.ins().iadd_imm_s(index, memarg.offset as i64);
        let address = self.builder.ins().iadd(base, start);
        if guarded {
            let null = self.zero(I64);
            self.builder.ins().select_spectre_guard(outside, null, address)
        } else {
            address
        }
    }

    /// Whether `index + end` is more than the memory's length. Nothing wraps.
    fn is_outside(&mut self, memory: u32, index: Value, end: u64) -> Value {
        let ty = self.module.info.memories[memory as usize];
        if !ty.memory64 {
            // Both are far below 2^63.
            let end = self.builder.ins().iadd_imm_s(index, end as i64);
            let length = self.memory_length(memory);
            return self.builder.ins().icmp(IntCC::UnsignedGreaterThan, end, length);
        }
        let length = self.memory_length(memory);
        let end_value = self.builder.ins().iconst(I64, end as i64);
        let last = self.builder.ins().isub(length, end_value);
        let beyond = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, index, last);
        if end <= ty.minimum_bytes() {
            return beyond;
        }
        let never = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, end_value, length);
        self.builder.ins().bor(never, beyond)
    }

    pub(super) fn memory_plan(&self, memory: u32) -> MemoryPlan {
        self.module.memory_plans[memory as usize]
    }

    /// The address of a memory's first byte.
    pub(super) fn memory_base(&mut self, memory: u32) -> Value {
        self.memory_place(memory, offset_of!(VmMemory, base))
    }

    /// The address of the first byte of a memory's dirty map.
    pub(super) fn memory_map(&mut self, memory: u32) -> Value {
        self.memory_place(memory, offset_of!(VmMemory, map))
    }

    /// An address in the memory's [`VmMemory`] that changes only if the memory moves.
    fn memory_place(&mut self, memory: u32, place: usize) -> Value {
        let (record, offset) = self.memory_record(memory);
        let flags = if self.memory_plan(memory).moves { self.access.vm } else { self.access.constant };
        self.load_word(flags, record, offset + field(place))
    }

    /// The current size in bytes, for checks. If other threads may grow the memory, an older and smaller size than the current
    /// one does as well, but none from before an atomic operator or a call: those are fences for Cranelift.
    pub(super) fn memory_length(&mut self, memory: u32) -> Value {
        let (record, offset) = self.memory_record(memory);
        self.load_word(self.access.vm, record, offset + field(offset_of!(VmMemory, length)))
    }

    /// The current size in bytes, for the guest. What other threads grow is seen by each operator anew.
    pub(super) fn memory_size(&mut self, memory: u32) -> Value {
        if !self.module.info.memories[memory as usize].shared {
            return self.memory_length(memory);
        }
        let (record, offset) = self.memory_record(memory);
        let place = i64::from(offset + field(offset_of!(VmMemory, length)));
        let address = self.builder.ins().iadd_imm_s(record, place);
        self.builder.ins().atomic_load(I64, self.access.vm, address)
    }

    /// Base and offset of the memory's [`VmMemory`].
    fn memory_record(&mut self, memory: u32) -> (Value, i32) {
        let info = self.module.info;
        let layout = self.module.layout;
        match memory.checked_sub(info.imported_memories) {
            Some(defined) if !info.memories[memory as usize].shared => {
                (self.vmctx, context_offset(layout.defined_memory(defined)))
            }
            _ => {
                let pointer = context_offset(layout.memory_pointer(memory));
                (self.load_word(self.access.constant, self.vmctx, pointer), 0)
            }
        }
    }
}
