//! Marks of tables and globals: a byte for each group of them, eight to a word. What was written has a byte that is not 0.

/// Calls `found` with the number of each marked byte, ascending, and clears the marks.
#[inline]
pub fn take(words: &mut [u64], mut found: impl FnMut(usize)) {
    // Blocks of known size, so that looking at a clean one takes a few vector instructions.
    for (i, block) in words.chunks_mut(8).enumerate() {
        if block.iter().fold(0, |any, &word| any | word) == 0 {
            continue;
        }
        for (j, word) in block.iter_mut().enumerate() {
            let mut marks = std::mem::take(word);
            while marks != 0 {
                let byte = marks.trailing_zeros() / 8;
                marks &= !(0xff << (byte * 8));
                found((i * 8 + j) * 8 + byte as usize);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_is_found_once_and_cleared() {
        for words in [1usize, 7, 8, 9, 30] {
            for step in [1, 3, 8, 63, 64, 65] {
                for mark in [1, 0x80, 0xff] {
                    let expected: Vec<usize> = (0..words * 8).step_by(step).collect();
                    let mut marks = vec![0u64; words];
                    expected.iter().for_each(|&at| marks[at / 8] |= mark << (at % 8 * 8));
                    let mut found = Vec::new();
                    take(&mut marks, |at| found.push(at));
                    assert_eq!(found, expected);
                    assert!(marks.iter().all(|&word| word == 0));
                }
            }
        }
    }
}
