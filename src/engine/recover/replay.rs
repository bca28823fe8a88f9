//! Records go into the index: of each key the newest counts, wherever the records come from.

use std::sync::Arc;

use super::super::Lookup;
use super::checkpoint::Basis;
use super::Recovery;
use crate::epoch::{self, Guard};
use crate::error::{Kind, Result};
use crate::format::hint::{Digest, Entry};
use crate::format::record::Class;
use crate::index::hash::KeyHasher;
use crate::index::{Index, Location, PIECES};
use crate::memory;
use crate::options::OnDamage;
use crate::segment::table::SegmentTable;
use crate::segment::Segment;
use crate::storage::process;
use crate::wrong_turn::is_taken;

/// Entries whose buckets are fetched at once.
const BATCH: usize = 32;
/// Fewer records than this are not worth a thread.
const RECORDS_FOR_THREADS: u64 = 200_000;
/// More threads than this wait for memory.
const MAX_THREADS: usize = 4;
/// One of so many keys is counted, to know how many there are.
const SAMPLED: u64 = 256;

/// A segment and its records.
pub(super) type Part = (Arc<Segment>, Digest);

/// How many threads to use for so many records.
pub(super) fn threads_for(records: u64) -> usize {
    // Only then: to ask takes as long as to read a small segment.
    if records < RECORDS_FOR_THREADS {
        return 1;
    }
    std::thread::available_parallelism().map_or(1, |count| count.get().min(MAX_THREADS))
}

/// The part of all hashes that one thread looks after: pieces of the index that follow one another.
#[derive(Clone, Copy)]
pub(super) struct Share {
    pub(super) number: usize,
    pub(super) of: usize,
}

impl Share {
    #[inline]
    fn has(&self, hash: u64) -> bool {
        ((u128::from(hash) * self.of as u128) >> 64) as usize == self.number
    }

    /// The pieces whose lowest hashes it has.
    pub(super) fn pieces(&self) -> std::ops::Range<usize> {
        let first = |number: usize| (number * PIECES).div_ceil(self.of);
        first(self.number)..first(self.number + 1)
    }
}

/// What one thread has done.
#[derive(Default)]
struct Done {
    tombstones: Vec<(u64, Location)>,
    /// Failures, by the number of the part.
    failed: Vec<(usize, crate::error::Error)>,
}

impl Recovery {
    /// Takes records into the index, those of each key that are its newest so far. Parts that meet
    /// damage end there, if the options say so.
    pub(super) fn replay(&mut self, parts: &[Part]) -> Result<()> {
        let records = parts.iter().map(|(_, digest)| digest.records()).sum();
        let threads = threads_for(records);
        let keys = if threads > 1 { self.count_keys(parts)? } else { 0 };
        let tolerant = self.options.on_damage == OnDamage::ReadOnly;
        let (index, table, hasher) = (&self.index, &self.table, &self.hasher);
        let basis = self.basis.as_ref();
        let done = process::in_parallel(threads, |number| {
            let share = Share { number, of: threads };
            Replay::new(index, table, hasher, basis).run(parts, share, keys, tolerant)
        });
        let mut failed = Vec::new();
        for done in done {
            let mut done = done?;
            failed.try_reserve(done.failed.len())?;
            self.tombstones.try_reserve(done.tombstones.len())?;
            self.tombstones.append(&mut done.tombstones);
            failed.append(&mut done.failed);
        }
        failed.sort_unstable_by_key(|(number, _)| *number);
        failed.into_iter().try_for_each(|(_, error)| self.tolerate(Err(error)))
    }

    /// About how many keys the index will have with these parts.
    fn count_keys(&mut self, parts: &[Part]) -> Result<usize> {
        let hashes = parts.iter().flat_map(|(_, digest)| digest.entries().map(|entry| entry.hash));
        memory::extend(&mut self.sample, hashes.filter(|hash| hash.is_multiple_of(SAMPLED)))?;
        self.sample.sort_unstable();
        self.sample.dedup();
        Ok(self.sample.len() * SAMPLED as usize)
    }

