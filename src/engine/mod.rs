//! The engine: what all operations share, and the order in which locks are taken.
//!
//! Order of locks: checkpoint, compaction, sealing, syncer, index piece, writer, spare, hints,
//! manifest, segment table. Whoever holds one may take those to its right only. Readers take none:
//! they are pinned ([`crate::epoch`]).
//!
//! A write pins its thread, locks its key's piece of the index, and then the writer for as long as
//! it takes to append. So while a piece is locked, all records of its keys are in the index; and
//! after a grace period all records are that were appended before it.

pub mod backup;
pub mod batch;
pub mod checkpoint;
pub mod compact;
pub mod conditional;
pub mod destroy;
mod expiry;
pub mod group;
pub mod herald;
pub mod hints;
pub mod iterate;
pub mod latch;
pub mod latency;
pub mod maintenance;
pub mod many;
mod metrics;
pub mod pace;
mod publish;
pub mod read;
pub mod recover;
pub mod reserve;
pub mod salvage;
pub mod snapshot;
mod space;
pub mod spare;
pub mod stats;
pub mod sync;
mod unapplied;
pub mod verify;
pub mod versions;
pub mod write;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::clock::Clock;
use crate::epoch::Guard;
use crate::error::{Error, Kind, Result};
use crate::format::record::{Header, Record};
use crate::format::segment::SegmentKind;
use crate::index::hash::KeyHasher;
use crate::index::{Entry, Index, Location};
use crate::manifest::Manifest;
use crate::options::Options;
use crate::segment::active::ActiveSegment;
use crate::segment::open::Opener;
use crate::segment::table::{SegmentTable, Segments};
use crate::segment::Segment;
use crate::storage::{Lock, Storage};
use backup::held::Held;
use compact::control::Control;
use compact::Compaction;
use expiry::Expiries;
use group::Group;
use herald::Herald;
use latch::Latch;
use latency::Histograms;
use maintenance::Bell;
use pace::Pacer;
use publish::Publisher;
use read::Kept;
use stats::Counters;
use sync::Syncer;
use unapplied::Batches;
use versions::Versions;
use write::Writer;

/// An open database, without the threads that look after it.
pub struct Engine {
    options: Options,
    clock: Clock,
    expiries: Expiries,
    storage: Arc<dyn Storage>,
    hasher: KeyHasher,
    uuid: [u8; 16],
    index: Index,
    table: Arc<SegmentTable>,
    opener: Arc<Opener>,
    compaction: Mutex<Compaction>,
    control: Control,
    sealing: Mutex<()>,
    group: Group,
    syncer: Mutex<Syncer>,
    writer: Mutex<Writer>,
    batches: Batches,
    /// What snapshots see of what was replaced.
    versions: Versions<Kept>,
    /// The segment in which the log goes on, if it is ready.
    spare: Mutex<Option<ActiveSegment>>,
    manifest: Mutex<Manifest>,
    latch: Latch,
    /// Tells the program what happens.
    herald: Arc<Herald>,
    /// How long things take, if that is wanted.
    latency: Histograms,
    /// Publishes figures, if that is wanted.
    publisher: Publisher,
    /// Sealed segments that have no hint yet.
    hints_due: Mutex<VecDeque<u64>>,
    /// Compacted segments, whose files go when nobody has them any more.
    gone: Mutex<Vec<Arc<Segment>>>,
    /// Held by the one who writes hints.
    hint_writer: Mutex<()>,
    /// Files that a backup still wants.
    held: Held,
    pacer: Pacer,
    counters: Counters,
    /// What the last checkpoint knows. Held by the one who writes the next.
    reach: Mutex<checkpoint::Reach>,
    /// The id of the next segment.
    next_id: AtomicU64,
    /// Everything below this sequence is on the medium.
    durable: AtomicU64,
    /// Wakes the thread that syncs.
    sync_bell: Bell,
    /// Whether that thread is to sync the log before it must.
    wants_sync: AtomicBool,
    /// Wakes the thread that allocates ahead.
    ahead_bell: Bell,
    /// Wakes the thread that compacts.
    compact_bell: Bell,
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

    /// How many files of sealed segments are open.
    pub fn open_segments(&self) -> usize {
        self.opener.open_files()
    }

    /// Bytes in records that nobody needs, by segment.
    pub fn dead_bytes(&self) -> Vec<(u64, u64)> {
        let mut dead: Vec<(u64, u64)> = Vec::new();
        self.table.look_at_all(|segment| dead.push((segment.header.id, segment.dead())));
        dead.sort_unstable();
        dead
    }

