//! Dirty marks: every store to linear memory is followed by a store of 1 to the line's byte in the dirty map.
//!
//! ```text
//!   map                             base                     ea
//!   | dirty map: 1 byte per line ...| memory ............... |store|......
//!     map[p >> DIRTY_LINE_SHIFT] = 1  covers [p, p + DIRTY_SPILL_BYTES), where p <= ea
//! ```
//!
//! Where the map lies is in the memory's plan: a constant distance below the base, or at a pointer.
//!
//! A mark for address `p` makes reset restore the line of `p` and `DIRTY_SPILL_BYTES` after it, so it covers all of
//! `[p, p + DIRTY_SPILL_BYTES)`. A store of `[ea, ea + size)` may therefore be marked at any `p` with `p <= ea` and
//! `ea + size <= p + DIRTY_SPILL_BYTES`. That is used twice:
//!
//! * `p` is rounded down, but not below the index, so that the fields behind one pointer share their marks.
//! * A store needs no mark when one that covers it has been made. That is known for marks whose address is the same value
//!   plus another constant, which gives the distance, if the mark was made in a block that dominates this one: in the
//!   same block, in those that lead to it alone, before the `block`, `loop` or `if` that control is in.
//!
//! Distances are those of addresses of 32 bits, where sums wrap: `p` and `ea` both lie in the memory, and `ea - p` is known
//! modulo 2^32. So if `p` lies less than `DIRTY_SPILL_BYTES` before the end of 4 GiB, the store may lie at the start of the
//! memory. Reset restores that too. (Addresses of 64 bits do not get near their end.)
//!
//! Invariant: the mark follows the store, so that a store that traps marks nothing, and nothing between them can leave.
//! `p` lies in the memory then: between the index and `ea`, of which the sum has not wrapped.
//!
//! Invariant: marks stay until the instance is reset, and no instance is reset while it runs: not by what it calls either.
//!
//! # What Cranelift makes of it
//!
//! Shifts of addresses would be hoisted and kept in registers, which they are not worth. So the translator stores the place
//! of the map *at `p`*, an instruction of the same meaning for the optimiser, and [`lower`] makes the mark of it
//! afterwards. Cranelift keeps the order of stores; of two marks of the same `p` it drops one, if nothing in between
//! can trap, call or return. Marks have an alias region of their own, so they do not disturb what is known of other memory.
//!
//! Loops that do little but store are limited by how many stores a processor completes. There the byte is tested first,
//! as it is nearly always 1 already.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{DataFlowGraph, Function, InstBuilder, InstructionData, Opcode, Value, types};
use wasmparser::MemArg;

use super::Translator;
use super::heap::{HeapAddress, Start};
use crate::artifact::layout::{DIRTY_LINE_SHIFT, DIRTY_MAP_BYTES, DIRTY_SPILL_BYTES};
use crate::artifact::plan::DirtyMap;
use crate::compile::access::is_dirty_map;

/// How many marks are looked at when a store asks whether it needs one.
const WINDOW: usize = 16;

/// How many instructions are looked through for what an index is relative to.
const SUMS: usize = 6;

/// Offsets from here on lie beyond every memory.
const BEYOND: u64 = 1 << 62;

const SPILL: i64 = DIRTY_SPILL_BYTES as i64;

/// From the first byte of a memory to its dirty map, if that lies below it.
const MAP_OFFSET: i32 = -(DIRTY_MAP_BYTES as i32);

/// The marks that have certainly been made when control reaches the current operator, oldest first.
#[derive(Default)]
pub(super) struct Marks(Vec<Mark>);

#[derive(Clone, Copy)]
struct Mark {
    memory: u32,
    root: Root,
    offset: i64,
}

/// What an offset is relative to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Root {
    /// A value, modulo the width of the memory's addresses.
    Value(Value),
    /// The start of the memory, for constant indices.
    Start,
}

impl Marks {
    /// How many marks are known; for [`Marks::keep`].
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets all but the oldest `len` marks, where control can come from several places which have no others in common.
    pub(super) fn keep(&mut self, len: usize) {
        self.0.truncate(len);
    }

    fn cover(&self, memory: u32, root: Root, offset: i64, size: i64) -> bool {
        self.0.iter().rev().take(WINDOW).any(|mark| {
            mark.memory == memory && mark.root == root && mark.offset <= offset && offset + size <= mark.offset + SPILL
        })
    }
}

