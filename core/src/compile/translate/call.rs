//! Calls: direct, of imports, and through tables.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{ExtFuncData, ExternalName, FuncRef, Inst, InstBuilder, SigRef, StackSlotData};
use cranelift_codegen::ir::{StackSlotKind, UserExternalName, Value, types};
use wasmparser::Operator;

use super::{Translator, abi, context_offset};
use crate::artifact::info::{FuncType, slots as slots_of};
use crate::artifact::layout::{VmContext, VmFuncRef, VmFunctionImport};
use crate::compile::abi::SLOT_BYTES;
use crate::compile::trampoline::field;
use crate::error::{Result, TrapCode, bail};

impl<'a> Translator<'a, '_> {
    pub(super) fn call(&mut self, operator: &Operator<'_>) -> Result<()> {
        match *operator {
            Operator::Call { function_index } => {
                if function_index < self.module.info.imported_functions {
                    self.call_import(function_index)
                } else {
                    self.call_defined(function_index)
                }
            }
            Operator::CallIndirect { type_index, table_index } => self.call_indirect(type_index, table_index),
            ref other => bail!(Bug, "{other:?} is not a call"),
        }
    }

    fn call_defined(&mut self, function: u32) -> Result<()> {
        let callee = self.function_ref(function);
        let ty = self.module.info.func_type(function);
        let args = self.call_args(self.vmctx, ty)?;
        let call = self.builder.ins().call(callee, &args);
        self.push_results(call, ty)
    }

    fn call_import(&mut self, function: u32) -> Result<()> {
        let type_index = self.module.info.functions[function as usize];
        let import = context_offset(self.module.layout.function_import(function));
        let constant = self.access.constant;
        let code = self.load_word(constant, self.vmctx, import + field(offset_of!(VmFunctionImport, code)));
        let context = self.load_word(constant, self.vmctx, import + field(offset_of!(VmFunctionImport, context)));
        self.call_code(code, context, type_index)
    }

    /// With signals, a null element makes the load of its type fault.
    fn call_indirect(&mut self, type_index: u32, table: u32) -> Result<()> {
        let index = self.pop();
        let element = self.table_element_address(table, index, TrapCode::UndefinedElement);
        let flags = self.access.table_element(TrapCode::UndefinedElement);
        let callee = self.load_word(flags, element, 0);

        if !self.signals() {
            self.trapz(callee, TrapCode::UninitializedElement);
        }
        let flags = self.access.maybe_null(TrapCode::UninitializedElement);
        let actual = self.builder.ins().load(types::I32, flags, callee, field(offset_of!(VmFuncRef, type_id)));
        let ids = self.load_word(self.access.constant, self.vmctx, field(offset_of!(VmContext, type_ids)));
        let expected = self.builder.ins().load(types::I32, self.access.constant, ids, context_offset(type_index * 4));
        let different = self.builder.ins().icmp(IntCC::NotEqual, actual, expected);
        self.trapnz(different, TrapCode::IndirectCallTypeMismatch);

        let code = self.load_word(self.access.func_ref, callee, field(offset_of!(VmFuncRef, code)));
        let context = self.load_word(self.access.func_ref, callee, field(offset_of!(VmFuncRef, context)));
        self.call_code(code, context, type_index)
    }

    fn call_code(&mut self, code: Value, context: Value, type_index: u32) -> Result<()> {
        let ty = &self.module.info.types[type_index as usize];
        let signature = self.signature(type_index);
        let args = self.call_args(context, ty)?;
        let call = self.builder.ins().call_indirect(signature, code, &args);
        self.push_results(call, ty)
    }

    /// Pops the arguments of a call and puts the hidden ones in front.
    fn call_args(&mut self, context: Value, ty: &FuncType) -> Result<Vec<Value>> {
        self.count_transfers(ty.params().len() + ty.results().len())?;
        let mut args = Vec::with_capacity(2 + ty.params().len());
        args.push(context);
        if abi::returns_in_memory(ty) {
            args.push(self.results_memory(slots_of(ty.results())));
        }
        args.extend(self.stack.drain(self.stack.len() - ty.params().len()..));
        Ok(args)
    }

    fn push_results(&mut self, call: Inst, ty: &FuncType) -> Result<()> {
        if abi::returns_in_memory(ty) {
            let at = self.results_memory(slots_of(ty.results()));
            let results = abi::load_slots(&mut self.builder, self.access.stack, at, ty.results());
            self.stack.extend(results);
        } else {
            self.stack.extend_from_slice(self.builder.inst_results(call));
        }
        Ok(())
    }

    /// The address of memory for results that take this many slots.
    fn results_memory(&mut self, slots: usize) -> Value {
        let size = slots as u32 * SLOT_BYTES as u32;
        let slot = match self.results_slot {
            Some(slot) => slot,
            None => {
                let data = StackSlotData::new(StackSlotKind::ExplicitSlot, size, 3);
                *self.results_slot.insert(self.builder.create_sized_stack_slot(data))
            }
        };
        let data = &mut self.builder.func.sized_stack_slots[slot];
        data.size = data.size.max(size);
        self.builder.ins().stack_addr(types::I64, slot, 0)
    }

    fn signature(&mut self, type_index: u32) -> SigRef {
        let ty: &'a FuncType = &self.module.info.types[type_index as usize];
        let builder = &mut self.builder;
        *self.signatures.entry(type_index).or_insert_with(|| builder.import_signature(abi::wasm_signature(ty)))
    }

    fn function_ref(&mut self, function: u32) -> FuncRef {
        if let Some(&callee) = self.functions.get(&function) {
            return callee;
        }
        let info = self.module.info;
        let signature = self.signature(info.functions[function as usize]);
        let name = UserExternalName::new(0, function - info.imported_functions);
        let name = ExternalName::user(self.builder.func.declare_imported_user_function(name));
        let callee = self.builder.import_function(ExtFuncData { name, signature, colocated: true, patchable: false });
        self.functions.insert(function, callee);
        callee
    }
}
