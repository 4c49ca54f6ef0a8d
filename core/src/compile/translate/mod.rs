//! Translation of one function body to Cranelift IR, validating as it goes.
//!
//! The operand stack holds IR values, locals are frontend variables, and [`control`] turns structured control into
//! blocks. Each operator belongs to one of the submodules, which extend [`Translator`] with it.
//!
//! Invariant: an operator is translated only after the validator has accepted it, so the stack holds what it takes.
//! Unreachable operators are validated and skipped; of them only the nesting of blocks is tracked.

mod atomic;
mod builtin;
mod call;
mod control;
mod heap;
mod loops;
pub(super) mod marks;
mod memory;
mod numeric;
mod simd;
mod table;
mod trap;
mod variable;

use std::collections::HashMap;

use cranelift_codegen::ir::{BlockArg, FuncRef, Function, InstBuilder, MemFlagsData, SigRef, SourceLoc, StackSlot};
use cranelift_codegen::ir::{Type, UserFuncName, Value, types};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use wasmparser::{FuncValidator, FunctionBody, Operator, ValidatorResources, WasmFeatures};

use self::control::Frame;
use self::loops::LoopFacts;
use self::marks::Marks;
use self::simd::{FreshLoads, RelaxedForms};
use super::access::Access;
use super::{abi, invalid, parse};
use crate::artifact::info::{FuncType, HeapType, ModuleInfo, TableDecl};
use crate::artifact::layout::{ContextLayout, GlobalPlace};
use crate::artifact::plan::{MemoryPlan, MemorySettings};
use crate::config::Tunables;
use crate::error::{Result, bail};

/// How many values a function may hand over in branches and calls. Block types and signatures of a thousand values let a
/// module of a few megabytes ask for billions; real functions stay far below.
const TRANSFER_LIMIT: u64 = 1 << 25;

/// What all functions of a module share.
pub(super) struct Module<'a> {
    info: &'a ModuleInfo,
    layout: ContextLayout,
    global_places: Vec<GlobalPlace>,
    memory_plans: Vec<MemoryPlan>,
    isa: &'a dyn TargetIsa,
    tunables: Tunables,
    features: WasmFeatures,
    /// By type index: the index of the first type of the module that is the same.
    first_equal: Vec<u32>,
    relaxed: RelaxedForms,
}

impl<'a> Module<'a> {
    pub fn new(info: &'a ModuleInfo, isa: &'a dyn TargetIsa, tunables: &Tunables) -> Self {
        let layout = ContextLayout::new(info);
        let features = parse::features(tunables.features);
        let settings = MemorySettings::new(tunables);
        Module {
            info,
            layout,
            global_places: info.global_places().collect(),
            memory_plans: info.memories.iter().map(|ty| MemoryPlan::new(ty, settings)).collect(),
            isa,
            tunables: *tunables,
            features,
            first_equal: first_equal(info),
            relaxed: RelaxedForms::new(isa, tunables),
        }
    }

    /// Whether every element of a table that is not null is a function of this type.
    fn holds_only(&self, table: u32, type_index: u32) -> bool {
        match self.info.tables[table as usize].ty.element.heap {
            // All types are final, so nothing but the type itself matches it.
            HeapType::Concrete(element) => self.first_equal[element as usize] == self.first_equal[type_index as usize],
            _ => false,
        }
    }
}

/// By type index: the index of the first type that is the same. Nobody asks but for tables of concrete references.
fn first_equal(info: &ModuleInfo) -> Vec<u32> {
    let concrete = |table: &TableDecl| matches!(table.ty.element.heap, HeapType::Concrete(_));
    if !info.tables.iter().any(concrete) {
        return Vec::new();
    }
    let mut known = HashMap::new();
    let mut first: Vec<u32> = Vec::with_capacity(info.types.len());
    for (index, ty) in info.types.iter().enumerate() {
        let own = index as u32;
        let recursive = ty.mentioned().any(|mentioned| mentioned == own);
        let replace = |mentioned| if mentioned == own { u32::MAX } else { first[mentioned as usize] };
        let key = ty.with_concrete(replace, recursive.then_some(u32::MAX));
        first.push(*known.entry(key).or_insert(own));
    }
    first
}

impl<'a> Module<'a> {
    /// Type of function `index`.
    pub fn func_type(&self, index: u32) -> &'a FuncType {
        self.info.func_type(index)
    }
}

