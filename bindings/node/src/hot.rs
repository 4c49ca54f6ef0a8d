//! What runs for every request: one raw Node-API function without arguments, which runs the [`Operation`] that the shared
//! slots select.
//!
//! One function for all, because V8 calls a function that it knows in 9 ns and any other in 21 ns (and making one costs
//! 1.2 µs): every place in `lib/` that crosses knows this one.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use instar::{
    BytesFunc, Claim, Engine, Error, ErrorKind, ExportFunc, ExportMemory, InstancePre, Result, SharedInstance,
};
use napi::{Status, sys};

use crate::failure::guard;
use crate::slots::{self, SCRATCH_BYTES};
use crate::state::State;

/// Something to do, made once per InstancePre, or once per export of one.
pub trait Operation: 'static {
    /// Takes its arguments from the state's slots and leaves its results there.
    fn run(&self, state: &State, arguments: &Arguments) -> Result<()>;
}

/// The JavaScript arguments of the running call: at most one byte array, for data that does not fit the scratch area.
pub struct Arguments {
    env: sys::napi_env,
    info: sys::napi_callback_info,
}

impl Arguments {
    /// Runs `body` on the `len` bytes to read or write: the scratch area if they fit, else the array that was passed.
    ///
    /// `body` must not call into JavaScript.
    pub fn with_bytes<R>(&self, state: &State, len: u64, body: impl FnOnce(&mut [u8]) -> Result<R>) -> Result<R> {
        if len <= SCRATCH_BYTES as u64 {
            // SAFETY: `body` runs no JavaScript and gets the only slice.
            return body(unsafe { state.slots.scratch(len as usize) });
        }
        let (mut count, mut array) = (1, ptr::null_mut());
        // SAFETY: env and info belong to the running call; there is room for one argument.
        unsafe { sys::napi_get_cb_info(self.env, self.info, &mut count, &mut array, ptr::null_mut(), ptr::null_mut()) };
        let (mut kind, mut size, mut data) = (0, 0, ptr::null_mut());
        // SAFETY: the handle is alive during the call; plain out pointers. Anything but a typed array is an error status.
        let status = unsafe {
            sys::napi_get_typedarray_info(
                self.env,
                array,
                &mut kind,
                &mut size,
                &mut data,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        let is_bytes = status == sys::Status::napi_ok && kind == sys::TypedarrayType::uint8_array;
        if !is_bytes || size as u64 != len {
            return Err(Error::new(ErrorKind::Bug, "no Uint8Array of the announced length"));
        }
        // SAFETY: the array's memory, which cannot be detached or moved while no JavaScript runs. lib/*.js passes only
        // arrays that no other thread shares, so the slice is the only access.
        body(unsafe { std::slice::from_raw_parts_mut(data.cast(), size) })
    }
}

/// Makes the function that runs operations.
pub fn runner(env: sys::napi_env, state: Arc<State>) -> napi::Result<sys::napi_value> {
    let (name, mut function) = (c"run", ptr::null_mut());
    let data = Arc::into_raw(state).cast_mut().cast::<c_void>();
    // SAFETY: the name ends with a zero; `data` is what `callback` expects and lives until `finalize`.
    let status =
        unsafe { sys::napi_create_function(env, name.as_ptr(), NAPI_AUTO_LENGTH, Some(callback), data, &mut function) };
    check(status, "napi_create_function")?;
    // SAFETY: the finalizer runs once, after the last call of the function.
    let status =
        unsafe { sys::napi_add_finalizer(env, function, data, Some(finalize), ptr::null_mut(), ptr::null_mut()) };
    check(status, "napi_add_finalizer")?;
    Ok(function)
}

const NAPI_AUTO_LENGTH: isize = -1;

pub fn check(status: sys::napi_status, what: &str) -> napi::Result<()> {
    if status == sys::Status::napi_ok {
        return Ok(());
    }
    Err(napi::Error::new(Status::from(status), format!("{what} failed")))
}

unsafe extern "C" fn callback(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    let mut data = ptr::null_mut();
    // SAFETY: called by Node with its own env and info; null means that we do not want to know.
    unsafe { sys::napi_get_cb_info(env, info, ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), &mut data) };
    // SAFETY: `runner` set it, and the function is alive during its call.
    let state = unsafe { &*data.cast::<State>() };
    state.frames.enter();
    let done = guard(|| state.selected()?.run(state, &Arguments { env, info }));
    state.frames.leave();
    if let Err(error) = done {
        state.fail(error);
    }
    // A null handle is `undefined`.
    ptr::null_mut()
}

unsafe extern "C" fn finalize(_: sys::napi_env, data: *mut c_void, _: *mut c_void) {
    // SAFETY: `runner` made it from an Arc; the finalizer runs once.
    drop(unsafe { Arc::from_raw(data.cast::<State>()) });
}

/// Runs `body` on a copy of the first `count` words of ARGS and copies them back: a nested call uses the same slots.
pub fn with_slots(state: &State, count: usize, body: impl FnOnce(&mut [u64]) -> Result<()>) -> Result<()> {
    const FEW: usize = 8;
    let (mut few, mut many);
    let values = if count <= FEW {
        few = [0; FEW];
        &mut few[..count]
    } else {
        many = vec![0; count];
        &mut many[..]
    };
    state.slots.read_args(values);
    body(values)?;
    state.slots.write_args(values);
    Ok(())
}

/// Takes the instance that CELL and ID name.
fn claim<'a>(state: &State, pre: &'a InstancePre<()>) -> Result<Claim<'a, ()>> {
    // SAFETY: the two words were written by `Instantiate` and only copied since (lib/instance.js keeps them in private
    // fields), and an instance runs only operations of its own pre, which keeps the engine alive.
    unsafe { SharedInstance::enter_raw(pre, state.slots.word(slots::CELL), state.slots.word(slots::ID)) }
}

