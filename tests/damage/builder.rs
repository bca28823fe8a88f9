//! Makes samples of databases to damage, and remembers what they held after each write. The bytes
//! of a sample follow from its seed.

use std::sync::Arc;

use kv::db::{WriteBatch, WriteOptions, WriteSync};
use kv::engine::{recover, Engine};
use kv::format::name;
use kv::manifest;
use kv::options::{OnDamage, Options};

use super::shelf::Shelf;
use super::{log, options, Bytes, Files, Model, Sample, Stage, Tail};
use crate::common::Random;

const A_DAY: u64 = 86_400_000;

/// A key is put, or deleted.
type Change = (Vec<u8>, Option<Bytes>);

/// Makes a sample.
pub struct Builder {
    shelf: Shelf,
    options: Options,
    engine: Option<Engine>,
    random: Random,
    /// What happened together.
    writes: Vec<Vec<Change>>,
    stages: Vec<Stage>,
}

impl Builder {
    pub fn new(seed: u64) -> Builder {
        Builder::with(seed, options(OnDamage::Fail))
    }

    pub fn with(seed: u64, options: Options) -> Builder {
        let shelf = Shelf::new(seed, []);
        let (random, writes, stages) = (Random(seed), Vec::new(), Vec::new());
        let mut builder = Builder { shelf, options, engine: None, random, writes, stages };
        builder.reopen();
        builder
    }

