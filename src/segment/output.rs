//! The segments that compaction and salvaging write: through a buffer, since nobody reads them
//! before they are whole. That spares page faults, and what is written is on its way to the medium
//! before the sync.

use std::sync::Arc;

use super::blocks::{end_with, Blocks};
use super::full::FullSegment;
use super::table::SegmentTable;
use super::{Body, Segment, Source};
use crate::error::{Error, Result};
use crate::format::encode::{encode_moved, Moved};
use crate::format::record::Seal;
use crate::format::segment::{SegmentHeader, HEADER_PAGE};
use crate::memory;
use crate::storage::{File, Storage};

/// Writes end at multiples of this: no page is written twice, and a file system that can keep files
/// in huge pages does so, which spares readers misses of the processor's address cache.
const CHUNK: u64 = 2 << 20;

/// Records on their way into a file that nobody reads before it is sealed.
pub struct Appender {
    file: Arc<dyn File>,
    salt: u32,
    /// Bytes in the file. Those behind them are in the buffer.
    written: u64,
    buffer: Vec<u8>,
    records: u64,
}

impl Appender {
    /// One for a segment with `salt`, of which the first bytes are in the file, and the next ones
    /// in `buffer`.
    pub fn new(file: Arc<dyn File>, salt: u32, written: u64, buffer: Vec<u8>) -> Appender {
        Appender { file, salt, written, buffer, records: 0 }
    }

    /// The file.
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// Where the next record goes.
    pub fn end(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Appends a record; answers its offset.
    pub fn append(&mut self, moved: &Moved) -> Result<u64> {
        let offset = self.end();
        encode_moved(moved, self.salt, offset, &mut self.buffer)?;
        self.records += 1;
        let whole = self.end() / CHUNK * CHUNK;
        if whole > self.written {
            let (from, len) = (self.written, whole - self.written);
            self.write(len as usize)?;
            self.file.begin_sync(from, len);
        }
        Ok(offset)
    }

    /// Appends the seal, which it answers, and writes all that is left. That must not be on its way
    /// to the medium yet: to cut the file behind it would wait until it is there.
    pub fn seal(&mut self, next_sequence: u64) -> (Seal, Result<()>) {
        let seal = Seal { records: self.records, next_sequence };
        let bytes = seal.encode(self.salt, self.end());
        let appended = memory::append(&mut self.buffer, &bytes);
        (seal, appended.map_err(Error::from).and_then(|()| self.write(self.buffer.len())))
    }

    /// Writes the first bytes of the buffer. Blocks for just these come first: what a segment does
    /// not need costs time to give back, and on some file systems a write finds no room too late.
    fn write(&mut self, len: usize) -> Result<()> {
        self.file.allocate(self.written + len as u64)?;
        self.file.write_at(&self.buffer[..len], self.written)?;
        self.written += len as u64;
        self.buffer.drain(..len);
        Ok(())
    }
}

/// A segment that takes what stays of others.
pub struct OutputSegment {
    segment: Arc<Segment>,
    blocks: Arc<Blocks>,
    capacity: u64,
    /// As far as it may grow without asking.
    limit: u64,
    appender: Appender,
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
        let blocks = Blocks::new(Arc::clone(&file));
        let appender = Appender::new(file, header.salt, HEADER_PAGE as u64, Vec::new());
        Ok(OutputSegment { segment, blocks, capacity, limit, appender })
    }

    /// Who it will be for readers.
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Makes room for `len` bytes: the file may grow by `allowed` bytes, or what is missing if that
    /// is more. Answers whether the segment can have as many.
    pub fn make_room(&mut self, len: usize, allowed: u64) -> bool {
        let (end, fits) = end_with(self.appender.end(), len, self.capacity);
        if end > self.limit {
            let next = end.next_multiple_of(CHUNK).min(self.limit.saturating_add(allowed));
            self.limit = next.max(end);
            self.segment.set_allocated(self.limit);
        }
        fits
    }

    /// Bytes by which the file must be allowed to grow, at least, to make room for `len` bytes.
    pub fn missing(&self, len: usize) -> u64 {
        end_with(self.appender.end(), len, self.capacity).0.saturating_sub(self.limit)
    }

    /// Appends a record, for which room was made; answers its offset.
    pub fn append(&mut self, moved: &Moved) -> Result<u64> {
        self.appender.append(moved)
    }

    /// Ends the segment. After an error it is not whole.
    pub fn seal(mut self, next_sequence: u64) -> (FullSegment, Result<()>) {
        let (seal, written) = self.appender.seal(next_sequence);
        let (len, file) = (self.appender.end(), Arc::clone(self.appender.file()));
        (FullSegment { segment: self.segment, file, len, seal, blocks: self.blocks }, written)
    }
}
