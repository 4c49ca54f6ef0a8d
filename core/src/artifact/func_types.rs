//! Function types as bytes: as artifacts hold them, and as the keys by which an engine knows its types.
//!
//! ```text
//!   number of parameters, their types, number of results, their types
//!   value type   0 i32  1 i64  2 f32  3 f64  4 v128  5 reference  6 reference or null
//!                after 5 and 6: 0 func, 1 extern, or 2 + what the reference mentions
//! ```
//!
//! All of these are LEB128, so that a type which mentions no other one has a byte for each. Such a type is *plain*: its
//! bytes say the same in every module and engine, and are found in the engine's types as they lie in the file.

use super::declarations::{Decoder, Encoder};
use super::info::FuncType;
use crate::error::{Result, error};

/// A function type of an artifact.
#[derive(Debug)]
pub enum Packed<'a> {
    /// The only bytes of a type that mentions no other.
    Plain(&'a [u8]),
    /// Any type. Concrete references mention indices of the module.
    Other(FuncType),
}

/// The function types of an artifact, in order; decoded one by one, so that each may turn out to be damaged.
#[derive(Clone, Debug)]
pub struct PackedTypes<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> PackedTypes<'a> {
    /// `count` types in `bytes`.
    ///
    /// # Errors
    ///
    /// `Artifact` when there cannot be as many.
    pub fn new(bytes: &'a [u8], count: usize) -> Result<Self> {
        // A type has two bytes at least; who reads the types may allocate for as many.
        match count.checked_mul(2) {
            Some(least) if least <= bytes.len() => Ok(PackedTypes { rest: bytes, left: count }),
            _ => Err(error!(Artifact, "the artifact is damaged: {count} types in {} bytes", bytes.len())),
        }
    }

    fn take(&mut self) -> Result<Packed<'a>> {
        if let Some(len) = plain(self.rest) {
            let (bytes, rest) = self.rest.split_at(len);
            self.rest = rest;
            return Ok(Packed::Plain(bytes));
        }
        let mut decoder = Decoder(self.rest);
        let ty = decoder.func_type()?;
        self.rest = decoder.0;
        Ok(Packed::Other(ty))
    }
}

impl<'a> Iterator for PackedTypes<'a> {
    type Item = Result<Packed<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(self.take())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for PackedTypes<'_> {}

/// Length of the type that the bytes start with, if it is plain.
fn plain(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    for _ in 0..2 {
        let count = *bytes.get(at).filter(|&&count| count < 0x80)?;
        at += 1;
        for _ in 0..count {
            at += match (*bytes.get(at)?, bytes.get(at + 1)) {
                (0..=4, _) => 1,
                (5 | 6, Some(0 | 1)) => 2,
                _ => return None,
            };
        }
    }
    Some(at)
}

/// Appends a type.
pub fn pack(ty: &FuncType, to: &mut Vec<u8>) {
    let mut encoder = Encoder(std::mem::take(to));
    encoder.func_type(ty);
    *to = encoder.0;
}

/// The type of bytes that [`pack`] made, or that are [`Packed::Plain`].
///
/// # Errors
///
/// None for such bytes.
pub fn unpack(bytes: &[u8]) -> Result<FuncType> {
    Decoder(bytes).func_type()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::info::{HeapType, RefType, ValType};

    fn to(index: u32) -> ValType {
        ValType::Ref(RefType { nullable: true, heap: HeapType::Concrete(index) })
    }

    #[test]
    fn types_come_back_as_they_were_packed_and_plain_ones_as_their_bytes() {
        let all = [ValType::I32, ValType::I64, ValType::F32, ValType::F64, ValType::V128, ValType::FUNCREF];
        let types = [
            FuncType::new([], []),
            FuncType::new(all, [ValType::EXTERNREF, ValType::I64]),
            FuncType::new([to(0), ValType::I32], [to(500)]),
            FuncType::new(vec![ValType::F32; 127], []),
            FuncType::new(vec![ValType::F32; 128], []),
        ];
        let mut bytes = Vec::new();
        types.iter().for_each(|ty| pack(ty, &mut bytes));
        let mut seen = Vec::new();
        for ty in PackedTypes::new(&bytes, types.len()).unwrap() {
            seen.push(match ty.unwrap() {
                Packed::Plain(bytes) => (true, unpack(bytes).unwrap()),
                Packed::Other(ty) => (false, ty),
            });
        }
        let plain = [true, true, false, true, false];
        assert_eq!(seen, plain.into_iter().zip(types).collect::<Vec<_>>());
    }

    #[test]
    fn another_way_to_write_a_number_does_not_pass_for_a_plain_type() {
        // One parameter of type i32; the one, the i32 and the `func` of a reference are written with a byte too many.
        for bytes in [&[0x81, 0, 0, 0][..], &[1, 0x80, 0, 0], &[1, 6, 0x80, 0, 0]] {
            assert!(matches!(PackedTypes::new(bytes, 1).unwrap().next(), Some(Ok(Packed::Other(_)))), "{bytes:?}");
        }
    }

    #[test]
    fn damaged_types_are_errors() {
        assert!(PackedTypes::new(&[0, 0, 0], 2).is_err());
        assert!(PackedTypes::new(&[0, 0, 0], usize::MAX).is_err());
        for bytes in [&[1, 0][..], &[9, 0], &[0, 1, 7], &[1, 6], &[0, 0xff], &[1, 5, 2, 1]] {
            assert!(PackedTypes::new(bytes, 1).unwrap().next().unwrap().is_err(), "{bytes:?}");
        }
    }
}
