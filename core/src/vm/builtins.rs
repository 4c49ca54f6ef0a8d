//! Functions that compiled code calls. All arguments come from the guest; indices were validated, everything else is
//! checked here.
//!
//! None of them may panic: they are called from compiled code, through which a panic must not unwind.

use std::time::Duration;

use super::instance::VmInstance;
use super::shared::{self, Expected};
use super::{memory, table, unwind};
use crate::artifact::info::{ElementSegment, Elements};
use crate::artifact::layout::{VmBuiltins, VmContext};
use crate::error::TrapCode;

/// The table of builtins that every context points to.
pub static BUILTINS: VmBuiltins = VmBuiltins {
    raise: unwind::raise,
    memory_grow,
    memory_copy,
    memory_fill,
    memory_init,
    data_drop,
    memory_atomic_notify,
    memory_atomic_wait32,
    memory_atomic_wait64,
    table_grow,
    table_fill,
    table_copy,
    table_init,
    elem_drop,
};

fn status(result: Result<(), TrapCode>) -> u32 {
    match result {
        Ok(()) => 0,
        Err(code) => code.code(),
    }
}

fn memory_status(result: Option<()>) -> u32 {
    status(result.ok_or(TrapCode::MemoryOutOfBounds))
}

// SAFETY (of all functions below): compiled code passes the context of the instance that runs, which this thread has
// claimed, and indices that validation has checked. Definitions are used through raw pointers within one line each.

unsafe extern "C" fn memory_grow(context: *mut VmContext, index: u32, delta: u64) -> u64 {
    // SAFETY: see above.
    unsafe {
        let definition = VmInstance::from_context(context).memory(index);
        memory::grow((*context).store, definition, delta).to_builtin()
    }
}

unsafe extern "C" fn memory_copy(context: *mut VmContext, dst: u32, src: u32, to: u64, from: u64, len: u64) -> u32 {
    // SAFETY: see above.
    unsafe {
        let instance = VmInstance::from_context(context);
        memory_status(memory::copy(&*instance.memory(dst), &*instance.memory(src), to, from, len))
    }
}

unsafe extern "C" fn memory_fill(context: *mut VmContext, index: u32, to: u64, byte: u32, len: u64) -> u32 {
    // SAFETY: see above.
    unsafe { memory_status(memory::fill(&*VmInstance::from_context(context).memory(index), to, byte as u8, len)) }
}

unsafe extern "C" fn memory_init(
    context: *mut VmContext,
    index: u32,
    segment: u32,
    to: u64,
    from: u32,
    len: u32,
) -> u32 {
    // SAFETY: see above.
    let instance = unsafe { VmInstance::from_context(context) };
    let bytes = instance.data_segment(segment).get(from as usize..from as usize + len as usize);
    // SAFETY: see above; segment bytes are the module's, not guest memory.
    memory_status(bytes.and_then(|bytes| unsafe { memory::write(&*instance.memory(index), to, bytes) }))
}

unsafe extern "C" fn data_drop(context: *mut VmContext, segment: u32) {
    // SAFETY: see above.
    unsafe { VmInstance::from_context(context).drop_data_segment(segment) };
}

/// The result in the low half, or a trap code in the high half.
fn result_or_trap(result: Result<u32, TrapCode>) -> u64 {
    match result {
        Ok(value) => u64::from(value),
        Err(code) => u64::from(code.code()) << 32,
    }
}

unsafe extern "C" fn memory_atomic_notify(
    context: *mut VmContext,
    index: u32,
    address: u64,
    offset: u64,
    count: u32,
) -> u64 {
    // SAFETY: see above.
    result_or_trap(unsafe {
        let definition = VmInstance::from_context(context).memory(index);
        shared::notify(&*definition, address, offset, count)
    })
}

/// # Safety
///
/// See above. The thread may sleep for long: what it waits in belongs to its store all the time.
unsafe fn wait(
    context: *mut VmContext,
    index: u32,
    address: u64,
    offset: u64,
    expected: Expected,
    timeout: i64,
) -> u64 {
    let timeout = u64::try_from(timeout).ok().map(Duration::from_nanos);
    // SAFETY: see above.
    let result = unsafe {
        let definition = VmInstance::from_context(context).memory(index);
        shared::wait(&*definition, address, offset, expected, timeout)
    };
    result_or_trap(result.map(|result| result as u32))
}

