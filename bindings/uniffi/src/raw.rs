//! The only place that turns addresses from outside into slices, and results into bytes there.
//!
//! What can be checked is checked (null, alignment, lengths beyond the address space); the rest is the caller's word, as in C.

use instar::{Error, ErrorKind, Result};
use std::{ptr, slice, str};

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Type, message)
}

fn check(what: &str, address: u64, len: u64, size: u64) -> Result<()> {
    if address == 0 && len != 0 {
        return Err(wrong(format!("{what} is null, with length {len}")));
    }
    match len.checked_mul(size).and_then(|bytes| address.checked_add(bytes)) {
        Some(end) if end <= isize::MAX as u64 => Ok(()),
        _ => Err(wrong(format!("{what}: {len} elements at {address:#x} are beyond the address space"))),
    }
}

/// Bytes to read.
pub fn bytes<'a>(what: &str, address: u64, len: u64) -> Result<&'a [u8]> {
    check(what, address, len, 1)?;
    if len == 0 {
        return Ok(&[]);
    }
    // SAFETY: the header asks for `len` readable bytes for the length of the call; null and overflow are excluded.
    Ok(unsafe { slice::from_raw_parts(address as *const u8, len as usize) })
}

/// Bytes to write.
pub fn bytes_mut<'a>(what: &str, address: u64, len: u64) -> Result<&'a mut [u8]> {
    check(what, address, len, 1)?;
    if len == 0 {
        return Ok(&mut []);
    }
    // SAFETY: the header asks for `len` writable bytes that nobody else touches during the call.
    Ok(unsafe { slice::from_raw_parts_mut(address as *mut u8, len as usize) })
}

/// A name.
pub fn text<'a>(what: &str, address: u64, len: u64) -> Result<&'a str> {
    str::from_utf8(bytes(what, address, len)?).map_err(|error| wrong(format!("{what} is not UTF-8: {error}")))
}

/// Arguments and results of a guest's function.
#[inline]
pub fn slots<'a>(address: u64, len: u64) -> Result<&'a mut [u64]> {
    if len == 0 {
        return Ok(&mut []);
    }
    if !address.is_multiple_of(8) {
        return Err(wrong(format!("slots at {address:#x} are not aligned to 8 bytes")));
    }
    check("slots", address, len, 8)?;
    // SAFETY: aligned, not null; the header asks for `len` slots that nobody else touches during the call.
    Ok(unsafe { slice::from_raw_parts_mut(address as *mut u64, len as usize) })
}

/// A place for one result.
#[derive(Clone, Copy)]
pub struct Out(*mut u64);

impl Out {
    #[inline]
    pub fn new(what: &str, address: u64) -> Result<Out> {
        if address == 0 {
            return Err(wrong(format!("{what} is null")));
        }
        Ok(Out(address as *mut u64))
    }

    #[inline]
    pub fn write(self, value: u64) {
        // SAFETY: the header asks for a writable uint64_t; not null.
        unsafe { ptr::write_unaligned(self.0, value) }
    }
}

/// Copies as much of `text` as fits; gives its full length.
pub fn copy_text(text: &str, buf: u64, cap: u64) -> u64 {
    let fitting = text.len().min(usize::try_from(cap).unwrap_or(usize::MAX));
    if let Ok(target) = bytes_mut("buf", buf, fitting as u64) {
        target.copy_from_slice(&text.as_bytes()[..fitting]);
    }
    text.len() as u64
}
