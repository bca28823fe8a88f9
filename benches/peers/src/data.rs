//! Keys, values that are made from them and checked by them, and the orders in which keys come.

use crate::workload::mix;

pub type Key = [u8; 16];

/// Bytes of every value that say whose it is.
const HEADER: usize = 8;
/// Bytes of noise that values are cut from: few, so that the processor's cache keeps them.
const POOL: usize = 16 << 10;

/// Numbers of keys and kinds of operations, one after the other: the highest bit marks a write.
pub type Operations = Vec<u32>;
pub const WRITE: u32 = 1 << 31;

/// The key of a number. Keys are ordered as their numbers are.
#[inline]
pub fn key(number: u64) -> Key {
    raw(number * 2)
}

/// A key that is nowhere, between two that are.
#[inline]
pub fn missing_key(number: u64) -> Key {
    raw(number * 2 + 1)
}

#[inline]
fn raw(number: u64) -> Key {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&number.to_be_bytes());
    key[8..].copy_from_slice(&mix(number).to_be_bytes());
    key
}

/// The number of a key that was put.
#[inline]
pub fn number_of(bytes: &[u8]) -> u64 {
    let key: &Key = bytes.try_into().expect("a wrong key: not of 16 bytes");
    let doubled = u64::from_be_bytes(key[..8].try_into().expect("a key has 16 bytes"));
    assert!(*key == raw(doubled) && doubled % 2 == 0, "a wrong key: {key:02x?}");
    doubled / 2
}

/// Makes and checks values. Each is different for each key, and for each phase of writing.
pub struct Values {
    pool: Vec<u8>,
    len: usize,
}

impl Values {
    pub fn new(len: usize) -> Values {
        assert!(len >= HEADER, "values have at least {HEADER} bytes");
        let words = (POOL + len) as u64 / 8 + 1;
        Values { pool: (0..words).flat_map(|word| mix(!word).to_le_bytes()).collect(), len }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn body(&self, number: u64, phase: u8) -> &[u8] {
        let at = mix(number ^ u64::from(phase) << 40) as usize % POOL;
        &self.pool[at..at + self.len - HEADER]
    }

    #[inline]
    pub fn make(&self, number: u64, phase: u8, value: &mut [u8]) {
        value[..HEADER].copy_from_slice(&(number | u64::from(phase) << 56).to_le_bytes());
        value[HEADER..].copy_from_slice(self.body(number, phase));
    }

    /// The phase in which this value of a key was written.
    #[inline]
    pub fn check(&self, number: u64, value: &[u8]) -> u8 {
        self.phase_of(number, value).unwrap_or_else(|| wrong(number, value))
    }

    /// The same, or nothing if the value is wrong.
    #[inline]
    pub fn phase_of(&self, number: u64, value: &[u8]) -> Option<u8> {
        let header = u64::from_le_bytes(*value.first_chunk::<HEADER>()?);
        let phase = (header >> 56) as u8;
        let is_right = value.len() == self.len
            && header & (u64::MAX >> 8) == number
            && value[HEADER..] == *self.body(number, phase);
        is_right.then_some(phase)
    }
}

#[cold]
fn wrong(number: u64, value: &[u8]) -> ! {
    let head = &value[..value.len().min(24)];
    panic!("WRONG DATA for key {number}: {} bytes that begin with {head:02x?}", value.len())
}

/// All numbers below a count, each once, in an order that looks random: a Feistel network whose
/// results beyond the count are sent through again.
pub struct Shuffle {
    count: u64,
    half: u32,
}

impl Shuffle {
    pub fn new(count: u64) -> Shuffle {
        let bits = u64::BITS - count.max(2).leading_zeros();
        Shuffle { count, half: bits.div_ceil(2) }
    }

    pub fn at(&self, position: u64) -> u64 {
        let mask = (1 << self.half) - 1;
        let mut number = position;
        loop {
            for round in 0..4 {
                let (left, right) = (number >> self.half, number & mask);
                number = right << self.half | ((left ^ mix(right ^ round << 50)) & mask);
            }
            if number < self.count {
                return number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Zipf;

    /// Keys keep the order of their numbers and tell them; missing ones are no keys.
    #[test]
    fn keys_tell_their_numbers() {
        for number in (0..1000).chain([1 << 31]) {
            assert_eq!(number_of(&key(number)), number);
            assert!(key(number) < missing_key(number) && missing_key(number) < key(number + 1));
        }
        assert!(std::panic::catch_unwind(|| number_of(&missing_key(7))).is_err());
    }

    /// A value is right for its own key only, tells its phase, and no byte of it can change.
    #[test]
    fn values_are_checked_to_the_last_byte() {
        let values = Values::new(100);
        let mut value = vec![0; 100];
        values.make(77, 3, &mut value);
        assert_eq!(values.phase_of(77, &value), Some(3));
        assert_eq!(values.phase_of(78, &value), None);
        assert_eq!(values.phase_of(77, &value[..99]), None);
        for at in 0..value.len() {
            value[at] ^= 1;
            assert_eq!(values.phase_of(77, &value), None, "byte {at}");
            value[at] ^= 1;
        }
    }

    /// Every number comes once.
    #[test]
    fn a_shuffle_has_every_number_once() {
        for count in [1, 2, 3, 10, 255, 256, 1000, 65_537] {
            let shuffle = Shuffle::new(count);
            let mut all: Vec<u64> = (0..count).map(|at| shuffle.at(at)).collect();
            let is_shuffled = count < 10 || all.iter().enumerate().any(|(i, n)| i as u64 != *n);
            all.sort_unstable();
            assert!(is_shuffled && all == (0..count).collect::<Vec<u64>>(), "{count}");
        }
    }

    /// Zipf's law: the most frequent of a thousand numbers comes in one draw of 7.5, twice as often
    /// as the second (2^0.99), and half of all draws go to some 30 numbers.
    #[test]
    fn zipf_draws_as_it_should() {
        let (zipf, draws) = (Zipf::new(1000, 0.99), 400_000_u64);
        let mut counts = vec![0_u64; 1000];
        (0..draws).for_each(|i| counts[zipf.draw(mix(i)) as usize] += 1);
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let share = counts[0] as f64 / draws as f64;
        assert!((0.12..0.15).contains(&share), "{share}");
        let ratio = counts[0] as f64 / counts[1] as f64;
        assert!((1.85..2.15).contains(&ratio), "{ratio}");
        let top: u64 = counts[..30].iter().sum();
        assert!((0.48..0.60).contains(&(top as f64 / draws as f64)), "{top}");
    }
}
