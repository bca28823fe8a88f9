//! Random operations against a map: whatever is done in whatever order, the database answers as the
//! map does.
//!
//! Each run draws operations (put, overwrite, delete, read, view, compact, sync, reopen) from a
//! seed, with keys from a small set so that they meet often, and values from empty to larger than a
//! segment. After every reopening and at the end everything is compared. `KV_TEST_SEED` gives
//! another seed; a failure names the seed and the step.

mod common;

use std::collections::BTreeMap;

use common::{bytes_in, seed, Random, TempDir};
use kv::db::Db;
use kv::options::{Options, ReadMode, SyncLevel};

const OPERATIONS: u64 = 100_000;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn options(read_mode: ReadMode) -> Options {
    Options { segment_size: 1 << 20, sync: SyncLevel::None, read_mode, ..Options::default() }
}

fn key(random: &mut Random) -> Vec<u8> {
    let number = random.below(2_000);
    let len = if number.is_multiple_of(97) { 3_000 } else { 4 + (number % 29) as usize };
    let mut key = Random(number).bytes(len);
    key[..2].copy_from_slice(&(number as u16).to_le_bytes());
    key
}

fn value(random: &mut Random) -> Vec<u8> {
    let len = match random.below(10_000) {
        0 => 1_500_000,
        1..=20 => random.below(100_000),
        21..=500 => random.below(3_000),
        501..=1_500 => 0,
        _ => random.below(200),
    };
    random.bytes(len as usize)
}

fn compare(db: &Db, model: &Model, context: &str) {
    assert_eq!(db.engine().len(), model.len(), "{context}: number of keys");
    for (key, value) in model {
        let same = db.get(key, |found| found == value.as_slice()).expect(context);
        assert_eq!(same, Some(true), "{context}: key {key:?}");
    }
}

fn run(read_mode: ReadMode, operations: u64) {
    let seed = seed();
    let mut random = Random(seed);
    let directory = TempDir::new("model");
    let path = directory.join("db");
    let options = options(read_mode);
    let mut db = Db::open(&path, &options).expect("a new database opens");
    let mut model = Model::new();
    let mut views = Vec::new();
    for step in 0..operations {
        let context = format!("seed {seed}, step {step}");
        let key = key(&mut random);
        match random.below(1_000) {
            0..=549 => {
                let value = value(&mut random);
                db.put(&key, &value).expect(&context);
                model.insert(key, value);
            }
            550..=749 => {
                let was_there = db.delete(&key).expect(&context);
                assert_eq!(was_there, model.remove(&key).is_some(), "{context}: delete");
            }
            750..=969 => {
                let found = db.get(&key, <[u8]>::to_vec).expect(&context);
                assert_eq!(found.as_ref(), model.get(&key), "{context}: get");
                let len = db.value_len(&key).expect(&context);
                assert_eq!(len, found.map(|value| value.len()), "{context}: value_len");
            }
            970..=993 => {
                let view = db.view(&key).expect(&context);
                assert_eq!(view.is_some(), model.contains_key(&key), "{context}: view");
                views.extend(view.map(|view| (view, model[&key].clone())));
                if views.len() > 20 {
                    let (view, expected) = views.swap_remove(random.below(20) as usize);
                    assert_eq!(view.bytes(), expected, "{context}: an older view");
                }
            }
            994..=995 => db.sync().expect(&context),
            996..=997 => db.compact().expect(&context),
            _ => {
                db.close().expect(&context);
                db = Db::open(&path, &options).expect(&context);
                compare(&db, &model, &context);
            }
        }
    }
    compare(&db, &model, "at the end");
    db.compact().expect("compact");
    compare(&db, &model, "after compaction");
    let live: u64 = model.iter().map(|(k, v)| (k.len() + v.len() + 24) as u64).sum();
    db.close().expect("close");
    let on_disk = bytes_in(&path);
    assert!(on_disk < live + (1 << 20), "{on_disk} bytes on disk for {live} live ones");
    for (view, expected) in &views {
        assert_eq!(view.bytes(), expected, "a view outlives its database");
    }
}

#[test]
fn random_operations_agree_with_a_map() {
    run(ReadMode::Mmap, OPERATIONS);
}

#[test]
fn random_operations_agree_with_a_map_without_maps() {
    run(ReadMode::Pread, OPERATIONS / 5);
}

#[test]
fn deleting_everything_leaves_next_to_nothing() {
    let directory = TempDir::new("model");
    let path = directory.join("db");
    let db = Db::open(&path, &options(ReadMode::Mmap)).expect("a new database opens");
    for number in 0..100_000_u32 {
        db.put(&number.to_le_bytes(), &[7; 100]).expect("put");
    }
    for number in 0..100_000_u32 {
        assert!(db.delete(&number.to_le_bytes()).expect("delete"));
    }
    db.compact().expect("compact");
    assert!(db.engine().is_empty());
    assert!(bytes_in(&path) < 1 << 20, "{} bytes are left while open", bytes_in(&path));
    db.close().expect("close");
    assert!(bytes_in(&path) < 64 << 10, "{} bytes are left when closed", bytes_in(&path));
    let db = Db::open(&path, &options(ReadMode::Mmap)).expect("it opens again");
    assert!(db.engine().is_empty(), "a deleted key came back");
}

#[test]
fn a_closed_log_that_is_full_to_the_last_byte_goes_on_in_a_new_segment() {
    let directory = TempDir::new("model");
    let path = directory.join("db");
    for round in 0..3_u8 {
        let db = Db::open(&path, &options(ReadMode::Mmap)).expect("open");
        // Closing cut the tail to its length; this value does not fit into what may be added.
        db.put(&[round], &vec![round; 1 << 20]).expect("put");
        db.put(b"small", &[round]).expect("put");
        db.close().expect("close");
    }
    let db = Db::open(&path, &options(ReadMode::Mmap)).expect("open");
    assert_eq!(db.engine().len(), 4);
}