/// The state of one function's translation.
struct Translator<'a, 'b> {
    module: &'a Module<'a>,
    builder: FunctionBuilder<'b>,
    access: Access,
    ty: &'a FuncType,
    vmctx: Value,
    /// Where the results go when they do not fit registers.
    results_at: Option<Value>,
    stack: Vec<Value>,
    frames: Vec<Frame<'a>>,
    /// Whether the next operator can be reached. If not, the current block has ended.
    reachable: bool,
    locals: Vec<Variable>,
    marks: Marks,
    /// What is known of the loop that the next operator opens.
    next_loop: LoopFacts,
    /// Whether the innermost loop is tight, see [`LoopFacts`].
    tight_loop: bool,
    fresh_loads: FreshLoads,
    signatures: HashMap<u32, SigRef>,
    functions: HashMap<u32, FuncRef>,
    /// Signatures of builtins by their offset in `VmBuiltins`.
    builtins: HashMap<usize, SigRef>,
    /// Memory for results of calls that return in memory. They are read right after the call, so one serves all.
    results_slot: Option<StackSlot>,
    transfers: u64,
    branch_args: Vec<BlockArg>,
}

/// Validates and translates a body into `func`.
///
/// After an error, `builder_context` is in the middle of a function and must not be used again.
pub(super) fn function<'a>(
    module: &'a Module<'a>,
    func: &mut Function,
    builder_context: &mut FunctionBuilderContext,
    body: &FunctionBody<'_>,
    validator: &mut FuncValidator<ValidatorResources>,
) -> Result<()> {
    let info = module.info;
    let index = validator.index();
    let ty = info.func_type(index);
    func.name = UserFuncName::user(0, index - info.imported_functions);
    func.signature = abi::wasm_signature(ty);
    let signals = module.tunables.signals_based_traps;
    let access = Access::new(func, signals);
    if signals {
        abi::check_stack_limit(func, &access);
    }

    let mut reader = body.get_binary_reader();
    reader.set_features(module.features);
    validator.read_locals(&mut reader).map_err(invalid)?;
    let mut translator = Translator::new(module, FunctionBuilder::new(func, builder_context), access, ty);
    if !signals {
        translator.check_stack();
    }
    translator.declare_locals(validator)?;
    translator.push_function_frame();

    let mut operators = wasmparser::OperatorsReader::new(reader);
    let mut loops = loops::facts(operators.clone(), translator.locals.len()).into_iter();
    while !operators.eof() {
        let (operator, offset) = operators.read_with_offset().map_err(invalid)?;
        validator.op(offset, &operator).map_err(invalid)?;
        translator.builder.set_srcloc(SourceLoc::new(offset as u32));
        if matches!(operator, Operator::Loop { .. }) {
            translator.next_loop = loops.next().unwrap_or_default();
        }
        translator.operator(&operator)?;
    }
    operators.finish().map_err(invalid)?;
    translator.builder.finalize(module.isa.frontend_config());
    Ok(())
}

impl<'a, 'b> Translator<'a, 'b> {
    fn new(module: &'a Module<'a>, mut builder: FunctionBuilder<'b>, access: Access, ty: &'a FuncType) -> Self {
        let entry = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.switch_to_block(entry);
        builder.seal_block(entry);
        let params = builder.block_params(entry);
        let vmctx = params[0];
        let (results_at, params) =
            if abi::returns_in_memory(ty) { (Some(params[1]), &params[2..]) } else { (None, &params[1..]) };
        let stack = params.to_vec();
        Translator {
            module,
            builder,
            access,
            ty,
            vmctx,
            results_at,
            stack,
            frames: Vec::new(),
            reachable: true,
            locals: Vec::new(),
            marks: Marks::default(),
            next_loop: LoopFacts::default(),
            tight_loop: false,
            fresh_loads: FreshLoads::default(),
            signatures: HashMap::new(),
            functions: HashMap::new(),
            builtins: HashMap::new(),
            results_slot: None,
            transfers: 0,
            branch_args: Vec::new(),
        }
    }

    /// Makes a variable of each local: parameters, which wait on the stack, and then zeros.
    fn declare_locals(&mut self, validator: &FuncValidator<ValidatorResources>) -> Result<()> {
        let params = std::mem::take(&mut self.stack);
        for index in 0..validator.len_locals() {
            let Some(ty) = validator.get_local_type(index) else {
                bail!(Bug, "local {index} has no type");
            };
            let ty = abi::clif_type_of(ty);
            let variable = self.builder.declare_var(ty);
            let value = params.get(index as usize).copied().unwrap_or_else(|| self.zero(ty));
            self.builder.def_var(variable, value);
            self.locals.push(variable);
        }
        Ok(())
    }

