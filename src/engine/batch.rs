//! Batches: many writes that all happen or none, also after a crash, and that no reader sees half.
//!
//! On disk a batch is one run of records in one segment, and counts only with the mark that its
//! last record carries. In memory, the pieces of the index that it changes are locked all together.
//! A reader that comes upon a record of a batch that is still being applied waits for one of those
//! locks; deleted keys point to their tombstones until then, so that they are noticed too.

use std::collections::TryReserveError;
use std::ops::Range;

use parking_lot::MutexGuard;

use super::conditional::{Lifetime, WriteSync};
use super::snapshot;
use super::space::Purpose;
use super::write::{check_key, check_value, Writer};
use super::{Engine, Lookup, OldRecord};
use crate::epoch::{self, Guard};
use crate::error::{Error, Kind, Result};
use crate::format::encode::{Extra, Prepared};
use crate::format::record::{Class, MarkBuilder, RecordKind};
use crate::index::{number_of, Held, Location, PIECES};
use crate::memory;
use crate::wrong_turn::is_taken;

/// The most bytes of records that one batch may have.
const MAX_BATCH_LEN: usize = 16 << 30;
/// No number of a write, and more than a batch has.
const NONE: u32 = u32::MAX;
/// With an index of so many bytes, most records that it points to are in the cache as well.
const CACHED: usize = 4 << 20;
/// Changes whose places are fetched at once.
const FETCHED_AT_ONCE: usize = 32;

/// Writes that are to happen together. It belongs to no database, and can be written many times.
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    /// Keys and values, one behind the other.
    bytes: Vec<u8>,
    operations: Vec<Operation>,
}

#[derive(Clone, Debug)]
struct Operation {
    kind: RecordKind,
    /// Where its key begins; its value follows.
    at: usize,
    key_len: usize,
    value_len: usize,
    lifetime: Lifetime,
}

impl WriteBatch {
    /// A batch without writes.
    pub fn new() -> WriteBatch {
        WriteBatch::default()
    }

    /// Adds a put; the value expires `ttl_ms` milliseconds after the batch is written, or never if
    /// that is 0.
    pub fn put(&mut self, key: &[u8], value: &[u8], ttl_ms: u64) -> Result<()> {
        check_value(value)?;
        self.add(RecordKind::Put, key, value, Lifetime::of_ttl(ttl_ms)?)
    }

    /// Adds a put whose value expires at a time, in milliseconds since 1970: what was told by
    /// [`Engine::expires_at`] comes back as it was. A time that has passed hides the key.
    pub fn put_until(&mut self, key: &[u8], value: &[u8], expires_at_ms: u64) -> Result<()> {
        check_value(value)?;
        self.add(RecordKind::Put, key, value, Lifetime::until(expires_at_ms)?)
    }

    /// Adds a delete. That the key is not there is no failure.
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.add(RecordKind::Tombstone, key, &[], Lifetime::Forever)
    }

    fn add(
        &mut self,
        kind: RecordKind,
        key: &[u8],
        value: &[u8],
        lifetime: Lifetime,
    ) -> Result<()> {
        check_key(key)?;
        self.operations.try_reserve(1).map_err(no_memory)?;
        self.bytes.try_reserve(key.len() + value.len()).map_err(no_memory)?;
        let at = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        let (key_len, value_len) = (key.len(), value.len());
        self.operations.push(Operation { kind, at, key_len, value_len, lifetime });
        Ok(())
    }

    /// Forgets all writes. The memory is kept for the next.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.operations.clear();
    }

    /// How many writes it has.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Bytes of memory that it keeps.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.operations.capacity() * size_of::<Operation>()
    }

    fn key(&self, operation: &Operation) -> &[u8] {
        &self.bytes[operation.at..operation.at + operation.key_len]
    }

    fn value(&self, operation: &Operation) -> &[u8] {
        let at = operation.at + operation.key_len;
        &self.bytes[at..at + operation.value_len]
    }
}

/// One write of a batch on its way.
struct Change<'a> {
    hash: u64,
    /// Its number in the batch.
    number: u32,
    key: &'a [u8],
    value: &'a [u8],
    kind: RecordKind,
    expiry: Option<u64>,
    old: Option<OldRecord<'a>>,
    record: Option<Prepared>,
    to: Location,
}

/// A piece of the index, locked, and the changes to it.
struct Part<'a> {
    held: Held<'a>,
    changes: Range<usize>,
}

