//! Damage under an open database: whoever meets it hears of it, and everything else goes on.
//!
//! A byte of one value in a sealed segment is changed in the file while the database has it open.

mod common;

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use common::{segments_in, TempDir};
use kv::clock::{ManualTime, TimeSource};
use kv::db::{Db, WriteOptions};
use kv::error::Kind;
use kv::format::record::HEADER_LEN;
use kv::options::{CompactionMode, Options, ReadMode, SyncLevel};

/// Changes a byte in the middle of the value that consists of `byte`.
fn damage(path: &Path, byte: u8) {
    for segment in segments_in(path) {
        let bytes = std::fs::read(&segment).expect("the segment can be read");
        if let Some(at) = bytes.windows(100).position(|window| window == [byte; 100]) {
            let file = std::fs::File::options().write(true).open(&segment);
            let file = file.expect("the segment can be written");
            file.write_all_at(&[!byte], at as u64 + 50).expect("the segment can be written");
            return;
        }
    }
    panic!("the value is nowhere");
}

fn run(read_mode: ReadMode) {
    let directory = TempDir::new("live-damage");
    let path = directory.join("db");
    let options = Options {
        segment_size: 1 << 20,
        sync: SyncLevel::None,
        compaction: CompactionMode::Manual,
        read_mode,
        ..Options::default()
    };
    let db = Db::open(&path, &options).expect("a new database opens");
    for number in 0..10_u8 {
        db.put(&[number], &vec![number; 300_000]).expect("put");
    }
    db.delete(&[9]).expect("delete");
    db.sync().expect("sync");
    damage(&path, 1);

    let error = db.get(&[1], |value| value.len()).expect_err("the value is damaged");
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.to_string().contains(".seg is damaged at byte "), "{error}");
    assert_eq!(db.view(&[1]).err().map(|error| error.kind()), Some(Kind::Corrupt));
    db.delete(&[2]).expect("delete, which makes the segment worth compacting");
    let error = db.compact().expect_err("compaction does not copy what is damaged");
    assert_eq!(error.kind(), Kind::Corrupt);

    for number in [0, 3, 4, 5, 6, 7, 8] {
        let whole = db.get(&[number], |value| value == vec![number; 300_000]).expect("get");
        assert_eq!(whole, Some(true), "key {number}");
    }
    db.put(&[1], b"written anew").expect("put in the place of what is damaged");
    let found = db.get(&[1], <[u8]>::to_vec).expect("get");
    assert_eq!(found.as_deref(), Some(&b"written anew"[..]));
    db.close().expect("close");
    let error = Db::open(&path, &options).err().expect("what was damaged is still there");
    assert_eq!(error.kind(), Kind::Corrupt);
}

/// With hints an open reads no records. So it is the read that meets the damage, and never answers
/// with an older value.
#[test]
fn damage_behind_a_hint_is_told_to_who_reads_it() {
    let directory = TempDir::new("live-damage");
    let path = directory.join("db");
    let options = Options {
        segment_size: 1 << 20,
        sync: SyncLevel::None,
        compaction: CompactionMode::Manual,
        ..Options::default()
    };
    let db = Db::open(&path, &options).expect("a new database opens");
    for number in 0..10_u8 {
        db.put(&[number], &vec![number; 300_000]).expect("put");
    }
    db.sync().expect("sync");
    db.engine().write_due_hints();
    db.close().expect("close");
    damage(&path, 1);
    let db = Db::open(&path, &options).expect("the hint spares reading the records");
    for number in 0..10_u8 {
        let found = db.get(&[number], |value| value == vec![number; 300_000]);
        match number {
            1 => assert_eq!(found.err().map(|error| error.kind()), Some(Kind::Corrupt)),
            _ => assert_eq!(found.expect("get"), Some(true), "key {number}"),
        }
    }
    db.close().expect("close");
    for segment in segments_in(&path) {
        let _ = std::fs::remove_file(segment.with_extension("hint"));
    }
    let error = Db::open(&path, &options).err().expect("without a hint all records are read");
    assert_eq!(error.kind(), Kind::Corrupt);
}

#[test]
fn damage_is_told_to_who_meets_it() {
    run(ReadMode::Mmap);
    run(ReadMode::Pread);
}

