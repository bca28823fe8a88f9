//! Compaction by itself: space and bytes written under overwriting, tombstones, pausing and
//! cancelling.
//!
//! Nothing here depends on time: the database has no threads where bytes are counted, and does what
//! its background thread would do whenever the log has grown by an eighth of a segment.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;

use common::{bytes_in, Random, TempDir};
use kv::db::Db;
use kv::engine::stats::Stats;
use kv::engine::{recover, Engine};
use kv::error::Kind;
use kv::options::{CompactionMode, Options, SyncLevel};
use kv::storage::posix::PosixStorage;

const SEGMENT: u64 = 1 << 20;
/// Bytes of a record with a key of 16 bytes and a value of 100.
const RECORD: u64 = 136;

fn options() -> Options {
    Options { segment_size: SEGMENT, sync: SyncLevel::None, ..Options::default() }
}

/// A database without threads, which compacts when it is told to.
struct Alone {
    directory: TempDir,
    engine: Engine,
    /// Bytes put until the next look at the garbage.
    countdown: u64,
    /// The most that all files took beyond 1.5 times the live records.
    excess: f64,
    /// The largest share of the log that was garbage, where there was a segment to compact.
    garbage: f64,
}

impl Alone {
    fn new(options: Options) -> Alone {
        let directory = TempDir::new("compaction");
        let storage = PosixStorage::open(&directory.join("db"), true).unwrap();
        let engine = recover::open(Arc::new(storage), options).unwrap();
        Alone { directory, engine, countdown: 0, excess: 0.0, garbage: 0.0 }
    }

    fn key(number: u64) -> [u8; 16] {
        let mut key = [b'k'; 16];
        key[..8].copy_from_slice(&number.to_le_bytes());
        key
    }

    fn put(&mut self, number: u64) {
        self.put_bytes(number, &[number as u8; 100]);
    }

    fn put_bytes(&mut self, number: u64, value: &[u8]) {
        self.engine.put(&Alone::key(number), value).unwrap();
        self.tick(value.len() as u64 + RECORD - 100);
    }

    fn delete(&mut self, number: u64) {
        assert!(self.engine.delete(&Alone::key(number)).unwrap());
        self.tick(32);
    }

    fn tick(&mut self, bytes: u64) {
        self.countdown = self.countdown.saturating_sub(bytes);
        if self.countdown == 0 {
            self.countdown = SEGMENT / 8;
            self.measure();
            while self.engine.compact_if_due().unwrap() {
                self.measure();
            }
        }
    }

    fn measure(&mut self) {
        let stats = self.engine.stats();
        self.excess = self.excess.max(stats.disk_bytes as f64 - 1.5 * stats.live_bytes as f64);
        let log = (stats.live_bytes + stats.dead_bytes).max(1);
        self.garbage = self.garbage.max(stats.dead_bytes as f64 / log as f64);
    }

    fn stats(&self) -> Stats {
        self.engine.stats()
    }

    /// Bytes of all files, as the directory has them.
    fn bytes(&self) -> u64 {
        bytes_in(&self.directory.join("db"))
    }

    /// Bytes written for each byte put since `before`, with 8 % for hints and 20 % of the log for
    /// checkpoints of the index.
    fn written(&self, before: &Stats) -> f64 {
        let stats = self.stats();
        let put = (stats.bytes_put - before.bytes_put) as f64;
        let copied = (stats.bytes_compacted - before.bytes_compacted) as f64;
        ((put + copied) * 1.08 + 0.2 * put) / put
    }

    fn check_all(&self, keys: u64) {
        assert_eq!(self.stats().keys, keys);
        assert_eq!(self.stats().live_bytes, keys * RECORD);
        for number in 0..keys {
            let found = self.engine.get(&Alone::key(number), |value| value == [number as u8; 100]);
            assert_eq!(found.unwrap(), Some(true), "key {number}");
        }
    }
}