impl Engine {
    /// Does all of a batch, or nothing. The last of several writes to one key counts.
    pub fn write(&self, batch: &WriteBatch, sync: WriteSync) -> Result<()> {
        self.latch.check()?;
        if batch.is_empty() {
            return Ok(());
        }
        let mut changes = self.changes_of(batch)?;
        let guard = epoch::pin()?;
        for some in changes.chunks(FETCHED_AT_ONCE) {
            some.iter().for_each(|change| self.index.prefetch(&guard, change.hash));
            if self.index.memory() > CACHED {
                some.iter().try_for_each(|change| self.fetch_record(&guard, change.hash))?;
            }
        }
        let mut parts = self.hold_pieces(&guard, &mut changes)?;
        if changes.is_empty() {
            drop((parts, changes));
            drop(guard);
            // The keys may be gone by deletes that are not on the medium yet.
            let next_sequence = self.writer.lock().next_sequence;
            return self.acknowledge(next_sequence - 1, 0, sync);
        }
        let order = in_order(&changes, batch.len())?;
        let len = prepare(&mut changes, &order)?;
        self.reserve(&guard, &mut parts, &changes)?;
        let (first_sequence, until_applied) = self.append_all(&guard, &mut changes, &order, len)?;
        self.apply(&mut parts, &changes, first_sequence);
        drop(until_applied);
        let next_sequence = first_sequence + changes.len() as u64;
        drop((parts, changes));
        drop(guard);
        self.acknowledge(next_sequence - 1, len, sync)
    }

    /// The writes that count, in the order of their hashes, which is the order of pieces.
    fn changes_of<'a>(&self, batch: &'a WriteBatch) -> Result<Vec<Change<'a>>> {
        if batch.len() >= NONE as usize {
            let what = format!("the batch has {} writes; the limit is {NONE}", batch.len());
            return Err(Error::new(Kind::BatchTooLarge, what));
        }
        let mut by_hash: Vec<(u64, u32)> = Vec::new();
        by_hash.try_reserve_exact(batch.len()).map_err(no_memory)?;
        let hash = |operation| self.hasher.hash(batch.key(operation));
        let numbered = batch.operations.iter().zip(0..);
        // Of one key, the last one first.
        by_hash.extend(numbered.map(|(operation, number)| (hash(operation), NONE - number)));
        by_hash.sort_unstable();
        let has_ttl = |operation: &Operation| matches!(operation.lifetime, Lifetime::For(_));
        let now = if batch.operations.iter().any(has_ttl) { self.clock.now_ms() } else { 0 };
        let mut changes: Vec<Change> = Vec::new();
        changes.try_reserve_exact(batch.len()).map_err(no_memory)?;
        for (hash, from_end) in by_hash {
            let number = NONE - from_end;
            let operation = &batch.operations[number as usize];
            let key = batch.key(operation);
            let mut same_hash = changes.iter().rev().take_while(|later| later.hash == hash);
            if same_hash.any(|later| later.key == key) {
                continue;
            }
            changes.push(Change {
                hash,
                number,
                key,
                value: batch.value(operation),
                kind: operation.kind,
                expiry: operation.lifetime.end(now),
                old: None,
                record: None,
                to: Location(0),
            });
        }
        Ok(changes)
    }

    /// Locks all pieces of the index that change, the lowest first, finds the old records, and
    /// leaves out what changes nothing: a delete of a key that is not there.
    fn hold_pieces<'a>(
        &'a self,
        guard: &'a Guard,
        changes: &mut Vec<Change<'a>>,
    ) -> Result<Vec<Part<'a>>> {
        let mut parts: Vec<Part> = Vec::new();
        parts.try_reserve_exact(changes.len().min(PIECES))?;
        let mut lookup = Lookup::new(guard, &self.table, &self.hasher);
        for change in &mut *changes {
            let number = number_of(change.hash);
            if parts.last().is_none_or(|last| last.held.number() != number) {
                parts.push(Part { held: self.index.hold(guard, number)?, changes: 0..0 });
            }
            if let Some(part) = parts.last() {
                part.held.find(change.hash, |location| lookup.is_of(change.key, location))?;
                change.old = lookup.found.take();
            }
        }
        changes.retain(|change| change.kind == RecordKind::Put || change.old.is_some());
        let mut start = 0;
        for part in &mut parts {
            let number = part.held.number();
            let is_mine = |change: &&Change| number_of(change.hash) == number;
            let end = start + changes[start..].iter().take_while(is_mine).count();
            part.changes = start..end;
            start = end;
        }
        Ok(parts)
    }

    /// Makes sure that the index has room for all new keys.
    fn reserve(&self, guard: &Guard, parts: &mut [Part], changes: &[Change]) -> Result<()> {
        let mut lookup = Lookup::new(guard, &self.table, &self.hasher);
        let mut hashes = Vec::new();
        for part in parts {
            let new = changes[part.changes.clone()].iter().filter(|c| c.old.is_none());
            hashes.clear();
            memory::extend(&mut hashes, new.map(|change| change.hash))?;
            part.held.reserve(&hashes, &mut |location| lookup.hash_at(location))?;
        }
        Ok(())
    }

    /// Appends all records, in the order of the batch. Answers the sequence of the first, and what
    /// keeps others from writing, if they must wait until the index is changed.
    fn append_all(
        &self,
        guard: &Guard,
        changes: &mut [Change<'_>],
        order: &[u32],
        len: usize,
    ) -> Result<(u64, Option<MutexGuard<'_, Writer>>)> {
        // One that only deletes wins room, where there is no other.
        let only_deletes = changes.iter().all(|change| change.kind == RecordKind::Tombstone);
        let purpose = if only_deletes { Purpose::Delete } else { Purpose::Put };
        let mut writer = self.writer.lock();
        self.make_room(&mut writer, len, purpose)?;
        let first_sequence = writer.next_sequence;
        for change in &*changes {
            let (hash, old) = (change.hash, change.old.as_ref());
            self.keep_for_snapshots(guard, &writer, hash, old, first_sequence)?;
        }
        let active = writer.end()?;
        let start = active.len();
        let (mut offset, mut sequence) = (start, first_sequence);
        let mut tombstones = 0;
        for &at in order {
            let change = &mut changes[at as usize];
            let Some(record) = &change.record else { continue };
            active.stage(offset, record, change.key, change.value, sequence);
            change.to = active.segment().location(offset);
            let segment = active.segment();
            match change.expiry {
                Some(expiry) => {
                    segment.add_expiring(record.len, expiry);
                    self.note_expiry(expiry);
                }
                None if change.kind == RecordKind::Tombstone => {
                    segment.add_dead(record.len, Class::Tombstone);
                    tombstones += 1;
                }
                None => {}
            }
            if let Some(old) = &change.old {
                old.count_dead();
            }
            offset += record.len as u64;
            sequence += 1;
        }
        debug_assert_eq!(offset - start, len as u64);
        active.publish(offset, sequence - first_sequence);
        writer.next_sequence = sequence;
        writer.tombstones += tombstones;
        // Before any entry of the index is set.
        self.batches.begin(first_sequence);
        self.look_ahead(&mut writer);
        Ok((first_sequence, snapshot::let_go(writer)))
    }

    /// Points the index to the records.
    fn apply(&self, parts: &mut [Part], changes: &[Change], first_sequence: u64) {
        for Part { held, changes: of_part } in &mut *parts {
            for change in &changes[of_part.clone()] {
                held.set(change.hash, change.old.as_ref().map(|old| old.location), change.to);
            }
        }
        self.batches.end(first_sequence);
        // Readers know now that what they meet is the whole.
        for Part { held, changes: of_part } in parts {
            let gone = |change: &&Change| change.kind == RecordKind::Tombstone;
            for change in changes[of_part.clone()].iter().filter(gone) {
                held.remove(change.hash, change.to);
            }
        }
    }
}

