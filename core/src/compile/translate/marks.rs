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
//! A mark for address `p` makes reset restore the line of `p` and `DIRTY_SPILL_BYTES - 1` bytes after it, so it covers
//! all of `[p, p + DIRTY_SPILL_BYTES)`. A store of `[ea, ea + size)` may therefore be marked at any `p` with
//! `p <= ea` and `ea + size <= p + DIRTY_SPILL_BYTES`. That is used twice:
//!
//! * `p` is `ea` rounded down so that neighbouring fields behind one pointer share their mark.
//! * A store needs no mark when one that covers it was made before. That is known for marks with the same index value in
//!   the same block, or in the chain of only predecessors before it: those have been executed whenever the store is, and
//!   the same value plus known offsets gives known distances. Marks are only cleared when an instance is dropped, so it
//!   does not matter what was called in between. (`p` never leaves the memory: it lies between the index and `ea`, and
//!   neither sum wraps when the store has not trapped.)
//!
//! Invariant: the mark follows the store, so that a store that traps marks nothing, and nothing between them can leave.
//! Cranelift keeps that order: it moves no store, and merges a mark only into an earlier mark of the same byte. Marks have
//! an alias region of their own, so they do not disturb what Cranelift knows of other memory.

use cranelift_codegen::ir::{DataFlowGraph, InstBuilder, InstructionData, Opcode, Value, types};

use wasmparser::MemArg;

use super::Translator;
use super::heap::{HeapAddress, Start};
use crate::artifact::layout::{DIRTY_LINE_SHIFT, DIRTY_MAP_BYTES, DIRTY_SPILL_BYTES};
use crate::artifact::plan::DirtyMap;

/// How many marks are remembered; older ones are made again.
const REMEMBERED: usize = 16;

/// From the first byte of a memory to its dirty map, if that lies below it.
const MAP_OFFSET: i32 = -(DIRTY_MAP_BYTES as i32);

/// The marks that have certainly been made when control reaches the current operator.
#[derive(Default)]
pub(super) struct Marks {
    made: Vec<Mark>,
    next: usize,
}

#[derive(Clone, Copy)]
struct Mark {
    memory: u32,
    index: Index,
    offset: u64,
}

/// What an offset is relative to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Index {
    Value(Value),
    /// The start of the memory, for constant indices.
    Start,
}

impl Marks {
    /// Forgets all marks, where control can come from several places.
    pub(super) fn forget(&mut self) {
        self.made.clear();
        self.next = 0;
    }

    fn cover(&self, memory: u32, index: Index, offset: u64, size: u64) -> bool {
        self.made.iter().any(|mark| {
            mark.memory == memory
                && mark.index == index
                && mark.offset <= offset
                && offset + size <= mark.offset.saturating_add(DIRTY_SPILL_BYTES as u64)
        })
    }

    fn remember(&mut self, mark: Mark) {
        if self.made.len() < REMEMBERED {
            self.made.push(mark);
        } else {
            self.made[self.next] = mark;
            self.next = (self.next + 1) % REMEMBERED;
        }
    }
}

impl Translator<'_, '_> {
    /// Marks `size` bytes that have just been stored at `at`, which is the address for `index`.
    pub(super) fn mark(&mut self, memarg: &MemArg, index: Value, at: HeapAddress, size: u32) {
        let (memory, size) = (memarg.memory, u64::from(size));
        let map = self.memory_plan(memory).map;
        if map == DirtyMap::None || !self.module.tunables.dirty_tracking.marks() {
            return;
        }
        let (key, offset) = match constant(&self.builder.func.dfg, index) {
            Some(constant) => match constant.checked_add(memarg.offset) {
                Some(offset) => (Index::Start, offset),
                // Such a store always traps.
                None => return,
            },
            None => (Index::Value(index), memarg.offset),
        };
        if offset.checked_add(size).is_none() || self.marks.cover(memory, key, offset, size) {
            return;
        }
        let marked = mark_offset(offset, size);
        self.marks.remember(Mark { memory, index: key, offset: marked });

        let line = match key {
            Index::Start => self.builder.ins().iconst(types::I64, (marked >> DIRTY_LINE_SHIFT) as i64),
            Index::Value(index) => {
                // The map below the base takes whatever a 32-bit index makes of a mispredicted check.
                let (mut address, add) = match at.start {
                    Start::Base(base) if map != DirtyMap::Below => {
                        (self.builder.ins().isub(at.address, base), marked.wrapping_sub(offset))
                    }
                    Start::Base(_) => (self.widen(index), marked),
                    Start::Index(index) => (index, marked),
                };
                if add != 0 {
                    address = self.builder.ins().iadd_imm_s(address, add as i64);
                }
                self.builder.ins().ushr_imm_u(address, i64::from(DIRTY_LINE_SHIFT))
            }
        };
        let (start, offset) = match map {
            DirtyMap::Below => (self.memory_base(memory), MAP_OFFSET),
            DirtyMap::Pointer | DirtyMap::None => (self.memory_map(memory), 0),
        };
        let byte = self.builder.ins().iadd(start, line);
        let one = self.builder.ins().iconst(types::I8, 1);
        self.builder.ins().store(self.access.mark, one, byte, offset);
    }
}

/// Where to mark `size` bytes at `offset`: at the index itself if that covers them, else at a multiple of eight.
fn mark_offset(offset: u64, size: u64) -> u64 {
    const SPILL: u64 = DIRTY_SPILL_BYTES as u64;
    if offset + size <= SPILL {
        0
    } else if size <= SPILL / 2 {
        offset & !(SPILL / 2 - 1)
    } else {
        offset
    }
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
            for offset in 0..200 {
                let mark = mark_offset(offset, size);
                assert!(mark <= offset && offset + size <= mark + DIRTY_SPILL_BYTES as u64, "{offset} {size}");
            }
        }
    }
}
