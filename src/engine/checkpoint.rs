//! Checkpoints: the index as it is, written beside the log, so that opening reads what came after.
//!
//! A checkpoint is not of one moment: each piece is copied while no entry of it can change, one
//! after the other, and knows below which sequence it reflects all records of its keys. Segments
//! do not go while it is copied, since compaction waits. It does not wait for the disk.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::latency::Operation;
use super::stats::add;
use super::Engine;
use crate::epoch;
use crate::error::{Error, Kind, Result};
use crate::format::checkpoint::{encode_entries, header_len, Checkpoint, KnownPiece, BUCKET_LEN};
use crate::format::name;
use crate::format::segment::HEADER_PAGE;
use crate::index::PIECES;
use crate::memory;
use crate::notice::Level;
use crate::segment::Segment;
use crate::storage::File;
use crate::wrong_turn::{unless, when};

/// Bytes that are written at once.
const CHUNK: usize = 1 << 20;
/// Room in the file for segments that come while it is written.
const SPARE_SEGMENTS: usize = 1024;
/// At least so many bytes of log lie between two checkpoints …
const LEAST_LOG: u64 = 64 << 20;
/// … and so many for each byte of the index.
const LOG_PER_INDEX: u64 = 5;
/// A checkpoint is put off while more segments than this wait to be sealed.
const MOST_UNSEALED: usize = 8;
/// A database whose log is shorter than this is opened as fast without a checkpoint.
const WORTH_IT_AT_CLOSE: u64 = 4 << 20;
/// A checkpoint of this length is no burden to a small database.
const SMALL_CHECKPOINT: u64 = 512 << 10;

/// Up to where the last checkpoint reaches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reach {
    /// The highest id of a segment in it.
    pub highest_id: u64,
    /// The segment that was being written, and how many bytes it had.
    pub active: (u64, u64),
}

/// The pieces of a checkpoint on their way into the file.
struct Writing {
    file: Arc<dyn File>,
    at: u64,
    bytes: Vec<u8>,
}

impl Writing {
    fn flush(&mut self) -> Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        self.file.write_at(&self.bytes, self.at)?;
        self.at += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }
}

impl Engine {
    /// Writes a checkpoint. If that fails there is none, or the one before: it costs the next open
    /// time and nothing else.
    pub fn checkpoint(&self) {
        let mut reach = self.reach.lock();
        if self.latch.check().is_err() {
            return;
        }
        let began = Instant::now();
        match self.timed(Operation::Checkpoint, || self.write_checkpoint()) {
            Ok((reached, bytes)) => {
                *reach = reached;
                let words = format_args!(
                    "a checkpoint of the index was written in {:.1?}: {bytes} bytes",
                    began.elapsed()
                );
                self.herald.log(Level::Info, words);
            }
            Err(error) => {
                drop(self.storage.remove(name::INDEX_NEW));
                let words = format_args!("no checkpoint of the index could be written: {error}");
                self.herald.log(Level::Warn, words);
            }
        }
    }

    /// Writes a checkpoint if enough was written since the last one.
    pub fn checkpoint_if_due(&self) {
        // A log that is far behind the writer has to be sealed first, or the checkpoint would wait.
        if self.writer.lock().full.len() > MOST_UNSEALED {
            return;
        }
        let per_index = self.index_memory() as u64 * LOG_PER_INDEX;
        if self.log_since_checkpoint() >= per_index.max(LEAST_LOG) {
            self.checkpoint();
        }
    }

    /// Writes a checkpoint of a database that is about to be closed, unless it is small.
    pub(super) fn checkpoint_at_close(&self) {
        if !self.remove_checkpoint_if_small() {
            self.checkpoint();
        }
    }

    /// Removes a large checkpoint of a database that has become small. Answers whether it is small:
    /// then it needs none.
    pub(super) fn remove_checkpoint_if_small(&self) -> bool {
        let mut log = 0;
        self.table.look_at_all(|segment| log += segment.len());
        let is_small = log < WORTH_IT_AT_CLOSE;
        if is_small {
            let mut reach = self.reach.lock();
            let opened = self.storage.open(name::INDEX, false).and_then(|file| file.len());
            let is_large = opened.is_ok_and(|len| len > SMALL_CHECKPOINT);
            // One that stays is an older one, and as good as any.
            if is_large && self.storage.remove(name::INDEX).is_ok() {
                *reach = Reach::default();
            }
        }
        is_small
    }