/// That a value has expired is believed of no damaged record, neither by who reads nor by who
/// writes.
#[test]
fn a_damaged_time_makes_no_value_expire() {
    let directory = TempDir::new("live-damage");
    let path = directory.join("db");
    let time = Arc::new(ManualTime::default());
    time.advance(1_800_000_000_000);
    let options = Options {
        time: TimeSource::Manual(time),
        compaction: CompactionMode::Manual,
        ..Options::default()
    };
    let db = Db::open(&path, &options).expect("a new database opens");
    let until = WriteOptions { ttl_ms: 5_000, ..WriteOptions::default() };
    db.put_with(b"key", &7_i64.to_le_bytes(), &until).expect("put_with");
    let segment = &segments_in(&path)[0];
    let expiry = 1_800_000_005_000_u64.to_le_bytes();
    let bytes = std::fs::read(segment).expect("the segment can be read");
    let at = bytes.windows(8).position(|window| window == expiry).expect("it is in the segment");
    let file = std::fs::File::options().write(true).open(segment);
    file.and_then(|file| file.write_all_at(&[0], at as u64 + 5)).expect("it can be written");

    let absent = WriteOptions { if_absent: true, ..WriteOptions::default() };
    let snapshot = db.engine().open_snapshot().expect("a snapshot");
    let errors = [
        db.get(b"key", <[u8]>::len).map(|_| ()),
        db.ttl(b"key").map(|_| ()),
        db.engine().get_at(&snapshot, b"key", <[u8]>::len).map(|_| ()),
        db.put_with(b"key", b"value", &absent).map(|_| ()),
        db.delete(b"key").map(|_| ()),
        db.add(b"key", 1).map(|_| ()),
        db.touch(b"key", 0).map(|_| ()),
    ];
    for (number, result) in errors.into_iter().enumerate() {
        assert_eq!(result.map_err(|error| error.kind()), Err(Kind::Corrupt), "call {number}");
    }
    db.engine().close_snapshot(snapshot);
}

/// A version or a time is believed of no damaged record by who writes on its condition, or keeps
/// it.
#[test]
fn a_damaged_record_meets_no_condition_and_gives_no_time_on() {
    let directory = TempDir::new("live-damage");
    let path = directory.join("db");
    let options = Options { compaction: CompactionMode::Manual, ..Options::default() };
    let db = Db::open(&path, &options).expect("a new database opens");
    let until = WriteOptions { ttl_ms: 3_600_000, ..WriteOptions::default() };
    db.put_with(b"the key", b"value", &until).expect("put_with");
    let version = db.version(b"the key").expect("version").expect("it is there");
    let segment = &segments_in(&path)[0];
    let bytes = std::fs::read(segment).expect("the segment can be read");
    let key = bytes.windows(7).position(|window| window == b"the key").expect("it is there");
    let file = std::fs::File::options().write(true).open(segment).expect("it can be written");
    let change = |at: usize, bit: u8| {
        file.write_all_at(&[bytes[at] ^ bit], at as u64).expect("it can be written");
    };

    let keeping = WriteOptions { keep_ttl: true, ..WriteOptions::default() };
    let on = |if_version| WriteOptions { if_version, ..WriteOptions::default() };
    // The fifth byte of the time, which is before the key, and the lowest of the sequence.
    for (at, bit) in [(key - 3, 1), (key - 20, 2)] {
        change(at, bit);
        let reserved = |options| db.reserve(b"the key", 5, options).and_then(|r| db.commit(r));
        let errors = [
            db.put_with(b"the key", b"value", &keeping),
            db.put_with(b"the key", b"value", &on(version)),
            db.put_with(b"the key", b"value", &on(version ^ 2)),
            db.delete_with(b"the key", &on(version)),
            db.delete_with(b"the key", &on(version ^ 2)),
            reserved(&keeping),
            reserved(&on(version ^ 2)),
        ];
        for (number, result) in errors.into_iter().enumerate() {
            assert_eq!(result.map_err(|error| error.kind()), Err(Kind::Corrupt), "call {number}");
        }
        change(at, 0);
    }
    assert_eq!(db.version(b"the key").expect("version"), Some(version), "nothing was written");
}

/// A disk that writes an older record to the place of the newer one, both whole, gives no older
/// value: a record stands where it was written or nowhere.
#[test]
fn a_record_in_the_place_of_another_is_damage() {
    let directory = TempDir::new("live-damage");
    let path = directory.join("db");
    let options = Options { compaction: CompactionMode::Manual, ..Options::default() };
    let db = Db::open(&path, &options).expect("a new database opens");
    for value in *b"on" {
        db.put(b"the key", &[value; 300]).expect("put");
    }
    let segment = &segments_in(&path)[0];
    let bytes = std::fs::read(segment).expect("the segment can be read");
    let keys = bytes.windows(7).enumerate().filter(|(_, window)| window == b"the key");
    let places: Vec<usize> = keys.map(|(at, _)| at - HEADER_LEN).collect();
    let [old, new] = places[..] else { panic!("two records have the key: {places:?}") };
    let file = std::fs::File::options().write(true).open(segment).expect("it can be written");
    file.write_all_at(&bytes[old..new], new as u64).expect("it can be written");
    let found = db.get(b"the key", |value| value[0]).map_err(|error| error.kind());
    assert_eq!(found, Err(Kind::Corrupt));
    let found = db.value_len(b"the key").map_err(|error| error.kind());
    assert_eq!(found, Err(Kind::Corrupt));
}
