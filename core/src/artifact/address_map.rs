//! The address map: which wasm instruction an address of the code comes from.
//!
//! Each function has a run of entries, in order; an entry holds for the code from its offset up to the next entry's:
//!
//! ```text
//!   (offset - previous offset) << 1 | known      LEB128
//!   zigzag(wasm offset - last known one)         LEB128, if known
//! ```
//!
//! Offsets count from the function's start, the last known wasm offset from 0, so that functions are compiled and looked up
//! by themselves. An entry takes 2 or 3 bytes.

use crate::artifact::words::{Blob, Words};

/// Entries of all functions that a module defines.
#[derive(Clone, Debug, Default)]
pub struct AddressMap {
    /// Where in `entries` those of each function end.
    pub ends: Words,
    pub entries: Blob,
}

/// Writes the entries of one function: (offset, wasm offset), ascending.
pub fn encode(entries: impl Iterator<Item = (u32, Option<u32>)>) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut last_offset, mut last_wasm, mut last) = (0, 0, None);
    for (offset, wasm) in entries {
        if last == Some(wasm) {
            continue;
        }
        leb(&mut out, u64::from(offset - last_offset) << 1 | u64::from(wasm.is_some()));
        if let Some(wasm) = wasm {
            let delta = i64::from(wasm) - i64::from(last_wasm);
            leb(&mut out, (delta << 1 ^ delta >> 63) as u64);
            last_wasm = wasm;
        }
        (last_offset, last) = (offset, Some(wasm));
    }
    out
}

/// The entries of a function whose code now starts `by` bytes earlier.
#[cfg_attr(not(feature = "compile"), expect(dead_code, reason = "artifacts are written by the compiler only"))]
pub fn moved(entries: &[u8], by: u32) -> Vec<u8> {
    encode(Entries { rest: entries, offset: 0, wasm: 0 }.map(|(offset, wasm)| (offset + by, wasm)))
}

fn leb(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

impl AddressMap {
    /// Entries of the `index`-th function that the module defines: (offset in the function, wasm offset), ascending.
    pub fn function(&self, index: usize) -> impl Iterator<Item = (u32, Option<u32>)> + use<'_> {
        let start = index.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let range = start.zip(self.ends.get(index).copied());
        let entries = range.and_then(|(start, end)| self.entries.get(start as usize..end as usize)).unwrap_or_default();
        Entries { rest: entries, offset: 0, wasm: 0 }
    }

    /// Where in the wasm binary the instruction at `offset` of a function comes from. What is of no instruction is the check
    /// of the stack, which goes with the first one that has code.
    pub fn find(&self, index: usize, offset: u32) -> Option<u32> {
        let (mut first, mut found) = (None, None);
        for (start, wasm) in self.function(index) {
            if start > offset && first.is_some() {
                break;
            }
            first = first.or(wasm);
            found = if start <= offset { wasm } else { None };
        }
        found.or(first)
    }
}

/// Ends early when the bytes are damaged.
struct Entries<'a> {
    rest: &'a [u8],
    offset: u32,
    wasm: u32,
}

impl Entries<'_> {
    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

impl Iterator for Entries<'_> {
    type Item = (u32, Option<u32>);

    fn next(&mut self) -> Option<Self::Item> {
        let head = self.number()?;
        self.offset = self.offset.checked_add(u32::try_from(head >> 1).ok()?)?;
        if head & 1 == 0 {
            return Some((self.offset, None));
        }
        let zigzag = self.number()?;
        let delta = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        self.wasm = u32::try_from(i64::from(self.wasm).checked_add(delta)?).ok()?;
        Some((self.offset, Some(self.wasm)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_without_repetitions() {
        let entries =
            [(0, None), (4, Some(1_000_000)), (9, Some(1_000_000)), (12, Some(7)), (300, None), (301, Some(8))];
        let one = encode(entries.into_iter());
        let two = encode([(0, Some(u32::MAX)), (u32::MAX, Some(0))].into_iter());
        let map = AddressMap {
            ends: Words::Owned(vec![one.len() as u32, (one.len() + two.len()) as u32]),
            entries: Blob::Owned([one, two].concat()),
        };
        let expected: Vec<_> = entries.into_iter().filter(|&(offset, _)| offset != 9).collect();
        assert_eq!(map.function(0).collect::<Vec<_>>(), expected);
        assert_eq!(map.function(1).collect::<Vec<_>>(), [(0, Some(u32::MAX)), (u32::MAX, Some(0))]);
        assert_eq!(map.function(2).count(), 0);
        let found = [0, 3, 4, 11, 12, 299, 300, 301, u32::MAX].map(|offset| map.find(0, offset));
        assert_eq!(found, [1_000_000, 1_000_000, 1_000_000, 1_000_000, 7, 7, 1_000_000, 8, 8].map(Some));
        assert_eq!(map.find(2, 0), None);
    }

    #[test]
    fn any_bytes_are_read_without_panic() {
        for first in 0..=255u8 {
            for second in [0, 1, 0x7f, 0x80, 0xff] {
                let bytes = [&[first; 12][..], &[second; 12]].concat();
                let map = AddressMap {
                    ends: Words::Owned(vec![bytes.len() as u32, 3, u32::MAX]),
                    entries: Blob::Owned(bytes),
                };
                assert!((0..4).map(|i| map.function(i).count()).sum::<usize>() <= 48);
            }
        }
    }
}
