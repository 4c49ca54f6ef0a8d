//! The result of a compilation: one block of position-independent code and the tables that describe it.

use super::address_map::AddressMap;
use super::info::ModuleInfo;
use crate::error::TrapCode;

/// Where one function lies in the code, in bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionRange {
    pub start: u32,
    pub len: u32,
}

/// An instruction that traps: its offset in the code and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrapSite {
    pub offset: u32,
    pub code: TrapCode,
}

/// The call in an entry trampoline, where an abandoned activation continues.
///
/// ```text
///   frame pointer of the trampoline ─┐
///   SP at the call = FP - frame_size │   the callee's return address is `return_offset`
///   *(SP + context_offset)           │ = the VmFuncRef that was entered; its context is a VmContext, or a
///                                    │   VmHostContext when the entered function is an imported one of the host
///   landing pad: `landing_offset`, with the trap code in the first payload register
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntrySite {
    pub return_offset: u32,
    pub landing_offset: u32,
    pub frame_size: u32,
    pub context_offset: u32,
}

/// What the compiler makes of a module, to be written as an artifact. Code needs no relocation: it may be mapped anywhere.
#[derive(Debug)]
pub struct Compiled {
    pub info: ModuleInfo,
    /// Wasm functions first, then trampolines.
    pub text: Vec<u8>,
    /// Each defined function, ascending.
    pub functions: Vec<FunctionRange>,
    /// Entry trampoline of each type of `info.types`, by type index; every type that an escaped function has.
    pub entries: Vec<Option<u32>>,
    /// Wasm-to-host trampoline of each type of `info.types`, by type index; every type that an imported function has.
    pub host_calls: Vec<Option<u32>>,
    /// The same for host functions that return a [`DirectResult`](super::layout::DirectResult); every type that an
    /// imported function has and that [is direct](super::info::FuncType::is_direct).
    pub direct_host_calls: Vec<Option<u32>>,
    /// Ascending by offset.
    pub traps: Vec<TrapSite>,
    /// Ascending by `return_offset`.
    pub entry_sites: Vec<EntrySite>,
    /// All trampolines, with names for debuggers.
    pub trampolines: Vec<(String, FunctionRange)>,
    /// Empty unless asked for.
    pub address_map: AddressMap,
}