/// Writes all keys, then five times as many that `key` draws.
fn overwrite(keys: u64, mut key: impl FnMut(&mut Random) -> u64) {
    let mut alone = Alone::new(options());
    (0..keys).for_each(|number| alone.put(number));
    let loaded = alone.stats();
    let mut random = Random(1);
    (0..5 * keys).for_each(|_| alone.put(key(&mut random)));
    let written = alone.written(&loaded);
    assert!(alone.stats().bytes_compacted > 0 && alone.stats().segments_removed > 0);
    assert!(written <= 3.0, "{written:.2} bytes written for each byte put");
    let excess = alone.excess / SEGMENT as f64;
    assert!(excess <= 2.0, "{excess:.2} segments more than 1.5 times the live bytes");
    alone.check_all(keys);
}

#[test]
fn overwriting_at_random_keeps_space_and_writes_within_their_bounds() {
    overwrite(40_000, |random| random.below(40_000));
}

#[test]
fn overwriting_a_tenth_of_the_keys_most_of_the_time_keeps_within_the_bounds() {
    overwrite(40_000, |random| match random.below(10) {
        0 => random.below(40_000),
        _ => random.below(4_000) * 10,
    });
}

/// The largest share of garbage while keys with values of 4,000 bytes are overwritten.
fn garbage_of_long_values(percent: u64) -> f64 {
    let options = Options { compaction_garbage_percent: percent, ..options() };
    let mut alone = Alone::new(options);
    let mut random = Random(7);
    (0..6000).for_each(|number| alone.put_bytes(number, &[number as u8; 4000]));
    (0..30_000).for_each(|_| alone.put_bytes(random.below(6000), &[1; 4000]));
    let excess = alone.excess / SEGMENT as f64;
    assert!(excess <= 2.0, "{excess:.2} segments more than 1.5 times the live bytes");
    alone.garbage
}

#[test]
fn beside_long_values_more_of_the_log_may_be_garbage_within_the_same_bound() {
    let garbage = garbage_of_long_values(0);
    assert!((0.32..0.35).contains(&garbage), "{garbage:.3} of the log");
    let garbage = garbage_of_long_values(23);
    assert!((0.23..0.26).contains(&garbage), "{garbage:.3} of the log: the option is kept");
}

#[test]
fn overwriting_one_key_takes_two_segments_and_copies_nothing() {
    let mut alone = Alone::new(options());
    for _ in 0..200_000 {
        alone.put(0);
    }
    assert!(alone.stats().bytes_compacted < 100 * RECORD, "{:?}", alone.stats());
    assert!(alone.stats().bytes_compaction_read < 3 * SEGMENT, "{:?}", alone.stats());
    assert!(alone.excess <= 2.1 * SEGMENT as f64, "{} bytes at most", alone.excess);
    alone.check_all(1);
}

#[test]
fn tombstones_go_without_being_asked_for() {
    let mut alone = Alone::new(options());
    // Keys that stay, so that there are old segments with a little garbage that hold tombstones
    // back; then keys that come and go.
    (0..20_000).for_each(|number| alone.put(number));
    (0..20_000).step_by(100).for_each(|number| alone.put(number));
    for round in 1..20_u64 {
        let numbers = round * 100_000..round * 100_000 + 10_000;
        numbers.clone().for_each(|number| alone.put(number));
        numbers.for_each(|number| alone.delete(number));
    }
    alone.check_all(20_000);
    let stats = alone.stats();
    assert!(alone.excess <= 2.0 * SEGMENT as f64, "{} bytes at most", alone.excess);
    assert!(stats.dead_bytes < stats.live_bytes / 2 + SEGMENT, "{stats:?}");
}

#[test]
fn deleting_everything_leaves_next_to_nothing_after_compaction() {
    let mut alone = Alone::new(options());
    (0..50_000).for_each(|number| alone.put(number));
    (0..50_000).for_each(|number| alone.delete(number));
    assert!(alone.bytes() <= 2 * SEGMENT + (64 << 10), "{} bytes without asking", alone.bytes());
    alone.engine.compact().unwrap();
    assert!(alone.bytes() < SEGMENT, "{} bytes after compaction", alone.bytes());
    assert_eq!((alone.stats().keys, alone.stats().live_bytes), (0, 0));
}

#[test]
fn nothing_is_compacted_in_a_database_that_is_only_read() {
    let directory = TempDir::new("compaction");
    let path = directory.join("db");
    let manual = Options { compaction: CompactionMode::Manual, ..options() };
    let db = Db::open(&path, &manual).unwrap();
    (0..40_000_u64).for_each(|n| db.put(&(n % 1000).to_le_bytes(), &[1; 100]).unwrap());
    db.close().unwrap();
    let before = bytes_in(&path);
    let db = Db::open(&path, &options()).unwrap();
    assert!(!db.engine().compact_if_due().unwrap());
    db.close().unwrap();
    assert_eq!(bytes_in(&path), before);
}

