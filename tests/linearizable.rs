//! Is a database that many threads use at once linearizable? Their calls are recorded with times
//! and answers, and a checker looks for an order that explains all of them.
//!
//! Single writes, conditional ones, counters and batches fight over a few hot keys, which snapshots
//! look at together, and many others make the index grow, while the log rolls, is sealed, compacted
//! and synced all the time, and the database is closed and opened between the phases. The reads
//! after the last opening are part of the history. `KV_TEST_SEED` gives other histories (not other
//! interleavings: these are the machine's), `KV_TEST_SECONDS` more of them.
#![allow(clippy::print_stdout, reason = "a test says how much it has done")]

mod calls;
mod checker;
mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use calls::{length_of, Planned, Recorder, HOT_KEYS};
use common::linear::{check, Effort, Event};
use common::{seed, Random, TempDir};
use kv::db::Db;
use kv::options::{Options, ReadMode, SyncLevel};

const PATIENCE: Duration = Duration::from_secs(60);

/// One history: a database from its creation to the last read.
#[derive(Clone, Copy, Debug)]
struct Course {
    seed: u64,
    sync: SyncLevel,
    read_mode: ReadMode,
    threads: usize,
    /// All threads do something with the same keys at the same time, instead of random ones.
    in_step: bool,
    /// How often the database is closed and opened again.
    phases: usize,
    /// By each thread in each phase.
    operations: u64,
}

impl Course {
    fn options(&self) -> Options {
        Options {
            segment_size: 1 << 20,
            sync: self.sync,
            sync_interval_ms: 3,
            read_mode: self.read_mode,
            ..Options::default()
        }
    }

    fn run(&self, path: &Path) -> Vec<Event> {
        let clock = AtomicU64::new(1);
        let mut history = Vec::new();
        for phase in 0..self.phases {
            let db = Db::open(path, &self.options()).expect("open");
            // What the log says must be what was served from memory.
            let mut reader = self.recorder(&clock, phase, self.threads);
            (0..HOT_KEYS).for_each(|key| reader.call(&db, &Planned::Get { key }));
            history.extend(reader.events());
            history.extend(self.phase(&db, &clock, phase));
            db.close().expect("close");
        }
        let db = Db::open(path, &self.options()).expect("open at the end");
        let mut reader = self.recorder(&clock, self.phases, 0);
        let mut keys: Vec<u64> = history.iter().flat_map(|event| event.what.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            reader.call(&db, &Planned::Get { key });
            reader.call(&db, &Planned::Length { key });
        }
        history.extend(reader.events());
        history
    }

    fn recorder<'a>(&self, clock: &'a AtomicU64, phase: usize, thread: usize) -> Recorder<'a> {
        let number = (phase * (self.threads + 1) + thread) as u64 + 1;
        let random = Random(Random(self.seed ^ number << 32).next());
        Recorder::new(clock, thread, random, number)
    }

    /// All threads work on `db`, while it is compacted and synced.
    fn phase(&self, db: &Db, clock: &AtomicU64, phase: usize) -> Vec<Event> {
        let (stop, met) = (AtomicBool::new(false), AtomicUsize::new(0));
        let goes_on = || !stop.load(Ordering::Relaxed);
        std::thread::scope(|scope| {
            let work = |thread| {
                let recorder = self.recorder(clock, phase, thread);
                let met = &met;
                scope.spawn(move || self.work(db, recorder, phase, met))
            };
            let workers: Vec<_> = (0..self.threads).map(work).collect();
            scope.spawn(|| {
                while goes_on() {
                    db.compact().expect("compact");
                    std::thread::sleep(Duration::from_micros(500));
                }
            });
            scope.spawn(|| {
                while goes_on() {
                    db.sync().expect("sync");
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
            let events: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
            stop.store(true, Ordering::Relaxed);
            events.into_iter().flat_map(|events| events.expect("a thread worked")).collect()
        })
    }

    /// One thread of a phase. `met` counts how often threads were ready.
    fn work(&self, db: &Db, mut recorder: Recorder, phase: usize, met: &AtomicUsize) -> Vec<Event> {
        let first = phase as u64 * self.operations;
        let steps = first..first + self.operations;
        let plan: Vec<_> = steps.map(|step| recorder.plan(step, self.in_step)).collect();
        for (at, planned) in plan.iter().enumerate() {
            if at == 0 || self.in_step {
                // Not a barrier of the library: it wakes one thread long after the other.
                met.fetch_add(1, Ordering::SeqCst);
                let (begin, mut spins) = (Instant::now(), 0);
                while met.load(Ordering::SeqCst) < (at + 1) * self.threads {
                    spins += 1;
                    if spins % 1_000 == 0 {
                        assert!(begin.elapsed() < PATIENCE, "another thread does not come");
                        std::thread::yield_now();
                    }
                }
            }
            recorder.call(db, planned);
        }
        recorder.events().collect()
    }
}

/// What all histories of a test had together.
#[derive(Default)]
struct Totals {
    histories: usize,
    effort: Effort,
}

impl Totals {
    fn run(&mut self, course: &Course, directory: &TempDir) {
        let path = directory.join(&format!("db-{}", self.histories));
        let history = course.run(&path);
        match check(&history, &length_of) {
            Ok(effort) => self.effort.add(&effort),
            Err(failure) => panic!("{course:?}: {failure}"),
        }
        std::fs::remove_dir_all(&path).expect("the database can be removed");
        self.histories += 1;
    }

    /// Says what was done.
    fn conclude(&self, begin: Instant) {
        let (histories, effort) = (self.histories, self.effort);
        println!("{histories} histories in {:.1} s: {effort:?}", begin.elapsed().as_secs_f32());
        assert!(effort.overlapping > 0, "no two operations overlapped: nothing was tested");
    }
}

/// Runs `usual` histories, or more if KV_TEST_SECONDS says so.
fn run_courses(directory: &TempDir, usual: usize, course: impl Fn(usize) -> Course) {
    let begin = Instant::now();
    let seconds = std::env::var("KV_TEST_SECONDS").ok().and_then(|text| text.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(0));
    let mut totals = Totals::default();
    while totals.histories < usual || begin.elapsed() < time {
        totals.run(&course(totals.histories), directory);
    }
    totals.conclude(begin);
}

const READ_MODES: [ReadMode; 2] = [ReadMode::Mmap, ReadMode::Pread];

#[test]
fn histories_of_threads_are_linearizable() {
    run_courses(&TempDir::new("linearizable"), 6, |round| {
        let sync = [SyncLevel::None, SyncLevel::Interval, SyncLevel::Always][round / 2 % 3];
        Course {
            seed: seed().wrapping_add(round as u64),
            sync,
            read_mode: READ_MODES[round % 2],
            threads: 3 + round % 2,
            in_step: false,
            phases: 3,
            operations: if sync == SyncLevel::Always { 400 } else { 12_000 },
        }
    });
}

/// An order that only the log has shows at the next opening, and only in what was written last: so
/// every key is fought over once.
#[test]
fn what_is_found_after_opening_is_what_was_served_before() {
    run_courses(&TempDir::in_memory("linearizable"), 8, |round| Course {
        seed: seed().wrapping_add(1 << 32 | round as u64),
        sync: SyncLevel::None,
        read_mode: READ_MODES[round % 2],
        threads: 2 + round / 4 % 2,
        in_step: true,
        phases: 5,
        operations: 1_000,
    });
}
