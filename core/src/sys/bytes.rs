//! Looking at many bytes at once.

/// A bit for each byte of eight words that is not 0, the lowest for the first byte of the first word.
#[inline]
pub fn nonzero_bits(words: &[u64; 8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_setzero_si128};
        let zeroes = |part: usize| {
            // SAFETY: the part lies in `words`; the load needs no alignment, and all processors of this kind have these
            // instructions.
            let mask = unsafe {
                let bytes = _mm_loadu_si128(words.as_ptr().cast::<__m128i>().add(part));
                _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_setzero_si128()))
            };
            u64::from(mask as u16)
        };
        !(zeroes(0) | zeroes(1) << 16 | zeroes(2) << 32 | zeroes(3) << 48)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        portable(words)
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn portable(words: &[u64; 8]) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    // Brings the lowest bit of byte `i` to bit `56 + i`, without a carry.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    words.iter().enumerate().fold(0, |bits, (i, &word)| {
        let marked = ((((word & (LOW * 0x7f)) + LOW * 0x7f) | word) >> 7) & LOW;
        bits | (marked.wrapping_mul(GATHER) >> 56) << (i * 8)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_has_its_bit() {
        for byte in 0..64 {
            for value in [1u64, 2, 0x80, 0xff] {
                let mut words = [0; 8];
                words[byte / 8] = value << (byte % 8 * 8);
                assert_eq!((nonzero_bits(&words), portable(&words)), (1 << byte, 1 << byte));
            }
        }
        for words in [[0; 8], [u64::MAX; 8], [0x0100_0000_0101_0001; 8], [0x8000_7f00_0000_00ff; 8]] {
            assert_eq!(nonzero_bits(&words), portable(&words));
        }
    }
}
