//! A whole directory: it is opened, read, iterated over, written, compacted, checkpointed and
//! opened again. Whatever it holds, nothing panics or hangs, and no value is served but one of a
//! whole record; where no file but the manifest and the log has a say, it is the right one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::Arc;

use kv::clock::{ManualTime, TimeSource};
use kv::db::{Iter, Snapshot, View, WriteBatch, WriteSync};
use kv::engine::{recover, Engine};
use kv::error::{Error, Kind, Result};
use kv::format::name;
use kv::index::hash::KeyHasher;
use kv::index::number_of;
use kv::options::{CompactionMode, OnDamage, Options, ReadMode, SyncLevel};

use super::disk::Disk;
use super::examined;
use super::expected::{self, Expected};
use super::golden::Files;
use super::image::{self, KEYS};
use super::input::Input;
use super::model::manifest;

/// What the clock says.
const NOW_MS: u64 = 1_800_000_000_000;

/// Opens an image.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.u8();
    let files = image::build(&mut input);
    let time = Arc::new(ManualTime::default());
    time.wall_ms.store(NOW_MS, Ordering::SeqCst);
    let options = Options {
        segment_size: 1 << 20,
        sync: SyncLevel::None,
        compaction: CompactionMode::Manual,
        on_damage: if how & 1 != 0 { OnDamage::ReadOnly } else { OnDamage::Fail },
        read_mode: if how & 2 != 0 { ReadMode::Pread } else { ReadMode::Mmap },
        time: TimeSource::Manual(time),
        ..Options::default()
    };
    let disk = Disk::new(&files, NOW_MS);
    let report = examined::verify(&disk, &files);
    let is_sound = report.is_some_and(|report| report.verdict() == "sound");
    let saved = if how & 8 != 0 { examined::salvage(&disk, &files) } else { None };
    let engine = match recover::open(disk.storage(), options.clone()) {
        Ok(engine) => engine,
        Err(error) => {
            assert!(!is_sound, "it was verified, yet it cannot be opened: {error}");
            return is_told(&error, &files);
        }
    };
    let mut bench = Bench::new(&files, &options, &engine);
    bench.is_sound = is_sound;
    match saved.map(|saved| recover::open(saved, options.clone())) {
        Some(Ok(saved)) => bench.is_saved(&saved),
        Some(Err(error)) => panic!("what was salvaged cannot be opened: {error}"),
        None => {}
    }
    bench.reads(&engine);
    let held = Held::new(&bench, &engine);
    bench.writes(&engine, &mut input);
    bench.reads(&engine);
    let _ = bench.answered(engine.compact());
    bench.reads(&engine);
    held.check(&bench, &engine);
    if how & 4 != 0 {
        engine.write_due_hints();
        engine.checkpoint();
    }
    let closed = bench.answered(engine.shut_down()).is_some();
    drop(engine);
    if closed && bench.expected.sure.is_some() {
        examined::is_closed(&disk);
    }
    match recover::open(disk.storage(), options) {
        Ok(engine) => bench.reads(&engine),
        Err(error) if bench.expected.sure.is_some() && closed => {
            panic!("it cannot be opened again: {error}");
        }
        Err(error) => is_told(&error, &files),
    }
}

/// What an open may say of a hostile directory.
fn is_told(error: &Error, files: &Files) {
    let text = error.to_string();
    match error.kind() {
        Kind::Corrupt => {
            let names_a_file = text.contains(name::MANIFEST) || text.contains(".seg");
            assert!(names_a_file && text.contains("at byte "), "{text}");
        }
        Kind::NotADatabase | Kind::NewerFormat => assert!(text.contains(name::MANIFEST), "{text}"),
        kind => assert!(may_be(kind, files), "{text}"),
    }
}

/// Whether a failure of this kind is a fair answer.
fn may_be(kind: Kind, files: &Files) -> bool {
    match kind {
        Kind::Internal | Kind::OutOfMemory => expected::has_others(files),
        // Pages, sequences or ids may be used up.
        Kind::NoSpace => true,
        _ => false,
    }
}

/// What is held while the database is written and compacted: it must show what was there.
struct Held {
    snapshot: Option<Snapshot>,
    iter: Option<Iter>,
    /// What each key was.
    values: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    views: Vec<(View, Vec<u8>)>,
}

impl Held {
    fn new(bench: &Bench, engine: &Engine) -> Held {
        let snapshot = bench.answered(engine.open_snapshot());
        let mut iter = bench.answered(engine.open_iter(snapshot.as_ref(), b""));
        // It has begun.
        iter.as_mut().map(|iter| bench.answered(engine.advance(iter)));
        let (mut values, mut views) = (BTreeMap::new(), Vec::new());
        for key in bench.keys() {
            if let Some(Some(view)) = bench.answered(engine.view(&key)) {
                let bytes = view.bytes().to_vec();
                values.insert(key.clone(), Some(bytes.clone()));
                views.push((view, bytes));
            } else {
                values.insert(key, None);
            }
        }
        Held { snapshot, iter, values, views }
    }

