//! Random operations against a map: whatever is done in whatever order, the database answers as the
//! map does.
//!
//! Each run draws operations (put, overwrite, delete, conditional writes, counters, batches, values
//! that expire, reservations, read, view, compact, sync, reopen) from a seed, with keys from a
//! small set so that they meet often, and values from empty to larger than a segment. Time goes on
//! only when it is drawn. After every reopening and at the end everything is compared.
//! `KV_TEST_SEED` gives another seed; a failure names the seed and the step.

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::Arc;

use common::{bytes_in, seed, Random, TempDir};
use kv::clock::{ManualTime, TimeSource};
use kv::db::{Db, WriteBatch, WriteOptions, WriteSync, Written};
use kv::error::Kind;
use kv::options::{Options, ReadMode, SyncLevel};

const OPERATIONS: u64 = 100_000;

/// How many keys there are.
const KEYS: u64 = 2_000;

struct Held {
    value: Vec<u8>,
    expiry: Option<u64>,
}

/// What there is, and what time it is.
struct Model {
    held: BTreeMap<Vec<u8>, Held>,
    time: Arc<ManualTime>,
}

fn options(read_mode: ReadMode) -> Options {
    Options { segment_size: 1 << 20, sync: SyncLevel::None, read_mode, ..Options::default() }
}

fn key_of(number: u64) -> Vec<u8> {
    let len = if number.is_multiple_of(97) { 3_000 } else { 4 + (number % 29) as usize };
    let mut key = Random(number).bytes(len);
    key[..2].copy_from_slice(&(number as u16).to_le_bytes());
    key
}

fn key(random: &mut Random) -> Vec<u8> {
    key_of(random.below(KEYS))
}

fn value(random: &mut Random) -> Vec<u8> {
    let len = match random.below(10_000) {
        0 => 1_500_000,
        1..=20 => random.below(100_000),
        21..=500 => random.below(3_000),
        501..=1_500 => 0,
        1_501..=2_500 => 8,
        _ => random.below(200),
    };
    random.bytes(len as usize)
}

fn ttl_ms(random: &mut Random) -> u64 {
    [0, 0, 1 + random.below(500), 1_000_000_000][random.below(4) as usize]
}

impl Model {
    fn new(time: Arc<ManualTime>) -> Model {
        Model { held: BTreeMap::new(), time }
    }

    fn now(&self) -> u64 {
        self.time.wall_ms.load(Ordering::SeqCst)
    }

    fn advance(&mut self, ms: u64) {
        self.time.advance(ms);
        let now = self.now();
        self.held.retain(|_, held| held.expiry.is_none_or(|expiry| expiry > now));
    }

    fn put(&mut self, key: &[u8], value: &[u8], expiry: Option<u64>) {
        self.held.insert(key.to_vec(), Held { value: value.to_vec(), expiry });
    }

    fn expiry_in(&self, ttl_ms: u64) -> Option<u64> {
        (ttl_ms > 0).then(|| self.now() + ttl_ms)
    }

    fn value(&self, key: &[u8]) -> Option<&Vec<u8>> {
        self.held.get(key).map(|held| &held.value)
    }

    /// What a conditional write does, and whether it does it.
    fn put_with(&mut self, key: &[u8], value: &[u8], fits: bool, options: &WriteOptions) -> bool {
        let old = self.held.get(key);
        if options.if_absent && old.is_some() || !fits {
            return false;
        }
        let kept = old.filter(|_| options.keep_ttl).map(|old| old.expiry);
        let expiry = kept.unwrap_or_else(|| self.expiry_in(options.ttl_ms));
        let is_same = |old: &Held| old.value == value && old.expiry == expiry;
        if options.skip_if_equal && old.is_some_and(is_same) {
            return false;
        }
        self.put(key, value, expiry);
        true
    }

    /// All keys that may be are as they must be.
    fn compare(&self, db: &Db, context: &str) {
        assert!(db.engine().len() >= self.held.len(), "{context}: number of keys");
        for number in 0..KEYS {
            let key = key_of(number);
            let found = db.get(&key, <[u8]>::to_vec).expect(context);
            assert_eq!(found.as_ref(), self.value(&key), "{context}: key {number}");
            let left = db.ttl(&key).expect(context);
            let expiry = self.held.get(&key).map(|held| held.expiry);
            let expected = expiry.map(|expiry| expiry.map(|expiry| expiry - self.now()));
            assert_eq!(left, expected, "{context}: time to live of key {number}");
        }
    }
}

/// A put or a delete, and what else a write may be.
fn write(db: &Db, model: &mut Model, random: &mut Random, context: &str) {
    let key = key(random);
    match random.below(100) {
        0..=49 => {
            let value = value(random);
            db.put(&key, &value).expect(context);
            model.put(&key, &value, None);
        }
        50..=69 => {
            let was_there = db.delete(&key).expect(context);
            assert_eq!(was_there, model.held.remove(&key).is_some(), "{context}: delete");
        }
        70..=84 => write_with(db, model, &key, random, context),
        85..=89 => {
            let delta = if random.below(20) == 0 { i64::MAX } else { random.below(9) as i64 - 4 };
            let held = model.held.get(&key);
            let before = held.map_or(Some(0), |held| {
                held.value.as_slice().try_into().ok().map(i64::from_le_bytes)
            });
            let expiry = held.and_then(|held| held.expiry);
            let kind = match (before, before.and_then(|before| before.checked_add(delta))) {
                (_, Some(sum)) => {
                    assert_eq!(db.add(&key, delta).expect(context), sum, "{context}: add");
                    return model.put(&key, &sum.to_le_bytes(), expiry);
                }
                (Some(_), None) => Kind::Overflow,
                (None, _) => Kind::NotACounter,
            };
            let error = db.add(&key, delta).expect_err(context);
            assert_eq!(error.kind(), kind, "{context}: add");
        }
        90..=94 => {
            let ttl_ms = ttl_ms(random);
            let expiry = model.expiry_in(ttl_ms);
            let held = model.held.get_mut(&key);
            assert_eq!(db.touch(&key, ttl_ms).expect(context), held.is_some(), "{context}: touch");
            held.into_iter().for_each(|held| held.expiry = expiry);
        }
        _ => write_batch(db, model, random, context),
    }
}

