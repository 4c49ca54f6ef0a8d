//! [`State`]: what the functions of one environment (the main thread's or a worker's) share.

use std::cell::{Cell, RefCell};
use std::ptr;
use std::rc::Rc;
use std::thread::{self, ThreadId};

use instar::{Caller, Error, Result};
use napi::sys;

use crate::failure::{Thrown, encode};
use crate::frames::Frames;
use crate::hot::Operation;
use crate::slots::{self, Slots};
use crate::ticket::Operations;

/// One per environment; lives in an `Arc` because host functions and native functions outlive each other in any order.
pub struct State {
    pub slots: Slots,
    pub frames: Frames,
    thread: ThreadId,
    /// The host call that runs now, or null. Points to a `Caller` on the stack of [`State::call_host`].
    caller: Cell<*mut Caller<'static, ()>>,
    /// The error behind [`slots::FAILED`].
    error: RefCell<Option<Error>>,
    /// An exception that came out of `dispatch` itself (the JavaScript stack overflowed before its `try`), or null.
    escaped: Cell<sys::napi_ref>,
    /// Output of a bytes call that is too long for the scratch area, until JavaScript has a place for it.
    output: RefCell<Vec<u8>>,
    /// What [`slots::ENTRY`] selects from.
    operations: RefCell<Operations>,
}

// SAFETY: host functions must be Send + Sync for core, and hold a `State`. Every access happens on the thread of the
// environment: engines, modules, linkers and pres are `External`s of one environment and cannot be handed to another
// thread, and `Module.compile`, the only work on another thread, calls no host function. `on_thread` checks it.
unsafe impl Send for State {}
// SAFETY: as above.
unsafe impl Sync for State {}

impl State {
    /// # Safety
    ///
    /// This is the environment's thread, and the state is used on it only.
    pub unsafe fn new(frames: Frames, slots: Slots) -> Self {
        State {
            slots,
            frames,
            thread: thread::current().id(),
            caller: Cell::new(ptr::null_mut()),
            error: RefCell::new(None),
            escaped: Cell::new(ptr::null_mut()),
            output: RefCell::new(Vec::new()),
            operations: RefCell::default(),
        }
    }

    /// Records why a native function failed.
    pub fn fail(&self, error: Error) {
        if error.downcast_ref::<Thrown>().is_some() {
            self.slots.set_int(slots::STATUS, slots::THROWN);
        } else {
            self.error.replace(Some(error));
            self.slots.set_int(slots::STATUS, slots::FAILED);
        }
    }

    /// The text of the error that [`State::fail`] recorded.
    pub fn take_error(&self) -> Option<String> {
        self.error.take().map(|error| encode(&error))
    }

    pub fn set_output(&self, output: Vec<u8>) {
        self.output.replace(output);
    }

    pub fn take_output(&self) -> Vec<u8> {
        self.output.take()
    }

    /// The operation that [`slots::ENTRY`] selects. Shared, because the garbage collector may free the place while it runs.
    pub fn selected(&self) -> Result<Rc<dyn Operation>> {
        self.operations.borrow().operation(self.slots.int(slots::ENTRY))
    }

    pub fn operations(&self) -> &RefCell<Operations> {
        self.on_thread();
        &self.operations
    }

    /// Calls the host function with this index: JavaScript finds parameters in ARGS and leaves results there.
    pub fn call_host(&self, index: u32, mut caller: Caller<'_, ()>) -> Result<()> {
        self.on_thread();
        self.slots.set_int(slots::SELECT, index as i32);
        let outer = self.caller.replace((&raw mut caller).cast());
        let outcome = self.dispatch();
        self.caller.set(outer);
        outcome
    }

    /// Runs `body` on the innermost host call's caller; `None` if no host call runs or it is in a call of its own.
    pub fn with_caller<R>(&self, body: impl FnOnce(&mut Caller<'static, ()>) -> R) -> Option<R> {
        self.on_thread();
        let caller = self.caller.replace(ptr::null_mut());
        if caller.is_null() {
            return None;
        }
        // SAFETY: `call_host` put it here and takes it away before its `Caller` dies; nobody else has a reference to it,
        // since it is null until `body` is done; and `body` cannot keep a reference of unknown lifetime.
        let result = body(unsafe { &mut *caller });
        self.caller.set(caller);
        Some(result)
    }

    fn on_thread(&self) {
        debug_assert_eq!(self.thread, thread::current().id(), "the environment of another thread");
    }

    fn dispatch(&self) -> Result<()> {
        let called = self.frames.dispatch();
        if called.is_ok() && self.slots.int(slots::STATUS) == 0 {
            return Ok(());
        }
        if called.is_err() {
            self.keep_escaped();
        }
        self.slots.set_int(slots::STATUS, 0);
        Err(Error::host(Thrown))
    }

    /// Moves the pending exception to `escaped`. A worker that is being terminated has none that could be kept.
    fn keep_escaped(&self) {
        let (mut exception, mut reference) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: a plain out pointer, on the environment's thread.
        let status = unsafe { sys::napi_get_and_clear_last_exception(self.frames.env(), &mut exception) };
        if status != sys::Status::napi_ok {
            return;
        }
        // SAFETY: the exception is alive in the current scope. Not an object (it always is one: a RangeError): no reference.
        let status = unsafe { sys::napi_create_reference(self.frames.env(), exception, 1, &mut reference) };
        if status == sys::Status::napi_ok {
            self.escaped.set(reference);
        }
    }

    /// The exception that escaped, as a handle in the current scope.
    pub fn take_escaped(&self) -> Option<sys::napi_value> {
        let reference = self.escaped.replace(ptr::null_mut());
        if reference.is_null() {
            return None;
        }
        let mut exception = ptr::null_mut();
        // SAFETY: a strong reference of ours.
        unsafe { sys::napi_get_reference_value(self.frames.env(), reference, &mut exception) };
        // SAFETY: deleted once; the handle keeps the exception alive.
        unsafe { sys::napi_delete_reference(self.frames.env(), reference) };
        Some(exception)
    }
}
