//! What was done while the disk was recorded: for each step of each thread, between which entries
//! of the record it was begun and acknowledged.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::judge::{now_ms, Content, Track};
use crate::shared::Shared;
use crate::tale::{self, Held, Operation, KEYS, THREADS};
use crate::worker::Scribe;

/// How the failure begins that is about content.
pub const MISFIT: &str = "it fits no step";

/// Steps of a thread, at most.
pub const MOST_STEPS: u64 = 4_000;
/// Opens and closes, at most.
const MOST_FLOORS: usize = 60;

const BEGUN: usize = 0;
const ACKNOWLEDGED: usize = THREADS;
const FLOORS: usize = 2 * THREADS;
const FLOORS_AT: usize = FLOORS + 1;
const OF_A_FLOOR: usize = 1 + THREADS;
const STEPS_AT: usize = FLOORS_AT + MOST_FLOORS * OF_A_FLOOR;

const BEGUN_AT: usize = 0;
const ACKNOWLEDGED_AT: usize = 1;
const BEGUN_MS: usize = 2;
const ACKNOWLEDGED_MS: usize = 3;
const IS_DURABLE: usize = 4;
const SEEN: usize = 5;
const OF_A_STEP: usize = SEEN + THREADS;

/// No entry has this number.
const NEVER: u64 = 0;

pub struct History {
    words: Shared,
    seed: u64,
    /// The record, whose head has the number of its entries.
    record: File,
    is_always: bool,
    /// Threads stop behind these steps.
    ends: [AtomicU64; THREADS],
    /// The process kills itself before this step of this thread.
    death: (usize, u64),
}

impl History {
    pub fn open(path: &Path, record: &Path, seed: u64) -> History {
        let words = STEPS_AT + THREADS * (MOST_STEPS as usize + 1) * OF_A_STEP;
        History {
            words: Shared::open(path, words),
            seed,
            record: File::open(record).expect("the record can be opened"),
            is_always: false,
            ends: Default::default(),
            death: (THREADS, 0),
        }
    }

    /// For one phase: whether writes are durable when they are acknowledged, how many steps each
    /// thread does, and at which one the process dies.
    pub fn begin_phase(&mut self, is_always: bool, steps: u64, death: Option<(usize, u64)>) {
        self.is_always = is_always;
        for thread in 0..THREADS {
            let end = (self.acknowledged(thread) + steps).min(MOST_STEPS);
            self.ends[thread].store(end, Ordering::SeqCst);
        }
        let dies = |(thread, step)| (thread, self.acknowledged(thread) + 1 + step);
        self.death = death.map_or((THREADS, 0), dies);
    }

    /// Entries of the record.
    fn entries(&self) -> u64 {
        let mut bytes = [0; 8];
        self.record.read_exact_at(&mut bytes, 16).expect("the record can be read");
        u64::from_le_bytes(bytes)
    }

    fn word(&self, thread: usize, step: u64, word: usize) -> usize {
        STEPS_AT + (thread * (MOST_STEPS as usize + 1) + step as usize) * OF_A_STEP + word
    }

    fn get(&self, thread: usize, step: u64, word: usize) -> u64 {
        self.words.get(self.word(thread, step, word))
    }

    fn set(&self, thread: usize, step: u64, word: usize, number: u64) {
        self.words.set(self.word(thread, step, word), number);
    }

    fn begun(&self, thread: usize) -> u64 {
        self.words.get(BEGUN + thread)
    }

    pub fn acknowledged(&self, thread: usize) -> u64 {
        self.words.get(ACKNOWLEDGED + thread)
    }

    /// Notes that all that was acknowledged is on the medium: after a close, or an open of what was
    /// closed.
    pub fn note_floor(&self) {
        let floor = self.words.get(FLOORS) as usize;
        assert!(floor < MOST_FLOORS, "fewer phases");
        let at = FLOORS_AT + floor * OF_A_FLOOR;
        for thread in 0..THREADS {
            self.words.set(at + 1 + thread, self.acknowledged(thread));
        }
        self.words.set(at, self.entries());
        self.words.set(FLOORS, floor as u64 + 1);
    }

    fn times(&self, thread: usize, step: u64) -> (u64, u64) {
        (self.get(thread, step, BEGUN_MS), self.get(thread, step, ACKNOWLEDGED_MS))
    }

    /// The steps from `low` to `high` after which the keys of a thread are as they were found.
    fn candidates(
        &self,
        content: &Content,
        thread: usize,
        low: u64,
        high: u64,
    ) -> Result<Vec<u64>, String> {
        let mut track = Track::new(content, thread, vec![Held::NOTHING; KEYS]);
        let mut candidates = Vec::new();
        let mut nearest = (usize::MAX, String::new());
        for step in 0..=high {
            if step > 0 {
                let operation = tale::operation(self.seed, thread, step);
                track.advance(&operation, step, self.times(thread, step));
            }
            if step >= low && track.fits() {
                candidates.push(step);
            } else if step >= low && track.misfits() < nearest.0 {
                nearest = (track.misfits(), format!("after step {step}, {}", track.misfit()));
            }
        }
        if candidates.is_empty() {
            let (count, what) = nearest;
            return Err(format!("{MISFIT} of {low}..={high}; {count} misfits: {what}"));
        }
        Ok(candidates)
    }

