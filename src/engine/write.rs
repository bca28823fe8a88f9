//! The write path: put, delete, and going on in a new segment when one is full.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;

use super::snapshot::{self, Watch};
use super::space::Purpose;
use super::{Engine, Lookup, OldRecord};
use crate::epoch::{self, Guard};
use crate::error::{Error, Kind, Result};
use crate::format::manifest::Edit;
use crate::format::record::{Class, Extra, Prepared, RecordKind, HEADER_LEN};
use crate::format::segment::{SegmentHeader, SegmentKind};
use crate::format::{MAX_KEY_LEN, MAX_VALUE_LEN};
use crate::index::Location;
use crate::options::SyncLevel;
use crate::segment::active::{self, ActiveSegment, FullSegment};

/// The end of the log.
pub struct Writer {
    /// The segment that is being written. There is none before the first write.
    pub active: Option<ActiveSegment>,
    /// Full segments that are not yet on the medium, oldest first.
    pub full: VecDeque<FullSegment>,
    /// The sequence of the next record.
    pub next_sequence: u64,
    /// Whether the manifest knows that the database is being written.
    pub opened: bool,
    /// What snapshots need.
    pub watch: Watch,
}

/// Answers whether a key may be used, and why not.
pub fn check_key(key: &[u8]) -> Result<()> {
    match key.len() {
        0 => Err(Error::new(Kind::EmptyKey, "the key is empty; a key has at least one byte")),
        1..=MAX_KEY_LEN => Ok(()),
        len => Err(Error::new(
            Kind::KeyTooLong,
            format!("the key has {len} bytes; the limit is {MAX_KEY_LEN}"),
        )),
    }
}

pub(super) fn check_value(value: &[u8]) -> Result<()> {
    if value.len() <= MAX_VALUE_LEN {
        return Ok(());
    }
    let message = format!("the value has {} bytes; the limit is {MAX_VALUE_LEN}", value.len());
    Err(Error::new(Kind::ValueTooLong, message))
}

/// The longest time to live: some 30,000 years.
pub const MAX_TTL_MS: u64 = 1_000_000_000_000_000;

pub(super) fn check_ttl(ttl_ms: u64) -> Result<()> {
    if ttl_ms <= MAX_TTL_MS {
        return Ok(());
    }
    let message = format!("a time to live of {ttl_ms} ms is too long; the limit is {MAX_TTL_MS}");
    Err(Error::new(Kind::InvalidArgument, message))
}

/// When a write is on the medium.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteSync {
    /// As the database was opened.
    #[default]
    AsOpened,
    /// Before it is acknowledged.
    Yes,
    /// Later.
    No,
}

/// What a write depends on, and what comes with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// The value expires after so many milliseconds; 0: never.
    pub ttl_ms: u64,
    /// The value expires when the one before it would have.
    pub keep_ttl: bool,
    /// Write only if the key is not there.
    pub if_absent: bool,
    /// Write only if this is the key's version; 0: whatever it is.
    pub if_version: u64,
    /// Write nothing if the key has this very value.
    pub skip_if_equal: bool,
    /// When it is on the medium.
    pub sync: WriteSync,
}

/// What became of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was done; the key has this version now.
    Done(u64),
    /// Nothing had to be written; the key has this version still.
    Unchanged(u64),
    /// The key is there, against `if_absent`.
    Exists,
    /// The key has not the version of `if_version`, or is not there.
    OtherVersion,
    /// There is no such key to change.
    NotFound,
}

/// What is to be done with a key, now that its old record is known.
enum Decision<'v> {
    /// Append this, with this value.
    Append(Prepared, Cow<'v, [u8]>, Option<u64>),
    /// Append this tombstone.
    Remove(Prepared),
    /// Nothing.
    Leave(Written),
}

