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
//!
//! The walk leaves the addresses of the frames in a block of this thread, from where whoever entered takes them when the
//! entry has returned: what they are called is nobody's question before somebody prints the error.

use std::arch::naked_asm;
use std::cell::Cell;
use std::sync::Arc;

use super::code;
use super::module::VmModule;
use super::touched;
use crate::artifact::layout::VmContext;
use crate::error::TrapCode;
use crate::sys::signals::{self, Fault, Outcome, Registers};

/// Installs the signal handlers that turn faults in compiled code into traps, or make the page writable that was written to.
pub fn install() -> crate::Result<()> {
    signals::install(decide)
}

/// Most frames that are written down when an activation is abandoned.
const MAX_FRAMES: usize = 64;

/// Where the frames were that this thread abandoned last. Written in signal handlers: no lock, no allocation. (The thread's
/// block of variables exists by then, as entering wasm uses another one of them.)
struct LastWalk {
    /// Addresses in each frame's current instruction, innermost first.
    places: [Cell<usize>; MAX_FRAMES],
    /// Number of frames, those that had no place included.
    frames: Cell<usize>,
}

thread_local! {
    static LAST_WALK: LastWalk =
        const { LastWalk { places: [const { Cell::new(0) }; MAX_FRAMES], frames: Cell::new(0) } };
}

/// The frames that abandoned activations had, innermost first.
#[derive(Clone, Default)]
pub struct Trace {
    pub modules: Vec<Arc<VmModule>>,
    /// Places in `modules`, and offsets in their code.
    pub frames: Vec<(u32, u32)>,
    /// How many there were beyond those.
    pub omitted: usize,
}

impl Trace {
    fn push(&mut self, pc: usize) {
        // Neighbours mostly belong to the same module.
        let offset = match self.modules.last().and_then(|last| last.offset_of(pc)) {
            Some(offset) => offset,
            None => match code::module_at(pc) {
                Some((module, offset)) => {
                    self.modules.push(module);
                    offset
                }
                None => return,
            },
        };
        self.frames.push((self.modules.len() as u32 - 1, offset));
    }
}

/// Takes what this thread's last abandoned activation left behind; to be called as soon as its entry has returned.
pub fn take_trace() -> Trace {
    LAST_WALK.with(|walk| {
        let frames = walk.frames.replace(0);
        let places = &walk.places[..frames.min(MAX_FRAMES)];
        let mut trace = Trace { frames: Vec::with_capacity(places.len()), ..Trace::default() };
        places.iter().for_each(|place| trace.push(place.get()));
        trace.omitted = frames - places.len();
        trace
    })
}

fn decide(fault: Fault) -> Option<Outcome> {
    let at = fault.at;
    // SAFETY: `at.pc` was interrupted just now; if it lies in compiled code, that code is alive.
    let tables = unsafe { code::lookup(at.pc) }?;
    let trap = tables.trap_at(at.pc)?;
    // Accesses to memories are known as places that may trap so.
    if trap == TrapCode::MemoryOutOfBounds && fault.forbidden.is_some_and(touched::touch) {
        return Some(Outcome::Again);
    }
    // SAFETY: the interrupted thread ran compiled code, so its frame pointer starts a chain of wasm frames.
    let landing = unsafe { innermost_entry(at.pc, at.pc, at.fp) }?;
    Some(Outcome::Land(landing, u64::from(trap.code())))
}

/// Walks from a wasm frame to the landing pad of the innermost entry trampoline, and writes the frames down. `place` lies in
/// the frame's current instruction; `pc` is where it would go on.
///
/// # Safety
///
/// `fp` is the frame pointer of a live activation of compiled code that `pc` lies in.
unsafe fn innermost_entry(mut place: usize, mut pc: usize, mut fp: usize) -> Option<Registers> {
    LAST_WALK.with(|walk| {
        // Good only when the walk arrives.
        walk.frames.set(0);
        // SAFETY: each frame of the chain belongs to code with a live activation.
        let mut tables = unsafe { code::lookup(pc) }?;
        for frame in 0.. {
            if !tables.contains(pc) {
                // SAFETY: as above.
                tables = unsafe { code::lookup(pc) }?;
            }
            if let Some((site, landing)) = tables.entry_at(pc) {
                walk.frames.set(frame);
                return Some(Registers { pc: landing, sp: fp - site.frame_size as usize, fp });
            }
            if let Some(cell) = walk.places.get(frame) {
                cell.set(place);
            }
            // SAFETY: frame layout of both supported ABIs: [fp] is the caller's fp, [fp + 8] the return address.
            unsafe {
                pc = *((fp + 8) as *const usize);
                fp = *(fp as *const usize);
            }
            // A return address may lie behind the end of its function; the call before it does not.
            place = pc - 1;
        }
        None
    })
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
    match unsafe { innermost_entry(pc - 1, pc, fp) } {
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
