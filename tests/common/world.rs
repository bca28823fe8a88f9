//! Databases whose clocks stand still until they are told to go on.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::Arc;

use kv::clock::{ManualTime, TimeSource};
use kv::db::{Db, WriteOptions, Written};
use kv::engine::{recover, Engine};
use kv::options::{Options, SyncLevel};
use kv::storage::posix::PosixStorage;

use super::{copy_directory, TempDir};

pub const SEGMENT: u64 = 1 << 20;
pub const START_MS: u64 = 1_700_000_000_000;

/// A place for databases, and their clocks.
pub struct World {
    pub place: TempDir,
    pub time: Arc<ManualTime>,
}

impl World {
    pub fn new(name: &str) -> World {
        let time = Arc::new(ManualTime::default());
        time.wall_ms.store(START_MS, Ordering::SeqCst);
        World { place: TempDir::new(name), time }
    }

    pub fn path(&self) -> PathBuf {
        self.place.join("db")
    }

    pub fn options(&self) -> Options {
        let time = TimeSource::Manual(Arc::clone(&self.time));
        Options { segment_size: SEGMENT, sync: SyncLevel::None, time, ..Options::default() }
    }

    pub fn open(&self) -> Db {
        Db::open(&self.path(), &self.options()).expect("it opens")
    }

    /// A database without threads.
    pub fn alone(&self) -> Engine {
        self.alone_at(&self.path())
    }

    pub fn alone_at(&self, path: &Path) -> Engine {
        let storage = PosixStorage::open(path, true).expect("the directory opens");
        recover::open(Arc::new(storage), self.options()).expect("it opens")
    }

    /// What the death of the process would leave now, opened.
    pub fn after_a_kill(&self, name: &str) -> Engine {
        let copy = self.place.join(name);
        copy_directory(&self.path(), &copy);
        self.alone_at(&copy)
    }

    pub fn set_back(&self, ms: u64) {
        self.time.wall_ms.fetch_sub(ms, Ordering::SeqCst);
        // As after a restart of the machine.
        self.time.steady_ms.store(0, Ordering::SeqCst);
    }
}

pub fn ttl(ttl_ms: u64) -> WriteOptions {
    WriteOptions { ttl_ms, ..WriteOptions::default() }
}

pub fn key(kind: u8, number: u64) -> [u8; 9] {
    let mut key = [kind; 9];
    key[1..].copy_from_slice(&number.to_le_bytes());
    key
}

pub fn put_for(engine: &Engine, key: &[u8], value: &[u8], ttl_ms: u64) {
    assert!(matches!(
        engine.put_with(key, value, &ttl(ttl_ms)).expect("it works"),
        Written::Done(_)
    ));
}

pub fn has(engine: &Engine, key: &[u8]) -> bool {
    engine.value_len(key).expect("it works").is_some()
}

/// Compacts as the background thread would, without a thread.
pub fn compact_what_is_due(engine: &Engine) {
    while engine.compact_if_due().expect("it works") {}
}

/// A database in which an older value that lasts lies beneath a newer one that expires.
pub fn with_older_values(engine: &Engine, keys: u64) {
    for number in 0..keys {
        engine.put(&key(b'k', number), &[b'o'; 400]).expect("it works");
        // What keeps the segment from going.
        engine.put(&key(b'l', number), &[b'l'; 400]).expect("it works");
    }
    for number in 0..keys {
        put_for(engine, &key(b'k', number), &[b'n'; 800], 1000);
    }
}
