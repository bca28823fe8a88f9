//! Iterators: every record once, while others write and compact, and past damage, which is told.

mod common;

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{seed, segments_in, Random, TempDir};
use kv::db::{Db, Iter};
use kv::error::{Error, Kind};
use kv::options::{CompactionMode, Options, ReadMode, SyncLevel};

const READ_MODES: [ReadMode; 2] = [ReadMode::Mmap, ReadMode::Pread];

fn options(read_mode: ReadMode) -> Options {
    Options {
        segment_size: 1 << 20,
        sync: SyncLevel::None,
        compaction: CompactionMode::Manual,
        read_mode,
        ..Options::default()
    }
}

/// All that an iterator comes upon, and what goes wrong.
fn walk(db: &Db, iter: &mut Iter) -> (BTreeMap<Vec<u8>, Vec<u8>>, Vec<Error>) {
    let (mut found, mut errors) = (BTreeMap::new(), Vec::new());
    loop {
        match db.advance(iter) {
            Ok(true) => {
                let (key, value) = iter.current().expect("it is at a record");
                let before = found.insert(key.to_vec(), value.to_vec());
                assert!(before.is_none(), "{key:?} came twice");
            }
            Ok(false) => return (found, errors),
            Err(error) => {
                assert!(iter.current().is_none());
                errors.push(error);
                assert!(errors.len() < 100, "it goes on for ever: {errors:?}");
            }
        }
    }
}

/// The same, if nothing goes wrong, for a new iterator.
fn all(db: &Db, prefix: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut iter = db.open_iter(None, prefix).expect("an iterator");
    let (found, errors) = walk(db, &mut iter);
    db.close_iter(iter);
    assert!(errors.is_empty(), "{errors:?}");
    found
}

#[test]
fn keys_are_shown_by_prefix() {
    for read_mode in READ_MODES {
        let directory = TempDir::new("iterators");
        let db = Db::open(&directory.join("db"), &options(read_mode)).expect("open");
        assert!(all(&db, b"").is_empty());
        let mut model = BTreeMap::new();
        for number in 0..5_000_u32 {
            let (key, value) = (format!("{}/{number}", number % 7).into_bytes(), vec![7; 500]);
            db.put(&key, &value).expect("put");
            model.insert(key, value);
        }
        assert_eq!(all(&db, b""), model);
        for prefix in ["3/", "3/1", "5/4999", "9", "3/1000000"] {
            let begins = |key: &[u8]| key.starts_with(prefix.as_bytes());
            let mut expected = model.clone();
            expected.retain(|key, _| begins(key));
            assert_eq!(all(&db, prefix.as_bytes()), expected, "{prefix}");
        }
        assert_eq!(db.count(), 5_000);
        db.close().expect("close");
    }
}

/// Segments are opened when they are read: those that compaction removes before that are kept open.
#[test]
fn what_compaction_removes_is_still_walked_through() {
    for read_mode in READ_MODES {
        let directory = TempDir::new("iterators");
        let path = directory.join("db");
        let options = options(read_mode);
        let db = Db::open(&path, &options).expect("open");
        let key = |number: u32| number.to_le_bytes();
        for number in 0..20_000 {
            db.put(&key(number), &[number as u8; 400]).expect("put");
        }
        db.close().expect("close");
        let db = Db::open(&path, &options).expect("open again");
        let mut iters: Vec<_> = (0..3).map(|_| db.open_iter(None, b"").expect("iter")).collect();
        for number in (0..20_000).step_by(3) {
            db.put(&key(number), b"written since").expect("put");
        }
        for _ in 0..5_000 {
            assert!(db.advance(&mut iters[0]).expect("advance"));
        }
        db.compact().expect("compact");
        for (number, mut iter) in iters.drain(..).enumerate() {
            let (found, errors) = walk(&db, &mut iter);
            assert!(errors.is_empty(), "{errors:?}");
            assert_eq!(found.len(), if number == 0 { 15_000 } else { 20_000 });
            assert!(found.values().all(|value| value.len() == 400));
            db.close_iter(iter);
        }
        assert_eq!(db.engine().snapshots(), (0, 0));
    }
}

/// Tells other threads to stop, also when the test fails.
struct Stopper<'a>(&'a AtomicBool);

