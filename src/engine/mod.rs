//! The engine: what all operations share, and the order in which locks are taken.
//!
//! Order of locks: compaction, syncer, writer, manifest, segment table, index piece. Whoever holds
//! one may take those to its right only. Readers take the table (shared) and one piece (shared).

pub mod compact;
pub mod destroy;
pub mod latch;
pub mod maintenance;
pub mod read;
pub mod recover;
pub mod sync;
pub mod write;

use std::sync::atomic::AtomicU64;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::Result;
use crate::index::hash::KeyHasher;
use crate::index::{Entry, Index, Location};
use crate::manifest::Manifest;
use crate::options::Options;
use crate::segment::table::{SegmentTable, Segments};
use crate::storage::{Lock, Storage};
use latch::Latch;
use maintenance::Bell;
use sync::Syncer;
use write::Writer;

/// An open database, without the threads that look after it.
pub struct Engine {
    options: Options,
    storage: Arc<dyn Storage>,
    hasher: KeyHasher,
    uuid: [u8; 16],
    index: Index,
    table: SegmentTable,
    compaction: Mutex<()>,
    syncer: Mutex<Syncer>,
    writer: Mutex<Writer>,
    manifest: Mutex<Manifest>,
    latch: Latch,
    /// The id of the next segment.
    next_id: AtomicU64,
    /// Everything below this sequence is on the medium.
    durable: AtomicU64,
    /// Wakes the thread that syncs.
    sync_bell: Bell,
    /// Wakes the thread that allocates ahead.
    ahead_bell: Bell,
    /// Held to the end: released when the engine goes.
    _lock: Box<dyn Lock>,
}

impl Engine {
    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that the index takes.
    pub fn index_memory(&self) -> usize {
        self.index.memory()
    }

    /// What makes this database refuse writes.
    pub fn latch(&self) -> &Latch {
        &self.latch
    }
}

/// Reads of the log on the index's behalf: whose record is this, and how long is it?
struct Lookup<'a> {
    segments: &'a Segments<'a>,
    hasher: &'a KeyHasher,
    scratch: Vec<u8>,
}

impl<'a> Lookup<'a> {
    fn new(segments: &'a Segments<'a>, hasher: &'a KeyHasher) -> Lookup<'a> {
        Lookup { segments, hasher, scratch: Vec::new() }
    }

    /// Locks the index entry of `key`; answers it with the length of the record that it points to.
    fn entry<'i>(&mut self, index: &'i Index, hash: u64, key: &[u8]) -> Result<(Entry<'i>, usize)> {
        let mut len = 0;
        let entry = index.entry(hash, |location| {
            let segment = self.segments.of(location)?;
            let offset = segment.offset(location);
            let record = segment.record(offset, &mut self.scratch)?;
            len = record.header.record_len();
            segment.is_of(key, &record, offset)
        })?;
        Ok((entry, len))
    }

    /// The hash of the key of the record at `location`.
    fn hash_at(&mut self, location: Location) -> Result<u64> {
        let segment = self.segments.of(location)?;
        let offset = segment.offset(location);
        let record = segment.record(offset, &mut self.scratch)?;
        segment.verify(&record, offset)?;
        Ok(self.hasher.hash(record.key()))
    }
}
