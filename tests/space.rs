//! Limits of disk and memory: what is refused, what goes on, and that room is won back.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::sync::Arc;

use common::sim_disk::SimDisk;
use common::{bytes_in, TempDir};
use kv::db::{Db, WriteBatch, WriteSync};
use kv::engine::{recover, Engine};
use kv::error::{Kind, Result};
use kv::options::{CompactionMode, Options, SyncLevel};
use kv::storage::posix::PosixStorage;
use kv::storage::Storage;

const SEGMENT: u64 = 1 << 20;

fn options() -> Options {
    Options { segment_size: SEGMENT, sync: SyncLevel::None, ..Options::default() }
}

fn put(engine: &Engine, number: u64) -> Result<()> {
    engine.put(&number.to_le_bytes(), &[number as u8; 1000])
}

/// Puts keys until one is refused; answers how many were not. Compacts as the background would.
fn fill(engine: &Engine, first: u64) -> u64 {
    for number in first.. {
        if number % 100 == 0 {
            while engine.compact_if_due().unwrap() {}
        }
        match put(engine, number) {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(error.kind(), Kind::NoSpace, "{error}");
                return number - first;
            }
        }
    }
    unreachable!("there is an end to the disk")
}

fn check(engine: &Engine, keys: std::ops::Range<u64>) {
    for number in keys {
        let found = engine.get(&number.to_le_bytes(), |value| value == [number as u8; 1000]);
        assert_eq!(found.unwrap(), Some(true), "key {number}");
    }
}

/// A database that is full is emptied, and filled again as far as before.
fn empty_and_fill_again(engine: &Engine, bytes: impl Fn() -> u64, limit: u64) {
    let count = fill(engine, 0);
    assert!(bytes() <= limit, "{} bytes, {limit} allowed", bytes());
    check(engine, 0..count);
    let mut newest = 0..count.min(1000);
    for round in 1..4 {
        assert_eq!(put(engine, 1 << 40).unwrap_err().kind(), Kind::NoSpace, "round {round}");
        for number in newest {
            let gone = engine.delete(&number.to_le_bytes());
            assert!(gone.unwrap(), "round {round}: key {number}");
        }
        engine.compact().unwrap();
        assert!(bytes() <= limit, "{} bytes after compaction, {limit} allowed", bytes());
        let first = round * 1_000_000;
        let again = fill(engine, first);
        newest = first..first + again;
        assert!(again >= count.min(1000) * 8 / 10, "round {round}: {again} of {count} keys");
        assert!(bytes() <= limit, "{} bytes, {limit} allowed", bytes());
    }
}

#[test]
fn a_database_stays_within_the_disk_that_it_may_take_and_can_be_emptied() {
    let directory = TempDir::new("space");
    let path = directory.join("db");
    let limit = 8 * SEGMENT;
    let options = Options { max_disk_bytes: limit, ..options() };
    let storage = Arc::new(PosixStorage::open(&path, true).unwrap());
    let engine = recover::open(storage, options).unwrap();
    empty_and_fill_again(&engine, || bytes_in(&path), limit);
}

#[test]
fn overwriting_goes_on_for_ever_within_the_disk_that_a_database_may_take() {
    let directory = TempDir::new("space");
    let path = directory.join("db");
    let limit = 8 * SEGMENT;
    let options = Options { max_disk_bytes: limit, ..options() };
    let storage = Arc::new(PosixStorage::open(&path, true).unwrap());
    let engine = recover::open(storage, options).unwrap();
    let keys = 4_000;
    for turn in 0..40_000_u64 {
        put(&engine, turn * 7 % keys).unwrap();
        if turn % 100 == 0 {
            while engine.compact_if_due().unwrap() {}
            assert!(bytes_in(&path) <= limit);
        }
    }
    check(&engine, 0..keys);
}

