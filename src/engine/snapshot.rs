//! Snapshots: the database as it was at one moment, read while it is written.
//!
//! A snapshot is a sequence: it sees the records below it. Where the index leads to a later one,
//! the record before that is among the [`super::versions`]: as long as a snapshot is open, each
//! write keeps what it replaces there before the index forgets it, unless no open snapshot sees it.
//!
//! At the moment of a snapshot the index has every record below its sequence and none other, so
//! that no reader can tell an order in which the snapshot was not taken. Appending comes before the
//! index, so there are three steps: from now on whoever appends holds the writer until the index is
//! changed; those who were about to change it are waited for; with the writer held, this is the
//! moment.

use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;

use super::read::{FoundRecord, Kept, Origin, View};
use super::write::{check_key, Writer};
use super::{Engine, OldRecord};
use crate::epoch::{self, Guard};
use crate::error::{Error, Kind, Result};
use crate::format::record::{Record, RecordKind};

/// What a snapshot is known by. Whoever opens one closes it, once, whatever copies of this there
/// are; else it is open for as long as the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// It sees the records below.
    pub(super) sequence: u64,
    /// The time at which it sees them.
    pub(super) now_ms: u64,
}

/// What snapshots ask of those who write.
#[derive(Default)]
pub struct Watch {
    /// The newest snapshot that is open: records below it are kept when they are replaced. 0: none.
    newest: u64,
    /// The end of the log when that was taken, or later: segment id and offset. What was written
    /// behind it, no snapshot sees.
    seen_to: (u64, u64),
    /// Snapshots that are being taken.
    being_taken: usize,
    /// The times of all that are open, the earliest first.
    times: Vec<u64>,
}

impl Watch {
    /// The earliest time that an open snapshot sees.
    pub(super) fn earliest(&self) -> Option<u64> {
        self.times.first().copied()
    }

    fn open(&mut self, now_ms: u64) -> Result<()> {
        let no_memory = |_| Error::new(Kind::OutOfMemory, "there is no memory for a snapshot");
        self.times.try_reserve(1).map_err(no_memory)?;
        let at = self.times.partition_point(|&time| time <= now_ms);
        self.times.insert(at, now_ms);
        Ok(())
    }

    fn close(&mut self, now_ms: u64) {
        if let Ok(at) = self.times.binary_search(&now_ms) {
            self.times.remove(at);
        }
    }
}

impl Snapshot {
    /// Whether it sees this record, if that is the newest below its sequence.
    pub(super) fn sees(&self, record: &Record) -> bool {
        let has_expired = || record.expiry().is_some_and(|expiry| expiry <= self.now_ms);
        record.header.kind == RecordKind::Put && !has_expired()
    }
}

impl Engine {
    /// Takes a snapshot. The thread is not pinned.
    pub fn open_snapshot(&self) -> Result<Snapshot> {
        self.writer.lock().watch.being_taken += 1;
        epoch::synchronize();
        let mut writer = self.writer.lock();
        writer.watch.being_taken -= 1;
        let (sequence, now_ms) = (writer.next_sequence, self.clock.now_ms());
        writer.watch.open(now_ms)?;
        self.versions.open(sequence).inspect_err(|_| writer.watch.close(now_ms))?;
        writer.watch.newest = sequence;
        writer.watch.seen_to = match &writer.active {
            Some(active) => (active.segment().header.id, active.len()),
            None => (self.next_id.load(Ordering::Relaxed), 0),
        };
        Ok(Snapshot { sequence, now_ms })
    }

    /// Takes the same snapshot once more. It is closed for itself.
    pub(super) fn reopen_snapshot(&self, snapshot: &Snapshot) -> Result<Snapshot> {
        let mut writer = self.writer.lock();
        writer.watch.open(snapshot.now_ms)?;
        let opened = self.versions.open(snapshot.sequence);
        opened.inspect_err(|_| writer.watch.close(snapshot.now_ms))?;
        Ok(snapshot.clone())
    }

    /// Closes a snapshot of this database.
    pub fn close_snapshot(&self, snapshot: Snapshot) {
        self.versions.close(snapshot.sequence, |newest_left| {
            let mut writer = self.writer.lock();
            writer.watch.newest = newest_left();
            writer.watch.close(snapshot.now_ms);
        });
    }

    /// How many snapshots are open, those of iterators included, and bytes of what is kept for
    /// them.
    pub fn snapshots(&self) -> (usize, usize) {
        (self.versions.snapshots(), self.versions.memory())
    }

    /// Hands the value that `key` had at the time of a snapshot to `read`, in place. `read` must
    /// not call the database.
    pub fn get_at<R>(
        &self,
        snapshot: &Snapshot,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        let mut read = Some(read);
        let answer = self.find_at(snapshot, key, |found| self.read_now(found, &mut read))?;
        self.read_later(answer, read)
    }

