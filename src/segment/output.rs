//! The segment that compaction writes: through a buffer, since nobody reads it before it is whole.
//! That spares page faults, and what is written is on its way to the medium before the sync.

use std::sync::Arc;

use super::blocks::{end_with, step_end, Blocks};
use super::full::FullSegment;
use super::table::SegmentTable;
use super::{Body, Segment, Source};
use crate::error::{Error, Kind, Result};
use crate::format::encode::{encode_moved, Moved};
use crate::format::record::Seal;
use crate::format::segment::{SegmentHeader, HEADER_PAGE};
use crate::memory;
use crate::storage::{File, Storage};

/// Bytes that are written at once, and a multiple of the page size: no page is written twice.
const CHUNK: usize = 1 << 20;

/// A segment that takes what stays of others.
pub struct OutputSegment {
    segment: Arc<Segment>,
    file: Arc<dyn File>,
    capacity: u64,
    /// The end of what is allocated.
    limit: u64,
    /// Bytes in the file. Those behind them are in the buffer.
    written: u64,
    buffer: Vec<u8>,
    records: u64,
}

impl OutputSegment {
    /// Begins to write a segment, of `capacity` bytes, in a file that
    /// [`create_file`](super::active::create_file) made.
    pub fn begin(
        storage: &dyn Storage,
        table: &SegmentTable,
        file: Arc<dyn File>,
        header: SegmentHeader,
        capacity: u64,
    ) -> Result<OutputSegment> {
        let source = Source::Active(Body::File(Arc::clone(&file), HEADER_PAGE as u64));
        let limit = file.len()?;
        let make = |base| Segment::new(header, storage, source, base);
        let segment = table.add(header.id, capacity, make)?;
        segment.set_allocated(limit);
        let (written, buffer) = (HEADER_PAGE as u64, Vec::new());
        Ok(OutputSegment { segment, file, capacity, limit, written, buffer, records: 0 })
    }

    /// Who it will be for readers.
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Bytes of it so far.
    fn len(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Makes room for `len` bytes, with blocks on disk, of which it may take `allowed` bytes, or
    /// what is missing if that is more. Answers whether the segment can have as many.
    pub fn make_room(&mut self, len: usize, allowed: u64) -> Result<bool> {
        let (end, fits) = end_with(self.len(), len, self.capacity);
        if end > self.limit {
            let to = step_end(self.limit, self.capacity, end, allowed);
            self.limit = match self.file.allocate(to) {
                // The step may be too much where the record itself is not.
                Err(error) if error.kind() == Kind::NoSpace => {
                    self.file.allocate(end)?;
                    end
                }
                allocated => allocated.map(|()| to)?,
            };
            self.segment.set_allocated(self.limit);
        }
        Ok(fits)
    }

    /// Bytes that must be allocated, at least, to make room for `len` bytes.
    pub fn missing(&self, len: usize) -> u64 {
        end_with(self.len(), len, self.capacity).0.saturating_sub(self.limit)
    }

    /// Appends a record, for which room was made; answers its offset.
    pub fn append(&mut self, moved: &Moved) -> Result<u64> {
        let offset = self.len();
        encode_moved(moved, self.segment.header.salt, offset, &mut self.buffer)?;
        self.records += 1;
        let whole = self.buffer.len() / CHUNK * CHUNK;
        if whole > 0 {
            self.write(whole)?;
        }
        Ok(offset)
    }

    /// Writes the first bytes of the buffer.
    fn write(&mut self, len: usize) -> Result<()> {
        self.file.write_at(&self.buffer[..len], self.written)?;
        self.file.begin_sync(self.written, len as u64);
        self.written += len as u64;
        self.buffer.drain(..len);
        Ok(())
    }

    /// Ends the segment, for which there is always room. After an error it is not whole.
    pub fn seal(mut self, next_sequence: u64) -> (FullSegment, Result<()>) {
        let seal = Seal { records: self.records, next_sequence };
        let bytes = seal.encode(self.segment.header.salt, self.len());
        let written = memory::append(&mut self.buffer, &bytes)
            .map_err(Error::from)
            .and_then(|()| self.write(self.buffer.len()));
        let full = FullSegment {
            len: self.len(),
            blocks: Blocks::new(Arc::clone(&self.file)),
            segment: self.segment,
            file: self.file,
            seal,
        };
        (full, written)
    }
}
