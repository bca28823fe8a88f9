//! What of a segment must stay, and copying it.
//!
//! Records are taken in batches: each is verified; then the places of some in the index are fetched
//! ahead, and these are judged and copied. So the misses of many look-ups overlap.

use std::sync::Arc;

use super::output::Output;
use super::run::Run;
use super::AT_ONCE;
use crate::engine::Engine;
use crate::epoch;
use crate::error::{Error, Kind, Result};
use crate::format::name;
use crate::format::record::{Record, RecordKind};
use crate::index::Location;
use crate::segment::scan::{Found, Item, Scan};
use crate::segment::Segment;
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
    hash: u64,
    from: Location,
    sequence: u64,
    /// Where it begins in the batch.
    at: usize,
}

impl Batch {
    fn add(&mut self, hash: u64, from: Location, found: &Found) -> Result<()> {
        let no_memory = |_| Error::new(Kind::OutOfMemory, "there is no memory for compaction");
        let bytes = found.record.bytes();
        let at = self.bytes.len();
        self.bytes.try_reserve(bytes.len()).map_err(no_memory)?;
        self.records.try_reserve(1).map_err(no_memory)?;
        self.bytes.extend_from_slice(bytes);
        self.records.push(Pending { hash, from, sequence: found.sequence, at });
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
        let mut scan = Scan::new(file, victim.header, victim.len());
        let mut batch = Batch::default();
        let what = loop {
            let item = scan.next_item()?;
            if let Item::Record(found) = &item {
                let hash = self.hasher.hash(found.record.key());
                batch.add(hash, victim.location(found.offset), found)?;
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
            group.iter().for_each(|pending| self.index.prefetch(&guard, pending.hash));
            drop(guard);
            for pending in group {
                let record = Record::decode(&batch.bytes[pending.at..]);
                let Some(record) = record else { continue };
                let Pending { hash, from, sequence, .. } = *pending;
                written += match self.judge(pending, &record, output)? {
                    Verdict::Stays => output.copy(hash, from, sequence, &record)?,
                    Verdict::Expired => output.leave_out(hash, from, sequence, &record)?,
                    Verdict::Goes => 0,
                };
            }
        }
        run.step(batch.bytes.len() as u64, written as u64)
    }

    fn judge(&self, pending: &Pending, record: &Record, output: &Output) -> Result<Verdict> {
        let stays = match record.header.kind {
            RecordKind::Put => {
                let from = pending.from;
                let is_it = |location| Ok((location == from).then_some(()));
                self.index.find(&epoch::pin()?, pending.hash, is_it)?.is_some()
            }
            RecordKind::Tombstone => {
                let needed = pending.sequence >= output.droppable_below;
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
