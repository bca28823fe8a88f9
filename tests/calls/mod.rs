//! Random calls of the threads of a history, made and recorded with times and answers.

use std::sync::atomic::{AtomicU64, Ordering};

use kv::db::{Db, WriteBatch, WriteOptions, WriteSync, Written};

use crate::common::linear::{Event, What};
use crate::common::Random;

/// Keys that most operations are about.
pub const HOT_KEYS: u64 = 4;
/// Keys from here on are counters, …
const FIRST_COUNTER: u64 = 1 << 40;
/// … and values with this bit.
const COUNTER: u64 = 1 << 63;
/// Keys from here on only make batches take longer: nobody reads them.
const FIRST_FILLER: u64 = 1 << 41;
const FILLERS: u64 = 400;

/// The calls of one thread.
pub struct Recorder<'a> {
    clock: &'a AtomicU64,
    thread: usize,
    random: Random,
    /// Values drawn so far, by this thread in this phase.
    drawn: u64,
    /// No two recorders of a history have the same.
    number: u64,
    calls: Vec<Call>,
}

/// A call that is about to be made. All are drawn before the first: so threads meet more often.
pub enum Planned {
    Put {
        key: u64,
        value: u64,
        bytes: Vec<u8>,
    },
    Get {
        key: u64,
    },
    View {
        key: u64,
    },
    Length {
        key: u64,
    },
    Delete {
        key: u64,
    },
    /// All hot keys, one after the other.
    GetAll,
    /// All hot keys, as they were at one moment.
    Snapshot,
    /// All at once; without a value, the key is deleted.
    Batch {
        writes: Vec<(u64, Option<u64>)>,
        batch: WriteBatch,
    },
    /// If the key is not there.
    PutNew {
        key: u64,
        value: u64,
        bytes: Vec<u8>,
    },
    /// If nobody has written to the key since it was read; without a value, it is deleted.
    Replace {
        key: u64,
        value: Option<u64>,
        bytes: Vec<u8>,
    },
    Add {
        key: u64,
        delta: i64,
    },
}

/// A call that was made.
struct Call {
    event: Event,
    /// What it read, if it did.
    bytes: Option<Vec<u8>>,
}

