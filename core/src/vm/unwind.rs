//! Traps: from a fault or a failed host call back to the innermost entry.
//!
//! Wasm frames own nothing, so abandoning them is a jump. All wasm code keeps frame pointers, so the way back is a walk:
//!
//! ```text
//!   faulting function ──fp──► caller ──fp──► … ──► entry trampoline     (Rust frames below are never looked at)
//!                                                   │ return address is in its module's entry sites
//!                                                   ▼
//!                           landing pad, SP = FP - frame_size, payload = trap code
//! ```
//!
//! An entry writes down nothing for this, so entering costs nothing for it. A call from wasm to a host function and
//! back into wasm puts a second entry trampoline on the stack, and the walk ends at the inner one.

use std::arch::naked_asm;

use super::code;
use crate::artifact::layout::VmContext;
use crate::error::TrapCode;
use crate::sys::signals::{self, Registers};

/// Installs the signal handlers that turn faults in compiled code into traps.
pub fn install() -> crate::Result<()> {
    signals::install(decide)
}

fn decide(at: Registers) -> Option<(Registers, u64)> {
    // SAFETY: `at.pc` was interrupted just now; if it lies in compiled code, that code is alive.
    let tables = unsafe { code::lookup(at.pc) }?;
    let trap = tables.trap_at(at.pc)?;
    // SAFETY: the interrupted thread ran compiled code, so its frame pointer starts a chain of wasm frames.
    let landing = unsafe { innermost_entry(at.pc, at.fp) }?;
    Some((landing, u64::from(trap.code())))
}

/// Walks from a wasm frame to the landing pad of the innermost entry trampoline.
///
/// # Safety
///
/// `fp` is the frame pointer of a live activation of compiled code that `pc` lies in.
unsafe fn innermost_entry(mut pc: usize, mut fp: usize) -> Option<Registers> {
    loop {
        // SAFETY: each frame of the chain belongs to code with a live activation.
        let tables = unsafe { code::lookup(pc) }?;
        if let Some((site, landing)) = tables.entry_at(pc) {
            return Some(Registers { pc: landing, sp: fp - site.frame_size as usize, fp });
        }
        // SAFETY: frame layout of both supported ABIs: [fp] is the caller's fp, [fp + 8] the return address.
        unsafe {
            pc = *((fp + 8) as *const usize);
            fp = *(fp as *const usize);
        }
    }
}

/// Where `raise` goes on; filled by [`find_landing`].
#[repr(C)]
struct Jump {
    pc: usize,
    sp: usize,
    fp: usize,
}

unsafe extern "C" fn find_landing(jump: *mut Jump, pc: usize, fp: usize) {
    // SAFETY: called by `raise` with its caller's frame, which is compiled code.
    match unsafe { innermost_entry(pc, fp) } {
        // SAFETY: `jump` points to `raise`'s own stack space.
        Some(to) => unsafe { jump.write(Jump { pc: to.pc, sp: to.sp, fp: to.fp }) },
        None => {
            eprintln!("instar: bug: a trap was raised in code without an entry");
            std::process::abort();
        }
    }
}

/// The builtin `raise`: abandons the caller and all wasm frames up to the innermost entry, which returns `code`.
///
/// # Safety
///
/// Must be called by compiled code.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub unsafe extern "C" fn raise(_context: *mut VmContext, _code: u32) {
    // On entry [rsp] is the return address into the caller, whose frame pointer rbp still holds.
    naked_asm!(
        "mov rdx, rbp",       // find_landing(jump, pc, fp): fp of the caller
        "mov rax, [rsp]",     // pc in the caller
        "sub rsp, 40",        // room for Jump, keeps the stack aligned to 16
        "mov [rsp + 24], rsi", // the trap code must survive the call
        "mov rsi, rax",
        "mov rdi, rsp",
        "call {find_landing}",
        "mov rax, [rsp + 24]", // first payload register of the landing pad
        "mov rcx, [rsp]",
        "mov rbp, [rsp + 16]",
        "mov rsp, [rsp + 8]",
        "jmp rcx",
        find_landing = sym find_landing,
    )
}

/// The builtin `raise`: abandons the caller and all wasm frames up to the innermost entry, which returns `code`.
///
/// # Safety
///
/// Must be called by compiled code.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub unsafe extern "C" fn raise(_context: *mut VmContext, _code: u32) {
    // On entry x30 is the return address into the caller, whose frame pointer x29 still holds.
    naked_asm!(
        "sub sp, sp, #48",
        "str x1, [sp, #24]",
        "mov x1, x30",
        "mov x2, x29",
        "mov x0, sp",
        "bl {find_landing}",
        "ldr x0, [sp, #24]",
        "ldr x3, [sp]",
        "ldr x29, [sp, #16]",
        "ldr x4, [sp, #8]",
        "mov sp, x4",
        "br x3",
        find_landing = sym find_landing,
    )
}

/// The trap code an entry returned, or `None` for 0.
///
/// # Panics
///
/// If the number is no trap code, which would be a bug.
pub fn trap_from_entry(code: u32) -> Option<TrapCode> {
    match code {
        0 => None,
        code => Some(TrapCode::from_code(code).expect("entries return 0 or a trap code")),
    }
}
