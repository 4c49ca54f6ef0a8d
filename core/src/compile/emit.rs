//! From Cranelift's functions to one block of code: compile, join, resolve calls, collect tables.
//!
//! ```text
//!   text:  | function 0 | pad | function 1 | pad | … | trampolines … |
//!          0                                         trampolines_start
//! ```
//!
//! Invariant: calls between functions of the text are its only relocations, and they are relative.

use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::ExternalName;
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::{CodegenError, Context, ExceptionContextLoc, FinalizedMachExceptionHandler};
use cranelift_codegen::{Final, FinalizedMachCallSite, FinalizedRelocTarget, MachSrcLoc};

use super::traps;
use crate::artifact::address_map::{self, AddressMap};
use crate::artifact::words::{Blob, Words};
use crate::artifact::{EntrySite, FunctionRange, TrapSite};
use crate::error::{Error, Result, bail, error};

/// Functions start at multiples of this at least.
const MIN_ALIGNMENT: u32 = 16;
/// `int3` on x86-64, so that a jump into the space between functions stops at once. Zero is undefined on AArch64.
const PADDING: u8 = if cfg!(target_arch = "x86_64") { 0xcc } else { 0 };

/// A call to another function of the text.
struct CallSite {
    offset: u32,
    kind: Reloc,
    addend: i64,
    /// Index among the functions that the module defines.
    callee: u32,
}

impl CallSite {
    /// Fills in the target.
    fn resolve(&self, code: &mut [u8], target: u32) -> Result<()> {
        let distance = i64::from(target) + self.addend - i64::from(self.offset);
        let at = self.offset as usize;
        let field: &mut [u8; 4] = (&mut code[at..at + 4]).try_into().expect("four bytes");
        match self.kind {
            Reloc::X86CallPCRel4 => {
                *field = i32::try_from(distance).expect("the text is smaller than 2 GiB").to_le_bytes();
            }
            Reloc::Arm64Call => {
                if !(-(1 << 27)..1 << 27).contains(&distance) {
                    bail!(Limit, "the module's code is larger than 128 MiB");
                }
                let target = (distance >> 2) as u32 & 0x03ff_ffff;
                *field = (u32::from_le_bytes(*field) | target).to_le_bytes();
            }
            other => bail!(Bug, "relocation {other:?} in compiled code"),
        }
        Ok(())
    }
}

/// The code of one function, with offsets from its start.
pub(super) struct CompiledFunction {
    code: Vec<u8>,
    alignment: u32,
    calls: Vec<CallSite>,
    traps: Vec<TrapSite>,
    entry: Option<EntrySite>,
    /// See [`address_map`].
    addresses: Vec<u8>,
    /// Bytes of stack below the frame pointer.
    pub frame_bytes: u32,
}

impl CompiledFunction {
    /// The function with `check` in front, all of whose calls are to the function.
    pub fn behind(self, check: CompiledFunction) -> Result<CompiledFunction> {
        if !check.traps.is_empty() || check.entry.is_some() {
            bail!(Bug, "a stack check that traps or is entered");
        }
        let alignment = self.alignment.max(check.alignment);
        let mut code = check.code;
        let start = code.len().next_multiple_of(self.alignment as usize);
        let Ok(moved) = u32::try_from(start) else { bail!(Bug, "a stack check of {start} bytes") };
        code.resize(start, PADDING);
        for call in &check.calls {
            call.resolve(&mut code, moved)?;
        }
        code.extend_from_slice(&self.code);
        let calls = self.calls.into_iter().map(|c| CallSite { offset: c.offset + moved, ..c }).collect();
        let traps = self.traps.into_iter().map(|t| TrapSite { offset: t.offset + moved, ..t }).collect();
        let addresses = address_map::moved(&self.addresses, moved);
        Ok(CompiledFunction { code, alignment, calls, traps, addresses, ..self })
    }
}

/// Compiles the function that was built in `context`. `signals`: whether faults become traps; if not, the function has
/// checked for all of them, and the table of traps stays empty. `addresses`: whether its address map is wanted.
pub(super) fn compile(
    context: &mut Context,
    regalloc: &mut regalloc2::Ctx,
    isa: &dyn TargetIsa,
    signals: bool,
    addresses: bool,
) -> Result<CompiledFunction> {
    let control = &mut ControlPlane::default();
    context.verify_if(isa).map_err(codegen_error)?;
    context.optimize(isa, control).map_err(codegen_error)?;
    super::translate::marks::lower(&mut context.func);
    context.verify_if(isa).map_err(codegen_error)?;
    let code =
        isa.compile_function(&context.func, &context.domtree, regalloc, false, control).map_err(codegen_error)?;
    let compiled = code.apply_params(&context.func.params);
    let buffer = &compiled.buffer;
    let code = buffer.data().to_vec();
    let alignment = buffer.alignment.max(isa.function_alignment().minimum).max(MIN_ALIGNMENT);
    let mut traps = Vec::with_capacity(buffer.traps().len());
    for trap in buffer.traps() {
        if trap.code == traps::NEVER || !signals && traps::is_division(trap.code) {
            continue;
        }
        if !signals {
            bail!(Bug, "an instruction traps with code {}, but signals_based_traps is off", trap.code);
        }
        let code = traps::from_cranelift(trap.code).ok_or_else(|| error!(Bug, "unknown trap code {}", trap.code))?;
        traps.push(TrapSite { offset: trap.offset, code });
    }
    let Some(frame) = buffer.frame_layout() else { bail!(Bug, "the frame of a function is unknown") };
    let frame_bytes = frame.frame_to_fp_offset;
    let mut entry = None;
    for site in buffer.call_sites() {
        if !site.exception_handlers.is_empty() {
            entry = Some(entry_site(&site)?);
        }
    }
    let mut calls = Vec::with_capacity(buffer.relocs().len());
    for reloc in buffer.relocs() {
        let FinalizedRelocTarget::ExternalName(ExternalName::User(name)) = reloc.target else {
            bail!(Bug, "compiled code refers to {:?}", reloc.target);
        };
        let callee = context.func.params.user_named_funcs()[name].index;
        calls.push(CallSite { offset: reloc.offset, kind: reloc.kind, addend: reloc.addend, callee });
    }
    let addresses = if addresses { address_map::encode(wasm_offsets(buffer.get_srclocs_sorted())) } else { Vec::new() };
    Ok(CompiledFunction { code, alignment, calls, traps, entry, addresses, frame_bytes })
}

