//! Databases on a simulated disk whose records have the lengths that a test asks for, so that
//! segments are as full, and as full of garbage, as it needs.

use std::sync::atomic::Ordering;
use std::sync::Arc;

use kv::clock::{ManualTime, TimeSource};
use kv::engine::herald::Delivery;
use kv::engine::{recover, Engine};
use kv::format::segment::OVERHEAD;
use kv::notice::Listeners;
use kv::options::{Options, SyncLevel};

use super::sim_disk::fault::{Fault, Operation};
use super::sim_disk::SimDisk;
use super::world::{put_for, START_MS};
use super::Random;

/// Bytes of a tombstone of one of the keys.
pub const TOMBSTONE: usize = 16 + 8;

/// A database without threads.
pub struct Sized {
    pub engine: Engine,
    pub disk: SimDisk,
    pub time: Arc<ManualTime>,
    options: Options,
    /// Delivers what is told, until it is dropped.
    _delivery: Delivery,
}

impl Sized {
    /// A new one with segments of this size.
    pub fn new(segment_size: u64) -> Sized {
        Sized::told(segment_size, Listeners::default())
    }

    /// The same, which tells these listeners what happens.
    pub fn told(segment_size: u64, listeners: Listeners) -> Sized {
        let time = Arc::new(ManualTime::default());
        time.wall_ms.store(START_MS, Ordering::SeqCst);
        let source = TimeSource::Manual(Arc::clone(&time));
        let options = Options {
            segment_size,
            sync: SyncLevel::None,
            compaction_garbage_percent: 23,
            time: source,
            listeners,
            ..Options::default()
        };
        Sized::open(SimDisk::new(1), options, time)
    }

    fn open(disk: SimDisk, options: Options, time: Arc<ManualTime>) -> Sized {
        let delivery = Delivery::start(&options.listeners).expect("a thread can be had");
        let herald = Arc::clone(delivery.herald());
        let engine = recover::open_told(disk.storage(), options.clone(), herald);
        let engine = engine.expect("it opens");
        Sized { engine, disk, time, options, _delivery: delivery }
    }

    /// What the death of the process would leave now, opened.
    pub fn after_a_kill(&self) -> Sized {
        let disk = self.disk.look(|state| state.kill(&mut Random(1)));
        Sized::open(disk, self.options.clone(), Arc::clone(&self.time))
    }

    /// The same database, closed with a checkpoint and opened again.
    pub fn closed_and_opened(self) -> Sized {
        self.engine.checkpoint();
        self.engine.shut_down().expect("it closes");
        drop(self.engine);
        Sized::open(self.disk, self.options, self.time)
    }

    /// Bytes of records that a segment has room for.
    pub fn room(&self) -> usize {
        self.options.segment_size as usize - OVERHEAD
    }

    /// Writes a record of `len` bytes.
    pub fn put(&self, key: u64, len: usize) {
        assert!(len.is_multiple_of(8));
        let value = vec![key as u8; len - 16 - 8];
        self.engine.put(&key.to_le_bytes(), &value).expect("it works");
    }

    /// The same, of a value that expires in a second.
    pub fn put_for_a_second(&self, key: u64, len: usize) {
        assert!(len.is_multiple_of(8));
        put_for(&self.engine, &key.to_le_bytes(), &vec![key as u8; len - 16 - 8 - 8], 1000);
    }

    /// Writes the same key so many times: all but the last one are garbage.
    pub fn overwrite(&self, key: u64, len: usize, times: usize) {
        (0..times).for_each(|_| self.put(key, len));
    }

    pub fn delete(&self, key: u64) {
        assert!(self.engine.delete(&key.to_le_bytes()).expect("it works"), "key {key}");
    }

    pub fn has(&self, key: u64) -> bool {
        self.engine.value_len(&key.to_le_bytes()).expect("it works").is_some()
    }

    /// Seals what is full.
    pub fn seal(&self) {
        while self.engine.seal_in_background() {}
    }

    /// The files whose names end so.
    pub fn files(&self, suffix: &str) -> Vec<String> {
        let names = self.disk.storage().list().expect("the directory can be read");
        names.into_iter().filter(|name| name.ends_with(suffix)).collect()
    }

    /// Makes operations of this kind fail from now on, or the next one.
    pub fn fail(&self, of: Operation, errno: i32, lasting: bool) {
        self.disk.set_fault(Some(Fault { of: Some(of), after: 0, lasting, errno }));
    }
}
