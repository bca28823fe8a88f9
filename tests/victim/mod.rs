//! What a killed child and its parent agree on: the history, where things are, and the notes they
//! share.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kv::options::{Options, SyncLevel};
use memmap2::{MmapOptions, MmapRaw};

use crate::common::Random;

/// A batch of so many writes takes a while.
pub const LARGE_BATCH: usize = 100;

/// Keys that are put, deleted and written in batches.
const KEYS: u64 = 400;

pub type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Keys and values; without a value, the key is deleted.
pub type Writes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

pub enum Operation {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    /// All of it or nothing.
    Batch(Writes),
    /// A counter and what is added to it.
    Add(Vec<u8>, i64),
    Compact,
    Sync,
    Reopen,
}

/// What is done at `step` of the history `seed`.
pub fn operation(seed: u64, step: u64) -> Operation {
    let mut random = Random(Random(seed ^ step << 20).next());
    let key = key(random.below(KEYS));
    match random.below(10_000) {
        0..=19 => Operation::Compact,
        20..=39 => Operation::Sync,
        40..=59 => Operation::Reopen,
        60..=259 => Operation::Batch(batch(&mut random)),
        260..=459 => Operation::Add(vec![b'c', random.below(8) as u8, 0], step as i64),
        460..=2_499 => Operation::Delete(key),
        _ => Operation::Put(key, value(&mut random)),
    }
}

fn key(number: u64) -> Vec<u8> {
    let len = if number.is_multiple_of(97) { 3_000 } else { 4 + (number % 29) as usize };
    let mut key = Random(number).bytes(len);
    key[..2].copy_from_slice(&(number as u16).to_le_bytes());
    key
}

/// A few keys, or so many that a kill has time to meet the batch half done: in the log, in the
/// index, and where it makes the log go on in a new segment.
fn batch(random: &mut Random) -> Writes {
    let (first, round) = (random.below(KEYS), random.next());
    let is_large = random.below(2) == 0;
    let least = LARGE_BATCH as u64;
    let count = if is_large { least + random.below(KEYS - least) } else { 1 + random.below(8) };
    let most = if is_large { 8_000 } else { 200 };
    let writes = (first..first + count).map(|number| {
        let key = key(number % KEYS);
        let is_delete = round.rotate_left(number as u32).is_multiple_of(4);
        let value = Random(round ^ number).bytes(8 + random.below(most) as usize);
        (key, (!is_delete).then_some(value))
    });
    writes.collect()
}

/// Mostly small values; some so large that segments of 1 MiB fill often, and a few that no segment
/// holds.
fn value(random: &mut Random) -> Vec<u8> {
    let len = match random.below(10_000) {
        0..=1 => 1_100_000,
        2..=40 => random.below(200_000),
        41..=500 => random.below(3_000),
        501..=1_500 => 0,
        _ => random.below(200),
    };
    random.bytes(len as usize)
}

pub fn apply(operation: &Operation, model: &mut Model) {
    match operation {
        Operation::Put(key, value) => {
            model.insert(key.clone(), value.clone());
        }
        Operation::Delete(key) => {
            model.remove(key);
        }
        Operation::Batch(writes) => {
            for (key, value) in writes {
                match value {
                    Some(value) => model.insert(key.clone(), value.clone()),
                    None => model.remove(key),
                };
            }
        }
        Operation::Add(key, delta) => {
            let before = model.get(key).and_then(|value| value.as_slice().try_into().ok());
            let sum = before.map_or(0, i64::from_le_bytes) + delta;
            model.insert(key.clone(), sum.to_le_bytes().into());
        }
        Operation::Compact | Operation::Sync | Operation::Reopen => {}
    }
}

pub fn options(level: &str) -> Options {
    let sync = match level {
        "none" => SyncLevel::None,
        "interval" => SyncLevel::Interval,
        _ => SyncLevel::Always,
    };
    Options { segment_size: 1 << 20, sync, sync_interval_ms: 5, ..Options::default() }
}

/// What the child is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    Starting,
    Opening,
    Working,
    /// In the middle of writing one.
    Batch,
    Compacting,
    Closing,
    Waiting,
}

/// A page that parent and child share.
pub struct Notes {
    map: MmapRaw,
    /// The stage that this process entered last, and when.
    entered: Cell<(Stage, Instant)>,
}

impl Notes {
    pub fn open(path: &Path) -> Notes {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let map = MmapOptions::new().len(4096).map_raw(&file.expect("the notes are there"));
        let entered = Cell::new((Stage::Starting, Instant::now()));
        Notes { map: map.expect("the notes can be mapped"), entered }
    }

    pub fn create(path: &Path) -> Notes {
        let file = File::create(path).expect("the notes can be created");
        file.set_len(4096).expect("the notes can be made a page long");
        Notes::open(path)
    }

    #[allow(unsafe_code, reason = "another process shares the words, so they must be atomic")]
    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < 512);
        // SAFETY: the map has 4096 bytes, is page-aligned and lives as long as the reference; both
        // processes reach its words through this function alone, as atomics.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().cast::<u64>().add(index)) }
    }

    pub fn stage(&self) -> &AtomicU64 {
        self.word(0)
    }

    /// Steps below this were begun.
    pub fn issued(&self) -> &AtomicU64 {
        self.word(1)
    }

    /// Steps below this were acknowledged.
    pub fn acknowledged(&self) -> &AtomicU64 {
        self.word(2)
    }

    /// Where the history ends.
    pub fn end(&self) -> &AtomicU64 {
        self.word(3)
    }

    /// How long the stage lasted the last time, in microseconds.
    fn lasted(&self, stage: Stage) -> &AtomicU64 {
        self.word(8 + stage as usize)
    }

    pub fn length_of(&self, stage: Stage) -> Duration {
        Duration::from_micros(self.lasted(stage).load(Ordering::SeqCst))
    }

    pub fn enter(&self, stage: Stage) {
        let (left, since) = self.entered.replace((stage, Instant::now()));
        self.lasted(left).store(since.elapsed().as_micros() as u64, Ordering::SeqCst);
        self.stage().store(stage as u64, Ordering::SeqCst);
    }

    pub fn is_at(&self, stage: Stage) -> bool {
        self.stage().load(Ordering::SeqCst) == stage as u64
    }
}

pub fn notes_path(directory: &Path) -> PathBuf {
    directory.join("notes")
}

pub fn database_path(directory: &Path) -> PathBuf {
    directory.join("db")
}
