//! A fresh instance per call: create, call, reset in one crossing.

use crate::errors::{ignore, report};
use crate::pre::{BYTES_FUNCS, FUNCS};
use crate::raw::{self, Out};
use instar::Result;

/// Calls a function in a fresh instance.
#[uniffi::export]
pub fn pre_call(func: u64, data: u64, slots: u64, n_slots: u64) -> u64 {
    report(|| {
        let slots = raw::slots(slots, n_slots)?;
        FUNCS.with(func, |func| func.pre.call_raw(data, &func.export, slots))
    })
}

/// Bytes in, bytes out, in a fresh instance.
#[uniffi::export]
#[allow(clippy::too_many_arguments, reason = "a C ABI without structs")]
pub fn pre_call_bytes(
    bytes_func: u64,
    data: u64,
    in_ptr: u64,
    in_len: u64,
    dst: u64,
    cap: u64,
    out_ptr: u64,
    out_len: u64,
) -> u64 {
    report(|| {
        let input = raw::bytes("the input", in_ptr, in_len)?;
        let answer = Answer::new(dst, cap, out_ptr, out_len)?;
        BYTES_FUNCS.with(bytes_func, |func| {
            answer.give(func.pre.call_bytes(data, &func.export, input)?);
            Ok(())
        })
    })
}

/// Where an answer goes: into the caller's buffer if it fits, else into one of ours.
pub(crate) struct Answer<'a> {
    dst: &'a mut [u8],
    out_ptr: Out,
    out_len: Out,
}

impl Answer<'_> {
    pub(crate) fn new(dst: u64, cap: u64, out_ptr: u64, out_len: u64) -> Result<Self> {
        Ok(Answer {
            dst: raw::bytes_mut("dst", dst, cap)?,
            out_ptr: Out::new("out_ptr", out_ptr)?,
            out_len: Out::new("out_len", out_len)?,
        })
    }

    pub(crate) fn give(self, answer: Vec<u8>) {
        self.out_len.write(answer.len() as u64);
        match self.dst.get_mut(..answer.len()) {
            Some(target) => {
                target.copy_from_slice(&answer);
                self.out_ptr.write(0);
            }
            None => {
                let buffer: *mut [u8] = Box::into_raw(answer.into_boxed_slice());
                self.out_ptr.write(buffer.cast::<u8>() as u64);
            }
        }
    }
}

/// Frees a buffer that Rust gave out.
#[uniffi::export]
pub fn buffer_free(ptr: u64, len: u64) {
    ignore(|| {
        if ptr != 0 {
            let buffer = std::ptr::slice_from_raw_parts_mut(ptr as *mut u8, len as usize);
            // SAFETY: the header asks for exactly the pair that a call gave out, once; `Answer::give` made it from a Box.
            drop(unsafe { Box::from_raw(buffer) });
        }
    });
}
