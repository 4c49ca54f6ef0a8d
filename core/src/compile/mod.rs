//! The compiler: WebAssembly in, [`Compiled`] out. Needs no engine, no store and no runtime.
//!
//! ```text
//!   parse ──► ModuleInfo + bodies          validates all sections
//!     └► translate + compile, in parallel  validates each body, builds Cranelift IR, emits machine code
//!          └► emit                         joins the code, resolves calls, collects tables
//! ```
//!
//! Invariant: the result depends on nothing but the module, the tunables and the processor; not on the number of threads
//! or their timing. The error that is reported is that of the first bad function.
//!
//! There is no unsafe code here, and nothing here runs what it compiles.

mod abi;
mod access;
mod emit;
mod isa;
mod parse;
#[cfg(test)]
mod tests;
mod trampoline;
mod translate;
mod traps;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use cranelift_codegen::Context;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_frontend::FunctionBuilderContext;
use rayon::prelude::*;
use wasmparser::FuncValidatorAllocations;

use self::emit::{CompiledFunction, Text};
use self::parse::Body;
use self::trampoline::Direction;
use self::translate::Module;
use crate::artifact::Compiled;
use crate::artifact::info::{FuncType, ModuleInfo};
use crate::config::{DirtyTracking, Tunables};
use crate::error::{Error, Result, error};

/// Without signals, a function compares the stack pointer with the limit after it has made its frame, into which it may
/// have written by then. A larger frame gets a check in front of the function. The stack has room below the limit.
const UNCHECKED_FRAME_BYTES: u32 = 8 << 10;

/// Compiles modules for this machine. Cheap to share between threads.
pub(crate) struct Compiler {
    isa: OwnedTargetIsa,
    tunables: Tunables,
}

/// What each thread keeps from one function to the next.
struct Workspace {
    context: Context,
    builder_context: FunctionBuilderContext,
    validator_allocations: FuncValidatorAllocations,
}

impl Workspace {
    fn new() -> Self {
        Workspace {
            context: Context::new(),
            builder_context: FunctionBuilderContext::new(),
            validator_allocations: FuncValidatorAllocations::default(),
        }
    }
}

impl Compiler {
    /// A compiler for this machine.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Os`](crate::error::ErrorKind::Os) when the processor is not supported.
    pub(crate) fn new(tunables: &Tunables) -> Result<Self> {
        Ok(Compiler { isa: isa::native(tunables)?, tunables: *tunables })
    }

    /// Validates and compiles a module in the binary format, for instances whose writes are tracked in this way.
    ///
    /// # Errors
    ///
    /// `InvalidModule` or `Unsupported` with the offset and the reason; `Limit` when a function or the whole is too large
    /// for the machine.
    pub(crate) fn compile(&self, wasm: &[u8], tracking: DirtyTracking) -> Result<Compiled> {
        let (info, bodies) = parse::parse(wasm, self.tunables.features)?;
        let functions = self.compile_functions(&info, bodies, tracking)?;
        let plan = TrampolinePlan::new(&info);
        let trampolines = plan
            .jobs
            .par_iter()
            .map_init(Workspace::new, |workspace, &(direction, ty)| self.compile_trampoline(workspace, direction, ty))
            .collect::<Result<Vec<_>>>()?;

        let mut text = Text::default();
        let functions = functions.into_iter().map(|f| text.append(f)).collect::<Result<Vec<_>>>()?;
        text.resolve_calls(&functions)?;
        let address_map = text.take_address_map();
        let ranges = trampolines.into_iter().map(|t| text.append(t)).collect::<Result<Vec<_>>>()?;
        let starts: Vec<u32> = ranges.iter().map(|r| r.start).collect();
        let names = plan.jobs.iter().map(|(direction, ty)| format!("{}{ty}", direction.name()));
        let trampolines = names.zip(ranges).collect();
        let of = |places: &[Option<usize>]| places.iter().map(|p| p.map(|job| starts[job])).collect();
        let (entries, host_calls) = (of(&plan.entries), of(&plan.host_calls));
        let direct_host_calls = of(&plan.direct_host_calls);
        Ok(Compiled {
            info,
            text: text.code,
            functions,
            entries,
            host_calls,
            direct_host_calls,
            traps: text.traps,
            entry_sites: text.entry_sites,
            trampolines,
            address_map,
        })
    }

    /// Validates a module in the binary format, and compiles nothing.
    ///
    /// # Errors
    ///
    /// As for [`Compiler::compile`], but for `Limit`.
    pub(crate) fn validate(&self, wasm: &[u8]) -> Result<()> {
        let (_, bodies) = parse::parse(wasm, self.tunables.features)?;
        let results: Vec<Result<()>> = bodies
            .into_par_iter()
            .map_init(FuncValidatorAllocations::default, |allocations, body| {
                let mut validator = body.validator.into_validator(std::mem::take(allocations));
                let result = validator.validate(&body.body).map_err(invalid);
                *allocations = validator.into_allocations();
                result
            })
            .collect();
        results.into_iter().collect()
    }