    fn check(self, bench: &Bench, engine: &Engine) {
        for (view, bytes) in &self.views {
            assert!(view.bytes() == bytes, "a view has changed");
        }
        let is_sure = bench.expected.sure.is_some();
        for (key, old) in &self.values {
            let Some(snapshot) = &self.snapshot else { break };
            let now = bench.answered(engine.get_at(snapshot, key, |value| value.to_vec()));
            if let Some(now) = now {
                bench.is_written(key, now.as_deref());
                assert!(!is_sure || now == *old, "a snapshot has changed");
            }
        }
        if let Some(mut iter) = self.iter {
            let mut rest = self.values.values().filter(|value| value.is_some()).count();
            while let Some(true) = bench.answered(engine.advance(&mut iter)) {
                let (key, value) = iter.current().expect("there is a current record");
                bench.is_written(key, Some(value));
                if is_sure {
                    let old = self.values.get(key).and_then(Option::as_deref);
                    assert!(bench.expected.unsure.contains(key) || old == Some(value));
                    rest = rest.checked_sub(1).expect("a snapshot has too many keys");
                }
            }
            engine.close_iter(iter);
        }
        self.snapshot.into_iter().for_each(|snapshot| engine.close_snapshot(snapshot));
    }
}

/// An error unless a value is one of those that the key may have.
fn is_among(possible: &BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>, key: &[u8], value: Option<&[u8]>) {
    let Some(value) = value else { return };
    let is_one = possible.get(key).is_some_and(|values| values.contains(value));
    assert!(is_one, "{key:?} has a value that nobody wrote, of {} bytes", value.len());
}

/// An open database and what is known of it.
struct Bench<'a> {
    files: &'a Files,
    expected: Expected,
    /// Nothing was found wrong with it.
    is_sound: bool,
}