    /// Takes the tombstones out of the index: all older records of their keys have been met.
    pub(super) fn forget_tombstones(&mut self) -> Result<()> {
        let tombstones = std::mem::take(&mut self.tombstones);
        let threads = threads_for(tombstones.len() as u64);
        let done = process::in_parallel(threads, |number| {
            let share = Share { number, of: threads };
            let mine = tombstones.iter().filter(|(hash, _)| share.has(*hash));
            for &(hash, tombstone) in mine {
                let guard = epoch::pin()?;
                self.index.entry(&guard, hash, |location| Ok(location == tombstone))?.remove();
            }
            Ok(())
        });
        done.into_iter().collect()
    }
}

/// Takes records into the index. Several may do so at once, with shares of their own.
pub(super) struct Replay<'a> {
    index: &'a Index,
    table: &'a SegmentTable,
    hasher: &'a KeyHasher,
    /// What the index and the counts of dead bytes reflect already.
    basis: Option<&'a Basis>,
    /// Whether dead records are counted at all.
    counts_dead: bool,
    new_bytes: Vec<u8>,
    old_bytes: Vec<u8>,
    tombstones: Vec<(u64, Location)>,
}

/// A record in the index that has the key of the one that comes.
struct Old<'a> {
    holder: &'a Segment,
    sequence: u64,
    len: usize,
    class: Class,
}

