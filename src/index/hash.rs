//! The index's hash: SipHash-1-3, keyed with the database's secret seed.
//!
//! Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), with one compression and three
//! finalization rounds: whoever chooses the keys but does not know the seed cannot make them
//! collide.

/// A keyed hash function.
#[derive(Clone, Copy)]
pub struct KeyHasher {
    k0: u64,
    k1: u64,
}

impl KeyHasher {
    /// The function that `seed` selects.
    pub fn new(seed: [u8; 16]) -> KeyHasher {
        let seed = u128::from_le_bytes(seed);
        KeyHasher { k0: seed as u64, k1: (seed >> 64) as u64 }
    }

    /// The hash of `key`.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        let mut state = [
            self.k0 ^ 0x736f_6d65_7073_6575,
            self.k1 ^ 0x646f_7261_6e64_6f6d,
            self.k0 ^ 0x6c79_6765_6e65_7261,
            self.k1 ^ 0x7465_6462_7974_6573,
        ];
        let (words, rest) = key.as_chunks::<8>();
        for word in words {
            absorb(&mut state, u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        // Many keys have whole words only: no call to copy nothing.
        if !rest.is_empty() {
            last[..rest.len()].copy_from_slice(rest);
        }
        last[7] = key.len() as u8;
        absorb(&mut state, u64::from_le_bytes(last));
        state[2] ^= 0xff;
        for _ in 0..3 {
            round(&mut state);
        }
        state[0] ^ state[1] ^ state[2] ^ state[3]
    }
}

#[inline]
fn absorb(state: &mut [u64; 4], word: u64) {
    state[3] ^= word;
    round(state);
    state[0] ^= word;
}

#[inline]
fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::Hasher;

    #[test]
    fn agrees_with_the_standard_librarys_siphash_1_3() {
        let zero = KeyHasher::new([0; 16]);
        let key: Vec<u8> = (0..=255).collect();
        for len in 0..=key.len() {
            // DefaultHasher::new() is SipHash-1-3 with a key of zeros.
            let mut reference = std::hash::DefaultHasher::new();
            reference.write(&key[..len]);
            assert_eq!(zero.hash(&key[..len]), reference.finish(), "{len} bytes");
        }
    }

    #[test]
    fn seeds_give_different_functions() {
        let mut seed = [0; 16];
        let first = KeyHasher::new(seed).hash(b"key");
        for at in [0, 7, 8, 15] {
            seed[at] ^= 1;
            assert_ne!(KeyHasher::new(seed).hash(b"key"), first);
            seed[at] ^= 1;
        }
    }
}
