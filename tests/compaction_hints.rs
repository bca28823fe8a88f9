//! Compaction and hints: where a segment has one, only what may have to stay is read of it; and
//! what compaction writes has its hint at once.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::Arc;

use common::world::{put_for, START_MS};
use common::TempDir;
use kv::clock::{ManualTime, TimeSource};
use kv::db;
use kv::engine::{recover, Engine};
use kv::error::Kind;
use kv::format::segment::HEADER_PAGE;
use kv::options::{Options, SyncLevel};
use kv::storage::posix::PosixStorage;

const SEGMENT: u64 = 1 << 20;
/// Bytes of a record: a header, a key of 8 bytes, a value of 1000.
const RECORD: u64 = 1024;

/// A database without threads.
struct Alone {
    directory: TempDir,
    engine: Engine,
    time: Arc<ManualTime>,
}

impl Alone {
    fn new() -> Alone {
        let directory = TempDir::new("compaction-hints");
        let storage = PosixStorage::open(&directory.join("db"), true).unwrap();
        let time = Arc::new(ManualTime::default());
        time.wall_ms.store(START_MS, Ordering::SeqCst);
        let source = TimeSource::Manual(Arc::clone(&time));
        let (segment_size, sync) = (SEGMENT, SyncLevel::None);
        let options = Options { segment_size, sync, time: source, ..Options::default() };
        let engine = recover::open(Arc::new(storage), options).unwrap();
        Alone { directory, engine, time }
    }

    fn put(&self, key: u64) {
        self.engine.put(&key.to_le_bytes(), &[key as u8; 1000]).unwrap();
    }

    /// Of each twenty records in a segment, eight are live and twelve, behind them, are dead.
    fn with_garbage() -> Alone {
        let alone = Alone::new();
        for key in 0..3000 {
            alone.put(if key % 20 < 8 { key } else { 9999 });
        }
        while alone.engine.seal_in_background() {}
        alone
    }

    fn check(&self) {
        for key in (0..3000_u64).filter(|key| key % 20 < 8).chain([9999]) {
            let found = self.engine.get(&key.to_le_bytes(), |value| value == [key as u8; 1000]);
            assert_eq!(found.unwrap(), Some(true), "key {key}");
        }
        assert_eq!(self.engine.len(), 1201);
    }

    /// Bytes that compaction reads now.
    fn compact(&self) -> u64 {
        let before = self.engine.stats().bytes_compaction_read;
        self.engine.compact().unwrap();
        self.engine.stats().bytes_compaction_read - before
    }

    fn path(&self) -> PathBuf {
        self.directory.join("db")
    }

    /// Changes a byte of the value of the record with this number in the first segment.
    fn damage(&self, record: u64) {
        let file = std::fs::File::options().write(true).open(self.path().join("00000001.seg"));
        file.unwrap().write_all_at(&[0xaa], HEADER_PAGE as u64 + record * RECORD + 500).unwrap();
    }
}

#[test]
fn a_hint_spares_reading_what_is_dead() {
    let without = Alone::with_garbage();
    let read_without = without.compact();
    without.check();
    let with = Alone::with_garbage();
    with.engine.write_due_hints();
    let read = with.compact();
    with.check();
    let all = 3000 * RECORD;
    assert!(read_without > all * 9 / 10, "{read_without} bytes of {all} were read without hints");
    // The last segment was not sealed, and has none. Of the others two fifths are live.
    assert!(read < all * 2 / 3, "{read} bytes of {all} were read with hints");
    let stats = |alone: &Alone| {
        let stats = alone.engine.stats();
        (stats.bytes_compacted, stats.dead_bytes, stats.live_bytes, stats.segments_removed)
    };
    assert_eq!(stats(&with), stats(&without));
}

#[test]
fn damage_to_what_is_dead_is_left_behind_and_damage_to_what_is_live_is_told() {
    let alone = Alone::with_garbage();
    alone.engine.write_due_hints();
    alone.damage(15);
    alone.compact();
    alone.check();

    let alone = Alone::with_garbage();
    alone.engine.write_due_hints();
    alone.damage(20);
    let error = alone.engine.compact().unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    let place = format!("is damaged at byte {}: ", HEADER_PAGE as u64 + 20 * RECORD);
    assert!(error.to_string().contains(&place), "{error}");
    let found = alone.engine.get(&20_u64.to_le_bytes(), |_| ()).unwrap_err();
    assert_eq!(found.kind(), Kind::Corrupt, "the victim stays");
}

/// A hint that was damaged on the medium is none.
#[test]
fn a_damaged_hint_is_not_believed() {
    let alone = Alone::with_garbage();
    alone.engine.write_due_hints();
    for number in 1..=2 {
        let hint = alone.path().join(format!("0000000{number}.hint"));
        let file = std::fs::File::options().write(true).open(hint).unwrap();
        file.write_all_at(&[0x55; 8], 200).unwrap();
    }
    let read = alone.compact();
    assert!(read > 2 * SEGMENT * 9 / 10, "{read} bytes were read");
    alone.check();
}

#[test]
fn what_compaction_writes_has_a_true_hint_at_once() {
    let alone = Alone::new();
    let key = |number: u64| number.to_le_bytes();
    // Needed: a tombstone, since an older segment with garbage holds what it hides.
    (0..2000).for_each(|number| alone.put(number));
    (0..300).for_each(|number| assert!(alone.engine.delete(&key(number)).unwrap()));
    (2000..2300).for_each(|number| put_for(&alone.engine, &key(number), &[1; 1000], 1000));
    (2300..2600).for_each(|number| put_for(&alone.engine, &key(number), &[1; 1000], 1 << 20));
    (300..2000).step_by(2).for_each(|number| alone.put(number));
    (0..1000).for_each(|_| alone.put(5000));
    while alone.engine.seal_in_background() {}
    alone.time.advance(2000);
    let mut groups = 0;
    while alone.engine.compact_if_due().unwrap() {
        groups += 1;
    }
    let copied = alone.engine.stats().bytes_compacted;
    assert!(groups > 1 && copied > SEGMENT / 2, "{groups} groups, {copied} bytes");
    let path = alone.path();
    let hints = || {
        let names = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
        let hints: Vec<_> =
            names.filter(|name| name.extension() == Some("hint".as_ref())).collect();
        hints
    };
    assert!(!hints().is_empty(), "no hint was written");
    // The output of each group has one; those that a later group took again are gone with it.
    alone.engine.shut_down().unwrap();
    drop(alone.engine);
    let report = db::verify(&path).unwrap();
    assert!(report.problems.is_empty(), "{report:?}");
    let figure = |name| report.figures.iter().find(|figure| figure.0 == name).unwrap().1;
    assert_eq!(figure("hints"), hints().len() as u64, "{report:?}");
}
