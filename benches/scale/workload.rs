//! Keys, values, and orders in which they come.

/// Bytes of a record with a key of 16 bytes, as docs/FORMAT.md has it.
pub fn record_len(value: usize) -> u64 {
    (16 + 16 + value as u64).next_multiple_of(8)
}

/// The key of number `i`: spread over the key space, and different for each number.
#[inline]
pub fn key(i: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key[8..].copy_from_slice(&i.to_be_bytes());
    key
}

/// A number that looks random for each `i` (SplitMix64).
#[inline]
pub fn mix(i: u64) -> u64 {
    let mut z = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Makes each value different, at the cost of one store.
#[inline]
pub fn stamp(value: &mut [u8], i: u64) {
    if let Some(head) = value.first_chunk_mut::<8>() {
        *head = i.to_le_bytes();
    }
}

/// Numbers below `items`, a few of them often (Gray and others, "Quickly generating billion-record
/// synthetic databases", 1994, as YCSB has it), scattered so that the frequent ones are not
/// neighbours.
pub struct Zipf {
    items: u64,
    theta: f64,
    alpha: f64,
    zeta: f64,
    eta: f64,
}

impl Zipf {
    pub fn new(items: u64, theta: f64) -> Zipf {
        let zeta = |n: u64| (1..=n).map(|i| (i as f64).powf(-theta)).sum::<f64>();
        let all = zeta(items);
        let eta = (1.0 - (2.0 / items as f64).powf(1.0 - theta)) / (1.0 - zeta(2) / all);
        Zipf { items, theta, alpha: 1.0 / (1.0 - theta), zeta: all, eta }
    }

    /// The number that belongs to the random number `random`.
    #[inline]
    pub fn draw(&self, random: u64) -> u64 {
        mix(self.rank(random)) % self.items
    }

    /// How many numbers are more frequent than the one that belongs to `random`.
    #[inline]
    pub fn rank(&self, random: u64) -> u64 {
        let u = (random >> 11) as f64 / (1_u64 << 53) as f64;
        let uz = u * self.zeta;
        let rank = if uz < 1.0 {
            0
        } else if uz < 1.0 + 0.5_f64.powf(self.theta) {
            1
        } else {
            (self.items as f64 * (self.eta * u - self.eta + 1.0).powf(self.alpha)) as u64
        };
        rank.min(self.items - 1)
    }
}
