//! Snapshots and iterators: what they see is what was there at one moment, whatever is written,
//! compacted and expires afterwards. `KV_TEST_SEED` gives other operations.

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use common::{seed, Random, TempDir};
use kv::clock::{ManualTime, TimeSource};
use kv::db::{Db, Iter, Snapshot, WriteBatch, WriteOptions, WriteSync};
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

/// A key's value and when it expires.
type Model = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

/// A snapshot with what it must see.
struct Taken {
    snapshot: Snapshot,
    model: Model,
    now: u64,
}

/// An iterator under way, and what it has yet to come upon.
struct Walking {
    iter: Iter,
    left: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What of a model is there at this time, as far as it begins with `prefix`.
fn live(model: &Model, now: u64, prefix: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let is_there = |key: &Vec<u8>, expiry: u64| expiry > now && key.starts_with(prefix);
    let all = model.iter().filter(|(key, (_, expiry))| is_there(key, *expiry));
    all.map(|(key, (value, _))| (key.clone(), value.clone())).collect()
}

/// A database with a model of it, snapshots, and iterators.
struct Run {
    db: Db,
    time: Arc<ManualTime>,
    random: Random,
    model: Model,
    taken: Vec<Taken>,
    walking: Vec<Walking>,
    keys: u64,
}

impl Run {
    fn new(directory: &TempDir, read_mode: ReadMode, seed: u64) -> Run {
        let time = Arc::new(ManualTime::default());
        time.wall_ms.store(1_000_000, Ordering::SeqCst);
        let clock = TimeSource::Manual(Arc::clone(&time));
        let options = Options { time: clock, ..options(read_mode) };
        let db = Db::open(&directory.join("db"), &options).expect("a new database opens");
        let (model, taken, walking) = (Model::new(), Vec::new(), Vec::new());
        Run { db, time, random: Random(seed), model, taken, walking, keys: 400 }
    }

    fn now(&self) -> u64 {
        self.time.wall_ms.load(Ordering::SeqCst)
    }

    fn key(&mut self) -> Vec<u8> {
        let number = self.random.below(self.keys);
        [&number.to_le_bytes()[..], &vec![1; number as usize % 31]].concat()
    }

    fn value(&mut self) -> Vec<u8> {
        let len = match self.random.below(200) {
            0 => 200_000,
            1..=20 => 0,
            _ => self.random.below(3_000),
        };
        self.random.bytes(len as usize)
    }

    fn put(&mut self) {
        let (key, value, now) = (self.key(), self.value(), self.now());
        let ttl_ms = if self.random.below(4) == 0 { 1 + self.random.below(50) } else { 0 };
        let options = WriteOptions { ttl_ms, ..WriteOptions::default() };
        self.db.put_with(&key, &value, &options).expect("put");
        let expiry = if ttl_ms == 0 { u64::MAX } else { now + ttl_ms };
        self.model.insert(key, (value, expiry));
    }

    fn delete(&mut self) {
        let (key, now) = (self.key(), self.now());
        let was_there = self.db.delete(&key).expect("delete");
        let removed = self.model.remove(&key).filter(|(_, expiry)| *expiry > now);
        assert_eq!(was_there, removed.is_some());
    }

    fn batch(&mut self) {
        let mut batch = WriteBatch::default();
        for _ in 0..self.random.below(20) {
            let (key, value) = (self.key(), self.value());
            if self.random.below(3) == 0 {
                batch.delete(&key).expect("delete");
                self.model.remove(&key);
            } else {
                batch.put(&key, &value, 0).expect("put");
                self.model.insert(key, (value, u64::MAX));
            }
        }
        self.db.write(&batch, WriteSync::AsOpened).expect("write");
    }

    fn take(&mut self) {
        let snapshot = self.db.open_snapshot().expect("a snapshot");
        self.taken.push(Taken { snapshot, model: self.model.clone(), now: self.now() });
    }

