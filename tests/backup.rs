//! Backups on real file systems: they hold what the database held, cost no copying where files can
//! be linked, take an older one's place, and are databases of their own.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;

use common::{copy_directory, seed, segments_in, Random, TempDir};
use kv::clock::{ManualTime, TimeSource};
use kv::db::{self, Db, WriteOptions};
use kv::error::Kind;
use kv::options::{CompactionMode, Options, SyncLevel};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

const KEYS: u64 = 300;

fn options() -> Options {
    Options { segment_size: 128 << 10, sync: SyncLevel::None, ..Options::default() }
}

fn open(path: &Path) -> Db {
    Db::open(path, &options()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A database that compacts when it is told to.
fn open_manual(path: &Path) -> Db {
    let options = Options { compaction: CompactionMode::Manual, ..options() };
    Db::open(path, &options).unwrap()
}

fn key(number: u64) -> Vec<u8> {
    format!("key {number}").into_bytes()
}

/// Puts and deletes at random.
fn write(db: &Db, model: &mut Model, steps: u64, random: &mut Random) {
    for _ in 0..steps {
        let key = key(random.below(KEYS));
        if random.below(5) == 0 {
            let was_there = model.remove(&key).is_some();
            assert_eq!(db.delete(&key).unwrap(), was_there);
        } else {
            let len = random.below(3000) as usize;
            let value = random.bytes(len);
            db.put(&key, &value).unwrap();
            model.insert(key, value);
        }
    }
}

fn holds(db: &Db, model: &Model) {
    for number in 0..KEYS {
        let key = key(number);
        let found = db.get(&key, <[u8]>::to_vec).unwrap();
        assert_eq!(found.as_ref(), model.get(&key), "{}", String::from_utf8_lossy(&key));
    }
    assert_eq!(db.stats().keys as usize, model.len());
}

/// Opens it, and looks at all that it holds.
fn must_hold(path: &Path, model: &Model) {
    let db = open(path);
    holds(&db, model);
    db.close().unwrap();
}

fn inode(path: &Path) -> (u64, u64) {
    let data = fs::metadata(path).unwrap();
    (data.dev(), data.ino())
}

/// The names in a directory, in order.
fn names_in(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<String> =
        entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Segments of `backup` that are files of `other` too.
fn shared(backup: &Path, other: &Path) -> usize {
    let of = |path: &PathBuf| inode(path);
    let theirs: Vec<_> = segments_in(other).iter().map(of).collect();
    segments_in(backup).iter().filter(|path| theirs.contains(&inode(path))).count()
}

#[test]
fn a_backup_holds_what_the_database_holds_and_shares_its_sealed_files() {
    let directory = TempDir::new("backup");
    let (source, backup) = (directory.join("db"), directory.join("backup"));
    let (mut model, mut random) = (Model::new(), Random(seed()));
    let db = open_manual(&source);
    db.backup(&backup).unwrap();
    must_hold(&backup, &model);
    for round in 0..6 {
        write(&db, &mut model, 400, &mut random);
        if round == 3 {
            db.compact().unwrap();
        }
        if round == 4 {
            db.engine().write_due_hints();
            db.engine().checkpoint();
        }
        db.backup(&backup).unwrap();
        assert_eq!(names_in(&directory.join("")), ["backup", "db"]);
        let names = names_in(&backup);
        let segments = segments_in(&backup).len();
        assert!(shared(&backup, &source) >= segments - 1, "{names:?}");
        assert!(segments > 2 && names.iter().all(|name| name != "PARTIAL"), "{names:?}");
        assert_eq!(names.contains(&"INDEX".to_owned()), round >= 4, "{names:?}");
        must_hold(&backup, &model);
    }
    holds(&db, &model);
    db.close().unwrap();
    must_hold(&source, &model);
}

#[test]
fn a_backup_and_its_source_go_on_apart() {
    let directory = TempDir::new("backup-apart");
    let (source, backup) = (directory.join("db"), directory.join("backup"));
    let (mut model, mut random) = (Model::new(), Random(seed()));
    let db = open_manual(&source);
    write(&db, &mut model, 1500, &mut random);
    db.backup(&backup).unwrap();
    let of_both: Vec<_> = segments_in(&source).iter().map(|path| inode(path)).collect();
    let of_both = segments_in(&backup).into_iter().filter(|path| of_both.contains(&inode(path)));
    // Kept by names of their own, whatever either of the two drops.
    let kept: Vec<(PathBuf, Vec<u8>)> = of_both
        .map(|path| {
            let kept = directory.join(path.file_name().unwrap().to_str().unwrap());
            fs::hard_link(&path, &kept).unwrap();
            (kept, fs::read(path).unwrap())
        })
        .collect();
    assert!(kept.len() > 5);
    let mut copy_model = model.clone();
    let copy = open(&backup);
    for round in 0..4 {
        write(&db, &mut model, 300, &mut random);
        write(&copy, &mut copy_model, 300, &mut random);
        if round % 2 == 1 {
            copy.compact().unwrap();
            db.compact().unwrap();
        }
        // What a crash of either leaves.
        for (db, path, model) in [(&db, &source, &model), (&copy, &backup, &copy_model)] {
            let crashed = directory.join("crashed");
            db.pause_compaction();
            copy_directory(path, &crashed);
            db.resume_compaction();
            must_hold(&crashed, model);
            fs::remove_dir_all(&crashed).unwrap();
        }
    }
    for (path, bytes) in kept {
        assert!(fs::read(&path).unwrap() == bytes, "{} was written to", path.display());
    }
    // It is a database of its own now, and nothing may take its place.
    assert_eq!(db.backup(&backup).unwrap_err().kind(), Kind::AlreadyExists);
    copy.close().unwrap();
    let error = db.backup(&backup).unwrap_err();
    assert_eq!(error.kind(), Kind::AlreadyExists, "{error}");
    db.close().unwrap();
    must_hold(&source, &model);
    must_hold(&backup, &copy_model);
}

/// Who reads a backup in which something expires leaves a note of the time there: it is a backup
/// still, and a newer one may take its place.
#[test]
fn a_backup_that_was_only_read_is_replaced() {
    let directory = TempDir::new("backup-read");
    let (source, backup) = (directory.join("db"), directory.join("backup"));
    let time = Arc::new(ManualTime::default());
    time.advance(1_800_000_000_000);
    let options = Options { time: TimeSource::Manual(Arc::clone(&time)), ..options() };
    let db = Db::open(&source, &options).unwrap();
    let until = WriteOptions { ttl_ms: 1000, ..WriteOptions::default() };
    db.put_with(b"short", b"value", &until).unwrap();
    db.put_with(b"long", b"value", &WriteOptions { ttl_ms: 1_000_000, ..until }).unwrap();
    db.backup(&backup).unwrap();
    time.advance(5000);
    let manifest_len = || fs::metadata(backup.join("MANIFEST")).unwrap().len();
    let len_before = manifest_len();
    let copy = Db::open(&backup, &options).unwrap();
    assert_eq!(copy.get(b"short", <[u8]>::len).unwrap(), None);
    copy.close().unwrap();
    assert!(manifest_len() > len_before, "the time was noted");
    db.put(b"new", b"value").unwrap();
    db.backup(&backup).unwrap();
    let copy = Db::open(&backup, &options).unwrap();
    assert_eq!(copy.get(b"new", <[u8]>::len).unwrap(), Some(5));
    copy.put(b"own", b"value").unwrap();
    copy.close().unwrap();
    assert_eq!(db.backup(&backup).unwrap_err().kind(), Kind::AlreadyExists);
}

#[test]
fn across_file_systems_only_what_is_new_is_copied() {
    let memory = Path::new("/dev/shm");
    let directory = TempDir::new("backup-across");
    if !memory.is_dir() || inode(memory).0 == inode(&directory.join("")).0 {
        return;
    }
    let target = TempDir::in_memory("backup-across");
    let backup = target.join("backup");
    let (mut model, mut random) = (Model::new(), Random(seed()));
    let db = open_manual(&directory.join("db"));
    write(&db, &mut model, 1500, &mut random);
    db.engine().write_due_hints();
    db.backup(&backup).unwrap();
    must_hold(&backup, &model);
    let before: Vec<_> = segments_in(&backup).iter().map(|path| inode(path)).collect();
    write(&db, &mut model, 200, &mut random);
    db.backup(&backup).unwrap();
    let after = segments_in(&backup);
    let kept = after.iter().filter(|path| before.contains(&inode(path))).count();
    assert!(kept + 1 >= before.len() && kept > 3, "{kept} of {} were kept", before.len());
    must_hold(&backup, &model);

    let restored = directory.join("restored");
    db::restore(&backup, &restored).unwrap();
    assert_eq!(shared(&restored, &backup), 0);
    must_hold(&restored, &model);
    must_hold(&backup, &model);
}

/// Each writer counts one value up and writes it to one of its keys after the other.
struct Counting {
    stop: AtomicBool,
    acknowledged: [AtomicU64; 2],
}

const COUNTED_KEYS: u64 = 101;

fn counted_key(writer: usize, number: u64) -> Vec<u8> {
    format!("{writer}/{}", number % COUNTED_KEYS).into_bytes()
}

impl Counting {
    fn write(&self, db: &Db, writer: usize) {
        let mut number = 0_u64;
        while !self.stop.load(Ordering::Relaxed) {
            number += 1;
            let mut value = vec![0; 200 + (number % 1000) as usize];
            value[..8].copy_from_slice(&number.to_le_bytes());
            db.put(&counted_key(writer, number), &value).unwrap();
            self.acknowledged[writer].store(number, Ordering::Release);
        }
    }

    /// The backup holds what each writer had written at one moment, which is not before `least`.
    fn judge(&self, backup: &Path, least: [u64; 2]) {
        let db = open(backup);
        for (writer, least) in least.into_iter().enumerate() {
            let read = |slot| {
                let read = |value: &[u8]| u64::from_le_bytes(value[..8].try_into().unwrap());
                db.get(&counted_key(writer, slot), read).unwrap()
            };
            let found: Vec<Option<u64>> = (0..COUNTED_KEYS).map(read).collect();
            let last = found.iter().flatten().max().copied().unwrap_or(0);
            assert!(last >= least, "{last} is the last of {writer}, {least} was acknowledged");
            for (slot, found) in (0..COUNTED_KEYS).zip(found) {
                let behind = (last + COUNTED_KEYS - slot) % COUNTED_KEYS;
                let expected = last.checked_sub(behind).filter(|&number| number > 0);
                assert_eq!(found, expected, "{slot} of {writer}, whose last is {last}");
            }
        }
        db.close().unwrap();
    }
}

#[test]
fn a_backup_under_writers_and_compaction_is_a_prefix() {
    let directory = TempDir::new("backup-busy");
    let backup = directory.join("backup");
    let db = open(&directory.join("db"));
    let counting = Counting { stop: AtomicBool::new(false), acknowledged: Default::default() };
    let acknowledged = || [0, 1].map(|w: usize| counting.acknowledged[w].load(Ordering::Acquire));
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let (db, counting) = (&db, &counting);
            scope.spawn(move || counting.write(db, writer));
        }
        scope.spawn(|| {
            while !counting.stop.load(Ordering::Relaxed) {
                db.compact().unwrap();
                db.engine().checkpoint();
                db.engine().write_due_hints();
            }
        });
        for round in 0..12 {
            while acknowledged().iter().any(|&count| count < 300 * round) {
                std::thread::yield_now();
            }
            let least = acknowledged();
            db.backup(&backup).unwrap();
            counting.judge(&backup, least);
        }
        counting.stop.store(true, Ordering::Relaxed);
    });
    // What compaction dropped meanwhile has not stayed.
    db.compact().unwrap();
    let live = db.stats().segments as usize;
    let files = segments_in(&directory.join("db")).len();
    assert!(files <= live + 1, "{files} files of {live} segments");
    db.close().unwrap();
}

