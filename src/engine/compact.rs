//! Compaction: live records move to new segments, garbage goes with the old ones.
//!
//! A tombstone goes too as soon as no older record of its key can exist: when each segment that
//! stays either begins after it, or holds nothing dead, or was itself compacted after it. Before a
//! segment is dropped the log is on the medium as far as it made records in it garbage; else a
//! power cut could take back the overwriting and keep the loss of what it overwrote.

use std::sync::Arc;

use super::Engine;
use crate::epoch;
use crate::error::Result;
use crate::format::manifest::Edit;
use crate::format::name;
use crate::format::record::{encode_moved, is_wide, record_len, RecordKind, MAX_RECORD_LEN};
use crate::format::segment::{SegmentKind, OVERHEAD};
use crate::index::Location;
use crate::segment::active::{self, ActiveSegment, FullSegment};
use crate::segment::scan::{Found, Item, Scan};
use crate::segment::Segment;

/// Passes over the segments. A second one takes the tombstones that the first had to keep because
/// of segments it came to later; the third is for what writers leave meanwhile.
const PASSES: usize = 3;

impl Engine {
    /// Rewrites segments until what was garbage when it was called is gone.
    pub fn compact(&self) -> Result<()> {
        let _one_at_a_time = self.compaction.lock();
        self.latch.check()?;
        self.leave_active_segment()?;
        for _ in 0..PASSES {
            let victims = self.victims();
            if victims.is_empty() {
                break;
            }
            self.note_opened(&mut self.writer.lock()).map_err(|error| self.latch.watch(error))?;
            for group in self.groups(&victims) {
                self.compact_group(group).map_err(|error| self.latch.watch(error))?;
            }
        }
        Ok(())
    }

    /// Ends the active segment if there is garbage in it, and seals all full ones.
    fn leave_active_segment(&self) -> Result<()> {
        let mut writer = self.writer.lock();
        let has_garbage = writer.active.as_ref().is_some_and(|a| a.segment().dead() > 0);
        if has_garbage {
            self.make_room(&mut writer, 0)?;
            self.roll(&mut writer, 0).map_err(|error| self.latch.watch(error))?;
        }
        drop(writer);
        self.seal()
    }

    /// Sealed segments with garbage, those with the oldest records first.
    fn victims(&self) -> Vec<Arc<Segment>> {
        let manifest = self.manifest.lock();
        let is_sealed = |segment: &Arc<Segment>| {
            let live = manifest.state().segments.get(&segment.header.id);
            live.is_some_and(|live| live.sealed.is_some())
        };
        let mut victims = self.table.all();
        victims.retain(|segment| segment.dead() > 0 && is_sealed(segment));
        victims.sort_by_key(|segment| segment.header.base_sequence);
        victims
    }

    /// Divides victims so that the live records of each group fill about one segment.
    fn groups<'a>(&self, victims: &'a [Arc<Segment>]) -> Vec<&'a [Arc<Segment>]> {
        let room = self.options.segment_size - OVERHEAD as u64;
        let live = |s: &Segment| s.len().saturating_sub(OVERHEAD as u64 + s.dead());
        let mut groups = Vec::new();
        let (mut start, mut sum) = (0, 0);
        for (at, victim) in victims.iter().enumerate() {
            if at > start && sum + live(victim) > room {
                groups.push(&victims[start..at]);
                (start, sum) = (at, 0);
            }
            sum += live(victim);
        }
        groups.extend((start < victims.len()).then(|| &victims[start..]));
        groups
    }

    fn compact_group(&self, victims: &[Arc<Segment>]) -> Result<()> {
        let mut output = Output::new(self, victims);
        let copied = victims.iter().try_for_each(|victim| self.copy_live(victim, &mut output));
        if let Err(error) = copied.and_then(|()| self.commit(victims, &mut output)) {
            output.abandon();
            return Err(error);
        }
        for moved in &output.moves {
            self.swing(moved)?;
        }
        for victim in victims {
            self.table.remove(victim);
            self.remove_segment_files(victim.header.id);
        }
        Ok(())
    }

    /// Copies what must stay of `victim`.
    fn copy_live(&self, victim: &Arc<Segment>, output: &mut Output) -> Result<()> {
        let file = self.storage.open(&name::segment(victim.header.id), false)?;
        let mut scan = Scan::new(file, victim.header, victim.len());
        let what = loop {
            match scan.next_item()? {
                Item::Record(found) => {
                    let hash = self.hasher.hash(found.record.key());
                    let from = victim.location(found.offset);
                    if self.must_stay(hash, from, &found, output.droppable_below)? {
                        output.copy(hash, from, &found)?;
                    }
                }
                Item::Seal(_) => return Ok(()),
                Item::End => break "the records end before the seal",
                Item::Damage(what) => break what,
            }
        };
        Err(victim.damaged(scan.offset(), what))
    }

    fn must_stay(
        &self,
        hash: u64,
        from: Location,
        found: &Found,
        droppable_below: u64,
    ) -> Result<bool> {
        if found.record.header.kind == RecordKind::Tombstone {
            let needed = found.sequence >= droppable_below;
            return Ok(needed && self.find(found.record.key(), |_| Ok(()))?.is_none());
        }
        let is_it = |location| Ok((location == from).then_some(()));
        Ok(self.index.find(&epoch::pin()?, hash, is_it)?.is_some())
    }

    /// Puts the output in the place of the victims, in one step.
    fn commit(&self, victims: &[Arc<Segment>], output: &mut Output) -> Result<()> {
        output.finish_segment();
        self.settle(&mut output.full)?;
        self.storage.sync_directory()?;
        self.sync()?;
        let mut edits = Vec::new();
        for full in &output.full {
            edits.push(Edit::Add(full.segment.header));
            edits.push(Edit::Seal(super::sync::sealed(full)));
        }
        edits.extend(victims.iter().map(|victim| Edit::Remove { id: victim.header.id }));
        let committed = self.manifest.lock().append(&edits).inspect_err(|error| {
            // Whether the edit is on the medium is unknown, and so is which files must stay.
            if error.kind() != crate::error::Kind::NoSpace {
                self.latch.close(error);
            }
        });
        committed.map(|()| self.want_hints(output.full.iter().map(|full| full.segment.header.id)))
    }

    /// Points the index to the copy, unless a newer record has come meanwhile.
    fn swing(&self, moved: &Move) -> Result<()> {
        let guard = epoch::pin()?;
        let entry = self.index.entry(&guard, moved.hash, |location| Ok(location == moved.from))?;
        if entry.location().is_some() {
            entry.set(moved.to);
        } else {
            self.table.pinned(&guard).of(moved.to)?.add_dead(moved.len);
        }
        Ok(())
    }

    /// Tombstones below this sequence are needed by no segment outside `victims`.
    fn droppable_below(&self, victims: &[Arc<Segment>]) -> u64 {
        // With the writer held still, a segment without garbage holds no older record of a deleted
        // key.
        let writer = self.writer.lock();
        let outside = |segment: &&Arc<Segment>| {
            segment.dead() > 0 && victims.iter().all(|v| v.header.id != segment.header.id)
        };
        let all = self.table.all();
        let needed_from = all.iter().filter(outside).map(|segment| {
            let header = &segment.header;
            header.base_sequence.max(header.horizon)
        });
        needed_from.min().unwrap_or(u64::MAX).min(writer.next_sequence)
    }
}

