//! Which batches are in the log and not yet wholly in the index, so that no reader takes a part for
//! the whole.

use parking_lot::Mutex;

use crate::atomic::{AtomicU64, Ordering};

/// Batches whose records are in the log and not yet all in the index.
pub struct Batches {
    /// The lowest sequence in any of them.
    unapplied_from: AtomicU64,
    first_sequences: Mutex<Vec<u64>>,
}

impl Default for Batches {
    fn default() -> Batches {
        Batches { unapplied_from: AtomicU64::new(u64::MAX), first_sequences: Mutex::default() }
    }
}

impl Batches {
    /// A record of a batch with this sequence, or a higher one, may be one of several of which
    /// others are not yet in the index.
    pub fn unapplied_from(&self) -> u64 {
        // Acquire: whoever finds a batch applied finds all its entries.
        self.unapplied_from.load(Ordering::Acquire)
    }

    /// The records of a batch are in the log: to be said before any is in the index.
    pub fn begin(&self, first_sequence: u64) {
        let mut all = self.first_sequences.lock();
        all.push(first_sequence);
        self.tell(&all);
    }

    /// All of the batch is in the index, whose pieces are locked still.
    pub fn end(&self, first_sequence: u64) {
        let mut all = self.first_sequences.lock();
        all.retain(|&first| first != first_sequence);
        self.tell(&all);
    }

    fn tell(&self, all: &[u64]) {
        let lowest = all.iter().copied().min().unwrap_or(u64::MAX);
        self.unapplied_from.store(lowest, Ordering::Release);
    }
}