impl<'a> Replay<'a> {
    pub(super) fn new(
        index: &'a Index,
        table: &'a SegmentTable,
        hasher: &'a KeyHasher,
        basis: Option<&'a Basis>,
    ) -> Replay<'a> {
        let (new_bytes, old_bytes, tombstones) = (Vec::new(), Vec::new(), Vec::new());
        let counts_dead = true;
        Replay { index, table, hasher, basis, counts_dead, new_bytes, old_bytes, tombstones }
    }

    /// The same, for an index beside the one whose dead records are counted.
    pub(super) fn without_counting(self) -> Replay<'a> {
        Replay { counts_dead: false, ..self }
    }

    /// Tombstones that are to be taken out of the index when all is in.
    pub(super) fn into_tombstones(self) -> Vec<(u64, Location)> {
        self.tombstones
    }

    fn run(mut self, parts: &[Part], share: Share, keys: usize, tolerant: bool) -> Result<Done> {
        let mut failed = Vec::new();
        failed.extend(self.presize(share, keys).err().map(|error| (0, error)));
        for (number, part) in parts.iter().enumerate() {
            if failed.iter().any(|(_, e)| !tolerant || e.kind() != Kind::Corrupt) {
                break;
            }
            let result = self.take_all(part, share);
            memory::extend(&mut failed, result.err().map(|error| (number, error)))?;
        }
        Ok(Done { tombstones: self.tombstones, failed })
    }

    fn presize(&self, share: Share, keys: usize) -> Result<()> {
        let guard = epoch::pin()?;
        let mut lookup = Lookup::new(&guard, self.table, self.hasher);
        self.index.presize(&guard, share.pieces(), keys, &mut |at| lookup.hash_at(at))
    }

    /// Takes the records of one segment in, as far as they are of this share and not in the index
    /// already.
    pub(super) fn take_all(&mut self, (segment, digest): &Part, share: Share) -> Result<()> {
        let basis = self.basis.filter(|basis| basis.knows(segment.header.id));
        let is_news =
            |entry: &Entry| basis.is_none_or(|b| entry.sequence >= b.sequence_of(entry.hash));
        let mut entries = digest.entries().filter(|entry| share.has(entry.hash) && is_news(entry));
        let mut batch = [Entry::default(); BATCH];
        let mut replaced = 0;
        loop {
            // Anew each time: until then, nothing that growth replaces is freed.
            let guard = epoch::pin()?;
            let mut count = 0;
            for entry in entries.by_ref().take(BATCH) {
                self.index.prefetch(&guard, entry.hash);
                batch[count] = entry;
                count += 1;
            }
            let batch = &batch[..count];
            if replaced > BATCH / 4 {
                batch.iter().try_for_each(|entry| self.fetch_records(&guard, segment, entry))?;
            }
            replaced = 0;
            for entry in batch {
                replaced += usize::from(self.take(&guard, segment, entry)?);
            }
            if count < BATCH {
                return Ok(());
            }
        }
    }

    /// Begins to fetch the record of `new` and that of its key's entry, if there is one.
    fn fetch_records(&self, guard: &Guard, segment: &Segment, new: &Entry) -> Result<()> {
        let segments = self.table.pinned(guard);
        self.index.find(guard, new.hash, |location| {
            let holder = segments.of(location)?;
            holder.prefetch(guard, holder.offset(location));
            segment.prefetch(guard, new.offset);
            Ok(Some(()))
        })?;
        Ok(())
    }

    /// Takes one record in, unless a newer one of its key is there. Answers whether there was any.
    fn take(&mut self, guard: &Guard, segment: &Segment, new: &Entry) -> Result<bool> {
        let (index, location) = (self.index, segment.location(new.offset));
        let len = new.len as usize;
        if new.class == Class::Gap {
            self.count_dead(segment, len, new.class, new);
            return Ok(false);
        }
        let mut old = None;
        let mut entry = index.entry(guard, new.hash, |at| {
            old = self.of_same_key(guard, segment, new, at)?;
            Ok(old.is_some())
        })?;
        let mut lookup = Lookup::new(guard, self.table, self.hasher);
        entry.reserve(&mut |location| lookup.hash_at(location))?;
        if let Some(old) = &old {
            if old.sequence >= new.sequence && !is_taken!(NewestByPlace) {
                self.count_dead(segment, len, new.class, new);
                return Ok(true);
            }
            // A tombstone was counted when it was met.
            if old.class != Class::Tombstone {
                self.count_dead(old.holder, old.len, old.class, new);
            }
        }
        if new.class == Class::Tombstone {
            self.count_dead(segment, len, new.class, new);
            memory::push(&mut self.tombstones, (new.hash, location))?;
        }
        entry.set(location);
        Ok(old.is_some())
    }

    /// Counts a record of `segment` as dead because `new` was met, unless it is counted already.
    fn count_dead(&self, segment: &Segment, len: usize, class: Class, new: &Entry) {
        let is_counted = self.basis.is_some_and(|basis| {
            basis.knows(segment.header.id) && new.sequence < basis.sequence_end()
        });
        if self.counts_dead && !is_counted {
            segment.add_dead(len, class);
        }
    }

    /// The record at `location`, if it has the key of `new`. Both are read, and must verify: which
    /// one is newer must not be decided by damaged bytes.
    fn of_same_key<'g>(
        &mut self,
        guard: &'g Guard,
        segment: &Segment,
        new: &Entry,
        location: Location,
    ) -> Result<Option<Old<'g>>>
    where
        'a: 'g,
    {
        let holder = self.table.pinned(guard).of(location)?;
        let offset = holder.offset(location);
        let old = holder.record(guard, offset, &mut self.old_bytes)?;
        holder.verify(&old, offset)?;
        let record = segment.record(guard, new.offset, &mut self.new_bytes)?;
        segment.verify(&record, new.offset)?;
        Ok((old.key() == record.key()).then(|| Old {
            holder,
            sequence: holder.sequence(&old),
            len: old.header.record_len(),
            class: old.header.class(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::number_of;

    /// Threads that open a database together, and the one who builds a single piece.
    #[test]
    fn of_all_shares_one_has_a_hash_and_one_has_a_piece() {
        for of in [1, 2, 3, MAX_THREADS, PIECES] {
            let shares: Vec<Share> = (0..of).map(|number| Share { number, of }).collect();
            let pieces: Vec<usize> = shares.iter().flat_map(Share::pieces).collect();
            assert_eq!(pieces, (0..PIECES).collect::<Vec<_>>(), "{of} shares");
            let span = u64::MAX / PIECES as u64 + 1;
            for piece in 0..PIECES {
                let lowest = piece as u64 * span;
                for hash in [lowest, lowest + span / 2, lowest + (span - 1)] {
                    assert_eq!(number_of(hash), piece);
                    let has: Vec<&Share> = shares.iter().filter(|share| share.has(hash)).collect();
                    assert_eq!(has.len(), 1, "{hash:#x} of {of} shares");
                    assert!(hash > lowest || has[0].pieces().contains(&piece));
                }
            }
        }
    }
}