    pub fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("the builder's database is open")
    }

    pub fn reopen(&mut self) {
        self.close();
        let opened = recover::open(self.shelf.storage(), self.options.clone());
        self.engine = Some(opened.expect("open"));
    }

    fn close(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.shut_down().expect("close");
        }
    }

    pub fn put(&mut self, key: &str, len: usize) {
        let value: Bytes = self.random.bytes(len).into();
        self.engine().put(key.as_bytes(), &value).expect("put");
        self.writes.push(vec![(key.into(), Some(value))]);
    }

    pub fn delete(&mut self, key: &str) {
        assert!(self.engine().delete(key.as_bytes()).expect("delete"));
        self.writes.push(vec![(key.into(), None)]);
    }

    /// A value that expires, but not today.
    pub fn put_for_a_day(&mut self, key: &str, len: usize) {
        let value: Bytes = self.random.bytes(len).into();
        let options = WriteOptions { ttl_ms: A_DAY, ..WriteOptions::default() };
        self.engine().put_with(key.as_bytes(), &value, &options).expect("put_with");
        self.writes.push(vec![(key.into(), Some(value))]);
    }

    /// Several keys at once, of which each gets a value of so many bytes or is deleted. The first
    /// value expires.
    pub fn batch(&mut self, parts: &[(&str, Option<usize>)]) {
        let (mut batch, mut changes) = (WriteBatch::new(), Vec::new());
        let mut ttl_ms = A_DAY;
        for (key, value_len) in parts {
            let value: Option<Bytes> = value_len.map(|len| self.random.bytes(len).into());
            match &value {
                Some(value) => batch.put(key.as_bytes(), value, ttl_ms).expect("put"),
                None => batch.delete(key.as_bytes()).expect("delete"),
            }
            ttl_ms = if value.is_some() { 0 } else { ttl_ms };
            changes.push(((*key).into(), value));
        }
        self.engine().write(&batch, WriteSync::AsOpened).expect("write");
        self.writes.push(changes);
    }

    /// A value that is put together in the log, while another key is put: before that is a gap.
    pub fn put_around(&mut self, key: &str, len: usize, other: &str) {
        let options = WriteOptions::default();
        let reservation = self.engine().reserve_value(key.as_bytes(), len, &options);
        let mut reservation = reservation.expect("reserve");
        self.put(other, len / 2);
        let value = self.random.bytes(len);
        reservation.fill(&value);
        self.engine().commit_value(&reservation).expect("commit");
        self.writes.push(vec![(key.into(), Some(value.into()))]);
    }

    /// Batches, values that expire, and a gap.
    pub fn write_all_kinds(&mut self) {
        self.put("first", 20);
        self.batch(&[("a", Some(30)), ("b", Some(0)), ("c", Some(9))]);
        self.put_for_a_day("a day", 13);
        self.batch(&[("b", Some(41)), ("first", None), ("c", None), ("d", Some(2))]);
        self.put_around("around", 50, "a");
        self.batch(&[("d", Some(8)), ("around", None)]);
        self.put("last", 3);
    }

    /// Puts, overwrites, deletes; an empty value among them.
    pub fn write_some(&mut self) {
        for round in 0..3 {
            for key in 0..6 {
                self.put(&format!("key {key}"), 40 * key + 30 * round);
            }
            self.delete("key 3");
            self.put(&format!("of round {round}"), 500);
        }
        self.delete("of round 1");
    }

    /// The sequence of records begins in a new file, as there is garbage.
    pub fn compact(&mut self) {
        self.engine().compact().expect("compact");
    }

    pub fn sync(&mut self) {
        self.engine().sync().expect("sync");
    }

    pub fn checkpoint(&mut self) {
        self.engine().checkpoint();
    }

    /// Full segments are sealed, and get hints.
    pub fn seal(&mut self) {
        while self.engine().seal_in_background() {}
        self.engine().write_due_hints();
    }

    /// A segment in which the log will go on.
    pub fn prepare_spare(&mut self) {
        self.engine().prepare_spare(false).expect("a spare segment");
    }

    /// A file as it is now.
    pub fn read(&self, name: &str) -> Vec<u8> {
        self.files().remove(name).unwrap_or_default()
    }

    /// All files as they are now.
    pub fn files(&self) -> Files {
        self.shelf.files()
    }

    /// Keeps the files as they are now, for a time when they are old.
    pub fn keep_stage(&mut self) {
        let mut files = self.files();
        cut_zeros(&mut files);
        self.stages.push(Stage { writes: self.writes.len(), files });
    }

    pub fn closed(mut self, name: &'static str) -> Sample {
        self.seal();
        self.close();
        let files = self.files();
        self.sample(name, files, Vec::new())
    }

    /// The files as a kill would leave them.
    pub fn killed(self, name: &'static str) -> Sample {
        self.engine().write_due_hints();
        let mut files = self.files();
        cut_zeros(&mut files);
        let stored = manifest::read(&self.shelf).expect("the manifest can be read");
        let unsealed = stored.state.segments.values().filter(|live| live.sealed.is_none());
        let mut before = self.writes.len();
        let mut tails: Vec<Tail> = Vec::new();
        for live in unsealed.rev() {
            let file = name::segment(live.header.id);
            let log = log::read(&files[&file]);
            before -= log.ends.len();
            // A sync reaches a segment only after the ones before it.
            let is_synced = tails.last().is_some_and(|next| next.is_synced());
            let marks = if is_synced { [usize::MAX; 2] } else { log.marks };
            tails.push(Tail { file, marks, ends: log.ends, before });
        }
        tails.reverse();
        assert!(!tails.is_empty(), "{name}: something was written");
        self.sample(name, files, tails)
    }

    fn sample(self, name: &'static str, files: Files, tails: Vec<Tail>) -> Sample {
        let mut states = vec![Model::new()];
        let mut keys = Vec::new();
        for changes in &self.writes {
            let mut state = states[states.len() - 1].clone();
            for (key, value) in changes {
                match value {
                    Some(value) => state.insert(key.clone(), Arc::clone(value)),
                    None => state.remove(key),
                };
                keys.push(key.clone());
            }
            states.push(state);
        }
        keys.sort();
        keys.dedup();
        Sample { name, files, states, keys, tails, stages: self.stages, options: self.options }
    }
}

/// Most of the zeros allocated ahead go: they are not read, which need not be tried at each.
fn cut_zeros(files: &mut Files) {
    for (_, bytes) in files.iter_mut().filter(|(name, _)| name::parse_segment(name).is_some()) {
        let log = log::read(bytes);
        if !log.is_sealed {
            bytes.truncate((log.end + 64).next_multiple_of(512));
        }
    }
}