/// A database with garbage that nobody compacts.
fn with_garbage(directory: &TempDir) -> Db {
    let manual = Options { compaction: CompactionMode::Manual, ..options() };
    let db = Db::open(&directory.join("db"), &manual).unwrap();
    (0..60_000_u64).for_each(|n| db.put(&(n % 20_000).to_le_bytes(), &[1; 100]).unwrap());
    assert_eq!(db.stats().bytes_compacted, 0);
    db
}

#[test]
fn a_callers_compaction_reports_its_progress_and_can_be_cancelled() {
    let directory = TempDir::new("compaction");
    let db = with_garbage(&directory);
    let mut calls = 0;
    let cancelled = db.compact_with(|_| {
        calls += 1;
        if calls == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!((calls, cancelled.unwrap_err().kind()), (3, Kind::Cancelled));
    let mut last = kv::db::Progress::default();
    db.compact_with(|progress| {
        assert!(progress.done_bytes >= last.done_bytes && progress.done_bytes > 0);
        assert!(progress.done_bytes <= progress.total_bytes, "{progress:?}");
        assert!(progress.segments_done <= progress.segments_total, "{progress:?}");
        last = *progress;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(last.segments_total > 3, "{last:?}");
    assert!(!db.stats().is_compacting);
    assert_eq!(db.stats().keys, 20_000);
    assert!(db.stats().dead_bytes == 0, "{:?}", db.stats());
}

#[test]
fn a_progress_function_may_use_the_database_but_not_compact_it() {
    let directory = TempDir::new("compaction");
    let db = with_garbage(&directory);
    let mut calls = 0_u64;
    db.compact_with(|_| {
        calls += 1;
        assert!(db.stats().is_compacting);
        assert_eq!(db.compact().unwrap_err().kind(), Kind::Busy);
        db.put(&(1_000_000 + calls).to_le_bytes(), b"from inside").unwrap();
        assert_eq!(db.get(&7_u64.to_le_bytes(), <[u8]>::len).unwrap(), Some(100));
        assert!(db.delete(&(1_000_000 + calls).to_le_bytes()).unwrap());
        db.sync().unwrap();
        db.pause_compaction();
        db.resume_compaction();
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(calls > 3);
    assert_eq!(db.stats().keys, 20_000);
    let mut calls = 0;
    let cancelled = db.compact_with(|_| {
        calls += 1;
        db.cancel_compaction();
        ControlFlow::Continue(())
    });
    assert!(calls <= 1, "it went on {calls} times after it was cancelled");
    assert!(calls == 0 || cancelled.unwrap_err().kind() == Kind::Cancelled);
}

#[test]
fn the_background_compacts_unless_it_is_paused() {
    let directory = TempDir::new("compaction");
    let db = Db::open(&directory.join("db"), &options()).unwrap();
    db.pause_compaction();
    let put = |turns: u64| {
        (0..turns).for_each(|n| db.put(&(n % 10_000).to_le_bytes(), &[1; 100]).unwrap());
    };
    put(60_000);
    db.sync().unwrap();
    assert!(db.stats().is_compaction_paused);
    assert_eq!((db.stats().bytes_compacted, db.stats().segments_removed), (0, 0));
    db.resume_compaction();
    // It ends when there is little garbage; the test's time limit is the patience of its runner.
    while db.stats().segments_removed < 4 {
        std::thread::yield_now();
    }
    assert_eq!(db.stats().keys, 10_000);
    // The blocks of what has gone are free then, since nobody has it open or mapped.
    let name = directory.join("db").to_str().unwrap().to_owned();
    let is_gone = |line: &str| line.contains(&name) && line.ends_with(".seg (deleted)");
    let maps = || std::fs::read_to_string("/proc/self/maps").unwrap();
    let links = || std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let targets = || links().flat_map(|link| std::fs::read_link(link.path()));
    while maps().lines().any(is_gone) || targets().any(|to| is_gone(&to.to_string_lossy())) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    db.close().unwrap();
}