/// The positions of changes in the order of a batch of `len` writes.
fn in_order(changes: &[Change<'_>], len: usize) -> Result<Vec<u32>> {
    let mut order = Vec::new();
    order.try_reserve_exact(len).map_err(no_memory)?;
    order.resize(len, NONE);
    for (change, at) in changes.iter().zip(0..) {
        order[change.number as usize] = at;
    }
    order.retain(|&at| at != NONE);
    Ok(order)
}

/// Prepares the records; answers how long they are together.
fn prepare(changes: &mut [Change<'_>], order: &[u32]) -> Result<usize> {
    let is_in_batch = order.len() > 1;
    let mut builder = MarkBuilder::default();
    let mut len = 0_usize;
    for (position, &at) in order.iter().enumerate() {
        let change = &mut changes[at as usize];
        let is_last = is_in_batch && position + 1 == order.len();
        let is_marked = is_last && !is_taken!(BatchWithoutMark);
        let mark = is_marked.then(|| builder.mark());
        let extra = Extra { expiry: change.expiry, is_in_batch, mark };
        let record = Prepared::with(change.kind, change.key, change.value, &extra);
        builder.add(record.crc);
        len += record.len;
        change.record = Some(record);
    }
    if len > MAX_BATCH_LEN {
        let what = format!("the batch has {len} bytes; the limit is {MAX_BATCH_LEN}");
        return Err(Error::new(Kind::BatchTooLarge, what));
    }
    Ok(len)
}

#[cold]
fn no_memory(_: TryReserveError) -> Error {
    Error::new(Kind::OutOfMemory, "there is no memory for the batch")
}
