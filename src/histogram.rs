//! How often something took how long: counts in buckets whose width grows with the time, as in
//! Tene's HdrHistogram, so that every figure is right to 1.6 % from nanoseconds to a quarter of an
//! hour, in 9 KiB whatever is counted. Plain numbers and atomics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Each doubling of the time is divided into 2 to the power of this many buckets.
const PART_BITS: u32 = 5;
/// Longer times count as 2 to the power of this, less one: 18 minutes.
const VALUE_BITS: u32 = 40;
const BUCKETS: usize = ((VALUE_BITS - PART_BITS + 1) as usize) << PART_BITS;

/// So many buckets are one where less will do.
const COARSE: usize = 4;

/// The bucket of a time.
fn bucket_of(ns: u64) -> usize {
    let ns = ns.min((1 << VALUE_BITS) - 1);
    let shift = (u64::BITS - ns.leading_zeros()).saturating_sub(PART_BITS + 1);
    ((shift as usize) << PART_BITS) + (ns >> shift) as usize
}

/// The shortest time of a bucket.
fn shortest_of(bucket: usize) -> u64 {
    let shift = (bucket >> PART_BITS).saturating_sub(1);
    ((bucket - (shift << PART_BITS)) as u64) << shift
}

/// The time that stands for a bucket: its middle.
fn middle_of(bucket: usize) -> u64 {
    let (shortest, next) = (shortest_of(bucket), shortest_of(bucket + 1));
    shortest + (next - 1 - shortest) / 2
}

/// Counts that any thread adds to.
pub struct Histogram {
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
    shortest: AtomicU64,
    longest: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram {
            counts: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
            shortest: AtomicU64::new(u64::MAX),
            longest: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Counts something that took so long.
    pub fn add(&self, ns: u64) {
        if let Some(count) = self.counts.get(bucket_of(ns)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(ns, Ordering::Relaxed);
        // As a rule neither changes.
        if ns < self.shortest.load(Ordering::Relaxed) {
            self.shortest.fetch_min(ns, Ordering::Relaxed);
        }
        if ns > self.longest.load(Ordering::Relaxed) {
            self.longest.fetch_max(ns, Ordering::Relaxed);
        }
    }
}

/// What several histograms say together. While others count, it is of slightly different moments.
#[derive(Clone, Debug)]
pub struct Distribution {
    counts: Vec<u64>,
    /// How many were counted.
    pub count: u64,
    /// How long they took together.
    pub sum: u64,
    shortest: u64,
    longest: u64,
}

impl Default for Distribution {
    fn default() -> Distribution {
        Distribution { counts: vec![0; BUCKETS], count: 0, sum: 0, shortest: u64::MAX, longest: 0 }
    }
}

impl Distribution {
    /// Adds what `histogram` has counted.
    pub fn add(&mut self, histogram: &Histogram) {
        for (sum, count) in self.counts.iter_mut().zip(&histogram.counts) {
            let count = count.load(Ordering::Relaxed);
            *sum += count;
            self.count += count;
        }
        self.sum += histogram.sum.load(Ordering::Relaxed);
        self.shortest = self.shortest.min(histogram.shortest.load(Ordering::Relaxed));
        self.longest = self.longest.max(histogram.longest.load(Ordering::Relaxed));
    }

    /// The shortest time; 0 if there is none.
    pub fn shortest(&self) -> u64 {
        if self.count == 0 {
            return 0;
        }
        self.shortest.min(self.longest)
    }

    /// The longest time.
    pub fn longest(&self) -> u64 {
        self.longest
    }

    /// The time that `thousandths` of all did not exceed; 0 if there is none.
    pub fn quantile(&self, thousandths: u64) -> u64 {
        let wanted = (self.count * thousandths).div_ceil(1000).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return middle_of(bucket).clamp(self.shortest(), self.longest.max(self.shortest()));
            }
        }
        self.longest
    }

    /// Times with how many took about so long, four buckets taken together: each time is the middle
    /// of them, right to 6 %. Those that were not met are left out.
    pub fn coarse(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.counts.chunks(COARSE).enumerate().filter_map(|(at, counts)| {
            let (shortest, next) = (shortest_of(at * COARSE), shortest_of((at + 1) * COARSE));
            let count = counts.iter().sum();
            (count > 0).then_some((shortest + (next - 1 - shortest) / 2, count))
        })
    }

    /// How many took `ns` at most, as far as buckets tell: those of its own bucket are counted.
    pub fn count_up_to(&self, ns: u64) -> u64 {
        self.counts.iter().take(bucket_of(ns) + 1).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(histograms: &[&Histogram]) -> Distribution {
        let mut sum = Distribution::default();
        histograms.iter().for_each(|histogram| sum.add(histogram));
        sum
    }

    #[test]
    fn buckets_follow_each_other_and_are_narrow() {
        for bucket in 0..BUCKETS - 1 {
            let (from, to) = (shortest_of(bucket), shortest_of(bucket + 1));
            assert!(from < to);
            assert_eq!((bucket_of(from), bucket_of(to - 1)), (bucket, bucket), "{from} to {to}");
            let middle = middle_of(bucket);
            for ns in [from, to - 1] {
                let error = middle.abs_diff(ns) as f64 / ns.max(1) as f64;
                assert!(error <= 0.016, "{ns} is told as {middle}");
            }
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert_eq!(shortest_of(BUCKETS), 1 << VALUE_BITS);
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_times() {
        let histogram = Histogram::default();
        // From nanoseconds to seconds, more of the short ones.
        let mut times: Vec<u64> = (1..=100_000_u64).map(|n| 50 + n * n / 1000 * n / 100).collect();
        times.iter().for_each(|&ns| histogram.add(ns));
        times.sort_unstable();
        let told = all(&[&histogram]);
        assert_eq!((told.count, told.sum), (100_000, times.iter().sum()));
        assert_eq!((told.shortest(), told.longest()), (times[0], times[99_999]));
        for thousandths in [0, 1, 10, 500, 900, 990, 999, 1000] {
            let rank = (100 * thousandths as usize).max(1) - 1;
            let (told, right) = (told.quantile(thousandths) as f64, times[rank] as f64);
            assert!((told / right - 1.0).abs() < 0.017, "{thousandths}: {told}, not {right}");
        }
    }

    #[test]
    fn nothing_is_zero_and_one_is_itself() {
        let (none, one) = (Histogram::default(), Histogram::default());
        let told = all(&[&none]);
        assert_eq!((told.count, told.shortest(), told.quantile(500), told.longest()), (0, 0, 0, 0));
        one.add(12_345);
        let told = all(&[&none, &one]);
        assert_eq!((told.count, told.shortest(), told.longest()), (1, 12_345, 12_345));
        assert_eq!((told.quantile(1), told.quantile(999)), (12_345, 12_345));
        assert_eq!((told.count_up_to(12_000), told.count_up_to(13_000)), (0, 1));
        one.add(u64::MAX >> 1);
        assert_eq!(all(&[&one]).quantile(1000), middle_of(BUCKETS - 1));
    }
}
