//! Randomness: the kernel's, or a seeded sequence for runs that must come out the same each time.

use crate::host::Result;
use crate::host::poll::retry;
use rustix::rand::{GetRandomFlags, getrandom};

/// Where random bytes come from.
#[derive(Clone, Debug, Default)]
pub enum Random {
    /// The kernel's generator.
    #[default]
    System,
    /// A sequence that its seed determines. Not for secrets.
    Seeded(Sequence),
}

/// The state of a seeded sequence: the SplitMix64 generator, and the bytes of its last word not handed out yet.
#[derive(Clone, Debug)]
pub struct Sequence {
    state: u64,
    word: u64,
    left_bytes: u32,
}

impl Random {
    /// The sequence of `seed`.
    pub fn seeded(seed: u64) -> Random {
        Random::Seeded(Sequence { state: seed, word: 0, left_bytes: 0 })
    }

    /// Fills `buffer`, with no copy and no allocation whatever its length.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        match self {
            Random::System => fill_from_kernel(buffer),
            Random::Seeded(sequence) => {
                buffer.fill_with(|| sequence.byte());
                Ok(())
            }
        }
    }
}

fn fill_from_kernel(mut buffer: &mut [u8]) -> Result<()> {
    while !buffer.is_empty() {
        // The kernel gives at most 32 MiB a call, and less when a signal arrives.
        let filled = retry(|| getrandom(&mut *buffer, GetRandomFlags::empty()))?;
        buffer = &mut buffer[filled..];
    }
    Ok(())
}

impl Sequence {
    fn byte(&mut self) -> u8 {
        if self.left_bytes == 0 {
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = self.state;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            self.word = word ^ (word >> 31);
            self.left_bytes = 8;
        }
        let byte = self.word as u8;
        self.word >>= 8;
        self.left_bytes -= 1;
        byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_determines_the_bytes_however_they_are_asked_for() {
        let mut whole = [0; 32];
        Random::seeded(7).fill(&mut whole).unwrap();
        let mut parts = [0; 32];
        let mut random = Random::seeded(7);
        for part in parts.chunks_mut(5) {
            random.fill(part).unwrap();
        }
        assert_eq!(whole, parts);
        let mut other = [0; 32];
        Random::seeded(8).fill(&mut other).unwrap();
        assert_ne!(whole, other);
    }

    #[test]
    fn the_kernel_fills_large_buffers() {
        let mut buffer = vec![0; 1 << 20];
        Random::System.fill(&mut buffer).unwrap();
        assert!(buffer[buffer.len() - 64..].iter().any(|&byte| byte != 0));
    }
}
