//! Where a piece's buckets are, known without its lock: good for nothing but fetching one ahead.
//!
//! A hint may be out of date, or half old and half new; then the wrong line is fetched, and nothing
//! else happens.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use super::piece::{fraction_of, home_of, Bucket, Piece};
use crate::cpu;

/// The shape of one piece, as it was when the piece last grew.
pub struct Hint {
    base: AtomicPtr<Bucket>,
    buckets: AtomicUsize,
    precision: AtomicU64,
}

impl Default for Hint {
    fn default() -> Hint {
        Hint {
            base: AtomicPtr::new(ptr::null_mut()),
            buckets: AtomicUsize::new(0),
            precision: AtomicU64::new(0),
        }
    }
}

impl Hint {
    /// Takes the shape of `piece`.
    pub fn update(&self, piece: &Piece) {
        let (base, buckets, precision) = piece.shape();
        self.base.store(base.cast_mut(), Ordering::Relaxed);
        self.buckets.store(buckets, Ordering::Relaxed);
        self.precision.store(precision.into(), Ordering::Relaxed);
    }

    /// Begins to fetch the home bucket of `hash`.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        let base = self.base.load(Ordering::Relaxed);
        let buckets = self.buckets.load(Ordering::Relaxed);
        let precision = self.precision.load(Ordering::Relaxed) as u32;
        let home = home_of(fraction_of(hash, precision), buckets, precision);
        cpu::fetch(base.wrapping_add(home));
    }
}
