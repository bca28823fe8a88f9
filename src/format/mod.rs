//! The bytes on disk: how each is laid out, and nothing of where it is kept. No I/O, no locks, no
//! `unsafe`.
//!
//! `docs/FORMAT.md` describes the same in words and pictures; the two change together.

pub mod bytes;
pub mod checkpoint;
pub mod encode;
pub mod hint;
pub mod manifest;
pub mod name;
pub mod record;
pub mod segment;

/// The format version this code writes. It reads 1 as well, which has no fields but the wide
/// sequence, no gaps, and other hints and checkpoints: those it makes anew.
pub const FORMAT_VERSION: u32 = 2;

/// Whether files of a format version can be read.
pub fn is_known_version(version: u32) -> bool {
    (1..=FORMAT_VERSION).contains(&version)
}

/// The longest key, in bytes. A key has at least one byte.
pub const MAX_KEY_LEN: usize = u16::MAX as usize;

/// The longest value, in bytes.
pub const MAX_VALUE_LEN: usize = u32::MAX as usize;

/// Sequences and segment ids stay below this. Nobody writes that often: a higher one is damage.
pub const MAX_NUMBER: u64 = 1 << 62;

/// Records begin at multiples of this.
pub const ALIGNMENT: usize = 8;

/// `len` rounded up to the alignment of records.
pub const fn align_up(len: usize) -> usize {
    (len + ALIGNMENT - 1) & !(ALIGNMENT - 1)
}

/// The records of a segment whose values expire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expiring {
    /// Bytes of them.
    pub bytes: u64,
    /// When the first expires, in milliseconds since 1970.
    pub first: u64,
    /// When the last expires.
    pub last: u64,
}

impl Expiring {
    /// Counts a record of `len` bytes.
    pub fn add(&mut self, len: usize, expiry: u64) {
        let first = if self.bytes == 0 { expiry } else { self.first };
        self.first = first.min(expiry);
        self.last = self.last.max(expiry);
        self.bytes += len as u64;
    }
}

/// What a database is born with and keeps: written once, in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Tells files of this database from those of any other.
    pub uuid: [u8; 16],
    /// The secret that makes the index's hash unpredictable.
    pub hash_seed: [u8; 16],
    /// When the database was created, in milliseconds since 1970 (UTC).
    pub created_ms: u64,
}