impl Drop for Stopper<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Two threads overwrite, a third one compacts, and each walk sees the keys that nobody touches
/// once, and of the others one value each.
#[test]
fn walks_go_on_while_others_write_and_compact() {
    let (stop, mut walks) = (AtomicBool::new(false), 0);
    let directory = TempDir::in_memory("iterators");
    let db = Db::open(&directory.join("db"), &options(ReadMode::Mmap)).expect("open");
    for number in 0..6_000_u32 {
        db.put(&number.to_le_bytes(), &number.to_le_bytes().repeat(40)).expect("put");
    }
    std::thread::scope(|scope| {
        for thread in 0..2_u64 {
            let (db, stop) = (&db, &stop);
            scope.spawn(move || {
                let mut random = Random(seed() + thread);
                while !stop.load(Ordering::Relaxed) {
                    let number = (random.below(3_000) * 2) as u32;
                    db.put(&number.to_le_bytes(), &number.to_le_bytes().repeat(40)).expect("put");
                }
            });
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                db.compact().expect("compact");
            }
        });
        let _stopper = Stopper(&stop);
        while walks < 50 {
            let found = all(&db, b"");
            assert_eq!(found.len(), 6_000);
            let is_whole = |(key, value): (&Vec<u8>, &Vec<u8>)| *value == key.repeat(40);
            assert!(found.iter().all(is_whole));
            walks += 1;
        }
    });
}

/// Changes the byte `back` bytes before the value that consists of `byte`, or in its middle.
fn damage(path: &Path, byte: u8, back: Option<u64>) {
    for segment in segments_in(path) {
        let bytes = std::fs::read(&segment).expect("the segment can be read");
        if let Some(at) = bytes.windows(100).position(|window| window == [byte; 100]) {
            let file = std::fs::File::options().write(true).open(&segment).expect("a segment");
            let at = back.map_or(at as u64 + 50, |back| at as u64 - back);
            file.write_all_at(&[0xAA], at).expect("the segment can be written");
            return;
        }
    }
    panic!("the value is nowhere");
}

/// A database with the keys 0 to 9 of 300,000 bytes each, three in a segment.
fn large(path: &Path, read_mode: ReadMode, garbage: bool) -> Db {
    let db = Db::open(path, &options(read_mode)).expect("open");
    for number in 0..10_u8 {
        if garbage {
            db.put(&[number], b"replaced").expect("put");
        }
        db.put(&[number], &vec![number; 300_000]).expect("put");
    }
    db.sync().expect("sync");
    db
}

#[test]
fn a_walk_goes_on_behind_a_damaged_record() {
    for (read_mode, garbage) in READ_MODES.into_iter().flat_map(|m| [(m, false), (m, true)]) {
        let directory = TempDir::new("iterators");
        let path = directory.join("db");
        let db = large(&path, read_mode, garbage);
        let snapshot = db.open_snapshot().expect("a snapshot");
        damage(&path, 1, None);
        damage(&path, 7, None);
        // One is met where it lies, the other among what is kept, and then where it lies.
        db.put(&[7], b"written since").expect("put");
        let mut iter = db.open_iter(Some(&snapshot), b"").expect("an iterator");
        db.close_snapshot(snapshot);
        let (found, errors) = walk(&db, &mut iter);
        db.close_iter(iter);
        let keys: Vec<u8> = found.keys().map(|key| key[0]).collect();
        assert_eq!(keys, [0, 2, 3, 4, 5, 6, 8, 9]);
        assert!(found.iter().all(|(key, value)| *value == vec![key[0]; 300_000]));
        assert_eq!(errors.len(), 3, "{errors:?}");
        for error in errors {
            assert_eq!(error.kind(), Kind::Corrupt);
            assert!(error.to_string().contains(".seg is damaged at byte "), "{error}");
            assert!(!error.to_string().contains("left out"), "{error}");
        }
    }
}

#[test]
fn where_the_next_record_cannot_be_told_the_next_segment_comes() {
    for read_mode in READ_MODES {
        let directory = TempDir::new("iterators");
        let path = directory.join("db");
        let db = large(&path, read_mode, false);
        // The length of a value: key 4 is in the middle of its segment.
        damage(&path, 4, Some(1 + 8 - 2));
        let mut iter = db.open_iter(None, b"").expect("an iterator");
        let (found, errors) = walk(&db, &mut iter);
        db.close_iter(iter);
        let keys: Vec<u8> = found.keys().map(|key| key[0]).collect();
        assert_eq!(keys, [0, 1, 2, 3, 6, 7, 8, 9]);
        assert_eq!(errors.len(), 1, "{errors:?}");
        let text = errors[0].to_string();
        assert!(text.contains("what lies behind it in this segment is left out"), "{text}");
    }
}

#[test]
fn a_file_that_is_gone_is_told_once() {
    let directory = TempDir::new("iterators");
    let path = directory.join("db");
    large(&path, ReadMode::Pread, false).close().expect("close");
    let db = Db::open(&path, &options(ReadMode::Pread)).expect("open");
    std::fs::remove_file(&segments_in(&path)[1]).expect("a segment is removed");
    let mut iter = db.open_iter(None, b"").expect("an iterator");
    let (found, errors) = walk(&db, &mut iter);
    db.close_iter(iter);
    assert_eq!((found.len(), errors.len()), (7, 1), "{errors:?}");
    assert_eq!(errors[0].kind(), Kind::Corrupt);
    assert!(errors[0].to_string().contains("the file is missing"), "{}", errors[0]);
}
