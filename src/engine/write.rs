//! The write path: put, delete, and going on in a new segment when one is full.

use std::borrow::Cow;
use std::collections::LinkedList;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;

use super::conditional::{WriteOptions, WriteSync, Written};
use super::reserve::{Reservation, Reserved};
use super::snapshot::{self, Watch};
use super::space::Purpose;
use super::{Engine, Lookup, OldRecord};
use crate::epoch::{self, Guard};
use crate::error::{Error, Kind, Result};
use crate::format::encode::{Extra, Prepared};
use crate::format::manifest::Edit;
use crate::format::record::{Class, RecordKind};
use crate::format::segment::{SegmentHeader, SegmentKind};
use crate::format::{MAX_KEY_LEN, MAX_VALUE_LEN};
use crate::index::Location;
use crate::memory;
use crate::options::SyncLevel;
use crate::segment::active::{self, ActiveSegment};
use crate::segment::full::FullSegment;
use crate::wrong_turn::{is_taken, unless};

/// The end of the log.
pub struct Writer {
    /// The segment that is being written. There is none before the first write.
    pub active: Option<ActiveSegment>,
    /// Full segments that are not yet on the medium, oldest first.
    pub full: LinkedList<FullSegment>,
    /// The sequence of the next record.
    pub next_sequence: u64,
    /// Whether the manifest knows that the database is being written.
    pub opened: bool,
    /// The hole at the end of the log, if there is one.
    pub(super) reserved: Option<Reserved>,
    /// Tombstones that were appended since the database was opened.
    pub tombstones: u64,
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

/// A record on its way into the log.
pub(super) struct Change<'v> {
    kind: RecordKind,
    pub(super) record: Prepared,
    pub(super) value: Value<'v>,
    pub(super) expiry: Option<u64>,
}

/// Where a value is before it is in the log.
pub(super) enum Value<'v> {
    Bytes(Cow<'v, [u8]>),
    /// In a hole of the log.
    Reserved(&'v Reservation),
}

/// What is to be done with a key, now that its old record is known.
pub(super) enum Decision {
    /// Append the change.
    Append,
    /// Append it: a tombstone.
    Remove,
    /// Nothing.
    Leave(Written),
}

impl<'v> Change<'v> {
    pub(super) fn put(key: &[u8], value: &'v [u8]) -> Change<'v> {
        let record = Prepared::new(RecordKind::Put, key, value);
        let value = Value::Bytes(Cow::Borrowed(value));
        Change { kind: RecordKind::Put, record, value, expiry: None }
    }

    pub(super) fn put_until(key: &[u8], value: Value<'v>, expiry: Option<u64>) -> Change<'v> {
        let extra = Extra { expiry, ..Extra::default() };
        let record = Prepared::with(RecordKind::Put, key, value.bytes(), &extra);
        Change { kind: RecordKind::Put, record, value, expiry }
    }

    pub(super) fn tombstone(key: &[u8]) -> Change<'v> {
        let record = Prepared::new(RecordKind::Tombstone, key, &[]);
        let value = Value::Bytes(Cow::Borrowed(&[][..]));
        Change { kind: RecordKind::Tombstone, record, value, expiry: None }
    }
}

impl Value<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Value::Bytes(bytes) => bytes,
            Value::Reserved(reservation) => reservation.bytes(),
        }
    }
}