impl Engine {
    /// Sets the value of `key`.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        check_value(value)?;
        let prepare = || Prepared::new(RecordKind::Put, key, value);
        let decide = |record, _: &Guard, _: Option<&OldRecord>| {
            Ok(Decision::Append(record, Cow::Borrowed(value), None))
        };
        self.change(key, WriteSync::AsOpened, prepare, decide).map(|_| ())
    }

    /// Sets the value of `key`, if what `options` ask for holds.
    pub fn put_with(&self, key: &[u8], value: &[u8], options: &WriteOptions) -> Result<Written> {
        check_value(value)?;
        check_ttl(options.ttl_ms)?;
        let expiry = self.expiry_in(options.ttl_ms);
        let with = |expiry| {
            let extra = Extra { expiry, ..Extra::default() };
            Prepared::with(RecordKind::Put, key, value, &extra)
        };
        let decide = |record, guard: &Guard, old: Option<&OldRecord>| {
            let old = old.filter(|old| old.is_live(&self.clock));
            if let Some(stopped) = stopped(options, old) {
                return Ok(Decision::Leave(stopped));
            }
            let kept = old.filter(|_| options.keep_ttl).map(|old| old.expiry);
            if let Some(old) = old.filter(|_| options.skip_if_equal) {
                let is_same_time = kept.is_some() || old.expiry == expiry;
                if is_same_time && old.record(guard, &mut Vec::new())?.value() == value {
                    return Ok(Decision::Leave(Written::Unchanged(old.sequence)));
                }
            }
            let (record, expiry) = match kept {
                Some(kept) if kept != expiry => (with(kept), kept),
                _ => (record, expiry),
            };
            Ok(Decision::Append(record, Cow::Borrowed(value), expiry))
        };
        self.change(key, options.sync, || with(expiry), decide)
    }

    /// Removes `key`. Answers whether it was there; if not, nothing is written.
    pub fn delete(&self, key: &[u8]) -> Result<bool> {
        let removed = self.delete_with(key, &WriteOptions::default())?;
        Ok(matches!(removed, Written::Done(_)))
    }

    /// Removes `key`, if it has the version that `options` ask for.
    pub fn delete_with(&self, key: &[u8], options: &WriteOptions) -> Result<Written> {
        let prepare = || Prepared::new(RecordKind::Tombstone, key, &[]);
        let decide = |record, _: &Guard, old: Option<&OldRecord>| {
            let old = old.filter(|old| old.is_live(&self.clock));
            Ok(match (stopped(options, old), old) {
                (_, None) => Decision::Leave(Written::NotFound),
                (Some(stopped), _) => Decision::Leave(stopped),
                (None, Some(_)) => Decision::Remove(record),
            })
        };
        self.change(key, options.sync, prepare, decide)
    }

    /// Adds `delta` to the counter `key`, which begins at 0; answers what it is now.
    pub fn add(&self, key: &[u8], delta: i64) -> Result<i64> {
        let mut sum = 0;
        let decide = |(), guard: &Guard, old: Option<&OldRecord>| {
            let old = old.filter(|old| old.is_live(&self.clock));
            let (before, expiry) = match old {
                Some(old) => (counter(old.record(guard, &mut Vec::new())?.value())?, old.expiry),
                None => (0, None),
            };
            sum = before.checked_add(delta).ok_or_else(|| overflow(before, delta))?;
            let value = sum.to_le_bytes();
            let extra = Extra { expiry, ..Extra::default() };
            let record = Prepared::with(RecordKind::Put, key, &value, &extra);
            Ok(Decision::Append(record, Cow::Owned(value.to_vec()), expiry))
        };
        self.change(key, WriteSync::AsOpened, || (), decide)?;
        Ok(sum)
    }

    /// Lets the value of `key` expire after `ttl_ms` milliseconds from now, or never if that is 0.
    pub fn touch(&self, key: &[u8], ttl_ms: u64) -> Result<Written> {
        check_ttl(ttl_ms)?;
        let decide = |(), guard: &Guard, old: Option<&OldRecord>| {
            let Some(old) = old.filter(|old| old.is_live(&self.clock)) else {
                return Ok(Decision::Leave(Written::NotFound));
            };
            let expiry = self.expiry_in(ttl_ms);
            if old.expiry == expiry {
                return Ok(Decision::Leave(Written::Unchanged(old.sequence)));
            }
            let value = copy_of(old.record(guard, &mut Vec::new())?.value())?;
            let extra = Extra { expiry, ..Extra::default() };
            let record = Prepared::with(RecordKind::Put, key, &value, &extra);
            Ok(Decision::Append(record, Cow::Owned(value), expiry))
        };
        self.change(key, WriteSync::AsOpened, || (), decide)
    }

    /// When a value expires that is to live so long; 0: never.
    fn expiry_in(&self, ttl_ms: u64) -> Option<u64> {
        (ttl_ms > 0).then(|| self.clock.now_ms().saturating_add(ttl_ms))
    }

    /// Changes one key. `prepare` is called while no lock is held, `decide` with the key's place in
    /// the index locked.
    #[inline]
    fn change<'v, P>(
        &self,
        key: &[u8],
        sync: WriteSync,
        prepare: impl FnOnce() -> P,
        decide: impl FnOnce(P, &Guard, Option<&OldRecord>) -> Result<Decision<'v>>,
    ) -> Result<Written> {
        check_key(key)?;
        self.latch.check()?;
        let hash = self.hasher.hash(key);
        let guard = epoch::pin()?;
        self.index.prefetch(&guard, hash);
        let prepared = prepare();
        let (sequence, len) = {
            let mut lookup = Lookup::new(&guard, &self.table, &self.hasher);
            let (mut entry, old) = lookup.entry(&self.index, hash, key)?;
            match decide(prepared, &guard, old.as_ref())? {
                Decision::Leave(written) => return Ok(written),
                Decision::Append(record, value, expiry) => {
                    entry.reserve(&mut |location| lookup.hash_at(location))?;
                    let mut writer = self.writer.lock();
                    self.make_room(&mut writer, record.len, Purpose::Put)?;
                    let next = writer.next_sequence;
                    self.keep_for_snapshots(&guard, &writer, hash, old.as_ref(), next)?;
                    let (location, sequence) = writer.append(&record, key, &value);
                    if let Some(expiry) = expiry {
                        writer.count_expiring(record.len, expiry);
                    }
                    let _until_set = self.replace(writer, old);
                    entry.set(location);
                    (sequence, record.len)
                }
                Decision::Remove(record) => {
                    let mut writer = self.writer.lock();
                    self.make_room(&mut writer, record.len, Purpose::Delete)?;
                    let next = writer.next_sequence;
                    self.keep_for_snapshots(&guard, &writer, hash, old.as_ref(), next)?;
                    let (_, sequence) = writer.append(&record, key, &[]);
                    writer.count_tombstone(record.len);
                    let _until_removed = self.replace(writer, old);
                    entry.remove();
                    (sequence, record.len)
                }
            }
        };
        drop(guard);
        self.acknowledge(sequence, len, sync).map(|()| Written::Done(sequence))
    }

    /// Counts the record that has just got a newer one, and lets others write, unless they must
    /// wait until the index is changed.
    #[inline]
    fn replace<'w>(
        &self,
        mut writer: MutexGuard<'w, Writer>,
        old: Option<OldRecord>,
    ) -> Option<MutexGuard<'w, Writer>> {
        if let Some(old) = &old {
            old.count_dead();
        }
        self.look_ahead(&mut writer);
        snapshot::let_go(writer)
    }

    /// Wakes the thread that allocates ahead, when there is something to do for it.
    #[inline]
    pub(super) fn look_ahead(&self, writer: &mut Writer) {
        if writer.active.as_mut().is_some_and(ActiveSegment::comes_near_limit) {
            self.ahead_bell.ring();
        }
    }

    /// Returns when the record of `sequence` is as durable as the database promises.
    #[inline]
    pub(super) fn acknowledge(&self, sequence: u64, len: usize, sync: WriteSync) -> Result<()> {
        self.pacer.pace(len);
        let waits = match sync {
            WriteSync::AsOpened => self.options.sync == SyncLevel::Always,
            WriteSync::Yes => true,
            WriteSync::No => false,
        };
        if !waits {
            return Ok(());
        }
        self.sync_to(sequence + 1).map_err(|error| {
            error.with_kind(Kind::UnknownOutcome).context("the write may or may not be durable")
        })
    }

    /// Makes sure that a record of `len` bytes can be appended without a failure.
    #[inline]
    pub(super) fn make_room(
        &self,
        writer: &mut Writer,
        len: usize,
        purpose: Purpose,
    ) -> Result<()> {
        self.latch.check()?;
        if writer.has_room(len) {
            return Ok(());
        }
        self.make_room_slowly(writer, len, purpose).map_err(|error| self.latch.watch(error))
    }

    #[cold]
    fn make_room_slowly(&self, writer: &mut Writer, len: usize, purpose: Purpose) -> Result<()> {
        self.note_opened(writer)?;
        if let Some(active) = &mut writer.active {
            let allowed = self.may_allocate(active.missing(len), purpose)?;
            if active.make_room(len, allowed)? {
                return Ok(());
            }
        }
        let allowed = self.may_allocate(active::missing_of_new(len), purpose)?;
        self.roll(writer, len)?;
        let fresh = writer.active.as_mut().map(|active| active.make_room(len, allowed));
        let fresh = fresh.transpose()?;
        fresh.filter(|&fits| fits).map(|_| ()).ok_or_else(active::does_not_fit)
    }

    /// Makes sure that the manifest knows that the database is being written.
    pub(super) fn note_opened(&self, writer: &mut Writer) -> Result<()> {
        if !writer.opened {
            self.manifest.lock().append(&[Edit::Opened])?;
            writer.opened = true;
        }
        Ok(())
    }

    /// The header of a segment that does not exist yet.
    pub(super) fn new_header(
        &self,
        kind: SegmentKind,
        base_sequence: u64,
        horizon: u64,
    ) -> Result<SegmentHeader> {
        let random = self.storage.random()?;
        let salt = u32::from_le_bytes([random[0], random[1], random[2], random[3]]);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        Ok(SegmentHeader { id, salt, kind, base_sequence, horizon })
    }
}

