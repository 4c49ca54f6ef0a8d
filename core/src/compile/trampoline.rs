//! Bridges between conventions: from the host into wasm, and from wasm to host functions. One of each per type.
//!
//! ```text
//!   host ──C──► entry(callee, slots) ──try_call, Tail──► wasm function
//!                   └ landing pad ◄── runtime, when the activation is abandoned
//!
//!   wasm ──Tail──► host call(host context, parameters…) ──C──► VmHostContext::func(host context, slots)
//!                   └ VmBuiltins::raise when it returns nonzero
//!
//!   wasm ──Tail──► direct host call(host context, parameters…) ──C──► VmHostContext::func(host context, parameters…)
//! ```
//!
//! The direct form leaves parameters and result in registers; a host function has it when Rust knows its type.
//!
//! Neither checks the stack limit: an entry runs on the host's account, and what a host function needs is not known.

use std::mem::offset_of;

use cranelift_codegen::ir::{AbiParam, BlockArg, ExceptionTableData, ExceptionTableItem, Function, InstBuilder};
use cranelift_codegen::ir::{MemFlagsData, Signature, StackSlotData, StackSlotKind, UserFuncName, Value, types};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

use super::abi::{self, SLOT_BYTES, c_signature, clif_type, load_slots, store_slots, wasm_signature};
use super::access::Access;
use super::traps;
use crate::artifact::info::{FuncType, ValType, slots as slots_of};
use crate::artifact::layout::{VmBuiltins, VmContext, VmFuncRef, VmHostContext};

/// Which way a trampoline leads.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    Entry,
    HostCall,
    DirectHostCall,
}

impl Direction {
    /// What a debugger shows before the type.
    pub fn name(self) -> &'static str {
        match self {
            Direction::Entry => "host-to-wasm",
            Direction::HostCall => "wasm-to-host",
            Direction::DirectHostCall => "wasm-to-host-direct",
        }
    }
}

/// Builds a trampoline for functions of type `ty`.
pub(super) fn build(
    direction: Direction,
    func: &mut Function,
    builder_context: &mut FunctionBuilderContext,
    isa: &dyn TargetIsa,
    ty: &FuncType,
) {
    match direction {
        Direction::Entry => build_entry(func, builder_context, isa, ty),
        Direction::HostCall => build_host_call(func, builder_context, isa, ty),
        Direction::DirectHostCall => build_direct_host_call(func, builder_context, isa, ty),
    }
}

/// The context value of the `try_call` is the function reference, since the runtime has to find it whether the callee
/// belongs to an instance or to the host.
fn build_entry(func: &mut Function, context: &mut FunctionBuilderContext, isa: &dyn TargetIsa, ty: &FuncType) {
    func.name = UserFuncName::user(1, 0);
    func.signature = c_signature(isa.default_call_conv(), &[types::I64, types::I64], Some(types::I32));
    let access = Access::new(func, false);
    let mut builder = FunctionBuilder::new(func, context);
    let (entry, normal, landing) = (builder.create_block(), builder.create_block(), builder.create_block());
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let (callee, slots) = (builder.block_params(entry)[0], builder.block_params(entry)[1]);
    let code = builder.ins().load(types::I64, access.func_ref, callee, field(offset_of!(VmFuncRef, code)));
    let callee_context = builder.ins().load(types::I64, access.func_ref, callee, field(offset_of!(VmFuncRef, context)));
    let in_memory = abi::returns_in_memory(ty);
    let mut args = vec![callee_context];
    if in_memory {
        args.push(slots);
    }
    args.extend(load_slots(&mut builder, access.stack, slots, ty.params()));

    let results = if in_memory { &[] } else { ty.results() };
    let returned: Vec<_> = (0..results.len() as u32).map(BlockArg::TryCallRet).collect();
    let signature = builder.import_signature(wasm_signature(ty));
    let to_normal = builder.func.dfg.block_call(normal, &returned);
    let to_landing = builder.func.dfg.block_call(landing, &[BlockArg::TryCallExn(0)]);
    let handlers = [ExceptionTableItem::Context(callee), ExceptionTableItem::Default(to_landing)];
    let table = builder.func.dfg.exception_tables.push(ExceptionTableData::new(signature, to_normal, handlers));
    builder.ins().try_call_indirect(code, &args, table);

    let values: Vec<_> = results.iter().map(|&t| builder.append_block_param(normal, clif_type(t))).collect();
    builder.switch_to_block(normal);
    store_slots(&mut builder, access.stack, slots, &values);
    let success = builder.ins().iconst(types::I32, 0);
    builder.ins().return_(&[success]);

    let payload = builder.append_block_param(landing, types::I64);
    builder.switch_to_block(landing);
    let trap_code = builder.ins().ireduce(types::I32, payload);
    builder.ins().return_(&[trap_code]);

    builder.seal_all_blocks();
    builder.finalize(isa.frontend_config());
}