    /// What a killed process left must have all that was acknowledged. Goes on from what it has.
    pub fn resume(&self, content: &Content) -> Result<(), String> {
        for thread in 0..THREADS {
            let (begun, done) = (self.begun(thread), self.acknowledged(thread));
            if begun > done {
                self.set(thread, begun, ACKNOWLEDGED_MS, now_ms());
            }
            let found = self.candidates(content, thread, done, begun)?[0];
            self.words.set(BEGUN + thread, found);
            self.words.set(ACKNOWLEDGED + thread, found);
        }
        Ok(())
    }

    /// Whether a disk that stopped when the record had `entries` may hold `content`.
    ///
    /// What was on the medium by then must be there, nothing that was begun later, and of each
    /// thread, what was acknowledged before a step that is there was begun.
    pub fn judge(&self, content: &Content, entries: u64) -> Result<(), String> {
        let (low, high) = self.bounds(entries);
        let mut candidates = Vec::new();
        for thread in 0..THREADS {
            candidates.push(self.candidates(content, thread, low[thread], high[thread])?);
        }
        let mut chosen: Vec<u64> = candidates.iter().map(|steps| steps[0]).collect();
        // Taking a later one asks for more of the others, so the least that is asked for is taken.
        loop {
            let mut changed = false;
            for thread in 0..THREADS {
                for other in (0..THREADS).filter(|other| *other != thread) {
                    let asked = match chosen[thread] {
                        0 => 0,
                        step => self.get(thread, step, SEEN + other),
                    };
                    if asked <= chosen[other] {
                        continue;
                    }
                    let Some(later) = candidates[other].iter().find(|step| **step >= asked) else {
                        return Err(format!(
                            "step {} of thread {thread} is there, but not step {asked} of thread \
                             {other}, which was acknowledged before that began",
                            chosen[thread]
                        ));
                    };
                    chosen[other] = *later;
                    changed = true;
                }
            }
            if !changed {
                return Ok(());
            }
        }
    }

    /// Between which steps each thread must be.
    fn bounds(&self, entries: u64) -> ([u64; THREADS], [u64; THREADS]) {
        let (mut low, mut high) = ([0; THREADS], [0; THREADS]);
        for floor in 0..self.words.get(FLOORS) as usize {
            let at = FLOORS_AT + floor * OF_A_FLOOR;
            if self.words.get(at) <= entries {
                for (thread, low) in low.iter_mut().enumerate() {
                    *low = (*low).max(self.words.get(at + 1 + thread));
                }
            }
        }
        for thread in 0..THREADS {
            for step in 1..=self.begun(thread) {
                if self.get(thread, step, BEGUN_AT) <= entries {
                    high[thread] = step;
                }
                let acknowledged = self.get(thread, step, ACKNOWLEDGED_AT);
                if acknowledged == NEVER || acknowledged > entries {
                    continue;
                }
                if matches!(tale::operation(self.seed, thread, step), Operation::Sync) {
                    for (other, low) in low.iter_mut().enumerate() {
                        *low = (*low).max(self.get(thread, step, SEEN + other));
                    }
                } else if self.get(thread, step, IS_DURABLE) != 0 {
                    low[thread] = low[thread].max(step);
                }
            }
        }
        (low, high)
    }

    pub fn steps(&self) -> u64 {
        (0..THREADS).map(|thread| self.acknowledged(thread)).sum()
    }
}

impl Scribe for History {
    fn begin(&self, thread: usize, step: u64, _: &Operation) -> bool {
        if step > self.ends[thread].load(Ordering::SeqCst) {
            return false;
        }
        for other in 0..THREADS {
            self.set(thread, step, SEEN + other, self.acknowledged(other));
        }
        self.set(thread, step, ACKNOWLEDGED_AT, NEVER);
        self.set(thread, step, IS_DURABLE, u64::from(self.is_always));
        self.set(thread, step, BEGUN_MS, now_ms());
        self.set(thread, step, BEGUN_AT, self.entries());
        self.words.set(BEGUN + thread, step);
        if self.death == (thread, step) {
            // SAFETY: this very process; it does not return.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        }
        true
    }

    fn acknowledge(&self, thread: usize, step: u64, _: &Operation) {
        self.set(thread, step, ACKNOWLEDGED_MS, now_ms());
        self.set(thread, step, ACKNOWLEDGED_AT, self.entries());
        self.words.set(ACKNOWLEDGED + thread, step);
    }
}