impl Translator<'_, '_> {
    /// Marks `size` bytes that have just been stored at `at`, which is the address for `index`.
    pub(super) fn mark(&mut self, memarg: &MemArg, index: Value, at: HeapAddress, size: u32) {
        let (memory, size) = (memarg.memory, i64::from(size));
        let map = self.memory_plan(memory).map;
        if map == DirtyMap::None || !self.module.tunables.dirty_tracking.marks() {
            return;
        }
        let (root, from_root) = root(&self.builder.func.dfg, index);
        if memarg.offset >= BEYOND || (root == Root::Start && from_root as u64 >= BEYOND) {
            // Such stores always trap.
            return;
        }
        let from_index = memarg.offset as i64;
        let offset = from_root + from_index;
        if self.marks.cover(memory, root, offset, size) {
            return;
        }
        let marked = mark_offset(offset, size);
        if root == Root::Start {
            self.marks.0.push(Mark { memory, root, offset: marked });
            return self.mark_constant(memory, map, marked as u64);
        }
        // What lies below the index may not lie in the memory.
        let marked = marked.max(from_root);
        self.marks.0.push(Mark { memory, root, offset: marked });
        let from_store = marked - offset;
        let p = match at.start {
            // In 32 bits, which takes shorter instructions. This map has a line for whatever a mispredicted check makes of it.
            _ if map == DirtyMap::Below => {
                let p = self.moved(index, i64::from((from_index + from_store) as i32));
                self.widen(p)
            }
            Start::Base(base) => {
                let store = self.builder.ins().isub(at.address, base);
                self.moved(store, from_store)
            }
            Start::Index(index) => self.moved(index, from_index + from_store),
        };
        let (start, offset) = self.map_start(memory, map);
        if self.tight_loop {
            self.mark_if_clean(p, start, offset);
        } else {
            // See `lower`.
            self.builder.ins().store(self.access.mark, start, p, offset);
        }
    }

    fn moved(&mut self, address: Value, by: i64) -> Value {
        if by == 0 { address } else { self.builder.ins().iadd_imm_s(address, by) }
    }

    /// Where the map is, as a value and a distance from it.
    fn map_start(&mut self, memory: u32, map: DirtyMap) -> (Value, i32) {
        match map {
            DirtyMap::Below => (self.memory_base(memory), MAP_OFFSET),
            DirtyMap::Pointer | DirtyMap::None => (self.memory_map(memory), 0),
        }
    }

    fn mark_constant(&mut self, memory: u32, map: DirtyMap, p: u64) {
        let (start, offset) = self.map_start(memory, map);
        let line = p >> DIRTY_LINE_SHIFT;
        let (byte, offset) = match i32::try_from(line).ok().and_then(|line| offset.checked_add(line)) {
            Some(offset) => (start, offset),
            None => (self.builder.ins().iadd_imm_s(start, line as i64), offset),
        };
        let one = self.builder.ins().iconst(types::I8, 1);
        self.builder.ins().store(self.access.mark, one, byte, offset);
    }

    fn mark_if_clean(&mut self, p: Value, start: Value, offset: i32) {
        let line = self.builder.ins().ushr_imm_u(p, i64::from(DIRTY_LINE_SHIFT));
        let byte = self.builder.ins().iadd(start, line);
        let old = self.builder.ins().load(types::I8, self.access.mark, byte, offset);
        let clean = self.builder.ins().icmp_imm_u(IntCC::Equal, old, 0);
        let (first, next) = (self.builder.create_block(), self.builder.create_block());
        self.builder.set_cold_block(first);
        self.builder.ins().brif(clean, first, &[], next, &[]);
        self.fall_into(first);
        let one = self.builder.ins().iconst(types::I8, 1);
        self.builder.ins().store(self.access.mark, one, byte, offset);
        self.builder.ins().jump(next, &[]);
        // Either way the line is marked from here on.
        self.fall_into(next);
    }
}

/// Turns each `store start, p + offset` to a dirty map into `store 1, start + (p >> DIRTY_LINE_SHIFT) + offset`, of a byte.
/// After optimisation.
pub(in crate::compile) fn lower(func: &mut Function) {
    let mut pos = FuncCursor::new(func);
    while pos.next_block().is_some() {
        while let Some(inst) = pos.next_inst() {
            let InstructionData::Store { opcode: Opcode::Store, flags, args: [start, p], offset } =
                pos.func.dfg.insts[inst]
            else {
                continue;
            };
            if pos.func.dfg.value_type(start) != types::I64 || !is_dirty_map(pos.func, flags) {
                continue;
            }
            pos.use_srcloc(inst);
            let line = line(&mut pos, p);
            let byte = pos.ins().iadd(start, line);
            let one = pos.ins().iconst(types::I8, 1);
            pos.func.dfg.insts[inst] =
                InstructionData::Store { opcode: Opcode::Store, flags, args: [one, byte], offset };
        }
    }
}

