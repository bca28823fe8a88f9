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

/// No database has a higher next sequence or id when it is opened: more are left than it can use up
/// while it is open.
pub const MAX_NUMBER_AT_OPEN: u64 = MAX_NUMBER - (1 << 56);

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

    /// How many of `live` bytes of these records have expired at `now`. It is exact while none has,
    /// and when all have; in between, as if they expired evenly from the first to the last.
    pub fn expired_of(&self, live: u64, now: u64) -> u64 {
        if now < self.first || self.bytes == 0 {
            return 0;
        }
        if now >= self.last {
            return live;
        }
        let (gone, all) = (u128::from(now - self.first), u128::from(self.last - self.first));
        (u128::from(live) * gone / all) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_expires_is_estimated_between_its_exact_ends() {
        assert_eq!(Expiring::default().expired_of(0, u64::MAX), 0);
        let mut expiring = Expiring::default();
        expiring.add(100, 1000);
        expiring.add(300, 3000);
        assert_eq!(expiring, Expiring { bytes: 400, first: 1000, last: 3000 });
        for (now, expired) in [(0, 0), (999, 0), (1000, 0), (2000, 150), (3000, 300), (9000, 300)] {
            assert_eq!(expiring.expired_of(300, now), expired, "at {now}");
        }
        assert_eq!(expiring.expired_of(1, 2999), 0, "not all before the last");
        let far = Expiring { bytes: u64::MAX, first: 0, last: u64::MAX };
        assert_eq!(far.expired_of(u64::MAX, u64::MAX - 1), u64::MAX - 1);
        let one = Expiring { bytes: 8, first: 5, last: 5 };
        assert_eq!((one.expired_of(8, 4), one.expired_of(8, 5)), (0, 8));
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
