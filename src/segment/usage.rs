//! What a segment's bytes are used for: how many are dead, expire, or are allocated ahead.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::{Body, Segment};
use crate::format::checkpoint::KnownSegment;
use crate::format::record::Class;
use crate::format::Expiring;

/// What a segment's bytes are used for.
#[derive(Default)]
pub(super) struct Usage {
    /// Bytes in records that are nobody's newest, tombstones included.
    dead: AtomicU64,
    /// Bytes in tombstones.
    tombstones: AtomicU64,
    /// Bytes in dead records that would have expired.
    dead_expiring: AtomicU64,
    /// Records that expire.
    expiring: Mutex<Expiring>,
    /// Bytes of the file, if it is allocated ahead.
    allocated: AtomicU64,
    /// Whether the index may point to other copies of its records.
    is_moving: AtomicBool,
    /// What it is read through, if its file has no name any more.
    pub(super) kept_open: OnceLock<Arc<Body>>,
}

impl Segment {
    /// Bytes in dead records.
    pub fn dead(&self) -> u64 {
        self.usage.dead.load(Ordering::Relaxed)
    }

    /// Says what of it is dead, and what expires at least.
    pub fn set_usage(&self, known: &KnownSegment) {
        self.usage.dead.store(known.dead, Ordering::Relaxed);
        self.usage.tombstones.store(known.tombstones, Ordering::Relaxed);
        self.usage.dead_expiring.store(known.dead_expiring, Ordering::Relaxed);
        let mut expiring = self.usage.expiring.lock();
        if known.expiring.bytes > expiring.bytes {
            *expiring = known.expiring;
        }
    }

    /// Counts a record as dead. Tombstones and gaps are from the beginning.
    #[inline]
    pub fn add_dead(&self, len: usize, class: Class) {
        let len = len as u64;
        self.usage.dead.fetch_add(len, Ordering::Relaxed);
        match class {
            Class::Put | Class::Gap => {}
            Class::Tombstone => _ = self.usage.tombstones.fetch_add(len, Ordering::Relaxed),
            Class::ExpiringPut => _ = self.usage.dead_expiring.fetch_add(len, Ordering::Relaxed),
        }
    }

    /// Bytes in tombstones, which are dead as well.
    pub fn tombstones(&self) -> u64 {
        self.usage.tombstones.load(Ordering::Relaxed)
    }

    /// Bytes in dead records that would have expired.
    pub fn dead_expiring(&self) -> u64 {
        self.usage.dead_expiring.load(Ordering::Relaxed)
    }

    /// Records that expire, dead ones included.
    pub fn expiring(&self) -> Expiring {
        *self.usage.expiring.lock()
    }

    /// Bytes in records that have expired at `now` and are not dead, as far as can be told without
    /// reading them. What is live of the rest is exact while the writer is held still.
    pub fn expired(&self, now: u64) -> u64 {
        let expiring = self.expiring();
        expiring.expired_of(expiring.bytes.saturating_sub(self.dead_expiring()), now)
    }

    /// Says which records expire.
    pub fn set_expiring(&self, expiring: Expiring) {
        *self.usage.expiring.lock() = expiring;
    }

    /// Counts a record that expires.
    pub fn add_expiring(&self, len: usize, expiry: u64) {
        self.usage.expiring.lock().add(len, expiry);
    }

    /// Bytes of the file, with what is allocated ahead.
    pub fn disk_bytes(&self) -> u64 {
        self.usage.allocated.load(Ordering::Relaxed).max(self.len())
    }

    /// Says how long the file is, since more is allocated than is written; 0 if that is over.
    pub(super) fn set_allocated(&self, bytes: u64) {
        self.usage.allocated.store(bytes, Ordering::Relaxed);
    }

    /// Whether the index may point to other copies of its records, in the place of which it came or
    /// which came in its place.
    pub fn is_moving(&self) -> bool {
        self.usage.is_moving.load(Ordering::Acquire)
    }

    /// Says so.
    pub fn set_moving(&self, is_moving: bool) {
        self.usage.is_moving.store(is_moving, Ordering::Release);
    }
}