fn write_with(db: &Db, model: &mut Model, key: &[u8], random: &mut Random, context: &str) {
    let version = db.version(key).expect(context);
    assert_eq!(version.is_some(), model.held.contains_key(key), "{context}: version");
    let is_same = random.below(4) == 0;
    let same = model.value(key).filter(|_| is_same).cloned();
    let value = same.unwrap_or_else(|| value(random));
    let (if_version, fits) = match random.below(4) {
        0 => (version.unwrap_or(1 << 40), version.is_some()),
        1 => (version.unwrap_or(1) + 1, false),
        _ => (0, true),
    };
    let options = WriteOptions {
        ttl_ms: ttl_ms(random),
        keep_ttl: random.below(3) == 0,
        if_absent: random.below(4) == 0,
        skip_if_equal: random.below(2) == 0,
        if_version,
        ..WriteOptions::default()
    };
    if random.below(4) == 0 {
        let options = WriteOptions { skip_if_equal: false, ..options };
        let mut reservation = db.reserve(key, value.len(), &options).expect(context);
        reservation.fill(&value);
        if random.below(3) == 0 {
            return db.abort(reservation);
        }
        let written = db.commit(reservation).expect(context);
        let is_done = model.put_with(key, &value, fits, &options);
        return assert_eq!(is_done, matches!(written, Written::Done(_)), "{context}: commit");
    }
    let written = db.put_with(key, &value, &options).expect(context);
    let is_done = model.put_with(key, &value, fits, &options);
    assert_eq!(is_done, matches!(written, Written::Done(_)), "{context}: put_with {written:?}");
    match written {
        Written::Done(now) => {
            assert!(version.is_none_or(|version| version < now), "{context}: version");
            assert_eq!(db.version(key).expect(context), Some(now), "{context}: version");
        }
        _ => assert_eq!(db.version(key).expect(context), version, "{context}: version"),
    }
}

fn write_batch(db: &Db, model: &mut Model, random: &mut Random, context: &str) {
    let mut batch = WriteBatch::new();
    for _ in 0..1 + random.below(60) {
        let key = key(random);
        if random.below(4) == 0 {
            batch.delete(&key).expect(context);
            model.held.remove(&key);
        } else {
            let (value, ttl_ms) = (value(random), ttl_ms(random));
            batch.put(&key, &value, ttl_ms).expect(context);
            model.put(&key, &value, model.expiry_in(ttl_ms));
        }
    }
    db.write(&batch, WriteSync::AsOpened).expect(context);
}

fn run(read_mode: ReadMode, operations: u64) {
    let seed = seed();
    let mut random = Random(seed);
    let directory = TempDir::new("model");
    let path = directory.join("db");
    let mut model = Model::new(Arc::default());
    model.advance(1_700_000_000_000);
    let time = TimeSource::Manual(Arc::clone(&model.time));
    let options = Options { time, ..options(read_mode) };
    let mut db = Db::open(&path, &options).expect("a new database opens");
    let mut views = Vec::new();
    for step in 0..operations {
        let context = format!("seed {seed}, step {step}");
        match random.below(1_000) {
            0..=749 => write(&db, &mut model, &mut random, &context),
            750..=968 => {
                let key = key(&mut random);
                let found = db.get(&key, <[u8]>::to_vec).expect(&context);
                assert_eq!(found.as_ref(), model.value(&key), "{context}: get");
                let len = db.value_len(&key).expect(&context);
                assert_eq!(len, found.map(|value| value.len()), "{context}: value_len");
            }
            969..=992 => {
                let key = key(&mut random);
                let view = db.view(&key).expect(&context);
                assert_eq!(view.is_some(), model.value(&key).is_some(), "{context}: view");
                views.extend(view.zip(model.value(&key).cloned()));
                if views.len() > 20 {
                    let (view, expected) = views.swap_remove(random.below(20) as usize);
                    assert_eq!(view.bytes(), expected, "{context}: an older view");
                }
            }
            993 => model.advance(1 + random.below(400)),
            994..=995 => db.sync().expect(&context),
            996..=997 => db.compact().expect(&context),
            _ => {
                db.close().expect(&context);
                db = Db::open(&path, &options).expect(&context);
                model.compare(&db, &context);
            }
        }
    }
    model.compare(&db, "at the end");
    // Also what has expired.
    let mut gone = WriteBatch::new();
    for key in (0..KEYS).map(key_of).filter(|key| model.value(key).is_none()) {
        gone.delete(&key).expect("delete");
    }
    db.write(&gone, WriteSync::AsOpened).expect("write");
    assert_eq!(db.engine().len(), model.held.len());
    db.compact().expect("compact");
    model.compare(&db, "after compaction");
    let len = |(key, held): (&Vec<u8>, &Held)| (key.len() + held.value.len() + 32) as u64;
    let live: u64 = model.held.iter().map(len).sum();
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
