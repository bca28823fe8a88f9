//! Opening, one rule of docs/FORMAT.md after the other: small databases are brought into the state
//! that a rule is about, and opened without threads. What counts is what they hold then, what they
//! say of the open, and what they refuse.

#[path = "recovery/beside.rs"]
mod beside;
#[path = "recovery/checkpoint.rs"]
mod checkpoint;
mod common;
mod damage;
#[path = "recovery/later.rs"]
mod later;
#[path = "recovery/leftovers.rs"]
mod leftovers;
#[path = "recovery/log_end.rs"]
mod log_end;
#[path = "recovery/sealed.rs"]
mod sealed;

use std::sync::Arc;

use damage::shelf::Shelf;
use damage::{log, Builder, Files, Model, Sample};
use kv::engine::herald::Delivery;
use kv::engine::{recover, Engine};
use kv::error::{Error, Kind, Result};
use kv::format::name;
use kv::notice::{Event, Level, Listeners, Notice};
use kv::options::{OnDamage, Options};
use kv::storage::Storage;
use parking_lot::Mutex;

/// Four records of [`LONG`] fill a segment; a few short ones still fit in.
const SEGMENT: u64 = 8 << 10;
const LONG: usize = 900;

/// Where the index comes from, as an open tells it.
const AT_CLOSE: &str = "the checkpoint made at closing";
const EARLIER: &str = "a checkpoint and what was written after it";
const LOG: &str = "hints and the log";

fn small() -> Options {
    Options { segment_size: SEGMENT, ..damage::options(OnDamage::Fail) }
}

fn read_only() -> Options {
    Options { on_damage: OnDamage::ReadOnly, ..small() }
}

fn begin(seed: u64) -> Builder {
    Builder::with(seed, small())
}

/// Three segments of four keys each, all of them full.
fn fill_three_segments(builder: &mut Builder) {
    (0..12).for_each(|number| builder.put(&format!("key {number}"), LONG));
}

/// A database that was opened.
struct Opened {
    engine: Engine,
    told: Vec<Notice>,
}

impl Opened {
    fn of(&self, event: Event) -> Vec<&Notice> {
        self.told.iter().filter(|notice| notice.event == Some(event)).collect()
    }

    /// Where its index comes from.
    fn index_from(&self) -> &str {
        let opened = self.of(Event::Opened);
        assert_eq!(opened.len(), 1, "an open is told once");
        opened[0].text.as_str().split_once("its index comes from ").expect("it is told").1
    }

    /// Fails unless it holds what the sample held after so many writes, and nothing else.
    fn must_hold(&self, sample: &Sample, writes: usize) {
        let state = &sample.states[writes];
        for key in &sample.keys {
            let found = self.engine.get(key, <[u8]>::to_vec).expect("it can be read");
            let right = found.as_deref() == state.get(key).map(|value| &**value);
            assert!(right, "{}: {}", sample.name, String::from_utf8_lossy(key));
        }
        assert_eq!(self.engine.len(), state.len(), "{}", sample.name);
    }

    fn must_hold_all(&self, sample: &Sample) {
        self.must_hold(sample, sample.states.len() - 1);
    }

    /// What reading the value of `key` fails with.
    fn failure_of(&self, key: &[u8]) -> Error {
        self.engine.get(key, <[u8]>::to_vec).expect_err("it cannot be read")
    }
}

fn open_in(storage: Arc<dyn Storage>, options: Options) -> Result<Opened> {
    let heard: Arc<Mutex<Vec<Notice>>> = Arc::default();
    let keep = Arc::clone(&heard);
    let listen = move |notice: &Notice| keep.lock().push(notice.clone());
    let listeners = Listeners { log: Some((Level::Debug, Arc::new(listen))), events: None };
    let delivery = Delivery::start(&listeners)?;
    let engine = recover::open_told(storage, options, Arc::clone(delivery.herald()));
    // It delivers what is left.
    drop(delivery);
    let told = std::mem::take(&mut *heard.lock());
    engine.map(|engine| Opened { engine, told })
}

fn shelf_of(files: &Files) -> Shelf {
    Shelf::new(1, files.iter().map(|(name, bytes)| (name, bytes.as_slice())))
}

fn open(files: &Files) -> Result<Opened> {
    open_in(shelf_of(files).storage(), small())
}

/// The error of an open that fails, which must be damage.
fn refused(files: &Files) -> Error {
    let error = open(files).map(drop).expect_err("it is damaged");
    assert_eq!(error.kind(), Kind::Corrupt, "{error}");
    error
}

/// The segments whose files these are.
fn segment_ids(files: &Files) -> Vec<u64> {
    files.keys().filter_map(|name| name::parse_segment(name)).collect()
}

fn bytes_of(files: &mut Files, segment: u64) -> &mut Vec<u8> {
    files.get_mut(&name::segment(segment)).expect("the segment is there")
}

/// Flips a bit in the value of a segment's record, which is a long one.
fn damage_record(files: &mut Files, segment: u64, record: usize) {
    let bytes = bytes_of(files, segment);
    let end = log::read(bytes).ends[record];
    bytes[end - LONG / 2] ^= 1;
}

fn remove_hints(files: &mut Files) {
    files.retain(|name, _| name::parse_hint(name).is_none());
}

/// What is in a state.
fn len_of(state: &Model, key: &str) -> Option<usize> {
    state.get(key.as_bytes()).map(|value| value.len())
}