#[test]
fn the_progress_function_sees_all_of_it_and_can_use_the_database() {
    let directory = TempDir::new("backup-progress");
    let (backup, other) = (directory.join("backup"), directory.join("other"));
    let (mut model, mut random) = (Model::new(), Random(seed()));
    let db = open(&directory.join("db"));
    write(&db, &mut model, 1000, &mut random);
    let mut calls = 0;
    db.backup_with(&backup, |now| {
        assert!(now.done_bytes <= now.total_bytes && now.segments_done <= now.segments_total);
        calls += 1;
        // None of this is in the backup.
        db.put(b"from inside", b"value").unwrap();
        db.compact().unwrap();
        let busy = db.backup(&backup).unwrap_err();
        assert_eq!(busy.kind(), Kind::AlreadyOpen, "{busy}");
        if calls == 1 {
            db.backup(&other).unwrap();
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(calls > 3);
    must_hold(&backup, &model);
    model.insert(b"from inside".to_vec(), b"value".to_vec());
    assert_eq!(open(&other).stats().keys as usize, model.len());
    let before = names_in(&backup);
    for ends_at in 1..4 {
        let mut calls = 0;
        let cancelled = db.backup_with(&backup, |_| {
            calls += 1;
            if calls == ends_at {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        assert_eq!(cancelled.unwrap_err().kind(), Kind::Cancelled);
        assert_eq!(names_in(&directory.join("")), ["backup", "db", "other"]);
        assert_eq!(names_in(&backup), before);
    }
    db.put(b"key 0", b"after").unwrap();
}
