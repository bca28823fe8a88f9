//! What of a segment must stay, and copying it.
//!
//! Records are taken in batches: each is verified and its place in the index fetched ahead, then
//! each is judged and copied. So the misses of many look-ups overlap.

use std::sync::Arc;

use super::output::Output;
use super::run::Run;
use crate::engine::Engine;
use crate::epoch;
use crate::error::Result;
use crate::format::name;
use crate::format::record::{Record, RecordKind};
use crate::index::Location;
use crate::segment::scan::{Found, Item, Scan};
use crate::segment::Segment;

/// Bytes of records in a batch, which is also a step: after it compaction may rest or end.
const BATCH: usize = 128 << 10;

/// Records that were verified and are to be judged.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    records: Vec<Pending>,
}

struct Pending {
    hash: u64,
    from: Location,
    sequence: u64,
    /// Where it begins in the batch.
    at: usize,
}

impl Batch {
    fn add(&mut self, hash: u64, from: Location, found: &Found) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(found.record.bytes());
        self.records.push(Pending { hash, from, sequence: found.sequence, at });
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
        let file = self.storage.open(&name::segment(victim.header.id), false)?;
        let mut scan = Scan::new(file, victim.header, victim.len());
        let mut batch = Batch::default();
        let what = loop {
            let item = scan.next_item()?;
            if let Item::Record(found) = &item {
                let hash = self.hasher.hash(found.record.key());
                self.index.prefetch(&epoch::pin()?, hash);
                batch.add(hash, victim.location(found.offset), found);
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
        for pending in &batch.records {
            let record = Record::decode(&batch.bytes[pending.at..]);
            let Some(record) = record else { continue };
            if self.must_stay(pending, &record, output.droppable_below)? {
                written += output.copy(pending.hash, pending.from, pending.sequence, &record)?;
            }
        }
        run.step(batch.bytes.len() as u64, written as u64)
    }

    fn must_stay(&self, pending: &Pending, record: &Record, droppable_below: u64) -> Result<bool> {
        match record.header.kind {
            RecordKind::Put => {}
            RecordKind::Tombstone => {
                let needed = pending.sequence >= droppable_below;
                return Ok(needed && self.find(record.key(), |_| Ok(()))?.is_none());
            }
            RecordKind::Gap | RecordKind::Seal => return Ok(false),
        }
        let from = pending.from;
        let is_it = |location| Ok((location == from).then_some(()));
        Ok(self.index.find(&epoch::pin()?, pending.hash, is_it)?.is_some())
    }
}
