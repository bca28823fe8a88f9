//! How long operations and background jobs take, if the options ask for it.
//!
//! Asking a clock twice takes a fifth of a fast get. So of short operations one in
//! [`SAMPLED`] is timed, at random distances, so that no rhythm of the program's falls in with
//! it: the quantiles stay right, and counts are to be multiplied. What takes longer is always
//! timed. Each thread adds to one of several histograms, so that few share a cache line.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::herald::ns;
use super::Engine;
use crate::histogram::{Distribution, Histogram};

/// What is timed. The numbers are those of the C interface: they stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Reading a value.
    Get = 0,
    /// Putting a value, on whatever conditions.
    Put = 1,
    /// Deleting a key.
    Delete = 2,
    /// Asking whether a key is there.
    Exists = 3,
    /// Making a view.
    View = 4,
    /// Writing a batch.
    Write = 5,
    /// Adding to a counter.
    Add = 6,
    /// Setting when a value expires.
    Touch = 7,
    /// Reading many values at once.
    GetMany = 8,
    /// The next step of an iterator.
    Iterate = 9,
    /// Waiting until all is on the medium.
    Sync = 10,
    /// In the background: putting the log on the medium, for all who wait.
    LogSync = 11,
    /// In the background: sealing full segments.
    Seal = 12,
    /// In the background: compacting a group of segments.
    Compaction = 13,
    /// In the background: writing the hint of a segment.
    Hint = 14,
    /// In the background: writing a checkpoint.
    Checkpoint = 15,
}

/// Every operation, by number, with its name and how many of it are as one that is timed.
pub const OPERATIONS: [(Operation, &CStr, u32); 16] = [
    (Operation::Get, c"get", SAMPLED),
    (Operation::Put, c"put", SAMPLED),
    (Operation::Delete, c"delete", SAMPLED),
    (Operation::Exists, c"exists", SAMPLED),
    (Operation::View, c"view", SAMPLED),
    (Operation::Write, c"write", 1),
    (Operation::Add, c"add", SAMPLED),
    (Operation::Touch, c"touch", SAMPLED),
    (Operation::GetMany, c"get_many", 1),
    (Operation::Iterate, c"iterate", SAMPLED),
    (Operation::Sync, c"sync", 1),
    (Operation::LogSync, c"log_sync", 1),
    (Operation::Seal, c"seal", 1),
    (Operation::Compaction, c"compaction", 1),
    (Operation::Hint, c"hint", 1),
    (Operation::Checkpoint, c"checkpoint", 1),
];

/// Of short operations, one in so many is timed, on average. A power of two.
pub const SAMPLED: u32 = 32;

/// Histograms for each operation.
const SHARDS: usize = 8;

thread_local! {
    /// How many short operations of this thread go untimed before the next one, and what the
    /// distance after that is drawn from.
    static TURN: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
}

/// Whether it is this operation's turn to be timed.
#[inline(always)]
fn is_turn() -> bool {
    TURN.with(|turn| {
        let (left, random) = turn.get();
        if left > 0 {
            turn.set((left - 1, random));
            return false;
        }
        draw(turn, random)
    })
}

/// Draws the distance to the next one: 0 to twice the average.
#[cold]
fn draw(turn: &Cell<(u32, u32)>, random: u32) -> bool {
    // Each thread begins elsewhere. After Marsaglia's "Xorshift RNGs", 2003.
    let mut random = if random == 0 { place_of(turn) | 1 } else { random };
    random ^= random << 13;
    random ^= random >> 17;
    random ^= random << 5;
    turn.set(((random >> 8) % (2 * SAMPLED - 1), random));
    true
}

