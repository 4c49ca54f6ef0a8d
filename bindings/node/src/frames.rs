//! [`Frames`]: calls of JavaScript's `dispatch`, and the Node-API handles that they need and leave behind.

use std::cell::{Cell, RefCell};
use std::{mem, ptr};

use napi::sys;

/// Handles for the host calls of one native call: the guest may make millions before it returns.
///
/// The function and its `this` are handles of the native call's own scope, made for its first host call. What host calls leave
/// behind goes to a scope of ours, which is exchanged for a new one after [`Frame::CALLS`] calls: opening one for each
/// costs as much as the call.
#[derive(Clone, Copy)]
struct Frame {
    /// Which native call it belongs to; 0 for none.
    depth: u32,
    dispatcher: sys::napi_value,
    this: sys::napi_value,
    scope: sys::napi_handle_scope,
    calls: u32,
}

impl Frame {
    const CALLS: u32 = 64;
    const NONE: Frame =
        Frame { depth: 0, dispatcher: ptr::null_mut(), this: ptr::null_mut(), scope: ptr::null_mut(), calls: 0 };
}

/// The native calls that run, one inside the other, and their host calls.
pub struct Frames {
    env: sys::napi_env,
    /// `dispatch` of `lib/runtime.js`. Never deleted: it lives as long as the environment, which deletes it.
    dispatcher: sys::napi_ref,
    /// How many native calls run.
    depth: Cell<u32>,
    /// Of the innermost native call that made a host call.
    current: Cell<Frame>,
    outer: RefCell<Vec<Frame>>,
}

impl Frames {
    /// # Safety
    ///
    /// `env` and `dispatcher` are valid as long as the result is used, on the environment's thread and inside its calls.
    pub unsafe fn new(env: sys::napi_env, dispatcher: sys::napi_ref) -> Self {
        Frames { env, dispatcher, depth: Cell::new(0), current: Cell::new(Frame::NONE), outer: RefCell::default() }
    }

    pub fn env(&self) -> sys::napi_env {
        self.env
    }

    /// A native call begins.
    pub fn enter(&self) {
        self.depth.set(self.depth.get() + 1);
    }

    /// The native call ends.
    pub fn leave(&self) {
        if self.current.get().depth == self.depth.get() {
            self.leave_frame();
        }
        self.depth.set(self.depth.get() - 1);
    }

    #[cold]
    fn leave_frame(&self) {
        let outer = self.outer.borrow_mut().pop().unwrap_or(Frame::NONE);
        self.close_scope(self.current.replace(outer).scope);
    }

    fn close_scope(&self, scope: sys::napi_handle_scope) {
        if !scope.is_null() {
            // SAFETY: opened by `next_frame`, closed once: whoever calls this takes it out of the frame. Innermost, since
            // native calls nest and close their own.
            unsafe { sys::napi_close_handle_scope(self.env, scope) };
        }
    }

    /// The frame for one more host call, with handles that are alive during it.
    fn next_frame(&self) -> Result<Frame, sys::napi_status> {
        let (env, depth, mut frame) = (self.env, self.depth.get(), self.current.get());
        if frame.depth == depth && frame.calls < Frame::CALLS {
            frame.calls += 1;
            self.current.set(frame);
            return Ok(frame);
        }
        if frame.depth != depth {
            self.outer.borrow_mut().push(frame);
            frame = Frame { depth, ..Frame::NONE };
            // SAFETY: `new` promises that the reference is valid; a plain out pointer.
            unsafe { sys::napi_get_reference_value(env, self.dispatcher, &mut frame.dispatcher) };
            // SAFETY: a plain out pointer.
            unsafe { sys::napi_get_undefined(env, &mut frame.this) };
        }
        self.close_scope(mem::replace(&mut frame.scope, ptr::null_mut()));
        // A frame without a scope gets one at the next call.
        frame.calls = Frame::CALLS;
        // SAFETY: the environment's thread, inside a call from JavaScript; a plain out pointer.
        let opened = unsafe { sys::napi_open_handle_scope(env, &mut frame.scope) };
        if opened == sys::Status::napi_ok {
            frame.calls = 1;
        }
        self.current.set(frame);
        if opened == sys::Status::napi_ok { Ok(frame) } else { Err(opened) }
    }

    /// Calls `dispatch`.
    ///
    /// # Errors
    ///
    /// The status, when it threw or cannot be called.
    pub fn dispatch(&self) -> Result<(), sys::napi_status> {
        let frame = self.next_frame()?;
        let mut result = ptr::null_mut();
        // SAFETY: both handles are alive (see `Frame`); no arguments.
        let status =
            unsafe { sys::napi_call_function(self.env, frame.this, frame.dispatcher, 0, ptr::null(), &mut result) };
        if status == sys::Status::napi_ok { Ok(()) } else { Err(status) }
    }
}