impl<'a> Bench<'a> {
    fn new(files: &'a Files, options: &Options, engine: &Engine) -> Bench<'a> {
        let mut expected = expected::of(files, NOW_MS);
        if options.on_damage == OnDamage::ReadOnly {
            expected.sure = None;
        }
        if let (Some(sure), true) = (&expected.sure, expected.unsure.is_empty()) {
            // Those that have expired may be there still.
            let live = sure.values().filter(|value| value.is_some()).count();
            assert!((live..=sure.len()).contains(&engine.len()), "there are {}", engine.len());
        }
        Bench { files, expected, is_sound: false }
    }

    /// The answer of a call, if it is one; a failure must be a fair one.
    fn answered<T>(&self, result: Result<T>) -> Option<T> {
        match result {
            Ok(answer) => Some(answer),
            Err(error) => {
                let is_whole = self.is_sound || self.expected.sure.is_some();
                assert!(!is_whole, "nothing is damaged, yet {error}");
                let kind = error.kind();
                let is_fair = matches!(kind, Kind::Corrupt | Kind::ReadOnly);
                assert!(is_fair || may_be(kind, self.files), "{error}");
                None
            }
        }
    }

    fn keys(&self) -> Vec<Vec<u8>> {
        let keys: BTreeSet<Vec<u8>> = self.expected.possible.keys().cloned().collect();
        let others = KEYS.iter().map(|key| key.to_vec());
        keys.into_iter().take(64).chain(others).collect()
    }

    /// An error unless a key has ever had this value.
    fn is_written(&self, key: &[u8], value: Option<&[u8]>) {
        is_among(&self.expected.possible, key, value);
    }

    /// An error unless a key may have this value.
    fn is_possible(&self, key: &[u8], value: Option<&[u8]>) {
        self.is_written(key, value);
        let Some(sure) = &self.expected.sure else { return };
        if !self.expected.unsure.contains(key) {
            let right = sure.get(key).and_then(Option::as_deref);
            assert!(right == value, "{key:?} has another value than the one written last");
        }
    }

    /// What was salvaged has what there was, if nothing is wrong; no more in any case.
    fn is_saved(&self, saved: &Engine) {
        for key in self.keys() {
            let value = saved.get(&key, |value| value.to_vec()).expect("what is new is whole");
            match self.is_sound && !self.expected.may_have_lost {
                true => self.is_possible(&key, value.as_deref()),
                false => is_among(&self.expected.salvageable, &key, value.as_deref()),
            }
        }
    }

    /// Every way of reading.
    fn reads(&self, engine: &Engine) {
        let keys = self.keys();
        let snapshot = self.answered(engine.open_snapshot());
        for key in &keys {
            let value = self.answered(engine.get(key, |value| value.to_vec()));
            let Some(value) = value else { continue };
            self.is_possible(key, value.as_deref());
            if let Some(len) = self.answered(engine.value_len(key)) {
                assert_eq!(len, value.as_ref().map(Vec::len));
            }
            if let Some(view) = self.answered(engine.view(key)) {
                assert_eq!(view.as_ref().map(|view| view.bytes()), value.as_deref());
            }
            let _ = self.answered(engine.version(key));
            let _ = self.answered(engine.ttl(key));
            if let Some(snapshot) = &snapshot {
                let old = self.answered(engine.get_at(snapshot, key, |value| value.to_vec()));
                // Another file may point to a record that is later than all that its segment has.
                let is_same =
                    old.is_none_or(|old| old == value) || expected::has_others(self.files);
                assert!(is_same, "a snapshot sees something else");
            }
        }
        let many = engine.get_many(
            keys.len(),
            |at| Ok(&keys[at]),
            |at, value| {
                if let Some(value) = self.answered(value) {
                    self.is_possible(&keys[at], value);
                }
            },
        );
        let _ = self.answered(many);
        self.iterates(engine);
        snapshot.into_iter().for_each(|snapshot| engine.close_snapshot(snapshot));
    }

    fn iterates(&self, engine: &Engine) {
        let Some(mut iter) = self.answered(engine.open_iter(None, b"")) else { return };
        let mut met = BTreeMap::new();
        let stored: usize = self.files.values().map(|bytes| bytes.len() / 8 + 64).sum();
        let most = stored + self.expected.possible.values().map(BTreeSet::len).sum::<usize>();
        let mut is_whole = true;
        for step in 0.. {
            assert!(step < 64 + 2 * most, "an iterator goes round in circles");
            match self.answered(engine.advance(&mut iter)) {
                Some(true) => {
                    let (key, value) = iter.current().expect("there is a current record");
                    self.is_possible(key, Some(value));
                    let before = met.insert(key.to_vec(), value.len());
                    let twice = self.expected.sure.is_some() && before.is_some();
                    assert!(!twice, "{key:?} comes twice");
                }
                Some(false) => break,
                None => is_whole = false,
            }
        }
        engine.close_iter(iter);
        let Some(sure) = self.expected.sure.as_ref().filter(|_| is_whole) else { return };
        for (key, value) in sure {
            assert_eq!(met.get(key).copied(), value.as_ref().map(Vec::len), "{key:?}");
        }
    }

    /// Many keys in one piece of the index, so that it grows.
    fn crowds(&mut self, engine: &Engine, input: &mut Input) {
        let manifest = self.files.get(name::MANIFEST).map(|bytes| manifest::read(bytes));
        let seed = manifest.and_then(|read| read.ok()).map_or([0; 16], |read| read.hash_seed);
        let (hasher, count) = (KeyHasher::new(seed), 8 + usize::from(input.u8() % 16));
        let piece = number_of(hasher.hash(KEYS[input.below(KEYS.len())]));
        let keys = (0_u32..).map(|number| number.to_le_bytes());
        let crowd = keys.filter(|key| number_of(hasher.hash(key)) == piece);
        for key in crowd.take(count) {
            if self.answered(engine.put(&key, b"one of many")).is_some() {
                self.wrote(&key, Some(b"one of many".to_vec()));
            }
        }
    }

    /// Writes, as the input says.
    fn writes(&mut self, engine: &Engine, input: &mut Input) {
        for _ in 0..input.u8() % 32 {
            let (how, key) = (input.u8(), KEYS[input.below(KEYS.len())]);
            if how == 0xff {
                self.crowds(engine, input);
                continue;
            }
            let value = vec![how; usize::from(input.u16() % 2048)];
            // If it fails, nothing was written.
            match how % 8 {
                0 | 1 => {
                    if self.answered(engine.delete(key)).is_some() {
                        self.wrote(key, None);
                    }
                }
                2 => {
                    let mut batch = WriteBatch::new();
                    let other = KEYS[input.below(KEYS.len())];
                    batch.delete(other).expect("a short key");
                    batch.put(key, &value, 0).expect("a short key");
                    if self.answered(engine.write(&batch, WriteSync::AsOpened)).is_some() {
                        self.wrote(other, None);
                        self.wrote(key, Some(value));
                    }
                }
                _ => {
                    if self.answered(engine.put(key, &value)).is_some() {
                        self.wrote(key, Some(value));
                    }
                }
            }
            let read = self.answered(engine.get(key, |value| value.to_vec()));
            read.into_iter().for_each(|value| self.is_possible(key, value.as_deref()));
        }
    }

    fn wrote(&mut self, key: &[u8], value: Option<Vec<u8>>) {
        if let Some(value) = &value {
            self.expected.possible.entry(key.to_vec()).or_default().insert(value.clone());
        }
        if let Some(sure) = &mut self.expected.sure {
            sure.insert(key.to_vec(), value);
            self.expected.unsure.remove(key);
        }
    }
}
