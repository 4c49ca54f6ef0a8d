//! Calls: direct, of imports, through tables and through references; and tail calls, which are the same with another end.
//!
//! A tail call hands everything on: the callee returns to the caller's caller, and writes results in memory where the
//! caller was to write its own. The two have the same number of results, of the same Cranelift types, so they agree on
//! whether there is such a place.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{ExtFuncData, ExternalName, FuncRef, Inst, InstBuilder, SigRef, StackSlotData};
use cranelift_codegen::ir::{StackSlotKind, Type, UserExternalName, Value, types};
use wasmparser::Operator;

use super::{Translator, abi, context_offset};
use crate::artifact::info::{FuncType, slots as slots_of};
use crate::artifact::layout::{VmContext, VmFuncRef, VmFunctionImport};
use crate::compile::abi::SLOT_BYTES;
use crate::compile::trampoline::field;
use crate::error::{Result, TrapCode, bail};

/// A function that is about to be called.
struct Callee {
    target: Target,
    context: Value,
    type_index: u32,
}

/// Where the code of a function is.
#[derive(Clone, Copy)]
enum Target {
    /// In this module.
    Defined(FuncRef),
    /// At this address.
    Code(Value),
}

/// What follows a call.
#[derive(Clone, Copy)]
enum End {
    /// Its results are pushed.
    Results,
    /// Its results are those of the caller, whose frame is gone before the callee starts.
    Return,
}

impl<'a> Translator<'a, '_> {
    pub(super) fn call(&mut self, operator: &Operator<'_>) -> Result<()> {
        match *operator {
            Operator::Call { function_index } => {
                let callee = self.named(function_index);
                self.finish_call(callee, End::Results)
            }
            Operator::ReturnCall { function_index } => {
                let callee = self.named(function_index);
                self.finish_call(callee, End::Return)
            }
            Operator::CallIndirect { type_index, table_index } => {
                let callee = self.element(type_index, table_index);
                self.finish_call(callee, End::Results)
            }
            Operator::ReturnCallIndirect { type_index, table_index } => {
                let callee = self.element(type_index, table_index);
                self.finish_call(callee, End::Return)
            }
            Operator::CallRef { type_index } => {
                let callee = self.referenced(type_index);
                self.finish_call(callee, End::Results)
            }
            Operator::ReturnCallRef { type_index } => {
                let callee = self.referenced(type_index);
                self.finish_call(callee, End::Return)
            }
            ref other => bail!(Bug, "{other:?} is not a call"),
        }
    }

    /// The function of this index.
    fn named(&mut self, function: u32) -> Callee {
        let type_index = self.module.info.functions[function as usize];
        if function >= self.module.info.imported_functions {
            return Callee { target: Target::Defined(self.function_ref(function)), context: self.vmctx, type_index };
        }
        let import = context_offset(self.module.layout.function_import(function));
        let constant = self.access.constant;
        let code = self.load_word(constant, self.vmctx, import + field(offset_of!(VmFunctionImport, code)));
        let context = self.load_word(constant, self.vmctx, import + field(offset_of!(VmFunctionImport, context)));
        Callee { target: Target::Code(code), context, type_index }
    }

    /// The function in a table at the index that is popped. An index out of bounds makes the load of the element fault.
    fn element(&mut self, type_index: u32, table: u32) -> Callee {
        let index = self.pop();
        let element = self.table_element_address(table, index, TrapCode::UndefinedElement);
        let flags = self.access.table_element(TrapCode::UndefinedElement);
        let callee = self.load_word(flags, element, 0);
        let null = TrapCode::UninitializedElement;
        if self.module.holds_only(table, type_index) {
            return self.behind(callee, type_index, Some(null));
        }
        let actual = self.load_of_reference(types::I32, callee, field(offset_of!(VmFuncRef, type_id)), null);
        let ids = self.load_word(self.access.constant, self.vmctx, field(offset_of!(VmContext, type_ids)));
        let expected = self.builder.ins().load(types::I32, self.access.constant, ids, context_offset(type_index * 4));
        let different = self.builder.ins().icmp(IntCC::NotEqual, actual, expected);
        self.trapnz(different, TrapCode::IndirectCallTypeMismatch);
        self.behind(callee, type_index, None)
    }

    /// The function behind the reference that is popped.
    fn referenced(&mut self, type_index: u32) -> Callee {
        let reference = self.pop();
        self.behind(reference, type_index, Some(TrapCode::NullFunctionReference))
    }

    /// The function behind a reference, which traps with `null` if it is null; not null if there is no such code.
    fn behind(&mut self, reference: Value, type_index: u32, null: Option<TrapCode>) -> Callee {
        let place = field(offset_of!(VmFuncRef, context));
        let context = match null {
            Some(null) => self.load_of_reference(types::I64, reference, place, null),
            None => self.load_word(self.access.func_ref, reference, place),
        };
        // Last, so that it can become part of the call instruction.
        let code = self.load_word(self.access.func_ref, reference, field(offset_of!(VmFuncRef, code)));
        Callee { target: Target::Code(code), context, type_index }
    }

    /// Loads the first field that is read through a reference to a function, and traps if the reference is null: the load
    /// itself faults then.
    fn load_of_reference(&mut self, ty: Type, reference: Value, offset: i32, null: TrapCode) -> Value {
        if !self.signals() {
            self.trapz(reference, null);
        }
        let flags = self.access.maybe_null(null);
        self.builder.ins().load(ty, flags, reference, offset)
    }

    /// Traps if a reference through which nothing is read is null.
    pub(super) fn check_not_null(&mut self, reference: Value, null: TrapCode) {
        self.trapz(reference, null);
    }

    fn finish_call(&mut self, callee: Callee, end: End) -> Result<()> {
        let ty = &self.module.info.types[callee.type_index as usize];
        let args = self.call_args(callee.context, ty, end)?;
        match (callee.target, end) {
            (Target::Defined(function), End::Results) => {
                let call = self.builder.ins().call(function, &args);
                self.push_results(call, ty)
            }
            (Target::Code(code), End::Results) => {
                let signature = self.signature(callee.type_index);
                let call = self.builder.ins().call_indirect(signature, code, &args);
                self.push_results(call, ty)
            }
            (Target::Defined(function), End::Return) => {
                self.builder.ins().return_call(function, &args);
                self.reachable = false;
                Ok(())
            }
            (Target::Code(code), End::Return) => {
                let signature = self.signature(callee.type_index);
                self.builder.ins().return_call_indirect(signature, code, &args);
                self.reachable = false;
                Ok(())
            }
        }
    }

    /// Pops the arguments of a call and puts the hidden ones in front.
    fn call_args(&mut self, context: Value, ty: &FuncType, end: End) -> Result<Vec<Value>> {
        self.count_transfers(ty.params().len() + ty.results().len())?;
        self.canonicalise(ty.params().len());
        let mut args = Vec::with_capacity(2 + ty.params().len());
        args.push(context);
        match end {
            End::Return => args.extend(self.results_at),
            End::Results if abi::returns_in_memory(ty) => args.push(self.results_memory(slots_of(ty.results()))),
            End::Results => {}
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
