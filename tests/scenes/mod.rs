//! What a database is doing when a call of its storage fails: each scene is prepared, then acted
//! with the fault, on real files in memory and without threads, so that it is the same each time.

mod acts;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kv::db::WriteOptions;
use kv::engine::backup::restore::restore;
use kv::engine::{recover, Engine};
use kv::error::{Kind, Result};
use kv::options::{Options, ReadMode, SyncLevel};
use kv::storage::parent::PosixParent;
use kv::storage::posix::PosixStorage;
use kv::storage::Storage;

use crate::common::TempDir;
use crate::faulty::{Calls, Faulty, FaultyParent};

pub use acts::{DESTROYING, SCENES};

/// The smallest segments with which a log rolls after a few values.
const SEGMENT: u64 = 128 << 10;
/// Bytes of a value: five fill a segment.
const VALUE: usize = 20_000;
/// Keys that are there when a scene begins.
const KEYS: u8 = 14;

/// A scene.
pub struct Scene {
    /// What is being done, for people.
    pub name: &'static str,
    pub sync: SyncLevel,
    pub read_mode: ReadMode,
    pub prepare: fn(&mut World),
    pub act: fn(&mut World) -> Result<()>,
}

/// A database, what it holds, and what may be asked of it.
pub struct World {
    place: TempDir,
    pub calls: Calls,
    pub options: Options,
    pub engine: Option<Engine>,
    /// What was acknowledged.
    pub held: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What writes whose outcome is unknown would have made of it: each all or nothing.
    pub doubts: Vec<Vec<Write>>,
}

/// A key, and the value it gets, if any.
pub type Write = (Vec<u8>, Option<Vec<u8>>);

pub fn key(number: u8) -> Vec<u8> {
    vec![b'k', number]
}

pub fn value(number: u8, round: u8) -> Vec<u8> {
    (0..VALUE).map(|at| (at as u8).wrapping_mul(number) ^ round).collect()
}