impl<'a> Recorder<'a> {
    /// `number` is not that of another one of the history.
    pub fn new(clock: &'a AtomicU64, thread: usize, random: Random, number: u64) -> Recorder<'a> {
        Recorder { clock, thread, random, drawn: 0, number, calls: Vec::new() }
    }

    /// A random call. New keys come in as `step` goes up.
    pub fn plan(&mut self, step: u64, in_step: bool) -> Planned {
        let key = match self.random.below(10) {
            _ if in_step => step,
            0..=5 => self.random.below(HOT_KEYS),
            _ => HOT_KEYS + self.random.below(2 * step + 16),
        };
        match self.random.below(20) {
            0..=5 => {
                let (value, bytes) = self.draw();
                Planned::Put { key, value, bytes }
            }
            6 => Planned::Delete { key },
            7..=8 => Planned::Length { key },
            9 => Planned::View { key },
            10..=12 => self.plan_batch(step, in_step),
            13 => {
                let (value, bytes) = self.draw();
                Planned::PutNew { key, value, bytes }
            }
            14 => {
                let (value, bytes) = self.draw();
                let value = (value % 4 != 0).then_some(value);
                Planned::Replace { key, value, bytes }
            }
            15 => {
                let key = FIRST_COUNTER + if in_step { step } else { self.random.below(2) };
                match self.random.below(12) {
                    0 => Planned::Delete { key },
                    delta => Planned::Add { key, delta: delta as i64 },
                }
            }
            16 if !in_step => Planned::GetAll,
            17 if !in_step => Planned::Snapshot,
            _ => Planned::Get { key },
        }
    }

    /// A value that nobody else has drawn.
    fn draw(&mut self) -> (u64, Vec<u8>) {
        self.drawn += 1;
        let value = self.number << 32 | self.drawn;
        (value, bytes_of(value))
    }

    /// Of two keys that are fought over, or of all hot ones.
    fn plan_batch(&mut self, step: u64, in_step: bool) -> Planned {
        let keys = if in_step { step & !1..(step | 1) + 1 } else { 0..HOT_KEYS };
        let (mut writes, mut batch) = (Vec::new(), WriteBatch::new());
        for key in keys {
            let (value, bytes) = self.draw();
            let is_delete = self.random.below(3) == 0;
            writes.push((key, (!is_delete).then_some(value)));
            let added = match is_delete {
                true => batch.delete(&key_bytes(key)),
                false => batch.put(&key_bytes(key), &bytes, 0),
            };
            added.expect("the batch takes it");
        }
        if !in_step && self.random.below(4) == 0 {
            // The index gets the entries of these between those that are read.
            for key in FIRST_FILLER..FIRST_FILLER + FILLERS {
                batch.put(&key_bytes(key), &[0; 8], 0).expect("the batch takes it");
            }
        }
        Planned::Batch { writes, batch }
    }

    pub fn call(&mut self, db: &Db, planned: &Planned) {
        match planned {
            Planned::Replace { key, value, bytes } => return self.replace(db, *key, *value, bytes),
            Planned::GetAll => {
                return (0..HOT_KEYS).for_each(|key| self.call(db, &Planned::Get { key }))
            }
            Planned::Snapshot => return self.snapshot(db),
            _ => {}
        }
        let get = |key: u64, bytes: Option<Vec<u8>>| (What::Get { key, found: None }, bytes);
        self.record(|| match *planned {
            Planned::Put { key, value, ref bytes } => {
                db.put(&key_bytes(key), bytes).expect("put");
                (What::Put { key, value }, None)
            }
            Planned::Get { key } => get(key, db.get(&key_bytes(key), <[u8]>::to_vec).expect("get")),
            Planned::View { key } => {
                let view = db.view(&key_bytes(key)).expect("view");
                get(key, view.map(|view| view.bytes().to_vec()))
            }
            Planned::Length { key } => {
                let found = db.value_len(&key_bytes(key)).expect("value_len");
                (What::Length { key, found }, None)
            }
            Planned::Delete { key } => {
                let was_there = db.delete(&key_bytes(key)).expect("delete");
                (What::Delete { key, was_there }, None)
            }
            Planned::Batch { ref writes, ref batch } => {
                db.write(batch, WriteSync::AsOpened).expect("write");
                (What::Batch(writes.clone()), None)
            }
            Planned::PutNew { key, value, ref bytes } => {
                let options = WriteOptions { if_absent: true, ..WriteOptions::default() };
                let written = db.put_with(&key_bytes(key), bytes, &options).expect("put_with");
                let swapped = matches!(written, Written::Done(_));
                (What::Swap { key, expected: None, new: Some(value), swapped }, None)
            }
            Planned::Add { key, delta } => {
                let sum = db.add(&key_bytes(key), delta).expect("add");
                // Nothing is added that is not positive: 0 is what is not there.
                let expected = (sum != delta).then(|| counter(sum - delta));
                (What::Swap { key, expected, new: Some(counter(sum)), swapped: true }, None)
            }
            Planned::Replace { .. } | Planned::GetAll | Planned::Snapshot => {
                unreachable!("it is several calls")
            }
        });
    }

    /// Reads a key, and replaces what was read if it is there still.
    fn replace(&mut self, db: &Db, key: u64, new: Option<u64>, bytes: &[u8]) {
        let name = key_bytes(key);
        let before = db.version(&name).expect("version");
        self.call(db, &Planned::Get { key });
        let read = self.calls.last().and_then(|call| call.bytes.as_deref()).map(value_of);
        let version = db.version(&name).expect("version").filter(|_| read.is_some());
        let Some(if_version) = version.filter(|_| before == version) else { return };
        let options = WriteOptions { if_version, ..WriteOptions::default() };
        self.record(|| {
            let written = match new {
                Some(_) => db.put_with(&name, bytes, &options).expect("put_with"),
                None => db.delete_with(&name, &options).expect("delete_with"),
            };
            let swapped = matches!(written, Written::Done(_));
            (What::Swap { key, expected: read, new, swapped }, None)
        });
    }

    /// Takes a snapshot, and reads it when the time of the call is over: it sees what was then.
    fn snapshot(&mut self, db: &Db) {
        let called = self.clock.fetch_add(1, Ordering::SeqCst);
        let snapshot = db.open_snapshot().expect("open_snapshot");
        let returned = self.clock.fetch_add(1, Ordering::SeqCst);
        std::thread::yield_now();
        let read = |key: u64| {
            let found = db.get_at(&snapshot, &key_bytes(key), value_of).expect("get_at");
            (key, found)
        };
        let what = What::Snapshot((0..HOT_KEYS).map(read).collect());
        db.close_snapshot(snapshot);
        let event = Event { thread: self.thread, called, returned, what };
        self.calls.push(Call { event, bytes: None });
    }

    fn record(&mut self, call: impl FnOnce() -> (What, Option<Vec<u8>>)) {
        let called = self.clock.fetch_add(1, Ordering::SeqCst);
        let (what, bytes) = call();
        let returned = self.clock.fetch_add(1, Ordering::SeqCst);
        let event = Event { thread: self.thread, called, returned, what };
        self.calls.push(Call { event, bytes });
    }

    /// The calls with the values that were read.
    pub fn events(self) -> impl Iterator<Item = Event> {
        self.calls.into_iter().map(|Call { mut event, bytes }| {
            if let What::Get { found, .. } = &mut event.what {
                *found = bytes.map(|bytes| value_of(&bytes));
            }
            event
        })
    }
}

fn key_bytes(key: u64) -> [u8; 8] {
    key.to_le_bytes()
}

/// The value of a counter.
fn counter(sum: i64) -> u64 {
    COUNTER | sum as u64
}

/// Most values are short; some fill segments fast, and a few are copied without locks. Counters
/// alone have eight bytes.
pub fn length_of(value: u64) -> usize {
    if value & COUNTER != 0 {
        return 8;
    }
    let random = Random(value).next();
    let most = match random % 256 {
        0 => 130_000,
        1..=40 => 6_000,
        _ => 200,
    };
    9 + (random >> 32) as usize % most
}

fn bytes_of(value: u64) -> Vec<u8> {
    let mut bytes = Random(!value).bytes(length_of(value));
    bytes[..8].copy_from_slice(&value.to_le_bytes());
    bytes
}

/// The value that these bytes stand for.
fn value_of(bytes: &[u8]) -> u64 {
    let number = bytes.first_chunk().map(|head| u64::from_le_bytes(*head));
    let value = number.expect("no value is so short");
    if bytes.len() == 8 {
        return counter(value as i64);
    }
    assert!(bytes == bytes_of(value), "{} bytes that nobody wrote, as {value:#x}", bytes.len());
    value
}
