//! A histogram of durations: buckets whose width grows with what they count, to about 3 %.

use std::time::Duration;

/// Buckets per power of two, as a power of two.
const FINE: u32 = 5;
const BUCKETS: usize = (64 - FINE as usize + 1) << FINE;

pub struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; BUCKETS].into(), total: 0, max: 0 }
    }
}

impl Histogram {
    #[inline]
    pub fn add(&mut self, time: Duration) {
        let ns = time.as_nanos() as u64;
        self.counts[bucket(ns)] += 1;
        self.total += 1;
        self.max = self.max.max(ns);
    }

    /// The time that this share of all stays within, in microseconds: its bucket's upper end.
    pub fn quantile(&self, share: f64) -> f64 {
        let rank = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut below = 0;
        for (at, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= rank {
                return upper(at).min(self.max) as f64 / 1e3;
            }
        }
        self.max()
    }

    /// The longest, in microseconds.
    pub fn max(&self) -> f64 {
        self.max as f64 / 1e3
    }
}

/// Numbers below 2^(FINE+1) have a bucket each; above, the highest FINE+1 bits choose it.
fn bucket(ns: u64) -> usize {
    let shift = (63 - (ns | 1).leading_zeros()).saturating_sub(FINE);
    ((shift as usize) << FINE) + (ns >> shift) as usize
}

/// The largest number of a bucket.
fn upper(bucket: usize) -> u64 {
    let shift = (bucket >> FINE).saturating_sub(1);
    let mantissa = (bucket - (shift << FINE)) as u64;
    (mantissa << shift) + ((1 << shift) - 1)
}

/// Each bucket ends where the next begins.
pub fn check() {
    for ns in (0..100_000).chain((17..63).map(|bits| 1 << bits)) {
        let at = bucket(ns);
        assert!(ns <= upper(at) && (at == 0 || ns > upper(at - 1)), "{ns} is in bucket {at}");
    }
}