/// `pre.instantiate()`: CELL and ID name the new instance.
pub struct Instantiate(pub InstancePre<()>);

impl Operation for Instantiate {
    fn run(&self, state: &State, _: &Arguments) -> Result<()> {
        let (cell, id) = self.0.shared_raw(())?;
        // Not the bits of a NaN, which JavaScript may change when it copies a double.
        debug_assert!(!f64::from_bits(cell).is_nan() && !f64::from_bits(id).is_nan());
        state.slots.set_word(slots::CELL, cell);
        state.slots.set_word(slots::ID, id);
        Ok(())
    }
}

/// `instance.close()`.
pub struct Close {
    /// Keeps the cell alive.
    pub _engine: Engine,
}

impl Operation for Close {
    fn run(&self, state: &State, _: &Arguments) -> Result<()> {
        // SAFETY: as in `claim`.
        unsafe { SharedInstance::<()>::close_raw(state.slots.word(slots::CELL), state.slots.word(slots::ID)) }
    }
}

/// The garbage collector found an instance that nobody closed.
pub struct Abandon(pub Engine);

impl Operation for Abandon {
    fn run(&self, state: &State, _: &Arguments) -> Result<()> {
        let (cell, id) = (state.slots.word(slots::CELL), state.slots.word(slots::ID));
        // SAFETY: as in `claim`.
        unsafe { SharedInstance::<()>::abandon_raw(&self.0, cell, id) };
        Ok(())
    }
}

/// `instance.exports.name(…)`.
pub struct Call {
    pre: InstancePre<()>,
    func: ExportFunc,
    slots: usize,
}

impl Call {
    pub fn new(pre: InstancePre<()>, name: &str) -> Result<Self> {
        let func = pre.func(name)?;
        Ok(Call { slots: func.ty().slots(), func, pre })
    }
}

impl Operation for Call {
    fn run(&self, state: &State, _: &Arguments) -> Result<()> {
        with_slots(state, self.slots, |values| claim(state, &self.pre)?.call_raw(&self.func, values))
    }
}

