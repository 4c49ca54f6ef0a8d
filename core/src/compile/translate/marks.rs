//! Dirty marks: every store to linear memory is followed by a store of 1 to the line's byte in the dirty map.
//!
//! ```text
//!   base - DIRTY_MAP_BYTES          base                     ea
//!   | dirty map: 1 byte per line ...| memory ............... |store|......
//!     map[p >> DIRTY_LINE_SHIFT] = 1  covers [p, p + DIRTY_SPILL_BYTES), where p <= ea
//! ```
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
//!   neither sum wraps, being made of 64-bit numbers.)
//!
//! Invariant: the mark follows the store, so that a store that traps marks nothing, and nothing between them can leave.
//! Cranelift keeps that order: it moves no store, and merges a mark only into an earlier mark of the same byte. Marks have
//! an alias region of their own, so they do not disturb what Cranelift knows of other memory.

use cranelift_codegen::ir::{DataFlowGraph, InstBuilder, InstructionData, Opcode, Value, types};

use super::Translator;
use crate::artifact::layout::{DIRTY_LINE_SHIFT, DIRTY_MAP_BYTES, DIRTY_SPILL_BYTES};
use crate::config::DirtyTracking;

/// How many marks are remembered; older ones are made again.
const REMEMBERED: usize = 16;

/// From the first byte of a memory to its dirty map.
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
                && offset + size <= mark.offset + DIRTY_SPILL_BYTES as u64
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
    /// Marks `size` bytes that have just been stored at `index + offset`, where `index` is a 32-bit value.
    pub(super) fn mark(&mut self, memory: u32, index: Value, offset: u64, size: u64) {
        if self.module.tunables.dirty_tracking != DirtyTracking::Lines {
            return;
        }
        let (key, offset) = match constant(&self.builder.func.dfg, index) {
            Some(constant) => (Index::Start, offset + u64::from(constant)),
            None => (Index::Value(index), offset),
        };
        if self.marks.cover(memory, key, offset, size) {
            return;
        }
        let offset = mark_offset(offset, size);
        self.marks.remember(Mark { memory, index: key, offset });

        let base = self.memory_base(memory);
        let line = match key {
            Index::Start => self.builder.ins().iconst(types::I64, (offset >> DIRTY_LINE_SHIFT) as i64),
            Index::Value(index) => {
                let mut address = self.widen(index);
                if offset != 0 {
                    address = self.builder.ins().iadd_imm_s(address, offset as i64);
                }
                self.builder.ins().ushr_imm_u(address, i64::from(DIRTY_LINE_SHIFT))
            }
        };
        let byte = self.builder.ins().iadd(base, line);
        let one = self.builder.ins().iconst(types::I8, 1);
        self.builder.ins().store(self.access.mark, one, byte, MAP_OFFSET);
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

/// The number that a 32-bit value certainly is.
fn constant(dfg: &DataFlowGraph, value: Value) -> Option<u32> {
    let inst = dfg.value_def(value).inst()?;
    match dfg.insts[inst] {
        InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => Some(imm.bits() as u32),
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
