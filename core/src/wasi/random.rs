//! Random bytes: the system's by default; the embedder's own, or repeatable ones, where asked for.

use std::sync::{Arc, Mutex, PoisonError};

use super::types::Errno;

/// Where a context's random bytes come from.
#[derive(Clone)]
pub(super) enum Random {
    /// The operating system.
    System,
    /// A seed. Clones of a context go on from where it was.
    Seeded(Seeded),
    /// The embedder.
    Own(Arc<Mutex<Fill>>),
}

pub(super) type Fill = dyn FnMut(&mut [u8]) + Send;

impl Random {
    pub(super) fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Errno> {
        match self {
            Random::System => getrandom::fill(bytes).map_err(|_| Errno::Io),
            Random::Seeded(generator) => {
                generator.fill(bytes);
                Ok(())
            }
            Random::Own(fill) => {
                fill.lock().unwrap_or_else(PoisonError::into_inner)(bytes);
                Ok(())
            }
        }
    }
}

/// SplitMix64: repeatable numbers, no secrets. The bytes do not depend on how they are divided into calls of whole words.
#[derive(Clone, Debug)]
pub(super) struct Seeded {
    state: u64,
}

impl Seeded {
    pub(super) fn new(seed: u64) -> Self {
        Seeded { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_mut(8) {
            let next = self.next().to_le_bytes();
            word.copy_from_slice(&next[..word.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_bytes_again() {
        let bytes = |seed: u64| {
            let mut bytes = [0; 21];
            Random::Seeded(Seeded::new(seed)).fill(&mut bytes).unwrap();
            bytes
        };
        assert_eq!(bytes(7), bytes(7));
        assert_ne!(bytes(7), bytes(8));
    }
}