impl Writer {
    /// Whether a record of `len` bytes can be appended at once.
    fn has_room(&self, len: usize) -> bool {
        self.opened && self.active.as_ref().is_some_and(|active| active.has_room(len))
    }

    /// Appends a record for which room was made; answers where it is, and its sequence.
    #[inline]
    fn append(&mut self, record: &Prepared, key: &[u8], value: &[u8]) -> (Location, u64) {
        debug_assert!(record.len >= HEADER_LEN);
        let active = self.active.as_mut().expect("room was made in an active segment");
        let sequence = self.next_sequence;
        let offset = active.append(record, key, value, sequence);
        self.next_sequence += 1;
        (active.segment().location(offset), sequence)
    }

    /// Counts a record of `len` bytes that expires in the active segment.
    #[cold]
    fn count_expiring(&self, len: usize, expiry: u64) {
        if let Some(active) = &self.active {
            active.segment().add_expiring(len, expiry);
        }
    }

    /// Counts a tombstone of `len` bytes in the active segment.
    fn count_tombstone(&self, len: usize) {
        if let Some(active) = &self.active {
            active.segment().add_dead(len, Class::Tombstone);
        }
    }
}

/// Why a write must not be done, if `old` is the key's live record.
fn stopped(options: &WriteOptions, old: Option<&OldRecord>) -> Option<Written> {
    if options.if_absent && old.is_some() {
        return Some(Written::Exists);
    }
    let wanted = options.if_version;
    let is_other = wanted != 0 && old.is_none_or(|old| old.sequence != wanted);
    is_other.then_some(Written::OtherVersion)
}

fn counter(value: &[u8]) -> Result<i64> {
    let bytes = value.try_into().map_err(|_| {
        let what = format!("the value has {} bytes; a counter has 8", value.len());
        Error::new(Kind::NotACounter, what)
    })?;
    Ok(i64::from_le_bytes(bytes))
}

#[cold]
fn overflow(before: i64, delta: i64) -> Error {
    Error::new(Kind::Overflow, format!("{before} plus {delta} is no 64-bit number"))
}

fn copy_of(value: &[u8]) -> Result<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(value.len())
        .map_err(|_| Error::new(Kind::OutOfMemory, "there is no memory for a copy of the value"))?;
    copy.extend_from_slice(value);
    Ok(copy)
}