fn build_host_call(func: &mut Function, context: &mut FunctionBuilderContext, isa: &dyn TargetIsa, ty: &FuncType) {
    func.name = UserFuncName::user(2, 0);
    func.signature = wasm_signature(ty);
    let access = Access::new(func, false);
    let mut builder = FunctionBuilder::new(func, context);
    let (entry, done, failed) = (builder.create_block(), builder.create_block(), builder.create_block());
    builder.set_cold_block(failed);
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let params = builder.block_params(entry).to_vec();
    let in_memory = abi::returns_in_memory(ty);
    let (host_context, params) = (params[0], &params[1..]);
    let (results_at, params) = if in_memory { (Some(params[0]), &params[1..]) } else { (None, params) };

    let size = ty.slots().max(1) as u32 * SLOT_BYTES as u32;
    let slot = builder.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, size, 3));
    let slots = builder.ins().stack_addr(types::I64, slot, 0);
    store_slots(&mut builder, access.stack, slots, params);
    // Host functions see no leftovers in slots that only results use.
    let zero = builder.ins().iconst(types::I64, 0);
    for i in slots_of(ty.params())..ty.slots() {
        builder.ins().store(access.stack, zero, slots, i as i32 * SLOT_BYTES);
    }
    let convention = isa.default_call_conv();
    let host_signature = c_signature(convention, &[types::I64, types::I64], Some(types::I32));
    let host_signature = builder.import_signature(host_signature);
    let host = builder.ins().load(types::I64, access.vm, host_context, field(offset_of!(VmHostContext, func)));
    let call = builder.ins().call_indirect(host_signature, host, &[host_context, slots]);
    let trap_code = builder.inst_results(call)[0];
    builder.ins().brif(trap_code, failed, &[], done, &[]);

    builder.switch_to_block(failed);
    let caller = builder.ins().load(types::I64, access.vm, host_context, field(offset_of!(VmHostContext, caller)));
    let builtins = builder.ins().load(types::I64, access.vm, caller, field(offset_of!(VmContext, builtins)));
    let raise = builder.ins().load(types::I64, access.vm, builtins, field(offset_of!(VmBuiltins, raise)));
    call_raise(&mut builder, isa, raise, trap_code);

    builder.switch_to_block(done);
    let results = load_slots(&mut builder, access.stack, slots, ty.results());
    match results_at {
        Some(at) => {
            store_slots(&mut builder, access.stack, at, &results);
            builder.ins().return_(&[]);
        }
        None => {
            builder.ins().return_(&results);
        }
    }
    builder.seal_all_blocks();
    builder.finalize(isa.frontend_config());
}

fn build_direct_host_call(
    func: &mut Function,
    context: &mut FunctionBuilderContext,
    isa: &dyn TargetIsa,
    ty: &FuncType,
) {
    func.name = UserFuncName::user(3, 0);
    func.signature = wasm_signature(ty);
    let access = Access::new(func, false);
    let mut builder = FunctionBuilder::new(func, context);
    let (entry, done, failed) = (builder.create_block(), builder.create_block(), builder.create_block());
    builder.set_cold_block(failed);
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let params = builder.block_params(entry).to_vec();
    let host_context = params[0];

    let mut host_signature = Signature::new(isa.default_call_conv());
    host_signature.params.push(AbiParam::new(types::I64));
    host_signature.params.extend(ty.params().iter().map(|&t| AbiParam::new(clif_type(t))));
    host_signature.returns.extend([AbiParam::new(types::I64); 2]);
    let host_signature = builder.import_signature(host_signature);
    let host = builder.ins().load(types::I64, access.vm, host_context, field(offset_of!(VmHostContext, func)));
    let call = builder.ins().call_indirect(host_signature, host, &params);
    let [bits, trap_code] = *builder.inst_results(call) else { unreachable!("two results") };
    builder.ins().brif(trap_code, failed, &[], done, &[]);

    builder.switch_to_block(failed);
    let trap_code = builder.ins().ireduce(types::I32, trap_code);
    call_raise(&mut builder, isa, bits, trap_code);

    builder.switch_to_block(done);
    match ty.results() {
        [] => builder.ins().return_(&[]),
        [result, ..] => {
            let value = from_bits(&mut builder, bits, *result);
            builder.ins().return_(&[value])
        }
    };
    builder.seal_all_blocks();
    builder.finalize(isa.frontend_config());
}

/// The value whose bits are in the low end of `bits`.
fn from_bits(builder: &mut FunctionBuilder<'_>, bits: Value, ty: ValType) -> Value {
    let plain = MemFlagsData::new();
    match clif_type(ty) {
        types::I32 => builder.ins().ireduce(types::I32, bits),
        types::F32 => {
            let low = builder.ins().ireduce(types::I32, bits);
            builder.ins().bitcast(types::F32, plain, low)
        }
        types::F64 => builder.ins().bitcast(types::F64, plain, bits),
        _ => bits,
    }
}

/// Ends the block by abandoning the wasm frames up to the innermost entry. `raise` needs no context.
fn call_raise(builder: &mut FunctionBuilder<'_>, isa: &dyn TargetIsa, raise: Value, trap_code: Value) {
    let signature = c_signature(isa.default_call_conv(), &[types::I64, types::I32], None);
    let signature = builder.import_signature(signature);
    builder.ins().call_indirect(signature, raise, &[raise, trap_code]);
    builder.ins().trap(traps::NEVER);
}

/// The offset of a field as an immediate.
pub(super) fn field(offset: usize) -> i32 {
    i32::try_from(offset).expect("field offsets are small")
}