    fn close_one(&mut self) {
        if !self.taken.is_empty() {
            let at = self.random.below(self.taken.len() as u64) as usize;
            self.db.close_snapshot(self.taken.swap_remove(at).snapshot);
        }
    }

    /// All that a snapshot is asked for is as it was.
    fn compare(&self, taken: &Taken, context: &str) {
        for number in 0..self.keys {
            let key = [&number.to_le_bytes()[..], &vec![1; number as usize % 31]].concat();
            let expected = taken.model.get(&key).filter(|(_, expiry)| *expiry > taken.now);
            let expected = expected.map(|(value, _)| value.as_slice());
            let found = self.db.get_at(&taken.snapshot, &key, <[u8]>::to_vec).expect(context);
            assert!(found.as_deref() == expected, "{context}: key {number}");
            let len = self.db.value_len_at(&taken.snapshot, &key).expect(context);
            assert_eq!(len, expected.map(<[u8]>::len), "{context}: key {number}");
            if number % 7 == 0 {
                let view = self.db.view_at(&taken.snapshot, &key).expect(context);
                assert_eq!(view.as_ref().map(|view| view.bytes()), expected, "{context}: {number}");
            }
        }
    }

    /// Begins to iterate, over what there is now or what a snapshot sees.
    fn open_iter(&mut self) {
        let first = [self.random.below(8) as u8];
        let prefix = if self.random.below(3) == 0 { &first[..] } else { &[] };
        let at = self.random.below(2 * self.taken.len() as u64 + 1) as usize;
        let (snapshot, left) = match self.taken.get(at) {
            Some(taken) => (Some(&taken.snapshot), live(&taken.model, taken.now, prefix)),
            None => (None, live(&self.model, self.now(), prefix)),
        };
        let iter = self.db.open_iter(snapshot, prefix).expect("an iterator");
        self.walking.push(Walking { iter, left });
    }

    /// Goes on with an iterator, for up to `steps` records.
    fn walk(&mut self, at: usize, steps: u64, context: &str) {
        let Walking { iter, left } = &mut self.walking[at];
        for _ in 0..steps {
            if !self.db.advance(iter).expect(context) {
                assert!(iter.current().is_none());
                let left: Vec<_> = left.keys().collect();
                assert!(left.is_empty(), "{context}: the iterator passed over {left:?}");
                assert!(!self.db.advance(iter).expect(context), "the end is the end");
                self.db.close_iter(self.walking.swap_remove(at).iter);
                return;
            }
            let (key, value) = iter.current().expect("it is at a record");
            let expected = left.remove(key);
            assert!(expected.is_some(), "{context}: {key:?} came twice, or is not there");
            assert!(expected.as_deref() == Some(value), "{context}: {key:?} has another value");
        }
        if steps == 0 {
            self.db.close_iter(self.walking.swap_remove(at).iter);
        }
    }

    fn walk_one(&mut self, context: &str) {
        if self.walking.is_empty() || self.walking.len() < 6 && self.random.below(8) == 0 {
            return self.open_iter();
        }
        let at = self.random.below(self.walking.len() as u64) as usize;
        let steps = [0, 1, 10, 40, 100, 300][self.random.below(6) as usize];
        self.walk(at, steps, context);
    }