    /// Translates one operator.
    fn operator(&mut self, operator: &Operator<'_>) -> Result<()> {
        use Operator as O;
        match operator {
            O::Unreachable
            | O::Nop
            | O::Block { .. }
            | O::Loop { .. }
            | O::If { .. }
            | O::Else
            | O::End
            | O::Br { .. }
            | O::BrIf { .. }
            | O::BrTable { .. }
            | O::BrOnNull { .. }
            | O::BrOnNonNull { .. }
            | O::Return => self.control(operator),
            _ if !self.reachable => Ok(()),
            O::Call { .. }
            | O::CallIndirect { .. }
            | O::CallRef { .. }
            | O::ReturnCall { .. }
            | O::ReturnCallIndirect { .. }
            | O::ReturnCallRef { .. } => self.call(operator),
            O::LocalGet { .. }
            | O::LocalSet { .. }
            | O::LocalTee { .. }
            | O::GlobalGet { .. }
            | O::GlobalSet { .. }
            | O::Drop
            | O::Select
            | O::TypedSelect { .. }
            | O::RefNull { .. }
            | O::RefIsNull
            | O::RefAsNonNull
            | O::RefFunc { .. } => self.variable(operator),
            O::TableGet { .. }
            | O::TableSet { .. }
            | O::TableSize { .. }
            | O::TableGrow { .. }
            | O::TableFill { .. }
            | O::TableCopy { .. }
            | O::TableInit { .. }
            | O::ElemDrop { .. } => self.table(operator),
            O::I32Load { .. }
            | O::I64Load { .. }
            | O::F32Load { .. }
            | O::F64Load { .. }
            | O::I32Load8S { .. }
            | O::I32Load8U { .. }
            | O::I32Load16S { .. }
            | O::I32Load16U { .. }
            | O::I64Load8S { .. }
            | O::I64Load8U { .. }
            | O::I64Load16S { .. }
            | O::I64Load16U { .. }
            | O::I64Load32S { .. }
            | O::I64Load32U { .. }
            | O::I32Store { .. }
            | O::I64Store { .. }
            | O::F32Store { .. }
            | O::F64Store { .. }
            | O::I32Store8 { .. }
            | O::I32Store16 { .. }
            | O::I64Store8 { .. }
            | O::I64Store16 { .. }
            | O::I64Store32 { .. }
            | O::MemorySize { .. }
            | O::MemoryGrow { .. }
            | O::MemoryCopy { .. }
            | O::MemoryFill { .. }
            | O::MemoryInit { .. }
            | O::DataDrop { .. } => self.memory(operator),
            _ => self.numeric(operator),
        }
    }

    fn push(&mut self, value: Value) {
        self.stack.push(value);
    }

    fn pop(&mut self) -> Value {
        self.stack.pop().expect("the validator counted the operands")
    }

    /// The two topmost operands, the first below the second.
    fn pop2(&mut self) -> (Value, Value) {
        let second = self.pop();
        (self.pop(), second)
    }

    /// The three topmost operands, from bottom to top.
    fn pop3(&mut self) -> (Value, Value, Value) {
        let third = self.pop();
        let (first, second) = self.pop2();
        (first, second, third)
    }

    /// The zero of a type, which is also the null reference.
    fn zero(&mut self, ty: Type) -> Value {
        match ty {
            types::F32 => self.builder.ins().f32const(0.0f32),
            types::F64 => self.builder.ins().f64const(0.0f64),
            ty if ty.is_vector() => {
                let zero = self.builder.func.dfg.constants.insert([0; 16].as_slice().into());
                self.builder.ins().vconst(ty, zero)
            }
            _ => self.builder.ins().iconst(ty, 0),
        }
    }

    /// Loads an address or another 64-bit field.
    fn load_word(&mut self, flags: MemFlagsData, base: Value, offset: i32) -> Value {
        self.builder.ins().load(types::I64, flags, base, offset)
    }

    fn index_const(&mut self, index: u32) -> Value {
        self.builder.ins().iconst(types::I32, i64::from(index))
    }

    /// Widens an index or a size to 64 bits, which it may have already.
    fn widen(&mut self, value: Value) -> Value {
        match self.builder.func.dfg.value_type(value) {
            types::I64 => value,
            _ => self.builder.ins().uextend(types::I64, value),
        }
    }

    /// Pushes a size of 64 bits in the width of the addresses of a memory or table.
    fn push_size(&mut self, size: Value, wide: bool) {
        let size = if wide { size } else { self.builder.ins().ireduce(types::I32, size) };
        self.push(size);
    }

    /// Counts values that a branch or a call hands over.
    fn count_transfers(&mut self, values: usize) -> Result<()> {
        self.transfers += values as u64;
        if self.transfers > TRANSFER_LIMIT {
            bail!(Limit, "a function hands over more than {TRANSFER_LIMIT} values in its branches and calls");
        }
        Ok(())
    }
}

/// An offset into the context as an immediate.
fn context_offset(offset: u32) -> i32 {
    i32::try_from(offset).expect("contexts are far smaller than 2 GiB")
}