/// `p >> DIRTY_LINE_SHIFT`, in 32 bits if `p` has no more: those instructions are shorter.
fn line(pos: &mut FuncCursor<'_>, p: Value) -> Value {
    let shift = i64::from(DIRTY_LINE_SHIFT);
    match narrow(&pos.func.dfg, p) {
        Some(narrow) => {
            let line = pos.ins().ushr_imm_u(narrow, shift);
            pos.ins().uextend(types::I64, line)
        }
        None => pos.ins().ushr_imm_u(p, shift),
    }
}

/// The value of 32 bits that a value of 64 bits was extended from.
fn narrow(dfg: &DataFlowGraph, value: Value) -> Option<Value> {
    match definition(dfg, value)? {
        InstructionData::Unary { opcode: Opcode::Uextend, arg } if dfg.value_type(arg) == types::I32 => Some(arg),
        _ => None,
    }
}

/// What an index is relative to, and how far from it, modulo the width of the index.
fn root(dfg: &DataFlowGraph, index: Value) -> (Root, i64) {
    if let Some(constant) = constant(dfg, index) {
        return (Root::Start, constant as i64);
    }
    let narrow = dfg.value_type(index) == types::I32;
    let mut root = dfg.resolve_aliases(index);
    let mut offset = 0;
    for _ in 0..SUMS {
        let step = match definition(dfg, root) {
            Some(InstructionData::Binary { opcode: Opcode::Iadd, args: [a, b] }) => {
                small(dfg, b).map(|b| (a, b)).or_else(|| small(dfg, a).map(|a| (b, a)))
            }
            Some(InstructionData::Binary { opcode: Opcode::Isub, args: [a, b] }) => small(dfg, b).map(|b| (a, -b)),
            // Go computes addresses in 64 bits.
            Some(InstructionData::Unary { opcode: Opcode::Ireduce | Opcode::Uextend | Opcode::Sextend, arg })
                if narrow && matches!(dfg.value_type(arg), types::I32 | types::I64) =>
            {
                Some((arg, 0))
            }
            _ => None,
        };
        let Some((next, add)) = step else { break };
        root = dfg.resolve_aliases(next);
        offset += add;
    }
    (Root::Value(root), offset)
}

/// Where to mark `size` bytes at `offset`.
fn mark_offset(offset: i64, size: i64) -> i64 {
    let start = offset & !(SPILL - 1);
    if offset + size <= start + SPILL { start } else { offset & !(SPILL / 2 - 1) }
}

fn definition(dfg: &DataFlowGraph, value: Value) -> Option<InstructionData> {
    dfg.value_def(value).inst().map(|inst| dfg.insts[inst])
}

/// The signed number that a value certainly is, if it is so small that sums of some do not wrap.
fn small(dfg: &DataFlowGraph, value: Value) -> Option<i64> {
    let number = match dfg.value_type(value) {
        types::I32 => i64::from(constant(dfg, value)? as i32),
        _ => constant(dfg, value)? as i64,
    };
    i32::try_from(number).ok().map(i64::from)
}

/// The number that an index certainly is.
pub(super) fn constant(dfg: &DataFlowGraph, value: Value) -> Option<u64> {
    let inst = dfg.value_def(value).inst()?;
    match dfg.insts[inst] {
        InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => match dfg.value_type(value) {
            types::I32 => Some(u64::from(imm.bits() as u32)),
            _ => Some(imm.bits() as u64),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_always_covers_its_store() {
        for size in [1, 2, 4, 8, 16] {
            for offset in -300..300 {
                let mark = mark_offset(offset, size);
                assert!(mark <= offset && offset + size <= mark + SPILL, "{offset} {size}");
                // A mark may be moved up to the index, anywhere between.
                for index in mark..=offset {
                    assert!(offset + size <= index + SPILL, "{offset} {size} {index}");
                }
            }
        }
    }

    #[test]
    fn fields_behind_one_pointer_share_marks_and_what_lies_elsewhere_does_not() {
        let value = |number| Root::Value(Value::from_u32(number));
        let marks = Marks(vec![Mark { memory: 0, root: value(1), offset: -8 }]);
        for offset in -100..100 {
            for size in [1, 8, 16] {
                let expected = offset >= -8 && offset + size <= SPILL - 8;
                assert_eq!(marks.cover(0, value(1), offset, size), expected, "{offset} {size}");
                assert!(!marks.cover(1, value(1), offset, size));
                assert!(!marks.cover(0, value(2), offset, size));
                assert!(!marks.cover(0, Root::Start, offset, size));
            }
        }
    }
}