/// A record that has a new place.
struct Move {
    hash: u64,
    from: Location,
    to: Location,
    len: usize,
}

/// The segments that take what stays of a group.
struct Output<'a> {
    engine: &'a Engine,
    /// No victim has a lower sequence.
    base_sequence: u64,
    /// Writes below this were applied before the first record was judged.
    horizon: u64,
    droppable_below: u64,
    current: Option<ActiveSegment>,
    /// The sequence after the highest in the current segment.
    next_sequence: u64,
    full: Vec<FullSegment>,
    moves: Vec<Move>,
    encoded: Vec<u8>,
}

impl<'a> Output<'a> {
    fn new(engine: &'a Engine, victims: &[Arc<Segment>]) -> Output<'a> {
        let horizon = engine.writer.lock().next_sequence;
        // A write is applied to the index after it is appended: until its thread unpins.
        epoch::synchronize();
        let base = victims.iter().map(|victim| victim.header.base_sequence).min();
        Output {
            engine,
            base_sequence: base.unwrap_or(horizon),
            horizon,
            droppable_below: engine.droppable_below(victims),
            current: None,
            next_sequence: 0,
            full: Vec::new(),
            moves: Vec::new(),
            encoded: Vec::new(),
        }
    }

    fn copy(&mut self, hash: u64, from: Location, found: &Found) -> Result<()> {
        let record = &found.record;
        let delta = found.sequence - self.base_sequence;
        let len = record_len(record.key().len(), record.value().len(), is_wide(delta));
        debug_assert!(len <= MAX_RECORD_LEN);
        let segment = self.segment_with_room(len)?;
        let (salt, offset) = (segment.segment().header.salt, segment.len());
        let to = segment.segment().location(offset);
        self.encoded.clear();
        encode_moved(record, salt, offset, delta, &mut self.encoded);
        let Some(segment) = &mut self.current else { return Err(active::does_not_fit()) };
        segment.append_encoded(&self.encoded);
        self.next_sequence = self.next_sequence.max(found.sequence + 1);
        if record.header.kind == RecordKind::Tombstone {
            segment.segment().add_tombstone(len);
        } else {
            self.moves.push(Move { hash, from, to, len });
        }
        Ok(())
    }

    /// The current segment if it has room for `len` bytes, or else a new one.
    fn segment_with_room(&mut self, len: usize) -> Result<&mut ActiveSegment> {
        let has_room = match &mut self.current {
            Some(segment) => segment.make_room(len)?,
            None => false,
        };
        if !has_room {
            self.finish_segment();
            self.begin_segment(len)?;
        }
        self.current.as_mut().ok_or_else(active::does_not_fit)
    }

    fn begin_segment(&mut self, len: usize) -> Result<()> {
        let engine = self.engine;
        let header = engine.new_header(SegmentKind::Compacted, self.base_sequence, self.horizon)?;
        let file = active::create_file(&*engine.storage, &header, &engine.uuid)?;
        let capacity = active::capacity_for(engine.options.segment_size, len);
        let begun = ActiveSegment::begin(&*engine.storage, &engine.table, file, header, capacity);
        let segment = self.current.insert(begun.inspect_err(|_| {
            let _ = engine.storage.remove(&name::segment(header.id));
        })?);
        self.next_sequence = self.base_sequence;
        segment.make_room(len).map(|_| ())
    }

    fn finish_segment(&mut self) {
        if let Some(segment) = self.current.take() {
            self.full.push(segment.seal(self.next_sequence));
        }
    }

    /// Takes everything back: the victims stay. What cannot be removed now is removed at the next
    /// open.
    fn abandon(&mut self) {
        self.finish_segment();
        for full in &self.full {
            self.engine.table.discard(&full.segment);
            if self.engine.latch.check().is_ok() {
                let _ = self.engine.storage.remove(&name::segment(full.segment.header.id));
            }
        }
    }
}
