//! Where compaction writes: segments that take what stays of others.

use std::sync::Arc;

use crate::engine::space::Purpose;
use crate::engine::Engine;
use crate::epoch;
use crate::error::Result;
use crate::format::encode::{encode_moved, moved_len};
use crate::format::name;
use crate::format::record::{Class, Record, MAX_RECORD_LEN};
use crate::format::segment::SegmentKind;
use crate::index::Location;
use crate::segment::active::{self, ActiveSegment};
use crate::segment::full::FullSegment;
use crate::segment::Segment;

/// A record that has a new place.
pub struct Move {
    pub hash: u64,
    pub from: Location,
    pub to: Location,
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
    current: Option<ActiveSegment>,
    /// The sequence after the highest in the current segment.
    next_sequence: u64,
    /// Segments that are finished.
    pub full: Vec<FullSegment>,
    /// Records that were copied, tombstones apart.
    pub moves: Vec<Move>,
    encoded: Vec<u8>,
}

impl<'a> Output<'a> {
    pub fn new(engine: &'a Engine, victims: &[Arc<Segment>]) -> Output<'a> {
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

    /// Copies a record. Answers its bytes in the output.
    pub fn copy(
        &mut self,
        hash: u64,
        from: Location,
        sequence: u64,
        record: &Record,
    ) -> Result<usize> {
        let delta = sequence - self.base_sequence;
        let len = moved_len(record, delta);
        debug_assert!(len <= MAX_RECORD_LEN);
        let segment = self.segment_with_room(len)?;
        let (salt, offset) = (segment.segment().header.salt, segment.len());
        let to = segment.segment().location(offset);
        self.encoded.clear();
        encode_moved(record, salt, offset, delta, &mut self.encoded);
        let Some(segment) = &mut self.current else { return Err(active::does_not_fit()) };
        segment.append_encoded(&self.encoded);
        self.next_sequence = self.next_sequence.max(sequence + 1);
        if let Some(expiry) = record.expiry() {
            segment.segment().add_expiring(len, expiry);
        }
        match record.header.class() {
            class @ (Class::Tombstone | Class::Gap) => segment.segment().add_dead(len, class),
            class => self.moves.push(Move { hash, from, to, len: len as u32, class }),
        }
        Ok(len)
    }

    /// The current segment if it has room for `len` bytes, or else a new one.
    fn segment_with_room(&mut self, len: usize) -> Result<&mut ActiveSegment> {
        let has_room = match &mut self.current {
            Some(segment) => {
                let missing = segment.missing(len);
                let allowed = match missing {
                    0 => 0,
                    _ => self.engine.may_allocate(missing, Purpose::Compaction)?,
                };
                segment.make_room(len, allowed)?
            }
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
        let allowed = engine.may_allocate(active::missing_of_new(len), Purpose::Compaction)?;
        let header = engine.new_header(SegmentKind::Compacted, self.base_sequence, self.horizon)?;
        let file = active::create_file(&*engine.storage, &header, &engine.uuid)?;
        let capacity = active::capacity_for(engine.options.segment_size, len);
        let begun = ActiveSegment::begin(&*engine.storage, &engine.table, file, header, capacity);
        let segment = self.current.insert(begun.inspect_err(|_| {
            let _ = engine.storage.remove(&name::segment(header.id));
        })?);
        self.next_sequence = self.base_sequence;
        segment.make_room(len, allowed).map(|_| ())
    }

    /// Ends the current segment, if there is one.
    pub fn finish_segment(&mut self) {
        if let Some(segment) = self.current.take() {
            self.full.push(segment.seal(self.next_sequence));
        }
    }

    /// Takes everything back: the victims stay. What cannot be removed now is removed at the next
    /// open.
    pub fn abandon(&mut self) {
        self.finish_segment();
        for full in &self.full {
            self.engine.table.discard(&full.segment);
            if self.engine.latch.check().is_ok() {
                let _ = self.engine.storage.remove(&name::segment(full.segment.header.id));
            }
        }
    }
}
