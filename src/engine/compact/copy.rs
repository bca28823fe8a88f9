//! What of a segment must stay, and copying it.
//!
//! The hint of a segment says which of its records may have to stay: these alone are read. Without
//! a hint the segment is walked through. Either way records are taken in batches, and the places of
//! some in the index are fetched ahead, so that the misses of many look-ups overlap; and what is
//! copied is verified.

use std::sync::Arc;

use super::output::{Origin, Output};
use super::run::Run;
use super::AT_ONCE;
use crate::engine::recover::read_hint;
use crate::engine::Engine;
use crate::epoch::{self, Guard};
use crate::error::{Error, Kind, Result};
use crate::format::hint::{Digest, Entries, Entry};
use crate::format::name;
use crate::format::record::{Class, Record, RecordKind};
use crate::index::Location;
use crate::manifest::LiveSegment;
use crate::memory;
use crate::segment::pick::Picker;
use crate::segment::scan::{Found, Item, Scan};
use crate::segment::Segment;
use crate::storage::File;
use crate::wrong_turn::is_taken;

/// Bytes of records in a batch, which is also a step: after it compaction may rest or end.
const BATCH: usize = 128 << 10;

/// Records that were verified and are to be judged.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    records: Vec<Pending>,
}

/// What becomes of a record.
enum Verdict {
    /// It is needed.
    Stays,
    /// It is its key's newest, and has expired.
    Expired,
    /// Nobody needs it.
    Goes,
}

struct Pending {
    origin: Origin,
    /// Where it begins in the batch.
    at: usize,
}

impl Batch {
    fn add(&mut self, origin: Origin, record: &Record) -> Result<()> {
        let no_memory = |_| Error::new(Kind::OutOfMemory, "there is no memory for compaction");
        let bytes = record.bytes();
        let at = self.bytes.len();
        self.bytes.try_reserve(bytes.len()).map_err(no_memory)?;
        self.records.try_reserve(1).map_err(no_memory)?;
        self.bytes.extend_from_slice(bytes);
        self.records.push(Pending { origin, at });
        Ok(())
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
    }
}

impl Engine {
    /// Copies what must stay of `victim`.
    pub(super) fn copy_live(
        &self,
        victim: &Arc<Segment>,
        output: &mut Output,
        run: &mut Run,
    ) -> Result<()> {
        let opened = self.storage.open(&name::segment(victim.header.id), false);
        let file = opened.map_err(|error| match error.kind() {
            Kind::DoesNotExist => victim.damaged(0, "the file is missing"),
            _ => error,
        })?;
        match self.digest_of(victim) {
            Some(digest) => self.copy_picked(victim, file, &digest, output, run),
            None => self.copy_scanned(victim, file, output, run),
        }
    }

    /// What the hint of `victim` says, if it has one, and there is memory for it.
    fn digest_of(&self, victim: &Segment) -> Option<Digest> {
        let LiveSegment { header, sealed } = self.sealed_segment(victim.header.id)?;
        read_hint(&*self.storage, &self.uuid, &header, &sealed?).ok()?
    }

    /// Copies what must stay of `victim`, whose records are those of `digest`.
    fn copy_picked(
        &self,
        victim: &Arc<Segment>,
        file: Arc<dyn File>,
        digest: &Digest,
        output: &mut Output,
        run: &mut Run,
    ) -> Result<()> {
        let mut picker = Picker::new(file, victim.header);
        let mut entries = digest.entries();
        let mut wanted = Vec::new();
        loop {
            wanted.clear();
            let passed = self.pick(victim, &mut entries, output, &mut wanted)?;
            if passed == 0 {
                return Ok(());
            }
            let mut written = 0;
            for at in 0..wanted.len() {
                let Entry { hash, offset, sequence, .. } = wanted[at];
                let Some(record) = picker.record(&wanted[at..])? else {
                    return Err(victim.damaged(offset, "a record is not the one that was written"));
                };
                let crc = record.crc(victim.header.salt, offset);
                let from = victim.location(offset);
                written += self.copy(&Origin { hash, from, sequence, crc }, &record, output)?;
            }
            run.step(passed, picker.take_read(), written)?;
        }
    }