    /// What compaction is told from outside.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Lets the background thread compact again.
    pub fn resume_compaction(&self) {
        self.control.resume();
        self.compact_bell.ring();
    }

    /// Who tells the program what happens.
    pub fn herald(&self) -> &Herald {
        &self.herald
    }

    /// The old record of a key, if its value is there still. That it has expired is believed of no
    /// damaged one.
    #[inline]
    fn live<'o, 'a>(
        &self,
        guard: &Guard,
        old: Option<&'o OldRecord<'a>>,
    ) -> Result<Option<&'o OldRecord<'a>>> {
        match old {
            Some(old) if !old.is_live(&self.clock) => {
                old.record(guard, &mut Vec::new()).map(|_| None)
            }
            old => Ok(old),
        }
    }

    /// What makes this database refuse writes.
    pub fn latch(&self) -> &Latch {
        &self.latch
    }
}

/// Reads of the log on the index's behalf: whose record is this, and how long is it?
struct Lookup<'a> {
    guard: &'a Guard,
    segments: Segments<'a>,
    hasher: &'a KeyHasher,
    scratch: Vec<u8>,
    /// The record that was found last.
    found: Option<OldRecord<'a>>,
}

/// The record that a key has had so far.
struct OldRecord<'a> {
    segment: &'a Segment,
    location: Location,
    header: Header,
    sequence: u64,
    expiry: Option<u64>,
}

impl<'a> OldRecord<'a> {
    /// Whether its key has this value still. A tombstone does not stay in the index.
    #[inline]
    fn is_live(&self, clock: &Clock) -> bool {
        self.expiry.is_none_or(|expiry| expiry > clock.now_ms())
    }

    /// Whether its place alone tells that it was written when the log had reached `end`. What
    /// compaction has moved may be as old as any.
    #[inline]
    fn is_behind(&self, end: (u64, u64)) -> bool {
        let header = &self.segment.header;
        let at = (header.id, self.segment.offset(self.location));
        header.kind == SegmentKind::Log && at >= end
    }

    /// Counts it as dead: there is a newer one.
    #[inline]
    fn count_dead(&self) {
        self.segment.add_dead(self.header.record_len(), self.header.class());
    }

    /// All of it, verified.
    fn record<'s>(&self, guard: &'s Guard, scratch: &'s mut Vec<u8>) -> Result<Record<'s>>
    where
        'a: 's,
    {
        let offset = self.segment.offset(self.location);
        let record = self.segment.record(guard, offset, scratch)?;
        self.segment.verify(&record, offset)?;
        Ok(record)
    }
}

impl<'a> Lookup<'a> {
    fn new(guard: &'a Guard, table: &'a SegmentTable, hasher: &'a KeyHasher) -> Lookup<'a> {
        let segments = table.pinned(guard);
        Lookup { guard, segments, hasher, scratch: Vec::new(), found: None }
    }

    /// Locks the index entry of `key`. The record that it points to is what was found.
    #[inline]
    fn entry(&mut self, index: &'a Index, hash: u64, key: &[u8]) -> Result<Entry<'a>> {
        index.entry(self.guard, hash, |location| self.is_of(key, location))
    }

    /// Whether the record at `location` is one of `key`; if so, it is what was found.
    #[inline(always)]
    fn is_of(&mut self, key: &[u8], location: Location) -> Result<bool> {
        let segment = self.segments.of(location)?;
        let offset = segment.offset(location);
        let record = segment.record(self.guard, offset, &mut self.scratch)?;
        let is_it = segment.is_of(key, &record, offset)?;
        if is_it {
            let (header, sequence) = (record.header, segment.sequence(&record));
            let expiry = record.expiry();
            self.found = Some(OldRecord { segment, location, header, sequence, expiry });
        }
        Ok(is_it)
    }

    /// The hash of the key of the record at `location`.
    fn hash_at(&mut self, location: Location) -> Result<u64> {
        let segment = self.segments.of(location)?;
        let offset = segment.offset(location);
        let record = segment.record(self.guard, offset, &mut self.scratch)?;
        segment.verify(&record, offset)?;
        Ok(self.hasher.hash(record.key()))
    }
}

/// A copy of a value, or an error where there is no memory for it.
fn copy_of(value: &[u8]) -> Result<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(value.len())
        .map_err(|_| Error::new(Kind::OutOfMemory, "there is no memory for a copy of the value"))?;
    copy.extend_from_slice(value);
    Ok(copy)
}
