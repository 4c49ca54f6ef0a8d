//! Into compiled code.

use std::cell::Cell;

use crate::artifact::layout::{EntryFn, VmFuncRef, VmStore};
use crate::sys::stack;

/// [`VmStore::stack_limit`] of a store that no thread has entered.
pub const NOT_ENTERED: usize = usize::MAX;

/// A limit that lets no guest function start. Prologues add the size of their frame to it, which must not wrap.
const EXHAUSTED: usize = usize::MAX / 2;

thread_local! {
    /// (lowest address that guests may use, highest address) of this thread's stack; (1, 0) before it is known.
    static STACK: Cell<(usize, usize)> = const { Cell::new((1, 0)) };
}

#[cold]
fn find_stack() -> (usize, usize) {
    let bounds = stack::thread_bounds().unwrap_or((0, usize::MAX));
    STACK.set(bounds);
    bounds
}

/// The stack limit for guest code that is entered at `sp` and may use `max` bytes.
#[inline]
fn stack_limit(sp: usize, max: usize) -> usize {
    let (low, high) = match STACK.get() {
        (1, 0) => find_stack(),
        bounds => bounds,
    };
    let wanted = sp.saturating_sub(max);
    // A stack that is not the thread's own (a fiber's) has bounds we cannot know.
    if sp > low && sp <= high {
        wanted.max(low)
    } else if sp <= low && sp + (1 << 20) > low {
        EXHAUSTED
    } else {
        wanted
    }
}

/// Calls `callee` with `slots`, and returns what its entry trampoline returns: 0 or a trap code.
///
/// # Safety
///
/// * `callee` belongs to an instance of `store`, which no other thread uses now.
/// * `slots` has room for the callee's parameters and for its results, and holds parameters of its type.
#[inline]
pub unsafe fn enter(store: *mut VmStore, max_wasm_stack: usize, callee: *const VmFuncRef, slots: *mut u64) -> u32 {
    let marker = 0u8;
    // SAFETY: the caller vouches for `store`.
    let saved = unsafe { (*store).stack_limit };
    if saved == NOT_ENTERED {
        let limit = stack_limit(&raw const marker as usize, max_wasm_stack);
        // SAFETY: as above.
        unsafe { (*store).stack_limit = limit };
    }
    // SAFETY: a function reference holds an entry trampoline for its own type; the caller vouches for `slots`.
    let code = unsafe {
        let entry: EntryFn = std::mem::transmute((*callee).entry);
        entry(callee, slots)
    };
    // SAFETY: as above.
    unsafe { (*store).stack_limit = saved };
    code
}
