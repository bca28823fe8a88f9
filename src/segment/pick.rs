//! Single records of a segment, whose places are known: each is verified, and those that lie near
//! one another are read together.

use std::sync::Arc;

use crate::error::{Error, Kind, Result};
use crate::format::hint::Entry;
use crate::format::record::Record;
use crate::format::segment::SegmentHeader;
use crate::storage::File;

/// Fewer bytes than this between two records are read with them: a call takes as long.
const NEAR: u64 = 4096;
/// Bytes read at once, unless one record has more: they stay in the processor's cache.
const WINDOW: u64 = 256 << 10;

/// Who reads them: with `read`, not through a map, so that a media error is an error.
pub struct Picker {
    file: Arc<dyn File>,
    header: SegmentHeader,
    window: Vec<u8>,
    window_at: u64,
    read: u64,
}

impl Picker {
    /// One for the segment with this header, in `file`.
    pub fn new(file: Arc<dyn File>, header: SegmentHeader) -> Picker {
        Picker { file, header, window: Vec::new(), window_at: 0, read: 0 }
    }

    /// Bytes that were read since this was last asked.
    pub fn take_read(&mut self) -> u64 {
        std::mem::take(&mut self.read)
    }

    /// The first of `entries`, which are in the order of the segment; the others say what to read
    /// with it. `None` if it does not verify, or is another than the entry is of.
    pub fn record(&mut self, entries: &[Entry]) -> Result<Option<Record<'_>>> {
        let Some((entry, next)) = entries.split_first() else { return Ok(None) };
        let window_end = self.window_at + self.window.len() as u64;
        if entry.offset < self.window_at || entry.offset + entry.len > window_end {
            self.fill(entry, next)?;
        }
        let at = (entry.offset - self.window_at) as usize;
        let record = Record::decode(&self.window[at..at + entry.len as usize]);
        Ok(record.filter(|record| self.is_of(record, entry)))
    }

    /// Whether `record` verifies where the entry says that it is, and is the one that it is of.
    fn is_of(&self, record: &Record, entry: &Entry) -> bool {
        let SegmentHeader { salt, base_sequence, .. } = self.header;
        record.verifies(salt, entry.offset)
            && record.header.record_len() as u64 == entry.len
            && record.header.class() == entry.class
            && base_sequence.wrapping_add(record.sequence_delta()) == entry.sequence
    }

    /// Reads `first`, and those of the next ones that are near.
    fn fill(&mut self, first: &Entry, next: &[Entry]) -> Result<()> {
        let (start, mut end) = (first.offset, first.offset + first.len);
        for entry in next {
            let its_end = entry.offset + entry.len;
            if entry.offset - end > NEAR || its_end - start > WINDOW {
                break;
            }
            end = its_end;
        }
        let wanted = (end - start) as usize;
        let more = wanted.saturating_sub(self.window.len());
        self.window.try_reserve(more).map_err(|_| {
            Error::new(Kind::OutOfMemory, "there is no memory for reading a segment")
        })?;
        self.window.resize(wanted, 0);
        self.window_at = start;
        self.read += wanted as u64;
        let read = self.file.read_at(&mut self.window, start);
        read.inspect_err(|_| self.window.clear())
    }
}