impl World {
    /// An empty place.
    pub fn new(scene: &Scene) -> World {
        let options = Options {
            segment_size: SEGMENT,
            sync: scene.sync,
            read_mode: scene.read_mode,
            // There is so much garbage that compaction begins by itself.
            compaction_garbage_percent: 23,
            ..Options::default()
        };
        World {
            place: TempDir::in_memory("running-faults"),
            calls: Calls::default(),
            options,
            engine: None,
            held: BTreeMap::new(),
            doubts: Vec::new(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    fn storage(&self, name: &str) -> Result<Arc<dyn Storage>> {
        let inner = PosixStorage::open(&self.path(name), true)?;
        Ok(Faulty::over(Arc::new(inner), &self.calls))
    }

    /// Opens the database, which is not open.
    pub fn open(&mut self) -> Result<()> {
        let opened = recover::open(self.storage("db")?, self.options.clone())?;
        self.engine = Some(opened);
        Ok(())
    }

    pub fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("the database is open")
    }

    /// Closes the database, or what is left of it.
    pub fn close(&mut self) -> Result<()> {
        self.engine.take().map_or(Ok(()), |engine| engine.shut_down())
    }

    /// What the death of the process leaves takes the database's place.
    pub fn kill(&mut self) {
        let (db, copy) = (self.path("db"), self.path("copy"));
        crate::common::copy_directory(&db, &copy);
        drop(self.engine.take());
        std::fs::remove_dir_all(&db).expect("the database can be removed");
        std::fs::rename(&copy, &db).expect("the copy takes its place");
    }

    /// Notes what a write has led to, and passes its result on.
    pub fn note<T>(&mut self, result: Result<T>, writes: Vec<Write>) -> Result<T> {
        match &result {
            Ok(_) => {
                for (key, value) in writes {
                    match value {
                        Some(value) => drop(self.held.insert(key, value)),
                        None => drop(self.held.remove(&key)),
                    }
                }
            }
            Err(error) if matches!(error.kind(), Kind::Io | Kind::UnknownOutcome) => {
                self.doubts.push(writes);
            }
            Err(_) => {}
        }
        result
    }

    /// Adds to a counter that is not there yet.
    pub fn add(&mut self, key: Vec<u8>, delta: i64) -> Result<()> {
        let result = self.engine().add(&key, delta);
        self.note(result, vec![(key, Some(delta.to_le_bytes().to_vec()))]).map(|_| ())
    }

    /// Puts a value that is put together in the log.
    pub fn put_reserved(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        let options = WriteOptions::default();
        let mut reservation = self.engine().reserve_value(&key, value.len(), &options)?;
        reservation.fill(&value);
        let result = self.engine().commit_value(&reservation);
        drop(reservation);
        self.note(result, vec![(key, Some(value))]).map(|_| ())
    }

    pub fn put(&mut self, number: u8, round: u8) -> Result<()> {
        let (key, value) = (key(number), value(number, round));
        let result = self.engine().put(&key, &value);
        self.note(result, vec![(key, Some(value))])
    }

    pub fn delete(&mut self, number: u8) -> Result<()> {
        let result = self.engine().delete(&key(number));
        self.note(result, vec![(key(number), None)]).map(|_| ())
    }

    /// Opens a database and fills some segments, with garbage in each; none is sealed.
    pub fn fill(&mut self) {
        self.open().expect("a new database opens");
        for number in 0..KEYS {
            self.put(number, 0).expect("put");
            if number % 3 == 1 {
                self.put(number - 1, 1).expect("put");
            }
        }
        self.delete(2).expect("delete");
    }

    /// The same, with all full segments sealed.
    pub fn fill_and_seal(&mut self) {
        self.fill();
        while self.engine().seal_in_background() {}
    }

    fn parent(&self, name: &str) -> Result<FaultyParent<PosixParent>> {
        let (inner, _) = PosixParent::of(&self.path(name))?;
        Ok(FaultyParent { inner, calls: self.calls.clone() })
    }

    /// Makes a backup, or brings the older one up to date.
    pub fn back_up(&self) -> Result<()> {
        let mut tell = |_: &_| ControlFlow::Continue(());
        self.engine().backup(&self.parent("backup")?, OsStr::new("backup"), &mut tell)
    }

    pub fn restore(&self) -> Result<()> {
        let mut tell = |_: &_| ControlFlow::Continue(());
        let from = self.storage("backup")?;
        restore(&*from, &self.parent("restored")?, OsStr::new("restored"), &mut tell)
    }

    /// All records that an open database has, by reading each key that there may be.
    pub fn read_keys(&self, engine: &Engine) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let mut found = BTreeMap::new();
        for number in 0..=u8::MAX {
            let key = key(number);
            if let Some(value) = engine.get(&key, <[u8]>::to_vec)? {
                found.insert(key, value);
            }
        }
        Ok(found)
    }

    /// Whether this is what was acknowledged, with any of what is in doubt.
    pub fn explains(&self, found: &BTreeMap<Vec<u8>, Vec<u8>>) -> bool {
        (0..1_u32 << self.doubts.len()).any(|done| {
            let mut content = self.held.clone();
            let done = self.doubts.iter().enumerate().filter(|(at, _)| done >> at & 1 == 1);
            for (key, value) in done.flat_map(|(_, writes)| writes) {
                match value {
                    Some(value) => drop(content.insert(key.clone(), value.clone())),
                    None => drop(content.remove(key)),
                }
            }
            content == *found
        })
    }

    /// From now on, what was found is what there is.
    pub fn settle(&mut self, found: BTreeMap<Vec<u8>, Vec<u8>>) {
        self.held = found;
        self.doubts.clear();
    }
}

/// The names in a directory, if it is there.
pub fn names_in(path: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.map_or(String::new(), |entry| entry.file_name().to_string_lossy().into_owned())
    };
    entries.map(name).collect()
}
