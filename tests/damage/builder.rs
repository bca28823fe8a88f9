//! Makes samples of databases to damage, and remembers what they held after each write.

use std::path::PathBuf;
use std::sync::Arc;

use kv::db::{Db, WriteBatch, WriteOptions, WriteSync};
use kv::format::name;
use kv::format::record::record_len;
use kv::format::segment::HEADER_PAGE;
use kv::options::OnDamage;

use super::{options, read_files, Bytes, Files, Model, Sample, Tail};
use crate::common::{Random, TempDir};

/// Bytes of a field of a record.
const FIELD: usize = 8;
const A_DAY: u64 = 86_400_000;

/// A key is put, or deleted.
type Change = (Vec<u8>, Option<Bytes>);

/// What happens together, and how many bytes of the log it takes.
struct Write {
    changes: Vec<Change>,
    len: usize,
}

/// Makes a sample.
pub struct Builder {
    directory: TempDir,
    db: Option<Db>,
    random: Random,
    writes: Vec<Write>,
    /// Writes before the last compaction, which began a segment.
    compacted: usize,
    /// Writes before the last sync.
    synced: usize,
}

impl Builder {
    pub fn new(seed: u64) -> Builder {
        let mut builder = Builder {
            directory: TempDir::in_memory("damage"),
            db: None,
            random: Random(seed),
            writes: Vec::new(),
            compacted: 0,
            synced: 0,
        };
        builder.reopen();
        builder
    }

    fn path(&self) -> PathBuf {
        self.directory.join("db")
    }

    fn db(&self) -> &Db {
        self.db.as_ref().expect("the builder's database is open")
    }

    pub fn reopen(&mut self) {
        if let Some(db) = self.db.take() {
            db.close().expect("close");
        }
        self.db = Some(Db::open(&self.path(), &options(OnDamage::Fail)).expect("open"));
    }

    pub fn put(&mut self, key: &str, len: usize) {
        let value: Bytes = self.random.bytes(len).into();
        self.db().put(key.as_bytes(), &value).expect("put");
        self.wrote(vec![(key.into(), Some(value))], record_len(key.len(), len, 0));
    }

    pub fn delete(&mut self, key: &str) {
        assert!(self.db().delete(key.as_bytes()).expect("delete"));
        self.wrote(vec![(key.into(), None)], record_len(key.len(), 0, 0));
    }

    fn wrote(&mut self, changes: Vec<Change>, len: usize) {
        self.writes.push(Write { changes, len });
    }

    /// A value that expires, but not today.
    pub fn put_for_a_day(&mut self, key: &str, len: usize) {
        let value: Bytes = self.random.bytes(len).into();
        let options = WriteOptions { ttl_ms: A_DAY, ..WriteOptions::default() };
        self.db().put_with(key.as_bytes(), &value, &options).expect("put_with");
        self.wrote(vec![(key.into(), Some(value))], record_len(key.len(), len, FIELD));
    }

    /// Several keys at once, of which each gets a value of so many bytes or is deleted. The first
    /// value expires.
    pub fn batch(&mut self, parts: &[(&str, Option<usize>)]) {
        let (mut batch, mut changes) = (WriteBatch::new(), Vec::new());
        let (mut len, mut ttl_ms) = (FIELD, A_DAY);
        for (key, value_len) in parts {
            let value: Option<Bytes> = value_len.map(|len| self.random.bytes(len).into());
            match &value {
                Some(value) => batch.put(key.as_bytes(), value, ttl_ms).expect("put"),
                None => batch.delete(key.as_bytes()).expect("delete"),
            }
            let fields = if value.is_some() && ttl_ms > 0 { FIELD } else { 0 };
            ttl_ms = if value.is_some() { 0 } else { ttl_ms };
            len += record_len(key.len(), value_len.unwrap_or(0), fields);
            changes.push(((*key).into(), value));
        }
        self.db().write(&batch, WriteSync::AsOpened).expect("write");
        // The mark makes the last one longer, by as much as records are aligned to.
        self.wrote(changes, len);
    }

    /// A value that is put together in the log, while another key is put: before that is a gap.
    pub fn put_around(&mut self, key: &str, len: usize, other: &str) {
        let options = WriteOptions::default();
        let mut reservation = self.db().reserve(key.as_bytes(), len, &options).expect("reserve");
        self.put(other, len / 2);
        let gap = record_len(key.len(), len, 0);
        self.writes.last_mut().expect("it was just written").len += gap;
        let value = self.random.bytes(len);
        reservation.fill(&value);
        self.db().commit(reservation).expect("commit");
        self.wrote(vec![(key.into(), Some(value.into()))], gap);
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
        self.db().compact().expect("compact");
        self.compacted = self.writes.len();
    }

    pub fn sync(&mut self) {
        self.db().sync().expect("sync");
        self.synced = self.writes.len();
    }

    pub fn checkpoint(&mut self) {
        self.db().engine().checkpoint();
    }

    /// A file as it is now.
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path().join(name)).unwrap_or_default()
    }

    /// All files as they are now.
    pub fn files(&self) -> Files {
        read_files(&self.path())
    }

    pub fn closed(mut self, name: &'static str) -> Sample {
        self.db().engine().write_due_hints();
        self.db.take().expect("it is open").close().expect("close");
        self.sample(name, None)
    }

    /// The files as a kill would leave them.
    pub fn killed(self, name: &'static str) -> Sample {
        self.db().engine().write_due_hints();
        // The one with zeros allocated ahead is the one that is being written.
        let files = read_files(&self.path()).into_iter();
        let files = files.filter(|(name, _)| name::parse_segment(name).is_some());
        let file = files.max_by_key(|(_, bytes)| bytes.len()).map(|(name, _)| name);
        let mut end = HEADER_PAGE;
        let mut ends = Vec::new();
        let mut mark = HEADER_PAGE;
        for (at, write) in self.writes.iter().enumerate().skip(self.compacted) {
            end += write.len;
            ends.push(end);
            mark = if at < self.synced { end } else { mark };
        }
        let file = file.expect("something was written");
        let tail = Tail { file: file.clone(), mark, ends, before: self.compacted };
        let mut sample = self.sample(name, Some(tail));
        // Most of the zeros allocated ahead go: they are not read, which need not be tried at each.
        let bytes = sample.files.get_mut(&file).expect("it was just found");
        bytes.truncate((end + 64).next_multiple_of(512));
        sample
    }

    fn sample(self, name: &'static str, tail: Option<Tail>) -> Sample {
        let mut states = vec![Model::new()];
        let mut keys = Vec::new();
        for write in &self.writes {
            let mut state = states[states.len() - 1].clone();
            for (key, value) in &write.changes {
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
        Sample { name, files: read_files(&self.path()), states, keys, tail }
    }
}
