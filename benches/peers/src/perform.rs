//! Lists of operations carried out, by one thread or several, while the clock runs.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::data::{key, missing_key, number_of, Key, Operations, Values, WRITE};
use crate::engine::{Engine, Session};
use crate::histogram::Histogram;

/// Operations between two looks at the clock.
const STEP: usize = 1000;
/// Operations of one call, where one call has many.
const AT_ONCE: usize = 100;

/// What is done with each number of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    Put,
    Delete,
    Get,
    View,
    Miss,
    PutMany,
    GetMany,
    /// Put what is marked, get the others.
    Mixed,
    /// Get all, and put what is marked.
    Modify,
}

/// What one thread uses for its lists.
struct Scratch<'v> {
    values: &'v Values,
    /// Of what is written; what is read is no newer.
    phase: u8,
    value: Vec<u8>,
}

impl Scratch<'_> {
    #[inline]
    fn put(&mut self, session: &mut impl Session, number: u64) {
        self.values.make(number, self.phase, &mut self.value);
        session.put(&key(number), &self.value);
    }

    #[inline]
    fn get(&self, session: &mut impl Session, number: u64) {
        let check = |value: &[u8]| self.check(number, value);
        assert!(session.get(&key(number), check), "WRONG DATA: key {number} was not found");
    }

    #[inline]
    fn check(&self, number: u64, value: &[u8]) {
        let phase = self.values.check(number, value);
        assert!(phase <= self.phase, "WRONG DATA: key {number} is of phase {phase}");
    }

    fn put_many(&mut self, session: &mut impl Session, numbers: &[u32]) {
        let len = self.values.len();
        let mut room = std::mem::take(&mut self.value);
        room.resize(AT_ONCE * len, 0);
        for (number, value) in numbers.iter().zip(room.chunks_exact_mut(len)) {
            self.values.make(u64::from(*number), self.phase, value);
        }
        let records: Vec<(Key, &[u8])> = numbers
            .iter()
            .zip(room.chunks_exact(len))
            .map(|(number, value)| (key(u64::from(*number)), value))
            .collect();
        session.put_many(&records);
        self.value = room;
    }

    fn get_many(&self, session: &mut impl Session, numbers: &[u32]) {
        let keys: Vec<Key> = numbers.iter().map(|number| key(u64::from(*number))).collect();
        let mut seen = 0;
        session.get_many(&keys, |at, value| {
            seen += 1;
            self.check(u64::from(numbers[at]), value);
        });
        assert_eq!(seen, keys.len(), "WRONG DATA: a key was not found");
    }

    fn perform(&mut self, session: &mut impl Session, act: Act, operations: &[u32]) {
        let numbers = || operations.iter().map(|op| u64::from(*op));
        match act {
            Act::Put => numbers().for_each(|number| self.put(session, number)),
            Act::Get => numbers().for_each(|number| self.get(session, number)),
            Act::Delete => numbers().for_each(|number| session.delete(&key(number))),
            Act::View => numbers().for_each(|number| {
                let check = |value: &[u8]| self.check(number, value);
                assert!(session.view(&key(number), check), "WRONG DATA: no key {number}");
            }),
            Act::Miss => numbers().for_each(|number| {
                let is_there = session.get(&missing_key(number), |_| {});
                assert!(!is_there, "WRONG DATA: a key was found that was never put");
            }),
            Act::PutMany => operations.chunks(AT_ONCE).for_each(|c| self.put_many(session, c)),
            Act::GetMany => operations.chunks(AT_ONCE).for_each(|c| self.get_many(session, c)),
            Act::Mixed | Act::Modify => {
                for operation in operations {
                    let (number, is_write) = (u64::from(operation & !WRITE), *operation >= WRITE);
                    if !is_write || act == Act::Modify {
                        self.get(session, number);
                    }
                    if is_write {
                        self.put(session, number);
                    }
                }
            }
        }
    }
}

/// Who performs: an engine, and what is written and checked.
pub struct Performer<'a, E> {
    pub engine: &'a E,
    pub values: &'a Values,
    pub phase: u8,
    /// After this time nothing new is begun.
    pub limit: Duration,
}

/// How many operations of each list were done, and how long that took.
pub struct Done {
    pub counts: Vec<usize>,
    pub seconds: f64,
}

impl Done {
    pub fn rate(&self) -> f64 {
        self.counts.iter().sum::<usize>() as f64 / self.seconds
    }
}

impl<E: Engine> Performer<'_, E> {
    fn scratch(&self) -> Scratch<'_> {
        let value = vec![0; self.values.len()];
        Scratch { values: self.values, phase: self.phase, value }
    }

    /// Each list in a thread of its own; a single one in this thread.
    pub fn run(&self, act: Act, lists: &[Operations]) -> Done {
        let one = |list: &Operations, barrier: Option<&Barrier>| {
            let (mut session, mut scratch) = (self.engine.session(), self.scratch());
            barrier.map(Barrier::wait);
            let begin = Instant::now();
            let mut done = 0;
            for step in list.chunks(STEP) {
                scratch.perform(&mut session, act, step);
                done += step.len();
                if begin.elapsed() > self.limit {
                    break;
                }
            }
            (done, begin, Instant::now())
        };
        let together = Barrier::new(lists.len());
        let results: Vec<(usize, Instant, Instant)> = match lists {
            [list] => vec![one(list, None)],
            _ => std::thread::scope(|scope| {
                let (one, barrier) = (&one, &together);
                let start = |list| scope.spawn(move || one(list, Some(barrier)));
                let threads: Vec<_> = lists.iter().map(start).collect();
                let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                };
                threads.into_iter().map(join).collect()
            }),
        };
        let begin = results.iter().map(|(_, begin, _)| *begin).min().expect("there is a list");
        let end = results.iter().map(|(_, _, end)| *end).max().expect("there is a list");
        let counts = results.iter().map(|(done, ..)| *done).collect();
        Done { counts, seconds: (end - begin).as_secs_f64() }
    }

    /// Each operation by itself under the clock.
    pub fn time_each(&self, act: Act, list: &Operations) -> (Done, Histogram) {
        let (mut session, mut scratch) = (self.engine.session(), self.scratch());
        let (mut histogram, begin, mut done) = (Histogram::default(), Instant::now(), 0);
        let mut before = begin;
        for operation in list {
            scratch.perform(&mut session, act, std::slice::from_ref(operation));
            let now = Instant::now();
            histogram.add(now - before);
            before = now;
            done += 1;
            if now - begin > self.limit {
                break;
            }
        }
        let done = Done { counts: vec![done], seconds: begin.elapsed().as_secs_f64() };
        (done, histogram)
    }

    /// Puts for as long as the limit, by so many threads, which take numbers from `first` on.
    /// Returns how many, and the rate.
    pub fn put_for(&self, threads: usize, first: u64) -> (u64, f64) {
        let next = std::sync::atomic::AtomicU64::new(first);
        let begin = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let (mut session, mut scratch) = (self.engine.session(), self.scratch());
                    while begin.elapsed() < self.limit {
                        let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        scratch.put(&mut session, number);
                    }
                });
            }
        });
        let count = next.into_inner() - first;
        (count, count as f64 / begin.elapsed().as_secs_f64())
    }

    /// Walks over everything; `see` is told each number and its phase. Returns how many.
    pub fn scan(&self, mut see: impl FnMut(u64, u8)) -> u64 {
        let mut count = 0;
        self.engine.session().scan(|key, value| {
            let number = number_of(key);
            see(number, self.values.check(number, value));
            count += 1;
        });
        count
    }
}
