//! Where compaction writes: segments that take what stays of others.

use std::mem;
use std::sync::Arc;

use crate::engine::space::Purpose;
use crate::engine::Engine;
use crate::epoch;
use crate::error::Result;
use crate::format::encode::Moved;
use crate::format::hint::Digest;
use crate::format::name;
use crate::format::record::{Class, Record, MAX_RECORD_LEN};
use crate::format::segment::SegmentKind;
use crate::index::Location;
use crate::memory;
use crate::segment::active;
use crate::segment::full::FullSegment;
use crate::segment::output::OutputSegment;
use crate::segment::Segment;
use crate::wrong_turn::is_taken;

/// A verified record of a victim.
#[derive(Clone, Copy)]
pub struct Origin {
    /// The hash of its key.
    pub hash: u64,
    pub from: Location,
    pub sequence: u64,
    /// Its checksum, without the part that comes from its place.
    pub crc: u32,
}

/// A record that has a new place, or has expired and gets none.
pub struct Move {
    pub hash: u64,
    pub from: Location,
    pub to: Option<Location>,
    pub len: u32,
    pub class: Class,
}

/// The segments that take what stays of a group.
pub struct Output<'a> {
    engine: &'a Engine,
    /// No victim has a lower sequence.
    base_sequence: u64,
    /// Writes below this were applied before the first record was judged.
    horizon: u64,
    /// Tombstones below this sequence are needed by no segment outside the group.
    pub droppable_below: u64,
    /// Values that expire then or before need not stay.
    pub cutoff: u64,
    current: Option<OutputSegment>,
    /// The sequence after the highest in the current segment.
    next_sequence: u64,
    /// What its hint will say.
    digest: Digest,
    /// Segments that are finished.
    pub full: Vec<FullSegment>,
    /// What their hints will say.
    digests: Vec<Digest>,
    /// Records that were copied, tombstones apart, and records that have expired.
    pub moves: Vec<Move>,
    /// Victims that were not read, though the index points into them.
    pub unread: Vec<Arc<Segment>>,
}

impl<'a> Output<'a> {
    pub fn new(engine: &'a Engine, victims: &[Arc<Segment>], cutoff: u64) -> Result<Output<'a>> {
        let horizon = engine.writer.lock().next_sequence;
        // A write is applied to the index after it is appended: until its thread unpins.
        epoch::synchronize();
        let base = victims.iter().map(|victim| victim.header.base_sequence).min();
        Ok(Output {
            engine,
            base_sequence: base.unwrap_or(horizon),
            horizon,
            droppable_below: engine.droppable_below(victims)?,
            cutoff,
            current: None,
            next_sequence: 0,
            digest: Digest::new(SegmentKind::Compacted),
            full: Vec::new(),
            digests: Vec::new(),
            moves: Vec::new(),
            unread: Vec::new(),
        })
    }

    /// Copies a record. Answers its bytes in the output.
    pub fn copy(&mut self, origin: &Origin, record: &Record) -> Result<usize> {
        let Origin { hash, from, sequence, crc } = *origin;
        let moved = Moved::new(record, sequence - self.base_sequence).verified(crc);
        let (to, len) = self.append(&moved, origin)?;
        let class = moved.class();
        if !matches!(class, Class::Tombstone | Class::Gap) {
            let moved = Move { hash, from, to: Some(to), len: len as u32, class };
            memory::push(&mut self.moves, moved)?;
        }
        Ok(len)
    }

    /// Leaves a record out that has expired. An older one of its key may be there, which must not
    /// come back: then a tombstone takes its place. Answers its bytes in the output.
    pub fn leave_out(&mut self, origin: &Origin, record: &Record) -> Result<usize> {
        let Origin { hash, from, sequence, .. } = *origin;
        let len = if sequence < self.droppable_below || is_taken!(ExpiredDroppedEarly) {
            0
        } else {
            let moved = Moved::tombstone(record, sequence - self.base_sequence);
            self.append(&moved, origin)?.1
        };
        let gone = Move { hash, from, to: None, len: 0, class: record.header.class() };
        memory::push(&mut self.moves, gone)?;
        Ok(len)
    }

    /// Appends a record; answers where it is, and its length.
    fn append(&mut self, moved: &Moved, origin: &Origin) -> Result<(Location, usize)> {
        let len = moved.record_len();
        debug_assert!(len <= MAX_RECORD_LEN);
        // A failure to read is passed on; this is one to write.
        let watch = |error| self.engine.latch.watch(error);
        let segment = self.segment_with_room(len).map_err(watch)?;
        let offset = segment.append(moved).map_err(watch)?;
        let to = segment.segment().location(offset);
        if let Some(expiry) = moved.expiry() {
            segment.segment().add_expiring(len, expiry);
        }
        if let class @ (Class::Tombstone | Class::Gap) = moved.class() {
            segment.segment().add_dead(len, class);
        }
        self.digest.push(origin.hash, len, origin.sequence, moved.class())?;
        self.next_sequence = self.next_sequence.max(origin.sequence + 1);
        Ok((to, len))
    }

    /// The current segment if it has room for `len` bytes, or else a new one.
    fn segment_with_room(&mut self, len: usize) -> Result<&mut OutputSegment> {
        let has_room = match &mut self.current {
            Some(segment) => {
                let missing = segment.missing(len);
                let allowed = match missing {
                    0 => 0,
                    _ => self.engine.may_allocate(missing, Purpose::Compaction)?,
                };
                segment.make_room(len, allowed)
            }
            None => false,
        };
        if !has_room {
            self.finish_segment()?;
            self.begin_segment(len)?;
        }
        self.current.as_mut().ok_or_else(active::does_not_fit)
    }

    fn begin_segment(&mut self, len: usize) -> Result<()> {
        let engine = self.engine;
        let allowed = engine.may_allocate(active::missing_of_new(len), Purpose::Compaction)?;
        let header = engine.new_header(SegmentKind::Compacted, self.base_sequence, self.horizon)?;
        let file = active::create_file(&*engine.storage, &header, &engine.uuid)?;
        let capacity = active::capacity_for(engine.options.segment_size, len);
        let begun = OutputSegment::begin(&*engine.storage, &engine.table, file, header, capacity);
        let segment = self.current.insert(begun.inspect_err(|_| {
            let _ = engine.storage.remove(&name::segment(header.id));
        })?);
        self.next_sequence = self.base_sequence;
        segment.make_room(len, allowed);
        Ok(())
    }

    /// Ends the current segment, if there is one.
    pub fn finish_segment(&mut self) -> Result<()> {
        self.full.try_reserve(1)?;
        self.digests.try_reserve(1)?;
        let Some(segment) = self.current.take() else { return Ok(()) };
        self.digests.push(mem::replace(&mut self.digest, Digest::new(SegmentKind::Compacted)));
        let (full, written) = segment.seal(self.next_sequence);
        self.full.push(full);
        written
    }

    /// The finished segments, with what their hints say.
    pub fn hints(&mut self) -> impl Iterator<Item = (&FullSegment, Digest)> {
        self.full.iter().zip(self.digests.drain(..))
    }

    /// Takes everything back: the victims stay. What cannot be removed now is removed at the next
    /// open.
    pub fn abandon(&mut self) {
        let current = self.current.take();
        let segments = self.full.iter().map(|full| &full.segment);
        for segment in segments.chain(current.iter().map(OutputSegment::segment)) {
            self.engine.table.discard(segment);
            if self.engine.latch.check().is_ok() {
                let _ = self.engine.storage.remove(&name::segment(segment.header.id));
            }
        }
    }
}