    /// Goes through the next of `entries`, for a step; adds those to `wanted` whose records may
    /// have to stay. Answers the bytes of all.
    fn pick(
        &self,
        victim: &Segment,
        entries: &mut Entries,
        output: &Output,
        wanted: &mut Vec<Entry>,
    ) -> Result<u64> {
        let mut group = [Entry::default(); AT_ONCE];
        let mut passed = 0;
        while passed < BATCH as u64 {
            let places = group.iter_mut().zip(entries.by_ref());
            let count = places.map(|(place, entry)| *place = entry).count();
            let guard = epoch::pin()?;
            group[..count].iter().for_each(|entry| self.index.prefetch(&guard, entry.hash));
            for entry in &group[..count] {
                passed += entry.len;
                let may_stay = match entry.class {
                    Class::Put | Class::ExpiringPut => {
                        self.points_to(&guard, entry.hash, victim.location(entry.offset))?
                    }
                    Class::Tombstone => entry.sequence >= output.droppable_below,
                    Class::Gap => false,
                };
                if may_stay {
                    memory::push(wanted, *entry)?;
                }
            }
            if count < AT_ONCE {
                break;
            }
        }
        Ok(passed)
    }

    /// Whether the index points to the record at `from`, whose key has this hash.
    fn points_to(&self, guard: &Guard, hash: u64, from: Location) -> Result<bool> {
        let is_it = |location| Ok((location == from).then_some(()));
        Ok(self.index.find(guard, hash, is_it)?.is_some())
    }

    /// Copies what must stay of `victim`, all of which is read.
    fn copy_scanned(
        &self,
        victim: &Arc<Segment>,
        file: Arc<dyn File>,
        output: &mut Output,
        run: &mut Run,
    ) -> Result<()> {
        let mut scan = Scan::new(file, victim.header, victim.len());
        let mut batch = Batch::default();
        let what = loop {
            let item = scan.next_item()?;
            if let Item::Record(found) = &item {
                let Found { record, offset, sequence } = found;
                let (hash, from) = (self.hasher.hash(record.key()), victim.location(*offset));
                let crc = record.crc(victim.header.salt, *offset);
                batch.add(Origin { hash, from, sequence: *sequence, crc }, record)?;
                if batch.bytes.len() < BATCH {
                    continue;
                }
            }
            let is_record = matches!(item, Item::Record(_));
            let what = match item {
                Item::Record(_) | Item::Seal(_) => None,
                Item::End => Some("the records end before the seal"),
                Item::Damage(what) => Some(what),
            };
            self.copy_batch(&batch, output, run)?;
            batch.clear();
            match what {
                Some(what) => break what,
                None if is_record => {}
                None => return Ok(()),
            }
        };
        Err(victim.damaged(scan.offset(), what))
    }

    fn copy_batch(&self, batch: &Batch, output: &mut Output, run: &mut Run) -> Result<()> {
        let mut written = 0;
        for group in batch.records.chunks(AT_ONCE) {
            let guard = epoch::pin()?;
            group.iter().for_each(|pending| self.index.prefetch(&guard, pending.origin.hash));
            drop(guard);
            for pending in group {
                let record = Record::decode(&batch.bytes[pending.at..]);
                let Some(record) = record else { continue };
                written += self.copy(&pending.origin, &record, output)?;
            }
        }
        let read = batch.bytes.len() as u64;
        run.step(read, read, written)
    }

    /// Copies a record if it must stay. Answers the bytes that are written for it.
    fn copy(&self, origin: &Origin, record: &Record, output: &mut Output) -> Result<u64> {
        let written = match self.judge(origin, record, output)? {
            Verdict::Stays => output.copy(origin, record)?,
            Verdict::Expired => output.leave_out(origin, record)?,
            Verdict::Goes => 0,
        };
        Ok(written as u64)
    }

    fn judge(&self, origin: &Origin, record: &Record, output: &Output) -> Result<Verdict> {
        let stays = match record.header.kind {
            RecordKind::Put => self.points_to(&epoch::pin()?, origin.hash, origin.from)?,
            RecordKind::Tombstone => {
                let needed = origin.sequence >= output.droppable_below;
                needed
                    && !is_taken!(TombstoneDroppedEarly)
                    && self.find(record.key(), |_| Ok(()))?.is_none()
            }
            RecordKind::Gap | RecordKind::Seal => false,
        };
        let has_expired = || record.expiry().is_some_and(|expiry| expiry <= output.cutoff);
        Ok(match stays {
            true if has_expired() => Verdict::Expired,
            true => Verdict::Stays,
            false => Verdict::Goes,
        })
    }
}