    /// The value that `key` had then, kept readable until the view is dropped.
    pub fn view_at(&self, snapshot: &Snapshot, key: &[u8]) -> Result<Option<View>> {
        let kept = self.find_at(snapshot, key, |found| found.keep())?;
        kept.map(|kept| kept.into_view(self)).transpose()
    }

    /// The length of the value that `key` had then.
    pub fn value_len_at(&self, snapshot: &Snapshot, key: &[u8]) -> Result<Option<usize>> {
        self.find_at(snapshot, key, |found| found.check(self).map(|()| found.value().len()))
    }

    /// Hands the record of `key` that a snapshot sees to `visit`, unverified, with the thread
    /// pinned.
    fn find_at<R>(
        &self,
        snapshot: &Snapshot,
        key: &[u8],
        mut visit: impl FnMut(&FoundRecord) -> Result<R>,
    ) -> Result<Option<R>> {
        check_key(key)?;
        let hash = self.hasher.hash(key);
        let guard = epoch::pin()?;
        let segments = self.table.pinned(&guard);
        let mut scratch = Vec::new();
        let newest = self.index.find(&guard, hash, |location| {
            let segment = segments.of(location)?;
            let offset = segment.offset(location);
            let record = segment.record(&guard, offset, &mut scratch)?;
            if !segment.is_of(key, &record, offset)? {
                return Ok(None);
            }
            // Batches below it were wholly in the index when it was taken.
            let is_newer = segment.sequence(&record) >= snapshot.sequence;
            if is_newer || !snapshot.sees(&record) {
                // Damaged bytes must not decide that.
                segment.verify(&record, offset)?;
                return Ok((!is_newer).then_some(None));
            }
            let origin = Origin::Table(segments, location);
            let found = FoundRecord { guard: &guard, origin, segment, record, offset };
            visit(&found).map(|result| Some(Some(result)))
        })?;
        match newest {
            Some(found) => Ok(found),
            // Only now: what is replaced is kept before the index forgets it.
            None => self.find_kept(snapshot, &guard, hash, key, visit),
        }
    }

    fn find_kept<R>(
        &self,
        snapshot: &Snapshot,
        guard: &Guard,
        hash: u64,
        key: &[u8],
        mut visit: impl FnMut(&FoundRecord) -> Result<R>,
    ) -> Result<Option<R>> {
        for kept in self.versions.find(hash, snapshot.sequence) {
            let (segment, offset, mut scratch) = (kept.hold.segment(), kept.offset, Vec::new());
            let record = kept.hold.record(offset, &mut scratch)?;
            if segment.is_of(key, &record, offset)? {
                if !snapshot.sees(&record) {
                    return segment.verify(&record, offset).map(|()| None);
                }
                let origin = Origin::Kept(&kept);
                let found = FoundRecord { guard, origin, segment, record, offset };
                return visit(&found).map(Some);
            }
        }
        Ok(None)
    }

    /// The write `until` is about to replace `old`: keeps it, if a snapshot sees it. The key's
    /// piece of the index is locked.
    #[inline]
    pub(super) fn keep_for_snapshots(
        &self,
        guard: &Guard,
        writer: &Writer,
        hash: u64,
        old: Option<&OldRecord>,
        until: u64,
    ) -> Result<()> {
        let newest = writer.watch.newest;
        match old {
            Some(old) if old.sequence < newest => self.keep(guard, newest, hash, old, until),
            Some(old) if newest > 0 && !old.is_behind(writer.watch.seen_to) => {
                self.keep_if_damaged(guard, newest, hash, old, until)
            }
            _ => Ok(()),
        }
    }

    #[cold]
    fn keep(
        &self,
        guard: &Guard,
        newest: u64,
        hash: u64,
        old: &OldRecord,
        until: u64,
    ) -> Result<()> {
        let offset = old.segment.offset(old.location);
        let kept = Kept::new(guard, self.table.pinned(guard), old.location, offset)?;
        self.versions.keep(hash, old.sequence, until, newest, kept)
    }

    /// Keeps a record that says to be later than all snapshots, if it is damaged: then a snapshot
    /// may see it, and who reads it there is to hear of it.
    #[cold]
    fn keep_if_damaged(
        &self,
        guard: &Guard,
        newest: u64,
        hash: u64,
        old: &OldRecord,
        until: u64,
    ) -> Result<()> {
        match old.record(guard, &mut Vec::new()) {
            Err(error) if error.kind() == Kind::Corrupt => {
                self.keep(guard, newest, hash, &OldRecord { sequence: 0, ..*old }, until)
            }
            record => record.map(|_| ()),
        }
    }
}

/// Lets others write, or if a snapshot is being taken, answers what lets them: to be dropped when
/// the index has what was appended.
#[inline]
pub(super) fn let_go(writer: MutexGuard<'_, Writer>) -> Option<MutexGuard<'_, Writer>> {
    (writer.watch.being_taken > 0).then_some(writer)
}
