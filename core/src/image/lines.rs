//! Reset in the mode [`Lines`](crate::config::DirtyTracking::Lines): the lines that are marked are copied back.
//!
//! ```text
//!   dirty map    0 0 1 1 0 0 0 1 0 …        looked at 256 bytes at a time; 64 of them make a word of bits
//!                    └─┬─┘     └┬┘
//!   memory           2 lines    1 line      each run, and the 64 bytes after it, from the image; zeroes beyond it
//! ```

use std::ops::Range;
use std::ptr;

use super::{MemoryImage, ResetLog};
use crate::artifact::layout::{DIRTY_LINE_BYTES, DIRTY_SPILL_BYTES, MEMORY32_MAX_BYTES, VmMemory};
use crate::sys::bytes::nonzero_bits;

/// Words of the map that are looked at together; most of them are clean.
const CHUNK: usize = 32;
/// Words of the map whose marks make one word of bits.
const BLOCK: usize = 8;
/// Lines of a block.
const BLOCK_LINES: usize = BLOCK * 8;

/// Restores the lines that are marked in `map`, and clears the marks.
///
/// # Safety
///
/// Nobody uses the memory; `map` has its marks.
#[inline]
pub unsafe fn restore(
    definition: &VmMemory,
    map: &mut [u64],
    image: Option<&MemoryImage>,
    (index, log): (usize, &mut ResetLog),
) {
    for_each_run(map, |run| {
        let lines = run.len();
        // SAFETY: marked lines lie in the memory.
        log.restored(index, lines, unsafe { restore_run(definition, run, image) });
    });
}

/// Calls `found` with runs of marked lines, ascending and as long as they are, and clears the marks. `map` has a byte for each
/// line, eight to a word.
#[inline]
fn for_each_run(map: &mut [u64], mut found: impl FnMut(Range<usize>)) {
    // A run that reaches the end of the block before.
    let mut open = 0..0;
    let mut in_block = |block: &mut [u64; BLOCK], line: usize| {
        let marks = nonzero_bits(block);
        if marks == 0 {
            return;
        }
        block.fill(0);
        runs(marks, |start, end| {
            let run = line + start..line + end;
            if run.start == open.end && open.start < open.end {
                open.end = run.end;
            } else {
                take(&mut open, &mut found);
                open = run;
            }
            if end < BLOCK_LINES {
                take(&mut open, &mut found);
            }
        });
    };
    let (chunks, rest) = map.as_chunks_mut::<CHUNK>();
    let mut line = 0;
    for chunk in chunks {
        if chunk.iter().fold(0, |any, &word| any | word) != 0 {
            for (i, block) in chunk.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
                in_block(block, line + i * BLOCK_LINES);
            }
        }
        line += CHUNK * 8;
    }
    let (blocks, rest) = rest.as_chunks_mut::<BLOCK>();
    for block in blocks {
        in_block(block, line);
        line += BLOCK_LINES;
    }
    if !rest.is_empty() {
        let mut block = [0; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        rest.fill(0);
        in_block(&mut block, line);
    }
    take(&mut open, &mut found);
}

#[inline]
fn take(open: &mut Range<usize>, found: &mut impl FnMut(Range<usize>)) {
    if open.start < open.end {
        found(std::mem::take(open));
    }
}

/// Calls `found` with the start and the end of each run of ones, ascending.
#[inline]
fn runs(mut bits: u64, mut found: impl FnMut(usize, usize)) {
    while bits != 0 {
        let start = bits.trailing_zeros();
        let end = start + (bits >> start).trailing_ones();
        found(start as usize, end as usize);
        bits &= u64::MAX.checked_shl(end).unwrap_or(0);
    }
}

/// Restores a run of lines and what a mark in its last line may cover beyond. Gives the range of bytes that it has written.
///
/// # Safety
///
/// The lines lie in the memory, which nobody uses.
#[inline]
unsafe fn restore_run(definition: &VmMemory, lines: Range<usize>, image: Option<&MemoryImage>) -> Range<usize> {
    const ONE: usize = DIRTY_LINE_BYTES + DIRTY_SPILL_BYTES;
    let start = lines.start * DIRTY_LINE_BYTES;
    let end = (lines.end * DIRTY_LINE_BYTES + DIRTY_SPILL_BYTES).min(definition.length());
    match image.and_then(|image| image.contiguous(&(start..end))) {
        // Most runs are of one line, in the image: of a length that is known here.
        Some(from) if from.len() == ONE => {
            // SAFETY: the range lies in the memory, and in the image.
            unsafe {
                let (from, to) = (from.as_ptr(), definition.base.add(start));
                ptr::copy_nonoverlapping(from.cast::<[u8; ONE]>(), to.cast::<[u8; ONE]>(), 1);
            }
        }
        // SAFETY: as above.
        Some(from) => unsafe {
            ptr::copy_nonoverlapping(from.as_ptr(), definition.base.add(start), from.len());
        },
        // SAFETY: the range lies in the memory.
        None => unsafe { restore_pieces(definition, start..end, image) },
    }
    // What a mark covers goes on at the start of the memory after the last address of 32 bits.
    if lines.end * DIRTY_LINE_BYTES == MEMORY32_MAX_BYTES as usize {
        // SAFETY: a memory of that size has as many bytes.
        unsafe { restore_pieces(definition, 0..DIRTY_SPILL_BYTES, image) };
    }
    start..end
}

/// Restores a range wherever its bytes come from.
///
/// # Safety
///
/// The range lies in the memory, which nobody uses.
unsafe fn restore_pieces(definition: &VmMemory, range: Range<usize>, image: Option<&MemoryImage>) {
    let piece = |range: Range<usize>, bytes: Option<&[u8]>| {
        // SAFETY: the piece lies in the range.
        unsafe {
            let to = definition.base.add(range.start);
            match bytes {
                Some(bytes) => ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()),
                None => ptr::write_bytes(to, 0, range.len()),
            }
        }
    };
    match image {
        Some(image) => image.pieces(range, piece),
        None => piece(range, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_lines_are_found_wherever_they_lie_and_marks_are_cleared() {
        for words in [1usize, 7, 8, 9, 32, 33, 47] {
            for start in 0..words * 8 {
                for len in [1, 2, 7, 8, 9, 64, 130, 300] {
                    for mark in [1, 2, 0x80, 0xff] {
                        let end = (start + len).min(words * 8);
                        let mut bytes = vec![0u8; words * 8];
                        bytes[start..end].fill(mark);
                        let mut map: Vec<u64> =
                            bytes.chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
                        let mut runs = Vec::new();
                        for_each_run(&mut map, |run| runs.push(run));
                        assert!(runs.len() == 1 && runs[0] == (start..end), "{runs:?}");
                        assert!(map.iter().all(|&word| word == 0));
                    }
                }
            }
        }
    }

    #[test]
    fn scattered_marks_are_all_found() {
        let mut map = [0x0001_0000_0101_0001, 0, u64::MAX, 0x0100_0000_0000_0000, 0, 0, 0, 1 << 56, 1, 0];
        let mut lines = Vec::new();
        for_each_run(&mut map, |r| lines.extend(r));
        assert_eq!(lines, [0, 2, 3, 6, 16, 17, 18, 19, 20, 21, 22, 23, 31, 63, 64]);
        assert_eq!(map, [0; 10]);
    }
}