fn place_of(turn: &Cell<(u32, u32)>) -> u32 {
    let address = std::ptr::from_ref(turn).addr() as u64;
    (address.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

/// The histogram that this thread adds to.
fn my_shard() -> usize {
    TURN.with(place_of) as usize % SHARDS
}

/// The histograms of one database.
pub struct Histograms {
    is_on: AtomicBool,
    histograms: [[OnceLock<Box<Histogram>>; SHARDS]; OPERATIONS.len()],
    /// What asking the clock twice takes by itself.
    clock_ns: u64,
}

impl Histograms {
    /// Empty ones. Each is made when it is first needed.
    pub fn new(is_on: bool) -> Histograms {
        let pair = |_| {
            let began = Instant::now();
            ns(began.elapsed())
        };
        let clock_ns = (0..100).map(pair).min().unwrap_or(0);
        Histograms {
            is_on: AtomicBool::new(is_on),
            histograms: [const { [const { OnceLock::new() }; SHARDS] }; OPERATIONS.len()],
            clock_ns,
        }
    }

    /// Whether anything is timed.
    #[inline(always)]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Begins to time, or leaves off.
    pub fn switch(&self, is_on: bool) {
        self.is_on.store(is_on, Ordering::Relaxed);
    }

    /// Counts an operation that took so long.
    fn add(&self, operation: Operation, took: Duration) {
        let shards = &self.histograms[operation as usize];
        let histogram = shards[my_shard()].get_or_init(Box::default);
        histogram.add(ns(took).saturating_sub(self.clock_ns));
    }

    /// All that is known of an operation.
    pub fn of(&self, operation: Operation) -> Distribution {
        let mut sum = Distribution::default();
        let shards = &self.histograms[operation as usize];
        shards.iter().filter_map(OnceLock::get).for_each(|histogram| sum.add(histogram));
        sum
    }
}

/// How long an operation takes.
pub struct Latency {
    /// Its name.
    pub name: &'static CStr,
    /// Of so many, one was timed, on average.
    pub one_in: u64,
    /// Those that were timed.
    pub times: Distribution,
}

impl Engine {
    /// How long the operation with this number takes; none if there is none. All zeros if the
    /// options do not ask for it.
    pub fn latency(&self, number: usize) -> Option<Latency> {
        let (operation, name, one_in) = *OPERATIONS.get(number)?;
        let times = self.latency.of(operation);
        Some(Latency { name, one_in: u64::from(one_in), times })
    }

    /// What keeps the times, for benchmarks.
    pub fn histograms(&self) -> &Histograms {
        &self.latency
    }

    /// Does something short; times it now and then.
    #[inline(always)]
    pub fn sampled<R>(&self, operation: Operation, work: impl FnOnce() -> R) -> R {
        let began = match self.latency.is_on() && is_turn() {
            true => Some(Instant::now()),
            false => None,
        };
        let result = work();
        if let Some(began) = began {
            self.note_time(operation, began);
        }
        result
    }

    /// Does something that takes its time, and times it.
    pub fn timed<R>(&self, operation: Operation, work: impl FnOnce() -> R) -> R {
        let began = self.latency.is_on().then(Instant::now);
        let result = work();
        if let Some(began) = began {
            self.note_time(operation, began);
        }
        result
    }

    #[cold]
    fn note_time(&self, operation: Operation, began: Instant) {
        self.latency.add(operation, began.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places_in_the_table_and_names_are_unique() {
        for (at, (operation, name, often)) in OPERATIONS.into_iter().enumerate() {
            assert_eq!(operation as usize, at);
            assert!(often == 1 || often == SAMPLED);
            assert_eq!(OPERATIONS.iter().filter(|(_, other, _)| *other == name).count(), 1);
        }
    }

    #[test]
    fn one_in_so_many_is_timed_whatever_the_rhythm() {
        const ROUNDS: u32 = 100_000;
        for period in [1, 2, 16, 32, 33] {
            let mut timed = vec![0_u32; period];
            for at in 0..ROUNDS as usize * period {
                timed[at % period] += u32::from(is_turn());
            }
            for count in timed {
                let expected = f64::from(ROUNDS) / f64::from(SAMPLED);
                let deviation = (f64::from(count) - expected).abs() / expected.sqrt();
                assert!(deviation < 6.0, "period {period}: {count} times, not {expected}");
            }
        }
    }

    #[test]
    fn threads_add_up() {
        let latency = Histograms::new(true);
        std::thread::scope(|scope| {
            for thread in 1..=20_u64 {
                let latency = &latency;
                scope.spawn(move || {
                    for _ in 0..100 {
                        latency.add(Operation::Seal, Duration::from_micros(thread));
                    }
                });
            }
        });
        let told = latency.of(Operation::Seal);
        assert_eq!(told.count, 2000);
        assert!(told.longest() <= 20_000 && told.longest() + latency.clock_ns == 20_000);
        assert!(told.quantile(500).abs_diff(10_000) < 1_000);
        assert_eq!(latency.of(Operation::Hint).count, 0);
    }
}
