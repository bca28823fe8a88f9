//! A batch changes keys in two pieces of the index while others read them, one after the other: who
//! has seen one part of it must find the other.
//!
//! The pieces and what is told of batches are the library's own; what writers and readers do with
//! them is as in `engine/batch.rs` (`hold_pieces`, `append_all`, `apply`) and `engine/read.rs`
//! (`find`, `is_there`).

use std::sync::Arc;

use loom::cell::UnsafeCell;

use crate::epoch;
use crate::explore::{join, spawn, Model};
use crate::index::{Location, Piece};
use crate::unapplied::Batches;

const fn model(name: &'static str, must_fail: bool, body: fn()) -> Model {
    Model { name, preemptions: 3, must_fail, body }
}

pub const MODELS: [Model; 8] = [
    model("batch of puts beside a reader", false, puts),
    model("batch of deletes beside a reader", false, deletes),
    model("batch with a new key beside a reader", false, new_key),
    model("two batches beside a reader", false, two_batches),
    model("batch and a put beside a reader", false, put_after),
    model("batch whose readers do not wait", true, no_wait),
    model("batch whose tombstones go at once", true, tombstones_go_at_once),
    model("batch that is told of too late", true, told_late),
];

#[derive(Clone, Copy)]
struct Record {
    key: usize,
    sequence: u64,
    is_in_batch: bool,
    is_put: bool,
}

/// What a mistaken writer or reader does otherwise.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mistake {
    None,
    NoWait,
    TombstonesGoAtOnce,
    ToldLate,
}

const KEYS: usize = 4;
const RECORDS: usize = 16;
/// Sequences of what is there at first are those of the keys; writes come after them.
const FIRST: u64 = KEYS as u64;

struct Stage {
    /// One for each key.
    pieces: [Piece; KEYS],
    /// By sequence.
    records: Vec<UnsafeCell<Option<Record>>>,
    batches: Batches,
    mistake: Mistake,
}

// SAFETY: loom runs all threads of a model on one, and checks the accesses to records.
unsafe impl Sync for Stage {}
// SAFETY: as above.
unsafe impl Send for Stage {}

const HASH: u64 = 1 << 33;

fn location(sequence: u64) -> Location {
    Location(sequence + 1)
}

impl Stage {
    fn new(present: &[usize], mistake: Mistake) -> Arc<Stage> {
        drop(epoch::pin().expect("pin"));
        epoch::flush();
        let pieces = std::array::from_fn(|_| Piece::new(Default::default(), 1024));
        let records = (0..RECORDS).map(|_| UnsafeCell::new(None)).collect();
        let stage = Stage { pieces, records, batches: Batches::default(), mistake };
        for &key in present {
            stage.append(Record { key, sequence: key as u64, is_in_batch: false, is_put: true });
            stage.set(key, key as u64);
        }
        // What loom is to follow is made by who touches it first, which must be before all others.
        (0..KEYS).for_each(|key| drop(stage.get(key)));
        Arc::new(stage)
    }

    fn append(&self, record: Record) {
        let place = &self.records[record.sequence as usize];
        // SAFETY: loom checks that nobody reads meanwhile.
        place.with_mut(|place| unsafe { *place = Some(record) });
    }

    fn record(&self, at: Location) -> Record {
        // SAFETY: loom checks that nobody writes meanwhile.
        let record = self.records[at.0 as usize - 1].with(|record| unsafe { *record });
        record.expect("the record is there before its entry")
    }

    /// A put of one key.
    fn set(&self, key: usize, sequence: u64) {
        let guard = epoch::pin().expect("pin");
        let mut piece = self.pieces[key].lock(&guard);
        match piece.find(HASH, |_| Ok(true)).expect("find") {
            Some((place, _)) => piece.update(place, location(sequence)),
            None => {
                piece.reserve(HASH, usize::MAX, &mut |_| Ok(HASH)).expect("reserve");
                piece.insert(HASH, location(sequence));
            }
        }
    }

    /// A batch of two keys.
    fn write(&self, keys: [usize; 2], first: u64, is_put: bool) {
        let guard = epoch::pin().expect("pin");
        let mut held = keys.map(|key| (key, self.pieces[key].lock(&guard)));
        for (_, piece) in &mut held {
            if piece.find(HASH, |_| Ok(true)).expect("find").is_none() {
                piece.reserve(HASH, usize::MAX, &mut |_| Ok(HASH)).expect("reserve");
            }
        }
        for (number, key) in keys.into_iter().enumerate() {
            let sequence = first + number as u64;
            self.append(Record { key, sequence, is_in_batch: true, is_put });
        }
        if self.mistake != Mistake::ToldLate {
            self.batches.begin(first);
        }
        for (number, (_, piece)) in held.iter_mut().enumerate() {
            let to = location(first + number as u64);
            match piece.find(HASH, |_| Ok(true)).expect("find") {
                Some((place, _)) => piece.update(place, to),
                None => piece.insert(HASH, to),
            }
            if self.mistake == Mistake::ToldLate && number == 0 {
                self.batches.begin(first);
            }
            if self.mistake == Mistake::TombstonesGoAtOnce {
                let found = piece.find(HASH, |_| Ok(true)).expect("find");
                piece.remove(found.expect("it was just set").0);
            }
        }
        self.batches.end(first);
        if !is_put && self.mistake != Mistake::TombstonesGoAtOnce {
            for (_, piece) in &mut held {
                let found = piece.find(HASH, |_| Ok(true)).expect("find");
                piece.remove(found.expect("it was just set").0);
            }
        }
    }

