//! Locals, globals, references, and the operators that only move operands.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use cranelift_frontend::Variable;
use wasmparser::Operator;

use super::{Translator, abi, context_offset};
use crate::error::{Result, TrapCode, bail};

impl Translator<'_, '_> {
    pub(super) fn variable(&mut self, operator: &Operator<'_>) -> Result<()> {
        use Operator as O;
        match *operator {
            O::LocalGet { local_index } => {
                let value = self.builder.use_var(self.local(local_index));
                self.push(value);
            }
            O::LocalSet { local_index } => {
                let value = self.pop();
                let value = self.canonical(value);
                self.builder.def_var(self.local(local_index), value);
            }
            O::LocalTee { local_index } => {
                let value = self.pop();
                let canonical = self.canonical(value);
                self.builder.def_var(self.local(local_index), canonical);
                self.push(value);
            }
            O::GlobalGet { global_index } => {
                let (base, offset) = self.global_address(global_index);
                let ty = self.module.info.globals[global_index as usize].ty;
                let flags = if ty.mutable { self.access.global } else { self.access.constant };
                let value = self.builder.ins().load(abi::clif_type(ty.content), flags, base, offset);
                self.push_loaded(value);
            }
            O::GlobalSet { global_index } => {
                let value = self.pop();
                let value = self.canonical(value);
                let (base, offset) = self.global_address(global_index);
                self.builder.ins().store(self.access.global, value, base, offset);
                if let Some(mark) = self.global_mark(global_index) {
                    let one = self.builder.ins().iconst(types::I32, 1);
                    self.builder.ins().istore8(self.access.table_flag, one, self.vmctx, mark);
                }
            }
            O::Drop => {
                self.pop();
            }
            O::Select | O::TypedSelect { .. } => {
                let (first, second, condition) = self.pop3();
                let (first, second) = (self.canonical(first), self.canonical(second));
                let value = self.builder.ins().select(condition, first, second);
                self.push(value);
            }
            O::RefNull { .. } => {
                let null = self.zero(types::I64);
                self.push(null);
            }
            O::RefIsNull => {
                let reference = self.pop();
                let is_null = self.builder.ins().icmp_imm_u(IntCC::Equal, reference, 0);
                let is_null = self.builder.ins().uextend(types::I32, is_null);
                self.push(is_null);
            }
            O::RefAsNonNull => {
                let reference = self.pop();
                self.check_not_null(reference, TrapCode::NullReference);
                self.push(reference);
            }
            O::RefFunc { function_index } => {
                let Some(escaped) = self.module.info.escaped_index(function_index) else {
                    bail!(Bug, "function {function_index} is referenced but does not escape");
                };
                let offset = context_offset(self.module.layout.func_ref(escaped));
                let reference = self.builder.ins().iadd_imm_s(self.vmctx, i64::from(offset));
                self.push(reference);
            }
            ref other => bail!(Bug, "{other:?} does not move operands"),
        }
        Ok(())
    }

    fn local(&self, index: u32) -> Variable {
        self.locals[index as usize]
    }

    /// Offset in the context of what a write of a global marks.
    fn global_mark(&self, index: u32) -> Option<i32> {
        let own = index.checked_sub(self.module.info.imported_globals)?;
        self.module.layout.global_mark(self.module.global_places[own as usize]).map(context_offset)
    }

    /// Base and offset of a global.
    fn global_address(&mut self, index: u32) -> (Value, i32) {
        let imported = self.module.info.imported_globals;
        if index < imported {
            let pointer = context_offset(self.module.layout.global_import(index));
            (self.load_word(self.access.constant, self.vmctx, pointer), 0)
        } else {
            let place = self.module.global_places[(index - imported) as usize];
            (self.vmctx, context_offset(self.module.layout.defined_global(place)))
        }
    }
}
