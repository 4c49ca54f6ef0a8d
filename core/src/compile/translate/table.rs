//! Tables: element accesses inline, everything else through builtins.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use wasmparser::Operator;

use super::{Translator, builtin, context_offset};
use crate::artifact::layout::{TABLE_CHUNK_SHIFT, VmTable};
use crate::compile::trampoline::field;
use crate::error::{Result, TrapCode, bail};

/// Size of a table element as a power of two.
const ELEMENT_SHIFT: i64 = 3;

impl Translator<'_, '_> {
    pub(super) fn table(&mut self, operator: &Operator<'_>) -> Result<()> {
        use Operator as O;
        match *operator {
            O::TableGet { table } => {
                let index = self.pop();
                let address = self.table_element_address(table, index, TrapCode::TableOutOfBounds);
                let value = self.load_word(self.access.table_element(TrapCode::TableOutOfBounds), address, 0);
                self.push(value);
            }
            O::TableSet { table } => {
                let (index, value) = self.pop2();
                let address = self.table_element_address(table, index, TrapCode::TableOutOfBounds);
                let flags = self.access.table_element(TrapCode::TableOutOfBounds);
                self.builder.ins().store(flags, value, address, 0);
                let (base, offset) = self.table_record(table);
                let one = self.builder.ins().iconst(types::I32, 1);
                let dirty = offset + field(offset_of!(VmTable, dirty));
                self.builder.ins().store(self.access.table_flag, one, base, dirty);
                let marks = self.load_word(self.access.vm, base, offset + field(offset_of!(VmTable, marks)));
                let index = self.widen(index);
                let chunk = self.builder.ins().ushr_imm_u(index, i64::from(TABLE_CHUNK_SHIFT));
                let mark = self.builder.ins().iadd(marks, chunk);
                self.builder.ins().istore8(self.access.table_flag, one, mark, 0);
            }
            O::TableSize { table } => {
                let length = self.table_length(table);
                self.push_size(length, self.module.info.tables[table as usize].ty.table64);
            }
            O::TableGrow { table } => {
                let (value, delta) = self.pop2();
                let (index, delta) = (self.index_const(table), self.widen(delta));
                let old = self.call_grow_builtin(&builtin::TABLE_GROW, &[index, delta, value]);
                self.push_size(old, self.module.info.tables[table as usize].ty.table64);
            }
            O::TableFill { table } => {
                let (start, value, length) = self.pop3();
                let (table, start, length) = (self.index_const(table), self.widen(start), self.widen(length));
                self.call_fallible_builtin(&builtin::TABLE_FILL, &[table, start, value, length]);
            }
            O::TableCopy { dst_table, src_table } => {
                let (to, from, length) = self.pop3();
                let (dst_table, src_table) = (self.index_const(dst_table), self.index_const(src_table));
                let (to, from, length) = (self.widen(to), self.widen(from), self.widen(length));
                self.call_fallible_builtin(&builtin::TABLE_COPY, &[dst_table, src_table, to, from, length]);
            }
            O::TableInit { elem_index, table } => {
                let (to, from, length) = self.pop3();
                let (table, segment) = (self.index_const(table), self.index_const(elem_index));
                let to = self.widen(to);
                self.call_fallible_builtin(&builtin::TABLE_INIT, &[table, segment, to, from, length]);
            }
            O::ElemDrop { elem_index } => {
                let segment = self.index_const(elem_index);
                self.call_builtin(&builtin::ELEM_DROP, &[segment]);
            }
            ref other => bail!(Bug, "{other:?} is not a table operator"),
        }
        Ok(())
    }

    /// The address of an element; `code` is the trap when the index is out of bounds.
    ///
    /// With Spectre mitigation the address is null then, by a conditional move, so not even speculation reads beyond the
    /// table. With signals too, the access itself faults, and its flags say with which trap; else a branch comes first.
    pub(super) fn table_element_address(&mut self, table: u32, index: Value, code: TrapCode) -> Value {
        let length = self.table_length(table);
        let index = self.widen(index);
        let outside = self.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, length);
        let guarded = self.module.tunables.table_spectre_mitigation;
        if !(self.signals() && guarded) {
            self.trapnz(outside, code);
        }
        let (record, offset) = self.table_record(table);
        let base = self.load_word(self.access.vm, record, offset + field(offset_of!(VmTable, base)));
        let distance = self.builder.ins().ishl_imm_u(index, ELEMENT_SHIFT);
        let address = self.builder.ins().iadd(base, distance);
        if !guarded {
            return address;
        }
        let null = self.zero(types::I64);
        self.builder.ins().select_spectre_guard(outside, null, address)
    }

    /// The number of elements: a constant when the module defines the table with a fixed size.
    fn table_length(&mut self, table: u32) -> Value {
        let info = self.module.info;
        let ty = &info.tables[table as usize].ty;
        if table >= info.imported_tables && ty.maximum == Some(ty.minimum) {
            return self.builder.ins().iconst(types::I64, ty.minimum as i64);
        }
        let (record, offset) = self.table_record(table);
        self.load_word(self.access.vm, record, offset + field(offset_of!(VmTable, length)))
    }

    /// Base and offset of the table's [`VmTable`].
    fn table_record(&mut self, table: u32) -> (Value, i32) {
        let imported = self.module.info.imported_tables;
        let layout = self.module.layout;
        if table < imported {
            let pointer = context_offset(layout.table_import(table));
            (self.load_word(self.access.constant, self.vmctx, pointer), 0)
        } else {
            (self.vmctx, context_offset(layout.defined_table(table - imported)))
        }
    }
}
