//! [`Guest`]: the calling instance as WASI functions see it, without the embedder's type.
//!
//! Every pointer and length comes from the guest. A range that does not lie in its memory is `EFAULT`; so is any range when
//! it exports no memory. Nothing is allocated by a guest's count.

use std::ops::Range;

use super::context::WasiCtx;
use super::types::Errno;
use crate::{Caller, Memory};

/// The memory and the context of the caller. Each method borrows both, since host data may hold the context anywhere.
pub(super) trait Guest {
    /// The context.
    fn context(&mut self) -> &mut WasiCtx;
    /// All of memory, to read.
    fn bytes(&mut self) -> (&[u8], &mut WasiCtx);
    /// A part of memory, to write: all of it counts as written.
    fn bytes_mut(&mut self, at: u32, len: u32) -> Result<(&mut [u8], &mut WasiCtx), Errno>;
}

/// A [`Guest`] out of a [`Caller`] and the embedder's way from its data to the context.
pub(super) struct Call<'a, 'c, T: 'static, F> {
    caller: Caller<'a, T>,
    context: &'c F,
    memory: Option<Memory>,
}

impl<'a, 'c, T: 'static, F: Fn(&mut T) -> &mut WasiCtx> Call<'a, 'c, T, F> {
    pub(super) fn new(mut caller: Caller<'a, T>, context: &'c F) -> Self {
        let memory = caller.memory("memory");
        Call { caller, context, memory }
    }
}

impl<T: 'static, F: Fn(&mut T) -> &mut WasiCtx> Guest for Call<'_, '_, T, F> {
    fn context(&mut self) -> &mut WasiCtx {
        (self.context)(self.caller.data_mut())
    }

    fn bytes(&mut self) -> (&[u8], &mut WasiCtx) {
        // A memory that cannot be viewed, a shared one say, is as good as none.
        match self.memory.filter(|memory| memory.data(&self.caller).is_ok()) {
            Some(memory) => {
                let (bytes, data) = memory.data_and_store(&mut self.caller).expect("it was viewed just now");
                (bytes, (self.context)(data))
            }
            None => (&[], self.context()),
        }
    }

    fn bytes_mut(&mut self, at: u32, len: u32) -> Result<(&mut [u8], &mut WasiCtx), Errno> {
        let memory = self.memory.ok_or(Errno::Fault)?;
        let range = u64::from(at)..u64::from(at) + u64::from(len);
        let (bytes, data) = memory.slice_mut_and_store(&mut self.caller, range).map_err(|_| Errno::Fault)?;
        Ok((bytes, (self.context)(data)))
    }
}

/// The bytes of a range, or `EFAULT`.
pub(super) fn part(memory: &[u8], at: u32, len: u32) -> Result<&[u8], Errno> {
    let start = at as usize;
    memory.get(start..start + len as usize).ok_or(Errno::Fault)
}

/// A path of a guest.
pub(super) fn path(memory: &[u8], at: u32, len: u32) -> Result<&str, Errno> {
    /// More than any host takes, and little enough to walk.
    const LONGEST: u32 = 4096;
    let bytes = part(memory, at, len)?;
    if len > LONGEST {
        return Err(Errno::Nametoolong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Errno::Ilseq)?;
    match text {
        "" => Err(Errno::Noent),
        text if text.contains('\0') => Err(Errno::Inval),
        text => Ok(text),
    }
}

/// A list of `iovec`s or `ciovec`s: pairs of address and length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vectors {
    at: u32,
    count: u32,
}

impl Vectors {
    const ENTRY_BYTES: u32 = 8;
    /// `IOV_MAX` of wasi-libc and of Linux.
    const MOST: u32 = 1024;

    /// # Errors
    ///
    /// `EINVAL` for more than 1024; `EFAULT` if the list, or a range in it, does not lie in memory.
    pub(super) fn new(memory: &[u8], at: u32, count: u32) -> Result<Self, Errno> {
        if count > Self::MOST {
            return Err(Errno::Inval);
        }
        let vectors = Vectors { at, count };
        for index in vectors.indices() {
            vectors.bytes(memory, index)?;
        }
        Ok(vectors)
    }

    pub(super) fn indices(self) -> Range<u32> {
        0..self.count
    }

    /// Address and length of a range. Read when it is used: a guest may let its list overlap what is read into it.
    pub(super) fn range(self, memory: &[u8], index: u32) -> Result<(u32, u32), Errno> {
        let at = u64::from(self.at) + u64::from(index) * u64::from(Self::ENTRY_BYTES);
        let entry = part(memory, u32::try_from(at).map_err(|_| Errno::Fault)?, Self::ENTRY_BYTES)?;
        let word = |i: usize| u32::from_le_bytes(entry[i..i + 4].try_into().expect("4 bytes"));
        Ok((word(0), word(4)))
    }

    /// The bytes of a range.
    pub(super) fn bytes(self, memory: &[u8], index: u32) -> Result<&[u8], Errno> {
        let (at, len) = self.range(memory, index)?;
        part(memory, at, len)
    }
}

impl dyn Guest + '_ {
    /// Checks that a result can be written before anything is done that could not be undone.
    pub(super) fn check(&mut self, at: u32, len: u32) -> Result<(), Errno> {
        part(self.bytes().0, at, len).map(drop)
    }

    pub(super) fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Errno> {
        let len = u32::try_from(bytes.len()).map_err(|_| Errno::Fault)?;
        self.bytes_mut(at, len)?.0.copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn write_u32(&mut self, at: u32, value: u32) -> Result<(), Errno> {
        self.write(at, &value.to_le_bytes())
    }

    pub(super) fn write_u64(&mut self, at: u32, value: u64) -> Result<(), Errno> {
        self.write(at, &value.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_outside_memory_are_faults() {
        let memory = [7u8; 16];
        assert_eq!(part(&memory, 16, 0), Ok(&[][..]));
        assert_eq!(part(&memory, 8, 8).unwrap().len(), 8);
        for (at, len) in [(17, 0), (8, 9), (u32::MAX, 1), (u32::MAX, u32::MAX), (0, u32::MAX)] {
            assert_eq!(part(&memory, at, len), Err(Errno::Fault), "{at} {len}");
        }
    }

    #[test]
    fn lists_of_vectors_are_bounded_and_checked() {
        let mut memory = [0u8; 64];
        memory[0..8].copy_from_slice(&[32, 0, 0, 0, 32, 0, 0, 0]);
        memory[8..16].copy_from_slice(&[33, 0, 0, 0, 32, 0, 0, 0]);
        assert!(Vectors::new(&memory, 0, 1).is_ok());
        assert_eq!(Vectors::new(&memory, 0, 2).unwrap_err(), Errno::Fault);
        assert_eq!(Vectors::new(&memory, 60, 1).unwrap_err(), Errno::Fault);
        assert_eq!(Vectors::new(&memory, u32::MAX, 2).unwrap_err(), Errno::Fault);
        assert_eq!(Vectors::new(&memory, 0, 1025).unwrap_err(), Errno::Inval);
        assert_eq!(Vectors::new(&memory, 16, 6).unwrap().indices(), 0..6);
    }

    #[test]
    fn paths_are_text_without_nul() {
        assert_eq!(path(b"a/b", 0, 3), Ok("a/b"));
        assert_eq!(path(b"a\0b", 0, 3), Err(Errno::Inval));
        assert_eq!(path(b"\xff", 0, 1), Err(Errno::Ilseq));
        assert_eq!(path(b"", 0, 0), Err(Errno::Noent));
        assert_eq!(path(&[b'a'; 5000], 0, 4097), Err(Errno::Nametoolong));
    }
}
