//! What has been done in a history so far: steps, and crash states by their depth.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// How many recoveries in a row may crash.
pub const DEPTHS: usize = 3;

/// Numbers of what was examined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub histories: u64,
    /// Crash states.
    pub states: u64,
    /// Those of them that a crash in a recovery left, by how many recoveries crashed in a row.
    pub nested: [u64; DEPTHS],
    /// States in which files were changed, besides.
    pub damaged: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.histories += other.histories;
        self.states += other.states;
        self.damaged += other.damaged;
        for (sum, more) in self.nested.iter_mut().zip(other.nested) {
            *sum += more;
        }
    }
}

/// The record of one history.
#[derive(Default)]
pub struct Trace {
    histories: AtomicU64,
    states: AtomicU64,
    nested: [AtomicU64; DEPTHS],
    damaged: AtomicU64,
    begun: Mutex<Vec<(usize, usize)>>,
    /// Whether steps are printed.
    tells: bool,
}

impl Trace {
    pub fn new(tells: bool) -> Trace {
        Trace { tells, ..Trace::default() }
    }

    /// Notes that a step begins.
    #[allow(clippy::print_stdout, reason = "who replays a history wants to see its steps")]
    pub fn begin(&self, part: usize, step: usize, what: impl FnOnce() -> String) {
        self.begun.lock().push((part, step));
        if self.tells {
            println!("{part}.{step}: {}", what());
        }
    }

    /// Counts a crash state.
    pub fn count_state(&self) {
        self.states.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a state in which files were changed.
    pub fn count_damaged(&self) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a state as one that a crash left of so many recoveries in a row.
    pub fn count_nested(&self, depth: usize) {
        self.nested[depth - 1].fetch_add(1, Ordering::Relaxed);
    }

    pub fn count_history(&self) {
        self.histories.fetch_add(1, Ordering::Relaxed);
    }

    /// The steps that were begun.
    pub fn begun(&self) -> Vec<(usize, usize)> {
        self.begun.lock().clone()
    }

    pub fn tally(&self) -> Tally {
        Tally {
            histories: self.histories.load(Ordering::Relaxed),
            states: self.states.load(Ordering::Relaxed),
            damaged: self.damaged.load(Ordering::Relaxed),
            nested: self.nested.each_ref().map(|count| count.load(Ordering::Relaxed)),
        }
    }
}
