//! Opening: from files to an engine. First everything is examined and nothing changed; then what a
//! crash left is put in order.

mod checkpoint;
mod files;
mod lazy;
mod leftovers;
mod log_end;
mod replay;
mod sealed;
mod tell;

use std::collections::{LinkedList, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::backup::held::Held;
use super::checkpoint::Reach;
use super::compact::control::Control;
use super::expiry::Expiries;
use super::group::Group;
use super::herald::Herald;
use super::latch::Latch;
use super::latency::Histograms;
use super::maintenance::Bell;
use super::pace::Pacer;
use super::publish::Publisher;
use super::snapshot::Watch;
use super::stats::{record_bytes, Counters};
use super::unapplied::Batches;
use super::versions::Versions;
use super::write::Writer;
use super::Engine;
use crate::error::{Error, Kind, Result};
use crate::format::manifest::{Edit, SealedSegment};
use crate::format::record::SEAL_LEN;
use crate::format::{name, MAX_NUMBER_AT_OPEN};
use crate::index::hash::KeyHasher;
use crate::index::{Index, Location};
use crate::manifest::Manifest;
use crate::memory;
use crate::options::{OnDamage, Options};
use crate::segment::active::ActiveSegment;
use crate::segment::full::write_mark;
use crate::segment::open::Opener;
use crate::segment::table::SegmentTable;
use crate::segment::{Segment, Source};
use crate::storage::{barrier, File, Lock, Storage};
use crate::wrong_turn::{is_taken, unless, when};
use checkpoint::Basis;
pub(super) use checkpoint::{misses_window, read_header as read_checkpoint_header};
use replay::Part;
pub(super) use sealed::{has_seal, read_hint};

/// Opens the database in `storage`, or creates it there, and tells nobody.
pub fn open(storage: Arc<dyn Storage>, options: Options) -> Result<Engine> {
    open_told(storage, options, Arc::default())
}

/// The same; tells `herald` what happens then and later.
pub fn open_told(
    storage: Arc<dyn Storage>,
    options: Options,
    herald: Arc<Herald>,
) -> Result<Engine> {
    let began = Instant::now();
    barrier::prepare();
    options.check()?;
    // Before the lock file is created: a directory with other things in it is left alone.
    examine_names(&*storage, &options)?;
    let lock = storage.lock(name::LOCK)?;
    let exists = examine_names(&*storage, &options)?;
    let manifest = if exists { Manifest::open(&*storage)? } else { Manifest::create(&*storage)? };
    let was_closed = manifest.state().closed.is_some();
    let mut recovery = Recovery::new(storage, options, manifest, herald)?;
    recovery.examine()?;
    if recovery.damage.is_none() {
        recovery.put_in_order()?;
    }
    let from = recovery.from;
    let engine = recovery.into_engine(lock)?;
    engine.tell_opened(began, exists, was_closed, from);
    Ok(engine)
}

/// Whether there is a database; an error if there must not be one, or cannot be one.
fn examine_names(storage: &dyn Storage, options: &Options) -> Result<bool> {
    let names = storage.list()?;
    let path = storage.path();
    if names.iter().any(|name| name == name::MANIFEST) {
        if options.error_if_exists {
            return Err(Error::new(
                Kind::AlreadyExists,
                format!("{path} holds a database already"),
            ));
        }
        return Ok(true);
    }
    if let Some(other) = names.iter().find(|name| !name::is_ours(name)) {
        return Err(not_a_database(path, other));
    }
    if let Some(segment) = names.iter().find(|name| name::parse_segment(name).is_some()) {
        let manifest = format!("{path}/{}", name::MANIFEST);
        return Err(Error::corrupt(&manifest, 0, format!("it is missing, but {segment} is there")));
    }
    // Figures come after a manifest and go before it: by themselves they are somebody else's.
    if let Some(other) = names.iter().find(|name| name::is_stats(name)) {
        return Err(not_a_database(path, other));
    }
    if !options.create_if_missing {
        return Err(Error::new(Kind::DoesNotExist, format!("{path} holds no database")));
    }
    Ok(false)
}

fn not_a_database(path: &str, other: &str) -> Error {
    let message = format!("{path} is not a libkv database: it holds {other} and no MANIFEST");
    Error::new(Kind::NotADatabase, message)
}

/// Where the log ends, as found.
struct FoundTail {
    segment: Arc<Segment>,
    file: Arc<dyn File>,
    len: u64,
    records: u64,
    /// What is wrong with the bytes behind it, if anything is.
    torn: Option<&'static str>,
}

/// A segment that was full when the process died, but not yet noted as sealed.
struct FoundFull {
    segment: Arc<Segment>,
    file: Arc<dyn File>,
    sealed: SealedSegment,
}

/// What is found out while opening.
struct Recovery {
    storage: Arc<dyn Storage>,
    options: Options,
    manifest: Manifest,
    hasher: KeyHasher,
    index: Index,
    table: Arc<SegmentTable>,
    opener: Arc<Opener>,
    /// Tombstones that are their keys' newest records: in the index until all is read.
    tombstones: Vec<(u64, Location)>,
    /// Hashes of some of the keys, to know how many there are.
    sample: Vec<u64>,
    /// Sealed segments without a hint.
    unhinted: VecDeque<u64>,
    next_sequence: u64,
    /// The clock has been this far.
    time_ms: u64,
    tail: Option<FoundTail>,
    full: Vec<FoundFull>,
    /// The records of the segments that are not sealed.
    log_end: Vec<Part>,
    /// The checkpoint of the index that all begins with, if there is one.
    basis: Option<Basis>,
    /// Whether there is a checkpoint that must not be believed.
    has_bad_checkpoint: bool,
    reach: Reach,
    /// Segments behind the end of the log.
    discarded: Vec<u64>,
    /// Files that belong to no live segment.
    leftovers: Vec<String>,
    /// The first damage, if the options say to open what is left.
    damage: Option<Error>,
    /// Where the index comes from, in words.
    from: &'static str,
    herald: Arc<Herald>,
}

impl Recovery {
    fn new(
        storage: Arc<dyn Storage>,
        options: Options,
        manifest: Manifest,
        herald: Arc<Herald>,
    ) -> Result<Recovery> {
        let hasher = KeyHasher::new(manifest.identity().hash_seed);
        let (next_sequence, time_ms) = (manifest.state().next_sequence, manifest.state().time_ms);
        let limit = options.open_segments();
        let opener = Opener::new(Arc::clone(&storage), options.read_mode, limit);
        Ok(Recovery {
            storage,
            options,
            manifest,
            hasher,
            index: Index::new()?,
            table: Arc::new(SegmentTable::new()?),
            opener,
            tombstones: Vec::new(),
            sample: Vec::new(),
            unhinted: VecDeque::new(),
            next_sequence,
            time_ms,
            tail: None,
            full: Vec::new(),
            log_end: Vec::new(),
            basis: None,
            has_bad_checkpoint: false,
            reach: Reach::default(),
            discarded: Vec::new(),
            leftovers: Vec::new(),
            damage: None,
            from: "the checkpoint made at closing",
            herald,
        })
    }

    /// Reads everything, changes nothing.
    fn examine(&mut self) -> Result<()> {
        let result = self.find_leftovers();
        self.tolerate(result)?;
        let live = memory::collect(self.manifest.state().segments.values().copied())?;
        self.find_checkpoint(&live)?;
        let sealed = self.open_sealed(&live)?;
        let unsealed = live.iter().filter(|segment| segment.sealed.is_none());
        let unsealed = memory::collect(unsealed.map(|segment| segment.header))?;
        if !self.open_as_closed(&sealed, &unsealed)? {
            let result = self.read_log_end(&unsealed);
            self.tolerate(result)?;
            self.restore_checkpoint()?;
            self.from = match self.basis {
                Some(_) => "a checkpoint and what was written after it",
                None => "hints and the log",
            };
            self.read_sealed(&sealed)?;
            let log_end = std::mem::take(&mut self.log_end);
            self.replay(&log_end)?;
            self.forget_tombstones()?;
        }
        self.table.keep_no_more();
        let result = self.check_numbers();
        self.tolerate(result)
    }

    /// An error if sequences or ids are so high that they could come to their end: records behind
    /// it would be taken for damage. Nobody writes that often.
    fn check_numbers(&self) -> Result<()> {
        if self.next_sequence.max(self.manifest.state().next_id) <= MAX_NUMBER_AT_OPEN {
            return Ok(());
        }
        let manifest = format!("{}/{}", self.storage.path(), name::MANIFEST);
        Err(Error::corrupt(&manifest, 0, "sequences or ids are higher than any that was written"))
    }

    /// Keeps damage for later if the options say so; passes every other error on.
    fn tolerate(&mut self, result: Result<()>) -> Result<()> {
        match result {
            Err(error)
                if error.kind() == Kind::Corrupt
                    && self.options.on_damage == OnDamage::ReadOnly =>
            {
                self.herald.tell_damage(&error);
                self.damage.get_or_insert(error);
                Ok(())
            }
            other => other,
        }
    }

    /// Removes what a crash left, and ends the log where its whole part ends.
    fn put_in_order(&mut self) -> Result<()> {
        // Before tidying, which makes and renames a MANIFEST.new of its own.
        self.remove_leftovers()?;
        if self.has_bad_checkpoint && !is_taken!(BadCheckpointKept) {
            // Once the log has grown it could pass for a good one.
            self.storage.remove(name::INDEX)?;
            self.storage.sync_directory()?;
        }
        self.manifest.tidy(&*self.storage)?;
        let mut edits = Vec::new();
        for full in &self.full {
            full.file.truncate(full.sealed.len)?;
            full.file.sync()?;
            memory::push(&mut edits, Edit::Seal(full.sealed))?;
        }
        if let Some(tail) = &self.tail {
            if self.manifest.state().closed.is_none() {
                // Bytes behind the cut are gone for good before anything is appended in their
                // place.
                unless!(TornTailNotCut, tail.file.truncate(tail.len))?;
                tail.file.sync()?;
                self.tell_tail_cut(tail);
                write_mark(&*tail.file, tail.segment.header.salt, tail.len, 0)?;
                write_mark(&*tail.file, tail.segment.header.salt, tail.len, 1)?;
            }
        }
        memory::extend(&mut edits, self.discarded.iter().map(|&id| Edit::Remove { id }))?;
        when!(DiscardedNamesRemovedFirst, {
            for &id in &self.discarded {
                self.storage.remove(&name::segment(id))?;
            }
        });
        if !edits.is_empty() {
            self.manifest.append(&edits)?;
        }
        for &id in &self.discarded {
            unless!(DiscardedNamesRemovedFirst, self.storage.remove(&name::segment(id)))?;
        }
        self.unhinted.try_reserve(self.full.len())?;
        self.unhinted.extend(self.full.iter().map(|full| full.sealed.id));
        for full in &self.full {
            let source = Source::Sealed(self.opener.sealed(full.sealed.id, full.sealed.len));
            self.table.replace(&Arc::new(full.segment.with_source(source)));
        }
        Ok(())
    }

    /// All keys there are have been loaded, whatever they take: from now on there is a limit.
    fn limit_index(&self) {
        if self.options.max_index_bytes > 0 {
            self.index.set_limit(self.options.max_index_bytes as usize);
        }
    }

    fn into_engine(self, lock: Box<dyn Lock>) -> Result<Engine> {
        let latch = Latch::new(Arc::clone(&self.herald));
        let latency = Histograms::new(self.options.latency_histograms);
        let pacer = Pacer::new(self.options.segment_size, Arc::clone(&self.herald));
        self.limit_index();
        let mut active = None;
        if let Some(damage) = &self.damage {
            latch.close(damage);
        } else if let Some(tail) = self.tail {
            let capacity = self.options.segment_size.max(tail.len + SEAL_LEN as u64);
            let written = (tail.len, tail.records);
            let resumed =
                ActiveSegment::resume(&self.table, &tail.segment, tail.file, written, capacity)?;
            active = Some(resumed);
        }
        let state = self.manifest.state();
        let resumed = active.as_ref().map_or(0, |active| record_bytes(active.len()));
        let counters = Counters::new(resumed, self.next_sequence);
        let next_id = AtomicU64::new(state.next_id);
        let writer = Writer {
            active,
            full: LinkedList::new(),
            next_sequence: self.next_sequence,
            opened: state.closed.is_none() && self.damage.is_none(),
            reserved: None,
            tombstones: 0,
            watch: Watch::default(),
        };
        let publisher = Publisher::new(self.options.publish_stats_ms, self.damage.is_none());
        let (clock, expiries) = Expiries::at_open(&self.options.time, &self.table, self.time_ms);
        Ok(Engine {
            options: self.options,
            clock,
            expiries,
            storage: self.storage,
            hasher: self.hasher,
            uuid: self.manifest.identity().uuid,
            index: self.index,
            table: self.table,
            opener: self.opener,
            compaction: Mutex::default(),
            control: Control::default(),
            sealing: Mutex::default(),
            group: Group::default(),
            syncer: Mutex::default(),
            writer: Mutex::new(writer),
            batches: Batches::default(),
            versions: Versions::new()?,
            spare: Mutex::default(),
            manifest: Mutex::new(self.manifest),
            latch,
            herald: self.herald,
            latency,
            publisher,
            hints_due: Mutex::new(self.unhinted),
            gone: Mutex::default(),
            hint_writer: Mutex::default(),
            held: Held::default(),
            pacer,
            counters,
            reach: Mutex::new(self.reach),
            next_id,
            durable: AtomicU64::new(self.next_sequence),
            sync_bell: Bell::default(),
            wants_sync: AtomicBool::new(false),
            ahead_bell: Bell::default(),
            compact_bell: Bell::default(),
            _lock: lock,
        })
    }
}
