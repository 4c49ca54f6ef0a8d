//! Copies of bytes that other threads may write at the same time, as guests that share a memory do.
//!
//! For Rust each of them is a relaxed atomic load or store of every byte, so there is no data race; in which order, and which
//! of the bytes that others write meanwhile are seen, is open, as the specification of shared memories has it too.
//! On x86-64 the string instructions do exactly that, at the speed of ordinary copies; elsewhere it is written out.

/// How much [`copy_overlapping`] carries over at a time.
const CHUNK: usize = 4096;

/// Copies `len` bytes.
///
/// # Safety
///
/// Both ranges are accessible and do not overlap. No Rust reference to them exists, but for a private one to one of them.
pub unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads and writes these ranges alone; the direction flag is clear as the convention demands.
    unsafe {
        std::arch::asm!(
            "rep movsb",
            inout("rcx") len => _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags)
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    for i in 0..len {
        use std::sync::atomic::{AtomicU8, Ordering};
        // SAFETY: the bytes are accessible, and a byte is always aligned.
        unsafe {
            let byte = AtomicU8::from_ptr(from.add(i).cast_mut()).load(Ordering::Relaxed);
            AtomicU8::from_ptr(to.add(i)).store(byte, Ordering::Relaxed);
        }
    }
}

/// Sets `len` bytes to `byte`.
///
/// # Safety
///
/// The range is accessible, and no Rust reference to it exists.
pub unsafe fn fill(to: *mut u8, byte: u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: writes this range alone; the direction flag is clear as the convention demands.
    unsafe {
        std::arch::asm!(
            "rep stosb",
            inout("rcx") len => _,
            inout("rdi") to => _,
            in("al") byte,
            options(nostack, preserves_flags)
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    for i in 0..len {
        use std::sync::atomic::{AtomicU8, Ordering};
        // SAFETY: the byte is accessible, and always aligned.
        unsafe { AtomicU8::from_ptr(to.add(i)) }.store(byte, Ordering::Relaxed);
    }
}

/// Copies `len` bytes between ranges that may overlap: what arrives is what was there before.
///
/// # Safety
///
/// As for [`copy`], but for the overlap.
pub unsafe fn copy_overlapping(from: *const u8, to: *mut u8, len: usize) {
    let distance = (to as usize).wrapping_sub(from as usize);
    // Backwards where a chunk that is written holds bytes that are still to be read.
    let backwards = distance < len;
    // SAFETY: chunks lie in the ranges; each is read as a whole before it is written.
    unsafe {
        if distance >= len && distance.wrapping_neg() >= len {
            return copy(from, to, len);
        }
        let mut chunk = [0u8; CHUNK];
        let mut done = 0;
        while done < len {
            let size = (len - done).min(CHUNK);
            let at = if backwards { len - done - size } else { done };
            copy(from.add(at), chunk.as_mut_ptr(), size);
            copy(chunk.as_ptr(), to.add(at), size);
            done += size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_copies_carry_over_what_was_there() {
        let fresh: Vec<u8> = (0..20_000u32).map(|i| (i * i / 8) as u8).collect();
        for len in [0, 1, 7, 100, CHUNK - 1, CHUNK, CHUNK + 1, 10_000] {
            for (from, to) in [(0, 0), (0, 1), (1, 0), (0, 5000), (5000, 0), (9, 4105), (4105, 9), (3, 10_000)] {
                let (mut ours, mut theirs) = (fresh.clone(), fresh.clone());
                theirs.copy_within(from..from + len, to);
                let start = ours.as_mut_ptr();
                // SAFETY: both ranges lie in the vector, which nobody else uses.
                unsafe { copy_overlapping(start.add(from), start.add(to), len) };
                assert!(ours == theirs, "{len} from {from} to {to}");
            }
        }
    }

    #[test]
    fn fills_and_copies_stay_in_their_ranges() {
        for len in [0, 1, 8, 63, 5000] {
            let mut bytes = vec![1u8; 6000];
            // SAFETY: the ranges lie in the vectors, which nobody else uses.
            unsafe {
                fill(bytes.as_mut_ptr().add(10), 9, len);
                copy([3u8, 4].as_ptr(), bytes.as_mut_ptr(), 2);
            }
            assert_eq!(bytes[..3], [3, 4, 1]);
            assert!(
                bytes.iter().enumerate().skip(2).all(|(i, &b)| b == if (10..10 + len).contains(&i) { 9 } else { 1 })
            );
        }
    }
}
