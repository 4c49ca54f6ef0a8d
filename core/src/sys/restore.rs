//! Copying pages back to what they were, where most of their bytes have not changed.
//!
//! A cache line that is written has to be written back some time, also when it gets the bytes that it had. So, where the
//! processor compares quickly, 256 bytes at a time are compared and only those that differ are copied. A page whose bytes were
//! all written takes about as long either way; one with a few words written, beyond the first few, half as long or less.

use std::ptr;

/// Bytes that are compared at a time.
const BLOCK: usize = 256;

/// Up to how many bytes a plain copy is faster than comparing with vectors of 32 bytes.
#[cfg(target_arch = "x86_64")]
const FEW: usize = 8 * 4096;

/// Makes `len` bytes at `to` those at `from`.
///
/// # Safety
///
/// Both ranges are accessible, do not overlap, and nobody else uses `to`.
#[inline]
pub unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    if len.is_multiple_of(BLOCK) {
        if std::arch::is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has the instructions; the ranges are passed on.
            return unsafe { x86_64::compare_and_copy_512(from, to, len) };
        }
        if len > FEW && std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { x86_64::compare_and_copy_256(from, to, len) };
        }
    }
    // SAFETY: passed on.
    unsafe { ptr::copy_nonoverlapping(from, to, len) }
}

/// Makes `len` bytes at `to` zeroes.
///
/// # Safety
///
/// The range is accessible, and nobody else uses it.
#[inline]
pub unsafe fn zero(to: *mut u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    if len.is_multiple_of(BLOCK) && std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has the instructions; the range is passed on.
        return unsafe { x86_64::compare_and_zero_512(to, len) };
    }
    // SAFETY: passed on.
    unsafe { ptr::write_bytes(to, 0, len) }
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use super::BLOCK;
    use std::arch::x86_64::*;

    /// # Safety
    ///
    /// As for [`super::copy`]; `len` is a multiple of [`BLOCK`].
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn compare_and_copy_512(from: *const u8, to: *mut u8, len: usize) {
        for at in (0..len).step_by(BLOCK) {
            // SAFETY: the block lies in both ranges; the accesses need no alignment.
            unsafe {
                let (from, to) = (from.add(at).cast::<__m512i>(), to.add(at).cast::<__m512i>());
                let new = [0, 1, 2, 3].map(|i| _mm512_loadu_si512(from.add(i)));
                let difference = |i: usize| _mm512_xor_si512(new[i], _mm512_loadu_si512(to.add(i)));
                let any = _mm512_or_si512(
                    _mm512_or_si512(difference(0), difference(1)),
                    _mm512_or_si512(difference(2), difference(3)),
                );
                if _mm512_test_epi64_mask(any, any) != 0 {
                    for (i, part) in new.into_iter().enumerate() {
                        _mm512_storeu_si512(to.add(i), part);
                    }
                }
            }
        }
    }

    /// # Safety
    ///
    /// As for [`super::zero`]; `len` is a multiple of [`BLOCK`].
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn compare_and_zero_512(to: *mut u8, len: usize) {
        for at in (0..len).step_by(BLOCK) {
            // SAFETY: the block lies in the range; the accesses need no alignment.
            unsafe {
                let to = to.add(at).cast::<__m512i>();
                let old = [0, 1, 2, 3].map(|i| _mm512_loadu_si512(to.add(i)));
                let any = _mm512_or_si512(_mm512_or_si512(old[0], old[1]), _mm512_or_si512(old[2], old[3]));
                if _mm512_test_epi64_mask(any, any) != 0 {
                    for i in 0..4 {
                        _mm512_storeu_si512(to.add(i), _mm512_setzero_si512());
                    }
                }
            }
        }
    }

    /// # Safety
    ///
    /// As for [`super::copy`]; `len` is a multiple of [`BLOCK`].
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn compare_and_copy_256(from: *const u8, to: *mut u8, len: usize) {
        const HALF: usize = BLOCK / 2;
        for at in (0..len).step_by(HALF) {
            // SAFETY: the block lies in both ranges; the accesses need no alignment.
            unsafe {
                let (from, to) = (from.add(at).cast::<__m256i>(), to.add(at).cast::<__m256i>());
                let new = [0, 1, 2, 3].map(|i| _mm256_loadu_si256(from.add(i)));
                let difference = |i: usize| _mm256_xor_si256(new[i], _mm256_loadu_si256(to.add(i)));
                let any = _mm256_or_si256(
                    _mm256_or_si256(difference(0), difference(1)),
                    _mm256_or_si256(difference(2), difference(3)),
                );
                if _mm256_testz_si256(any, any) == 0 {
                    for (i, part) in new.into_iter().enumerate() {
                        _mm256_storeu_si256(to.add(i), part);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_comes_back_and_nothing_else_is_written() {
        let len = FEW_TESTED + 3 * BLOCK;
        let image: Vec<u8> = (0..len).map(|i| (i * 7 / 3) as u8).collect();
        let changes = [0, 1, 63, 64, 255, 256, len / 2, len - 65, len - 1];
        for size in [len, BLOCK, 4096, 3 * BLOCK, 100] {
            for at in changes.into_iter().filter(|&at| at < size) {
                let mut now = [image.clone(), vec![9; 64]].concat();
                now[at] ^= 0x40;
                // SAFETY: `size` bytes of both vectors are in bounds.
                unsafe { copy(image.as_ptr(), now.as_mut_ptr(), size) };
                assert!(now[..len] == image && now[len..] == [9; 64], "{size} {at}");
                let mut zeroes = vec![0; len];
                zeroes[at] = 1;
                // SAFETY: as above.
                unsafe { zero(zeroes.as_mut_ptr(), size) };
                assert!(zeroes.iter().all(|&byte| byte == 0), "{size} {at}");
            }
        }
    }

    const FEW_TESTED: usize = 10 * 4096;

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn vectors_of_32_bytes_do_the_same() {
        if std::arch::is_x86_feature_detected!("avx2") {
            let image: Vec<u8> = (0..4096).map(|i| (i / 5) as u8).collect();
            for at in 0..4096 {
                let mut now = image.clone();
                now[at] ^= 1;
                // SAFETY: the processor has the instructions; both vectors have 4096 bytes.
                unsafe { x86_64::compare_and_copy_256(image.as_ptr(), now.as_mut_ptr(), 4096) };
                assert!(now == image, "{at}");
            }
        }
    }
}