impl Engine {
    /// Sets the value of `key`.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        check_value(value)?;
        let prepare = || Change::put(key, value);
        let decide = |_: &mut Change, _: &Guard, _: Option<&OldRecord>| Ok(Decision::Append);
        self.change(key, WriteSync::AsOpened, prepare, decide).map(|_| ())
    }

    /// Removes `key`. Answers whether it was there; if not, nothing is written.
    pub fn delete(&self, key: &[u8]) -> Result<bool> {
        let removed = self.delete_with(key, &WriteOptions::default())?;
        Ok(matches!(removed, Written::Done(_)))
    }

    /// Changes one key. `prepare` is called while no lock is held; `decide` with the key's place in
    /// the index locked, and it may still change what was prepared.
    #[inline]
    pub(super) fn change<'v>(
        &self,
        key: &[u8],
        sync: WriteSync,
        prepare: impl FnOnce() -> Change<'v>,
        decide: impl FnOnce(&mut Change<'v>, &Guard, Option<&OldRecord>) -> Result<Decision>,
    ) -> Result<Written> {
        check_key(key)?;
        self.latch.check()?;
        let hash = self.hasher.hash(key);
        let guard = epoch::pin()?;
        self.index.prefetch(&guard, hash);
        let mut change = prepare();
        let written = {
            let mut lookup = Lookup::new(&guard, &self.table, &self.hasher);
            let mut entry = lookup.entry(&self.index, hash, key)?;
            match decide(&mut change, &guard, lookup.found.as_ref())? {
                // Who asks for it to be on the medium means the value, not this write.
                Decision::Leave(written @ Written::Unchanged(_)) => written,
                Decision::Leave(written) => return Ok(written),
                Decision::Append => {
                    entry.reserve(&mut |location| lookup.hash_at(location))?;
                    let old = lookup.found.as_ref();
                    let (location, writer) = self.append(&guard, &change, (hash, key), old)?;
                    let sequence = writer.next_sequence - 1;
                    let _until_set = snapshot::let_go(writer);
                    entry.set(location);
                    Written::Done(sequence)
                }
                Decision::Remove => {
                    let old = lookup.found.as_ref();
                    let (_, writer) = self.append(&guard, &change, (hash, key), old)?;
                    let sequence = writer.next_sequence - 1;
                    let _until_removed = snapshot::let_go(writer);
                    entry.remove();
                    Written::Done(sequence)
                }
            }
        };
        drop(guard);
        match written {
            Written::Unchanged(sequence) => self.acknowledge(sequence, 0, sync)?,
            Written::Done(sequence) => self.acknowledge(sequence, change.record.len, sync)?,
            _ => {}
        }
        Ok(written)
    }

    /// Appends a change, and counts the record that it replaces; answers where it is, with the
    /// writer still locked.
    #[inline(always)]
    fn append<'w>(
        &'w self,
        guard: &Guard,
        change: &Change,
        (hash, key): (u64, &[u8]),
        old: Option<&OldRecord>,
    ) -> Result<(Location, MutexGuard<'w, Writer>)> {
        let mut writer = self.writer.lock();
        self.make_room_for(&mut writer, change, key)?;
        let sequence = writer.next_sequence;
        self.keep_for_snapshots(guard, &writer, hash, old, sequence)?;
        let location = writer.append(change, key);
        if let Some(expiry) = change.expiry {
            self.note_expiry(expiry);
        }
        if let Some(old) = old {
            if !is_taken!(DeadNotCounted) {
                old.count_dead();
            }
        }
        self.look_ahead(&mut writer);
        Ok((location, writer))
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
        let synced = self.sync_to(sequence + 1).map_err(|error| {
            error.with_kind(Kind::UnknownOutcome).context("the write may or may not be durable")
        });
        unless!(FailedSyncAcknowledged, synced)
    }

    /// Makes sure that a change can be appended without a failure.
    #[inline]
    fn make_room_for(&self, writer: &mut Writer, change: &Change, key: &[u8]) -> Result<()> {
        if writer.has_reserved(change, key) {
            return self.latch.check();
        }
        let is_delete = change.kind == RecordKind::Tombstone;
        let purpose = if is_delete { Purpose::Delete } else { Purpose::Put };
        self.make_room(writer, change.record.len, purpose)
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
        self.make_room_slowly(writer, len, purpose)
    }

    #[cold]
    fn make_room_slowly(&self, writer: &mut Writer, len: usize, purpose: Purpose) -> Result<()> {
        let made = self.allocate_or_roll(writer, len, purpose);
        // That there is room for deletes does not mean that there is any for puts.
        if made.is_err() || purpose == Purpose::Put {
            self.herald.tell_room(made.as_ref().err());
        }
        made.map_err(|error| self.latch.watch(error))
    }

    fn allocate_or_roll(&self, writer: &mut Writer, len: usize, purpose: Purpose) -> Result<()> {
        self.note_opened(writer)?;
        writer.pass_hole();
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
            unless!(OpenedNotNoted, self.manifest.lock().append(&[Edit::Opened]))?;
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
    /// The segment at the end of the log, in which room was made.
    pub(super) fn end(&mut self) -> Result<&mut ActiveSegment> {
        let none = || Error::new(Kind::Internal, "room was made in no segment");
        self.active.as_mut().ok_or_else(none)
    }

    /// Whether a record of `len` bytes can be appended at once.
    fn has_room(&self, len: usize) -> bool {
        self.opened
            && self.reserved.is_none()
            && self.active.as_ref().is_some_and(|active| active.has_room(len))
    }

    /// Appends a record for which room was made; answers where it is.
    #[inline(always)]
    fn append(&mut self, change: &Change, key: &[u8]) -> Location {
        let is_in_place = self.has_reserved(change, key);
        let sequence = self.next_sequence;
        let active = self.active.as_mut().expect("room was made in an active segment");
        let record = &change.record;
        let offset = match &change.value {
            Value::Bytes(bytes) => active.append(record, key, bytes, sequence),
            Value::Reserved(reservation) if is_in_place => {
                self.reserved = None;
                active.fill_hole(record, key, reservation.len(), sequence)
            }
            Value::Reserved(reservation) => {
                active.append(record, key, reservation.bytes(), sequence)
            }
        };
        self.next_sequence += 1;
        let segment = active.segment();
        if let Some(expiry) = change.expiry {
            segment.add_expiring(record.len, expiry);
        }
        if change.kind == RecordKind::Tombstone {
            segment.add_dead(record.len, Class::Tombstone);
            self.tombstones += 1;
        }
        segment.location(offset)
    }

    /// The first sequences of segments that are not sealed, with their ids, as far as they are
    /// here: the sequences of a log have no gaps.
    pub(super) fn unsealed_firsts(&self) -> Result<Vec<(u64, u64)>> {
        let full = self.full.iter().map(|full| {
            (full.segment.header.id, full.seal.next_sequence.saturating_sub(full.seal.records))
        });
        let active = self.active.iter().map(|active| {
            (active.segment().header.id, self.next_sequence.saturating_sub(active.records()))
        });
        Ok(memory::collect(full.chain(active))?)
    }
}