    /// Extensions of the processor that compiled code may use, by Cranelift's names.
    pub(crate) fn cpu_features(&self) -> Vec<&'static str> {
        let flags = self.isa.isa_flags();
        let mut names: Vec<&str> =
            flags.iter().filter(|f| f.name.starts_with("has_") && f.as_bool() == Some(true)).map(|f| f.name).collect();
        names.sort_unstable();
        names
    }

    /// Compiles all bodies. After a failure, only functions before the failed one are still of interest.
    fn compile_functions(
        &self,
        info: &ModuleInfo,
        bodies: Vec<Body<'_>>,
        tracking: DirtyTracking,
    ) -> Result<Vec<CompiledFunction>> {
        let tunables = Tunables { dirty_tracking: tracking, ..self.tunables };
        let module = Module::new(info, &*self.isa, &tunables);
        let first_failure = AtomicUsize::new(usize::MAX);
        let results: Vec<Option<Result<CompiledFunction>>> = bodies
            .into_par_iter()
            .enumerate()
            .map_init(Workspace::new, |workspace, (index, body)| {
                if index > first_failure.load(Ordering::Relaxed) {
                    return None;
                }
                let result = self.compile_function(workspace, &module, body);
                if result.is_err() {
                    first_failure.fetch_min(index, Ordering::Relaxed);
                }
                Some(result)
            })
            .collect();
        let skipped = || Err(error!(Bug, "a function was skipped though none failed"));
        results.into_iter().map(|r| r.unwrap_or_else(skipped)).collect()
    }

    fn compile_function(
        &self,
        workspace: &mut Workspace,
        module: &Module<'_>,
        body: Body<'_>,
    ) -> Result<CompiledFunction> {
        let Workspace { context, builder_context, validator_allocations } = workspace;
        context.clear();
        let mut validator = body.validator.into_validator(std::mem::take(validator_allocations));
        let translated = translate::function(module, &mut context.func, builder_context, &body.body, &mut validator);
        if let Err(e) = translated {
            // The builder was left in the middle of a function.
            *builder_context = FunctionBuilderContext::new();
            return Err(e);
        }
        let index = validator.index();
        *validator_allocations = validator.into_allocations();
        let (signals, addresses) = (self.tunables.signals_based_traps, self.tunables.address_map);
        let function = emit::compile(context, &*self.isa, signals, addresses)?;
        if signals || function.frame_bytes <= UNCHECKED_FRAME_BYTES {
            return Ok(function);
        }
        context.clear();
        let ty = module.func_type(index);
        trampoline::build_stack_check(&mut context.func, builder_context, &*self.isa, ty, function.frame_bytes);
        function.behind(emit::compile(context, &*self.isa, signals, false)?)
    }

    fn compile_trampoline(
        &self,
        workspace: &mut Workspace,
        direction: Direction,
        ty: &FuncType,
    ) -> Result<CompiledFunction> {
        workspace.context.clear();
        let Workspace { context, builder_context, .. } = workspace;
        trampoline::build(direction, &mut context.func, builder_context, &*self.isa, ty);
        emit::compile(context, &*self.isa, self.tunables.signals_based_traps, false)
    }
}

/// Which trampolines a module needs, each once however often its type is declared.
struct TrampolinePlan<'a> {
    jobs: Vec<(Direction, &'a FuncType)>,
    /// By type index: the job that makes the type's entry.
    entries: Vec<Option<usize>>,
    /// By type index: the job that makes the type's host call.
    host_calls: Vec<Option<usize>>,
    /// By type index: the job that makes the type's host call with parameters in registers.
    direct_host_calls: Vec<Option<usize>>,
}

impl<'a> TrampolinePlan<'a> {
    fn new(info: &'a ModuleInfo) -> Self {
        let mut jobs = Vec::new();
        let mut known = HashMap::new();
        let mut plan = |direction, functions: &mut dyn Iterator<Item = u32>| {
            let mut places = vec![None; info.types.len()];
            for function in functions {
                let type_index = info.functions[function as usize] as usize;
                let ty = &info.types[type_index];
                if direction == Direction::DirectHostCall && !ty.is_direct() {
                    continue;
                }
                places[type_index] = Some(*known.entry((direction, ty)).or_insert_with(|| {
                    jobs.push((direction, ty));
                    jobs.len() - 1
                }));
            }
            places
        };
        let entries = plan(Direction::Entry, &mut info.escaped_functions.iter().copied());
        let host_calls = plan(Direction::HostCall, &mut (0..info.imported_functions));
        let direct_host_calls = plan(Direction::DirectHostCall, &mut (0..info.imported_functions));
        TrampolinePlan { jobs, entries, host_calls, direct_host_calls }
    }
}

/// The error of a module that the parser or the validator rejects.
fn invalid(error: wasmparser::Error) -> Error {
    let (offset, reason) = (error.offset(), error.message());
    match error.missing_wasm_feature() {
        Some(needed) => {
            let hint = match parse::switch_for(needed) {
                Some(switch) => format!("{switch} switches it on"),
                None => "Instar does not have it".to_string(),
            };
            error!(Unsupported, "unsupported feature at offset {offset:#x}: {reason} ({hint})")
        }
        None => error!(InvalidModule, "invalid module at offset {offset:#x}: {reason}"),
    }
}