#[test]
fn a_full_disk_leaves_room_for_deleting_and_compacting() {
    let disk = SimDisk::new(1);
    let capacity = 32 * SEGMENT;
    disk.set_capacity(capacity);
    let engine = recover::open(disk.storage(), options()).unwrap();
    let used = || capacity - disk.free_bytes().unwrap().free;
    empty_and_fill_again(&engine, used, capacity);
    let keys = engine.len();
    engine.shut_down().unwrap();
    drop(engine);
    let engine = recover::open(disk.storage(), options()).unwrap();
    assert_eq!(engine.len(), keys);
}

#[test]
fn four_segments_are_the_least_disk_that_a_database_can_do_with() {
    let options = Options { max_disk_bytes: 4 * SEGMENT - 1, ..options() };
    let refused = recover::open(SimDisk::new(1).storage(), options);
    assert_eq!(refused.err().map(|error| error.kind()), Some(Kind::InvalidOption));
}

#[test]
fn an_index_that_may_not_grow_refuses_new_keys_and_no_others() {
    let limit = 1 << 20;
    let options = Options { max_index_bytes: limit, ..options() };
    let disk = SimDisk::new(1);
    let engine = recover::open(disk.storage(), options.clone()).unwrap();
    let put = |number: u64| engine.put(&number.to_le_bytes(), b"value");
    let mut refused = Vec::new();
    for number in 0..200_000 {
        if let Err(error) = put(number) {
            assert_eq!(error.kind(), Kind::IndexFull, "{error}");
            assert_eq!(engine.value_len(&u64::to_le_bytes(number)).unwrap(), None);
            refused.push(number);
        }
    }
    let keys = engine.len();
    assert!((60_000..120_000).contains(&keys), "{keys} keys in {limit} bytes");
    assert!(engine.index_memory() as u64 <= limit, "{} bytes", engine.index_memory());
    put(0).unwrap();
    assert!(engine.delete(&1_u64.to_le_bytes()).unwrap());
    assert_eq!(engine.len(), keys - 1);
    // What was deleted makes room for others.
    for number in 2..keys as u64 / 2 {
        engine.delete(&number.to_le_bytes()).unwrap();
    }
    let added = refused.iter().take(10_000).filter(|number| put(**number).is_ok()).count();
    assert!(added > 9_900, "{added} of 10,000");
    // A database that has more keys than the limit allows is opened all the same.
    engine.shut_down().unwrap();
    let keys = engine.len();
    drop(engine);
    let tight = Options { max_index_bytes: 1, ..options };
    let engine = recover::open(disk.storage(), tight).unwrap();
    assert_eq!(engine.len(), keys);
    let memory = engine.index_memory();
    let new = (300_000..500_000_u64).filter(|new| engine.put(&new.to_le_bytes(), b"v").is_ok());
    assert!(new.count() < 200_000, "no new key was refused");
    assert_eq!(engine.index_memory(), memory);
    engine.put(&0_u64.to_le_bytes(), b"other").unwrap();
}

#[test]
fn deletes_are_not_refused_as_soon_as_puts_are() {
    for round in 0..10 {
        let directory = TempDir::new("space-deletes");
        let options =
            Options { compaction: CompactionMode::Manual, max_disk_bytes: 8 << 20, ..options() };
        let db = Db::open(&directory.join("db"), &options).expect("open");
        let full = (0_u64..).find(|number| db.put(&number.to_le_bytes(), &[7; 1000]).is_err());
        let keys = full.expect("there is a limit");
        let mut batch = WriteBatch::new();
        (1000..1100).for_each(|number: u64| batch.delete(&number.to_le_bytes()).unwrap());
        db.write(&batch, WriteSync::AsOpened).expect("a batch of deletes is one");
        for number in 0..1000.min(keys) {
            let deleted = db.delete(&number.to_le_bytes());
            deleted.unwrap_or_else(|e| panic!("round {round}, delete {number} of {keys}: {e}"));
        }
        db.compact().expect("compact");
        db.put(b"key", &[7; 1000]).expect("there is room again");
    }
}