unsafe extern "C" fn memory_atomic_wait32(
    context: *mut VmContext,
    index: u32,
    address: u64,
    offset: u64,
    expected: u32,
    timeout: i64,
) -> u64 {
    // SAFETY: see above.
    unsafe { wait(context, index, address, offset, Expected::Bits32(expected), timeout) }
}

unsafe extern "C" fn memory_atomic_wait64(
    context: *mut VmContext,
    index: u32,
    address: u64,
    offset: u64,
    expected: u64,
    timeout: i64,
) -> u64 {
    // SAFETY: see above.
    unsafe { wait(context, index, address, offset, Expected::Bits64(expected), timeout) }
}

unsafe extern "C" fn table_grow(context: *mut VmContext, index: u32, delta: u64, init: u64) -> u64 {
    // SAFETY: see above.
    unsafe {
        let definition = VmInstance::from_context(context).table(index);
        table::grow((*context).store, &mut *definition, delta, init).to_builtin()
    }
}

unsafe extern "C" fn table_fill(context: *mut VmContext, index: u32, to: u64, value: u64, len: u64) -> u32 {
    // SAFETY: see above.
    unsafe { status(table::fill(&mut *VmInstance::from_context(context).table(index), to, value, len)) }
}

unsafe extern "C" fn table_copy(context: *mut VmContext, dst: u32, src: u32, to: u64, from: u64, len: u64) -> u32 {
    // SAFETY: see above.
    unsafe {
        let instance = VmInstance::from_context(context);
        status(table::copy(instance.table(dst), instance.table(src), to, from, len))
    }
}

unsafe extern "C" fn table_init(
    context: *mut VmContext,
    index: u32,
    segment: u32,
    to: u64,
    from: u32,
    len: u32,
) -> u32 {
    // SAFETY: see above.
    status(unsafe { init_table(VmInstance::from_context(context), index, segment, to, from, len) })
}

unsafe extern "C" fn elem_drop(context: *mut VmContext, segment: u32) {
    // SAFETY: see above.
    unsafe { VmInstance::from_context(context).drop_element_segment(segment) };
}

/// `table.init`: copies `len` elements of a passive segment.
///
/// # Safety
///
/// The instance is claimed by this thread; indices are validated.
unsafe fn init_table(
    instance: &VmInstance,
    index: u32,
    segment: u32,
    to: u64,
    from: u32,
    len: u32,
) -> Result<(), TrapCode> {
    let module = instance.module().clone();
    let segment_decl = &module.info.element_segments[segment as usize];
    let available = if instance.element_segment_dropped(segment) { 0 } else { segment_decl.elements.len() };
    if from as usize + len as usize > available {
        return Err(TrapCode::TableOutOfBounds);
    }
    // SAFETY: passed on.
    unsafe { write_elements(instance, index, segment_decl, to, from as usize, len as usize) }
}

/// Writes `len` elements of a segment, starting with element `from`, to table `index` at `to`.
///
/// # Safety
///
/// As for [`init_table`]; `from + len` is at most the number of elements.
pub unsafe fn write_elements(
    instance: &VmInstance,
    index: u32,
    segment: &ElementSegment,
    to: u64,
    from: usize,
    len: usize,
) -> Result<(), TrapCode> {
    // SAFETY: the caller has claimed the instance; evaluation touches globals and function references, not the table.
    unsafe {
        let table = instance.table(index);
        match &segment.elements {
            Elements::Functions(list) => {
                let references = instance.references();
                let values = list[from..from + len].iter().map(|&place| references.element(place));
                table::write(&mut *table, to, values)
            }
            Elements::Expressions(list) => {
                let values = list[from..from + len].iter().map(|e| instance.evaluate_word(e));
                table::write(&mut *table, to, values)
            }
        }
    }
}
