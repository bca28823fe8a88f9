//! A piece of the index, changed and read at once: a key that is there all the time is found, with
//! one of the locations it has meanwhile, and one that is not there never is.

use std::sync::Arc;

use loom::cell::UnsafeCell;

use crate::epoch;
use crate::error::Result;
use crate::explore::{join, spawn, Model};
use crate::index::{Location, Piece};

pub const MODELS: [Model; 7] = [
    Model { name: "lookup beside update", preemptions: 3, must_fail: false, body: update },
    Model {
        name: "lookup beside an entry that moves",
        preemptions: 3,
        must_fail: false,
        body: moves,
    },
    Model {
        name: "lookup beside moves and an insert",
        preemptions: 3,
        must_fail: false,
        body: refill,
    },
    Model { name: "lookup beside growth", preemptions: 3, must_fail: false, body: growth },
    Model { name: "lookups beside filling", preemptions: 3, must_fail: false, body: filling },
    Model { name: "two writers", preemptions: 3, must_fail: false, body: two_writers },
    Model { name: "record after its entry", preemptions: 3, must_fail: true, body: too_early },
];

/// Versions of a key's record.
const VERSIONS: u64 = 4;
const KEYS: u64 = 16;

/// A piece, and the records that its entries point to.
struct Stage {
    piece: Piece,
    /// Loom knows when a record is read that was not written before.
    records: Vec<UnsafeCell<u64>>,
}

// SAFETY: loom runs all threads of a model on one, and checks the accesses to records.
unsafe impl Sync for Stage {}
// SAFETY: as above.
unsafe impl Send for Stage {}

/// All keys are of one piece, and at home in its first bucket as long as there are few.
fn hash(key: u64) -> u64 {
    (key + 1) << 33
}

fn location(key: u64, version: u64) -> Location {
    Location(1 + key * VERSIONS + version)
}

impl Stage {
    fn with_keys(keys: u64) -> Arc<Stage> {
        drop(epoch::pin().expect("pin"));
        epoch::flush();
        let records = (0..KEYS * VERSIONS + 1).map(|_| UnsafeCell::new(0)).collect();
        let stage = Stage { piece: Piece::new(Default::default(), 1024), records };
        (0..keys).for_each(|key| stage.put(key, 0));
        Arc::new(stage)
    }

    /// The key of a location, whose record must have been written.
    fn key_at(&self, location: Location) -> Result<u64> {
        // SAFETY: loom checks that nobody writes meanwhile.
        let written = self.records[location.0 as usize].with(|record| unsafe { *record });
        assert_eq!(written, location.0, "the record is not there yet");
        Ok((location.0 - 1) / VERSIONS)
    }

    fn write(&self, location: Location) {
        let record = &self.records[location.0 as usize];
        // SAFETY: loom checks that nobody reads meanwhile.
        record.with_mut(|record| unsafe { *record = location.0 });
    }

    fn put(&self, key: u64, version: u64) {
        self.write(location(key, version));
        self.set(key, version);
    }

    /// As the engine does it: find, reserve, set.
    fn set(&self, key: u64, version: u64) {
        let guard = epoch::pin().expect("pin");
        let mut piece = self.piece.lock(&guard);
        let found = piece.find(hash(key), |at| Ok(self.key_at(at)? == key)).expect("find");
        match found {
            Some((place, _)) => piece.update(place, location(key, version)),
            None => {
                let mut rehash = |at| Ok(hash(self.key_at(at)?));
                piece.reserve(hash(key), usize::MAX, &mut rehash).expect("reserve");
                piece.insert(hash(key), location(key, version));
            }
        }
    }

    fn remove(&self, key: u64) {
        let guard = epoch::pin().expect("pin");
        let mut piece = self.piece.lock(&guard);
        let found = piece.find(hash(key), |at| Ok(self.key_at(at)? == key)).expect("find");
        piece.remove(found.expect("the key is there").0);
    }

    /// The version that a reader finds.
    fn get(&self, key: u64) -> Option<u64> {
        let guard = epoch::pin().expect("pin");
        let visit = |at: Location| Ok((self.key_at(at)? == key).then_some((at.0 - 1) % VERSIONS));
        self.piece.find(&guard, hash(key), visit).expect("find")
    }
}

/// A thread of a model that works on the stage.
fn work(stage: &Arc<Stage>, body: impl FnOnce(&Stage) + 'static) -> loom::thread::JoinHandle<()> {
    let stage = Arc::clone(stage);
    spawn(move || body(&stage))
}