/// `pre.func(name)(…)`: fresh instance, call, reset.
pub struct CallFresh(pub Call);

impl Operation for CallFresh {
    fn run(&self, state: &State, _: &Arguments) -> Result<()> {
        let Call { pre, func, slots } = &self.0;
        with_slots(state, *slots, |values| pre.call_raw((), func, values))
    }
}

/// `instance.callBytes(name, input)`.
pub struct CallBytes {
    pre: InstancePre<()>,
    func: BytesFunc,
    /// The guest can call JavaScript, which could change the input under core's eyes: give core a copy.
    copies_input: bool,
}

impl CallBytes {
    pub fn new(pre: InstancePre<()>, name: &str) -> Result<Self> {
        let func = pre.bytes_func(name)?;
        let copies_input = pre.module().imports().next().is_some();
        Ok(CallBytes { pre, func, copies_input })
    }

    fn with_input(
        &self,
        state: &State,
        arguments: &Arguments,
        call: impl FnOnce(&[u8]) -> Result<Vec<u8>>,
    ) -> Result<()> {
        let len = state.slots.size(slots::LENGTH);
        let output = if self.copies_input {
            let copy = arguments.with_bytes(state, len, |bytes| Ok(bytes.to_vec()))?;
            call(&copy)?
        } else {
            arguments.with_bytes(state, len, |bytes| call(bytes))?
        };
        state.slots.set_size(slots::LENGTH, output.len() as u64);
        if output.len() <= SCRATCH_BYTES {
            // SAFETY: no JavaScript runs; the input's slice is gone.
            unsafe { state.slots.scratch(output.len()) }.copy_from_slice(&output);
        } else {
            state.set_output(output);
        }
        Ok(())
    }
}

impl Operation for CallBytes {
    fn run(&self, state: &State, arguments: &Arguments) -> Result<()> {
        self.with_input(state, arguments, |input| claim(state, &self.pre)?.call_bytes(&self.func, input))
    }
}

/// `pre.callBytes(name, input)`: fresh instance, call, reset.
pub struct CallBytesFresh(pub CallBytes);

impl Operation for CallBytesFresh {
    fn run(&self, state: &State, arguments: &Arguments) -> Result<()> {
        let call = &self.0;
        call.with_input(state, arguments, |input| call.pre.call_bytes((), &call.func, input))
    }
}

/// `instance.memory(name)`: size, read, write, grow, as SELECT says.
pub struct InstanceMemory {
    pub pre: InstancePre<()>,
    pub memory: ExportMemory,
}

impl Operation for InstanceMemory {
    fn run(&self, state: &State, arguments: &Arguments) -> Result<()> {
        let mut claim = claim(state, &self.pre)?;
        let (address, len) = (state.slots.size(slots::ADDRESS), state.slots.size(slots::LENGTH));
        match state.slots.int(slots::SELECT) {
            slots::MEMORY_SIZE => state.slots.set_size(slots::LENGTH, claim.memory_size(&self.memory)?),
            slots::MEMORY_READ => {
                arguments.with_bytes(state, len, |bytes| claim.memory_read(&self.memory, address, bytes))?;
            }
            slots::MEMORY_WRITE => {
                arguments.with_bytes(state, len, |bytes| claim.memory_write(&self.memory, address, bytes))?;
            }
            slots::MEMORY_GROW => state.slots.set_size(slots::LENGTH, claim.memory_grow(&self.memory, address)?),
            other => return Err(Error::new(ErrorKind::Bug, format!("memory operation {other}"))),
        }
        Ok(())
    }
}

/// Copies the output of a bytes call that did not fit the scratch area into the array that was passed.
pub struct TakeOutput;

impl Operation for TakeOutput {
    fn run(&self, state: &State, arguments: &Arguments) -> Result<()> {
        let output = state.take_output();
        arguments.with_bytes(state, output.len() as u64, |bytes| {
            bytes.copy_from_slice(&output);
            Ok(())
        })
    }
}
