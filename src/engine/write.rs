//! The write path: put, delete, and going on in a new segment when one is full.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;

use super::conditional::{WriteOptions, WriteSync, Written};
use super::reserve::{Reservation, Reserved};
use super::space::Purpose;
use super::{Engine, Lookup, OldRecord};
use crate::epoch::{self, Guard};
use crate::error::{Error, Kind, Result};
use crate::format::encode::Prepared;
use crate::format::manifest::Edit;
use crate::format::record::{Class, RecordKind, HEADER_LEN};
use crate::format::segment::{SegmentHeader, SegmentKind};
use crate::format::{MAX_KEY_LEN, MAX_VALUE_LEN};
use crate::index::Location;
use crate::options::SyncLevel;
use crate::segment::active::{self, ActiveSegment};
use crate::segment::full::FullSegment;

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
    /// The hole at the end of the log, if there is one.
    pub(super) reserved: Option<Reserved>,
    /// How many there were.
    pub(super) reservations: u64,
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

/// What is to be done with a key, now that its old record is known.
pub(super) enum Decision<'v> {
    /// Append this, with this value.
    Append(Prepared, Cow<'v, [u8]>, Option<u64>),
    /// Append this, whose value is in a hole of the log.
    Commit(Prepared, &'v Reservation, Option<u64>),
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

    /// Removes `key`. Answers whether it was there; if not, nothing is written.
    pub fn delete(&self, key: &[u8]) -> Result<bool> {
        let removed = self.delete_with(key, &WriteOptions::default())?;
        Ok(matches!(removed, Written::Done(_)))
    }

    /// Changes one key. `prepare` is called while no lock is held, `decide` with the key's place in
    /// the index locked.
    #[inline]
    pub(super) fn change<'v, P>(
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
        let (written, sequence, len) = {
            let mut lookup = Lookup::new(&guard, &self.table, &self.hasher);
            let (mut entry, old) = lookup.entry(&self.index, hash, key)?;
            match decide(prepared, &guard, old.as_ref())? {
                // Who asks for it to be on the medium means the value, not this write.
                Decision::Leave(written @ Written::Unchanged(sequence)) => (written, sequence, 0),
                Decision::Leave(written) => return Ok(written),
                Decision::Append(record, value, expiry) => {
                    entry.reserve(&mut |location| lookup.hash_at(location))?;
                    let mut writer = self.writer.lock();
                    self.make_room(&mut writer, record.len, Purpose::Put)?;
                    let (location, sequence) = writer.append(&record, key, &value);
                    if let Some(expiry) = expiry {
                        writer.count_expiring(record.len, expiry);
                    }
                    self.replace(writer, old);
                    entry.set(location);
                    (Written::Done(sequence), sequence, record.len)
                }
                Decision::Commit(record, reservation, expiry) => {
                    entry.reserve(&mut |location| lookup.hash_at(location))?;
                    let mut writer = self.writer.lock();
                    let (location, sequence) =
                        self.append_reserved(&mut writer, &record, key, reservation)?;
                    if let Some(expiry) = expiry {
                        writer.count_expiring(record.len, expiry);
                    }
                    self.replace(writer, old);
                    entry.set(location);
                    (Written::Done(sequence), sequence, record.len)
                }
                Decision::Remove(record) => {
                    let mut writer = self.writer.lock();
                    self.make_room(&mut writer, record.len, Purpose::Delete)?;
                    let (_, sequence) = writer.append(&record, key, &[]);
                    writer.count_tombstone(record.len);
                    self.replace(writer, old);
                    entry.remove();
                    (Written::Done(sequence), sequence, record.len)
                }
            }
        };
        drop(guard);
        self.acknowledge(sequence, len, sync).map(|()| written)
    }

    /// Counts the record that has just got a newer one, and lets others write.
    #[inline]
    fn replace(&self, mut writer: MutexGuard<Writer>, old: Option<OldRecord>) {
        if let Some(old) = &old {
            old.count_dead();
        }
        self.look_ahead(&mut writer);
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
        self.opened
            && self.reserved.is_none()
            && self.active.as_ref().is_some_and(|active| active.has_room(len))
    }

    /// Appends a record for which room was made; answers where it is, and its sequence.
    #[inline]
    pub(super) fn append(
        &mut self,
        record: &Prepared,
        key: &[u8],
        value: &[u8],
    ) -> (Location, u64) {
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