    fn step(&mut self, step: u64) {
        match self.random.below(1_000) {
            0..=599 => self.put(),
            600..=799 => self.delete(),
            800..=849 => self.batch(),
            850..=859 => self.take(),
            860..=869 => self.close_one(),
            870..=874 => self.db.compact().expect("compact"),
            875..=880 => self.db.sync().expect("sync"),
            881..=890 => self.time.advance(1),
            891..=907 => self.walk_one(&format!("step {step}")),
            908..=912 => {
                if let Some(taken) = self.taken.first() {
                    self.compare(taken, &format!("step {step}"));
                }
            }
            _ => {
                let (key, now) = (self.key(), self.now());
                let found = self.db.get(&key, <[u8]>::to_vec).expect("get");
                let live = self.model.get(&key).filter(|(_, expiry)| *expiry > now);
                assert_eq!(found.as_ref(), live.map(|(value, _)| value), "step {step}");
            }
        }
    }
}

fn agrees_with_a_map(read_mode: ReadMode, steps: u64) {
    let directory = TempDir::new("snapshots");
    let seed = seed();
    let mut run = Run::new(&directory, read_mode, seed);
    for step in 0..steps {
        run.step(step);
    }
    run.db.compact().expect("compact");
    for taken in &run.taken {
        run.compare(taken, &format!("seed {seed}, at the end"));
    }
    while !run.taken.is_empty() {
        run.close_one();
    }
    while !run.walking.is_empty() {
        run.walk(0, u64::MAX, "at the end");
    }
    assert_eq!(run.db.engine().snapshots(), (0, 0), "nothing is kept when no snapshot is open");
}

#[test]
fn snapshots_agree_with_maps() {
    agrees_with_a_map(ReadMode::Mmap, 30_000);
    agrees_with_a_map(ReadMode::Pread, 10_000);
}

#[test]
fn nothing_is_kept_for_what_no_snapshot_sees() {
    let directory = TempDir::new("snapshots");
    let db = Db::open(&directory.join("db"), &options(ReadMode::Mmap)).expect("open");
    db.put(b"key", b"0").expect("put");
    assert_eq!(db.engine().snapshots(), (0, 0));
    let old = db.open_snapshot().expect("a snapshot");
    db.put(b"new", b"unseen").expect("put");
    db.put(b"new", b"unseen too").expect("put");
    assert_eq!(db.engine().snapshots(), (1, 0));
    for round in 0..100_u8 {
        db.put(b"key", &[round]).expect("put");
    }
    let one = db.engine().snapshots().1;
    assert!(one > 0);
    let young = db.open_snapshot().expect("a snapshot");
    assert!(db.delete(b"key").expect("delete"));
    assert_eq!(db.engine().snapshots(), (2, 2 * one));
    let at = |snapshot| db.get_at(snapshot, b"key", <[u8]>::to_vec).expect("get");
    assert_eq!((at(&old).as_deref(), at(&young).as_deref()), (Some(&b"0"[..]), Some(&[99][..])));
    assert_eq!(db.get_at(&young, b"new", <[u8]>::len).expect("get"), Some(10));
    assert_eq!(db.get_at(&old, b"new", <[u8]>::len).expect("get"), None);
    db.close_snapshot(old);
    assert_eq!(db.engine().snapshots(), (1, one));
    db.close_snapshot(young);
    assert_eq!(db.engine().snapshots(), (0, 0));
}

/// One thread closes snapshots, and another takes some in the meantime: often nothing was written
/// between, and they have the same sequence.
#[test]
fn closing_a_snapshot_takes_nothing_from_another_of_the_same_moment() {
    const ROUNDS: u64 = 50_000;
    let directory = TempDir::in_memory("snapshots");
    let db = Db::open(&directory.join("db"), &options(ReadMode::Mmap)).expect("open");
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                db.close_snapshot(db.open_snapshot().expect("open_snapshot"));
            }
        });
        let lost = (1..=ROUNDS).find(|round| {
            db.put(b"key", &round.to_le_bytes()).expect("put");
            let snapshot = db.open_snapshot().expect("open_snapshot");
            db.put(b"key", b"something later").expect("put");
            let found = db.get_at(&snapshot, b"key", <[u8]>::to_vec).expect("get_at");
            db.close_snapshot(snapshot);
            found.as_deref() != Some(&round.to_le_bytes())
        });
        ended.store(true, Ordering::Relaxed);
        assert_eq!(lost, None, "a snapshot did not see what it was taken of");
    });
}