/// Where the code of a function changes from one wasm instruction to another, or to none.
fn wasm_offsets(locations: &[MachSrcLoc<Final>]) -> impl Iterator<Item = (u32, Option<u32>)> {
    let mut end = 0;
    locations.iter().flat_map(move |at| {
        let gap = (at.start > end).then_some((end, None));
        end = at.end;
        let wasm = if at.loc.is_default() { None } else { Some(at.loc.bits()) };
        gap.into_iter().chain([(at.start, wasm)])
    })
}

fn codegen_error(error: CodegenError) -> Error {
    match error {
        CodegenError::ImplLimitExceeded | CodegenError::CodeTooLarge => {
            error!(Limit, "a function is too large to be compiled")
        }
        CodegenError::Verifier(errors) => error!(Bug, "verifier: {errors}"),
        other => error!(Bug, "code generation failed: {other}"),
    }
}

/// Reads the tables of the `try_call` in an entry trampoline.
fn entry_site(site: &FinalizedMachCallSite<'_>) -> Result<EntrySite> {
    use FinalizedMachExceptionHandler as Handler;
    let [Handler::Context(ExceptionContextLoc::SPOffset(context_offset)), Handler::Default(landing_offset)] =
        *site.exception_handlers
    else {
        bail!(Bug, "unexpected handlers of an entry: {:?}", site.exception_handlers);
    };
    let frame_size = site.frame_offset.ok_or_else(|| error!(Bug, "the frame size of an entry is unknown"))?;
    Ok(EntrySite { return_offset: site.ret_addr, landing_offset, frame_size, context_offset })
}

/// Code and tables of a whole module.
#[derive(Default)]
pub(super) struct Text {
    pub code: Vec<u8>,
    pub traps: Vec<TrapSite>,
    pub entry_sites: Vec<EntrySite>,
    calls: Vec<CallSite>,
    address_ends: Vec<u32>,
    addresses: Vec<u8>,
}

impl Text {
    /// Appends a function and says where it lies.
    pub fn append(&mut self, function: CompiledFunction) -> Result<FunctionRange> {
        let start = self.code.len().next_multiple_of(function.alignment as usize);
        let end = start + function.code.len();
        if i32::try_from(end).is_err() {
            bail!(Limit, "the module's code is larger than 2 GiB");
        }
        self.code.resize(start, PADDING);
        self.code.extend_from_slice(&function.code);
        let start = start as u32;
        let mut traps = function.traps;
        traps.sort_by_key(|t| t.offset);
        traps.dedup_by_key(|t| t.offset);
        self.traps.extend(traps.into_iter().map(|t| TrapSite { offset: t.offset + start, ..t }));
        self.calls.extend(function.calls.into_iter().map(|c| CallSite { offset: c.offset + start, ..c }));
        self.entry_sites.extend(function.entry.map(|e| EntrySite {
            return_offset: e.return_offset + start,
            landing_offset: e.landing_offset + start,
            ..e
        }));
        self.addresses.extend_from_slice(&function.addresses);
        let Ok(addresses_end) = u32::try_from(self.addresses.len()) else {
            bail!(Limit, "the module's address map is larger than 4 GiB");
        };
        self.address_ends.push(addresses_end);
        Ok(FunctionRange { start, len: function.code.len() as u32 })
    }

    /// The address map of the functions appended so far. Without entries it is empty.
    pub fn take_address_map(&mut self) -> AddressMap {
        let (ends, entries) = (std::mem::take(&mut self.address_ends), std::mem::take(&mut self.addresses));
        let ends = if entries.is_empty() { Vec::new() } else { ends };
        AddressMap { ends: Words::Owned(ends), entries: Blob::Owned(entries) }
    }

    /// Fills in the targets of all calls. `functions` are the functions that the module defines.
    pub fn resolve_calls(&mut self, functions: &[FunctionRange]) -> Result<()> {
        for call in std::mem::take(&mut self.calls) {
            call.resolve(&mut self.code, functions[call.callee as usize].start)?;
        }
        Ok(())
    }
}
