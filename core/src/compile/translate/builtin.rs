//! Calls of the runtime's builtins through the context.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value};

use super::Translator;
use crate::artifact::layout::{GROW_STOPPED, VmBuiltins, VmContext};
use crate::compile::abi;
use crate::compile::trampoline::field;
use crate::error::TrapCode;

/// A function of [`VmBuiltins`]: its place, its parameters after the context, and its result.
pub(super) struct Builtin {
    offset: usize,
    params: &'static [Type],
    result: Option<Type>,
}

macro_rules! builtins {
    ($($name:ident = $field:ident($($param:ident),*) $(-> $result:ident)?;)*) => {
        $(pub(super) const $name: Builtin = Builtin {
            offset: offset_of!(VmBuiltins, $field),
            params: &[$($param),*],
            result: builtins!(@result $($result)?),
        };)*
    };
    (@result) => { None };
    (@result $result:ident) => { Some($result) };
}

builtins! {
    RAISE = raise(I32);
    MEMORY_GROW = memory_grow(I32, I64) -> I64;
    MEMORY_COPY = memory_copy(I32, I32, I64, I64, I64) -> I32;
    MEMORY_FILL = memory_fill(I32, I64, I32, I64) -> I32;
    MEMORY_INIT = memory_init(I32, I32, I64, I32, I32) -> I32;
    DATA_DROP = data_drop(I32);
    MEMORY_ATOMIC_NOTIFY = memory_atomic_notify(I32, I64, I64, I32) -> I64;
    MEMORY_ATOMIC_WAIT32 = memory_atomic_wait32(I32, I64, I64, I32, I64) -> I64;
    MEMORY_ATOMIC_WAIT64 = memory_atomic_wait64(I32, I64, I64, I64, I64) -> I64;
    TABLE_GROW = table_grow(I32, I64, I64) -> I64;
    TABLE_FILL = table_fill(I32, I64, I64, I64) -> I32;
    TABLE_COPY = table_copy(I32, I32, I64, I64, I64) -> I32;
    TABLE_INIT = table_init(I32, I32, I64, I32, I32) -> I32;
    ELEM_DROP = elem_drop(I32);
}

impl Translator<'_, '_> {
    /// Calls a builtin with the context and `args`, and gives its result if it has one.
    pub(super) fn call_builtin(&mut self, builtin: &Builtin, args: &[Value]) -> Option<Value> {
        self.call_builtin_with(self.access.constant, builtin, args)
    }

    /// Calls a builtin whose address is loaded with these flags.
    pub(super) fn call_builtin_with(
        &mut self,
        flags: MemFlagsData,
        builtin: &Builtin,
        args: &[Value],
    ) -> Option<Value> {
        let signature = match self.builtins.get(&builtin.offset) {
            Some(&signature) => signature,
            None => {
                let params: Vec<Type> = [I64].iter().chain(builtin.params).copied().collect();
                let convention = self.module.isa.default_call_conv();
                let signature = abi::c_signature(convention, &params, builtin.result);
                let signature = self.builder.import_signature(signature);
                self.builtins.insert(builtin.offset, signature);
                signature
            }
        };
        let table = self.load_word(flags, self.vmctx, field(offset_of!(VmContext, builtins)));
        let code = self.load_word(flags, table, field(builtin.offset));
        let args: Vec<Value> = [self.vmctx].iter().chain(args).copied().collect();
        let call = self.builder.ins().call_indirect(signature, code, &args);
        self.builder.inst_results(call).first().copied()
    }

    /// Calls a builtin that returns a value.
    pub(super) fn call_builtin_value(&mut self, builtin: &Builtin, args: &[Value]) -> Value {
        self.call_builtin(builtin, args).expect("the builtin has a result")
    }

    /// Calls a `grow` builtin: gives the old size, or -1.
    pub(super) fn call_grow_builtin(&mut self, builtin: &Builtin, args: &[Value]) -> Value {
        let old = self.call_builtin_value(builtin, args);
        let stopped = self.builder.ins().icmp_imm_s(IntCC::Equal, old, GROW_STOPPED as i64);
        let code = self.builder.ins().iconst(I32, i64::from(TrapCode::HostError.code()));
        let none = self.builder.ins().iconst(I32, 0);
        let code = self.builder.ins().select(stopped, code, none);
        self.raise_if_nonzero(code);
        old
    }

    /// Calls a builtin that returns 0 or a trap code, and raises the trap.
    pub(super) fn call_fallible_builtin(&mut self, builtin: &Builtin, args: &[Value]) {
        let code = self.call_builtin_value(builtin, args);
        self.raise_if_nonzero(code);
    }
}
