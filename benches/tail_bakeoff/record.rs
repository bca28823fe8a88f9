//! The record every contestant appends: 136 bytes with a real checksum, different each time.

use std::io;
use std::path::Path;

/// 16 bytes of header, 16 of key, 100 of value, 4 of padding.
pub const RECORD: usize = 136;
pub type Record = [u8; RECORD];

const KEY: usize = 16;
const VALUE: usize = 100;
const POOL: usize = 1 << 20;

/// Makes records out of a pool of random bytes that stays in the cache.
pub struct Source {
    pool: Vec<u8>,
}

impl Source {
    pub fn new() -> Source {
        let words = 0..(POOL + VALUE).div_ceil(8) as u64;
        Source { pool: words.flat_map(|word| scramble(word).to_le_bytes()).collect() }
    }

    /// Builds record number `sequence` in one piece: crc32fast takes its fast path only for runs
    /// of 128 bytes or more, so the checksum is of the whole record, not of its parts in turn.
    pub fn encode(&self, sequence: u64, record: &mut Record) {
        let from = (scramble(sequence) as usize) % POOL;
        record[4..8].copy_from_slice(&(sequence as u32).to_le_bytes());
        record[8..12].copy_from_slice(&(VALUE as u32).to_le_bytes());
        record[12..14].copy_from_slice(&(KEY as u16).to_le_bytes());
        record[14..16].copy_from_slice(&1u16.to_le_bytes());
        record[16..24].copy_from_slice(&scramble(sequence).to_le_bytes());
        record[24..32].copy_from_slice(&sequence.to_le_bytes());
        record[32..132].copy_from_slice(&self.pool[from..from + VALUE]);
        record[132..].fill(0);
        let crc = crc32fast::hash(&record[4..]);
        record[..4].copy_from_slice(&crc.to_le_bytes());
    }
}

/// How many whole records, in order from number `first`, the file begins with.
pub fn count_whole(path: &Path, first: u64) -> io::Result<u64> {
    let bytes = std::fs::read(path)?;
    let whole = bytes.chunks_exact(RECORD).zip(first..).take_while(|(record, sequence)| {
        record[..4] == crc32fast::hash(&record[4..]).to_le_bytes()
            && record[24..32] == sequence.to_le_bytes()
    });
    Ok(whole.count() as u64)
}

/// The finaliser of splitmix64.
fn scramble(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