    /// Bytes of segments that the last checkpoint does not know.
    pub(super) fn log_since_checkpoint(&self) -> u64 {
        let reach = *self.reach.lock();
        let unknown = |id: u64, len: u64| match reach.active {
            (active, known) if id == active => len.saturating_sub(known),
            _ if id > reach.highest_id => len,
            _ => 0,
        };
        let mut bytes = 0;
        self.table.look_at_all(|segment| bytes += unknown(segment.header.id, segment.len()));
        bytes
    }

    /// Answers how far it reaches, and its bytes.
    fn write_checkpoint(&self) -> Result<(Reach, u64)> {
        self.storage.remove_if_there(name::INDEX_NEW)?;
        let file = self.storage.create(name::INDEX_NEW)?;
        let mut segments = 0;
        self.table.look_at_all(|_| segments += 1);
        let room = header_len(segments + SPARE_SEGMENTS, PIECES);
        let room = room.next_multiple_of(BUCKET_LEN);
        let mut writing = Writing { file, at: room as u64, bytes: Vec::new() };
        let mut pieces = Vec::new();
        pieces.try_reserve_exact(PIECES)?;
        let compaction = self.compaction.lock();
        for number in 0..PIECES {
            pieces.push(self.write_piece(number, &mut writing)?);
        }
        writing.flush()?;
        when!(CheckpointClaimsTooMuch, {
            let next_sequence = self.writer.lock().next_sequence;
            pieces.iter_mut().for_each(|piece| piece.sequence = next_sequence);
        });
        let (checkpoint, reach) = self.end_of_checkpoint(pieces)?;
        // What is compacted from now on is news, as for any older checkpoint.
        drop(compaction);
        let header = checkpoint.encode(&self.uuid)?;
        if header.len() > room {
            return Err(Error::new(Kind::Internal, "too many segments came meanwhile"));
        }
        writing.file.write_at(&header, 0)?;
        add(&self.counters.bytes_checkpoints, writing.at);
        writing.file.sync()?;
        // It must never know more than the log: that may be lost in a power cut.
        unless!(CheckpointBeyondLog, self.sync_to(checkpoint.sequence_end))?;
        self.storage.rename(name::INDEX_NEW, name::INDEX)?;
        // What a failed sync of the directory lost may be the name of a segment.
        self.storage.sync_directory().map_err(|error| self.latch.watch(error))?;
        Ok((reach, writing.at))
    }

    fn write_piece(&self, number: usize, writing: &mut Writing) -> Result<KnownPiece> {
        let (image, sequence) = {
            let guard = epoch::pin()?;
            self.index.image(&guard, number, || self.writer.lock().next_sequence)?
        };
        let (bytes, checksum) = encode_entries(&image.entries)?;
        let end = writing.at + writing.bytes.len() as u64;
        let offset = if bytes.is_empty() { 0 } else { end };
        memory::append(&mut writing.bytes, &bytes)?;
        if writing.bytes.len() >= CHUNK {
            writing.flush()?;
        }
        Ok(KnownPiece {
            sequence,
            offset,
            buckets: (bytes.len() / BUCKET_LEN) as u32,
            used: image.used as u32,
            precision: image.precision,
            checksum,
        })
    }

    /// What is known when all pieces are written. With the writer held still, so that the dead
    /// bytes are those of all writes below the end.
    fn end_of_checkpoint(&self, pieces: Vec<KnownPiece>) -> Result<(Checkpoint, Reach)> {
        let writer = self.writer.lock();
        let active = writer.active.as_ref();
        let active_records = active.map_or(0, |active| active.records());
        let active = active.map_or((0, 0), |active| (active.segment().header.id, active.len()));
        // Not the one that waits for the log to go on in it: it may go, and says nothing then.
        let waits = |s: &Segment| s.len() <= HEADER_PAGE as u64 && s.header.id != active.0;
        let mut begun = BTreeSet::new();
        self.table.look_at_all(|segment| {
            if !waits(segment) {
                begun.insert(segment.header.id);
            }
        });
        let mut segments = self.table.places()?;
        segments.retain(|known| begun.contains(&known.id));
        let sequence_end = writer.next_sequence;
        let checkpoint = Checkpoint { sequence_end, active_records, segments, pieces };
        let highest_id = begun.last().copied().unwrap_or(0);
        Ok((checkpoint, Reach { highest_id, active }))
    }
}
