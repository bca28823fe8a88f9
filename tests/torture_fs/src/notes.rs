//! What a process that is killed leaves to the next one: of each thread, how far it has come and
//! what its keys hold.
//!
//! A step is noted in this order: what it needs to be done again, `begun`, the step itself,
//! `acknowledged`, what the keys hold now, `applied`. Whoever finds `applied` behind `acknowledged`
//! takes down the keys again, to the same effect.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::judge::{now_ms, Content, Track};
use crate::shared::Shared;
use crate::tale::{self, Held, Operation, KEYS, THREADS};
use crate::worker::Scribe;

/// What a process is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    Starting,
    Opening,
    Checking,
    Working,
    Compacting,
    Closing,
}

pub const STAGES: usize = 6;

const STAGE: usize = 0;
const CHECKED: usize = 1;
const THREADS_AT: usize = 8;

const BEGUN: usize = 0;
const ACKNOWLEDGED: usize = 1;
const APPLIED: usize = 2;
const BEGUN_MS: usize = 3;
const ACKNOWLEDGED_MS: usize = 4;
const SUM: usize = 5;
const HELD_AT: usize = 8;
const OF_A_THREAD: usize = HELD_AT + KEYS * 4;

pub struct Notes {
    words: Shared,
    seed: u64,
    is_ending: AtomicBool,
}

impl Notes {
    pub fn open(path: &Path, seed: u64) -> Notes {
        let words = Shared::open(path, THREADS_AT + THREADS * OF_A_THREAD);
        Notes { words, seed, is_ending: AtomicBool::new(false) }
    }

    pub fn stage(&self) -> u64 {
        self.words.get(STAGE)
    }

    pub fn enter(&self, stage: Stage) {
        self.words.set(STAGE, stage as u64);
    }

    /// How many processes have looked at what the one before left.
    pub fn checked(&self) -> u64 {
        self.words.get(CHECKED)
    }

    fn get(&self, thread: usize, word: usize) -> u64 {
        self.words.get(THREADS_AT + thread * OF_A_THREAD + word)
    }

    fn set(&self, thread: usize, word: usize, number: u64) {
        self.words.set(THREADS_AT + thread * OF_A_THREAD + word, number);
    }

    fn held(&self, thread: usize, key: usize) -> Held {
        let word = |at| self.get(thread, HELD_AT + key * 4 + at);
        Held { step: word(0), sum: word(1) as i64, early: word(2), late: word(3) }
    }

    fn hold(&self, thread: usize, key: usize, held: &Held) {
        let words = [held.step, held.sum as u64, held.early, held.late];
        for (at, word) in words.into_iter().enumerate() {
            self.set(thread, HELD_AT + key * 4 + at, word);
        }
    }

    /// Notes what an acknowledged step has made of the keys.
    fn apply(&self, thread: usize, step: u64, operation: &Operation) {
        let times = (self.get(thread, BEGUN_MS), self.get(thread, ACKNOWLEDGED_MS));
        let sum = self.get(thread, SUM) as i64;
        for (key, held) in operation.changes(step, times, sum, |key| self.held(thread, key)) {
            self.hold(thread, key, &held);
        }
        self.set(thread, APPLIED, step);
    }

    fn note_done(&self, thread: usize, step: u64, operation: &Operation) {
        self.set(thread, ACKNOWLEDGED_MS, now_ms());
        self.set(thread, ACKNOWLEDGED, step);
        self.apply(thread, step, operation);
    }

    /// Steps that were acknowledged, by all threads.
    pub fn steps(&self) -> u64 {
        (0..THREADS).map(|thread| self.get(thread, ACKNOWLEDGED)).sum()
    }

    /// What the last process has left must be what its notes say: all that was acknowledged, and of
    /// each thread the step under way or not. Notes which it was.
    pub fn judge(&self, content: &Content) -> Result<(), String> {
        for thread in 0..THREADS {
            let (begun, done) = (self.get(thread, BEGUN), self.get(thread, ACKNOWLEDGED));
            if self.get(thread, APPLIED) < done {
                self.apply(thread, done, &tale::operation(self.seed, thread, done));
            }
            let held = (0..KEYS).map(|key| self.held(thread, key)).collect();
            let mut track = Track::new(content, thread, held);
            if track.fits() {
                self.set(thread, BEGUN, done);
                continue;
            }
            let without = track.misfit();
            if begun > done {
                let operation = tale::operation(self.seed, thread, begun);
                track.advance(&operation, begun, (self.get(thread, BEGUN_MS), now_ms()));
            }
            if !track.fits() {
                let with = track.misfit();
                return Err(format!("{done} done, {begun} begun: {without}; with it: {with}"));
            }
            self.note_done(thread, begun, &tale::operation(self.seed, thread, begun));
        }
        self.words.set(CHECKED, self.checked() + 1);
        Ok(())
    }

    /// Lets the threads of this process come to an end.
    pub fn end(&self) {
        self.is_ending.store(true, Ordering::SeqCst);
    }

    /// The step with which a thread goes on.
    pub fn next(&self, thread: usize) -> u64 {
        self.get(thread, ACKNOWLEDGED) + 1
    }
}

impl Scribe for Notes {
    fn begin(&self, thread: usize, step: u64, operation: &Operation) -> bool {
        if self.is_ending.load(Ordering::SeqCst) {
            return false;
        }
        self.set(thread, BEGUN_MS, now_ms());
        if let Some((key, delta)) = operation.addend() {
            self.set(thread, SUM, (self.held(thread, key).sum + delta) as u64);
        }
        self.set(thread, BEGUN, step);
        true
    }

    fn acknowledge(&self, thread: usize, step: u64, operation: &Operation) {
        self.note_done(thread, step, operation);
    }
}
