//! Are snapshots and iterators of one moment, while many threads write and the database is
//! compacted? Calls are recorded with times and answers, and a checker looks for an order that
//! explains all of them. `KV_TEST_SEED` gives other histories, `KV_TEST_SECONDS` more of them.
#![allow(clippy::print_stdout, reason = "a test says how much it has done")]

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::linear::{check, Effort, Event, What};
use common::{seed, Random, TempDir};
use kv::db::{Db, Iter, WriteBatch, WriteSync};
use kv::options::{CompactionMode, Options, ReadMode, SyncLevel};

fn options(read_mode: ReadMode) -> Options {
    Options {
        segment_size: 1 << 20,
        sync: SyncLevel::None,
        compaction: CompactionMode::Manual,
        read_mode,
        ..Options::default()
    }
}

/// Keys that all threads fight for.
const HOT_KEYS: u64 = 4;

/// One thread's part of a history.
struct Recorder<'a> {
    db: &'a Db,
    clock: &'a AtomicU64,
    thread: usize,
    random: Random,
    events: Vec<Event>,
}

fn bytes_of(value: u64) -> Vec<u8> {
    let len = if value.is_multiple_of(20) { 5_000 } else { 8 + value as usize % 90 };
    let mut bytes = vec![value as u8; len];
    bytes[..8].copy_from_slice(&value.to_le_bytes());
    bytes
}

fn value_of(bytes: &[u8]) -> u64 {
    let value = u64::from_le_bytes(*bytes.first_chunk().expect("no value is so short"));
    assert!(bytes == bytes_of(value), "a value that nobody wrote");
    value
}

impl Recorder<'_> {
    fn record(&mut self, call: impl FnOnce(&Db, &mut Random) -> What) {
        let called = self.clock.fetch_add(1, Ordering::SeqCst);
        let what = call(self.db, &mut self.random);
        let returned = self.clock.fetch_add(1, Ordering::SeqCst);
        self.events.push(Event { thread: self.thread, called, returned, what });
    }

    fn act(&mut self, number: u64) {
        let value = (self.thread as u64) << 32 | number;
        let key = self.random.below(HOT_KEYS);
        match self.random.below(16) {
            0..=5 => self.record(|db, _| {
                db.put(&key.to_le_bytes(), &bytes_of(value)).expect("put");
                What::Put { key, value }
            }),
            6 => self.record(|db, _| {
                let was_there = db.delete(&key.to_le_bytes()).expect("delete");
                What::Delete { key, was_there }
            }),
            7..=8 => self.record(|db, random| {
                let first = random.below(HOT_KEYS - 1);
                let pairs = [
                    (first, Some(value)),
                    (first + 1, (!value.is_multiple_of(3)).then_some(value)),
                ];
                let mut batch = WriteBatch::default();
                for (key, value) in &pairs {
                    match value {
                        Some(value) => batch.put(&key.to_le_bytes(), &bytes_of(*value), 0),
                        None => batch.delete(&key.to_le_bytes()),
                    }
                    .expect("the batch grows");
                }
                db.write(&batch, WriteSync::AsOpened).expect("write");
                What::Batch(pairs.to_vec())
            }),
            9..=11 => self.snapshot(),
            _ => self.record(|db, _| {
                let found = db.get(&key.to_le_bytes(), value_of).expect("get");
                What::Get { key, found }
            }),
        }
    }

    /// The snapshot is of the time at which it is taken, whenever it is read, and however.
    fn snapshot(&mut self) {
        let (mut taken, mut iter) = (None, None);
        let way = self.random.below(4);
        self.record(|db, _| {
            if way > 0 {
                taken = Some(db.open_snapshot().expect("a snapshot"));
            } else {
                iter = Some(db.open_iter(None, &[]).expect("an iterator"));
            }
            What::Snapshot(Vec::new())
        });
        if self.random.below(2) == 0 {
            std::thread::yield_now();
        }
        if way == 1 {
            iter = Some(self.db.open_iter(taken.as_ref(), &[]).expect("an iterator"));
        }
        let pairs: Vec<_> = match (&mut iter, &taken) {
            (Some(iter), _) => self.walk(iter),
            (None, Some(snapshot)) => (0..HOT_KEYS)
                .map(|key| {
                    let found = self.db.get_at(snapshot, &key.to_le_bytes(), value_of);
                    (key, found.expect("get"))
                })
                .collect(),
            _ => Vec::new(),
        };
        taken.into_iter().for_each(|snapshot| self.db.close_snapshot(snapshot));
        iter.into_iter().for_each(|iter| self.db.close_iter(iter));
        if let Some(Event { what, .. }) = self.events.last_mut() {
            *what = What::Snapshot(pairs);
        }
    }

    /// All that an iterator comes upon.
    fn walk(&mut self, iter: &mut Iter) -> Vec<(u64, Option<u64>)> {
        let mut pairs: Vec<_> = (0..HOT_KEYS).map(|key| (key, None)).collect();
        while self.db.advance(iter).expect("advance") {
            let (key, value) = iter.current().expect("it is at a record");
            let key = u64::from_le_bytes(key.try_into().expect("keys have eight bytes"));
            let before = pairs[key as usize].1.replace(value_of(value));
            assert!(before.is_none(), "key {key} came twice");
            if self.random.below(3) == 0 {
                std::thread::yield_now();
            }
        }
        pairs
    }
}

fn history(db: &Db, seed: u64, operations: u64) -> Vec<Event> {
    let (clock, stop) = (AtomicU64::new(1), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let work = |thread: usize| {
            let random = Random(seed ^ (thread as u64) << 40);
            let mut recorder = Recorder { db, clock: &clock, thread, random, events: Vec::new() };
            scope.spawn(move || {
                (0..operations).for_each(|number| recorder.act(number));
                recorder.events
            })
        };
        let workers: Vec<_> = (0..4).map(work).collect();
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                db.compact().expect("compact");
                std::thread::sleep(Duration::from_micros(300));
            }
        });
        let events: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        stop.store(true, Ordering::Relaxed);
        events.into_iter().flat_map(|events| events.expect("a thread worked")).collect()
    })
}

#[test]
fn histories_with_snapshots_are_linearizable() {
    let (begin, mut effort) = (Instant::now(), Effort::default());
    let seconds = std::env::var("KV_TEST_SECONDS").ok().and_then(|text| text.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(0));
    let mut round = 0;
    while round < 4 || begin.elapsed() < time {
        let directory = TempDir::in_memory("snapshots");
        let read_mode = [ReadMode::Mmap, ReadMode::Pread][round as usize % 2];
        let db = Db::open(&directory.join("db"), &options(read_mode)).expect("open");
        let events = history(&db, seed().wrapping_add(round), 6_000);
        assert_eq!(db.engine().snapshots(), (0, 0));
        match check(&events, &|value| bytes_of(value).len()) {
            Ok(more) => effort.add(&more),
            Err(failure) => panic!("round {round}: {failure}"),
        }
        round += 1;
    }
    println!("{round} histories in {:.1} s: {effort:?}", begin.elapsed().as_secs_f32());
    assert!(effort.overlapping > 0, "no two operations overlapped: nothing was tested");
}