/// Everything that was deferred is freed, and the keys are found by whoever comes later.
fn conclude(stage: &Stage, present: &[(u64, u64)], absent: &[u64]) {
    for (key, version) in present {
        assert_eq!(stage.get(*key), Some(*version), "key {key} at the end");
    }
    absent.iter().for_each(|key| assert_eq!(stage.get(*key), None, "key {key} at the end"));
    assert_eq!(stage.piece.len(), present.len());
    epoch::flush();
}

fn update() {
    let stage = Stage::with_keys(2);
    let writer = work(&stage, |stage| {
        stage.put(1, 1);
        stage.put(1, 2);
    });
    let first = stage.get(1).expect("the key is always there");
    let second = stage.get(1).expect("the key is always there");
    assert!(first <= second, "an older version again");
    assert_eq!((stage.get(0), stage.get(5)), (Some(0), None));
    join([writer]);
    conclude(&stage, &[(0, 0), (1, 2)], &[5]);
}

/// Keys that fill the first of two buckets and spill into the second.
const SPILLED: u64 = 10;

fn all_but(gone: u64, count: u64) -> Vec<(u64, u64)> {
    (0..count).filter(|key| *key != gone).map(|key| (key, 0)).collect()
}

fn moves() {
    let stage = Stage::with_keys(SPILLED);
    let writer = work(&stage, |stage| stage.remove(0));
    let found = [SPILLED - 2, SPILLED - 1].map(|key| stage.get(key));
    assert_eq!(found, [Some(0); 2], "a key that is always there was missed");
    join([writer]);
    conclude(&stage, &all_but(0, SPILLED), &[0]);
}

fn refill() {
    let stage = Stage::with_keys(SPILLED);
    let writer = work(&stage, |stage| {
        stage.remove(0);
        stage.put(0, 1);
    });
    assert_eq!(stage.get(SPILLED - 1), Some(0), "a key that is always there was missed");
    assert!([None, Some(0), Some(1)].contains(&stage.get(0)), "a version that never was");
    join([writer]);
    let present: Vec<_> = all_but(0, SPILLED).into_iter().chain([(0, 1)]).collect();
    conclude(&stage, &present, &[SPILLED]);
}

/// One bucket is full with so many keys.
const FULL: u64 = 8;

fn growth() {
    let stage = Stage::with_keys(FULL);
    let writer = work(&stage, |stage| {
        stage.put(FULL, 0);
        stage.put(1, 1);
        // The old buckets are freed as soon as it is allowed.
        epoch::flush();
    });
    assert_eq!(stage.get(0), Some(0), "a key that is always there was missed");
    assert!([Some(0), Some(1)].contains(&stage.get(1)), "a key that is always there was missed");
    join([writer]);
    let mut present = all_but(1, FULL + 1);
    present.push((1, 1));
    conclude(&stage, &present, &[FULL + 1]);
}

/// A piece that an opening left empty is filled by whoever needs it first, as the index does it.
fn filling() {
    let donor = Stage::with_keys(3);
    let image = Arc::new(donor.piece.lock(&epoch::pin().expect("pin")).image().expect("an image"));
    let stage = Stage { piece: Piece::new(Default::default(), 1024), records: Vec::new() };
    stage.piece.expect(3);
    let stage = Arc::new(stage);
    let look = |key: u64| {
        let (stage, donor, image) = (Arc::clone(&stage), Arc::clone(&donor), Arc::clone(&image));
        move || {
            let guard = epoch::pin().expect("pin");
            if stage.piece.waits(&guard) {
                let mut piece = stage.piece.lock(&guard);
                if piece.waits() {
                    piece.fill(&image).expect("fill");
                }
            }
            let visit = |at| Ok((donor.key_at(at)? == key).then_some(()));
            let found = stage.piece.find(&guard, hash(key), visit).expect("find");
            assert_eq!(found.is_some(), key < 3, "key {key}");
        }
    };
    let threads = [spawn(look(0)), spawn(look(2))];
    look(5)();
    join(threads);
    assert_eq!(stage.piece.len(), 3);
    epoch::flush();
}

fn two_writers() {
    let stage = Stage::with_keys(3);
    let one = work(&stage, |stage| stage.put(3, 0));
    let other = work(&stage, |stage| {
        stage.remove(0);
        stage.put(1, 1);
    });
    assert_eq!(stage.get(2), Some(0), "a key that is always there was missed");
    join([one, other]);
    conclude(&stage, &[(1, 1), (2, 0), (3, 0)], &[0, 4]);
}

fn too_early() {
    let stage = Stage::with_keys(1);
    let writer = work(&stage, |stage| {
        stage.set(1, 0);
        stage.write(location(1, 0));
    });
    stage.get(1);
    join([writer]);
    conclude(&stage, &[(0, 0), (1, 0)], &[2]);
}