    /// The sequence of the record that a reader finds.
    fn get(&self, key: usize) -> Option<u64> {
        let guard = epoch::pin().expect("pin");
        let piece = &self.pieces[key];
        let visit = |at: Location| {
            let record = self.record(at);
            assert_eq!(record.key, key);
            let may_be_half = || record.sequence >= self.batches.unapplied_from();
            if record.is_in_batch && may_be_half() && self.mistake != Mistake::NoWait {
                drop(piece.lock(&guard));
            }
            Ok(record.is_put.then_some(record.sequence))
        };
        piece.find(&guard, HASH, visit).expect("find")
    }
}

fn writer(stage: &Arc<Stage>, work: impl FnOnce(&Stage) + 'static) -> loom::thread::JoinHandle<()> {
    let stage = Arc::clone(stage);
    spawn(move || work(&stage))
}

/// Keys 0 and 1 get new values while they are read in either order.
fn put_both(mistake: Mistake) {
    let stage = Stage::new(&[0, 1], mistake);
    let batch = writer(&stage, |stage| stage.write([0, 1], FIRST, true));
    let seen = [0, 1, 0].map(|key| stage.get(key).expect("the key is always there"));
    let is_new = seen.map(|sequence| sequence >= FIRST);
    assert!(!is_new[0] || is_new[1], "the first part and not the second");
    assert!(!is_new[1] || is_new[2], "the second part and not the first");
    join([batch]);
    assert_eq!([0, 1].map(|key| stage.get(key)), [Some(FIRST), Some(FIRST + 1)]);
    epoch::flush();
}

fn puts() {
    put_both(Mistake::None);
}

fn no_wait() {
    put_both(Mistake::NoWait);
}

fn told_late() {
    put_both(Mistake::ToldLate);
}

fn delete_both(mistake: Mistake) {
    let stage = Stage::new(&[0, 1], mistake);
    let batch = writer(&stage, |stage| stage.write([0, 1], FIRST, false));
    let is_gone = [0, 1, 0].map(|key| stage.get(key).is_none());
    assert!(!is_gone[0] || is_gone[1], "the first is gone and the second is there");
    assert!(!is_gone[1] || is_gone[2], "the second is gone and the first is there");
    join([batch]);
    assert_eq!([0, 1].map(|key| stage.get(key)), [None; 2]);
    assert_eq!([0, 1].map(|key| stage.pieces[key].len()), [0; 2]);
    epoch::flush();
}

fn deletes() {
    delete_both(Mistake::None);
}

fn tombstones_go_at_once() {
    delete_both(Mistake::TombstonesGoAtOnce);
}

fn new_key() {
    let stage = Stage::new(&[1], Mistake::None);
    let batch = writer(&stage, |stage| stage.write([0, 1], FIRST, true));
    let old_is_new = stage.get(1).expect("the key is always there") >= FIRST;
    let new_is_there = stage.get(0).is_some();
    assert!(!old_is_new || new_is_there, "one part and not the other");
    let later = stage.get(1).expect("the key is always there") >= FIRST;
    assert!(!new_is_there || later, "one part and not the other");
    join([batch]);
    epoch::flush();
}

/// The end of one batch says nothing of the other.
fn two_batches() {
    let stage = Stage::new(&[0, 1, 2, 3], Mistake::None);
    let one = writer(&stage, |stage| stage.write([0, 1], FIRST, true));
    let other = writer(&stage, |stage| stage.write([2, 3], FIRST + 2, true));
    let is_new = [0, 1].map(|key| stage.get(key).expect("the key is always there") >= FIRST);
    assert!(!is_new[0] || is_new[1], "the first part and not the second");
    join([one, other]);
    epoch::flush();
}

/// What overwrites a part of the batch comes after all of it.
fn put_after() {
    let stage = Stage::new(&[0, 1], Mistake::None);
    let batch = writer(&stage, |stage| {
        stage.write([0, 1], FIRST, true);
        let record = Record { key: 0, sequence: FIRST + 2, is_in_batch: false, is_put: true };
        stage.append(record);
        stage.set(0, FIRST + 2);
    });
    let seen = [0, 1].map(|key| stage.get(key).expect("the key is always there"));
    assert!(seen[0] < FIRST || seen[1] >= FIRST, "one part and not the other");
    join([batch]);
    assert_eq!(stage.get(0), Some(FIRST + 2));
    epoch::flush();
}
