//! Calling conventions: how types become signatures.
//!
//! ```text
//!   wasm     Tail   (context, parameters…) -> results…               up to REGISTER_RESULTS results
//!            Tail   (context, results: *mut u64, parameters…)        more: written to 8-byte slots at `results`
//!   builtin  C      as declared in VmBuiltins
//!   entry    C      (callee: *const VmFuncRef, slots: *mut u64) -> u32
//!   host     C      (context: *mut VmHostContext, slots: *mut u64) -> u32
//! ```
//!
//! The convention depends on nothing but the type, so functions of different modules can call each other. The caller
//! provides the memory for results, so a tail call can hand its own caller's on.

use cranelift_codegen::ir::{AbiParam, ArgumentPurpose, Function, GlobalValueData, InstBuilder, MemFlagsData};
use cranelift_codegen::ir::{Signature, Type, Value, types};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::FunctionBuilder;
use std::mem::offset_of;

use super::access::Access;
use crate::artifact::info::{FuncType, ValType};
use crate::artifact::layout::{VmContext, VmStore};

/// Number of results that certainly fit the registers that the tail convention returns values in: eight integer and eight
/// float registers on x86-64 and on AArch64.
const REGISTER_RESULTS: usize = 8;

/// Size of a slot for one parameter or result in memory.
pub(super) const SLOT_BYTES: i32 = 8;

/// The Cranelift type of a wasm value; references are addresses or arena indices.
pub(super) fn clif_type(ty: ValType) -> Type {
    match ty {
        ValType::I32 => types::I32,
        ValType::I64 | ValType::Ref(_) => types::I64,
        ValType::V128 => types::I8X16,
        ValType::F32 => types::F32,
        ValType::F64 => types::F64,
    }
}

/// The Cranelift type of a value that the validator describes.
pub(super) fn clif_type_of(ty: wasmparser::ValType) -> Type {
    match ty {
        wasmparser::ValType::I32 => clif_type(ValType::I32),
        wasmparser::ValType::I64 => clif_type(ValType::I64),
        wasmparser::ValType::F32 => clif_type(ValType::F32),
        wasmparser::ValType::F64 => clif_type(ValType::F64),
        wasmparser::ValType::V128 => clif_type(ValType::V128),
        // The validator has its own ids of types, which mean nothing here.
        wasmparser::ValType::Ref(_) => clif_type(ValType::FUNCREF),
    }
}

/// Whether functions of this type return their results in memory.
pub(super) fn returns_in_memory(ty: &FuncType) -> bool {
    ty.results().len() > REGISTER_RESULTS
}

/// The signature of wasm functions of this type.
pub(super) fn wasm_signature(ty: &FuncType) -> Signature {
    let mut signature = Signature::new(CallConv::Tail);
    signature.params.push(AbiParam::special(types::I64, ArgumentPurpose::VMContext));
    if returns_in_memory(ty) {
        signature.params.push(AbiParam::new(types::I64));
    } else {
        signature.returns.extend(ty.results().iter().map(|&t| AbiParam::new(clif_type(t))));
    }
    signature.params.extend(ty.params().iter().map(|&t| AbiParam::new(clif_type(t))));
    signature
}

/// A signature in the platform's C convention.
pub(super) fn c_signature(convention: CallConv, params: &[Type], result: Option<Type>) -> Signature {
    let mut signature = Signature::new(convention);
    signature.params.extend(params.iter().map(|&t| AbiParam::new(t)));
    signature.returns.extend(result.map(AbiParam::new));
    signature
}

/// Makes the prologue of `func` compare the stack pointer with the store's limit.
pub(super) fn check_stack_limit(func: &mut Function, access: &Access) {
    let flags = func.dfg.mem_flags.insert_unchecked(access.constant);
    let vmctx = func.create_global_value(GlobalValueData::VMContext);
    let mut field = |base, offset: usize| {
        func.create_global_value(GlobalValueData::Load {
            base,
            offset: i32::try_from(offset).expect("field offsets are small").into(),
            global_type: types::I64,
            flags,
        })
    };
    let store = field(vmctx, offset_of!(VmContext, store));
    let limit = field(store, offset_of!(VmStore, stack_limit));
    func.stack_limit = Some(limit);
}

/// Loads one value of each of `types` from consecutive slots at `base`. A vector takes two.
pub(super) fn load_slots(
    builder: &mut FunctionBuilder<'_>,
    flags: MemFlagsData,
    base: Value,
    types: &[ValType],
) -> Vec<Value> {
    let mut at = 0;
    let mut load = |&ty: &ValType| {
        let value = builder.ins().load(clif_type(ty), flags, base, at);
        at += ty.slots() as i32 * SLOT_BYTES;
        value
    };
    types.iter().map(&mut load).collect()
}

/// Stores values to consecutive slots at `base`, each with zeroes in what it leaves of its slot.
pub(super) fn store_slots(builder: &mut FunctionBuilder<'_>, flags: MemFlagsData, base: Value, values: &[Value]) {
    let mut at = 0;
    for &value in values {
        let bits = match builder.func.dfg.value_type(value) {
            types::F32 => builder.ins().bitcast(types::I32, MemFlagsData::new(), value),
            _ => value,
        };
        let whole = match builder.func.dfg.value_type(bits) {
            types::I32 => builder.ins().uextend(types::I64, bits),
            _ => bits,
        };
        builder.ins().store(flags, whole, base, at);
        at += if builder.func.dfg.value_type(whole).is_vector() { 2 * SLOT_BYTES } else { SLOT_BYTES };
    }
}
